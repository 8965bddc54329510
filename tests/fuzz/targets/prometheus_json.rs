//! Answers of the query API: the same however they are cut into pieces; series in order, inside the range, without NaN.
//! Knows nothing of where the bytes come from.

use podfit::prometheus::TimeRange;
use podfit::prometheus::on_bytes::query_answer;

const ALL: TimeRange = TimeRange { start_ms: i64::MIN, end_ms: i64::MAX };
const SOME: TimeRange = TimeRange { start_ms: 1_600_000_000_000, end_ms: 1_800_000_000_000 };

/// The first byte says where the cuts are; the rest is the answer.
pub fn run(data: &[u8]) {
    let Some((seed, text)) = data.split_first() else { return };
    let whole = query_answer([text], ALL);
    let uneven = pieces(text, *seed);
    assert_eq!(uneven.concat(), text);
    assert_eq!(query_answer(uneven, ALL), whole);
    assert_eq!(query_answer(text.chunks(1), ALL), whole);

    let one_by_one = |c: &podfit::prometheus::SeriesChunk| c.samples.is_sorted_by(|a, b| a.at_ms < b.at_ms);
    assert!(whole.series.iter().all(one_by_one));
    assert!(whole.series.iter().flat_map(|c| &c.samples).all(|s| !s.value.is_nan()));
    let count: usize = whole.series.iter().map(|c| c.samples.len()).sum();
    match &whole.end {
        Ok(()) => assert_eq!(count as u64, whole.counts.0, "what was counted was given out"),
        Err(said) => assert!(!said.contains(char::is_control), "{said:?}"),
    }
    assert!(whole.notes.len() <= 100 && whole.notes.iter().all(|n| !n.contains(char::is_control)));
    let some = query_answer([text], SOME);
    assert_eq!(some.end, whole.end, "the range changes what is kept, not what is right");
    assert!(some.series.iter().flat_map(|c| &c.samples).all(|s| SOME.contains(s.at_ms)));
}

/// Pieces of 0 to 15 bytes.
fn pieces(mut text: &[u8], seed: u8) -> Vec<&[u8]> {
    let (mut out, mut state) = (Vec::new(), u32::from(seed));
    while !text.is_empty() {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let (piece, rest) = text.split_at((state >> 28) as usize % (text.len() + 1));
        out.push(piece);
        text = rest;
    }
    out
}
