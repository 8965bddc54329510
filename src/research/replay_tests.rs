//! Replays of every method on histories that no one hopes for, and the one property that makes a replay worth
//! anything: no decision knows what comes after it.

use proptest::prelude::*;
use rstest::rstest;

use super::baselines::{Autopilot, Krr, Request, Vpa};
use crate::history::{History, MemoryUse, Outcome, PeakSource, Resources, Run};
use crate::quantity::GIB_F64;
use crate::quantity::MIB_F64;
use crate::sizing::estimator::{Estimator, MaxWithShrinkingMargin};
use crate::sizing::replay::{ASKED_AT, FLOOR_BYTES, NODE_BYTES, Protocol, Row, Rules, WARM_UP, allocated, decisions};
use crate::sizing::score::Tally;
use crate::sizing::{Estimate, SizingPolicy, recommend, recommended};

const HOUR: f64 = 3600.0;

fn methods() -> Vec<Box<dyn Estimator>> {
    vec![
        recommended(),
        Box::<Krr>::default(),
        Box::<Vpa>::default(),
        Box::<Autopilot>::default(),
        Box::<MaxWithShrinkingMargin>::default(),
        Box::<Request>::default(),
    ]
}

fn row(number: usize, peak_bytes: f64) -> Row {
    Row {
        peak_bytes: Some(peak_bytes),
        seconds: Some(600.0),
        start_seconds: Some(number as f64 * HOUR),
        input_bytes: Some(peak_bytes / 3.0),
        requested_bytes: Some(4.0 * GIB_F64),
        killed: false,
    }
}

fn rows(peaks: impl IntoIterator<Item = f64>) -> Vec<Row> {
    peaks.into_iter().enumerate().map(|(i, p)| row(i, p)).collect()
}

fn all_rules() -> Vec<Rules> {
    let mut all = Vec::new();
    for protocol in [Protocol::Block, Protocol::Walk] {
        for finished_only in [false, true] {
            all.push(Rules { protocol, finished_only, ..Rules::default() });
        }
    }
    all
}

/// Every method under all rules: an answer for every run after the warm-up, whole MiB, between floor and node, and a
/// cost that is a number.
fn is_sane(rows: &[Row]) {
    for rules in all_rules() {
        for mut method in methods() {
            let given = decisions(rows, method.as_mut(), &rules);
            assert_eq!(given.len(), rows.len());
            for (at, bytes) in given.iter().enumerate() {
                assert_eq!(bytes.is_some(), at >= WARM_UP, "{} at {at}", method.formula());
                if let Some(bytes) = bytes {
                    assert!((FLOOR_BYTES..=NODE_BYTES).contains(bytes), "{} gives {bytes}", method.formula());
                    assert_eq!(bytes % MIB_F64, 0.0, "{} gives {bytes}", method.formula());
                }
            }
            let mut tally = Tally::default();
            tally.add_group(rows, &given, NODE_BYTES, 1.0);
            assert!(tally.wasted_gb_hours.is_finite() && tally.wasted_gb_hours >= -1e-9, "{tally:?}");
        }
    }
}

/// What podfit recommends after all of these, in bytes, and that it is not below what it must be.
fn sized(rows: &[Row]) -> Option<u64> {
    let mut history = History::new();
    history.add_all(rows.iter().enumerate().map(|(i, row)| {
        let row = row.cleaned();
        let started_ms = (row.start_seconds.unwrap_or(i as f64 * HOUR) * 1000.0) as i64;
        Run {
            pod: format!("p-{i}"),
            uid: None,
            started_ms,
            ended_ms: started_ms + (row.seconds.unwrap_or(0.0) * 1000.0) as i64,
            memory: row.peak_bytes.map(|p| MemoryUse { peak_bytes: p as u64, source: PeakSource::Cgroup, samples: 20 }),
            cpu: None,
            resources: Resources {
                memory_request_bytes: row.requested_bytes.map(|b| b as u64),
                memory_limit_bytes: row.requested_bytes.map(|b| b as u64),
                ..Resources::default()
            },
            outcome: if row.killed { Outcome::OomKilled } else { Outcome::Completed },
            attempt: None,
            input_bytes: row.input_bytes,
            jvm: None,
            day: None,
            observation: None,
        }
    }));
    match recommend(&history, None, &SizingPolicy::default()).memory {
        Estimate::Known(size) => Some(size.bytes),
        Estimate::Unknown(_) => None,
    }
}

#[test]
fn one_run() {
    let rows = rows([GIB_F64]);
    is_sane(&rows);
    assert_eq!(sized(&rows), None);
}

#[test]
fn equal_peaks() {
    let rows = rows([GIB_F64; 50]);
    is_sane(&rows);
    let given = decisions(&rows, recommended().as_mut(), &Rules::default());
    assert!(given.iter().flatten().all(|g| (GIB_F64..=4.0 / 3.0 * GIB_F64 + MIB_F64).contains(g)));
    assert!((GIB_F64..1.1 * GIB_F64).contains(&(sized(&rows).unwrap() as f64)));
}

#[test]
fn peaks_of_zero() {
    let rows = rows([0.0; 50]);
    is_sane(&rows);
    assert_eq!(sized(&rows).unwrap() as f64, FLOOR_BYTES);
}

#[test]
fn one_huge_outlier() {
    let rows = rows((0..100).map(|i| if i == 40 { 9e17 } else { GIB_F64 }));
    is_sane(&rows);
    // It was seen, so it is believed; the node bounds what is given.
    assert!(sized(&rows).is_some());
    let given = decisions(&rows, recommended().as_mut(), &Rules::default());
    assert_eq!(given.last(), Some(&Some(NODE_BYTES)));
}

#[test]
fn nearly_all_at_their_limit() {
    let at_limit = |i: usize| Row { requested_bytes: Some(GIB_F64), killed: i.is_multiple_of(7), ..row(i, GIB_F64) };
    let rows: Vec<Row> = (0..200).map(|i| if i % 100 == 5 { row(i, GIB_F64 / 2.0) } else { at_limit(i) }).collect();
    is_sane(&rows);
    // Nothing shows that less than the limit would do.
    assert!(sized(&rows).unwrap() as f64 >= GIB_F64);
}

#[test]
fn a_rising_trend() {
    let rows = rows((0..300).map(|i| GIB_F64 * (1.0 + f64::from(i) / 100.0)));
    is_sane(&rows);
    assert!(sized(&rows).unwrap() as f64 >= 3.99 * GIB_F64);
}

#[test]
fn two_modes() {
    let rows = rows((0..300).map(|i| if i % 10 == 9 { 8.0 * GIB_F64 } else { GIB_F64 }));
    is_sane(&rows);
    assert!((8.0 * GIB_F64..9.0 * GIB_F64).contains(&(sized(&rows).unwrap() as f64)));
}

#[test]
fn a_hundred_thousand_runs() {
    let rows = rows((0..100_000).map(|i| GIB_F64 * (1.0 + f64::from(i % 97) / 97.0)));
    for mut method in methods() {
        let given = decisions(&rows, method.as_mut(), &Rules { finished_only: true, ..Rules::default() });
        assert!(given[WARM_UP..].iter().all(|g| g.is_some_and(|g| (GIB_F64..=8.0 * GIB_F64).contains(&g))));
    }
}

#[rstest]
#[case::no_start(|_| Row { start_seconds: None, ..Row::default() })]
#[case::no_run_time(|i| Row { start_seconds: Some(i as f64), ..Row::default() })]
#[case::some_starts(|i| Row { start_seconds: (i % 3 > 0).then_some(i as f64), seconds: Some(1e6), ..Row::default() })]
#[case::no_number(|_| Row { start_seconds: Some(f64::NAN), seconds: Some(f64::INFINITY), ..Row::default() })]
#[case::negative(|_| Row { start_seconds: Some(-1e12), seconds: Some(-5.0), ..Row::default() })]
fn times_that_are_missing_or_none(#[case] times: fn(usize) -> Row) {
    let rows: Vec<Row> = (0..60).map(|i| Row { peak_bytes: Some(GIB_F64), ..times(i) }).collect();
    is_sane(&rows);
}

#[test]
fn unsorted_and_duplicate_rows() {
    let peaks = [3.0, 1.0, 2.0].map(|p| p * GIB_F64);
    let unsorted: Vec<Row> = (0..60).map(|i| row((i * 37) % 60, peaks[i % 3])).collect();
    is_sane(&unsorted);
    let doubled: Vec<Row> = unsorted.iter().flat_map(|r| [*r, *r]).collect();
    is_sane(&doubled);
    assert!(sized(&unsorted).unwrap() as f64 >= 3.0 * GIB_F64);
}

#[rstest]
#[case::nan(Some(f64::NAN))]
#[case::infinite(Some(f64::INFINITY))]
#[case::negative(Some(-1.0))]
#[case::missing(None)]
fn peaks_that_are_no_number(#[case] peak: Option<f64>) {
    let all: Vec<Row> = (0..40).map(|i| Row { peak_bytes: peak, ..row(i, 0.0) }).collect();
    is_sane(&all);
    // Nothing is known: what is asked for stays.
    let given = decisions(&all, recommended().as_mut(), &Rules::default());
    assert!(given[WARM_UP..].iter().all(|g| *g == Some(4.0 * GIB_F64)));
    let some: Vec<Row> = (0..40).map(|i| if i % 2 == 0 { all[i] } else { row(i, GIB_F64) }).collect();
    is_sane(&some);
    assert_eq!(sized(&all), None);
}

#[test]
fn held_between_the_lengths_at_which_it_is_asked() {
    let rows = rows((0..60).map(|i| GIB_F64 * f64::from(i + 1)));
    let rules = Rules { node_bytes: 1024.0 * GIB_F64, ..Rules::default() };
    let given = decisions(&rows, &mut Krr::default(), &rules);
    let changes: Vec<usize> = (WARM_UP + 1..60).filter(|i| given[*i] != given[*i - 1]).collect();
    assert_eq!(changes, ASKED_AT[1..7].iter().copied().filter(|n| *n < 60).collect::<Vec<_>>());
    assert_eq!(given[7], Some(allocated(5.0 * GIB_F64 * 1.15, NODE_BYTES)), "after five runs, asked before the sixth");
}

#[test]
fn what_has_not_ended_is_not_known() {
    // Each takes ten hours, one starts an hour: when the thirteenth starts, three have ended.
    let rows: Vec<Row> =
        (0..20).map(|i| Row { seconds: Some(10.0 * HOUR), ..row(i, GIB_F64 * (i + 1) as f64) }).collect();
    let rules = Rules { protocol: Protocol::Walk, finished_only: true, ..Rules::default() };
    let given = decisions(&rows, &mut Krr::default(), &rules);
    assert_eq!(given[11], Some(4.0 * GIB_F64), "two are no evidence: what was asked for");
    assert_eq!(given[12], Some(allocated(3.0 * GIB_F64 * 1.15, NODE_BYTES)));
    assert_eq!(given[13], Some(allocated(4.0 * GIB_F64 * 1.15, NODE_BYTES)));
}

fn any_row() -> impl Strategy<Value = Row> {
    let maybe = |values: std::ops::Range<f64>| prop_oneof![9 => values.prop_map(Some), 1 => Just(None)];
    (maybe(0.0..2e11), maybe(0.0..2e5), maybe(0.0..1e6), maybe(1.0..1e10), maybe(1.0..1e11), prop::bool::weighted(0.1))
        .prop_map(|(peak_bytes, seconds, start_seconds, input_bytes, requested_bytes, killed)| Row {
            peak_bytes,
            seconds,
            start_seconds,
            input_bytes,
            requested_bytes,
            killed,
        })
}

proptest! {
    #[test]
    fn what_comes_later_changes_no_decision(
        rows in prop::collection::vec(any_row(), 1..80),
        cut in 0_usize..80,
    ) {
        let cut = cut.min(rows.len());
        for rules in all_rules() {
            for (mut whole, mut part) in methods().into_iter().zip(methods()) {
                let whole = decisions(&rows, whole.as_mut(), &rules);
                let part = decisions(&rows[..cut], part.as_mut(), &rules);
                prop_assert_eq!(&whole[..cut], &part[..]);
            }
        }
    }

    #[test]
    fn the_own_need_of_a_run_changes_no_decision_about_it(
        rows in prop::collection::vec(any_row(), 4..40),
        peak in 0.0_f64..2e11,
    ) {
        let mut other = rows.clone();
        let last = other.len() - 1;
        (other[last].peak_bytes, other[last].seconds, other[last].killed) = (Some(peak), Some(1.0), true);
        for rules in all_rules() {
            for (mut one, mut two) in methods().into_iter().zip(methods()) {
                let one = decisions(&rows, one.as_mut(), &rules);
                prop_assert_eq!(one[last], decisions(&other, two.as_mut(), &rules)[last]);
            }
        }
    }
}
