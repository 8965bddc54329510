//! What allocations cost: memory-time wasted, attempts that fail, and both summed up by workflow and method.
//! The formula is Witt's (HPCS 2019), as Sizey (CLUSTER 2024) and others since use it.

use serde::Serialize;

use super::replay::{Row, allocated};

/// Bytes and seconds to GB·h, with GB = 10⁹ bytes.
const GB_HOURS: f64 = 1e9 * 3600.0;
/// Run time of rows in groups of which no run time is known, in seconds: then every run weighs the same.
const SECONDS_WHEN_UNKNOWN: f64 = 60.0;
/// Each retry gets this many times the memory of the attempt before.
const RETRY_FACTOR: f64 = 2.0;

/// What the memory of one or many runs came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Tally {
    /// Runs.
    pub runs: u64,
    /// Of them, runs whose first attempt failed.
    pub oom_runs: u64,
    /// Attempts that failed.
    pub failed_attempts: u64,
    /// Peak × run time, GB·h.
    pub used_gb_hours: f64,
    /// Allocation × time of all attempts less what was used, GB·h.
    pub wasted_gb_hours: f64,
    /// Of the waste, what failed attempts held, GB·h.
    pub failed_gb_hours: f64,
}

impl Tally {
    /// Adds a run: `given` at first, `peak` needed, in bytes. An attempt with less than the peak fails after
    /// `time_to_failure` of the run time, and the next gets twice as much, up to the node. A run that needs more than
    /// the node is charged as if it had got just that.
    pub fn add(&mut self, given: f64, peak: f64, seconds: f64, node_bytes: f64, time_to_failure: f64) {
        let (mut attempt, mut failed) = (given, 0.0);
        self.runs += 1;
        self.oom_runs += u64::from(attempt < peak);
        while attempt < peak {
            failed += attempt;
            self.failed_attempts += 1;
            let next = allocated(RETRY_FACTOR * attempt, node_bytes).min(node_bytes);
            attempt = if next > attempt { next } else { peak };
        }
        let failed = failed * time_to_failure;
        self.used_gb_hours += peak * seconds / GB_HOURS;
        self.failed_gb_hours += failed * seconds / GB_HOURS;
        self.wasted_gb_hours += (failed + attempt - peak) * seconds / GB_HOURS;
    }

    /// Adds those of others.
    pub fn merge(&mut self, other: &Self) {
        self.runs += other.runs;
        self.oom_runs += other.oom_runs;
        self.failed_attempts += other.failed_attempts;
        self.used_gb_hours += other.used_gb_hours;
        self.wasted_gb_hours += other.wasted_gb_hours;
        self.failed_gb_hours += other.failed_gb_hours;
    }

    /// Adds the decided runs of a group.
    pub fn add_group(&mut self, rows: &[Row], decisions: &[Option<f64>], node_bytes: f64, time_to_failure: f64) {
        let known: Vec<f64> = rows.iter().filter_map(|r| r.cleaned().seconds).collect();
        let typical =
            if known.is_empty() { SECONDS_WHEN_UNKNOWN } else { known.iter().sum::<f64>() / known.len() as f64 };
        for (row, given) in rows.iter().zip(decisions) {
            let row = row.cleaned();
            if let (Some(given), Some(peak)) = (given, row.peak_bytes) {
                self.add(*given, peak, row.seconds.unwrap_or(typical), node_bytes, time_to_failure);
            }
        }
    }

    /// Waste over use; `None` when nothing was used.
    pub fn waste_per_used(&self) -> Option<f64> {
        (self.used_gb_hours > 0.0).then(|| self.wasted_gb_hours / self.used_gb_hours)
    }

    /// Share of runs whose first attempt failed, 0 to 1; `None` without runs.
    pub fn oom_share(&self) -> Option<f64> {
        (self.runs > 0).then(|| self.oom_runs as f64 / self.runs as f64)
    }
}

/// How a method did over all workflows. Every workflow weighs the same, because one with large memory would otherwise
/// speak for all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Score {
    /// Workflows in which the method decided any run.
    pub workflows: usize,
    /// Decided runs.
    pub runs: u64,
    /// Mean over workflows of waste over use.
    pub waste_per_used: Option<f64>,
    /// Mean over workflows of the share of runs whose first attempt failed, 0 to 1.
    pub oom_share: Option<f64>,
    /// The same of the worst workflow.
    pub worst_oom_share: Option<f64>,
    /// Waste relative to the reference's, geometric mean over workflows.
    pub relative_waste: Option<f64>,
    /// The same, with the reference asked before every run.
    pub relative_waste_every_run: Option<f64>,
    /// Sums over all runs.
    pub total: Tally,
}

impl Score {
    /// Of one tally per workflow, beside the reference's and, asked before every run, the reference's of the same.
    pub fn of(method: &[Tally], reference: &[Tally], reference_every_run: &[Tally]) -> Self {
        let decided: Vec<&Tally> = method.iter().filter(|t| t.runs > 0).collect();
        let mut total = Tally::default();
        for tally in &decided {
            total.merge(tally);
        }
        let shares = || decided.iter().filter_map(|t| t.oom_share());
        Self {
            workflows: decided.len(),
            runs: total.runs,
            waste_per_used: mean(decided.iter().filter_map(|t| t.waste_per_used())),
            oom_share: mean(shares()),
            worst_oom_share: shares().max_by(f64::total_cmp),
            relative_waste: relative(method, reference),
            relative_waste_every_run: relative(method, reference_every_run),
            total,
        }
    }
}

/// Geometric mean of waste over use relative to the reference's. Workflows without waste have no logarithm and are
/// left out.
fn relative(method: &[Tally], reference: &[Tally]) -> Option<f64> {
    let logs = method.iter().zip(reference).filter_map(|(ours, theirs)| {
        let (ours, theirs) = (ours.waste_per_used()?, theirs.waste_per_used()?);
        (ours > 0.0 && theirs > 0.0).then(|| (ours / theirs).ln())
    });
    mean(logs).map(f64::exp)
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, n) = values.fold((0.0, 0_u32), |(sum, n), v| (sum + v, n + 1));
    (n > 0).then(|| sum / f64::from(n))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    use crate::quantity::GIB_F64;
    const HOUR: f64 = 3600.0;

    /// Worked out by hand, in GiB and hours: failed allocations × φ × time + (last − peak) × time.
    #[rstest]
    #[case::fits(4.0, 3.0, 2.0, 1.0, 0, 2.0)]
    #[case::exactly(3.0, 3.0, 2.0, 1.0, 0, 0.0)]
    #[case::one_retry(2.0, 3.0, 1.0, 1.0, 1, 2.0 + 1.0)]
    #[case::one_retry_that_fails_early(2.0, 3.0, 1.0, 0.5, 1, 1.0 + 1.0)]
    #[case::two_retries(1.0, 3.0, 2.0, 1.0, 2, (1.0 + 2.0 + 1.0) * 2.0)]
    #[case::capped_by_the_node(10.0, 15.0, 1.0, 1.0, 1, 10.0 + 1.0)]
    #[case::more_than_the_node(10.0, 20.0, 1.0, 1.0, 2, 10.0 + 16.0)]
    #[case::takes_no_time(1.0, 3.0, 0.0, 1.0, 2, 0.0)]
    fn wastage(
        #[case] given: f64,
        #[case] peak: f64,
        #[case] hours: f64,
        #[case] time_to_failure: f64,
        #[case] failed: u64,
        #[case] wasted: f64,
    ) {
        let mut tally = Tally::default();
        tally.add(given * GIB_F64, peak * GIB_F64, hours * HOUR, 16.0 * GIB_F64, time_to_failure);
        assert_eq!((tally.runs, tally.oom_runs, tally.failed_attempts), (1, u64::from(failed > 0), failed));
        assert!((tally.wasted_gb_hours - wasted * GIB_F64 / 1e9).abs() < 1e-9, "{tally:?}");
        assert!((tally.used_gb_hours - peak * hours * GIB_F64 / 1e9).abs() < 1e-9, "{tally:?}");
    }

    #[test]
    fn unknown_times_weigh_as_the_known_ones_of_their_group() {
        let row = |seconds| Row { peak_bytes: Some(GIB_F64), seconds, ..Row::default() };
        let given = vec![Some(2.0 * GIB_F64); 3];
        let of = |rows: &[Row]| {
            let mut tally = Tally::default();
            tally.add_group(rows, &given, 16.0 * GIB_F64, 1.0);
            tally.waste_per_used()
        };
        assert_eq!(of(&[row(Some(10.0)), row(None), row(Some(f64::NAN))]), Some(1.0));
        assert_eq!(of(&[row(None), row(None), row(None)]), Some(1.0));
        assert_eq!(of(&[row(Some(0.0)), row(Some(0.0)), row(Some(0.0))]), None);
    }

    #[test]
    fn every_workflow_weighs_the_same() {
        let tally = |runs, oom_runs, used, wasted| Tally {
            runs,
            oom_runs,
            used_gb_hours: used,
            wasted_gb_hours: wasted,
            ..Tally::default()
        };
        let ours = [tally(1000, 0, 1000.0, 100.0), tally(10, 1, 1.0, 0.9), Tally::default()];
        let theirs = [tally(1000, 0, 1000.0, 400.0), tally(10, 0, 1.0, 0.9), tally(10, 0, 1.0, 9.0)];
        let score = Score::of(&ours, &theirs, &theirs);
        assert_eq!((score.workflows, score.runs, score.worst_oom_share), (2, 1010, Some(0.1)));
        assert!((score.waste_per_used.unwrap() - 0.5).abs() < 1e-12);
        assert!((score.oom_share.unwrap() - 0.05).abs() < 1e-12);
        // Geometric mean of 1/4 and 1.
        assert!((score.relative_waste.unwrap() - 0.5).abs() < 1e-12);
    }
}
