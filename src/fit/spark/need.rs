//! What a Spark workload needs: heap and overhead apart, from what its JVMs said and from how its containers ended.
//! Must not guess a smaller heap: without a word of the JVM, and of what runs beside it, the heap stays.
//!
//! A JVM takes its heap whole (`-Xms` = `-Xmx`) and never more. So a container that was killed for memory outgrew what
//! is beside the heap, and one that ended with exit code 52 outgrew the heap.

use super::known::KnownHeaps;
use super::{LEAST_HEAP_MIB, LEAST_OVERHEAD_MIB, OVERHEAD_FACTOR};
use crate::fit::heap::{self, HEADROOM, NEAR, part, recommended};
use crate::history::{History, Observation, Run};
use crate::quantity::MIB;
use crate::sizing::{End, SizingPolicy};

/// Heap and overhead of a pod, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    /// The heap that it has, in MiB.
    pub heap_now_mib: u64,
    /// The heap that it should have, in MiB.
    pub heap_mib: u64,
    /// The JVMs have shown that this heap is the right one. Without, the heap of now stays for want of evidence.
    pub heap_is_proven: bool,
    /// All beside it, in MiB.
    pub overhead_mib: u64,
    /// Why, one sentence each.
    pub notes: Vec<String>,
}

impl Need {
    /// The pod's memory, in MiB.
    pub const fn total_mib(&self) -> u64 {
        self.heap_mib.saturating_add(self.overhead_mib)
    }
}

/// From a history of executors or of drivers. `total_mib` is what a pod has now, `heaps` which heap a pod of a size
/// has; `sized_mib` what sizing wants for the container as a whole, where it knows. `None` where the heap of now is not
/// known, or sizing and the JVMs say nothing.
pub fn need(
    history: &History,
    total_mib: u64,
    heaps: &KnownHeaps,
    sized_mib: Option<u64>,
    policy: &SizingPolicy,
) -> Option<Need> {
    let heap_now_mib = heaps.now(history, total_mib)?.mib;
    let overhead_now = total_mib.checked_sub(heap_now_mib).filter(|overhead| *overhead > 0)?;
    let heaps = Heaps { total_mib, heap_now_mib, known: heaps };
    let killed = history
        .runs()
        .any(|run| was_killed(run, total_mib))
        .then(|| recommended(&beside_the_heap(history, heaps), overhead_now, LEAST_OVERHEAD_MIB, policy))
        .flatten()
        .map(|size| size.bytes.div_ceil(MIB))
        .filter(|overhead| *overhead > overhead_now);
    let Heap { mib: mut heap_mib, is_proven: mut heap_is_proven, mut notes } = heap(history, heaps, policy);
    if sized_mib.is_none() && heap_mib == heap_now_mib && killed.is_none() {
        return None;
    }
    // What is beside the heap follows it only where it was made by it.
    let usual = |heap: u64| LEAST_OVERHEAD_MIB.max((OVERHEAD_FACTOR * heap as f64).ceil() as u64);
    let overhead_mib = if let Some(overhead) = killed {
        if heap_mib < heap_now_mib {
            (heap_mib, heap_is_proven, notes) = (heap_now_mib, false, Vec::new());
        }
        notes.push(format!(
            "the heap takes {heap_now_mib}m of {total_mib}m and no more, so that what is beside it was too little: the \
             overhead grows"
        ));
        // Sizing doubles the whole of what killed; only what is beside the heap can have been too little.
        let sized = sized_mib.filter(|sized| *sized < total_mib.saturating_mul(2)).unwrap_or(0);
        overhead.max(sized.saturating_sub(heap_mib))
    } else if heap_mib < heap_now_mib {
        // What runs beside the JVM may have lived in what the heap did not use.
        let others = others_mib(history);
        let with_others = if others > 0 { others.saturating_add(usual(heap_mib)) } else { 0 };
        overhead_now.max(with_others)
    } else if heap_mib > heap_now_mib {
        overhead_now.max(usual(heap_mib))
    } else {
        // How much of the heap was resident when the container was at its peak is not known: more than the heap and
        // what there is beside it only where the whole needs more; less only where the whole container never held
        // as much as there is beside the heap.
        let sized = sized_mib.unwrap_or(total_mib);
        let most_beside = overhead_now.min(sized.max(usual(heap_mib)));
        sized.saturating_sub(heap_mib).max(most_beside)
    };
    Some(Need { heap_now_mib, heap_mib, heap_is_proven, overhead_mib, notes })
}

/// Whether a run outgrew what is beside its heap, with as much as a pod has now: it was killed, or a process in it, or
/// probably so.
fn was_killed(run: &Run, total_mib: u64) -> bool {
    let with_this = run.resources.memory_limit_bytes.is_some_and(|limit| limit.div_ceil(MIB) == total_mib);
    with_this
        && !run.jvm.as_ref().is_some_and(|jvm| jvm.heap_exhausted)
        && matches!(End::of(run), End::Killed | End::Suspected)
}

/// The heap that runs had.
#[derive(Clone, Copy)]
struct Heaps<'a> {
    total_mib: u64,
    heap_now_mib: u64,
    known: &'a KnownHeaps,
}

impl Heaps<'_> {
    fn of(self, run: &Run) -> Option<u64> {
        if let Some(bytes) = run.jvm.as_ref().and_then(|jvm| jvm.heap_bytes) {
            return Some(bytes.div_ceil(MIB));
        }
        let limit = run.resources.memory_limit_bytes?.div_ceil(MIB);
        if limit == self.total_mib { Some(self.heap_now_mib) } else { self.known.of_size(limit).map(|heap| heap.mib) }
    }
}

/// A heap, in MiB, and why it is that.
struct Heap {
    mib: u64,
    is_proven: bool,
    notes: Vec<String>,
}

/// The heap that is needed.
fn heap(history: &History, heaps: Heaps<'_>, policy: &SizingPolicy) -> Heap {
    let now = heaps.heap_now_mib;
    let stays = |is_proven, why: Option<String>| Heap { mib: now, is_proven, notes: why.into_iter().collect() };
    let changes = |mib, why| Heap { mib, is_proven: true, notes: vec![why] };
    let seen = heap::of_runs(history, |run| heaps.of(run));
    let Some(size) = recommended(&seen, now, LEAST_HEAP_MIB, policy) else { return stays(false, None) };
    let of_jvms = |what: &dyn Fn(&Run) -> bool| history.runs().filter(|run| what(run)).count();
    let exhausted = of_jvms(&|run| run.jvm.as_ref().is_some_and(|jvm| jvm.heap_exhausted));
    let collecting = of_jvms(&heap::is_collecting);
    let peak = heap::peak_mib(&seen);
    let wanted = size.bytes.div_ceil(MIB);
    // A heap that merely comes near its end is one that works.
    let full = heap::full(&seen);
    if wanted > now && exhausted + full > 0 {
        let why = if exhausted > 0 {
            format!("{exhausted} ended with exit code 52: a heap of {now}m was full")
        } else {
            format!("{full} spent more than a tenth of their tasks' time on collecting garbage in a full heap")
        };
        return changes(wanted, why);
    }
    let lower = ((wanted as f64 * HEADROOM).ceil() as u64).max(LEAST_HEAP_MIB);
    if lower as f64 >= now as f64 * (1.0 - NEAR) {
        return stays(true, None);
    }
    if collecting > 0 {
        let why = format!("the heap is not lowered: {collecting} spent more than a tenth of their time on garbage");
        return stays(false, Some(why));
    }
    let runs = seen.runs().len();
    let measured =
        |run: &Run| run.jvm.as_ref().is_none_or(|jvm| jvm.heap_peak_bytes.is_none() || jvm.others_peak_bytes.is_some());
    if !history.runs().all(measured) {
        let why = format!(
            "the heap of {runs} JVMs never held more than {peak}m of its {now}m; it is not lowered, since what is beside \
             the JVM is not measured: set spark.executor.processTreeMetrics.enabled"
        );
        return stays(false, Some(why));
    }
    changes(lower, format!("the heap of {runs} JVMs never held more than {peak}m of its {now}m"))
}

/// The most that the processes beside the JVM held, with headroom, in MiB.
fn others_mib(history: &History) -> u64 {
    let peaks = history.runs().filter_map(|run| run.jvm.as_ref()?.others_peak_bytes);
    (peaks.max().unwrap_or(0) as f64 * HEADROOM / MIB as f64).ceil() as u64
}

/// The runs as if there were nothing but what is beside the heap.
fn beside_the_heap(history: &History, heaps: Heaps<'_>) -> History {
    let mut seen = History::new();
    seen.add_all(history.runs().filter_map(|run| {
        let heap = heaps.of(run)?.saturating_mul(MIB);
        let limit = run.resources.memory_limit_bytes?.checked_sub(heap)?;
        // Of what was observed the sizes that held before are of the whole, and go.
        let observation = run.observation.as_deref().map(|o| Observation { held: Vec::new(), ..o.clone() });
        Some(part(run, run.memory?.peak_bytes.saturating_sub(heap), limit, run.outcome, observation))
    }));
    seen
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::history::{JvmUse, MemoryUse, Outcome, PeakSource, Resources};

    /// Executors of 4 GiB of heap in 4505 MiB, each `(container's peak, heap's peak, garbage, outcome)`.
    fn history(runs: &[(u64, Option<u64>, Option<f64>, Outcome)], exhausted: bool) -> History {
        beside(runs, exhausted, Some(0))
    }

    fn beside(runs: &[(u64, Option<u64>, Option<f64>, Outcome)], exhausted: bool, others: Option<u64>) -> History {
        let mut history = History::new();
        history.add_all(runs.iter().zip(0..).map(|((peak, heap, gc_share, outcome), n): (_, i64)| Run {
            pod: format!("join-exec-{n}"),
            uid: None,
            started_ms: n * 3_600_000,
            ended_ms: n * 3_600_000 + 900_000,
            memory: Some(MemoryUse { peak_bytes: peak * MIB, source: PeakSource::Cgroup, samples: 30 }),
            cpu: None,
            resources: Resources { memory_limit_bytes: Some(4505 * MIB), ..Resources::default() },
            outcome: *outcome,
            attempt: None,
            input_bytes: None,
            jvm: (heap.is_some() || exhausted).then(|| {
                Box::new(JvmUse {
                    heap_peak_bytes: heap.map(|heap| heap * MIB),
                    others_peak_bytes: others,
                    gc_share: *gc_share,
                    heap_exhausted: exhausted,
                    ..JvmUse::default()
                })
            }),
            day: None,
            observation: None,
        }));
        history
    }

    fn needed(history: &History, sized: Option<u64>) -> Option<(u64, u64)> {
        let known = KnownHeaps::default();
        need(history, 4505, &known, sized, &SizingPolicy::default()).map(|need| (need.heap_mib, need.overhead_mib))
    }

    const DONE: Outcome = Outcome::Completed;

    #[test]
    fn a_heap_that_is_known_to_be_too_large_shrinks_and_nothing_else_is_guessed() {
        let used: Vec<_> = (0..12).map(|n| (4300, Some(1600 + n % 3), Some(0.02), DONE)).collect();
        let (heap, overhead) = needed(&history(&used, false), Some(4505)).unwrap();
        assert!((1760..1900).contains(&heap), "{heap}");
        assert_eq!(overhead, 409, "the overhead stays");
        let unmeasured = needed(&beside(&used, false, None), Some(4505));
        assert_eq!(unmeasured, Some((4096, 409)), "what Python takes is not known");
        let python = needed(&beside(&used, false, Some(2000 * MIB)), Some(4505));
        assert_eq!(python, Some((heap, 2200 + 384)), "Python has lived in the room of the heap");
        let silent: Vec<_> = used.iter().map(|run| (run.0, None, None, run.3)).collect();
        assert_eq!(needed(&history(&silent, false), Some(4505)), Some((4096, 409)));
        assert_eq!(
            needed(&history(&silent, false), Some(2000)),
            Some((4096, 409)),
            "peaks of the container say nothing"
        );
        assert_eq!(needed(&history(&used[..2], false), Some(4505)), Some((4096, 409)), "two runs are no evidence");
        assert_eq!(needed(&history(&silent, false), None), None);
    }

    #[test]
    fn a_container_that_was_killed_gets_overhead_and_keeps_its_heap() {
        let mut killed: Vec<_> = (0..8).map(|_| (4450, Some(1600), Some(0.02), DONE)).collect();
        killed.push((4505, Some(1600), Some(0.02), Outcome::OomKilled));
        assert_eq!(needed(&history(&killed, false), Some(9010)), Some((4096, 818)), "twice what was beside the heap");
        let silent: Vec<_> = killed.iter().map(|run| (run.0, None, None, run.3)).collect();
        assert_eq!(needed(&history(&silent, false), Some(9010)), Some((4096, 818)));
    }

    #[test]
    fn a_full_heap_grows() {
        let full: Vec<_> = (0..5).map(|_| (4400, Some(4000), Some(0.05), Outcome::Failed)).collect();
        assert_eq!(needed(&history(&full, true), Some(4505)), Some((8192, 820)));
    }

    #[rstest]
    #[case::in_a_full_heap(4000, 0.3, (4916, 492))]
    #[case::in_a_roomy_one(1600, 0.3, (4096, 409))]
    #[case::little(4000, 0.05, (4096, 409))]
    fn much_collecting(#[case] peak: u64, #[case] share: f64, #[case] expected: (u64, u64)) {
        let runs: Vec<_> = (0..6).map(|_| (4400, Some(peak), Some(share), DONE)).collect();
        assert_eq!(needed(&history(&runs, false), Some(4505)), Some(expected));
    }

    #[test]
    fn what_sizing_wants_more_goes_beside_the_heap() {
        let runs: Vec<_> = (0..6).map(|_| (4400, None, None, DONE)).collect();
        assert_eq!(needed(&history(&runs, false), Some(6000)), Some((4096, 1904)));
        let roomy =
            need(&history(&runs, false), 5734, &KnownHeaps::default(), Some(5000), &SizingPolicy::default()).unwrap();
        assert_eq!((roomy.heap_mib, roomy.overhead_mib), (4096, 1638), "less is not proven");
    }

    #[rstest]
    #[case::less_than_there_is_beside_the_heap(1800, 2048 + 1800)]
    #[case::little(100, 2048 + 384)]
    #[case::as_much_as_may_be_beside_the_heap(3000, 4505)]
    fn what_is_beside_the_heap_shrinks_to_what_the_whole_container_held(#[case] sized: u64, #[case] total: u64) {
        let runs: Vec<_> = (0..6).map(|_| (1500, None, None, DONE)).collect();
        let known = KnownHeaps { of_pod_mib: Some(2048), ..KnownHeaps::default() };
        let made = need(&history(&runs, false), 4505, &known, Some(sized), &SizingPolicy::default()).unwrap();
        assert_eq!((made.heap_mib, made.heap_is_proven, made.total_mib()), (2048, false, total));
    }

    #[test]
    fn a_heap_that_was_lowered_by_its_evidence_stays_known_and_stays() {
        let mut lowered = history(&(0..6).map(|_| (2100, Some(1640), Some(0.02), DONE)).collect::<Vec<_>>(), false);
        let runs: Vec<Run> = lowered.runs().cloned().collect();
        lowered = History::new();
        lowered.add_all(runs.into_iter().map(|run| Run {
            resources: Resources { memory_limit_bytes: Some(2213 * MIB), ..Resources::default() },
            ..run
        }));
        let policy = SizingPolicy::default();
        assert_eq!(need(&lowered, 2213, &KnownHeaps::default(), Some(2213), &policy), None, "no default makes 2213m");
        let known = KnownHeaps { of_sizes: vec![(4505, 4096), (2213, 1804)], ..KnownHeaps::default() };
        let made = need(&lowered, 2213, &known, Some(2213), &policy).unwrap();
        assert_eq!((made.heap_now_mib, made.heap_mib, made.heap_is_proven), (1804, 1804, true));
    }
}
