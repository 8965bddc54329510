//! Which heap a pod of a size has, and how a recommended size is divided. A pod's total alone does not say.
//! Must not know where what is known comes from.

use super::likely_heap;
use crate::history::History;
use crate::quantity::MIB;

/// What is known of heaps beside the history, best first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownHeaps {
    /// The heap in the pod that was looked at, in MiB.
    pub of_pod_mib: Option<u64>,
    /// Totals and their heaps, in MiB: what was recommended before was divided so.
    pub of_sizes: Vec<(u64, u64)>,
}

/// A heap and how it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownHeap {
    /// In MiB.
    pub mib: u64,
    /// No pod and no recommendation says it: it is the one whose default overhead makes the total.
    pub is_likely: bool,
}

impl KnownHeaps {
    /// The heap of a pod that has this much memory now; `None` where it is not known. All that ask, ask here.
    pub fn now(&self, history: &History, total_mib: u64) -> Option<KnownHeap> {
        let told = |mib| KnownHeap { mib, is_likely: false };
        let of_runs = || {
            let same = |limit: u64| limit.div_ceil(MIB) == total_mib;
            history.runs().rev().find_map(|run| {
                let heap = run.jvm.as_ref()?.heap_bytes?.div_ceil(MIB);
                run.resources.memory_limit_bytes.is_some_and(same).then_some(heap)
            })
        };
        self.of_pod_mib.or_else(of_runs).filter(|heap| *heap < total_mib).map(told).or_else(|| self.of_size(total_mib))
    }

    /// The heap of pods of this size that no longer are.
    pub fn of_size(&self, total_mib: u64) -> Option<KnownHeap> {
        let said = self.of_sizes.iter().find(|(total, heap)| *total == total_mib && heap < total);
        match said {
            Some((_, heap)) => Some(KnownHeap { mib: *heap, is_likely: false }),
            None => likely_heap(total_mib).map(|mib| KnownHeap { mib, is_likely: true }),
        }
    }
}

/// How a recommended size is divided, in MiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Divided {
    /// The heap.
    pub heap_mib: u64,
    /// The JVMs have shown that it is the right one; else it is the heap that was there, for want of evidence.
    pub heap_is_proven: bool,
    /// All beside it.
    pub overhead_mib: u64,
    /// The heap of the pods that this was learned from.
    pub heap_now_mib: u64,
    /// The total of those pods.
    pub total_now_mib: u64,
}

impl Divided {
    /// All of it.
    pub const fn total_mib(&self) -> u64 {
        self.heap_mib.saturating_add(self.overhead_mib)
    }

    /// What a pod needs whose heap is fixed already: its own, where it says so, else the heap of now.
    pub fn with_heap(&self, heap_mib: Option<u64>) -> u64 {
        heap_mib.unwrap_or(self.heap_now_mib).saturating_add(self.overhead_mib)
    }

    /// The heap that an application should be given in place of the one that it asks for.
    pub fn heap_in_place_of(&self, asked_mib: u64) -> u64 {
        if self.heap_is_proven { self.heap_mib } else { asked_mib }
    }

    /// Which totals it tells the heap of.
    pub const fn sizes(&self) -> [(u64, u64); 2] {
        [(self.total_mib(), self.heap_mib), (self.total_now_mib, self.heap_now_mib)]
    }

    /// The same size in another total; what is beside the heap takes the difference.
    #[must_use]
    pub fn with_total(self, total_mib: u64) -> Self {
        Self { overhead_mib: total_mib.saturating_sub(self.heap_mib), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{JvmUse, Outcome, Resources, Run};

    fn run(number: i64, total_mib: u64, heap_mib: Option<u64>) -> Run {
        Run {
            pod: format!("a-exec-{number}"),
            uid: None,
            started_ms: number * 3_600_000,
            ended_ms: number * 3_600_000 + 60_000,
            memory: None,
            cpu: None,
            resources: Resources { memory_limit_bytes: Some(total_mib * MIB), ..Resources::default() },
            outcome: Outcome::Completed,
            attempt: None,
            input_bytes: None,
            jvm: heap_mib.map(|mib| Box::new(JvmUse { heap_bytes: Some(mib * MIB), ..JvmUse::default() })),
            day: None,
            observation: None,
        }
    }

    #[test]
    fn what_a_pod_says_comes_before_what_was_said_and_that_before_what_is_likely() {
        let mut history = History::new();
        history.add_all([
            run(1, 4505, Some(2000)),
            run(2, 4505, Some(2048)),
            run(3, 9000, Some(8000)),
            run(4, 4505, None),
        ]);
        let silent = History::new();
        let known = |of_pod_mib, of_sizes: &[(u64, u64)]| KnownHeaps { of_pod_mib, of_sizes: of_sizes.to_vec() };
        let told = |mib| Some(KnownHeap { mib, is_likely: false });
        assert_eq!(known(Some(3000), &[(4505, 1000)]).now(&history, 4505), told(3000));
        assert_eq!(known(None, &[(4505, 1000)]).now(&history, 4505), told(2048), "the newest run of that size");
        assert_eq!(known(None, &[(4505, 1000)]).now(&silent, 4505), told(1000));
        assert_eq!(known(None, &[(4504, 1000)]).now(&silent, 4505), Some(KnownHeap { mib: 4096, is_likely: true }));
        assert_eq!(known(None, &[]).now(&silent, 5000), None);
        assert_eq!(known(Some(5000), &[(5000, 5000)]).now(&silent, 5000), None, "a heap that leaves nothing beside it");
    }

    #[test]
    fn a_pod_keeps_its_heap_and_an_application_takes_the_one_that_is_proven() {
        let divided = Divided {
            heap_mib: 1804,
            heap_is_proven: true,
            overhead_mib: 409,
            heap_now_mib: 4096,
            total_now_mib: 4505,
        };
        assert_eq!((divided.with_heap(None), divided.with_heap(Some(3000))), (4505, 3409));
        assert_eq!(divided.heap_in_place_of(8192), 1804);
        assert_eq!(Divided { heap_is_proven: false, ..divided }.heap_in_place_of(8192), 8192);
        assert_eq!(divided.with_total(5000).overhead_mib, 3196);
        assert_eq!(divided.sizes(), [(2213, 1804), (4505, 4096)]);
    }
}
