//! Memory by the size of the input, where that is known before the run: the rule of [`super::tail`] on what earlier
//! runs say of a run with this input, in the way that would have been cheapest so far.
//!
//! # The ways
//! - **plain**: all runs, their inputs not looked at.
//! - **near**: the runs with the nearest inputs, [`NEIGHBOURS`] at least and all that differ by a factor of
//!   [`NEAR_FACTOR`] at most. It supposes nothing of the form of the dependence: heaps saturate, sorts spill to disk.
//! - **line**: every run moved along the least-squares line to this input. Runs are moved by the residual that they
//!   would have had, had the line been drawn without them (jackknife+, Barber et al., Annals of Statistics 2021), so
//!   that a line through few points is not taken for exact. Never more than plain inside the range of seen inputs.
//! - **both**: the geometric mean of near and line. What one of them misses, the other often has: half as many runs get
//!   too little as with near alone.
//!
//! What a way gives then goes through level, tail and drift as ever, so the margin fits the spread that is left.
//!
//! # Which way
//! Each run with a known input is first given memory in all ways, from the runs before it; what that would have cost
//! under the retry rule is summed. `both` is used unless it fails more runs than plain and does not save a tenth for
//! that, or fails more than 2 and 1 % of the runs more; then plain. Another way takes over where it would have cost at
//! most [`WORTH_IT`] of what the present one would have. Beyond the neighbourhood of the largest input seen nothing
//! gives less than plain: what was seen below says little there.
//!
//! # Why these
//! Public per-run records with an input size known before the run, asked before each run; waste relative to `max·1.15`
//! (geometric mean over workflows) and runs too small (mean over workflows). Three workflows with scaled inputs, and
//! one of production jobs, where four runs of unknown input hold nearly all of the memory-time:
//!
//! | | scaled inputs | production |
//! |---|---|---|
//! | plain | 0.67, 0.41 % | 1.19, 3.1 % |
//! | near alone | 0.40, 0.55 % | 1.19, 4.0 % |
//! | line alone | 0.62, 0.46 % | 1.19, 4.0 % |
//! | both alone | 0.39, 0.32 % | 1.19, 3.6 % |
//! | near, unless plain or line have been cheaper | 0.43, 0.46 % | 1.19, 3.6 % |
//! | both, unless plain has been cheaper | 0.41, 0.35 % | 1.19, 3.6 % |
//! | **both, unless plain, near or line have been cheaper** | **0.40, 0.39 %** | **1.19, 3.7 %** |
//! | the same, a failure priced 1.5; 3 | 0.38, 0.38 %; 0.41, 0.38 % | 1.19, 3.7 %; 1.19, 3.8 % |
//! | the same with 5; 10 neighbours | 0.39, 0.54 %; 0.41, 0.26 % | 1.19, 3.8 %; 1.19, 3.8 % |
//!
//! Where these choices (price, neighbours, which ways, [`WORTH_IT`]) are made on two of the three workflows and tried
//! on the third, waste is 0.42 with 0.31 to 0.32 %. Power laws (0.84, 0.57 %) and isotonic curves (0.42, 1.8 %) were
//! left out. Starting with plain and leaving it on proof only gave 0.45: the proof comes late, because most of the cost
//! is in a few runs.

use super::estimator::{Estimator, Next, Observed};
use super::replay::allocated;
use super::score::Tally;
use super::tail::{Allocation, Constants, FAILING_SHARE, Seen, TailEstimator, allocate_with};
use crate::history::Older;

/// Fewest runs that are near (5 to 10).
pub const NEIGHBOURS: usize = 8;
/// Inputs that differ by no more than this factor are near (1.25 to 1.5; with 2 the waste is 0.47).
pub const NEAR_FACTOR: f64 = 1.5;
/// A failure costs what doubling costs and no more (1.5 to 3, see above): each run is decided on its own, so that what
/// one miss teaches the next run knows.
const GIVEN_THE_INPUT: Constants = Constants { failure_cost: 2.0, ..Constants::CHOSEN };
/// Fewest runs that a line is drawn through, and that the ways are compared on.
const FEWEST: usize = 5;
/// Another way must have cost at most this share of the present one's (0.7 to 0.9).
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
    Both,
}

impl Way {
    const ALL: [Self; 4] = [Self::Plain, Self::Near, Self::Line, Self::Both];

    const fn formula(self) -> &'static str {
        match self {
            Self::Plain => "level+tail",
            Self::Near => "level+tail of near inputs",
            Self::Line => "line in input, level+tail",
            Self::Both => "near inputs and line, level+tail",
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
    past: [Tally; Way::ALL.len()],
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
            past: [Tally::default(); Way::ALL.len()],
        }
    }

    /// What the next run gets by the rule, and what that is made of; `None` before any run.
    pub fn chosen(&self, next: &Next) -> Option<Chosen> {
        let plain = self.plain.allocation()?;
        let all = Chosen { formula: Way::Plain.formula(), allocation: plain, runs: self.plain.len() };
        let Some(input) = amount(next.input_bytes) else { return Some(all) };
        Some(self.by(self.way(), input, plain).unwrap_or(all))
    }

    /// What runs with inputs up to so many bytes get: (input, memory), both ascending, in bytes; the last is the
    /// largest input seen. Between two seen inputs the larger one's size holds. Empty where inputs are not known or
    /// make no difference.
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
        let [plain, near, line, both] = &self.past;
        if plain.runs < FEWEST as u64 {
            return Way::Both;
        }
        let allowed = |way: &Tally| {
            let more = way.oom_runs as f64 - plain.oom_runs as f64;
            more <= 2.0 + 0.01 * plain.runs as f64
                && (more <= 0.0 || way.wasted_gb_hours <= WORTH_FAILURES * plain.wasted_gb_hours)
        };
        let (mut way, mut cost) =
            if allowed(both) { (Way::Both, both.wasted_gb_hours) } else { (Way::Plain, plain.wasted_gb_hours) };
        let present = cost;
        for (other, past) in [(Way::Plain, plain), (Way::Near, near), (Way::Line, line)] {
            let worth_it = past.wasted_gb_hours < cost && past.wasted_gb_hours <= WORTH_IT * present;
            if worth_it && (other == Way::Plain || allowed(past)) {
                (way, cost) = (other, past.wasted_gb_hours);
            }
        }
        way
    }

    /// What the runs say of one with this input in a way; `None` where that is what plain says.
    fn by(&self, way: Way, input: f64, plain: Allocation) -> Option<Chosen> {
        let (allocation, runs) = match way {
            Way::Plain => return None,
            Way::Near => self.of_near(input, plain)?,
            Way::Line => self.of_line(input, plain)?,
            Way::Both => {
                let all = (plain, self.plain.len());
                let (near, line) = (self.of_near(input, plain), self.of_line(input, plain));
                if near.is_none() && line.is_none() {
                    return None;
                }
                let ((near, runs), (line, _)) = (near.unwrap_or(all), line.unwrap_or(all));
                (between(near, line), runs)
            }
        };
        Some(Chosen { formula: way.formula(), allocation, runs })
    }

    fn of_near(&self, input: f64, plain: Allocation) -> Option<(Allocation, usize)> {
        let near = self.near(input)?;
        let allocation = allocate_with(&near, self.failing_share, &GIVEN_THE_INPUT)?;
        let keeps_plain = self.is_beyond(input) && allocation.bytes < plain.bytes;
        (!keeps_plain).then_some((allocation, near.len()))
    }

    fn of_line(&self, input: f64, plain: Allocation) -> Option<(Allocation, usize)> {
        let moved = self.along_the_line(input)?;
        let allocation = allocate_with(&moved, self.failing_share, &GIVEN_THE_INPUT)?;
        let keeps_plain = if self.is_beyond(input) {
            allocation.bytes < plain.bytes
        } else {
            input <= self.largest_input && allocation.bytes > plain.bytes
        };
        (!keeps_plain).then_some((allocation, moved.len()))
    }

    /// Whether the input is beyond the neighbourhood of any seen.
    fn is_beyond(&self, input: f64) -> bool {
        input > NEAR_FACTOR * self.largest_input
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

/// The geometric mean of two; what is beside the level is margin.
fn between(near: Allocation, line: Allocation) -> Allocation {
    let bytes = (near.bytes * line.bytes).sqrt();
    let level = near.level.min(bytes);
    Allocation { bytes, level, above: near.above, margin: bytes - level, drift: 0.0 }
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
/// The estimator that podfit's own recommendations come from.
pub fn recommended() -> Box<dyn Estimator> {
    Box::new(ByInput::new(FAILING_SHARE))
}
