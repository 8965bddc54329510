//! The statistics: from the history of one container of one workload to what its next run should ask for.
//! Pure and deterministic; knows no Kubernetes object, no engine and no clock.

pub mod by_input;
pub mod cpu;
pub mod effect;
pub mod end;
pub mod estimator;
pub mod evidence;
pub mod ladder;
pub mod memory;
pub mod replay;
pub mod score;
pub mod tail;

#[cfg(test)]
mod by_input_tests;
#[cfg(test)]
mod outcome_tests;
#[cfg(test)]
mod tests;

use serde::Serialize;

use crate::history::{History, Outcome, Resources, Run, ScaledOn, separate_sizes};
use crate::text;

pub use by_input::recommended;
pub use cpu::{CpuLimit, CpuSize};
pub use effect::Effect;
pub use end::{Bearing, End};
pub use estimator::{Estimator, Next, Observed};
pub use evidence::{Evidence, Replay};
pub use memory::{InputSize, MemorySize};

/// Fewer finished runs than this are no evidence (`n < 3` in Ponder, arXiv 2408.00047, keeps the request too).
pub const MIN_RUNS: usize = 3;
/// Days of a service that must have been seen before less is recommended. What people do repeats weekly, so fewer may
/// lack the busiest day; VPA looks back on 8 days and KRR on 14. Three, as [`MIN_RUNS`], are enough to raise a size.
pub const DAYS_TO_SHRINK: u64 = 7;

/// A change smaller than this share of what is asked for is none: it would bring nothing and would make every pod of a
/// workload look different.
pub(crate) const NEAR: f64 = 0.05;

/// What bounds every recommendation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SizingPolicy {
    /// Smallest memory to recommend, in bytes.
    pub memory_floor_bytes: u64,
    /// Largest memory to recommend, in bytes: a node's allocatable, where known.
    pub memory_ceiling_bytes: Option<u64>,
    /// Largest share of a workload's runs whose first try may fail, 0 to 1; 0 = never below a seen peak. Used only
    /// where it saves much, and only once there are enough runs to be sure of the bound.
    pub failing_share: f64,
    /// Smallest CPU request to recommend, in millicores.
    pub cpu_floor_millis: u64,
    /// What becomes of CPU limits.
    pub cpu_limit: CpuLimit,
    /// What an autoscaler is known to scale the workload on, beside what its history says: that is not sized.
    pub scaled_on: ScaledOn,
}

impl Default for SizingPolicy {
    fn default() -> Self {
        // 64 MiB: below it a container runtime's own overhead shows. 10 m: the floor that KRR and VPA's users know.
        Self {
            memory_floor_bytes: 64 << 20,
            memory_ceiling_bytes: None,
            failing_share: tail::FAILING_SHARE,
            cpu_floor_millis: 10,
            cpu_limit: CpuLimit::Keep,
            scaled_on: ScaledOn::default(),
        }
    }
}

/// A number, or why there is none.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Estimate<T> {
    /// There is evidence for this.
    Known(T),
    /// There is not, for this reason.
    Unknown(String),
}

impl<T> Estimate<T> {
    /// The number, where there is one.
    pub fn known(&self) -> Option<&T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Unknown(_) => None,
        }
    }
}

/// The recommendation for one container of one workload.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Sizing {
    /// Memory; request and limit are the same.
    pub memory: Estimate<MemorySize>,
    /// CPU request; a CPU limit goes by the policy.
    pub cpu: Estimate<CpuSize>,
    /// What both rest on.
    pub evidence: Evidence,
    /// What is in force now, as far as known.
    pub current: Resources,
}

/// Sizes one container of one workload from its history. `current` is what the next run would ask for without podfit;
/// where it is not known, what the latest run had stands for it.
pub fn recommend(history: &History, current: Option<Resources>, policy: &SizingPolicy) -> Sizing {
    let runs: Vec<&Run> = history.runs().collect();
    let current = current.unwrap_or_else(|| current_resources(&runs));
    let mut evidence = Evidence::gather(history, &runs);
    evidence.scaled_on = evidence.scaled_on.or(policy.scaled_on);
    // No size fits the work of two: it would starve one and spoil the other.
    if let Some(sizes) = separate_sizes(&runs) {
        let why = sizes.to_string();
        return Sizing { memory: Estimate::Unknown(why.clone()), cpu: Estimate::Unknown(why), evidence, current };
    }
    let memory = memory::size(&runs, history, &current, policy, &mut evidence);
    let cpu = cpu::size(&runs, &current, policy, &mut evidence);
    Sizing { memory, cpu, evidence, current }
}

/// What the latest run asked for; runs of which nothing is known are looked past.
fn current_resources(runs: &[&Run]) -> Resources {
    runs.iter().rev().map(|r| r.resources).find(|r| *r != Resources::default()).unwrap_or_default()
}

/// Why a resource that an autoscaler scales on is not sized.
const SCALED: &str = "a HorizontalPodAutoscaler scales on its share of the request, so that another request would change \
                      when it scales";

/// Why a service is not sized at all yet, where it is one.
fn too_few_days(evidence: &Evidence) -> Option<String> {
    let days = evidence.days?;
    (days < MIN_RUNS as u64)
        .then(|| format!("{days} finished day{} seen, {MIN_RUNS} are needed", text::plural(days as usize)))
}

/// Why a service's size is not lowered yet.
fn too_few_days_to_shrink(evidence: &Evidence) -> Option<String> {
    let days = evidence.days.filter(|days| *days < DAYS_TO_SHRINK)?;
    Some(format!("{days} days were seen: a size is lowered after {DAYS_TO_SHRINK}, when every weekday was among them"))
}

/// Runs that ended and whose peak is known: what may count as evidence of need.
pub(crate) fn is_finished(run: &Run) -> bool {
    run.outcome != Outcome::Running
}
