//! Memory: from the peaks of earlier runs to one number, request and limit alike. The number comes from an estimator;
//! what kills, limits and thin evidence add to it is said here.

use serde::{Deserialize, Serialize};

use super::by_input::ByInput;
use super::estimator::{CENSORED_SHARE, Estimator, Next, Observed};
use super::evidence::{Evidence, Replay, reached_limit};
use super::ladder::{Need, ladder, next_after};
use super::replay::ASKED_AT;
use super::{Answer, MIN_RUNS, NEAR, SCALED, SizingPolicy, is_finished, too_few_days, too_few_days_to_shrink};
use crate::history::{History, Outcome, PeakSource, Resources, Run};

/// Sizes are whole mebibytes, rounded up.
const MIB: f64 = 1_048_576.0;
/// After an OOM kill at a limit, with no finished run above it, the next try gets this much of the limit. Doubling is
/// the retry rule of Witt et al. (HPCS 2019) and of the sizing literature since.
const OOM_FACTOR: f64 = 2.0;
/// Where runs ended at their limit and nothing recorded how, a kill is likely but not proven: one step of VPA's
/// (`vertical-pod-autoscaler`, `oom-bump-up-ratio` 1.2) instead of a doubling.
const SUSPECTED_FACTOR: f64 = 1.2;
/// With fewer scraped samples in the median run than this, a peak between two of them is likely to have been missed: at
/// a 30 s scrape the highest sample of a run under a minute is more than 15 % too low in four of five cases, of a run
/// of 1 to 5 minutes in one of fifteen, and a job that starts on the minute is sampled at the same moments every time.
/// From 10 minutes on, which are 20 samples at that interval, it is one of forty.
const SAMPLES_PER_RUN_TO_SHRINK: u32 = 20;

/// A service gets at least this much of its highest peak. The margin of the rule is for runs that begin anew each time;
/// days of one process are no such trials, and the kill that they would risk is an outage. VPA
/// (`recommendation-margin-fraction`) and KRR (`memory_buffer_percentage`) add the same 15 %.
const SERVICE_MARGIN: f64 = 1.15;

/// A memory recommendation.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MemorySize {
    /// Request and limit, in bytes, whole MiB.
    pub bytes: u64,
    /// The rule that gave it.
    pub rule: &'static str,
    /// The peak that the rule covers, in bytes, before its margin.
    pub covered_bytes: u64,
    /// Runs whose peak lies above that: left to a retry, because covering them would cost more.
    pub runs_above: usize,
    /// Set when the rule alone would have gone lower, and why it was not followed.
    pub held: Option<String>,
    /// What attempts 2, 3, … get when the ones before were killed for memory: bytes, whole MiB, ascending, each above
    /// `bytes`. Empty where there is nothing more to give.
    pub ladder: Vec<u64>,
    /// What is enough where the size of the input is known before the run, ascending; `bytes` above the last. Empty
    /// where inputs are not known or make no difference.
    pub by_input: Vec<InputSize>,
}

/// Memory of a run whose input is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InputSize {
    /// Largest input that it is for, in bytes.
    pub up_to_input_bytes: u64,
    /// Request and limit, in bytes, whole MiB.
    pub bytes: u64,
}

impl MemorySize {
    /// What a run with so large an input gets, in bytes.
    pub fn for_input(&self, input_bytes: u64) -> u64 {
        self.by_input.iter().find(|size| input_bytes <= size.up_to_input_bytes).map_or(self.bytes, |size| size.bytes)
    }

    /// What a run gets after it was killed at some limit, in bytes: [`next_after`] of this size and its ladder.
    pub fn after_kill_at(&self, limit_bytes: u64, ceiling_bytes: Option<u64>) -> u64 {
        let steps: Vec<u64> = std::iter::once(self.bytes).chain(self.ladder.iter().copied()).collect();
        next_after(&steps, limit_bytes, ceiling_bytes)
    }
}

pub(super) fn size(
    runs: &[&Run],
    history: &History,
    current: &Resources,
    policy: &SizingPolicy,
    evidence: &mut Evidence,
) -> Answer<MemorySize> {
    let finished: Vec<&Run> = runs.iter().copied().filter(|r| is_finished(r) && r.memory.is_some()).collect();
    let is_service = evidence.days.is_some();
    // A day is no run that is tried again: a kill there is an outage, so none is accepted.
    let mut estimator = ByInput::new(if is_service { 0.0 } else { policy.failing_share });
    let mut replay = Replay::default();
    let roomy = |bytes: f64, highest: f64| if is_service { bytes.max(SERVICE_MARGIN * highest) } else { bytes };
    let mut known = history.older().runs;
    let mut highest_before = history.older().max_peak_bytes.unwrap_or(0) as f64;
    if known > 0 {
        estimator.observe_older(history.older());
    }
    // As in a backtest, the replay asks anew at some lengths of the history only and holds the answer in between.
    let mut held_answer = None;
    for run in &finished {
        let Some(mut seen) = Observed::of(run) else { continue };
        if ASKED_AT.contains(&(known as usize)) || (held_answer.is_none() && known >= MIN_RUNS as u64) {
            held_answer = estimator.recommend(&next_of(run)).map(|bytes| rounded(roomy(bytes, highest_before)));
        }
        if let Some(given) = held_answer {
            replay.decide(given, seen.peak_bytes as u64, seen.killed);
        }
        highest_before = highest_before.max(seen.peak_bytes);
        seen.peak_bytes *= unsampled_margin(run);
        estimator.observe(&seen);
        known = known.saturating_add(1);
    }
    evidence.replay = replay;

    if evidence.scaled_on.memory {
        return Answer::Unknown(SCALED.to_owned());
    }
    let killed_at = unanswered_oom(&finished);
    if let (Some(why), None) = (too_few_days(evidence), killed_at) {
        return Answer::Unknown(why);
    }
    if known < MIN_RUNS as u64 && killed_at.is_none() {
        return Answer::Unknown(too_few(finished.len(), runs.len()));
    }
    // Running ones are lower bounds of their own peak: they may raise the size, never count towards n.
    let running = runs.iter().filter(|r| !is_finished(r)).filter_map(|r| r.memory).map(|m| m.peak_bytes).max();
    let seen = finished.iter().filter_map(|r| r.memory).map(|m| m.peak_bytes).max();
    let older = history.older().max_peak_bytes;
    let highest = seen.into_iter().chain(running).chain(older).max().unwrap_or(0) as f64;
    let asked = current.memory_limit_bytes.or(current.memory_request_bytes);
    let next = Next {
        requested_bytes: asked.map(|b| b as f64),
        running_peak_bytes: running.map(|b| b as f64),
        ..Next::default()
    };
    let mut bytes = estimator.recommend(&next).unwrap_or(highest);
    let chosen = estimator.chosen(&next);
    let mut rule = chosen.map_or(estimator.formula(), |chosen| chosen.formula);
    if roomy(bytes, highest) > bytes {
        bytes = roomy(bytes, highest);
        rule = "1.15·highest peak of a day";
    }
    let by_rule = rounded(bytes);
    let mut held = None;
    if let Some(limit) = killed_at
        && OOM_FACTOR * limit as f64 > bytes
    {
        bytes = OOM_FACTOR * limit as f64;
        rule = "2·limit that killed";
    }
    if let Some(limit) = suspected_kill(&finished, evidence)
        && SUSPECTED_FACTOR * limit as f64 > bytes
    {
        bytes = SUSPECTED_FACTOR * limit as f64;
        rule = "1.2·limit reached";
    }
    let mut bytes = rounded(bytes).max(policy.memory_floor_bytes);
    let reason = too_few_days_to_shrink(evidence).or_else(|| reason_not_to_shrink(&finished));
    if let (Some(asked), Some(why)) = (asked.filter(|a| *a > bytes), reason) {
        bytes = asked;
        held = Some(why);
    }
    if let Some(asked) = asked
        && (bytes as f64 - asked as f64).abs() <= NEAR * asked as f64
        && asked as f64 >= highest * (1.0 + NEAR / 2.0)
    {
        bytes = asked;
    }
    if let Some(ceiling) = policy.memory_ceiling_bytes.filter(|c| bytes > *c) {
        bytes = ceiling.max(highest as u64);
        held = Some("no node has more to give".to_owned());
    }
    let (covered, runs_above) = chosen.map_or((highest, 0), |c| (c.allocation.level, c.allocation.above));
    let ladder = ladder(&needs(&finished), bytes, policy.memory_ceiling_bytes);
    // After a kill without answer, and on thin evidence, no input makes less memory safe.
    let by_input = if held.is_none() && bytes <= by_rule.max(policy.memory_floor_bytes) {
        inputs(&estimator, &next, bytes, policy)
    } else {
        Vec::new()
    };
    Answer::Known(MemorySize { bytes, rule, covered_bytes: covered as u64, runs_above, held, ladder, by_input })
}

/// The table of the estimator within the bounds; nothing gets more than without its input.
fn inputs(estimator: &ByInput, next: &Next, bytes: u64, policy: &SizingPolicy) -> Vec<InputSize> {
    let least = next.running_peak_bytes.map_or(0, rounded).max(policy.memory_floor_bytes);
    let mut sizes: Vec<InputSize> = Vec::new();
    for (input, size) in estimator.table() {
        let size = rounded(size).max(least).min(bytes);
        sizes.retain(|before| before.bytes < size);
        sizes.push(InputSize { up_to_input_bytes: input as u64, bytes: size });
    }
    sizes
}

/// What the runs needed, as the ladder takes it.
fn needs(finished: &[&Run]) -> Vec<Need> {
    let need = |run: &&Run| {
        let bytes = run.memory?.peak_bytes as f64 * unsampled_margin(run);
        Some(Need { bytes, seconds: run.seconds(), killed: run.outcome == Outcome::OomKilled })
    };
    finished.iter().filter_map(need).collect()
}

/// The highest of m scraped samples is a lower bound of the peak: by the reasoning of `max·(1+1/n)`, of samples instead
/// of runs, 1/m is added. The kernel's own mark and reported peaks need none, nor does a part of a day too short to tell:
/// it is one of many views of a service whose other days tell more.
fn unsampled_margin(run: &Run) -> f64 {
    match run.memory {
        Some(m) if run.day.is_some() && m.samples < SAMPLES_PER_RUN_TO_SHRINK => 1.0,
        Some(m) if m.source == PeakSource::Sampled && m.samples > 0 => 1.0 + 1.0 / f64::from(m.samples),
        _ => 1.0,
    }
}

/// A run as it looked before it started, without its input: the one number that is recommended holds for all inputs.
fn next_of(run: &Run) -> Next {
    Next {
        start_seconds: Some(run.started_ms as f64 / 1000.0),
        input_bytes: None,
        requested_bytes: run.resources.memory_request_bytes.map(|b| b as f64),
        running_peak_bytes: None,
    }
}

/// The highest limit that a run reached before it ended in a way that nothing recorded: pods that are deleted as soon
/// as they end (Spark's executors) are often gone before their reason is scraped.
fn suspected_kill(finished: &[&Run], evidence: &mut Evidence) -> Option<u64> {
    let suspects: Vec<u64> = finished
        .iter()
        .filter(|r| r.outcome == Outcome::Unknown && reached_limit(r))
        .filter_map(|r| r.resources.memory_limit_bytes)
        .collect();
    evidence.suspected_kills = suspects.len() as u64;
    suspects.into_iter().max()
}

fn too_few(finished: usize, all: usize) -> String {
    match (finished, all) {
        (0, 0) => "no run was seen".to_owned(),
        (0, n) => format!("{n} run{} seen, none finished with a memory sample", plural(n)),
        (n, _) => format!("{n} finished run{} seen, {MIN_RUNS} are needed", plural(n)),
    }
}

pub(super) fn plural(n: usize) -> &'static str {
    if n == 1 { "" } else { "s" }
}

/// The highest limit at which a run was OOM-killed and above which none has finished since: the need is unknown there.
fn unanswered_oom(finished: &[&Run]) -> Option<u64> {
    finished
        .iter()
        .enumerate()
        .filter(|(_, run)| run.outcome == Outcome::OomKilled)
        .filter_map(|(i, run)| {
            let killed_at = run.resources.memory_limit_bytes.or(run.memory.map(|m| m.peak_bytes))?;
            let answered = finished.iter().skip(i + 1).any(|later| {
                later.outcome != Outcome::OomKilled
                    && later.resources.memory_limit_bytes.is_none_or(|limit| limit > killed_at)
                    && later.memory.is_some_and(|m| m.peak_bytes as f64 >= CENSORED_SHARE * killed_at as f64)
            });
            (!answered).then_some(killed_at)
        })
        .max()
}

/// Less memory only on evidence that less is enough.
fn reason_not_to_shrink(finished: &[&Run]) -> Option<String> {
    let seen: Vec<_> = finished.iter().filter_map(|r| r.memory).collect();
    let mut scraped: Vec<u32> = seen.iter().filter(|m| m.source == PeakSource::Sampled).map(|m| m.samples).collect();
    // Where the kernel's own marks are there, the few runs without one change nothing.
    if scraped.len() * 2 <= seen.len() {
        return None;
    }
    scraped.sort_unstable();
    let median = scraped.get(scraped.len() / 2).copied().unwrap_or(0);
    (median < SAMPLES_PER_RUN_TO_SHRINK).then(|| {
        format!(
            "a run was scraped {median} time{} only: a higher peak may have fallen between two samples; scrape \
             container_memory_max_usage_bytes, or more often",
            plural(median as usize)
        )
    })
}

/// Whole MiB, rounded up; never negative, never more than 8 EiB.
fn rounded(bytes: f64) -> u64 {
    const MOST: f64 = 9.0e18;
    // A product that is whole on paper must not be rounded up for its last bit.
    const FLOAT_DUST: f64 = 1e-6;
    (((bytes.clamp(0.0, MOST) / MIB - FLOAT_DUST).ceil()).max(0.0) * MIB) as u64
}
