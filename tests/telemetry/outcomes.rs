//! How runs ended: a reason belongs to the life in which it falls, and counts once.

use super::answer::recommend;
use super::pods::{Asks, GIB, MIB, Pod, climbs, nights};
use super::series::History;

/// A life killed at its limit after ten minutes, and one in the same pod that completes.
fn killed_then_completed(has_id: bool, seen_at_once: bool) -> History {
    let mut history = History::default();
    for start in nights(10) {
        let (died, again, end) = (start + 600, start + 620, start + 1820);
        let mut pod = Pod::of_cronjob("etl", "nightly", start, end);
        pod.has_id = has_id;
        let near_limit = |lived: i64| (200.0 * MIB + lived as f64 / 600.0 * GIB).min(0.99 * GIB);
        pod.measure(&mut history, ("main", 0), (start, died), near_limit, 1.0);
        pod.measure(&mut history, ("main", 1), (again, end), |_| 300.0 * MIB, 1.0);
        pod.ran(&mut history, "main", Asks::memory(GIB), "Completed");
        if seen_at_once {
            pod.ended(&mut history, "main", "OOMKilled", (died + 11, died + 12));
        }
        pod.last_ended(&mut history, "main", "OOMKilled", (again + 21, end + 300));
    }
    history
}

#[test]
fn a_kill_counts_once_for_the_life_that_it_ended() {
    for (has_id, seen_at_once) in [(true, false)] {
        let answer = recommend(&killed_then_completed(has_id, seen_at_once), &[]);
        let row = answer.row("main");
        assert_eq!((row.runs(), row.kills()), (20, 10), "id {has_id}, at once {seen_at_once}");
        assert!(row.recommended("memoryLimit").unwrap() > GIB, "{:#}", answer.json);
    }
}

#[test]
fn runs_that_complete_are_not_killed() {
    let mut history = History::default();
    for start in nights(13) {
        let pod = Pod::of_cronjob("etl", "nightly", start, start + 1800);
        pod.measure(&mut history, ("main", 0), (start, start + 1800), climbs(800.0 * MIB, 1800), 1.0);
        pod.ran(&mut history, "main", Asks::memory(2.0 * GIB), "Completed");
    }
    let answer = recommend(&history, &[]);
    let row = answer.row("main");
    assert_eq!((row.runs(), row.kills()), (13, 0));
    assert_eq!(row.evidence("peakMaxBytes"), 800.0 * MIB);
    assert_eq!(row.current("memoryLimit"), Some(2.0 * GIB));
    assert!(row.recommended("memoryLimit").is_some_and(|bytes| (800.0 * MIB..2.0 * GIB).contains(&bytes)));
}
