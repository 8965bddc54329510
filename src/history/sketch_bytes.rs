//! The byte form of a sketch, stable across releases, safe to read from anywhere.
//! Knows nothing of the file or message that the bytes are in.
//!
//! Layout, version 1. `varint` is LEB128 of a `u64`, floats are little-endian IEEE 754.
//!
//! | field | form |
//! |---|---|
//! | version | 1 byte, 1 |
//! | flags | 1 byte, 1 = empty (only `rejected` follows), 0 = not |
//! | rejected | varint |
//! | min, max | 8 bytes each |
//! | shift | 1 byte: every weight below was divided by 2^shift without rest |
//! | zero | varint: weight of the zero bucket |
//! | count | varint: number of buckets |
//! | buckets | count × (varint distance to the previous bucket, minus 1; varint weight) |
//!
//! The first bucket's distance is counted from -1. Bucket numbers are those of γ = 1.01 from 10⁻⁶ on; weights are in
//! units of 2⁻²⁴.

use super::sketch::{LogHistogram, bucket_count, bucket_of};

const VERSION: u8 = 1;

/// Bytes that are not the form of a sketch; the text says which field is at fault.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a sketch: {0}")]
pub struct SketchError(&'static str);

impl LogHistogram {
    /// The byte form: 20 bytes and about 2 to 4 per bucket.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = vec![VERSION, u8::from(self.range.is_none())];
        put_varint(&mut out, self.rejected);
        let Some((min, max)) = self.range else { return out };
        out.extend(min.to_le_bytes());
        out.extend(max.to_le_bytes());
        let all = self.buckets.iter().fold(self.zero, |bits, b| bits | b.1);
        let shift = all.trailing_zeros().min(63);
        out.push(shift as u8);
        put_varint(&mut out, self.zero >> shift);
        put_varint(&mut out, self.buckets.len() as u64);
        let mut next = 0;
        for &(bucket, units) in &self.buckets {
            put_varint(&mut out, u64::from(bucket) - next);
            put_varint(&mut out, units >> shift);
            next = u64::from(bucket) + 1;
        }
        out
    }

    /// Reads what [`Self::to_bytes`] wrote. Any other bytes give an error: no panic, and no memory beyond a small
    /// multiple of the input's length.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SketchError> {
        let mut input = Input(bytes);
        if input.byte()? != VERSION {
            return Err(SketchError("unknown version"));
        }
        let empty = match input.byte()? {
            0 => false,
            1 => true,
            _ => return Err(SketchError("unknown flags")),
        };
        let mut sketch = Self { rejected: input.varint()?, ..Self::default() };
        if !empty {
            input.body(&mut sketch)?;
        }
        if input.0.is_empty() { Ok(sketch) } else { Err(SketchError("bytes after the end")) }
    }
}

struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn body(&mut self, sketch: &mut LogHistogram) -> Result<(), SketchError> {
        let (min, max) = (self.float()?, self.float()?);
        if !(min.is_finite() && max.is_finite() && min.is_sign_positive() && min <= max) {
            return Err(SketchError("minimum and maximum"));
        }
        sketch.range = Some((min, max));
        let shift = u32::from(self.byte()?);
        if shift > 63 {
            return Err(SketchError("shift"));
        }
        let scaled =
            |w: u64| if w <= u64::MAX >> shift { Ok(w << shift) } else { Err(SketchError("weight too large")) };
        sketch.zero = scaled(self.varint()?)?;
        let count = self.varint()?;
        // Each bucket takes two bytes at least, so a false count runs out of input, not of memory.
        if count > self.0.len() as u64 / 2 {
            return Err(SketchError("more buckets than bytes"));
        }
        let mut next = 0_u64;
        for _ in 0..count {
            let bucket = next.saturating_add(self.varint()?);
            let units = scaled(self.varint()?)?;
            let number = u16::try_from(bucket).ok().filter(|b| usize::from(*b) < bucket_count());
            let Some(number) = number else { return Err(SketchError("bucket out of range")) };
            if units == 0 {
                return Err(SketchError("empty bucket"));
            }
            sketch.buckets.push((number, units));
            next = bucket + 1;
        }
        let lowest = if sketch.zero > 0 { None } else { Some(sketch.buckets.first().map(|b| b.0)) };
        let highest = sketch.buckets.last().map(|b| b.0);
        if lowest == Some(None) || lowest.flatten() != bucket_of(min) || highest != bucket_of(max) {
            return Err(SketchError("minimum and maximum do not fit the buckets"));
        }
        Ok(())
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], SketchError> {
        let (head, rest) = self.0.split_first_chunk::<N>().ok_or(SketchError("too short"))?;
        self.0 = rest;
        Ok(*head)
    }

    fn byte(&mut self) -> Result<u8, SketchError> {
        Ok(self.take::<1>()?[0])
    }

    fn float(&mut self) -> Result<f64, SketchError> {
        Ok(f64::from_le_bytes(self.take()?))
    }

    fn varint(&mut self) -> Result<u64, SketchError> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return Err(SketchError("number too large"));
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(SketchError("number too long"))
    }
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}
