//! What inputs that are known before the run change.

use proptest::prelude::*;
use rstest::rstest;

use super::by_input::ByInput;
use super::estimator::{Estimator, Next, Observed};
use super::replay::allocated;
use super::score::Tally;
use super::tail::{FAILING_SHARE, TailEstimator};
use crate::quantity::MIB_F64;

const GB: f64 = 1e9;

fn run(input: Option<f64>, peak_mib: f64) -> Observed {
    Observed {
        peak_bytes: peak_mib * MIB_F64,
        seconds: Some(600.0),
        input_bytes: input.map(|x| x * GB),
        ..Observed::default()
    }
}

fn next(input: f64) -> Next {
    Next { input_bytes: Some(input * GB), ..Next::default() }
}

fn after(runs: impl IntoIterator<Item = Observed>) -> ByInput {
    let mut estimator = ByInput::new(FAILING_SHARE);
    runs.into_iter().for_each(|r| estimator.observe(&r));
    estimator
}

fn mib(estimator: &ByInput, input: f64) -> f64 {
    estimator.recommend(&next(input)).unwrap() / MIB_F64
}

/// A little noise that is the same every time, 0 to 1.
fn noise(i: usize) -> f64 {
    (i * 7919 % 97) as f64 / 97.0
}

#[test]
fn what_the_input_explains_is_not_reserved() {
    // 100 MiB and 1000 MiB per GB.
    let runs = (0..60).map(|i| {
        let x = 1.0 + (i % 20) as f64;
        run(Some(x), 100.0 + 1000.0 * x + 20.0 * noise(i))
    });
    let estimator = after(runs);
    let plain = estimator.recommend(&Next::default()).unwrap() / MIB_F64;
    assert!(plain > 20_000.0, "{plain}");
    for x in [1.0, 5.0, 10.5, 20.0] {
        let given = mib(&estimator, x);
        assert!((1000.0 * x + 120.0..1000.0 * x + 400.0).contains(&given), "{given} for {x} GB");
    }
    assert_eq!(estimator.chosen(&next(5.0)).unwrap().formula, "line in input, level+tail");
    // Beyond what was seen the line goes on.
    assert!(mib(&estimator, 40.0) > 40_000.0);
}

#[test]
fn a_heap_that_saturates_is_no_line() {
    let peak = |x: f64| if x < 4.0 { 500.0 } else { 4000.0 };
    let estimator = after((0..80).map(|i| {
        let x = [0.5, 1.0, 2.0, 8.0, 16.0, 32.0][i % 6];
        run(Some(x), peak(x) + 10.0 * noise(i))
    }));
    assert_eq!(estimator.chosen(&next(1.0)).unwrap().formula, "level+tail of near inputs");
    assert!((510.0..700.0).contains(&mib(&estimator, 1.0)), "{}", mib(&estimator, 1.0));
    assert!((4010.0..4200.0).contains(&mib(&estimator, 16.0)));
}

#[test]
fn an_input_that_says_nothing_costs_no_more_than_none() {
    let runs: Vec<Observed> =
        (0..300).map(|i| run(Some(noise(i + 13) * 50.0), 1000.0 + 500.0 * noise(i * i))).collect();
    let mut estimator = ByInput::new(FAILING_SHARE);
    let (mut with, mut without) = (Tally::default(), Tally::default());
    for (i, run) in runs.iter().enumerate() {
        if i >= 3 {
            let known = Next { input_bytes: run.input_bytes, ..Next::default() };
            for (tally, next) in [(&mut with, known), (&mut without, Next::default())] {
                let given = allocated(estimator.recommend(&next).unwrap(), f64::MAX);
                tally.add(given, run.peak_bytes, 600.0, f64::MAX, 1.0);
            }
        }
        estimator.observe(run);
    }
    assert!(with.wasted_gb_hours <= 1.1 * without.wasted_gb_hours, "{with:?} {without:?}");
    assert!(with.oom_runs <= without.oom_runs + 5, "{with:?} {without:?}");
}

#[rstest]
#[case::no_input(Next::default())]
#[case::no_number(Next { input_bytes: Some(f64::NAN), ..Next::default() })]
#[case::negative(Next { input_bytes: Some(-1.0), ..Next::default() })]
fn without_an_input_it_is_the_plain_rule(#[case] next: Next) {
    let estimator = after((0..40).map(|i| run(Some(f64::from(i)), 100.0 * f64::from(i))));
    let mut plain = TailEstimator::new(FAILING_SHARE);
    (0..40).for_each(|i| plain.observe(&run(None, 100.0 * f64::from(i))));
    assert_eq!(estimator.recommend(&next), plain.recommend(&next));
}

#[test]
fn beyond_what_was_seen_nothing_gets_less_than_without_its_input() {
    // The largest inputs happened to need least.
    let estimator = after((0..40).map(|i| run(Some(f64::from(i)), 4000.0 - 90.0 * f64::from(i))));
    let plain = estimator.recommend(&Next::default()).unwrap() / MIB_F64;
    assert!(mib(&estimator, 38.0) < 2000.0);
    assert_eq!(mib(&estimator, 1000.0), plain);
}

#[test]
fn the_table_rises_with_the_input() {
    let estimator = after((0..60).map(|i| run(Some(f64::from(i % 20)), 100.0 + 1000.0 * f64::from(i % 20))));
    let table = estimator.table();
    assert!((3..=8).contains(&table.len()) && table.last().unwrap().0 == 19.0 * GB, "{table:?}");
    assert!(table.windows(2).all(|w| w[0].0 < w[1].0 && w[0].1 < w[1].1), "{table:?}");
    assert!(table[0].1 < 5000.0 * MIB_F64);
    assert!(after((0..60).map(|i| run(None, 1000.0 * noise(i)))).table().is_empty());
    assert!(after((0..60).map(|i| run(Some(f64::from(i)), 1000.0))).table().is_empty());
}

#[test]
fn few_runs_with_an_input_say_nothing() {
    let estimator = after((0..30).map(|i| run((i % 6 == 0).then_some(1.0), if i % 6 == 0 { 10.0 } else { 1000.0 })));
    assert!(mib(&estimator, 1.0) > 1000.0);
}

proptest! {
    #[test]
    fn any_history_has_an_answer_that_is_a_number(
        runs in prop::collection::vec((prop::option::of(0.0_f64..1e15), 0.0_f64..1e13, 0.0_f64..1e6), 1..60),
        input in 0.0_f64..1e16,
    ) {
        let estimator = after(runs.iter().map(|(input, peak, seconds)| Observed {
            peak_bytes: *peak,
            seconds: Some(*seconds),
            input_bytes: *input,
            ..Observed::default()
        }));
        let next = Next { input_bytes: Some(input), ..Next::default() };
        let given = estimator.recommend(&next).unwrap();
        prop_assert!(given.is_finite() && given >= 0.0);
        let chosen = estimator.chosen(&next).unwrap();
        prop_assert!(chosen.runs >= 1 && chosen.runs <= runs.len());
    }
}
