//! Reads bits from the most significant end of bytes, eight bytes at a time.
//! Knows nothing of chunks.

/// The bytes ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Short;

/// A reader. The next bit is the highest of `buffer`.
pub(crate) struct Bits<'a> {
    rest: &'a [u8],
    buffer: u64,
    /// Bits of the buffer that count. What lies below them equals the bits that come next, or is zero.
    have: u32,
}

impl<'a> Bits<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, buffer: 0, have: 0 }
    }

    /// Fills the buffer to at least 56 bits, or to what there is.
    #[inline]
    fn refill(&mut self) {
        if let Some(word) = self.rest.first_chunk::<8>() {
            self.buffer |= u64::from_be_bytes(*word) >> self.have;
            let bytes = (63 - self.have) / 8;
            self.rest = &self.rest[bytes as usize..];
            self.have += bytes * 8;
        } else {
            while self.have <= 56
                && let Some((byte, rest)) = self.rest.split_first()
            {
                self.buffer |= u64::from(*byte) << (56 - self.have);
                self.have += 8;
                self.rest = rest;
            }
        }
    }

    /// The next `count` bits, at most 64, as a number.
    #[inline]
    pub(crate) fn read(&mut self, count: u32) -> Result<u64, Short> {
        if count > 56 {
            let high = self.read(count - 32)?;
            return Ok(high << 32 | self.read(32)?);
        }
        if self.have < count {
            self.refill();
            if self.have < count {
                return Err(Short);
            }
        }
        if count == 0 {
            return Ok(0);
        }
        let value = self.buffer >> (64 - count);
        self.buffer <<= count;
        self.have -= count;
        Ok(value)
    }

    /// Counts ones up to the first zero, which is taken too, or up to `most` ones.
    #[inline]
    pub(crate) fn ones(&mut self, most: u32) -> Result<u32, Short> {
        if self.have < most {
            self.refill();
        }
        let ones = (!self.buffer).leading_zeros().min(most);
        let used = if ones < most { ones + 1 } else { most };
        if used > self.have {
            return Err(Short);
        }
        self.buffer <<= used;
        self.have -= used;
        Ok(ones)
    }

    /// An unsigned number in groups of seven bits, lowest first.
    pub(crate) fn unsigned(&mut self) -> Result<u64, Short> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.read(8)?;
            value |= (byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Short)
    }

    /// A signed number, the sign folded into the lowest bit.
    pub(crate) fn signed(&mut self) -> Result<i64, Short> {
        let folded = self.unsigned()?;
        Ok((folded >> 1).cast_signed() ^ -(folded & 1).cast_signed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_come_from_the_top_in_any_sizes() {
        let bytes: Vec<u8> = (0..=40).map(|i: u8| i.wrapping_mul(37)).collect();
        let text: String = bytes.iter().flat_map(|b| format!("{b:08b}").into_bytes()).map(char::from).collect();
        for size in 1..=64_usize {
            let mut bits = Bits::new(&bytes);
            for group in text.as_bytes().chunks_exact(size) {
                let want = u64::from_str_radix(std::str::from_utf8(group).unwrap(), 2).unwrap();
                assert_eq!(bits.read(size as u32), Ok(want), "size {size}");
            }
            assert_eq!(bits.read((text.len() % size + 1) as u32), Err(Short), "size {size}");
        }
    }

    #[test]
    fn ones_stop_at_a_zero_or_at_the_limit() {
        let mut bits = Bits::new(&[0b1101_1111, 0b1000_0000]);
        assert_eq!(bits.ones(5), Ok(2));
        assert_eq!(bits.ones(5), Ok(5));
        assert_eq!(bits.ones(5), Ok(1));
        assert_eq!(Bits::new(&[]).ones(1), Err(Short));
        assert_eq!(Bits::new(&[0xff]).ones(9), Err(Short));
    }

    #[test]
    fn folded_numbers() {
        assert_eq!(Bits::new(&[0x01]).signed(), Ok(-1));
        assert_eq!(Bits::new(&[0xac, 0x02]).unsigned(), Ok(300));
        assert_eq!(Bits::new(&[0xff; 12]).unsigned(), Err(Short));
    }
}
