//! Decodes Prometheus's chunks of float samples: XOR (encoding 1) and XOR2 (encoding 4).
//! Knows nothing of where chunks come from; allocates nothing per sample.

use super::bits::{Bits, Short};
use super::series::{Sample, TimeRange};

const XOR: i32 = 1;
const XOR2: i32 = 4;
/// Integer and float histograms, with and without start times.
const HISTOGRAMS: [i32; 4] = [2, 3, 5, 6];

/// What a chunk held.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Decoded {
    /// Float samples; those wanted were appended.
    Floats,
    /// Native histograms; nothing was appended.
    Histograms,
    /// An encoding of a later version; nothing was appended.
    Foreign,
}

/// A chunk that is cut short or contradicts itself.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Damaged;

impl From<Short> for Damaged {
    fn from(_: Short) -> Self {
        Self
    }
}

/// Appends the samples of a chunk that are inside the range and not NaN.
pub(crate) fn decode(encoding: i32, data: &[u8], range: TimeRange, out: &mut Vec<Sample>) -> Result<Decoded, Damaged> {
    match encoding {
        XOR => xor(data, range, out)?,
        XOR2 => xor2(data, range, out)?,
        e if HISTOGRAMS.contains(&e) => return Ok(Decoded::Histograms),
        _ => return Ok(Decoded::Foreign),
    }
    Ok(Decoded::Floats)
}

/// The value part that both encodings share: a float as the XOR with the one before.
struct Value {
    bits: u64,
    leading: u32,
    width: u32,
}

impl Value {
    fn new(bits: u64) -> Self {
        Self { bits, leading: 0, width: 64 }
    }

    /// Changed bits where they were the last time.
    #[inline]
    fn same_window(&mut self, bits: &mut Bits<'_>) -> Result<(), Damaged> {
        self.bits ^= bits.read(self.width)? << (64 - self.leading - self.width);
        Ok(())
    }

    /// Changed bits in a new place: 5 bits say where they start, 6 how many they are, 0 meaning 64.
    #[inline]
    fn new_window(&mut self, bits: &mut Bits<'_>) -> Result<(), Damaged> {
        let place = bits.read(11)? as u32;
        let (leading, width) = (place >> 6, place & 0x3f);
        let width = if width == 0 { 64 } else { width };
        if leading + width > 64 {
            return Err(Damaged);
        }
        (self.leading, self.width) = (leading, width);
        self.same_window(bits)
    }
}

#[inline]
fn push(at_ms: i64, bits: u64, range: TimeRange, out: &mut Vec<Sample>) {
    let value = f64::from_bits(bits);
    // Stale markers are NaN too.
    if range.contains(at_ms) && !value.is_nan() {
        out.push(Sample { at_ms, value });
    }
}

fn header(data: &[u8]) -> Result<(u16, &[u8]), Damaged> {
    let (count, rest) = data.split_first_chunk::<2>().ok_or(Damaged)?;
    Ok((u16::from_be_bytes(*count), rest))
}

/// A number of `width` bits whose upper half is negative; the middle itself is positive, unlike in two's complement.
#[inline]
fn centred(value: u64, width: u32) -> i64 {
    let value = value.cast_signed();
    if value > 1 << (width - 1) { value - (1 << width) } else { value }
}

fn xor(data: &[u8], range: TimeRange, out: &mut Vec<Sample>) -> Result<(), Damaged> {
    let (count, rest) = header(data)?;
    if count == 0 {
        return Ok(());
    }
    let bits = &mut Bits::new(rest);
    let mut at = bits.signed()?;
    let mut value = Value::new(bits.read(64)?);
    push(at, value.bits, range, out);
    let mut delta = 0_i64;
    for i in 1..count {
        if i == 1 {
            delta = bits.unsigned()?.cast_signed();
        } else {
            let change = match bits.ones(4)? {
                0 => 0,
                1 => centred(bits.read(14)?, 14),
                2 => centred(bits.read(17)?, 17),
                3 => centred(bits.read(20)?, 20),
                _ => bits.read(64)?.cast_signed(),
            };
            delta = delta.wrapping_add(change);
        }
        at = at.wrapping_add(delta);
        match bits.ones(2)? {
            0 => {}
            1 => value.same_window(bits)?,
            _ => value.new_window(bits)?,
        }
        push(at, value.bits, range, out);
    }
    Ok(())
}

/// XOR2: time and value share their control bits, a stale marker has a code of its own and leaves the value before it
/// in place, and a header byte says whether and from which sample on start times are mixed in, which are read past.
fn xor2(data: &[u8], range: TimeRange, out: &mut Vec<Sample>) -> Result<(), Damaged> {
    let (count, rest) = header(data)?;
    if count == 0 {
        return Ok(());
    }
    let (start_header, rest) = rest.split_first().ok_or(Damaged)?;
    let first_has_start = start_header & 0x80 != 0;
    let starts_from = u16::from(start_header & 0x7f);
    let bits = &mut Bits::new(rest);

    let mut at = bits.signed()?;
    let first = bits.read(64)?;
    push(at, first, range, out);
    let mut value = Value::new(if first == STALE { 0 } else { first });
    if first_has_start {
        bits.signed()?;
    }
    let mut delta = 0_i64;
    for i in 1..count {
        let known = if i == 1 {
            delta = bits.unsigned()?.cast_signed();
            value_code(bits, &mut value)?
        } else {
            match bits.ones(5)? {
                0 => true,
                1 => {
                    match bits.ones(1)? {
                        0 => value.same_window(bits)?,
                        _ => value.new_window(bits)?,
                    }
                    true
                }
                5 => false,
                code => {
                    let change = match code {
                        2 => two_complement(bits.read(13)?, 13),
                        3 => two_complement(bits.read(20)?, 20),
                        _ => bits.read(64)?.cast_signed(),
                    };
                    delta = delta.wrapping_add(change);
                    value_code(bits, &mut value)?
                }
            }
        };
        at = at.wrapping_add(delta);
        if known {
            push(at, value.bits, range, out);
        }
        if starts_from > 0 && i >= starts_from {
            skip_start(bits)?;
        }
    }
    Ok(())
}

/// The NaN that marks the end of a series.
const STALE: u64 = 0x7ff0_0000_0000_0002;

/// A value after a changed interval; false for a stale marker.
fn value_code(bits: &mut Bits<'_>, value: &mut Value) -> Result<bool, Damaged> {
    match bits.ones(3)? {
        0 => {}
        1 => value.same_window(bits)?,
        2 => value.new_window(bits)?,
        _ => return Ok(false),
    }
    Ok(true)
}

fn two_complement(value: u64, width: u32) -> i64 {
    (value << (64 - width)).cast_signed() >> (64 - width)
}

/// Reads past a number whose count of leading ones says its width.
fn skip_start(bits: &mut Bits<'_>) -> Result<(), Damaged> {
    const WIDTHS: [u32; 9] = [0, 3, 6, 9, 12, 18, 25, 56, 64];
    let ones = bits.ones(8)?;
    bits.read(WIDTHS[ones as usize])?;
    Ok(())
}

#[cfg(test)]
#[path = "chunk_tests.rs"]
mod tests;
