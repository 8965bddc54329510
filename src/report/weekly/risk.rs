//! What may go wrong with a container, what shows it, and what mends it: one sentence each.

use serde::Serialize;

use super::words::{counted, were};
use super::{Counts, Row};
use crate::quantity::Quantity;
use crate::recommendation::Change;
use crate::text::units;

/// What is at risk, the most serious first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RiskKind {
    /// Runs were killed for memory.
    OomKills,
    /// Runs reached the memory limit and ended in a way that nothing recorded.
    SuspectedKills,
    /// It asks for less memory than its runs show that it needs.
    Undersized,
    /// Runs reached the memory limit and went on.
    AtLimit,
    /// No memory request or limit, or none was recorded.
    NoMemoryLimit,
    /// Runs were throttled by a CPU limit.
    Throttled,
    /// No CPU request, or none was recorded.
    NoCpuRequest,
}

impl RiskKind {
    /// As people read it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OomKills => "OOM kills",
            Self::SuspectedKills => "probable OOM kills",
            Self::Undersized => "asks for too little",
            Self::AtLimit => "peaks at the limit",
            Self::NoMemoryLimit => "no memory limit",
            Self::Throttled => "CPU throttled",
            Self::NoCpuRequest => "no CPU request",
        }
    }
}

/// One risk of one container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Risk {
    /// What.
    pub kind: RiskKind,
    /// Its place in [`super::Weekly::workloads`].
    pub row: usize,
    /// Namespace.
    pub namespace: String,
    /// The workload's text form.
    pub workload: String,
    /// Container.
    pub container: String,
    /// Runs of the period that show it.
    pub runs: u64,
    /// What was seen, one sentence without its full stop.
    pub seen: String,
    /// What mends it, one sentence without its full stop.
    pub fix: String,
}

/// The risks of a row; of memory only the most serious that was seen.
pub(super) fn of(at: usize, row: &Row) -> Vec<Risk> {
    let mut found: Vec<(RiskKind, u64, String, String)> = Vec::new();
    let runs = &row.now.runs;
    if runs.runs() > 0 {
        found.extend(memory(row));
        if row.current.memory_limit.is_none() {
            found.push(no_limit(row));
        }
        if runs.throttled > 0 {
            found.push(throttled(row));
        }
        if row.current.cpu_request.is_none() {
            let fix = row.recommended.cpu_request.map_or_else(
                || "Set a CPU request; how much is not known yet".to_owned(),
                |cpu| format!("Set a CPU request of {}", units::cpu(cpu.millis_rounded_up())),
            );
            let seen = "its newest run has no CPU request, or none was recorded".to_owned();
            found.push((RiskKind::NoCpuRequest, runs.without_cpu_request, seen, fix));
        }
    }
    found
        .into_iter()
        .map(|(kind, runs, seen, fix)| Risk {
            kind,
            row: at,
            namespace: row.namespace.clone(),
            workload: row.workload.clone(),
            container: row.container.clone(),
            runs,
            seen,
            fix,
        })
        .collect()
}

fn memory(row: &Row) -> Option<(RiskKind, u64, String, String)> {
    let runs = &row.now.runs;
    let more = (row.verdict.memory == Change::Raise).then(|| row.needed_memory()).flatten();
    let limit = row.asked_memory();
    let at = limit.map(|l| format!(" of {}", memory_of(l))).unwrap_or_default();
    let raise = |more: Quantity| format!("Set memory request and limit to {}", memory_of(more));
    if runs.oom_kills > 0 {
        let seen = format!("{} {} OOM-killed", counted_of(runs.oom_kills, runs), were(runs.oom_kills));
        let fix = match more {
            Some(more) => raise(more),
            None if row.needed_memory().is_some() => {
                "Nothing more: what it asks for now is no less than what is recommended".to_owned()
            }
            None => format!("Raise memory above its limit{at}; how much it needs is not known yet"),
        };
        return Some((RiskKind::OomKills, runs.oom_kills, seen, fix));
    }
    if runs.suspected_kills > 0 {
        let seen = format!(
            "{} ended at the memory limit{at}, by SIGKILL or in a way that nothing recorded",
            counted_of(runs.suspected_kills, runs)
        );
        let fix = more.map_or_else(
            || "Keep finished pods until their end is scraped; then the reason is known".to_owned(),
            raise,
        );
        return Some((RiskKind::SuspectedKills, runs.suspected_kills, seen, fix));
    }
    if let Some(more) = more {
        let peak = row.peak_max_bytes.map_or_else(
            || "its runs need more than it asks for".to_owned(),
            |peak| {
                format!("its highest peak is {}, and it asks for {}", units::memory(peak), units::memory_or_dash(limit))
            },
        );
        return Some((RiskKind::Undersized, runs.finished, peak, raise(more)));
    }
    (runs.at_limit > 0).then(|| {
        let seen = format!("{} reached the memory limit{at} and went on", counted_of(runs.at_limit, runs));
        let fix = "Raise the limit for one run: if the peak stays, it is page cache or a heap of fixed size".to_owned();
        (RiskKind::AtLimit, runs.at_limit, seen, fix)
    })
}

fn no_limit(row: &Row) -> (RiskKind, u64, String, String) {
    let what = if row.current.memory_request.is_some() { "memory limit" } else { "memory request and no memory limit" };
    let fix = match (row.needed_memory(), row.peak_max_bytes) {
        (Some(size), _) => format!("Set memory request and limit to {}", memory_of(size)),
        (None, Some(peak)) => format!("Set a memory limit above its highest peak, {}", units::memory(peak)),
        (None, None) => "Set a memory limit; how much is not known yet".to_owned(),
    };
    let runs = row.now.runs.runs();
    (RiskKind::NoMemoryLimit, runs, format!("its newest run has no {what}, or none was recorded"), fix)
}

fn throttled(row: &Row) -> (RiskKind, u64, String, String) {
    let runs = &row.now.runs;
    let limit = row.current.cpu_limit.map(|l| format!(" of {}", units::cpu(l.millis_rounded_up()))).unwrap_or_default();
    let seen = format!("{} {} throttled by the CPU limit", counted_of(runs.throttled, runs), were(runs.throttled));
    let fix = format!("Raise or remove the CPU limit{limit}; podfit keeps CPU limits as they are");
    (RiskKind::Throttled, runs.throttled, seen, fix)
}

fn memory_of(quantity: Quantity) -> String {
    units::memory(quantity.bytes_rounded_up())
}

/// `3 of 21 runs`, `all 21 days`, `its only run`.
fn counted_of(some: u64, runs: &Counts) -> String {
    let what = if runs.days > 0 { "day" } else { "run" };
    match (some, runs.finished) {
        (1, 1) => format!("its only {what}"),
        (some, all) if some == all => format!("all {}", counted(all, what)),
        (some, all) => format!("{some} of {}", counted(all, what)),
    }
}
