//! CPU: a request from the CPU time of whole runs and of time slices within them. CPU is compressible: too little means
//! slower, not dead. A request counts only where the node is full, so that is the case it is made for.
//!
//! # What it optimises
//! Of requests `r` the one that makes the resources that runs hold least: `Σ T·s(r)·(r + h)`, the cores reserved and
//! the memory held, in cores ([`GIB_PER_CORE`]), for as long as the run takes when it gets no more than `r` cores:
//! `s(r)` times its run time `T`. Of a run its mean use `m` is known, and its highest use over a slice between two
//! scrapes, `p`. The use with these two that suffers most is `p` for `m/p` of the time and none otherwise; for that,
//! `s(r) = 1 + m/r − m/p` where `r < p`. A run that was throttled would have used at least its limit, so that is its
//! `p`.
//!
//! This price alone would let every second run wait, because waiting is cheap for a run with little memory. So there is
//! a bound below: the mean use of 19 of 20 runs ([`COVERED_SHARE`]), with which these never take longer than they would
//! have with that use spread evenly. Slices raise the request above it only where that saves a tenth ([`WORTH_IT`]):
//! where much memory is held by runs with bursts. One run alone cannot, as all are weighed by their run time.
//!
//! # Services
//! A service that waits for CPU does not run longer, it answers later, and its need is its busy time, not its mean. So
//! its request is another: of every day of every replica the use over five minutes that 95 of 100 such slices do not
//! exceed, and of these days the same percentile. On a full node, then, what a replica does takes longer than it should
//! in at most 72 minutes of 19 of 20 days, and no more cores are reserved than that needs.

use serde::{Deserialize, Serialize};

use super::end::Bearing;
use super::evidence::{Evidence, was_throttled};
use super::{Estimate, MIN_RUNS, NEAR, SCALED, SizingPolicy, is_finished, too_few_days, too_few_days_to_shrink};
use crate::history::{Resources, Run};
use crate::quantity::GIB_F64;
use crate::text;

/// Share of runs whose mean use the request covers (KRR uses the same percentile, of samples).
pub const COVERED_SHARE: f64 = 0.95;
/// Memory that costs as much as a core: what general-purpose machines of the large clouds have to each (AWS m, Google
/// n2-standard, Azure D).
pub const GIB_PER_CORE: f64 = 4.0;
/// Requests are whole multiples of this, in millicores, rounded up.
const STEP_MILLIS: u64 = 5;
/// A request above the bound must cost at most this share of what the bound costs: the busiest slice of a steady run is
/// always a little above its mean, and that is no reason to ask for more.
const WORTH_IT: f64 = 0.9;
/// Requests that are weighed, from the bound below to the highest slice, evenly spread on a logarithmic scale.
const CANDIDATES: u32 = 16;

/// The rule where slices raised the request.
pub const BURSTS: &str = "bursts weighed against waiting";
/// The rule for services.
pub const BUSY: &str = "P95 of days' busy time";

/// What becomes of CPU limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CpuLimit {
    /// They stay as they are: none is removed, none is added.
    #[default]
    Keep,
    /// There should be none. Nothing is set, and a limit that is there is named.
    None,
    /// So many times the request, at least 1, where there is one already; never less than the highest use seen.
    Ratio(f64),
}

/// A CPU recommendation.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CpuSize {
    /// Request in millicores.
    pub request_millis: u64,
    /// Limit in millicores; `None` = as it is.
    pub limit_millis: Option<u64>,
    /// The rule that gave the request.
    pub rule: &'static str,
    /// Set when the rule alone would have gone lower, and why it was not followed.
    pub held: Option<String>,
}

/// One run, as far as its CPU goes.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Use {
    /// Cores, mean over the run.
    mean: f64,
    /// Cores, mean over its busiest slice; of a throttled run at least its limit.
    peak: f64,
    seconds: f64,
    /// Memory held, in cores.
    held: f64,
    /// Of a day of a service: cores in its busy time.
    busy: Option<f64>,
}

impl Use {
    fn of(run: &Run) -> Option<Self> {
        let cpu = run.cpu.filter(|c| c.mean_cores.is_finite() && c.mean_cores >= 0.0)?;
        let limit = run.resources.cpu_limit_millis.filter(|_| was_throttled(run)).map(|m| m as f64 / 1000.0);
        let seen = cpu.peak_cores.filter(|p| p.is_finite());
        Some(Self {
            mean: cpu.mean_cores,
            peak: [seen, limit].into_iter().flatten().fold(cpu.mean_cores, f64::max),
            seconds: run.seconds().max(1.0),
            held: run.memory.map_or(0.0, |m| m.peak_bytes as f64 / GIB_F64 / GIB_PER_CORE),
            busy: run.day.as_ref().and_then(|day| day.busy_cores).filter(|b| b.is_finite() && *b >= 0.0),
        })
    }

    /// What it holds with so many cores, in core-seconds.
    fn cost(&self, cores: f64) -> f64 {
        let longer = if cores < self.peak { 1.0 + self.mean / cores - self.mean / self.peak } else { 1.0 };
        self.seconds * longer * (cores + self.held)
    }
}

pub(super) fn size(
    runs: &[&Run],
    current: &Resources,
    policy: &SizingPolicy,
    evidence: &mut Evidence,
) -> Estimate<CpuSize> {
    if evidence.scaled_on.cpu {
        return Estimate::Unknown(SCALED.to_owned());
    }
    if let Some(why) = too_few_days(evidence) {
        return Estimate::Unknown(why);
    }
    let is_service = evidence.days.is_some();
    // A run that failed may have failed before its work began.
    let done: Vec<&Run> =
        runs.iter().copied().filter(|r| is_finished(r) && Bearing::of(r) != Bearing::Failed).collect();
    let uses: Vec<Use> = done.iter().filter_map(|r| Use::of(r)).collect();
    if uses.len() < MIN_RUNS {
        let seen = runs.len();
        return Estimate::Unknown(match uses.len() {
            0 if evidence.failed > 0 && done.is_empty() => evidence.too_few(0),
            0 if seen == 0 => "no run was seen".to_owned(),
            0 => format!("{seen} run{} seen, none with CPU samples enough to tell", text::plural(seen)),
            n => format!("{n} finished run{} with CPU seen, {MIN_RUNS} are needed", text::plural(n)),
        });
    }
    let (cores, rule) = if is_service {
        (ninety_fifth(uses.iter().map(|u| u.busy.unwrap_or(u.mean))), BUSY)
    } else {
        let covering = covering(&uses);
        let cores = cheapest(&uses, covering);
        (cores, if cores > covering { BURSTS } else { "P95 of runs' mean cores" })
    };
    let mut request_millis = in_steps(cores).max(policy.cpu_floor_millis);
    let mut held = None;
    let throttled = done.iter().filter(|r| was_throttled(r)).count();
    if let Some(asked) = current.cpu_request_millis.filter(|a| *a > request_millis && throttled * 2 > uses.len()) {
        request_millis = asked;
        let what = if is_service { "days" } else { "runs" };
        held = Some(format!("throttled in {throttled} of {} {what}: they wanted more than they used", uses.len()));
    }
    if let (Some(asked), Some(why)) =
        (current.cpu_request_millis.filter(|a| *a > request_millis), too_few_days_to_shrink(evidence))
    {
        (request_millis, held) = (asked, Some(why));
    }
    if let Some(asked) = current.cpu_request_millis
        && (request_millis as f64 - asked as f64).abs() <= NEAR * asked as f64
    {
        request_millis = asked;
    }
    let limit_millis = match policy.cpu_limit {
        CpuLimit::Ratio(ratio) if current.cpu_limit_millis.is_some() => {
            let highest = uses.iter().map(|u| u.peak).fold(0.0, f64::max);
            Some(in_steps(ratio.max(1.0) * request_millis as f64 / 1000.0).max(in_steps(highest)))
        }
        _ => None,
    };
    Estimate::Known(CpuSize { request_millis, limit_millis, rule, held })
}

/// The mean use that [`COVERED_SHARE`] of the runs do not exceed.
fn covering(uses: &[Use]) -> f64 {
    ninety_fifth(uses.iter().map(|u| u.mean))
}

/// What [`COVERED_SHARE`] of the values do not exceed; 0 of none.
fn ninety_fifth(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let rank = ((values.len() as f64 * COVERED_SHARE).ceil() as usize).max(1);
    values.get(rank - 1).copied().unwrap_or(0.0)
}

/// The request from `least` up with which the runs hold least; `least` where none is worth it.
fn cheapest(uses: &[Use], least: f64) -> f64 {
    let most = uses.iter().map(|u| u.peak).fold(least, f64::max);
    if least <= 0.0 || most <= least {
        return least;
    }
    let cost = |cores: f64| uses.iter().map(|u| u.cost(cores)).sum::<f64>();
    let mut best = (least, WORTH_IT * cost(least));
    for step in 1..=CANDIDATES {
        let cores = least * (most / least).powf(f64::from(step) / f64::from(CANDIDATES));
        let cost = cost(cores);
        if cost < best.1 {
            best = (cores, cost);
        }
    }
    best.0
}

fn in_steps(cores: f64) -> u64 {
    ((cores * 1000.0 - 1e-6).ceil().max(0.0) as u64).div_ceil(STEP_MILLIS) * STEP_MILLIS
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;
    use crate::history::{CpuUse, Outcome};

    fn used(mean: f64, peak: f64, gib: f64) -> Use {
        Use { mean, peak, seconds: 600.0, held: gib / GIB_PER_CORE, busy: None }
    }

    /// The exact minimum of one kind of run is at √(h·m / (1 − m/p)), between the bound and the peak.
    #[rstest]
    #[case::steady(1.0, 1.0, 8.0, 1.0)]
    #[case::nearly_steady(1.0, 1.1, 8.0, 1.0)]
    #[case::little_memory(1.0, 4.0, 0.5, 1.0)]
    #[case::as_much_memory_as_cores(1.0, 4.0, 16.0, (4.0_f64 / 0.75).sqrt())]
    #[case::much_memory(1.0, 4.0, 256.0, 4.0)]
    fn bursts_count_by_the_memory_that_waits(
        #[case] mean: f64,
        #[case] peak: f64,
        #[case] gib: f64,
        #[case] expected: f64,
    ) {
        let uses = vec![used(mean, peak, gib); 20];
        let cores = cheapest(&uses, covering(&uses));
        // The grid is a sixteenth of the way apart.
        let grid = (peak / mean).powf(1.0 / 16.0);
        assert!(cores / expected <= grid && expected / cores <= grid, "{cores} instead of {expected}");
    }

    #[test]
    fn one_burst_in_many_runs_changes_nothing() {
        let mut uses = vec![used(1.0, 1.0, 4.0); 50];
        uses[7].peak = 16.0;
        assert_eq!(cheapest(&uses, covering(&uses)), 1.0);
    }

    #[test]
    fn one_run_in_twenty_may_use_more() {
        let mut uses = vec![used(1.0, 1.0, 4.0); 20];
        uses[3] = used(3.0, 3.0, 4.0);
        assert_eq!(covering(&uses), 1.0);
        uses[4] = used(2.0, 2.0, 4.0);
        assert_eq!(covering(&uses), 2.0);
    }

    #[rstest]
    #[case::zero(0.0, Some(0.0), 10)]
    #[case::no_number(f64::NAN, None, 0)]
    #[case::negative(-1.0, None, 0)]
    #[case::peak_that_is_no_number(1.0, Some(f64::NAN), 1000)]
    #[case::peak_without_end(1.0, Some(f64::INFINITY), 1000)]
    fn absurd_uses(#[case] mean: f64, #[case] peak: Option<f64>, #[case] expected: u64) {
        let run = |day: i64| Run {
            pod: format!("p-{day}"),
            uid: None,
            started_ms: day * 86_400_000,
            ended_ms: day * 86_400_000,
            memory: None,
            cpu: Some(CpuUse { mean_cores: mean, peak_cores: peak, throttled_share: Some(f64::NAN) }),
            resources: Resources::default(),
            outcome: Outcome::Completed,
            attempt: None,
            input_bytes: None,
            jvm: None,
            day: None,
            observation: None,
        };
        let runs: Vec<Run> = (0..9).map(run).collect();
        let runs: Vec<&Run> = runs.iter().collect();
        let size = size(&runs, &Resources::default(), &SizingPolicy::default(), &mut Evidence::default());
        assert_eq!(size.known().map_or(0, |size| size.request_millis), expected);
    }

    proptest! {
        #[test]
        fn nothing_between_bound_and_peak_is_much_cheaper(
            runs in prop::collection::vec((0.01_f64..8.0, 1.0_f64..8.0, 0.0_f64..64.0, 1.0_f64..1e5), 3..40),
            at in 0.0_f64..1.0,
        ) {
            let uses: Vec<Use> = runs.iter()
                .map(|(mean, times, gib, seconds)| Use { seconds: *seconds, ..used(*mean, mean * times, *gib) })
                .collect();
            let least = covering(&uses);
            let cores = cheapest(&uses, least);
            let most = uses.iter().map(|u| u.peak).fold(least, f64::max);
            prop_assert!(cores >= least && cores <= most * (1.0 + 1e-9));
            let cost = |r: f64| uses.iter().map(|u| u.cost(r)).sum::<f64>();
            let other = least + at * (most - least);
            prop_assert!(cost(cores) <= cost(other) * (most / least).powf(1.0 / 16.0) / WORTH_IT);
        }
    }
}
