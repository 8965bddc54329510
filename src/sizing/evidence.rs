//! What a number rests on, and what replaying the rule on the same history says of it.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use statrs::distribution::{Beta, ContinuousCDF};

use super::cpu::was_throttled;
use super::estimator::CENSORED_SHARE;
use super::is_finished;
use crate::history::{History, Outcome, PeakSource, Run, ScaledOn};

/// What both numbers of a recommendation rest on.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Evidence {
    /// Finished runs in the history, those folded into the past included.
    pub runs: u64,
    /// Runs seen but not finished.
    pub running: u64,
    /// Finished runs without a single memory sample.
    pub unobserved: u64,
    /// Start of the oldest run, milliseconds since the epoch.
    pub first_ms: Option<i64>,
    /// End of the newest run, milliseconds since the epoch.
    pub last_ms: Option<i64>,
    /// Highest memory peak in bytes.
    pub peak_max_bytes: Option<u64>,
    /// Median memory peak in bytes.
    pub peak_median_bytes: Option<u64>,
    /// Scraped memory samples over all runs.
    pub memory_samples: u64,
    /// Runs whose peak is the highest scraped sample, a lower bound.
    pub sampled_peaks: u64,
    /// Runs whose peak is the kernel's own high-water mark.
    pub cgroup_peaks: u64,
    /// Runs killed for memory.
    pub oom_kills: u64,
    /// Runs whose peak reached the limit without a kill: it says nothing about what less would do.
    pub censored: u64,
    /// Of those, runs of which nothing recorded how they ended: probably killed.
    pub suspected_kills: u64,
    /// Runs that were further tries of the same unit of work.
    pub retries: u64,
    /// Median run time in seconds.
    pub median_seconds: Option<f64>,
    /// Highest of the runs' mean cores.
    pub cores_max: Option<f64>,
    /// Median of the runs' mean cores.
    pub cores_median: Option<f64>,
    /// Runs throttled in more than one of twenty periods.
    pub throttled_runs: usize,
    /// Of a service, whose runs are days of its replicas: UTC days of which one at least is over. `None` for what is no
    /// service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub days: Option<u64>,
    /// Of a service: replicas on a day, the median; pods that a rollout replaced count as well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<u64>,
    /// What an autoscaler scales on as a share of the request.
    #[serde(skip_serializing_if = "is_nothing")]
    pub scaled_on: ScaledOn,
    /// The memory rule, replayed on this history.
    pub replay: Replay,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference over")]
fn is_nothing(scaled_on: &ScaledOn) -> bool {
    *scaled_on == ScaledOn::default()
}

impl Evidence {
    pub(super) fn gather(history: &History, runs: &[&Run]) -> Self {
        let finished: Vec<&Run> = runs.iter().copied().filter(|r| is_finished(r)).collect();
        let mut peaks: Vec<u64> = finished.iter().filter_map(|r| r.memory).map(|m| m.peak_bytes).collect();
        peaks.sort_unstable();
        let mut cores: Vec<f64> = finished.iter().filter_map(|r| r.cpu).map(|c| c.mean_cores).collect();
        cores.sort_by(f64::total_cmp);
        let mut seconds: Vec<f64> = finished.iter().map(|r| r.seconds()).collect();
        seconds.sort_by(f64::total_cmp);
        let count = |test: &dyn Fn(&Run) -> bool| finished.iter().filter(|r| test(r)).count() as u64;
        let (days, replicas) = days_and_replicas(history, runs).unzip();
        let source = |s: PeakSource| count(&|r| r.memory.is_some_and(|m| m.source == s));
        Self {
            runs: history.older().runs.saturating_add(finished.len() as u64),
            running: (runs.len() - finished.len()) as u64,
            unobserved: count(&|r| r.memory.is_none()),
            first_ms: history.first_ms(),
            last_ms: history.last_ms(),
            peak_max_bytes: peaks.last().copied().into_iter().chain(history.older().max_peak_bytes).max(),
            peak_median_bytes: middle(&peaks),
            memory_samples: runs.iter().filter_map(|r| r.memory).map(|m| u64::from(m.samples)).sum(),
            sampled_peaks: source(PeakSource::Sampled),
            cgroup_peaks: source(PeakSource::Cgroup),
            oom_kills: history.older().ooms.saturating_add(count(&|r| r.outcome == Outcome::OomKilled)),
            censored: count(&|r| r.outcome != Outcome::OomKilled && reached_limit(r)),
            suspected_kills: 0,
            retries: count(&|r| r.attempt.is_some_and(|a| a > 1)),
            median_seconds: middle(&seconds),
            cores_max: cores.last().copied(),
            cores_median: middle(&cores),
            throttled_runs: finished.iter().filter(|r| was_throttled(r)).count(),
            days,
            replicas,
            scaled_on: runs.iter().rev().find_map(|r| r.day.as_ref()).map(|day| day.scaled_on).unwrap_or_default(),
            replay: Replay::default(),
        }
    }
}

impl Evidence {
    /// How much was seen: `21 finished runs`, `14 days of 3 replicas`.
    pub fn seen(&self) -> String {
        seen(self.runs, self.days, self.replicas)
    }

    /// What a run of the history is: a day of a service, else a run.
    pub const fn unit(&self) -> &'static str {
        if self.days.is_some() { "day" } else { "run" }
    }
}

/// How much was seen, of so many finished runs, or days of so many replicas where it is a service.
pub fn seen(runs: u64, days: Option<u64>, replicas: Option<u64>) -> String {
    let counted = |n: u64, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    match (days, replicas) {
        (Some(days), Some(replicas)) if days > 0 => {
            format!("{} of {}", counted(days, "day"), counted(replicas, "replica"))
        }
        (Some(days), _) => counted(days, "finished day"),
        (None, _) => counted(runs, "finished run"),
    }
}

/// Of a service: finished days, those folded into the past included, and the median of replicas on a day.
fn days_and_replicas(history: &History, runs: &[&Run]) -> Option<(u64, u64)> {
    const DAY_MS: i64 = 86_400_000;
    runs.iter().rev().find(|r| is_finished(r) || r.day.is_some())?.day.as_ref()?;
    let mut pods: BTreeMap<i64, BTreeSet<&str>> = BTreeMap::new();
    for run in runs.iter().filter(|r| r.day.is_some() && is_finished(r)) {
        pods.entry(run.started_ms.div_euclid(DAY_MS)).or_default().insert(&run.pod);
    }
    let mut replicas: Vec<u64> = pods.values().map(|pods| pods.len() as u64).collect();
    replicas.sort_unstable();
    let older = history.older();
    let folded = if older.runs == 0 {
        0
    } else {
        let until = pods.keys().next().copied().unwrap_or(i64::MAX).min(older.last_ms.div_euclid(DAY_MS) + 1);
        until.saturating_sub(older.first_ms.div_euclid(DAY_MS)).max(0).unsigned_abs()
    };
    Some((folded + pods.len() as u64, middle(&replicas).unwrap_or(0)))
}

/// Peak at the limit.
pub fn reached_limit(run: &Run) -> bool {
    match (run.memory, run.resources.memory_limit_bytes) {
        (Some(m), Some(limit)) if limit > 0 => m.peak_bytes as f64 >= CENSORED_SHARE * limit as f64,
        _ => false,
    }
}

fn middle<T: Copy>(sorted: &[T]) -> Option<T> {
    sorted.get(sorted.len().saturating_sub(1) / 2).copied()
}

/// Share of cases that the interval may miss.
const OUTSIDE: f64 = 0.05;

/// What the memory rule would have given each run from the runs before it, and how often that was too little.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Replay {
    /// Runs for which the rule had enough before them to decide.
    pub decisions: u64,
    /// Of those, runs that needed more than it gave.
    pub exceeded: u64,
}

impl Replay {
    /// One decision: what was given, what was needed. A killed run needed more than its peak.
    pub(super) fn decide(&mut self, given_bytes: u64, peak_bytes: u64, killed: bool) {
        self.decisions += 1;
        self.exceeded += u64::from(peak_bytes > given_bytes || (killed && peak_bytes >= given_bytes));
    }

    /// Share of the decided runs that exceed, 0 to 1; `None` when nothing could be replayed.
    pub fn exceeded_share(&self) -> Option<f64> {
        (self.decisions > 0).then(|| self.exceeded as f64 / self.decisions as f64)
    }

    /// Two-sided 95 % interval of that share, 0 to 1 (Clopper and Pearson, "The use of confidence or fiducial limits",
    /// 1934): exact for few runs and rare failures, where the normal approximation says 0. 0 to 1 when nothing could be
    /// replayed.
    pub fn exceeded_share_interval(&self) -> (f64, f64) {
        let (exceeded, decisions) = (self.exceeded.min(self.decisions) as f64, self.decisions as f64);
        let quantile = |a: f64, b: f64, share: f64| Beta::new(a, b).ok().map(|beta| beta.inverse_cdf(share));
        let lower = quantile(exceeded, decisions - exceeded + 1.0, OUTSIDE / 2.0).unwrap_or(0.0);
        let upper = quantile(exceeded + 1.0, decisions - exceeded, 1.0 - OUTSIDE / 2.0).unwrap_or(1.0);
        (lower, upper)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_of_shares() {
        let of = |decisions, exceeded| Replay { decisions, exceeded }.exceeded_share_interval();
        let near = |(a, b): (f64, f64), (c, d): (f64, f64)| (a - c).abs() < 5e-4 && (b - d).abs() < 5e-4;
        // By hand: 1 − 0.025^(1/n); the others from R's binom.test.
        assert!(near(of(100, 0), (0.0, 1.0 - 0.025_f64.powf(0.01))), "{:?}", of(100, 0));
        assert!(near(of(20, 1), (0.00127, 0.24873)), "{:?}", of(20, 1));
        assert!(near(of(1000, 10), (0.00480, 0.01831)), "{:?}", of(1000, 10));
        assert!(near(of(4, 4), (0.025_f64.powf(0.25), 1.0)), "{:?}", of(4, 4));
        assert_eq!(of(0, 0), (0.0, 1.0));
        assert_eq!(Replay::default().exceeded_share(), None);
    }
}
