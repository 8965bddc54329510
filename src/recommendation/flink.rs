//! How a Flink process should be sized by what its JVMs said, as a recommendation says it.
//! Must not know where a history comes from, nor what a pod may have.

use serde::Serialize;

use crate::fit::ContainerResources;
use crate::fit::flink::{Component, need};
use crate::history::History;
use crate::quantity::{MIB, Quantity};
use crate::sizing::SizingPolicy;
use crate::workload::Kind;

/// A process size, which is the whole memory of its container.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FlinkLine {
    /// The size that it should have, in bytes.
    pub process_bytes: u64,
    /// The JVMs have shown that it is enough; else it is only raised.
    pub process_is_proven: bool,
    /// The heap that Flink makes of it, in bytes.
    pub heap_bytes: u64,
    /// The heap of the process as it is, in bytes.
    pub heap_now_bytes: u64,
    /// Why, one sentence each; part of the line's notes.
    #[serde(skip)]
    pub notes: Vec<String>,
}

impl FlinkLine {
    /// `None` for what is no process of Flink's, or where its JVMs said nothing. `wanted` is what sizing wants for the
    /// container as a whole.
    pub(super) fn of(
        kind: Kind,
        history: &History,
        current: &ContainerResources,
        wanted: &ContainerResources,
        policy: &SizingPolicy,
    ) -> Option<Self> {
        let component = match kind {
            Kind::FlinkJobmanager => Component::JobManager,
            Kind::FlinkTaskmanager => Component::TaskManager,
            _ => return None,
        };
        let mib = |quantity: Quantity| quantity.bytes_rounded_up().div_ceil(MIB);
        let process = current.memory_limit.filter(|limit| current.memory_request == Some(*limit)).map(mib)?;
        let need = need(component, history, process, wanted.memory_limit.map(mib), policy)?;
        Some(Self {
            process_bytes: need.process_mib * MIB,
            process_is_proven: need.is_proven,
            heap_bytes: need.heap_mib * MIB,
            heap_now_bytes: need.heap_now_mib * MIB,
            notes: need.notes,
        })
    }

    pub(super) fn total(&self) -> Quantity {
        Quantity::from_bytes_mib_rounded_up(self.process_bytes)
    }

    /// Where the process size comes from, in place of sizing's own rule.
    pub(super) fn rule(&self) -> String {
        format!("process with a heap of {}Mi", self.heap_bytes / MIB)
    }
}
