//! How a Spark pod's memory is divided, as a recommendation says it.
//! Must not know where a history comes from, nor what a pod may have.

use serde::Serialize;

use crate::fit::ContainerResources;
use crate::fit::spark::{Divided, KnownHeaps, need};
use crate::history::History;
use crate::quantity::{MIB, Quantity};
use crate::sizing::SizingPolicy;
use crate::workload::Kind;

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
    pub(super) fn of(
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

    pub(super) fn total(&self) -> Quantity {
        Quantity::from_bytes_mib_rounded_up(self.heap_bytes.saturating_add(self.overhead_bytes))
    }

    /// Where the pod's memory comes from, in place of sizing's own rule.
    pub(super) fn rule(&self) -> String {
        format!("heap {}Mi + overhead {}Mi", self.heap_bytes >> 20, self.overhead_bytes >> 20)
    }
}
