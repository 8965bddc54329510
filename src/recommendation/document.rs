//! The recommendations of some namespaces as one document: what `podfit recommend -o json` prints.
//! Must not know who shows it.

use serde::Serialize;

use super::{Change, Line};

/// Version of the form. 1 had no `version` field, and fields of `evidence` and `effect` in `snake_case`.
pub const VERSION: u32 = 2;

/// Everything that was found out about some namespaces.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Of the form: [`VERSION`].
    pub version: u32,
    /// Containers that do their workload's work, the most urgent first.
    pub workloads: Vec<Line>,
    /// Live pods that belong to no workload: pod, reason.
    pub unidentified_pods: Vec<(String, String)>,
    /// What was missing, what could not be read, and what to do about it.
    pub notes: Vec<String>,
    /// What it all adds up to.
    pub totals: Totals,
}

impl Report {
    /// Orders the lines and adds them up.
    pub fn new(mut workloads: Vec<Line>, unidentified_pods: Vec<(String, String)>, notes: Vec<String>) -> Self {
        workloads.sort_by_cached_key(|l| (l.urgency(), l.namespace.clone(), l.workload.clone(), l.container.clone()));
        let totals = Totals::of(&workloads);
        Self { version: VERSION, workloads, unidentified_pods, notes, totals }
    }
}

/// Sums over a report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Totals {
    /// Containers listed.
    pub containers: usize,
    /// Without a number for memory.
    pub unknown: usize,
    /// Memory that would no longer be reserved, GiB-hours a week; negative where more is needed.
    pub memory_gib_hours_per_week: f64,
    /// CPU that would no longer be reserved, core-hours a week.
    pub cpu_core_hours_per_week: f64,
    /// OOM kills in the window.
    pub oom_kills: u64,
    /// Of those, kills of runs that would have had more.
    pub oom_kills_prevented: u64,
    /// Findings of rules.
    pub findings: usize,
}

impl Totals {
    fn of(lines: &[Line]) -> Self {
        // The sum of nothing is -0.0 otherwise.
        let total = |of: fn(&Line) -> Option<f64>| lines.iter().filter_map(of).fold(0.0, |all, one| all + one);
        Self {
            containers: lines.len(),
            unknown: lines
                .iter()
                .filter(|l| l.verdict.memory == Change::Unknown && !l.evidence.scaled_on.memory)
                .count(),
            memory_gib_hours_per_week: total(|l| l.effect.memory_gib_hours_per_week),
            cpu_core_hours_per_week: total(|l| l.effect.cpu_core_hours_per_week),
            oom_kills: lines.iter().map(|l| l.evidence.oom_kills).sum(),
            oom_kills_prevented: lines.iter().map(|l| l.effect.oom_kills_prevented).sum(),
            findings: lines.iter().map(|l| l.findings.len()).sum(),
        }
    }
}
