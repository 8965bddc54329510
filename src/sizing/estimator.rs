//! The seam between what is known of earlier runs and the memory that the next one gets: every way to say so, ours and
//! the known ones, is an `Estimator`. Knows no workload, no file and no clock.

use crate::history::{Older, Run};

/// A peak at or above this share of the limit says no more than that the limit was reached (page cache, a JVM's heap).
pub const CENSORED_SHARE: f64 = 0.98;

/// What is known of a run that ended.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Observed {
    /// Highest memory use, in bytes. Of a killed run a lower bound of its need.
    pub peak_bytes: f64,
    /// Run time in seconds.
    pub seconds: Option<f64>,
    /// Start, in seconds since the epoch.
    pub start_seconds: Option<f64>,
    /// Size of its input in bytes, where it was known before the run.
    pub input_bytes: Option<f64>,
    /// Memory limit in force, in bytes.
    pub limit_bytes: Option<f64>,
    /// Whether it was killed for memory.
    pub killed: bool,
    /// In a replay: what this very estimator had given the run at first, in bytes. If that is less than the peak, it
    /// would have failed. `None` outside of replays, and for runs that it was not asked about.
    pub given_bytes: Option<f64>,
}

impl Observed {
    /// From a run of a history; `None` without a peak.
    pub fn of(run: &Run) -> Option<Self> {
        Some(Self {
            peak_bytes: run.memory?.peak_bytes as f64,
            seconds: Some(run.seconds()),
            start_seconds: Some(run.started_ms as f64 / 1000.0),
            input_bytes: run.input_bytes,
            limit_bytes: run.resources.memory_limit_bytes.map(|b| b as f64),
            killed: run.was_killed(),
            given_bytes: None,
        })
    }

    /// Whether the peak says no more than that the limit was reached.
    pub fn censored(&self) -> bool {
        self.killed || self.limit_bytes.is_some_and(|limit| limit > 0.0 && self.peak_bytes >= CENSORED_SHARE * limit)
    }
}

/// What is known of the run that is to be sized.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Next {
    /// Its start, in seconds since the epoch.
    pub start_seconds: Option<f64>,
    /// Size of its input in bytes, where it is known before the run.
    pub input_bytes: Option<f64>,
    /// What it would ask for without podfit, in bytes.
    pub requested_bytes: Option<f64>,
    /// Highest use so far of runs that have not ended, in bytes: a lower bound of their own peaks.
    pub running_peak_bytes: Option<f64>,
}

/// One way to say how much memory the next run gets. Has no randomness: the same runs, the same answer.
pub trait Estimator {
    /// Takes in what remains of runs that are no longer kept singly. Comes before any [`Self::observe`].
    fn observe_older(&mut self, older: &Older) {
        let _ = older;
    }

    /// Takes in a run that ended, in the order in which they ended or started.
    fn observe(&mut self, run: &Observed);

    /// What the next run gets, in bytes; `None` when this way has no answer.
    fn recommend(&self, next: &Next) -> Option<f64>;

    /// Its formula as users read it.
    fn formula(&self) -> &'static str;
}

/// `max·(1 + 1/n)`: for exchangeable runs the chance that the next one exceeds the largest of n is at most 1/(n+1), so
/// the margin that is needed shrinks with n.
#[derive(Clone, Copy, Debug, Default)]
pub struct MaxWithShrinkingMargin {
    runs: u64,
    max: f64,
}

impl Estimator for MaxWithShrinkingMargin {
    fn observe_older(&mut self, older: &Older) {
        self.runs = self.runs.saturating_add(older.runs);
        self.max = self.max.max(older.max_peak_bytes.unwrap_or(0) as f64);
    }

    fn observe(&mut self, run: &Observed) {
        self.runs = self.runs.saturating_add(1);
        self.max = self.max.max(run.peak_bytes);
    }

    fn recommend(&self, next: &Next) -> Option<f64> {
        let highest = self.max.max(next.running_peak_bytes.unwrap_or(0.0));
        (self.runs > 0).then(|| highest * (1.0 + 1.0 / self.runs as f64))
    }

    fn formula(&self) -> &'static str {
        "max·(1+1/n)"
    }
}
