//! Memory by the size of the input, where that is known before the run: the rule of [`super::tail`] on what earlier runs
//! say of a run with this input, in the way that would have been cheapest so far.
//!
//! # The ways
//! - **plain**: all runs, their inputs not looked at.
//! - **near**: the runs with the nearest inputs, [`NEIGHBOURS`] at least and all that differ by a factor of [`NEAR_FACTOR`]
//!   at most. It supposes nothing of the form of the dependence: heaps saturate, sorts spill to disk.
//! - **line**: every run moved along the least-squares line to this input. Runs are moved by the residual that they
//!   would have had, had the line been drawn without them (jackknife+, Barber et al., Annals of Statistics 2021), so that a
//!   line through few points is not taken for exact. Never more than plain inside the range of seen inputs.
//!
//! What a way gives then goes through level, tail and drift as ever, so the margin fits the spread that is left.
//!
//! # Which way
//! Each run with a known input is first given memory in all three ways, from the runs before it; what that would have
//! cost under the retry rule is summed. `near` is used unless it fails more runs than plain and does not save a tenth
//! for that, or fails more than 2 and 1 % of the runs more; then plain. Another way takes over where it would have cost
//! at most [`WORTH_IT`] of what the present one would have. Beyond the neighbourhood of the largest input seen nothing
//! gives less than plain: what was seen below says little there.
//!
//! # Why these
//! Public per-run records with an input size known before the run, asked before each run; waste relative to `max·1.15`
//! (geometric mean over workflows) and runs too small (mean over workflows). Three workflows with scaled inputs, and one
//! of production jobs whose inputs explain little:
//!
//! | | scaled inputs | production |
//! |---|---|---|
//! | plain | 0.67, 0.45 % | 1.26, 3.1 % |
//! | near alone, 5 / 8 / 10 neighbours | 0.40, 0.71 % / 0.41, 0.63 % / 0.42, 0.50 % | 1.26, 4.0–4.1 % |
//! | line alone | 0.60, 0.46 % | 1.26, 3.5 % |
//! | power law alone | 0.84, 0.57 % | 1.26, 3.3 % |
//! | isotonic curve alone | 0.42, 1.77 % | 1.26, 3.6 % |
//! | near, plain or line as above, 5 / 8 / 10 neighbours | 0.39, 0.49 % / 0.41, 0.54 % / 0.42, 0.44 % | 1.26, 4.0–4.2 % |
//!
//! There the ways were compared on all runs, by a separate program. Compared on ever fewer of the later ones, as here,
//! `podfit backtest --protocol walk` prints 0.41, 0.54 % and 1.26, 3.6 %.
//!
//! A power law beside them brought 0.008 and was left out; starting with plain and leaving it on proof only gave 0.45:
//! the proof comes late, because most of the cost is in a few runs.

use super::estimator::{Estimator, Next, Observed};
use super::replay::allocated;
use super::score::Tally;
use super::tail::{Allocation, Seen, TailEstimator, allocate};
use crate::history::Older;

/// Fewest runs that are near (5 to 10).
pub const NEIGHBOURS: usize = 8;
/// Inputs that differ by no more than this factor are near (1.25 to 1.5; with 2 the waste is 0.47).
pub const NEAR_FACTOR: f64 = 1.5;
/// Fewest runs that a line is drawn through, and that the ways are compared on.
const FEWEST: usize = 5;
/// Another way must have cost at most this share of the present one's (0.7 to 0.9; the same as in [`super::tail`]).
const WORTH_IT: f64 = 0.8;
/// What a way must save, as a share of what plain costs, to be allowed more failures than plain.
const WORTH_FAILURES: f64 = 0.9;
/// Runs, from the first, that the ways are all compared on.
const JUDGED: usize = 64;
/// Steps of the table of inputs: as many as a person reads.
const STEPS: usize = 8;
/// Largest leverage of a run on its line, so that no residual is divided by nothing.
const MOST_LEVERAGE: f64 = 0.95;

/// A way to use inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Plain,
    Near,
    Line,
}

impl Way {
    const ALL: [Self; 3] = [Self::Plain, Self::Near, Self::Line];

    const fn formula(self) -> &'static str {
        match self {
            Self::Plain => "level+tail",
            Self::Near => "level+tail of near inputs",
            Self::Line => "line in input, level+tail",
        }
    }
}

/// What a recommendation came from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Chosen {
    /// The formula as users read it.
    pub formula: &'static str,
    /// What it gives, in bytes, and what that is made of.
    pub allocation: Allocation,
    /// Runs that it rests on.
    pub runs: usize,
}

/// The estimator of this module. Without inputs it is [`TailEstimator`].
#[derive(Clone, Debug)]
pub struct ByInput {
    plain: TailEstimator,
    /// Runs with a known input: the input in bytes, and what was seen.
    known: Vec<(f64, Seen)>,
    /// Of the same runs the place of the input on a logarithmic scale.
    places: Vec<f64>,
    largest_input: f64,
    failing_share: f64,
    /// What each of [`Way::ALL`] would have cost.
    past: [Tally; 3],
}

impl ByInput {
    /// With a bound on the share of runs whose first try may fail; 0 = never below a seen peak.
    pub fn new(failing_share: f64) -> Self {
        Self {
            plain: TailEstimator::new(failing_share),
            known: Vec::new(),
            places: Vec::new(),
            largest_input: 0.0,
            failing_share,
            past: [Tally::default(); 3],
        }
    }

    /// What the next run gets by the rule, and what that is made of; `None` before any run.
    pub fn chosen(&self, next: &Next) -> Option<Chosen> {
        let plain = self.plain.allocation()?;
        let all = Chosen { formula: Way::Plain.formula(), allocation: plain, runs: self.plain.len() };
        let Some(input) = amount(next.input_bytes) else { return Some(all) };
        Some(self.by(self.way(), input, plain).unwrap_or(all))
    }

    /// What runs with inputs up to so many bytes get: (input, memory), both ascending, in bytes; the last is the largest
    /// input seen. Between two seen inputs the larger one's size holds. Empty where inputs are not known or make no
    /// difference.
    pub fn table(&self) -> Vec<(f64, f64)> {
        let Some(plain) = self.plain.allocation() else { return Vec::new() };
        let mut inputs: Vec<f64> = self.known.iter().map(|(input, _)| *input).collect();
        inputs.sort_by(f64::total_cmp);
        let mut table: Vec<(f64, f64)> = Vec::new();
        let mut highest = 0.0_f64;
        for step in 1..=STEPS {
            let Some(input) = inputs.get((inputs.len() * step / STEPS).saturating_sub(1)) else { break };
            let way = self.by(self.way(), *input, plain);
            highest = highest.max(way.map_or(plain.bytes, |chosen| chosen.allocation.bytes));
            table.retain(|(before, bytes)| before < input && *bytes < highest);
            table.push((*input, highest));
        }
        if table.iter().all(|(_, bytes)| *bytes >= WORTH_FAILURES * plain.bytes) { Vec::new() } else { table }
    }

    fn way(&self) -> Way {
        let [plain, near, line] = &self.past;
        if plain.runs < FEWEST as u64 {
            return Way::Near;
        }
        let allowed = |way: &Tally| {
            let more = way.oom_runs as f64 - plain.oom_runs as f64;
            more <= 2.0 + 0.01 * plain.runs as f64
                && (more <= 0.0 || way.wasted_gb_hours <= WORTH_FAILURES * plain.wasted_gb_hours)
        };
        let (mut way, mut cost) =
            if allowed(near) { (Way::Near, near.wasted_gb_hours) } else { (Way::Plain, plain.wasted_gb_hours) };
        let present = cost;
        for (other, past, allowed) in [(Way::Plain, plain, true), (Way::Line, line, allowed(line))] {
            if allowed && past.wasted_gb_hours < cost && past.wasted_gb_hours <= WORTH_IT * present {
                (way, cost) = (other, past.wasted_gb_hours);
            }
        }
        way
    }

    fn by(&self, way: Way, input: f64, plain: Allocation) -> Option<Chosen> {
        let (allocation, runs) = match way {
            Way::Plain => return None,
            Way::Near => {
                let near = self.near(input)?;
                (allocate(&near, self.failing_share)?, near.len())
            }
            Way::Line => {
                let moved = self.along_the_line(input)?;
                (allocate(&moved, self.failing_share)?, moved.len())
            }
        };
        let beyond = input > NEAR_FACTOR * self.largest_input;
        let keeps_plain = match way {
            _ if beyond => allocation.bytes < plain.bytes,
            Way::Line => input <= self.largest_input && allocation.bytes > plain.bytes,
            _ => false,
        };
        (!keeps_plain).then_some(Chosen { formula: way.formula(), allocation, runs })
    }

    /// The runs with the nearest inputs, in the order in which they came.
    fn near(&self, input: f64) -> Option<Vec<Seen>> {
        if self.known.len() < NEIGHBOURS {
            return None;
        }
        let here = place(input);
        let apart = |other: &f64| (other - here).abs();
        let mut distances: Vec<f64> = self.places.iter().map(apart).collect();
        let (_, nth, _) = distances.select_nth_unstable_by(NEIGHBOURS - 1, f64::total_cmp);
        // A factor that is exactly the bound on paper must not miss it for its last bit.
        let radius = nth.max(NEAR_FACTOR.ln()) + 1e-12;
        let near = self.known.iter().zip(&self.places).filter(|(_, other)| apart(other) <= radius);
        Some(near.map(|((_, seen), _)| *seen).collect())
    }

    /// Every run as it would have been with this input.
    fn along_the_line(&self, input: f64) -> Option<Vec<Seen>> {
        let n = self.known.len();
        if n < FEWEST {
            return None;
        }
        let mean = |of: &dyn Fn(&(f64, Seen)) -> f64| self.known.iter().map(of).sum::<f64>() / n as f64;
        let (mean_x, mean_y) = (mean(&|(x, _)| *x), mean(&|(_, seen)| seen.peak));
        let spread = mean(&|(x, _)| (x - mean_x).powi(2));
        if spread <= 1e-12 * mean(&|(x, _)| x * x) {
            return None;
        }
        let slope = mean(&|(x, seen)| (x - mean_x) * (seen.peak - mean_y)) / spread;
        if slope <= 0.0 {
            return None;
        }
        let line = |x: f64| mean_y + slope * (x - mean_x);
        let moved = |(x, seen): &(f64, Seen)| {
            let leverage = (1.0 + (x - mean_x).powi(2) / spread) / n as f64;
            let residual = (seen.peak - line(*x)) / (1.0 - leverage.min(MOST_LEVERAGE));
            Seen { peak: (line(input) + residual).max(0.0), seconds: seen.seconds }
        };
        let moved: Vec<Seen> = self.known.iter().map(moved).collect();
        moved.iter().all(|seen| seen.peak.is_finite()).then_some(moved)
    }

    /// What each way would have given this run, and what that would have cost.
    fn judge(&mut self, input: f64, run: &Observed) {
        let Some(plain) = self.plain.allocation() else { return };
        for (at, way) in Way::ALL.into_iter().enumerate() {
            let bytes = self.by(way, input, plain).map_or(plain.bytes, |chosen| chosen.allocation.bytes);
            // A run of no time would cost nothing.
            let seconds = amount(run.seconds).unwrap_or(0.0).max(1.0);
            self.past[at].add(allocated(bytes, f64::MAX), run.peak_bytes, seconds, f64::MAX, 1.0);
        }
    }
}

impl Estimator for ByInput {
    fn observe_older(&mut self, older: &Older) {
        self.plain.observe_older(older);
    }

    fn observe(&mut self, run: &Observed) {
        if let (Some(input), Some(peak)) = (amount(run.input_bytes), amount(Some(run.peak_bytes))) {
            if is_judged(self.known.len()) {
                self.judge(input, run);
            }
            self.places.push(place(input));
            self.known.push((input, Seen { peak, seconds: amount(run.seconds).unwrap_or(0.0) }));
            self.largest_input = self.largest_input.max(input);
        }
        self.plain.observe(run);
    }

    fn recommend(&self, next: &Next) -> Option<f64> {
        let chosen = self.chosen(next)?;
        if chosen.formula == Way::Plain.formula() {
            return self.plain.recommend(next);
        }
        Some(chosen.allocation.bytes.max(next.running_peak_bytes.unwrap_or(0.0)))
    }

    fn formula(&self) -> &'static str {
        Way::Plain.formula()
    }
}

/// Whether the ways are compared on the run after so many: on each of the first, then on ever fewer, [`JUDGED`] / 2 for
/// every doubling. A comparison looks at all runs, so comparing on every one would take time by the square.
fn is_judged(known: usize) -> bool {
    known >= FEWEST && known.is_multiple_of((2 * known / JUDGED).max(1))
}

/// On a scale where equal factors are equally far; from nothing to a few bytes it is not far.
fn place(input: f64) -> f64 {
    (input + 1.0).ln()
}

fn amount(value: Option<f64>) -> Option<f64> {
    value.filter(|v| v.is_finite() && *v >= 0.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;
    use crate::sizing::tail::FAILING_SHARE;

    const MIB: f64 = 1_048_576.0;
    const GB: f64 = 1e9;

    fn run(input: Option<f64>, peak_mib: f64) -> Observed {
        Observed {
            peak_bytes: peak_mib * MIB,
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
        estimator.recommend(&next(input)).unwrap() / MIB
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
        let plain = estimator.recommend(&Next::default()).unwrap() / MIB;
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
        let plain = estimator.recommend(&Next::default()).unwrap() / MIB;
        assert!(mib(&estimator, 38.0) < 2000.0);
        assert_eq!(mib(&estimator, 1000.0), plain);
    }

    #[test]
    fn the_table_rises_with_the_input() {
        let estimator = after((0..60).map(|i| run(Some(f64::from(i % 20)), 100.0 + 1000.0 * f64::from(i % 20))));
        let table = estimator.table();
        assert!((3..=8).contains(&table.len()) && table.last().unwrap().0 == 19.0 * GB, "{table:?}");
        assert!(table.windows(2).all(|w| w[0].0 < w[1].0 && w[0].1 < w[1].1), "{table:?}");
        assert!(table[0].1 < 5000.0 * MIB);
        assert!(after((0..60).map(|i| run(None, 1000.0 * noise(i)))).table().is_empty());
        assert!(after((0..60).map(|i| run(Some(f64::from(i)), 1000.0))).table().is_empty());
    }

    #[test]
    fn few_runs_with_an_input_say_nothing() {
        let estimator =
            after((0..30).map(|i| run((i % 6 == 0).then_some(1.0), if i % 6 == 0 { 10.0 } else { 1000.0 })));
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
}
