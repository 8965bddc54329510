//! The heap as a part of a run's memory: what JVMs said of it, as a history that sizing can read.
//! Must not know an engine.

use crate::history::{History, MemoryUse, Observation, Outcome, PeakSource, Resources, Run};
use crate::quantity::MIB;
use crate::sizing::{Bearing, End, Estimate, MemorySize, SizingPolicy, recommend};

/// More of the time than this on collecting garbage is a heap too small (Spark's own web UI marks it in red).
pub(super) const MUCH_COLLECTING: f64 = 0.1;
/// From this share of the heap on, much collecting is for want of heap; below it is for want of CPU.
const FULL_SHARE: f64 = 0.8;
/// On top of the highest heap that was seen: it was looked at every few seconds only, and a JVM whose live data fills
/// more than nine tenths of its heap does little but collect.
pub(super) const HEADROOM: f64 = 1.1;
/// What would shrink by less than this share stays.
pub(super) const NEAR: f64 = 0.05;

/// The runs whose JVM said something of its heap, as runs of which the heap is all. `heap_mib` is the heap that a run
/// had.
pub(super) fn of_runs(history: &History, heap_mib: impl Fn(&Run) -> Option<u64>) -> History {
    let mut seen = History::new();
    seen.add_all(history.runs().filter_map(|run| {
        let jvm = run.jvm.as_ref()?;
        let heap = heap_mib(run)?.saturating_mul(MIB);
        let used = if jvm.heap_exhausted { heap } else { jvm.heap_peak_bytes?.min(heap) };
        let full = is_collecting(run) && used as f64 >= FULL_SHARE * heap as f64;
        let (outcome, exit_code) = match Bearing::of(run) {
            _ if jvm.heap_exhausted => (Outcome::OomKilled, None),
            _ if run.outcome == Outcome::Running => (Outcome::Running, None),
            // What sizing takes for a limit that was too little.
            _ if full => (Outcome::Failed, None),
            // Its heap may not have been done growing.
            Bearing::Failed | Bearing::Killed | Bearing::Suspected => (Outcome::Failed, Some(1)),
            Bearing::Need | Bearing::Bounded => (Outcome::Completed, None),
        };
        let observation = exit_code.map(|code| Observation { exit_code: Some(code), ..Observation::default() });
        Some(part(run, if full { heap } else { used }, heap, outcome, observation))
    }));
    seen
}

/// How many of the runs that [`of_runs`] gave had a full heap.
pub(super) fn full(seen: &History) -> usize {
    seen.runs().filter(|run| End::of(run) == End::Suspected).count()
}

/// The highest heap that was seen, in MiB.
pub(super) fn peak_mib(seen: &History) -> u64 {
    seen.runs().filter_map(|run| run.memory).map(|memory| memory.peak_bytes.div_ceil(MIB)).max().unwrap_or(0)
}

/// Whether a run's JVM spent much of its time on collecting garbage.
pub(super) fn is_collecting(run: &Run) -> bool {
    run.jvm.as_ref().and_then(|jvm| jvm.gc_share).is_some_and(|share| share > MUCH_COLLECTING)
}

/// A part of a run's memory as a run.
pub(super) fn part(
    run: &Run,
    peak_bytes: u64,
    limit_bytes: u64,
    outcome: Outcome,
    observation: Option<Observation>,
) -> Run {
    Run {
        memory: Some(MemoryUse { peak_bytes, source: PeakSource::Reported, samples: 1 }),
        cpu: None,
        resources: Resources {
            memory_request_bytes: Some(limit_bytes),
            memory_limit_bytes: Some(limit_bytes),
            ..Resources::default()
        },
        outcome,
        jvm: None,
        day: None,
        observation: observation.map(Box::new),
        ..run.clone()
    }
}

/// What sizing says of a part that has so much now.
pub(super) fn recommended(part: &History, now_mib: u64, least_mib: u64, policy: &SizingPolicy) -> Option<MemorySize> {
    let now = now_mib.saturating_mul(MIB);
    let current = Resources { memory_request_bytes: Some(now), memory_limit_bytes: Some(now), ..Resources::default() };
    // A part that is too small ends the application; no share of runs is left to that.
    let policy = SizingPolicy {
        memory_floor_bytes: least_mib.saturating_mul(MIB),
        memory_ceiling_bytes: None,
        failing_share: 0.0,
        ..*policy
    };
    match recommend(part, Some(current), &policy).memory {
        Estimate::Known(size) => Some(size),
        Estimate::Unknown(_) => None,
    }
}
