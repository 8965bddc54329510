//! What following a recommendation would bring, had the seen runs been given it.

use serde::Serialize;

use super::end::killed_at;
use super::is_finished;
use crate::history::{History, Resources, Run};
use crate::quantity::GIB_F64;

const WEEK_SECONDS: f64 = 7.0 * 86_400.0;

/// What the change would bring per week of the observed window. Positive = less is reserved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Effect {
    /// Hours that its runs take in a week, those that run side by side each for itself.
    pub hours_per_week: f64,
    /// Memory request times run time no longer reserved, GiB-hours a week. `None` where no request is set or known.
    pub memory_gib_hours_per_week: Option<f64>,
    /// Of that, what runs hold beyond their first try, GiB-hours a week: it is subtracted there already.
    pub failed_gib_hours_per_week: f64,
    /// CPU request times run time no longer reserved, core-hours a week. `None` where no request is set or known.
    pub cpu_core_hours_per_week: Option<f64>,
    /// Runs in the window that were OOM-killed below the new size.
    pub oom_kills_prevented: u64,
}

impl Effect {
    /// Of giving the seen runs this much memory (bytes) and CPU (millicores) instead of what they asked for now; where
    /// their sizes changed in place, instead of what held. Runs that
    /// need more than that memory fail once or more often, each time for their whole run time, and get the steps of
    /// `ladder` (bytes) one after the other: what they hold then counts too.
    pub fn of(
        history: &History,
        current: &Resources,
        memory_bytes: Option<u64>,
        ladder: &[u64],
        cpu_millis: Option<u64>,
    ) -> Self {
        let runs: Vec<&Run> = history.runs().collect();
        let seconds: f64 = runs.iter().map(|r| r.seconds()).sum();
        let (Some(first), Some(last)) =
            (runs.iter().map(|r| r.started_ms).min(), runs.iter().map(|r| r.ended_ms).max())
        else {
            return Self::default();
        };
        // A window shorter than a week says little about a week: it is not extrapolated.
        let window = (last.saturating_sub(first).max(0) as f64 / 1000.0).max(WEEK_SECONDS);
        let hours_per_week = seconds / 3600.0 * WEEK_SECONDS / window;
        let retried: f64 =
            memory_bytes.map_or(0.0, |size| runs.iter().map(|r| beyond_first_try(r, size, ladder)).sum());
        let retried_per_week = retried / 3600.0 * WEEK_SECONDS / window / GIB_F64;
        let resized = |now: u64, of: fn(&Resources) -> Option<u64>| {
            let seconds: f64 = runs.iter().map(|r| beyond_now(r, now as f64, of)).sum();
            seconds / 3600.0 * WEEK_SECONDS / window
        };
        Self {
            hours_per_week,
            memory_gib_hours_per_week: memory_bytes.zip(current.memory_request_bytes).map(|(size, asked)| {
                let held = resized(asked, |r| r.memory_request_bytes) / GIB_F64;
                (asked as f64 - size as f64) / GIB_F64 * hours_per_week + held - retried_per_week
            }),
            failed_gib_hours_per_week: retried_per_week,
            cpu_core_hours_per_week: cpu_millis.zip(current.cpu_request_millis).map(|(size, asked)| {
                let held = resized(asked, |r| r.cpu_request_millis) / 1000.0;
                (asked as f64 - size as f64) / 1000.0 * hours_per_week + held
            }),
            oom_kills_prevented: memory_bytes.map_or(0, |size| {
                runs.iter()
                    .filter(|r| is_finished(r) && r.was_killed() && r.resources.memory_limit_bytes.is_some())
                    .filter(|r| killed_at(r).is_some_and(|limit| size > limit))
                    .count() as u64
            }),
        }
    }
}

/// What a run whose size changed in place reserved beyond what is asked for now, in the unit of the size times seconds.
fn beyond_now(run: &Run, now: f64, of: fn(&Resources) -> Option<u64>) -> f64 {
    if run.observation.as_ref().is_none_or(|o| o.held.is_empty()) {
        return 0.0;
    }
    run.held().map(|(seconds, held)| (of(&held).map_or(now, |size| size as f64) - now) * seconds).sum()
}

/// Byte-seconds that a run holds in all tries but the first, and in that for more than its own run time.
fn beyond_first_try(run: &Run, size: u64, ladder: &[u64]) -> f64 {
    let Some(peak) = run.memory.map(|m| m.peak_bytes).filter(|peak| *peak > size && is_finished(run)) else {
        return 0.0;
    };
    let mut held = 0.0;
    for step in ladder {
        held += *step as f64;
        if *step >= peak {
            return held * run.seconds();
        }
    }
    (held + peak as f64) * run.seconds()
}
