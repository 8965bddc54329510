//! Memory: from the peaks of earlier runs to one number, request and limit alike. The number comes from an estimator;
//! what kills, limits and thin evidence add to it is said here.

use serde::{Deserialize, Serialize};

use super::by_input::ByInput;
use super::end::{Bearing, End, filled_limit, has_succeeded, killed_at};
use super::estimator::{CENSORED_SHARE, Estimator, Next, Observed};
use super::evidence::{Evidence, Replay, Says};
use super::ladder::{Need, ladder};
use super::replay::ASKED_AT;
use super::{Estimate, MIN_RUNS, NEAR, SCALED, SizingPolicy, is_finished, too_few_days, too_few_days_to_shrink};
use crate::history::{Doubt, History, Outcome, PeakSource, Resources, Run};
use crate::quantity::{MIB_F64, Quantity};
use crate::text::plural;

/// After an OOM kill at a limit, with no finished run above it, the next try gets this much of the limit. Doubling is
/// the retry rule of Witt et al. (HPCS 2019) and of the sizing literature since.
const OOM_FACTOR: f64 = 2.0;
/// Where runs ended at their limit and nothing recorded how, a kill is likely but not proven: one step of VPA's
/// (`vertical-pod-autoscaler`, `oom-bump-up-ratio` 1.2) instead of a doubling.
const SUSPECTED_FACTOR: f64 = 1.2;
/// The rule where runs filled their limit and came to a good end: it is kept.
const ENOUGH: &str = "limit that runs reached and completed in";
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
}

/// The finished runs that have a memory sample, and which of them count.
struct Finished<'a> {
    runs: Vec<(&'a Run, Bearing)>,
    /// Runs whose need was seen whole.
    needs: usize,
    /// Runs that count: those, or where they are too few those with a lower bound too.
    counted: usize,
}

impl<'a> Finished<'a> {
    fn of(runs: &[&'a Run]) -> Self {
        let seen: Vec<&Run> = runs.iter().copied().filter(|run| is_finished(run) && run.memory.is_some()).collect();
        let bearings = Bearing::of_all(&seen);
        let runs: Vec<(&Run, Bearing)> = seen.into_iter().zip(bearings).collect();
        let number = |of: Bearing| runs.iter().filter(|(_, bearing)| *bearing == of).count();
        let needs = number(Bearing::Need);
        let counted = if needs < MIN_RUNS { needs + number(Bearing::Bounded) } else { needs };
        Self { runs, needs, counted }
    }

    /// Whether lower bounds stand in for needs: they make a number, but lower none.
    const fn is_by_lower_bounds(&self) -> bool {
        self.needs < MIN_RUNS
    }

    fn counts(&self, bearing: Bearing) -> bool {
        bearing == Bearing::Need || (bearing == Bearing::Bounded && self.is_by_lower_bounds())
    }

    fn counting(&self) -> impl Iterator<Item = &'a Run> + Clone + '_ {
        self.runs.iter().filter(|(_, bearing)| self.counts(*bearing)).map(|(run, _)| *run)
    }

    fn with(&self, bearing: Bearing) -> impl Iterator<Item = &'a Run> + Clone + '_ {
        self.runs.iter().filter(move |(_, of)| *of == bearing).map(|(run, _)| *run)
    }

    /// The highest limit that a run reached and came to a good end in: it was enough.
    fn enough(&self) -> Option<u64> {
        let well = self.counting().filter(|run| End::of(run) == End::AtLimit && filled_limit(run));
        well.filter_map(|run| run.resources.memory_limit_bytes).max()
    }

    /// The highest peak in bytes; of those at their limit no more than that, and without those that `left_out` names.
    fn highest(&self, left_out: impl Fn(&Run, Bearing) -> bool) -> Option<u64> {
        self.runs.iter().filter(|(run, bearing)| !left_out(run, *bearing)).map(|(run, _)| peak_in_limit(run)).max()
    }

    /// Whether nothing is known of any run but what may be a small part of what it used.
    fn is_all_in_the_dark(&self) -> bool {
        const IN_THE_DARK: [Doubt; 2] = [Doubt::Frozen, Doubt::LivesMerged];
        self.is_by_lower_bounds() && self.counting().all(|run| run.doubts().has_any(&IN_THE_DARK))
    }
}

/// Shows the estimator the runs one by one, and what it would have given each from those before it. As in a backtest it
/// is asked anew at some lengths of the history only, and its answer holds in between.
fn replayed(
    estimator: &mut ByInput,
    finished: &Finished<'_>,
    history: &History,
    roomy: impl Fn(f64, f64) -> f64,
) -> Replay {
    let mut replay = Replay::default();
    let mut known = history.older().runs;
    let mut highest_before = history.older().max_peak_bytes.unwrap_or(0) as f64;
    let mut held_answer = None;
    for (run, bearing) in &finished.runs {
        let Some(seen) = Observed::of(run) else { continue };
        if ASKED_AT.contains(&(known as usize)) || (held_answer.is_none() && known >= MIN_RUNS as u64) {
            held_answer = estimator.recommend(&next_of(run)).map(|bytes| rounded(roomy(bytes, highest_before)));
        }
        if let Some(given) = held_answer {
            replay.decide(given, seen.peak_bytes as u64, Says::of(*bearing, finished.counts(*bearing)));
        }
        if finished.counts(*bearing) {
            highest_before = highest_before.max(seen.peak_bytes);
            estimator.observe(&Observed { peak_bytes: bound(run, *bearing), ..seen });
            known = known.saturating_add(1);
        }
    }
    replay
}

pub(super) fn size(
    runs: &[&Run],
    history: &History,
    current: &Resources,
    policy: &SizingPolicy,
    evidence: &mut Evidence,
) -> Estimate<MemorySize> {
    let finished = Finished::of(runs);
    let is_service = evidence.days.is_some();
    // A day is no run that is tried again: a kill there is an outage, so none is accepted.
    let failing_share = if is_service { 0.0 } else { policy.failing_share };
    let roomy = |bytes: f64, highest: f64| if is_service { bytes.max(SERVICE_MARGIN * highest) } else { bytes };
    let mut estimator = new_estimator(failing_share, history);
    evidence.replay = replayed(&mut estimator, &finished, history, roomy);

    if evidence.scaled_on.memory {
        return Estimate::Unknown(SCALED.to_owned());
    }
    if finished.runs.is_empty() {
        return Estimate::Unknown(too_few_days(evidence).unwrap_or_else(|| unsampled(runs, evidence)));
    }
    let killed_at = unanswered(runs, Run::was_killed);
    if let (Some(why), None) = (too_few_days(evidence), killed_at) {
        return Estimate::Unknown(why);
    }
    let suspected = finished.with(Bearing::Suspected).count();
    let suffices = finished.counted + suspected >= MIN_RUNS && (suspected > 0 || finished.counted >= MIN_RUNS);
    if !suffices && killed_at.is_none() {
        return Estimate::Unknown(evidence.too_few(finished.counted as u64));
    }
    // Running ones are lower bounds of their own peak: they may raise the size, never count towards n.
    let running = runs.iter().filter(|r| !is_finished(r)).filter_map(|r| r.memory).map(|m| m.peak_bytes).max();
    let older = history.older().max_peak_bytes;
    let highest_of = |seen: Option<u64>| seen.into_iter().chain(running).chain(older).max().unwrap_or(0) as f64;
    let highest = highest_of(finished.highest(|_, _| false));
    let asked = current.memory_limit_bytes.or(current.memory_request_bytes);
    if finished.is_all_in_the_dark() && asked.is_none() && killed_at.is_none() {
        return Estimate::Unknown(evidence.why_not_lowered(finished.needs as u64));
    }
    let next = Next {
        requested_bytes: asked.map(|b| b as f64),
        running_peak_bytes: running.map(|b| b as f64),
        ..Next::default()
    };
    let mut bytes = estimator.recommend(&next).unwrap_or(highest);
    let mut chosen = estimator.chosen(&next);
    if let Some((with_bounds, most)) = with_lower_bounds(&estimator, &finished, failing_share, history)
        && let Some(more) = with_bounds.recommend(&next).map(|more| more.min(most))
    {
        if more > bytes {
            bytes = more;
            chosen = with_bounds.chosen(&next);
        }
        estimator = with_bounds;
    }
    let mut rule = chosen.map_or(estimator.formula(), |chosen| chosen.formula);
    // What is full at a limit without proof that it is a need gets no margin on top.
    let proven = highest_of(
        finished.highest(|run, bearing| !finished.counts(bearing) && bearing != Bearing::Killed && filled_limit(run)),
    );
    if roomy(bytes, proven) > bytes {
        bytes = roomy(bytes, proven);
        rule = "1.15·highest peak of a day";
    }
    let enough = finished.enough();
    if let Some(enough) = enough.map(|limit| limit as f64)
        && highest <= enough
        && bytes > enough
    {
        bytes = enough;
        rule = ENOUGH;
    }
    let by_rule = rounded(bytes);
    let mut held = None;
    if let Some(limit) = killed_at
        && OOM_FACTOR * limit as f64 > bytes
    {
        bytes = OOM_FACTOR * limit as f64;
        rule = "2·limit that killed";
    }
    if let Some(limit) = suspected_kill(runs, enough)
        && SUSPECTED_FACTOR * limit as f64 > bytes
    {
        bytes = SUSPECTED_FACTOR * limit as f64;
        rule = "1.2·limit reached";
    }
    let mut bytes = rounded(bytes).max(policy.memory_floor_bytes);
    let reason = too_few_days_to_shrink(evidence).or_else(|| reason_not_to_shrink(&finished, evidence));
    if let (Some(asked), Some(why)) = (asked.filter(|a| *a > bytes), reason) {
        bytes = asked;
        held = Some(why);
    }
    if let Some(asked) = asked
        && (bytes as f64 - asked as f64).abs() <= NEAR * asked as f64
        && (asked > bytes || asked as f64 >= highest * (1.0 + NEAR / 2.0))
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
    Estimate::Known(MemorySize { bytes, rule, covered_bytes: covered as u64, runs_above, held, ladder, by_input })
}

fn new_estimator(failing_share: f64, history: &History) -> ByInput {
    let mut estimator = ByInput::new(failing_share);
    if history.older().runs > 0 {
        estimator.observe_older(history.older());
    }
    estimator
}

/// The estimator with those lower bounds that are above what it gives without them, and the most that it may give then,
/// in bytes; `None` where there are none. A lower bound below says nothing, so that runs that failed at their start
/// dilute no tail. One that reached its limit may be page cache, which fills any limit: it raises a size to that limit
/// and no further.
fn with_lower_bounds(
    estimator: &ByInput,
    finished: &Finished<'_>,
    failing_share: f64,
    history: &History,
) -> Option<(ByInput, f64)> {
    let raises = |run: &Run, bearing| {
        let next = Next { input_bytes: run.input_bytes, ..next_of(run) };
        estimator.recommend(&next).is_some_and(|given| bound(run, bearing) > given)
    };
    let chosen: Vec<&(&Run, Bearing)> =
        finished.runs.iter().filter(|(run, bearing)| finished.counts(*bearing) || raises(run, *bearing)).collect();
    if chosen.len() == finished.counted {
        return None;
    }
    let mut with_bounds = new_estimator(failing_share, history);
    let (mut proven, mut at_limit) = (0.0_f64, 0.0_f64);
    for (run, bearing) in chosen {
        let Some(seen) = Observed::of(run) else { continue };
        let bound = bound(run, *bearing);
        if *bearing != Bearing::Killed && filled_limit(run) {
            at_limit = at_limit.max(bound);
        } else {
            proven = proven.max(bound);
        }
        with_bounds.observe(&Observed { peak_bytes: bound, ..seen });
    }
    Some((with_bounds, if at_limit > proven { at_limit } else { f64::INFINITY }))
}

/// What a run needed at least, in bytes: its peak, with room for what lies between two samples. Of a peak at the limit
/// the limit itself, of a killed run no less than the limit that killed it.
fn bound(run: &Run, bearing: Bearing) -> f64 {
    let peak = run.memory.map_or(0, |m| m.peak_bytes) as f64 * unsampled_margin(run);
    match bearing {
        Bearing::Killed => killed_at(run).map_or(peak, |limit| peak.max(limit as f64)),
        _ => within_limit(run, peak),
    }
}

/// The peak, in bytes; where it is at the limit, no more than that.
fn peak_in_limit(run: &Run) -> u64 {
    within_limit(run, run.memory.map_or(0, |m| m.peak_bytes) as f64) as u64
}

fn within_limit(run: &Run, bytes: f64) -> f64 {
    match run.resources.memory_limit_bytes {
        Some(limit) if !run.was_killed() && filled_limit(run) => bytes.min(limit as f64),
        _ => bytes,
    }
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
fn needs(finished: &Finished<'_>) -> Vec<Need> {
    let need = |(run, bearing): &(&Run, Bearing)| Need {
        bytes: run.memory.map_or(0, |m| m.peak_bytes) as f64 * unsampled_margin(run),
        seconds: run.seconds(),
        killed: !finished.counts(*bearing),
    };
    finished.runs.iter().map(need).collect()
}

/// The highest of m scraped samples is a lower bound of the peak: by the reasoning of `max·(1+1/n)`, of samples instead
/// of runs, 1/m is added. The kernel's own mark and reported peaks need none, nor does a part of a day too short to
/// tell:
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

/// The limit that one step is added to because of suspected kills, in bytes.
///
/// Of runs that failed at their limit it is the highest. Of runs that ended there in a way that nothing recorded (pods
/// that are deleted as soon as they end, as Spark's executors, are often gone before their reason is scraped) it is the
/// lowest: memory that is full at every limit it gets is page cache, and what it was given once must not make it grow
/// again. A limit that runs reached and came to a good end in was enough for those.
fn suspected_kill(runs: &[&Run], enough: Option<u64>) -> Option<u64> {
    let suspected = |run: &Run| is_finished(run) && End::of(run) == End::Suspected;
    let failed = unanswered(runs, |run| suspected(run) && run.outcome == Outcome::Failed);
    let vanished: Vec<u64> = unanswered_all(runs, |run| suspected(run) && run.outcome != Outcome::Failed).collect();
    let vanished = vanished.into_iter().filter(|limit| enough.is_none_or(|enough| *limit > enough)).min();
    failed.max(vanished)
}

/// Why there is no number where no finished run has a memory sample.
fn unsampled(runs: &[&Run], evidence: &Evidence) -> String {
    // A run of two minutes and more is seen wherever somebody looks.
    const SEEN_SECONDS: f64 = 120.0;
    if evidence.never_sampled == 0 || evidence.never_sampled < evidence.unobserved {
        return evidence.too_few(0);
    }
    let n = evidence.never_sampled;
    let mut text = format!("{n} run{}, none sampled", plural(n as usize));
    if evidence.oom_kills > 0 {
        text.push_str(&format!(", {} killed", evidence.oom_kills));
    }
    text.push_str(if evidence.median_seconds.is_some_and(|median| median >= SEEN_SECONDS) {
        ", long as they are: let Prometheus scrape /metrics/cadvisor of the kubelets that they ran on"
    } else {
        ": they end before the kubelet's refresh, every 10 to 15 s, and a scrape see them; let them push their own peak"
    });
    let last = runs.iter().rev().find(|run| is_finished(run) && run.was_killed());
    if let Some(limit) = last.and_then(|run| killed_at(run)) {
        let quantity = |bytes: f64| Quantity::from_bytes_mib_rounded_up(rounded(bytes));
        let limit = limit as f64;
        text.push_str(&format!("; the last kill was at {}: try {}", quantity(limit), quantity(OOM_FACTOR * limit)));
    }
    text
}

/// The highest limit at which a run was killed, by what `is_kill` says, that no later run answered.
fn unanswered(runs: &[&Run], is_kill: impl Fn(&Run) -> bool) -> Option<u64> {
    unanswered_all(runs, is_kill).max()
}

/// The limits of all kills that no later run answered, in bytes: by coming to a good end with a larger limit, or by a
/// higher peak at its end, whatever that was. Runs never sampled are among the kills.
fn unanswered_all(runs: &[&Run], is_kill: impl Fn(&Run) -> bool) -> impl Iterator<Item = u64> {
    // Of the runs from the last back, the largest limit that was enough.
    let (mut enough, mut highest) = (0, 0.0_f64);
    let mut limits = Vec::new();
    for run in runs.iter().rev() {
        if is_kill(run) {
            let Some(limit) = killed_at(run) else { continue };
            if enough <= limit && highest < CENSORED_SHARE * limit as f64 {
                limits.push(limit);
            }
            continue;
        }
        if !matches!(End::of(run), End::Fine | End::AtLimit) {
            continue;
        }
        let limit = run.resources.memory_limit_bytes;
        if has_succeeded(run) {
            enough = enough.max(limit.unwrap_or(0));
        }
        // One that filled its limit proves nothing above it.
        if let Some(memory) = run.memory.filter(|_| !filled_limit(run)) {
            highest = highest.max(memory.peak_bytes as f64);
        }
    }
    limits.into_iter()
}

/// Less memory only on evidence that less is enough.
fn reason_not_to_shrink(finished: &Finished<'_>, evidence: &Evidence) -> Option<String> {
    if finished.is_by_lower_bounds() {
        return Some(evidence.why_not_lowered(finished.needs as u64));
    }
    let seen: Vec<_> = finished.counting().filter_map(|r| r.memory).collect();
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
    (((bytes.clamp(0.0, MOST) / MIB_F64 - FLOAT_DUST).ceil()).max(0.0) * MIB_F64) as u64
}
