//! The history of one workload: recent runs whole, older ones folded into sums; bounded and mergeable.
//! Knows nothing of where it is kept or what is computed from it.

use super::run::{Outcome, Run};
use super::view::{START_TOLERANCE_MS, join, same_run};

/// Number of runs that a [`History`] keeps whole.
///
/// Enough for every use that needs single runs: a run of ten a day is remembered for 100 days, a daily one for almost
/// three years; with 1,000 runs and no failure an OOM share of 0.3 % is excluded at 95 % confidence, so a target of 1 %
/// can be told from 2 %. Few enough for one value in the store: a full history takes about 90 KB there and at most
/// about 400 KB in memory (a run: 240 bytes and the text of its pod name and uid, together about 330).
pub const MAX_RUNS: usize = 1_000;

const DAY_MS: i64 = 86_400_000;

/// What became of a run given to [`History::add`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Added {
    /// Not seen before.
    New,
    /// A view that says more about a run already kept.
    Updated,
    /// Nothing new: the same run is kept already, or it was folded into [`Older`].
    Known,
}

/// What remains of runs too old to be kept whole. All sums are exact, so merging is the same in any order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Older {
    /// Number of runs.
    pub runs: u64,
    /// Earliest start, milliseconds since the epoch; 0 when there are no runs.
    pub first_ms: i64,
    /// Latest end, milliseconds since the epoch; 0 when there are no runs.
    pub last_ms: i64,
    /// Latest start, milliseconds since the epoch; 0 when there are no runs. With `last_ms` it tells which runs are
    /// already counted here, see [`History::add`].
    pub last_start_ms: i64,
    /// Runs that were killed for memory.
    pub ooms: u64,
    /// Highest memory peak in bytes, `None` when none was seen.
    pub max_peak_bytes: Option<u64>,
    /// Sum of run times, milliseconds.
    pub total_ms: u64,
    /// Sum of mean cores × run time, in core-milliseconds.
    pub core_ms: u64,
    /// Sum of memory peak × run time, in byte-milliseconds: the use that allocations are compared with.
    pub byte_ms: u128,
}

impl Older {
    /// Sum of run times, seconds.
    pub fn total_seconds(&self) -> f64 {
        self.total_ms as f64 / 1000.0
    }

    /// Sum of mean cores × run time, core-seconds.
    pub fn core_seconds(&self) -> f64 {
        self.core_ms as f64 / 1000.0
    }

    /// Sum of memory peak × run time, byte-seconds.
    pub fn byte_seconds(&self) -> f64 {
        self.byte_ms as f64 / 1000.0
    }

    fn fold(&mut self, run: &Run) {
        let ms = run.ended_ms.saturating_sub(run.started_ms).max(0).unsigned_abs();
        let mut one = Self {
            runs: 1,
            first_ms: run.started_ms,
            last_ms: run.ended_ms,
            last_start_ms: run.started_ms,
            ooms: u64::from(run.was_killed()),
            max_peak_bytes: run.memory.map(|m| m.peak_bytes),
            total_ms: ms,
            ..Self::default()
        };
        if let Some(memory) = run.memory {
            one.byte_ms = u128::from(memory.peak_bytes) * u128::from(ms);
        }
        if let Some(cpu) = run.cpu.filter(|cpu| cpu.mean_cores.is_finite() && cpu.mean_cores >= 0.0) {
            one.core_ms = (cpu.mean_cores * ms as f64).round() as u64;
        }
        self.merge(&one);
    }

    /// Adds another sum; the two must not share runs. Commutative and associative, exactly.
    pub fn merge(&mut self, other: &Self) {
        if other.runs == 0 {
            return;
        }
        let first = self.runs == 0;
        self.first_ms = if first { other.first_ms } else { self.first_ms.min(other.first_ms) };
        self.last_ms = if first { other.last_ms } else { self.last_ms.max(other.last_ms) };
        self.last_start_ms = if first { other.last_start_ms } else { self.last_start_ms.max(other.last_start_ms) };
        self.runs = self.runs.saturating_add(other.runs);
        self.ooms = self.ooms.saturating_add(other.ooms);
        self.max_peak_bytes = self.max_peak_bytes.max(other.max_peak_bytes);
        self.total_ms = self.total_ms.saturating_add(other.total_ms);
        self.core_ms = self.core_ms.saturating_add(other.core_ms);
        self.byte_ms = self.byte_ms.saturating_add(other.byte_ms);
    }

    /// Whether a run that is not kept whole is counted here: it began and ended no later than the runs folded so far.
    fn covers(&self, run: &Run) -> bool {
        self.runs > 0
            && run.started_ms <= self.last_start_ms.saturating_add(START_TOLERANCE_MS)
            && run.ended_ms <= self.last_ms
    }
}

/// The runs of one workload: at most [`MAX_RUNS`] whole, everything before them as [`Older`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    /// Ascending by (start, pod, uid).
    runs: Vec<Run>,
    older: Older,
}

impl History {
    /// A history without runs.
    pub fn new() -> Self {
        Self::default()
    }

    /// From parts that were a history before; brings them into order and under the bound.
    pub(super) fn from_parts(runs: Vec<Run>, older: Older) -> Self {
        let mut history = Self { runs, older };
        history.runs.sort_by(|a, b| place(a).cmp(&place(b)));
        history.fold_surplus();
        history
    }

    /// Adds one view of a run. See [`Self::add_all`], which is also the faster way to add several.
    pub fn add(&mut self, run: Run) -> Added {
        let added = self.take(run);
        self.fold_surplus();
        added
    }

    /// Adds views of runs, and returns for each what became of it.
    ///
    /// A run counts once, however often it is given: a view of a kept run (same pod, start within
    /// [`START_TOLERANCE_MS`], no different uid) is joined with what is known of it, the later one replacing the
    /// earlier. When there are more than [`MAX_RUNS`], those that ended first are folded into [`Older`], running ones
    /// last of all. From then on a run that is not kept, and that both began and ended no later than the folded ones,
    /// is taken for one of them and dropped. So runs should be given in the order of their end, as they come from a
    /// collector; a batch is folded after all of it was added.
    pub fn add_all(&mut self, runs: impl IntoIterator<Item = Run>) -> Vec<Added> {
        let added = runs.into_iter().map(|run| self.take(run)).collect();
        self.fold_surplus();
        added
    }

    /// The kept runs of exactly that start.
    pub(super) fn started_at(&self, started_ms: i64) -> impl Iterator<Item = &Run> {
        let first = self.runs.partition_point(|r| r.started_ms < started_ms);
        self.runs[first..].iter().take_while(move |r| r.started_ms == started_ms)
    }

    /// Takes out the kept run of that start for which `is` holds; false where there is none.
    pub(super) fn withdraw(&mut self, started_ms: i64, is: impl Fn(&Run) -> bool) -> bool {
        let first = self.runs.partition_point(|r| r.started_ms < started_ms);
        let Some(at) = self.started_at(started_ms).position(is).map(|i| first + i) else { return false };
        self.runs.remove(at);
        true
    }

    fn take(&mut self, run: Run) -> Added {
        self.end_at_midnight(&run);
        match self.find(&run) {
            Some(at) => {
                let joined = join(&self.runs[at], &run);
                if joined == self.runs[at] {
                    return Added::Known;
                }
                // The start may have moved.
                self.runs.remove(at);
                self.insert(joined);
                Added::Updated
            }
            None if self.older.covers(&run) => Added::Known,
            None => {
                self.insert(run);
                Added::New
            }
        }
    }

    /// Lives of services were one run each before they were cut into days. Such a run, still running when it was last
    /// seen, ends at the midnight where the first day of the same container begins, so that no hour counts twice. Its
    /// peak is of no day, and goes.
    fn end_at_midnight(&mut self, day: &Run) {
        if day.day.is_none() || day.started_ms.rem_euclid(DAY_MS) != 0 {
            return;
        }
        let began_before = self.runs.partition_point(|r| r.started_ms < day.started_ms);
        for run in &mut self.runs[..began_before] {
            let same = run.pod == day.pod && (run.uid.is_none() || day.uid.is_none() || run.uid == day.uid);
            if same && run.day.is_none() && run.outcome == Outcome::Running {
                run.ended_ms = run.ended_ms.min(day.started_ms);
                (run.outcome, run.memory) = (Outcome::GoesOn, None);
            }
        }
    }

    /// The kept run that `run` is a view of; the nearest start where there are several.
    fn find(&self, run: &Run) -> Option<usize> {
        let from = run.started_ms.saturating_sub(START_TOLERANCE_MS);
        let to = run.started_ms.saturating_add(START_TOLERANCE_MS);
        let first = self.runs.partition_point(|r| r.started_ms < from);
        let near = self.runs[first..].iter().take_while(|r| r.started_ms <= to);
        let same = near.enumerate().filter(|(_, r)| same_run(r, run));
        same.min_by_key(|(_, r)| r.started_ms.abs_diff(run.started_ms)).map(|(i, _)| first + i)
    }

    fn insert(&mut self, run: Run) {
        let at = self.runs.partition_point(|r| place(r) <= place(&run));
        self.runs.insert(at, run);
    }

    fn fold_surplus(&mut self) {
        let surplus = self.runs.len().saturating_sub(MAX_RUNS);
        if surplus == 0 {
            return;
        }
        // Running ones last of all: they have their peak and their end before them.
        let turn = |run: &Run| (run.outcome == Outcome::Running, run.ended_ms);
        let mut by_turn: Vec<usize> = (0..self.runs.len()).collect();
        // Stable, so runs that ended together go in the order of their start.
        by_turn.sort_by_key(|at| turn(&self.runs[*at]));
        by_turn.truncate(surplus);
        by_turn.sort_unstable();
        let (mut at, mut next) = (0, by_turn.into_iter().peekable());
        let older = &mut self.older;
        self.runs.retain(|run| {
            let fold = next.next_if_eq(&at).is_some();
            at += 1;
            if fold {
                older.fold(run);
            }
            !fold
        });
    }

    /// Adds all of another history: of the same workload seen elsewhere, or of a related workload.
    ///
    /// Runs that both keep whole are joined; what either has folded is added, so the two must not have folded the same
    /// runs. Commutative and associative, up to the choice of which runs are kept whole.
    pub fn merge(&mut self, other: &Self) {
        for run in &other.runs {
            match self.find(run) {
                Some(at) => {
                    let joined = join(&self.runs[at], run);
                    self.runs.remove(at);
                    self.insert(joined);
                }
                None => self.insert(run.clone()),
            }
        }
        self.older.merge(&other.older);
        self.fold_surplus();
    }

    /// The runs kept whole, in the order of their start.
    pub fn runs(&self) -> impl DoubleEndedIterator<Item = &Run> + ExactSizeIterator + Clone {
        self.runs.iter()
    }

    /// The runs kept whole that have ended, in the order of their start.
    pub fn finished(&self) -> impl DoubleEndedIterator<Item = &Run> + Clone {
        self.runs.iter().filter(|r| r.outcome != Outcome::Running)
    }

    /// What remains of the runs before those kept whole.
    pub fn older(&self) -> &Older {
        &self.older
    }

    /// Number of all runs ever counted, running ones included.
    pub fn total_runs(&self) -> u64 {
        self.older.runs.saturating_add(self.runs.len() as u64)
    }

    /// Whether no run was ever counted.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty() && self.older.runs == 0
    }

    /// Earliest start known, milliseconds since the epoch.
    pub fn first_ms(&self) -> Option<i64> {
        let older = (self.older.runs > 0).then_some(self.older.first_ms);
        self.runs.first().map(|r| r.started_ms).into_iter().chain(older).min()
    }

    /// Latest end, or latest sight of a running one, milliseconds since the epoch.
    pub fn last_ms(&self) -> Option<i64> {
        let older = (self.older.runs > 0).then_some(self.older.last_ms);
        self.runs.iter().map(|r| r.ended_ms).chain(older).max()
    }
}

/// Where a run stands in the order.
fn place(run: &Run) -> (i64, &str, Option<&str>) {
    (run.started_ms, &run.pod, run.uid.as_deref())
}
