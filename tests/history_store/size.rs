//! How large the file gets and how long a commit takes: printed, not judged.

use std::time::Instant;

use podfit::history::{Run, Store};

use super::{key, open, run};

#[test]
fn history_of_ten_thousand_workloads() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("history.redb");
    let store = open(&path);
    let runs_of = |workload: u64, rounds: std::ops::Range<u64>| {
        let key = key("data", &format!("workload-{workload:05}"));
        rounds.map(move |n| (key.clone(), Run { pod: format!("workload-{workload:05}-{n}-x7k2p"), ..run(n) }))
    };
    let begun = Instant::now();
    let summary = store.commit("prom", 1, b"", (0..10_000).flat_map(|w| runs_of(w, 0..20))).unwrap();
    assert_eq!(summary.new, 200_000);
    let first = begun.elapsed();
    let begun = Instant::now();
    store.commit("prom", 2, b"", (0..100).flat_map(|w| runs_of(w * 100, 20..21))).unwrap();
    let next = begun.elapsed();
    drop(store);
    let bytes = std::fs::metadata(&path).unwrap().len();
    let begun = Instant::now();
    let store = open(&path);
    let opened = begun.elapsed();
    let begun = Instant::now();
    let total: u64 = store.histories(None).unwrap().map(|h| h.unwrap().1.total_runs()).sum();
    assert_eq!(total, 200_100);
    eprintln!(
        "10,000 workloads x 20 runs: file {:.1} MB, first commit {first:?}, commit of 100 runs of 100 workloads \
         {next:?}, open with full check {opened:?}, read all {:?}",
        bytes as f64 / 1e6,
        begun.elapsed()
    );
    let reader = Store::open_read_only(&path).unwrap();
    assert_eq!(reader.workloads().unwrap().len(), 10_000);
}
