//! Memory for the next run from the peaks of earlier ones: a level, and a margin that fits the tail above it.
//! Numbers in, number out; knows no history and no limit.
//!
//! # The rule
//! `level + min(tail + drift, level) + 32 MiB/√n`
//!
//! 1. **Level**: the highest of the n peaks. From about 150 runs on it may be a lower one, x₍ₙ₋ⱼ₎, where replaying the
//!    runs under the retry rule (a killed run loses its time and comes again with twice as much) shows that this wastes
//!    at most 0.9 of what the highest wastes; j is bounded so that one is 95 % sure that at most 3 % of the runs fail.
//! 2. **Tail**: margin costs `m` for every run, a failure costs `C·level`. With an exponential tail whose scale is
//!    known from k spacings only, P(peak > level + m) = (1+j)/n · (1 + m/(k·s))⁻ᵏ, and
//!    `k·s·((C·(1+j)·level/(n·s))^(1/(k+1)) − 1)` is the exact minimum. Peaks that lie close together get a margin of
//!    a few MiB after three runs, where `max·(1+1/n)` still adds a third.
//! 3. **Drift**: when each of the last two growths of the history by a factor set a new maximum, the smaller step is
//!    added. Growths by 2 and by 2.5 are looked at, and the larger of what they say holds: one factor alone misses a
//!    rise whose steps fall between its lengths.
//! 4. 32 MiB/√n: noise of small workloads.
//!
//! # Why these constants
//! The share of runs that may be left to a retry is no constant to be tuned but the bound that users set
//! (`--failing-share`). Its default follows from the aim that no workflow has more than 5 % of its runs fail at first:
//! 2 % are for what is new, which no rule sees coming, and 3 % are left.
//!
//! The others come from walk-forward replay on per-run records of 13 public workflows (73,549 runs of recurring tasks),
//! recommendations held between history lengths 3, 5, 8, 12, 20, 30, …; waste relative to `max·1.15` as the geometric
//! mean over workflows, share of runs whose first try was too small as mean over workflows, and of the worst workflow:
//!
//! | | waste | too small | worst |
//! |---|---|---|---|
//! | `max·1.15` | 1.00 | 0.63 % | 3.6 % |
//! | `max·(1+1/n)` | 0.56 | 1.10 % | 4.5 % |
//! | this rule | 0.466 | 0.70 % | 4.1 % |
//! | constants chosen on the other 12 workflows, 1 % of runs too small worth 20 % of waste | 0.477 | 0.80 % | 4.2 % |
//! | the same, worth 50 % | 0.490 | 0.72 % | 4.1 % |
//! | the same, worth 100 % | 0.503 | 0.66 % | 4.0 % |
//! | the same by the other 6 sources; 20, 50, 100 % | 0.48, 0.48, 0.50 | 0.94, 0.81, 0.71 % | 4.2, 4.1, 4.0 % |
//! | least waste with bounds of 0.7 to 0.9 % in the mean, 4.0 to 4.5 % in the worst | 0.47–0.49 | 0.69–0.99 % | 4.2 % |
//!
//! The rows of constants chosen on others say what to expect elsewhere, and still flatter the rule: its form was found
//! with all 13 workflows in view. `cargo run --release --example leave_one_out -- FILES` prints these rows, out of 576
//! choices, `podfit backtest` the first three. One constant changed at a time:
//!
//! | | waste | too small | worst |
//! |---|---|---|---|
//! | a failure priced 2; 4 | 0.465; 0.477 | 0.78 %; 0.67 % | 4.2 %; 4.1 % |
//! | 1; 2; 4 spacings | 0.466; 0.469; 0.475 | 0.78 %; 0.71 %; 0.67 % | 4.2 %; 4.0 %; 4.1 % |
//! | a restart of 0; 30; 120 s | 0.458; 0.462; 0.472 | 0.81 %; 0.73 %; 0.66 % | 4.2 %; 4.1 %; 4.1 % |
//! | smallest scale 0.0003; 0.003 | 0.469; 0.477 | 0.71 %; 0.69 % | 4.1 % |
//! | 8; 16; 48 MiB against noise | 0.463; 0.465; 0.472 | 0.81 %; 0.78 %; 0.67 % | 4.1 % |
//! | a lower level worth it at 0.7 or 0.8 | 0.468 | 0.70 % | 4.1 % |
//! | no drift; by 2 alone; by 2.5 alone; by 2, 2.5 and 3 | 0.460; 0.460; 0.463; 0.476 | 1.09 %; 0.82 %; 0.76 %; 0.68 %
//! | 4.6 %; 4.3 %; 4.2 %; 4.1 % |
//! | at most 0; 2; 5 % left to a retry | 0.512; 0.502; 0.462 | 0.66 %; 0.67 %; 0.89 % | 4.0 %; 4.0 %; 6.2 % |
//!
//! # What was tried beside it and left out
//! On the same records, in the same columns:
//!
//! | | waste | too small | worst |
//! |---|---|---|---|
//! | only the latest 50 runs; 100 | 0.506; 0.503 | 1.41 %; 0.79 % | 12.6 %; 5.0 % |
//! | only the latest 200; 400 | 0.499; 0.471 | 0.70 %; 0.75 % | 4.0 %; 4.1 % |
//! | the latest 50 where a replay finds that cheaper by a fifth | 0.468 | 1.06 % | 8.7 % |
//! | the same with 100; 200 or 400 | 0.468; 0.466 | 0.70 % | 4.1 % |
//! | never less margin than a smaller scale would get | 0.474 | 0.67 % | 3.9 % |
//!
//! And on an earlier form with less margin (0.461, 0.82 %, 4.1 %):
//!
//! | | waste | too small | worst |
//! |---|---|---|---|
//! | up to 12 runs at least the growth of 9 of 10 other tasks of the workflow | 0.476 | 0.77 % | 4.1 % |
//! | half-way to that growth, up or down; of 7 of 10 | 0.465; 0.458 | 0.83 %; 0.89 % | 4.1 % |
//!
//! A failure priced by how long the highest runs last, instead of by the mean run, is but another place on the same
//! curve:
//! 0.468 to 0.484 with 0.69 to 0.73 %.
//!
//! So forgetting old runs costs more than it brings: what needed much once does so again. The growth of related tasks,
//! although taken from the whole of their runs here, later ones included, says little that the own first spacings do
//! not. Weekdays and ends of months were not tried: one record alone spans more than a week, 55 days, which has one or
//! two ends of months and says nothing of work that runs by the calendar.
//! Going up is at once, with the first peak that is higher; going down takes about 150 runs, see 1.

use std::cell::OnceCell;

use super::estimator::{Estimator, Next, Observed};
use crate::history::Older;

/// Largest share of a workload's runs that may fail their first try, by default; users set it.
pub const FAILING_SHARE: f64 = 0.03;
/// One-sided 95 % quantile of the normal distribution, for the bound on j.
const CONFIDENCE_Z: f64 = 1.65;

/// What the rule could have otherwise; [`Constants::CHOSEN`] is what it has.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Constants {
    /// Price of a failed run in `level · run time`: 2 is what a failure costs under doubling, 1 more is aversion (2 to
    /// 4).
    pub failure_cost: f64,
    /// Seconds of the same allocation that a restart takes (scheduling, image, start-up); counts for short runs (0 to
    /// 120).
    pub restart_seconds: f64,
    /// Spacings that the scale of the tail is taken from (1 to 4).
    pub spacings: usize,
    /// Smallest scale of the tail as a share of the level (0.0003 to 0.003).
    pub smallest_scale: f64,
    /// Margin in bytes against noise, divided by √n (8 to 48 MiB).
    pub noise_bytes: f64,
    /// A level below the maximum is taken only where it wastes at most this share of what the maximum wastes.
    pub worth_it: f64,
    /// Ratios of the history lengths whose maxima are compared for drift (2 to 3).
    pub growths: &'static [f64],
}

impl Constants {
    /// Those of every recommendation.
    pub const CHOSEN: Self = Self {
        failure_cost: 3.0,
        restart_seconds: 60.0,
        spacings: 3,
        smallest_scale: 1e-3,
        noise_bytes: 32.0 * 1_048_576.0,
        worth_it: 0.9,
        growths: &[2.0, 2.5],
    };
}

/// The rule of this module as an estimator over a workload's runs.
#[derive(Clone, Debug)]
pub struct TailEstimator {
    seen: Vec<Seen>,
    older_peak: f64,
    failing_share: f64,
    constants: Constants,
    /// The answer until another run is seen: it is often asked for more than once.
    answer: OnceCell<Option<Allocation>>,
}

impl TailEstimator {
    /// With a bound on the share of runs whose first try may fail; 0 = never below a seen peak.
    pub fn new(failing_share: f64) -> Self {
        Self::with(failing_share, Constants::CHOSEN)
    }

    /// The same with other constants, to see what they do.
    pub fn with(failing_share: f64, constants: Constants) -> Self {
        Self { seen: Vec::new(), older_peak: 0.0, failing_share, constants, answer: OnceCell::new() }
    }

    /// Number of runs seen singly.
    pub fn len(&self) -> usize {
        self.seen.len()
    }

    /// Whether none was.
    pub fn is_empty(&self) -> bool {
        self.seen.is_empty()
    }

    /// What the next run gets and what it is made of; `None` before any run.
    pub fn allocation(&self) -> Option<Allocation> {
        *self.answer.get_or_init(|| allocate_with(&self.seen, self.failing_share, &self.constants))
    }
}

impl Estimator for TailEstimator {
    fn observe_older(&mut self, older: &Older) {
        self.older_peak = self.older_peak.max(older.max_peak_bytes.unwrap_or(0) as f64);
    }

    fn observe(&mut self, run: &Observed) {
        self.answer.take();
        let known = |value: f64| if value.is_finite() { value.max(0.0) } else { 0.0 };
        self.seen.push(Seen { peak: known(run.peak_bytes), seconds: known(run.seconds.unwrap_or(0.0)) });
    }

    fn recommend(&self, next: &Next) -> Option<f64> {
        let allocation = self.allocation()?;
        // Runs that are no longer kept singly have no place in the tail; what they needed stays a lower bound.
        let older = if allocation.above == 0 { self.older_peak } else { 0.0 };
        Some(allocation.bytes.max(older).max(next.running_peak_bytes.unwrap_or(0.0)))
    }

    fn formula(&self) -> &'static str {
        "level+tail"
    }
}

/// What a run taught: its peak in bytes and its run time in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Seen {
    /// Memory peak in bytes, not negative, finite.
    pub peak: f64,
    /// Run time in seconds, not negative, finite.
    pub seconds: f64,
}

/// What the next run should get, and what it is made of. All in bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Allocation {
    /// The sum.
    pub bytes: f64,
    /// The peak that is covered.
    pub level: f64,
    /// Runs whose peak lies above the level.
    pub above: usize,
    /// Margin for the tail and for noise.
    pub margin: f64,
    /// Margin for drift.
    pub drift: f64,
}

/// Allocates for the run after those seen, given in start order. `failing_share` bounds the share of runs that may fail
/// their first try; 0 = never below a seen peak. `None` before any run.
pub fn allocate(seen: &[Seen], failing_share: f64) -> Option<Allocation> {
    allocate_with(seen, failing_share, &Constants::CHOSEN)
}

/// The same with other constants.
pub(super) fn allocate_with(seen: &[Seen], failing_share: f64, constants: &Constants) -> Option<Allocation> {
    let n = seen.len();
    if n == 0 {
        return None;
    }
    let mut sorted: Vec<Seen> = seen.to_vec();
    sorted.sort_by(|a, b| a.peak.total_cmp(&b.peak));
    let noise = constants.noise_bytes / (n as f64).sqrt();
    let above = level(&sorted, failing_share, constants.worth_it);
    let level = sorted[n - 1 - above].peak;
    if level <= 0.0 {
        return Some(Allocation { bytes: noise, level: 0.0, above: 0, margin: noise, drift: 0.0 });
    }
    let tail = tail(&sorted, above, level, constants);
    let drift = if above == 0 { constants.growths.iter().map(|g| drift(seen, *g)).fold(0.0, f64::max) } else { 0.0 };
    // Never past what the first retry would get anyway.
    let both = (tail + drift).min(level);
    let drift = drift.min(both);
    Some(Allocation { bytes: level + both + noise, level, above, margin: both - drift + noise, drift })
}

fn tail(sorted: &[Seen], above: usize, level: f64, constants: &Constants) -> f64 {
    let n = sorted.len();
    let spacings = constants.spacings.min(n - 1 - above);
    let below = |i: usize| sorted[n - 1 - above - i].peak;
    let mean = (0..spacings).map(below).sum::<f64>() / spacings.max(1) as f64;
    let scale = (if spacings == 0 { 0.0 } else { mean - below(spacings) }).max(constants.smallest_scale * level);
    let mean_seconds = sorted.iter().map(|s| s.seconds).sum::<f64>() / n as f64;
    let restart = if mean_seconds > 0.0 { constants.restart_seconds / mean_seconds } else { 0.0 };
    let cost = constants.failure_cost + restart;
    let k = spacings as f64;
    let ratio = cost * (1 + above) as f64 * level / (n as f64 * scale);
    (k * scale * (ratio.powf(1.0 / (k + 1.0)) - 1.0)).max(0.0)
}

/// How many of the highest peaks to leave above the level: the cheapest replay among those that the bound allows.
fn level(sorted: &[Seen], failing_share: f64, worth_it: f64) -> usize {
    let n = sorted.len();
    let expected = failing_share * n as f64;
    let most = (expected - CONFIDENCE_Z * expected.sqrt()).max(0.0) as usize;
    if most == 0 {
        return 0;
    }
    let total: f64 = sorted.iter().map(|s| s.seconds).sum();
    let used: f64 = sorted.iter().map(|s| s.peak * s.seconds).sum();
    let waste = |j: usize| {
        let a = sorted[n - 1 - j].peak;
        let retries: f64 = sorted[n - j..]
            .iter()
            .map(|s| {
                // Attempts that fail take a·(2^k − 1) together, the last one a·2^k instead of a.
                let doublings = ((s.peak / a).max(1.0).log2() - 1e-12).ceil();
                2.0 * a * (doublings.exp2() - 1.0) * s.seconds
            })
            .sum();
        a * total - used + retries
    };
    let at_max = waste(0);
    let mut best = (0, at_max);
    for j in 1..=most.min(n - 1) {
        if sorted[n - 1 - j].peak <= 0.0 {
            break;
        }
        let waste = waste(j);
        if waste < best.1 {
            best = (j, waste);
        }
    }
    if best.1 <= worth_it * at_max { best.0 } else { 0 }
}

/// The smaller of the two last steps of the running maximum; 0 unless both went up.
fn drift(seen: &[Seen], growth: f64) -> f64 {
    let n = seen.len();
    let later = (n as f64 / growth) as usize;
    let earlier = (later as f64 / growth) as usize;
    if earlier < 2 {
        return 0.0;
    }
    let max = |part: &[Seen]| part.iter().map(|s| s.peak).fold(0.0, f64::max);
    let first = max(&seen[..earlier]);
    let second = max(&seen[..later]);
    let third = max(seen);
    (third - second).min(second - first)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    use crate::quantity::MIB_F64;

    fn runs(peaks_mib: &[f64]) -> Vec<Seen> {
        peaks_mib.iter().map(|p| Seen { peak: p * MIB_F64, seconds: 600.0 }).collect()
    }

    #[test]
    fn a_stable_job_gets_a_small_margin_at_once_and_a_wild_one_a_large_one() {
        let stable = allocate(&runs(&[1000.0, 1001.0, 999.0]), FAILING_SHARE).unwrap();
        assert!(stable.bytes < 1050.0 * MIB_F64, "{}", stable.bytes / MIB_F64);
        let wild = allocate(&runs(&[200.0, 1000.0, 450.0]), FAILING_SHARE).unwrap();
        assert!(wild.bytes > 1200.0 * MIB_F64, "{}", wild.bytes / MIB_F64);
    }

    #[test]
    fn a_rare_outlier_is_left_to_the_retry_only_with_enough_runs_and_only_when_allowed() {
        let mut peaks = vec![1000.0; 400];
        peaks[17] = 15_000.0;
        peaks[230] = 14_000.0;
        let allocated = allocate(&runs(&peaks), FAILING_SHARE).unwrap();
        assert_eq!(allocated.above, 2);
        assert!(allocated.bytes < 1100.0 * MIB_F64);
        assert!(allocate(&runs(&peaks), 0.0).unwrap().bytes >= 15_000.0 * MIB_F64);
        assert!(allocate(&runs(&peaks[..100]), FAILING_SHARE).unwrap().bytes >= 15_000.0 * MIB_F64);
    }

    #[test]
    fn a_rising_need_gets_its_last_step_on_top() {
        let rising: Vec<f64> = (0..40).map(|i| 1000.0 + f64::from(i) * 50.0).collect();
        let allocated = allocate(&runs(&rising), FAILING_SHARE).unwrap();
        assert!(allocated.drift > 0.0);
        let falling: Vec<f64> = rising.into_iter().rev().collect();
        assert_eq!(allocate(&runs(&falling), FAILING_SHARE).unwrap().drift, 0.0);
    }

    #[test]
    fn degenerate_histories() {
        assert_eq!(allocate(&[], FAILING_SHARE), None);
        assert_eq!(allocate(&runs(&[0.0; 5]), FAILING_SHARE).unwrap().level, 0.0);
        assert!(allocate(&runs(&[7.0]), FAILING_SHARE).unwrap().bytes >= 7.0 * MIB_F64);
        let no_time: Vec<Seen> = (0..500).map(|i| Seen { peak: f64::from(i), seconds: 0.0 }).collect();
        assert!(allocate(&no_time, FAILING_SHARE).unwrap().bytes.is_finite());
        let two_modes: Vec<f64> = (0..200).map(|i| if i % 2 == 0 { 900.0 } else { 7000.0 }).collect();
        let allocated = allocate(&runs(&two_modes), FAILING_SHARE).unwrap();
        assert!((7000.0 * MIB_F64..7200.0 * MIB_F64).contains(&allocated.bytes), "{}", allocated.bytes / MIB_F64);
    }

    proptest! {
        #[test]
        fn bounded_by_what_was_seen(
            peaks in prop::collection::vec(0.0_f64..1e12, 1..400),
            seconds in prop::collection::vec(0.0_f64..1e6, 400),
            share in 0.0_f64..0.2,
        ) {
            let seen: Vec<Seen> =
                peaks.iter().zip(&seconds).map(|(p, s)| Seen { peak: *p, seconds: *s }).collect();
            let allocated = allocate(&seen, share).unwrap();
            let max = peaks.iter().copied().fold(0.0, f64::max);
            prop_assert!(allocated.bytes.is_finite() && allocated.bytes >= allocated.level);
            prop_assert!(allocated.bytes <= 2.0 * max + Constants::CHOSEN.noise_bytes);
            prop_assert!(allocated.above as f64 <= share * peaks.len() as f64);
            if share == 0.0 { prop_assert!(allocated.bytes >= max); }
            let parts = allocated.level + allocated.margin + allocated.drift;
            prop_assert!((allocated.bytes - parts).abs() <= 1e-6 * allocated.bytes.max(1.0));
        }
    }
}
