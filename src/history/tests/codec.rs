//! The byte form of histories.
//! Knows nothing of checksums and tables.

use proptest::prelude::*;

use super::any_run;
use crate::history::codec::{HISTORY_VERSION, decode, encode};
use crate::history::{History, JvmUse, MAX_RUNS, Run};

proptest! {
    #[test]
    fn bytes_are_read_back(runs in proptest::collection::vec(any_run(), 0..20)) {
        let mut history = History::new();
        history.add_all(runs);
        let (version, bytes) = encode(&history).unwrap();
        prop_assert_eq!(decode(version, &bytes), Ok(history));
        prop_assert!(decode(version, &[&bytes[..], b"x"].concat()).is_err());
        prop_assert!(decode(HISTORY_VERSION + 1, &bytes).is_err());
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        for version in 1..=HISTORY_VERSION {
            let _ = decode(version, &bytes);
        }
    }

    #[test]
    fn changed_bytes_are_read_or_refused(
        runs in proptest::collection::vec(any_run(), 1..5),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut history = History::new();
        history.add_all(runs);
        let (version, mut bytes) = encode(&history).unwrap();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = decode(version, &bytes);
    }
}

#[test]
fn a_false_count_takes_no_memory() {
    // No older part, then a count of 2^63 runs.
    let bytes = [&[0_u8][..], &[0xff; 9], &[0x01]].concat();
    assert!((1..=HISTORY_VERSION).all(|version| decode(version, &bytes).is_err()));
}

#[test]
fn folded_runs_are_read_back() {
    let mut history = History::new();
    history.add_all((0..MAX_RUNS as u64 + 100).map(super::history::hourly));
    assert_eq!(history.older().runs, 100);
    let (version, bytes) = encode(&history).unwrap();
    assert_eq!(decode(version, &bytes), Ok(history));
    // The size that MAX_RUNS was chosen for.
    assert!(bytes.len() < 90_000, "{}", bytes.len());
}

/// Releases before kept sketches of the folded runs: theirs are read, and dropped.
#[test]
fn sketches_of_older_releases_are_dropped() {
    let mut history = History::new();
    history.add_all((0..MAX_RUNS as u64 + 9).map(super::history::hourly));
    let (version, bytes) = encode(&history).unwrap();
    let empty = [3, 1, 1, 0, 3, 1, 1, 0];
    let at = bytes.windows(empty.len()).position(|window| window == empty).unwrap();
    let kept = [&bytes[..at], &[5, 1, 0, 2, 3, 4, 3, 1, 1, 0], &bytes[at + empty.len()..]].concat();
    assert_eq!(decode(version, &kept), Ok(history));
}

#[test]
fn a_run_takes_the_memory_that_the_docs_say() {
    assert!(size_of::<Run>() <= 256, "{}", size_of::<Run>());
}

/// Most histories are still read by the releases before.
#[test]
fn a_history_is_written_in_the_oldest_form_that_holds_it() {
    let with = |jvm: Option<JvmUse>| {
        let mut history = History::new();
        history.add(Run { jvm: jvm.map(Box::new), ..super::history::hourly(1) });
        encode(&history).unwrap().0
    };
    let heap_peak = JvmUse { heap_peak_bytes: Some(1), ..JvmUse::default() };
    let heap = JvmUse { heap_bytes: Some(2), ..heap_peak };
    let managed = JvmUse { managed_bytes: Some(0), ..heap_peak };
    assert_eq!([None, Some(heap_peak), Some(heap), Some(managed)].map(with), [1, 2, 3, 4]);
}

/// The bytes of a release must be readable by all later ones.
#[test]
fn version_1_bytes_stay_readable() {
    let mut history = History::new();
    history.add_all((0..2).map(super::history::hourly));
    let bytes: Vec<u8> =
        (0..GOLDEN.len()).step_by(2).map(|at| u8::from_str_radix(&GOLDEN[at..at + 2], 16).unwrap()).collect();
    assert_eq!(encode(&history).unwrap(), (1, bytes.clone()));
    assert_eq!(decode(1, &bytes), Ok(history));
}

const GOLDEN: &str = "0002001d6e696768746c792d7265706f72742d32393030303030302d78376b327001808080808080c096b4a3c0b6b8f1ff8c96df018080e682b966809f490180d293ad03011401000000000000e03f01000000000000f83f017b14ae47e17a843f00000001808080800800010100150836302d78376b327001f1968ba58080c096b4a3c0b6b8f1ff8c96df0180bab703809f4901c3d6d0ad03011401000000000000e03f01000000000000f83f017b14ae47e17a843f00000001808080800800010100";
