//! What can be, and what was not seen: doubts about the measurements of one container's instance.
//! Pure; changes no number.

use super::instance::Instance;
use super::quiet::{Quiet, SILENCE_MS, both, total_ms};
use super::stretch::{CpuStretch, MemoryStretch};
use crate::history::{Doubt, Doubts};

/// cAdvisor refreshes what it says of a container every 10 to 15 s: a sample is as old as that.
const REFRESH_MS: i64 = 15_000;
/// A peak in the last part of a run may be unseen if what was not seen of it is longer than this share of the run. A
/// scrape every five minutes leaves 24 % of a run of 22 minutes at most, samples by the hour 13 % of one of 8 hours.
const UNSEEN_END: f64 = 0.25;
/// The same where samples stopped earlier than their interval explains, and of gaps, and of values that stand still.
const UNSEEN_PART: f64 = 0.1;
/// The last sample lies at the end of a run if it comes no longer before it than this, or this share of the run.
const AT_END: (i64, f64) = (2_000, 0.05);
/// Samples stopped, or were away, if none came for so many of their intervals.
const INTERVALS_AWAY: i64 = 3;
/// A gap of so many intervals is long.
const LONG_INTERVALS: i64 = 5;
/// Nothing shorter is called a gap, or frozen.
const LEAST_AWAY_MS: i64 = 2 * 60_000;
/// A dead container's last values are repeated for so long at most, where nobody says that it is dead.
const LINGERING_MS: i64 = 6 * 60_000;
/// A container that used so little never did anything: that its counter stands still tells nothing.
const IDLE: (f64, f64) = (5.0, 0.05);
/// A pod's start is told in whole seconds.
const POD_START_TOLERANCE_MS: i64 = 2_000;
/// No container is older: a start of 1970 is a clock that was not set.
const OLDEST_MS: i64 = 10 * 365 * 86_400_000;
/// A container may be this many times as busy at its start as at any time later.
const BUSIER_AT_START: f64 = 8.0;
/// A container was this much less busy before its first sample than after, if cAdvisor's start is true.
const BUSIER_LATER: f64 = 4.0;

/// A run's times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Start.
    pub started_ms: i64,
    /// The start is the container's own, not made of other things.
    pub trusted_start: bool,
    /// End, or last sample.
    pub ended_ms: i64,
    /// Something else than the samples told the end.
    pub known_end: bool,
}

impl Frame {
    const fn len_ms(&self) -> i64 {
        self.ended_ms - self.started_ms
    }

    fn is_part(&self, ms: i64, share: f64) -> bool {
        ms as f64 > share * self.len_ms() as f64
    }
}

/// The latest of cAdvisor's starts that can be: not before the pod's, and not against the counter.
pub fn start(instance: &Instance, cpu: Option<&CpuStretch>, pod_start: Option<i64>, first_ms: i64) -> Option<i64> {
    let can_be = |start: &&i64| {
        let after_pod = pod_start.is_none_or(|pod| **start >= pod - POD_START_TOLERANCE_MS);
        let watched = pod_start.is_none().then_some(instance.watched_from_ms).flatten();
        let is_near = (first_ms - OLDEST_MS..=first_ms + 1_000).contains(*start);
        is_near && after_pod && cpu.is_none_or(|cpu| !contradicts(cpu, **start, watched))
    };
    instance.starts_ms.iter().rev().find(can_be).map(|start| (*start).min(first_ms))
}

/// Whether a counter cannot have begun at `start_ms`. `watched_from_ms` is since when somebody looked, where nothing
/// else tells when the pod started.
fn contradicts(cpu: &CpuStretch, start_ms: i64, watched_from_ms: Option<i64>) -> bool {
    let seen = (cpu.changed_ms - cpu.first_ms) as f64 / 1000.0;
    if seen <= 0.0 || cpu.increase <= 0.0 {
        return false;
    }
    let before = (cpu.first_ms - start_ms).max(0) as f64 / 1000.0;
    let most = cpu.max_cores.unwrap_or(0.0).max(cpu.increase / seen);
    // It used more than it can have since then. A minute more, as a start and a sample are told by different clocks.
    if cpu.first > BUSIER_AT_START * most * (before + 60.0) {
        return true;
    }
    let unseen_ms = watched_from_ms.map_or(0, |watched| cpu.first_ms - start_ms.max(watched));
    unseen_ms > SILENCE_MS && BUSIER_LATER * cpu.first < before * cpu.increase / seen
}

/// When it stopped to move for good, where the container went on.
pub fn stopped(cpu: &CpuStretch, memory: Option<&MemoryStretch>, frame: &Frame) -> Option<Quiet> {
    let seen_until = if frame.known_end { frame.ended_ms.min(cpu.last_ms) } else { cpu.last_ms };
    let until = if frame.known_end { frame.ended_ms } else { cpu.last_ms };
    let still_ms = seen_until - cpu.changed_ms;
    let interval = memory.and_then(MemoryStretch::interval_ms).unwrap_or(0);
    let least = (INTERVALS_AWAY * interval).max(if frame.known_end { LEAST_AWAY_MS } else { LINGERING_MS });
    let lived = (cpu.changed_ms - frame.started_ms).max(1) as f64 / 1000.0;
    let busy = cpu.total() >= IDLE.0 && cpu.total() >= IDLE.1 * lived;
    let is = cpu.is_still() && busy && still_ms > least && frame.is_part(still_ms, UNSEEN_PART);
    is.then_some(Quiet { from_ms: cpu.changed_ms, to_ms: until })
}

/// Times in which memory and CPU both stood still while the container went on.
pub fn frozen(memory: Option<&MemoryStretch>, cpu: Option<&CpuStretch>, frame: &Frame) -> Vec<Quiet> {
    let Some(cpu) = cpu else { return Vec::new() };
    let mut of_cpu = cpu.stills.clone();
    of_cpu.extend(stopped(cpu, memory, frame));
    if of_cpu.is_empty() {
        return of_cpu;
    }
    let Some(memory) = memory.filter(|m| m.samples > 0) else { return of_cpu };
    let mut of_memory = memory.all_stills();
    if let Some(last) = of_memory.last_mut().filter(|last| last.to_ms == memory.seen_ms) {
        last.to_ms = last.to_ms.max(frame.ended_ms);
    }
    both(&of_cpu, &of_memory)
}

/// Gaps that are long for its interval, the time before its first sample included.
pub fn long_gaps(memory: &MemoryStretch, frame: &Frame) -> Vec<Quiet> {
    let Some(interval) = memory.interval_ms() else { return Vec::new() };
    let least = (LONG_INTERVALS * interval).max(LEAST_AWAY_MS);
    let mut gaps: Vec<Quiet> = memory.gaps.iter().copied().filter(|gap| gap.len_ms() > least).collect();
    let before = Quiet { from_ms: frame.started_ms, to_ms: memory.first_ms };
    if frame.trusted_start && before.len_ms() > least {
        gaps.insert(0, before);
    }
    gaps
}

/// Whether a peak in so much unseen time of a part of the run would be one that matters.
pub fn is_much(unseen: &[Quiet], from_ms: i64, to_ms: i64) -> bool {
    total_ms(unseen, from_ms, to_ms) as f64 > UNSEEN_PART * (to_ms - from_ms) as f64
}

/// What the measurements leave open, but for what the run itself shows.
pub fn doubts(instance: &Instance, memory: Option<&MemoryStretch>, cpu: Option<&CpuStretch>, frame: &Frame) -> Doubts {
    let mut doubts = Doubts::default();
    let (from, to) = (frame.started_ms, frame.ended_ms);
    let frozen = frozen(memory, cpu, frame);
    if is_much(&frozen, from, to) {
        doubts.add(Doubt::Frozen);
    }
    if let Some(cpu) = cpu {
        if cpu.last <= 0.0 && cpu.increase <= 0.0 {
            doubts.add(Doubt::ZeroCpu);
        }
        if cpu.went_back {
            doubts.add(Doubt::CounterWentBack);
        }
        // Memory moves on: only the counter stopped.
        if frozen.is_empty() && stopped(cpu, memory, frame).is_some() {
            doubts.add(Doubt::SourcesDisagree);
        }
    }
    if let Some(memory) = memory.filter(|m| m.samples > 0) {
        if is_much(&long_gaps(memory, frame), from, to) {
            doubts.add(Doubt::LongGap);
        }
        let unseen_ms = to - memory.seen_ms;
        let away_ms = (INTERVALS_AWAY * memory.interval_ms().unwrap_or(0)).max(LEAST_AWAY_MS);
        let early = unseen_ms > away_ms && frame.is_part(unseen_ms, UNSEEN_PART);
        if early || frame.known_end && frame.is_part(unseen_ms + REFRESH_MS, UNSEEN_END) {
            let at_end = !early && (unseen_ms <= AT_END.0 || !frame.is_part(unseen_ms, AT_END.1));
            doubts.add(if at_end { Doubt::EndNear } else { Doubt::EndUnseen });
        }
    }
    if frame.known_end && instance.last_ms().is_some_and(|last| last > to + REFRESH_MS) {
        doubts.add(Doubt::SamplesAfterEnd);
    }
    if super::sources::disagree(&instance.memory, &instance.cpu) {
        doubts.add(Doubt::SourcesDisagree);
    }
    doubts
}
