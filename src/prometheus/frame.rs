//! Takes a streamed remote-read answer apart into frames: length, checksum, message.
//! Knows nothing of what is inside a message.

use bytes::{Buf, Bytes, BytesMut};

/// The longest message that is accepted; servers send 1 MiB unless told otherwise.
pub(crate) const FRAME_CAP: u64 = 50_000_000;

/// Why a frame cannot be used.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum FrameError {
    /// The announced length is no length.
    Length,
    /// The announced length is over the cap.
    TooLarge(u64),
    /// The bytes are not those that were sent.
    Checksum {
        /// Checksum of what came.
        got: u32,
        /// Checksum that was sent along.
        want: u32,
    },
}

/// Collects bytes and gives out frames.
#[derive(Default)]
pub(crate) struct Frames {
    buffer: BytesMut,
    /// Whole frames so far.
    pub count: u64,
}

impl Frames {
    /// Takes the next bytes of the body.
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The message of the next frame, when it is there whole.
    pub(crate) fn next(&mut self) -> Result<Option<Bytes>, FrameError> {
        let Some((length, prefix)) = length(&self.buffer)? else { return Ok(None) };
        if length > FRAME_CAP {
            return Err(FrameError::TooLarge(length));
        }
        let length = length as usize;
        if self.buffer.len() < prefix + 4 + length {
            self.buffer.reserve(prefix + 4 + length - self.buffer.len());
            return Ok(None);
        }
        self.buffer.advance(prefix);
        let want = self.buffer.get_u32();
        let message = self.buffer.split_to(length).freeze();
        let got = crc32c::crc32c(&message);
        if got != want {
            return Err(FrameError::Checksum { got, want });
        }
        self.count += 1;
        Ok(Some(message))
    }

    /// True between two frames, where an answer may end.
    pub(crate) fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }
}

/// The length at the start of the bytes and how many bytes say it.
fn length(bytes: &[u8]) -> Result<Option<(u64, usize)>, FrameError> {
    let mut value = 0_u64;
    for (i, byte) in bytes.iter().take(10).enumerate() {
        if i == 9 && *byte > 1 {
            return Err(FrameError::Length);
        }
        value |= u64::from(byte & 0x7f) << (7 * i);
        if *byte < 0x80 {
            return Ok(Some((value, i + 1)));
        }
    }
    if bytes.len() >= 10 { Err(FrameError::Length) } else { Ok(None) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(message: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        prost::encoding::encode_varint(message.len() as u64, &mut out);
        out.extend(crc32c::crc32c(message).to_be_bytes());
        out.extend(message);
        out
    }

    #[test]
    fn frames_come_out_whole_however_the_bytes_arrive() {
        let messages = [vec![], vec![1; 127], vec![2; 128], vec![3; 70_000]];
        let bytes: Vec<u8> = messages.iter().flat_map(|m| frame(m)).collect();
        for size in [1, 2, 3, 130, 4096, bytes.len()] {
            let (mut frames, mut out) = (Frames::default(), Vec::new());
            for piece in bytes.chunks(size) {
                frames.feed(piece);
                while let Some(message) = frames.next().unwrap() {
                    out.push(message.to_vec());
                }
            }
            assert_eq!(out, messages);
            assert!(frames.is_empty());
        }
    }

    #[test]
    fn a_changed_byte_is_noticed() {
        let mut bytes = frame(b"samples");
        *bytes.last_mut().unwrap() ^= 1;
        let mut frames = Frames::default();
        frames.feed(&bytes);
        assert!(matches!(frames.next(), Err(FrameError::Checksum { .. })));
    }

    #[test]
    fn a_cut_frame_is_not_given_out() {
        let bytes = frame(b"samples");
        for length in 0..bytes.len() {
            let mut frames = Frames::default();
            frames.feed(&bytes[..length]);
            assert_eq!(frames.next(), Ok(None));
        }
    }

    #[test]
    fn an_oversized_frame_is_refused_before_its_bytes_come() {
        let mut bytes = Vec::new();
        prost::encoding::encode_varint(FRAME_CAP + 1, &mut bytes);
        let mut frames = Frames::default();
        frames.feed(&bytes);
        assert_eq!(frames.next(), Err(FrameError::TooLarge(FRAME_CAP + 1)));
        let mut frames = Frames::default();
        frames.feed(&[0xff; 10]);
        assert_eq!(frames.next(), Err(FrameError::Length));
    }
}
