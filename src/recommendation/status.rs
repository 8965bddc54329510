//! What is in force of a recommendation, and why: what a `Recommendation` object says in its status, as it is stored.
//! Reads what an older or newer release wrote: fields that are not there are empty, fields that are not known are
//! passed over. Must not know a cluster or a clock.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Kill;
use crate::fit::ContainerResources;
use crate::fit::spark::Divided;
use crate::quantity::{MIB, Quantity};

/// What was learned of a workload, and what is done about it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Status {
    /// The containers that do its work.
    pub containers: Vec<ContainerStatus>,
    /// One line for people.
    pub summary: Summary,
    /// The newest kill for memory that is taken in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kills_until: Option<Timestamp>,
    /// End of the newest run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_run: Option<Timestamp>,
    /// What holds of it now.
    pub conditions: Vec<Condition>,
}

/// One container.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ContainerStatus {
    /// Its name.
    pub name: String,
    /// What its newest run asked for.
    // Left out where it says nothing: where a size was before, server-side apply makes `null` of `{}`.
    #[serde(skip_serializing_if = "ContainerResources::is_empty")]
    pub current: ContainerResources,
    /// What it should ask for; what is not there stays as it is.
    #[serde(skip_serializing_if = "ContainerResources::is_empty")]
    pub recommended: ContainerResources,
    /// That within the bounds of the policy: what a pod like the newest gets where sizes are applied.
    pub in_force: ContainerResources,
    /// Memory of the second try and further ones.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub memory_ladder: Vec<Quantity>,
    /// What is enough where the pod says how large its input is, ascending; above the last, what is recommended.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub memory_by_input: Vec<InputMemory>,
    /// Of a Spark container: how the recommended memory is divided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spark: Option<SparkStatus>,
    /// Of a Flink process: whether it may be made so small.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flink: Option<FlinkStatus>,
    /// Why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// What the numbers rest on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
    /// The newest kill that no later run has answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kill: Option<Kill>,
    /// After a shrink of podfit's that killed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frozen: Option<Frozen>,
}

/// Memory of a run whose input is known.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InputMemory {
    /// Largest input that it is for.
    pub up_to_input: Quantity,
    /// Request and limit.
    pub memory: Quantity,
}

/// How the memory of a Spark container is divided; heap and overhead are the recommended memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SparkStatus {
    /// The heap.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heap: Option<Quantity>,
    /// The JVMs have shown that it is the right one; else the one that is there stays, for want of evidence.
    pub heap_is_proven: bool,
    /// All beside it: overhead, off-heap memory, Python.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overhead: Option<Quantity>,
    /// The heap of the newest run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heap_now: Option<Quantity>,
    /// The memory of the newest run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_now: Option<Quantity>,
}

impl From<Divided> for SparkStatus {
    fn from(divided: Divided) -> Self {
        let quantity = |mib: u64| Some(Quantity::from_bytes(mib * MIB));
        Self {
            heap: quantity(divided.heap_mib),
            heap_is_proven: divided.heap_is_proven,
            overhead: quantity(divided.overhead_mib),
            heap_now: quantity(divided.heap_now_mib),
            total_now: quantity(divided.total_now_mib),
        }
    }
}

impl SparkStatus {
    /// For arithmetic; `None` where a part is missing, or is what nobody can have meant.
    pub fn divided(&self) -> Option<Divided> {
        let mib = |quantity: Option<Quantity>| {
            let quantity = quantity.filter(|quantity| *quantity > Quantity::ZERO)?;
            Some(quantity.bytes_rounded_up().div_ceil(MIB))
        };
        Some(Divided {
            heap_mib: mib(self.heap)?,
            heap_is_proven: self.heap_is_proven,
            overhead_mib: mib(self.overhead)?,
            heap_now_mib: mib(self.heap_now)?,
            total_now_mib: mib(self.total_now)?,
        })
    }
}

/// What is known of a Flink process; its size is the recommended memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct FlinkStatus {
    /// The JVMs have shown that the recommended size is enough; else it is only raised.
    pub process_is_proven: bool,
}

/// What numbers rest on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Evidence {
    /// Finished runs.
    pub runs: u64,
    /// Of a service, whose runs are days of its replicas: finished days.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub days: Option<u64>,
    /// Start of the oldest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Timestamp>,
    /// End of the newest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<Timestamp>,
    /// Hours that its runs take in a week.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hours_per_week: Option<f64>,
    /// Memory that its runs reserve in a week, less what second tries would take: GiB-hours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reserved_per_week: Option<f64>,
    /// Highest memory peak.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peak_max: Option<Quantity>,
    /// Median memory peak.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peak_median: Option<Quantity>,
    /// Runs killed for memory.
    pub oom_kills: u64,
    /// The rule that gave the memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_rule: Option<String>,
    /// The rule that gave the CPU request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_rule: Option<String>,
    /// Share of runs that need a second try, at most: upper end of the two-sided 95 % interval, 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failing_share_at_most: Option<f64>,
}

/// A workload that is left alone for a while.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Frozen {
    /// What it had before.
    pub memory: Quantity,
    /// Until when.
    pub until: Timestamp,
}

/// One line for people.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Summary {
    /// Finished runs.
    pub runs: String,
    /// Memory, now and recommended.
    pub memory: String,
    /// CPU request, now and recommended.
    pub cpu: String,
    /// Memory no longer reserved, GiB-hours a week.
    pub saved_per_week: String,
    /// Whether pods get it.
    pub applied: String,
}

/// A condition as Kubernetes has them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// Which.
    #[serde(rename = "type")]
    pub kind: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// Why, in one word.
    #[serde(default)]
    pub reason: String,
    /// Why, in a sentence.
    #[serde(default)]
    pub message: String,
    /// When the status last changed.
    #[serde(default)]
    pub last_transition_time: Timestamp,
}
