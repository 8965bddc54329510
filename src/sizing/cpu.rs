//! CPU: a request from the CPU time of whole runs. CPU is compressible: too little means slower, not dead, so a
//! quantile over runs is the aim, not the maximum. Limits are kept as they are.

use serde::Serialize;

use super::evidence::Evidence;
use super::{Answer, MIN_RUNS, NEAR, SizingPolicy, is_finished, memory};
use crate::history::{Resources, Run};

/// Share of runs whose mean use the request covers (KRR uses the same percentile, of samples).
const COVERED_SHARE: f64 = 0.95;
/// Above this share of throttled periods a run wanted more CPU than it got, so its use is no measure of its need.
const THROTTLED: f64 = 0.05;
/// Requests are whole multiples of this, in millicores, rounded up.
const STEP_MILLIS: u64 = 5;

/// A CPU recommendation.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CpuSize {
    /// Request in millicores.
    pub request_millis: u64,
    /// The rule that gave it.
    pub rule: &'static str,
    /// Set when the rule alone would have gone lower, and why it was not followed.
    pub held: Option<String>,
}

pub(super) fn size(
    runs: &[&Run],
    current: &Resources,
    policy: &SizingPolicy,
    evidence: &mut Evidence,
) -> Answer<CpuSize> {
    let mut means: Vec<f64> =
        runs.iter().filter(|r| is_finished(r)).filter_map(|r| r.cpu).map(|c| c.mean_cores).collect();
    if means.len() < MIN_RUNS {
        let seen = runs.len();
        return Answer::Unknown(match means.len() {
            0 if seen == 0 => "no run was seen".to_owned(),
            0 => format!("{seen} run{} seen, none with CPU samples enough to tell", memory::plural(seen)),
            n => format!("{n} finished run{} with CPU seen, {MIN_RUNS} are needed", memory::plural(n)),
        });
    }
    means.sort_by(f64::total_cmp);
    let rank = ((means.len() as f64 * COVERED_SHARE).ceil() as usize).clamp(1, means.len());
    let cores = means[rank - 1];
    let millis = ((cores * 1000.0 - 1e-6).ceil().max(0.0) as u64).div_ceil(STEP_MILLIS) * STEP_MILLIS;
    let mut request_millis = millis.max(policy.cpu_floor_millis);
    let mut held = None;
    let throttled = evidence.throttled_runs;
    if let Some(asked) = current.cpu_request_millis.filter(|a| *a > request_millis && throttled * 2 > means.len()) {
        request_millis = asked;
        held = Some(format!("throttled in {throttled} of {} runs: they wanted more than they used", means.len()));
    }
    if let Some(asked) = current.cpu_request_millis
        && (request_millis as f64 - asked as f64).abs() <= NEAR * asked as f64
    {
        request_millis = asked;
    }
    Answer::Known(CpuSize { request_millis, rule: "P95 of runs' mean cores", held })
}

/// Whether a run was throttled so much, in more than one of twenty CPU periods, that its use does not show its need.
pub fn was_throttled(run: &Run) -> bool {
    run.cpu.and_then(|c| c.throttled_share).is_some_and(|s| s > THROTTLED)
}
