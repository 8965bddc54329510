//! Chunks of samples: no more of them than the chunk says, none that is NaN, and a range takes those inside it from
//! all of them. Knows nothing of where the bytes come from.

use podfit::prometheus::on_bytes::chunk;
use podfit::prometheus::{Sample, TimeRange};

const ALL: TimeRange = TimeRange { start_ms: i64::MIN, end_ms: i64::MAX };

/// The first byte is the encoding (as a digit); the rest is the chunk.
pub fn run(data: &[u8]) {
    let Some((encoding, data)) = data.split_first() else { return };
    let encoding = i32::from(encoding.wrapping_sub(b'0'));
    let all = chunk(encoding, data, ALL);
    let Some(samples) = all.as_deref() else {
        assert!(matches!(encoding, 1 | 4), "only what is decoded can be damaged");
        return;
    };
    let said = data.first_chunk::<2>().map_or(0, |count| usize::from(u16::from_be_bytes(*count)));
    assert!(samples.len() <= said, "{} samples of {said}", samples.len());
    assert!(samples.iter().all(|s| !s.value.is_nan()));
    let middle = samples.get(samples.len() / 2).map_or(0, |s| s.at_ms);
    for range in [
        TimeRange { start_ms: middle, end_ms: i64::MAX },
        TimeRange { start_ms: i64::MIN, end_ms: middle },
        TimeRange { start_ms: middle, end_ms: middle },
        TimeRange { start_ms: middle, end_ms: middle.wrapping_sub(1) },
    ] {
        let inside: Vec<Sample> = samples.iter().copied().filter(|s| range.contains(s.at_ms)).collect();
        assert_eq!(chunk(encoding, data, range), Some(inside));
    }
    // What comes behind a chunk is none of it.
    assert_eq!(chunk(encoding, &[data, &[0xff; 3]].concat(), ALL).as_deref(), Some(samples));
}
