//! What a history promises: each run counts once, in any order, and the size is bounded.
//! Knows nothing of bytes.

use proptest::prelude::*;

use super::{any_run, cpu, memory, outcome, resources};
use crate::history::{
    Added, CpuUse, History, MAX_RUNS, MemoryUse, Older, Outcome, PeakSource, Resources, Run, START_TOLERANCE_MS, join,
};

const START: i64 = 1_760_000_000_000;

/// The `n`-th run of a workload that runs hourly for ten minutes.
pub(super) fn hourly(n: u64) -> Run {
    let started_ms = START + n.cast_signed() * 3_600_000;
    Run {
        pod: format!("nightly-report-{}-x7k2p", 29_000_000 + n * 60),
        uid: Some(format!("6f9619ff-8b86-d011-b42d-{:012x}", n * 77_777_777)),
        started_ms,
        ended_ms: started_ms + 600_000,
        memory: Some(MemoryUse { peak_bytes: 900_000_000 + n * 1_000_003, source: PeakSource::Cgroup, samples: 20 }),
        cpu: Some(CpuUse { mean_cores: 0.5, peak_cores: Some(1.5), throttled_share: Some(0.01) }),
        resources: Resources { memory_limit_bytes: Some(2 << 30), ..Resources::default() },
        outcome: Outcome::Completed,
        attempt: Some(1),
        input_bytes: None,
        jvm: None,
        day: None,
        observation: None,
    }
}

const ALL_SET: Resources = Resources {
    cpu_request_millis: Some(1),
    cpu_limit_millis: Some(1),
    memory_request_bytes: Some(1),
    memory_limit_bytes: Some(1),
};

/// Views of a few runs that start ten seconds apart, each seen with a start off by less than half the tolerance. All
/// views of a run have CPU and sizes, or none has: where the last one lacks them, which of the earlier ones is kept
/// depends on order.
fn views() -> impl Strategy<Value = Vec<Run>> {
    let view = (0_i64..8, 0_i64..1_000, 0_i64..100_000, outcome(), proptest::option::of(memory()), cpu(), resources());
    let run = view.prop_map(|(n, off, length, outcome, memory, cpu, resources)| Run {
        pod: format!("pod-{}", n % 3),
        uid: (n % 2 == 0).then(|| format!("uid-{n}")),
        started_ms: START + n * 10_000 + off,
        ended_ms: START + n * 10_000 + length,
        memory,
        cpu: (n % 4 != 0).then_some(cpu),
        resources: if n % 4 == 0 { Resources::default() } else { resources.or(ALL_SET) },
        outcome,
        attempt: None,
        input_bytes: None,
        jvm: None,
        day: None,
        observation: None,
    });
    proptest::collection::vec(run, 0..30)
}

fn history(runs: &[Run]) -> History {
    let mut history = History::new();
    for run in runs {
        history.add(run.clone());
    }
    history
}

fn merged(a: &History, b: &History) -> History {
    let mut a = a.clone();
    a.merge(b);
    a
}

proptest! {
    #[test]
    fn each_run_counts_once_whatever_the_order(views in views(), seed in any::<u64>()) {
        let once = history(&views);
        let mut shuffled = views.clone();
        // A fixed shuffle, from the seed alone.
        shuffled.sort_by_key(|r| (r.ended_ms.unsigned_abs() ^ r.started_ms.unsigned_abs()).wrapping_mul(seed | 1));
        prop_assert_eq!(&history(&shuffled), &once);
        let mut together = History::new();
        together.add_all(views.clone());
        prop_assert_eq!(&together, &once);
        for view in views {
            prop_assert_eq!(together.add(view), Added::Known);
        }
        prop_assert_eq!(&together, &once);
        let starts: Vec<_> = once.runs().map(|r| r.started_ms).collect();
        prop_assert!(starts.is_sorted());
        prop_assert_eq!(once.finished().count(), once.runs().filter(|r| r.outcome != Outcome::Running).count());
    }

    #[test]
    fn merging_is_adding_in_any_order(a in views(), b in views(), c in views()) {
        let all = history(&[a.clone(), b.clone(), c.clone()].concat());
        let (a, b, c) = (history(&a), history(&b), history(&c));
        prop_assert_eq!(&merged(&merged(&a, &b), &c), &all);
        prop_assert_eq!(&merged(&a, &merged(&b, &c)), &all);
        prop_assert_eq!(&merged(&c, &merged(&b, &a)), &all);
        prop_assert_eq!(&merged(&all, &a), &all);
    }

    #[test]
    fn two_views_say_the_same_in_either_order(a in any_run(), b in any_run()) {
        let b = Run { pod: a.pod.clone(), ..b };
        let joined = join(&a, &b);
        prop_assert_eq!(&join(&b, &a), &joined);
        prop_assert_eq!(&join(&joined, &a), &joined);
        prop_assert_eq!(&join(&a, &a), &a);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn merging_beyond_the_window_loses_no_run(split in 1_u64..2_500) {
        let all: Vec<Run> = (0..2_500).map(hourly).collect();
        let (early, late) = all.split_at(split as usize);
        let mut whole = History::new();
        whole.add_all(all.clone());
        let (mut a, mut b) = (History::new(), History::new());
        a.add_all(early.to_vec());
        b.add_all(late.to_vec());
        prop_assert_eq!(&merged(&a, &b), &whole);
        prop_assert_eq!(&merged(&b, &a), &whole);
        prop_assert_eq!(whole.total_runs(), 2_500);
    }
}

#[test]
fn a_count_that_cannot_grow_stays_where_it_is() {
    let older = Older { runs: u64::MAX, ..Older::default() };
    let history = History::from_parts(vec![hourly(1)], older);
    assert_eq!(history.total_runs(), u64::MAX);
}

#[test]
fn a_later_view_replaces_the_earlier() {
    let running = Run {
        outcome: Outcome::Running,
        memory: Some(MemoryUse { peak_bytes: 1_000, source: PeakSource::Sampled, samples: 4 }),
        cpu: Some(CpuUse { mean_cores: 3.0, peak_cores: None, throttled_share: None }),
        uid: None,
        ..hourly(1)
    };
    let mut h = history(std::slice::from_ref(&running));
    // The end is earlier than the last sight of it: a lingering sample.
    let ended = Run {
        outcome: Outcome::Completed,
        started_ms: running.started_ms + START_TOLERANCE_MS,
        ended_ms: running.ended_ms - 15_000,
        memory: Some(MemoryUse { peak_bytes: 1_500, source: PeakSource::Sampled, samples: 9 }),
        ..hourly(1)
    };
    assert_eq!(h.add(ended.clone()), Added::Updated);
    // Only what the kubelet said: nothing measured.
    let killed = Run { outcome: Outcome::OomKilled, memory: None, cpu: None, attempt: None, ..ended.clone() };
    assert_eq!(h.add(killed.clone()), Added::Updated);
    assert_eq!(h.add(ended.clone()), Added::Known);
    assert_eq!(h.add(running.clone()), Added::Known);
    let expected = Run { started_ms: running.started_ms, outcome: Outcome::OomKilled, ..ended };
    assert_eq!(h.runs().collect::<Vec<_>>(), [&expected]);
    assert_eq!((h.first_ms(), h.last_ms()), (Some(expected.started_ms), Some(expected.ended_ms)));
}

#[test]
fn a_better_source_wins_over_a_higher_peak() {
    let peak = |peak_bytes, source| Run { memory: Some(MemoryUse { peak_bytes, source, samples: 1 }), ..hourly(1) };
    let h = history(&[
        peak(2_000, PeakSource::Sampled),
        peak(1_900, PeakSource::Cgroup),
        peak(1_950, PeakSource::Cgroup),
        peak(2_500, PeakSource::Sampled),
    ]);
    assert_eq!(h.runs().next().unwrap().memory.unwrap().peak_bytes, 1_950);
}

#[test]
fn restarts_and_reused_names_are_runs_of_their_own() {
    let first = hourly(1);
    let restarted = Run { started_ms: first.started_ms + START_TOLERANCE_MS + 1, ..first.clone() };
    let renewed = Run { uid: Some("another".to_owned()), ..first.clone() };
    let sibling = Run { pod: "another".to_owned(), ..first.clone() };
    assert_eq!(history(&[first, restarted, renewed, sibling]).total_runs(), 4);
}

#[test]
fn old_runs_are_folded_and_never_counted_again() {
    let runs: Vec<Run> = (0..MAX_RUNS as u64 + 500)
        .map(|n| Run { outcome: if n % 100 == 0 { Outcome::OomKilled } else { Outcome::Completed }, ..hourly(n) })
        .collect();
    let mut h = history(&runs);
    assert_eq!((h.runs().len(), h.older().runs, h.total_runs()), (MAX_RUNS, 500, 1_500));
    let older = h.older().clone();
    assert_eq!((older.ooms, older.max_peak_bytes), (5, Some(900_000_000 + 499 * 1_000_003)));
    assert_eq!((older.first_ms, older.last_start_ms), (runs[0].started_ms, runs[499].started_ms));
    assert_eq!(older.last_ms, runs[499].ended_ms);
    assert_eq!((older.total_seconds(), older.core_seconds()), (500.0 * 600.0, 500.0 * 300.0));
    let peaks: f64 = runs[..500].iter().map(|r| r.memory.unwrap().peak_bytes as f64).sum();
    assert_eq!(older.byte_seconds(), peaks * 600.0);
    let before = h.clone();
    assert!(h.add_all(runs.clone()).iter().all(|a| *a == Added::Known));
    // Seen with a slightly different start.
    assert_eq!(h.add(Run { started_ms: runs[499].started_ms + 900, ..runs[499].clone() }), Added::Known);
    assert_eq!(h, before);
}

#[test]
fn a_long_run_that_ends_after_many_short_ones_is_not_lost() {
    let long = Run { pod: "long".to_owned(), outcome: Outcome::Running, ..hourly(0) };
    let mut h = history(std::slice::from_ref(&long));
    h.add_all((1..=MAX_RUNS as u64 + 10).map(hourly));
    assert_eq!(h.runs().next(), Some(&long), "a running one is not folded before its end");
    // Another long one, reported only at its end.
    let late = Run { pod: "late".to_owned(), ended_ms: hourly(5_000).ended_ms, ..hourly(0) };
    assert_eq!(h.add(Run { outcome: Outcome::OomKilled, ended_ms: late.ended_ms, ..long }), Added::Updated);
    assert_eq!(h.add(late), Added::New);
    assert_eq!(h.total_runs(), MAX_RUNS as u64 + 12);
    assert_eq!(h.older().last_ms, hourly(12).ended_ms, "the short ones that ended first are folded");
    assert_eq!(h.runs().take(2).map(|r| r.pod.as_str()).collect::<Vec<_>>(), ["late", "long"]);
}

#[test]
fn many_siblings_in_one_batch_all_count() {
    let mut h = History::new();
    let siblings = (0..3_000).map(|n| Run { pod: format!("etl-exec-{n}"), uid: None, ..hourly(1) });
    assert!(h.add_all(siblings).iter().all(|a| *a == Added::New));
    assert_eq!((h.total_runs(), h.runs().len()), (3_000, MAX_RUNS));
}

#[test]
fn running_runs_are_bounded_too() {
    let mut h = History::new();
    h.add_all((0..MAX_RUNS as u64 + 5).map(|n| Run { outcome: Outcome::Running, ..hourly(n) }));
    assert_eq!((h.total_runs(), h.runs().len(), h.finished().count()), (MAX_RUNS as u64 + 5, MAX_RUNS, 0));
}
