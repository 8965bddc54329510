//! The store's records: what is read is written so that it is read the same again, and whatever a history says, it can
//! be added to, merged and sized. Knows nothing of where the bytes come from.

use podfit::history::store::on_bytes;
use podfit::history::{History, MAX_RUNS, Outcome, Resources, Run};
use podfit::sizing::{SizingPolicy, recommend};

/// The first byte: `h` the payload of a history of the first form, `2` to `5` of a later one, `p` of a progress, `o` of a pod, `v` of provisional runs (sealed here,
/// so that their checksums are right), `r` a record as it comes.
pub fn run(data: &[u8]) {
    let Some((what, rest)) = data.split_first() else { return };
    match what {
        b'h' => history(&on_bytes::seal(1, rest)),
        b'2'..=b'5' => history(&on_bytes::seal(what - b'0', rest)),
        b'p' => progress(&on_bytes::seal(1, rest)),
        b'o' => pod(&on_bytes::seal(1, rest)),
        b'v' => provisional(&on_bytes::seal(1, rest)),
        b'r' => {
            history(rest);
            progress(rest);
            pod(rest);
            provisional(rest);
        }
        _ => {}
    }
}

fn history(record: &[u8]) {
    let Ok(read) = on_bytes::history(record) else { return };
    assert!(read.runs().len() <= MAX_RUNS);
    assert!(read.runs().is_sorted_by_key(|r| r.started_ms));
    let written = on_bytes::history_record(&read).unwrap();
    let again = on_bytes::history(&written).unwrap();
    assert_eq!(on_bytes::history_record(&again).unwrap(), written);
    assert_eq!(again.total_runs(), read.total_runs());

    assert!(read.first_ms().is_some() != read.is_empty());
    let _ = (read.older().total_seconds(), read.older().core_seconds(), read.older().byte_seconds());
    assert!(read.runs().all(|r| r.seconds() >= 0.0));
    let sizing = recommend(&read, None, &SizingPolicy::default());
    assert!(serde_json::to_value(format!("{sizing:?}")).is_ok());

    let mut more = read.clone();
    more.merge(&read);
    more.add(newest());
    assert!(more.runs().len() <= MAX_RUNS);
    let mut fresh = History::new();
    fresh.merge(&read);
    assert_eq!(fresh.older().runs, read.older().runs);
}

fn newest() -> Run {
    Run {
        pod: "nightly-29399880-x7k2p".to_owned(),
        uid: None,
        started_ms: 1_763_992_800_000,
        ended_ms: 1_763_993_640_000,
        memory: None,
        cpu: None,
        resources: Resources::default(),
        outcome: Outcome::Completed,
        attempt: None,
        input_bytes: None,
        jvm: None,
        day: None,
        observation: None,
    }
}

fn progress(record: &[u8]) {
    if let Ok(progress) = on_bytes::progress(record) {
        assert_eq!(on_bytes::progress_record(&progress), record);
    }
}

fn provisional(record: &[u8]) {
    if let Ok(written) = on_bytes::provisional_again(record) {
        assert_eq!(on_bytes::provisional_again(&written), Ok(written));
    }
}

fn pod(record: &[u8]) {
    if let Ok(pod) = on_bytes::pod("jobs", "nightly-29399880-x7k2p", "u", record) {
        let written = on_bytes::pod_record(&pod).unwrap();
        assert_eq!(on_bytes::pod("jobs", "nightly-29399880-x7k2p", "u", &written), Ok(pod));
    }
}
