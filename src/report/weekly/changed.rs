//! Requests and limits that changed in the period, whether the new ones are what podfit recommended, and what came of
//! it. Only the runs are evidence; who made a change is not written on them.

use serde::Serialize;

use super::amounts::End;
use super::money::rounded;
use super::{Entry, Settings};
use crate::history::{History, Resources, Run};
use crate::quantity::GIB_F64;
use crate::quantity::Quantity;
use crate::sizing::recommend;

/// A recommendation may be this many runs older than the first run that has it.
const RUNS_BACK: usize = 10;

/// Where a new size comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// It is, to the byte, what podfit recommended from the runs before it.
    Recommended,
    /// It is not, or that cannot be told: made right for its constraints, set by somebody, made by another tool.
    NotKnown,
}

/// Requests and limits of a container that are not what they were before the period.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SizeChange {
    /// Namespace.
    pub namespace: String,
    /// The workload's text form.
    pub workload: String,
    /// Container.
    pub container: String,
    /// Start of the first run from which on all have the new ones, milliseconds since the epoch.
    pub since_ms: i64,
    /// Before.
    pub from: Resources,
    /// Now.
    pub to: Resources,
    /// Where the new ones come from.
    pub source: Source,
    /// Finished runs since, of the period.
    pub runs_since: u64,
    /// Of them, killed for memory, proven or probable.
    pub memory_failures_since: u64,
    /// The same of the last runs before, as many as there are since.
    pub memory_failures_before: u64,
    /// Memory that the runs since no longer reserved, GiB-hours; negative where it was more. `None` where a request is
    /// not known.
    pub memory_gib_hours_saved: Option<f64>,
    /// CPU that they no longer reserved, core-hours.
    pub cpu_core_hours_saved: Option<f64>,
}

pub(super) fn of(entry: &Entry<'_>, settings: &Settings) -> Option<SizeChange> {
    let period = settings.period;
    let known = |r: &&Run| r.resources != Resources::default();
    let runs: Vec<&Run> = entry.history.runs().filter(known).filter(|r| r.started_ms <= period.end_ms).collect();
    let first = runs.partition_point(|r| r.started_ms <= period.start_ms);
    let from = runs.get(first.checked_sub(1)?)?.resources;
    let to = runs.get(first..)?.last()?.resources;
    if from == to {
        return None;
    }
    let since = runs.iter().rposition(|r| r.resources != to)? + 1;
    let since_ms = runs.get(since)?.started_ms;
    let after: Vec<&Run> = runs[since..].iter().copied().filter(|r| period.has_end_of(r)).collect();
    let before = &runs[since.saturating_sub(after.len())..since];
    let failures = |runs: &[&Run]| runs.iter().filter(|r| is_memory_failure(r)).count() as u64;
    let hours: f64 = runs[since..].iter().map(|r| period.hours_of(r)).sum();
    let saved = |from: Option<u64>, to: Option<u64>, unit: f64| {
        from.zip(to).map(|(from, to)| rounded((from as f64 - to as f64) / unit * hours))
    };
    let memory = |of: &Resources| of.memory_request_bytes.or(of.memory_limit_bytes);
    let cpu = |of: &Resources| of.cpu_request_millis.or(of.cpu_limit_millis);
    Some(SizeChange {
        namespace: entry.line.namespace.clone(),
        workload: entry.line.workload.clone(),
        container: entry.line.container.clone(),
        since_ms,
        from,
        to,
        source: source(entry, since_ms, &to, settings),
        runs_since: after.len() as u64,
        memory_failures_since: failures(&after),
        memory_failures_before: failures(before),
        memory_gib_hours_saved: saved(memory(&from), memory(&to), GIB_F64),
        cpu_core_hours_saved: saved(cpu(&from), cpu(&to), 1000.0),
    })
}

fn is_memory_failure(run: &Run) -> bool {
    matches!(End::of(run), End::Killed | End::Suspected)
}

/// Whether the new memory, and the new CPU request where it is new, is what came out of the runs that had ended before.
fn source(entry: &Entry<'_>, since_ms: i64, to: &Resources, settings: &Settings) -> Source {
    let ended: Vec<&Run> = entry.history.runs().filter(|r| r.ended_ms <= since_ms).collect();
    // Without what was folded, the answer of then cannot be computed again.
    if entry.history.older().runs > 0 {
        return Source::NotKnown;
    }
    let most = ended.len();
    for count in (most.saturating_sub(RUNS_BACK)..=most).rev() {
        let mut then = History::new();
        then.add_all(ended[..count].iter().map(|r| (*r).clone()));
        let sizing = recommend(&then, None, &settings.policy);
        let memory = sizing.memory.known().map(|m| Quantity::from_bytes_mib_rounded_up(m.bytes).bytes_rounded_up());
        let same_memory = memory.is_some() && memory == to.memory_request_bytes && memory == to.memory_limit_bytes;
        let same_cpu = sizing.cpu.known().is_none_or(|c| Some(c.request_millis) == to.cpu_request_millis);
        if same_memory && same_cpu {
            return Source::Recommended;
        }
    }
    Source::NotKnown
}
