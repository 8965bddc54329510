//! Two views of one run: whether they are of the same run, and what both together say.
//! Knows nothing of windows or files.

use std::cmp::Ordering;

use super::observation::{Doubt, Observation};
use super::resources::Resources;
use super::run::{CpuUse, Day, JvmUse, MemoryUse, Outcome, Run};

/// Two views of a pod's container whose starts differ by no more than this are of the same run, in milliseconds.
///
/// The same start is seen as whole seconds (Kubernetes timestamps) and as fractions (cAdvisor), and one may be cut
/// where the other is rounded: up to a second either way. Restarts of one container nearer to each other than this
/// would be taken for one run; such runs live too short to be sampled even once.
pub const START_TOLERANCE_MS: i64 = 2_000;

/// Whether two views are of the same run: the same pod, starts within [`START_TOLERANCE_MS`], and no two different
/// uids.
pub fn same_run(a: &Run, b: &Run) -> bool {
    a.pod == b.pod
        && a.started_ms.abs_diff(b.started_ms) <= START_TOLERANCE_MS.unsigned_abs()
        && match (&a.uid, &b.uid) {
            (Some(a), Some(b)) => a == b,
            _ => true,
        }
}

/// What two views of the same run say together. The order of the two does not matter, and a view joined with itself
/// stays as it is.
///
/// The later view replaces the earlier, except that evidence never gets weaker: an end is not undone by "running", an
/// OOM is not undone by another outcome, the peak is the highest of the better of the two sources, and what only one
/// view knows is kept.
#[must_use]
pub fn join(a: &Run, b: &Run) -> Run {
    let (late, early) = if freshness(a, b).is_lt() { (b, a) } else { (a, b) };
    Run {
        pod: late.pod.clone(),
        uid: late.uid.as_ref().max(early.uid.as_ref()).cloned(),
        started_ms: late.started_ms.min(early.started_ms),
        ended_ms: late.ended_ms,
        memory: join_option(late.memory, early.memory, join_memory),
        cpu: join_option(late.cpu, early.cpu, join_cpu),
        resources: if moment(late) == moment(early) {
            higher_resources(late.resources, early.resources)
        } else {
            late.resources.or(early.resources)
        },
        outcome: if rank(late.outcome) >= rank(early.outcome) { late.outcome } else { early.outcome },
        attempt: late.attempt.max(early.attempt),
        input_bytes: join_option(late.input_bytes, early.input_bytes, f64::max),
        jvm: join_option(late.jvm.clone(), early.jvm.clone(), |a, b| Box::new(join_jvm(*a, *b))),
        day: join_option(late.day.clone(), early.day.clone(), |a, b| {
            Box::new(Day { busy_cores: a.busy_cores.or(b.busy_cores), scaled_on: a.scaled_on.or(b.scaled_on) })
        }),
        observation: join_observations(late, early),
    }
}

/// Ended beats running, then the later end; ties go by what was measured, so that the order of views does not matter.
fn freshness(a: &Run, b: &Run) -> Ordering {
    let mean = |r: &Run| r.cpu.map_or(-1.0, |c| c.mean_cores);
    moment(a).cmp(&moment(b)).then_with(|| mean(a).total_cmp(&mean(b)))
}

/// How far a view saw: an end beats a sight of it running, then the later end.
fn moment(run: &Run) -> (bool, i64) {
    (run.outcome != Outcome::Running, run.ended_ms)
}

/// How much an outcome tells: a kill for memory most, "running" least. That a container goes on was seen after the day
/// was over, so it tells more than an end that nobody saw.
fn rank(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::Running => 0,
        Outcome::Unknown => 1,
        Outcome::GoesOn => 2,
        Outcome::Completed => 3,
        Outcome::Failed => 4,
        Outcome::OomKilled => 5,
    }
}

fn join_option<T>(late: Option<T>, early: Option<T>, both: impl Fn(T, T) -> T) -> Option<T> {
    match (late, early) {
        (Some(late), Some(early)) => Some(both(late, early)),
        (late, early) => late.or(early),
    }
}

fn join_memory(late: MemoryUse, early: MemoryUse) -> MemoryUse {
    match late.source.cmp(&early.source) {
        Ordering::Greater => late,
        Ordering::Less => early,
        Ordering::Equal => MemoryUse {
            peak_bytes: late.peak_bytes.max(early.peak_bytes),
            source: late.source,
            samples: late.samples.max(early.samples),
        },
    }
}

fn join_cpu(late: CpuUse, early: CpuUse) -> CpuUse {
    CpuUse {
        mean_cores: late.mean_cores,
        peak_cores: join_option(late.peak_cores, early.peak_cores, f64::max),
        throttled_share: join_option(late.throttled_share, early.throttled_share, f64::max),
    }
}

/// Field by field the higher: they are peaks.
fn join_jvm(a: JvmUse, b: JvmUse) -> JvmUse {
    JvmUse {
        heap_bytes: a.heap_bytes.max(b.heap_bytes),
        heap_peak_bytes: a.heap_peak_bytes.max(b.heap_peak_bytes),
        non_heap_peak_bytes: a.non_heap_peak_bytes.max(b.non_heap_peak_bytes),
        process_peak_bytes: a.process_peak_bytes.max(b.process_peak_bytes),
        others_peak_bytes: a.others_peak_bytes.max(b.others_peak_bytes),
        managed_bytes: a.managed_bytes.max(b.managed_bytes),
        managed_peak_bytes: a.managed_peak_bytes.max(b.managed_peak_bytes),
        network_peak_bytes: a.network_peak_bytes.max(b.network_peak_bytes),
        gc_share: join_option(a.gc_share, b.gc_share, f64::max),
        heap_exhausted: a.heap_exhausted || b.heap_exhausted,
    }
}

/// Field by field the higher, of two views that saw as far as each other.
fn higher_resources(a: Resources, b: Resources) -> Resources {
    Resources {
        cpu_request_millis: a.cpu_request_millis.max(b.cpu_request_millis),
        cpu_limit_millis: a.cpu_limit_millis.max(b.cpu_limit_millis),
        memory_request_bytes: a.memory_request_bytes.max(b.memory_request_bytes),
        memory_limit_bytes: a.memory_limit_bytes.max(b.memory_limit_bytes),
    }
}

/// The view that saw further says what is in doubt; what either proves stays.
fn join_observations(late: &Run, early: &Run) -> Option<Box<Observation>> {
    let mut doubts = if moment(late) == moment(early) { late.doubts().or(early.doubts()) } else { late.doubts() };
    if late.memory.is_some() || early.memory.is_some() {
        doubts.remove(Doubt::NeverSampled);
        doubts.remove(Doubt::ZeroMemory);
    }
    let (late, early) = (late.observation.as_deref(), early.observation.as_deref());
    let both = || late.into_iter().chain(early);
    let joined = Observation {
        doubts,
        exit_code: both().filter_map(|o| o.exit_code).max(),
        killed_children: both().map(|o| o.killed_children).max().unwrap_or(0),
        succeeded: both().any(|o| o.succeeded),
        held: both()
            .map(|o| &o.held)
            .max_by_key(|held| (held.len(), held.last().map(|h| h.until_ms)))
            .cloned()
            .unwrap_or_default(),
    };
    (joined != Observation::default()).then(|| Box::new(joined))
}
