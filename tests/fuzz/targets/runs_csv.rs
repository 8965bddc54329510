//! Files of runs: numbers are finite and not negative, every row is counted, and a fault is told in one line.
//! Knows nothing of where the bytes come from.

use podfit::collector::runs_csv::{self, Row, RunsError};
use podfit::history::Store;

/// Files that begin with `s` go into a store too, which is slower.
pub fn run(data: &[u8]) {
    let mut rows = 0;
    let read = runs_csv::read(data, "f.csv", |row: Row| {
        rows += 1;
        let numbers = [
            row.start_seconds,
            row.seconds,
            row.input_bytes,
            row.peak_bytes,
            row.requested_bytes,
            row.requested_cores,
            row.cores,
            row.attempt,
        ];
        assert!(numbers.into_iter().flatten().all(|n| n.is_finite() && n >= 0.0));
        Ok::<(), RunsError>(())
    });
    match &read {
        Ok(counted) => assert_eq!(*counted, rows),
        Err(error) => {
            let said = error.to_string();
            assert!(said.contains("f.csv") && !said.contains(char::is_control), "{said:?}");
        }
    }
    if data.first() == Some(&b's') {
        let store = Store::in_memory().unwrap();
        assert_eq!(runs_csv::load(data, "f.csv", &store).ok(), read.ok());
        let kept: u64 = store.histories(None).unwrap().map(|entry| entry.unwrap().1.total_runs()).sum();
        assert!(kept <= rows);
    }
}
