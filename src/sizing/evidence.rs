//! What a number rests on, and what replaying the rule on the same history says of it.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use statrs::distribution::{Beta, ContinuousCDF};

use super::end::{Bearing, ENDS_THAT_TELL, End, has_succeeded, reached_limit};
use super::{MIN_RUNS, is_finished};
use crate::history::{Doubt, History, Outcome, PeakSource, Run, ScaledOn};
use crate::text::plural;

/// Above this share of throttled periods a run wanted more CPU than it got, so its use is no measure of its need.
const THROTTLED: f64 = 0.05;

/// What both numbers of a recommendation rest on. What is not known is left out of its JSON.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Evidence {
    /// Finished runs in the history, those folded into the past included.
    pub runs: u64,
    /// Runs seen but not finished.
    pub running: u64,
    /// Finished runs without a single memory sample.
    pub unobserved: u64,
    /// Start of the oldest run, milliseconds since the epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_ms: Option<i64>,
    /// End of the newest run, milliseconds since the epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_ms: Option<i64>,
    /// Highest memory peak in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peak_max_bytes: Option<u64>,
    /// Median memory peak in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peak_median_bytes: Option<u64>,
    /// Scraped memory samples over all runs.
    pub memory_samples: u64,
    /// Runs whose peak is the highest scraped sample, a lower bound.
    pub sampled_peaks: u64,
    /// Runs whose peak is the kernel's own high-water mark.
    pub cgroup_peaks: u64,
    /// Of the runs kept one by one, those that completed; of a service's days, those that its container outlived.
    pub completed: u64,
    /// Those that failed for another reason than memory.
    pub failed: u64,
    /// Those that ended below their limit in a way that nothing recorded.
    pub ended_unknown: u64,
    /// Runs killed for memory, or in which a process was, those folded into the past included.
    pub oom_kills: u64,
    /// Runs whose peak reached the limit without a kill: it says nothing about what less would do.
    pub censored: u64,
    /// Of those, runs that ended there by SIGKILL or in a way that nothing recorded: probably killed.
    pub suspected_kills: u64,
    /// Finished runs that no scrape ever saw; `unobserved` counts them too.
    pub never_sampled: u64,
    /// Runs that the memory rests on.
    pub counted: u64,
    /// Finished runs that it does not rest on, by why: they may raise it and never lower it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<LeftOut>,
    /// What the measurements leave open, and in how many runs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub doubts: Vec<Doubted>,
    /// Runs that were further tries of the same unit of work.
    pub retries: u64,
    /// Median run time in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub median_seconds: Option<f64>,
    /// Highest of the runs' mean cores.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cores_max: Option<f64>,
    /// Median of the runs' mean cores.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cores_median: Option<f64>,
    /// Runs throttled in more than one of twenty periods.
    pub throttled_runs: usize,
    /// Of a service, whose runs are days of its replicas: UTC days of which one at least is over. `None` for what is no
    /// service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub days: Option<u64>,
    /// Of a service: replicas on a day, the median; pods that a rollout replaced count as well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<u64>,
    /// What an autoscaler scales on as a share of the request.
    #[serde(skip_serializing_if = "is_nothing")]
    pub scaled_on: ScaledOn,
    /// The memory rule, replayed on this history.
    pub replay: Replay,
}

/// Runs that do not count, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LeftOut {
    /// Why: `failed`, `killed`, `suspected`, `lower-bound`, `unobserved`.
    pub why: &'static str,
    /// How many.
    pub runs: u64,
    /// The same in words.
    pub text: String,
}

/// A doubt, and the runs that have it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Doubted {
    /// Which.
    pub doubt: Doubt,
    /// How many have it, running ones included.
    pub runs: u64,
    /// The same in words.
    pub text: String,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference over")]
fn is_nothing(scaled_on: &ScaledOn) -> bool {
    *scaled_on == ScaledOn::default()
}

impl Evidence {
    pub(super) fn gather(history: &History, runs: &[&Run]) -> Self {
        let finished: Vec<&Run> = runs.iter().copied().filter(|r| is_finished(r)).collect();
        let mut peaks: Vec<u64> = finished.iter().filter_map(|r| r.memory).map(|m| m.peak_bytes).collect();
        peaks.sort_unstable();
        let mut cores: Vec<f64> = finished.iter().filter_map(|r| r.cpu).map(|c| c.mean_cores).collect();
        cores.sort_by(f64::total_cmp);
        let mut seconds: Vec<f64> = finished.iter().map(|r| r.seconds()).collect();
        seconds.sort_by(f64::total_cmp);
        let count = |test: &dyn Fn(&Run) -> bool| finished.iter().filter(|r| test(r)).count() as u64;
        let (days, replicas) = days_and_replicas(history, runs).unzip();
        let (counted, left_out) = counted(&finished);
        let source = |s: PeakSource| count(&|r| r.memory.is_some_and(|m| m.source == s));
        Self {
            runs: history.older().runs.saturating_add(finished.len() as u64),
            running: (runs.len() - finished.len()) as u64,
            unobserved: count(&|r| r.memory.is_none()),
            first_ms: history.first_ms(),
            last_ms: history.last_ms(),
            peak_max_bytes: peaks.last().copied().into_iter().chain(history.older().max_peak_bytes).max(),
            peak_median_bytes: middle(&peaks),
            memory_samples: runs.iter().filter_map(|r| r.memory).map(|m| u64::from(m.samples)).sum(),
            sampled_peaks: source(PeakSource::Sampled),
            cgroup_peaks: source(PeakSource::Cgroup),
            completed: count(&|r| has_succeeded(r) && matches!(End::of(r), End::Fine | End::AtLimit)),
            failed: count(&|r| End::of(r) == End::Failed),
            ended_unknown: count(&|r| r.outcome == Outcome::Unknown && !has_succeeded(r) && End::of(r) == End::Fine),
            oom_kills: history.older().ooms.saturating_add(count(&Run::was_killed)),
            censored: count(&|r| !r.was_killed() && reached_limit(r)),
            suspected_kills: count(&|r| End::of(r) == End::Suspected),
            never_sampled: count(&|r| r.doubts().has(Doubt::NeverSampled)),
            counted,
            left_out,
            doubts: doubted(runs),
            retries: count(&|r| r.attempt.is_some_and(|a| a > 1)),
            median_seconds: middle(&seconds),
            cores_max: cores.last().copied(),
            cores_median: middle(&cores),
            throttled_runs: finished.iter().filter(|r| was_throttled(r)).count(),
            days,
            replicas,
            scaled_on: runs.iter().rev().find_map(|r| r.day.as_ref()).map(|day| day.scaled_on).unwrap_or_default(),
            replay: Replay::default(),
        }
    }
}

impl Evidence {
    /// How much was seen: `21 finished runs`, `14 days of 3 replicas`.
    pub fn seen(&self) -> String {
        seen(self.runs, self.days, self.replicas)
    }

    /// What a run of the history is: a day of a service, else a run.
    pub const fn unit(&self) -> &'static str {
        if self.days.is_some() { "day" } else { "run" }
    }

    /// In a few words each, what makes the numbers doubtful; all that is in doubt is in [`Self::doubts`].
    pub fn caveats(&self) -> Vec<String> {
        let is_noted = |d: &&Doubted| match d.doubt {
            Doubt::ZeroMemory | Doubt::ZeroCpu | Doubt::Frozen | Doubt::LivesMerged => true,
            // Where all are of that kind, there is no number, and the reason says so.
            Doubt::NeverSampled => d.runs < self.runs,
            _ => false,
        };
        let doubts = self.doubts.iter().filter(is_noted).map(|d| d.text.clone());
        self.few().into_iter().chain(doubts).collect()
    }

    /// Where the memory rests on few of the runs; kills apart, of which more is said elsewhere.
    fn few(&self) -> Option<String> {
        /// From this many runs on a number does not rest on few, unless more were left out.
        const MANY: u64 = 10;
        let others = self.left_out.iter().filter(|l| !matches!(l.why, KILLED | SUSPECTED));
        let left_out: u64 = others.clone().map(|l| l.runs).sum();
        let is_thin = left_out > 0 && self.counted > 0 && (self.counted < MANY || left_out >= self.counted);
        let why = || others.map(|l| l.text.as_str()).collect::<Vec<_>>().join(", ");
        is_thin.then(|| format!("memory rests on {} of {} {}s: {}", self.counted, self.runs, self.unit(), why()))
    }

    /// Why there is no number for memory, of which so many runs tell.
    pub(super) fn too_few(&self, counted: u64) -> String {
        let n = self.runs;
        let unit = self.unit();
        let counted_runs = |n: u64| format!("{n} {unit}{}", plural(n as usize));
        if n == 0 {
            return match self.running {
                0 => "no run was seen".to_owned(),
                running => format!("{} seen, none finished with a memory sample", counted_runs(running)),
            };
        }
        let others: Vec<&LeftOut> = self.left_out.iter().filter(|l| l.runs > 0).collect();
        let why = || others.iter().map(|l| l.text.as_str()).collect::<Vec<_>>().join(", ");
        match (counted, others.as_slice()) {
            (0, [only]) if only.why == UNOBSERVED => {
                let seen = n.saturating_add(self.running);
                format!("{} seen, none finished with a memory sample", counted_runs(seen))
            }
            (0, [only]) if only.why == FAILED => {
                format!("{} failed, none completed", counted_runs(only.runs))
            }
            (0, _) => format!("of {} none completed with its memory seen: {}", counted_runs(n), why()),
            (counted, []) => {
                format!("{counted} finished {unit}{} seen, {MIN_RUNS} are needed", plural(counted as usize))
            }
            (counted, _) => format!("{counted} of {} can count, {MIN_RUNS} are needed: {}", counted_runs(n), why()),
        }
    }

    /// Why a size is not lowered that lower bounds alone, or too few needs, speak for.
    pub(super) fn why_not_lowered(&self, needs: u64) -> String {
        let of_peaks: Vec<&str> =
            self.doubts.iter().filter(|d| Doubt::OF_PEAK.contains(&d.doubt)).map(|d| d.text.as_str()).collect();
        let unit = self.unit();
        let mut text = format!("only {needs} of {} {unit}s completed with their whole need seen", self.runs);
        if of_peaks.is_empty() {
            let others: Vec<&str> = self.left_out.iter().map(|l| l.text.as_str()).collect();
            if !others.is_empty() {
                text.push_str(&format!(" ({})", others.join(", ")));
            }
        } else {
            text.push_str(&format!("; {}", of_peaks.join("; ")));
        }
        text
    }
}

const FAILED: &str = "failed";
const KILLED: &str = "killed";
const SUSPECTED: &str = "suspected";
const LOWER_BOUND: &str = "lower-bound";
const UNOBSERVED: &str = "unobserved";

/// How many of the finished runs count for memory, and why the others do not: the same as `memory::size` takes.
fn counted(finished: &[&Run]) -> (u64, Vec<LeftOut>) {
    let measured: Vec<&Run> = finished.iter().copied().filter(|run| run.memory.is_some()).collect();
    let bearings = Bearing::of_all(&measured);
    let number = |bearing| bearings.iter().filter(|of| **of == bearing).count() as u64;
    let (needs, bounded) = (number(Bearing::Need), number(Bearing::Bounded));
    let stand_in = needs < MIN_RUNS as u64;
    let unobserved = (finished.len() - measured.len()) as u64;
    let text = |n: u64, why| match why {
        FAILED => format!("{n} failed"),
        KILLED => format!("{n} OOM-killed"),
        SUSPECTED => format!("{n} probably OOM-killed"),
        LOWER_BOUND => format!("{n} peak{} only lower bounds", if n == 1 { " is" } else { "s are" }),
        _ => format!("{n} without a memory sample"),
    };
    let all = [
        (FAILED, number(Bearing::Failed)),
        (KILLED, number(Bearing::Killed)),
        (SUSPECTED, number(Bearing::Suspected)),
        (LOWER_BOUND, if stand_in { 0 } else { bounded }),
        (UNOBSERVED, unobserved),
    ];
    let left_out =
        all.into_iter().filter(|(_, n)| *n > 0).map(|(why, runs)| LeftOut { why, runs, text: text(runs, why) });
    (if stand_in { needs + bounded } else { needs }, left_out.collect())
}

fn doubted(runs: &[&Run]) -> Vec<Doubted> {
    let number = |doubt: Doubt| runs.iter().filter(|r| r.doubts().has(doubt)).count() as u64;
    let all = Doubt::ALL.into_iter().map(|doubt| (doubt, number(doubt))).filter(|(_, n)| *n > 0);
    all.map(|(doubt, runs)| Doubted { doubt, runs, text: in_words(doubt, runs) }).collect()
}

/// What a doubt means, of so many runs.
fn in_words(doubt: Doubt, n: u64) -> String {
    let s = plural(n as usize);
    let (runs, bounds) =
        (format!("{n} run{s}"), if n == 1 { "1 peak is a lower bound" } else { "peaks are lower bounds" });
    let bounds = if n == 1 { bounds.to_owned() } else { format!("{n} {bounds}") };
    match doubt {
        Doubt::ZeroMemory => {
            format!("{runs}: every memory sample is 0, so what they used is unknown (sandboxed runtimes report none)")
        }
        Doubt::ZeroCpu => format!("{runs}: the CPU counter stayed at 0, so what they used is unknown"),
        Doubt::NeverSampled => format!("{runs}: no scrape saw them, kube-state-metrics alone tells of them"),
        Doubt::EndUnseen => format!("{bounds}: the last sample lies well before the end"),
        Doubt::Frozen => format!("{bounds}: cAdvisor repeated one value while the container ran on"),
        Doubt::LongGap => format!("{bounds}: a gap in the samples may hide a higher one"),
        Doubt::LivesMerged => format!("{bounds}: several containers may stand behind one series"),
        Doubt::StartContradicted => {
            format!("{runs}: cAdvisor's start contradicts the pod's or the CPU counter and was not used")
        }
        Doubt::CounterWentBack => format!("{runs}: the CPU counter went back within one container and was evened out"),
        Doubt::SourcesDisagree => format!("{runs}: several series disagree; the most plausible one was used"),
        Doubt::PageCache => format!(
            "{runs}: page cache, by its size, is the kernel's high-water mark, which was not used; container_memory_cache \
             would tell"
        ),
        Doubt::PageCacheSeen => {
            format!("{runs}: page cache explains the kernel's high-water mark, which was not used")
        }
        Doubt::EndNear => format!(
            "{runs}: sampled up to the end, but a sample is up to 15 s old; {ENDS_THAT_TELL} and more of them count, fewer \
             are lower bounds"
        ),
        Doubt::Evicted => format!("{runs}: evicted for the node's want of memory, not for a limit"),
        Doubt::SamplesAfterEnd => format!("{runs}: samples after the known end were left out"),
    }
}

/// How much was seen, of so many finished runs, or days of so many replicas where it is a service.
pub fn seen(runs: u64, days: Option<u64>, replicas: Option<u64>) -> String {
    let counted = |n: u64, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    match (days, replicas) {
        (Some(days), Some(replicas)) if days > 0 => {
            format!("{} of {}", counted(days, "day"), counted(replicas, "replica"))
        }
        (Some(days), _) => counted(days, "finished day"),
        (None, _) => counted(runs, "finished run"),
    }
}

/// Of a service: finished days, those folded into the past included, and the median of replicas on a day.
fn days_and_replicas(history: &History, runs: &[&Run]) -> Option<(u64, u64)> {
    const DAY_MS: i64 = 86_400_000;
    runs.iter().rev().find(|r| is_finished(r) || r.day.is_some())?.day.as_ref()?;
    let mut pods: BTreeMap<i64, BTreeSet<&str>> = BTreeMap::new();
    // A part of a day that ended in a failure is no day.
    for run in runs.iter().filter(|r| r.day.is_some() && is_finished(r) && Bearing::of(r) != Bearing::Failed) {
        pods.entry(run.started_ms.div_euclid(DAY_MS)).or_default().insert(&run.pod);
    }
    let mut replicas: Vec<u64> = pods.values().map(|pods| pods.len() as u64).collect();
    replicas.sort_unstable();
    let older = history.older();
    let folded = if older.runs == 0 {
        0
    } else {
        let until = pods.keys().next().copied().unwrap_or(i64::MAX).min(older.last_ms.div_euclid(DAY_MS) + 1);
        until.saturating_sub(older.first_ms.div_euclid(DAY_MS)).max(0).unsigned_abs()
    };
    Some((folded + pods.len() as u64, middle(&replicas).unwrap_or(0)))
}

fn middle<T: Copy>(sorted: &[T]) -> Option<T> {
    sorted.get(sorted.len().saturating_sub(1) / 2).copied()
}

/// Share of cases that the interval may miss.
const OUTSIDE: f64 = 0.05;

/// What the memory rule would have given each run from the runs before it, and how often that was too little.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Replay {
    /// Runs for which the rule had enough before them to decide.
    pub decisions: u64,
    /// Of those, runs that needed more than it gave.
    pub exceeded: u64,
}

/// What the peak of a replayed run says of its need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Says {
    /// It is the need.
    Need,
    /// The need is that or more.
    AtLeast,
    /// The need is more.
    More,
    /// The peak is at its limit, which says nothing.
    Nothing,
}

impl Says {
    pub(super) fn of(bearing: Bearing, counts: bool) -> Self {
        match bearing {
            _ if counts => Self::Need,
            Bearing::Killed => Self::More,
            Bearing::Suspected => Self::Nothing,
            Bearing::Need | Bearing::Bounded | Bearing::Failed => Self::AtLeast,
        }
    }
}

impl Replay {
    /// One decision: what was given, the highest use seen, and what that says. A run that says nothing of what would
    /// have been enough counts only where more than was given is proven.
    pub(super) fn decide(&mut self, given_bytes: u64, peak_bytes: u64, says: Says) {
        let exceeded = peak_bytes > given_bytes || (says == Says::More && peak_bytes >= given_bytes);
        if says == Says::Need || (exceeded && says != Says::Nothing) {
            self.decisions += 1;
            self.exceeded += u64::from(exceeded);
        }
    }

    /// Share of the decided runs that exceed, 0 to 1; `None` when nothing could be replayed.
    pub fn exceeded_share(&self) -> Option<f64> {
        (self.decisions > 0).then(|| self.exceeded as f64 / self.decisions as f64)
    }

    /// Two-sided 95 % interval of that share, 0 to 1 (Clopper and Pearson, "The use of confidence or fiducial limits",
    /// 1934): exact for few runs and rare failures, where the normal approximation says 0. 0 to 1 when nothing could be
    /// replayed.
    pub fn exceeded_share_interval(&self) -> (f64, f64) {
        let (exceeded, decisions) = (self.exceeded.min(self.decisions) as f64, self.decisions as f64);
        let quantile = |a: f64, b: f64, share: f64| Beta::new(a, b).ok().map(|beta| beta.inverse_cdf(share));
        let lower = quantile(exceeded, decisions - exceeded + 1.0, OUTSIDE / 2.0).unwrap_or(0.0);
        let upper = quantile(exceeded + 1.0, decisions - exceeded, 1.0 - OUTSIDE / 2.0).unwrap_or(1.0);
        (lower, upper)
    }
}

/// Whether a run was throttled so much, in more than one of twenty CPU periods, that its use does not show its need.
pub fn was_throttled(run: &Run) -> bool {
    run.cpu.and_then(|c| c.throttled_share).is_some_and(|s| s > THROTTLED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_of_shares() {
        let of = |decisions, exceeded| Replay { decisions, exceeded }.exceeded_share_interval();
        let near = |(a, b): (f64, f64), (c, d): (f64, f64)| (a - c).abs() < 5e-4 && (b - d).abs() < 5e-4;
        // By hand: 1 − 0.025^(1/n); the others from R's binom.test.
        assert!(near(of(100, 0), (0.0, 1.0 - 0.025_f64.powf(0.01))), "{:?}", of(100, 0));
        assert!(near(of(20, 1), (0.00127, 0.24873)), "{:?}", of(20, 1));
        assert!(near(of(1000, 10), (0.00480, 0.01831)), "{:?}", of(1000, 10));
        assert!(near(of(4, 4), (0.025_f64.powf(0.25), 1.0)), "{:?}", of(4, 4));
        assert_eq!(of(0, 0), (0.0, 1.0));
        assert_eq!(Replay::default().exceeded_share(), None);
    }
}
