//! What a container should have, as every face says it: sizing's word, and for a Spark pod that of its heap and overhead.
//! Must not know where a history comes from, nor what a pod may have.

use serde::Serialize;

use super::model::{quantities_of, resources_of, wanted};
use crate::fit::spark::{Divided, KnownHeaps, need};
use crate::fit::{ContainerResources, Fitted, Resource, What};
use crate::history::History;
use crate::quantity::Quantity;
use crate::sizing::{Sizing, SizingPolicy, recommend};
use crate::workload::Kind;

const MIB: u64 = 1 << 20;

/// How a Spark pod's memory is divided.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SparkLine {
    /// The heap that it should have, in bytes.
    pub heap_bytes: u64,
    /// The JVMs have shown that it is the right one; else it stays for want of evidence.
    pub heap_is_proven: bool,
    /// All beside it, in bytes.
    pub overhead_bytes: u64,
    /// The heap that it has, in bytes: as its pods say it, else the one whose default overhead makes the pod's size.
    pub heap_now_bytes: u64,
    /// The memory that it has, in bytes.
    pub total_now_bytes: u64,
    /// Why, one sentence each; part of the line's notes.
    #[serde(skip)]
    pub notes: Vec<String>,
}

impl SparkLine {
    /// `None` for what is no driver or executor, or where its heap is not known. `wanted` is what sizing wants for the
    /// container as a whole.
    fn of(
        kind: Kind,
        history: &History,
        current: &ContainerResources,
        wanted: &ContainerResources,
        policy: &SizingPolicy,
        heaps: &KnownHeaps,
    ) -> Option<Self> {
        let of_spark = matches!(
            kind,
            Kind::SparkDriver | Kind::SparkExecutor | Kind::AirflowSparkDriver | Kind::AirflowSparkExecutor
        );
        let mib = |quantity: Quantity| quantity.bytes_rounded_up().div_ceil(MIB);
        let total = current.memory_limit.filter(|_| of_spark).map(mib)?;
        let need = need(history, total, heaps, wanted.memory_limit.map(mib), policy)?;
        let mut notes = need.notes;
        if heaps.now(history, total).is_some_and(|heap| heap.is_likely) {
            let heap = need.heap_now_mib;
            notes.push(format!("the heap of now is taken to be {heap}m, whose default overhead makes {total}m"));
        }
        Some(Self {
            heap_bytes: need.heap_mib * MIB,
            heap_is_proven: need.heap_is_proven,
            overhead_bytes: need.overhead_mib * MIB,
            heap_now_bytes: need.heap_now_mib * MIB,
            total_now_bytes: total * MIB,
            notes,
        })
    }

    /// The same for arithmetic.
    pub const fn divided(&self) -> Divided {
        Divided {
            heap_mib: self.heap_bytes / MIB,
            heap_is_proven: self.heap_is_proven,
            overhead_mib: self.overhead_bytes / MIB,
            heap_now_mib: self.heap_now_bytes / MIB,
            total_now_mib: self.total_now_bytes / MIB,
        }
    }

    fn total(&self) -> Quantity {
        Quantity::from_bytes_mib_rounded_up(self.heap_bytes.saturating_add(self.overhead_bytes))
    }

    /// Where the pod's memory comes from, in place of sizing's own rule.
    fn rule(&self) -> String {
        format!("heap {}Mi + overhead {}Mi", self.heap_bytes >> 20, self.overhead_bytes >> 20)
    }

    /// What is recommended is memory for the application and the rest for its pods; where admission would give the pod
    /// that was looked at another memory, since its heap is fixed, that is said.
    pub(super) fn beside(&mut self, of_application: Fitted, mut in_pod: Fitted) -> Fitted {
        if in_pod.skipped.is_some() || of_application.skipped.is_some() {
            return in_pod;
        }
        let memory = |fitted: &Fitted| fitted.resources.pair(Resource::Memory);
        if let (Some(given), true) = (memory(&in_pod).limit, memory(&in_pod) != memory(&of_application)) {
            self.notes.push(format!(
                "the heap is fixed when a pod is made, so that admission gives a pod {given}: change the application"
            ));
        }
        in_pod.resources.set(Resource::Memory, memory(&of_application));
        let of_memory = |what: What| {
            matches!(
                what,
                What::Request(Resource::Memory) | What::Limit(Resource::Memory) | What::Both(Resource::Memory)
            )
        };
        in_pod.adjustments.retain(|adjustment| !of_memory(adjustment.what));
        in_pod
            .adjustments
            .extend(of_application.adjustments.into_iter().filter(|adjustment| of_memory(adjustment.what)));
        in_pod
    }
}

/// What a container should have before it is made right for its surroundings.
pub struct Wanted {
    /// Sizing's word, on the container as a whole.
    pub sizing: Sizing,
    /// What it has.
    pub current: ContainerResources,
    /// What it should have; a value that is not there stays as it is.
    pub size: ContainerResources,
    /// The rule that gave the memory, where it is not sizing's own.
    pub rule: Option<String>,
    /// How the memory is divided, where that is known.
    pub spark: Option<SparkLine>,
}

impl Wanted {
    /// From a history; `current` is what the newest pod asks for, where one was looked at.
    pub fn of(
        kind: Kind,
        history: &History,
        current: Option<ContainerResources>,
        policy: &SizingPolicy,
        heaps: &KnownHeaps,
    ) -> Self {
        let sizing = recommend(history, current.as_ref().map(resources_of), policy);
        let current = current.unwrap_or_else(|| quantities_of(&sizing.current));
        let mut size = wanted(&sizing);
        let spark = SparkLine::of(kind, history, &current, &size, policy, heaps);
        let rule = spark.as_ref().filter(|line| Some(line.total()) != size.memory_limit).map(SparkLine::rule);
        if let Some(total) = spark.as_ref().map(SparkLine::total) {
            (size.memory_request, size.memory_limit) = (Some(total), Some(total));
        }
        Self { sizing, current, size, rule, spark }
    }
}
