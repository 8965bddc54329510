//! Remote read: a stream comes out the same however it is cut into pieces, and its series are in order, inside the
//! range and without NaN. Knows nothing of where the bytes come from.

use podfit::prometheus::on_bytes::{frame, frames, samples, series};
use podfit::prometheus::{Sample, TimeRange};

const ALL: TimeRange = TimeRange { start_ms: i64::MIN, end_ms: i64::MAX };
const SOME: TimeRange = TimeRange { start_ms: 1_600_000_000_000, end_ms: 1_800_000_000_000 };

/// The first byte: `s` a stream as it comes, `m` one message (framed here, so that its checksum is right), `c` a
/// compressed message of samples.
pub fn run(data: &[u8]) {
    let Some((how, rest)) = data.split_first() else { return };
    match how {
        b's' => stream(rest),
        b'm' => {
            let half = rest.len() / 2;
            stream(&[frame(rest), frame(&rest[..half])].concat());
        }
        b'c' => {
            for range in [ALL, SOME] {
                if let Ok(series) = samples(rest, range, 0) {
                    for samples in &series {
                        in_order(samples, range);
                    }
                    assert!(series.iter().flatten().all(|s| s.at_ms > 0));
                }
            }
        }
        _ => {}
    }
}

fn stream(bytes: &[u8]) {
    let (messages, whole) = frames([bytes]);
    for size in [1, 7, 64] {
        assert!((messages.clone(), whole.clone()) == frames(bytes.chunks(size)), "in pieces of {size}");
    }
    // One message is one frame, and a frame gives its message.
    for message in &messages {
        assert_eq!(frames([frame(message).as_slice()]), (vec![message.clone()], Ok(())));
    }
    for range in [ALL, SOME] {
        if let Ok(series) = series(messages.clone(), range) {
            for (i, one) in series.iter().enumerate() {
                in_order(&one.samples, range);
                // A series that is taken up again right away goes on where it was.
                if let Some(next) = series.get(i + 1).filter(|next| std::sync::Arc::ptr_eq(&next.labels, &one.labels)) {
                    let (last, first) = (one.samples.last(), next.samples.first());
                    assert!(last.zip(first).is_none_or(|(last, first)| last.at_ms < first.at_ms));
                }
            }
        }
    }
}

fn in_order(samples: &[Sample], range: TimeRange) {
    assert!(samples.is_sorted_by(|a, b| a.at_ms < b.at_ms));
    assert!(samples.iter().all(|s| range.contains(s.at_ms) && !s.value.is_nan()));
}
