//! The heap of a Spark executor, set in its own container: only where the administrator wants it, and only to what the
//! JVMs have proven. Request and limit stay one number, and change by what the heap does.
//!
//! Spark's entrypoint takes `-Xms` and `-Xmx` from the variable, and Spark divides its memory by what the running JVM
//! has; the driver goes on to show the heap that its settings name.

use serde_json::{Value, json};

use super::patch::{Action, Op};
use super::provenance::HeapChange;
use super::resize::Resizing;
use super::snapshot::Recommended;
use crate::fit::spark::LEAST_HEAP_MIB;
use crate::fit::{ContainerResources, EXECUTOR_HEAP, spark_executor_heap};
use crate::policy::PodSpec;
use crate::quantity::Quantity;
use crate::workload::Kind;

/// A pod with another heap in it.
pub(super) struct HeapRewrite {
    /// The pod.
    pub object: Value,
    /// The container.
    pub container: String,
    /// What it needs with that heap: request and limit.
    pub memory: Quantity,
    current: Option<ContainerResources>,
    /// The heap, before and after.
    pub heap: HeapChange,
    op: Op,
}

impl HeapRewrite {
    /// The pod with the recommended heap; `None` where that is not proven, or the one that it has, or where the pod
    /// does not say its heap in so many words.
    pub fn of(object: &Value, kind: Kind, recommended: &Recommended, pod: &PodSpec<'_>) -> Option<Self> {
        if !matches!(kind, Kind::SparkExecutor | Kind::AirflowSparkExecutor) {
            return None;
        }
        let (name, divided) = recommended.divided.iter().find(|(_, divided)| divided.heap_is_proven)?;
        let container = pod.containers().find(|container| *container.name == **name)?;
        let heap_mib = divided.heap_mib.max(LEAST_HEAP_MIB);
        let before = spark_executor_heap(container.json)?;
        if before == Quantity::from_bytes(heap_mib << 20) {
            return None;
        }
        let env = container.json.get("env")?.as_array()?;
        let at = env.iter().rposition(|e| e.get("name").and_then(Value::as_str) == Some(EXECUTOR_HEAP))?;
        let path = format!("{}/env/{at}/value", container.path);
        let value = json!(format!("{heap_mib}m"));
        let heap = HeapChange { from: before, to: Quantity::from_bytes_mib_rounded_up(heap_mib << 20) };
        let mut object = object.clone();
        *object.pointer_mut(&path)? = value.clone();
        Some(Self {
            object,
            container: name.to_string(),
            memory: Quantity::from_bytes_mib_rounded_up(heap_mib.saturating_add(divided.overhead_mib) << 20),
            current: ContainerResources::of_container(container.json).ok(),
            heap,
            op: Op { op: Action::Replace, path, value },
        })
    }

    /// The answer with the heap in it; `None` where the pod does not get exactly the size that belongs to it.
    pub fn answer(self, resizing: Resizing) -> Option<Resizing> {
        let after = resizing.changes.get(&self.container).map(|change| change.to).or(self.current)?;
        let exactly = Some(self.memory);
        if resizing.skipped.is_some() || (after.memory_request, after.memory_limit) != (exactly, exactly) {
            return None;
        }
        let mut resizing = resizing;
        resizing.ops.insert(0, self.op);
        Some(resizing)
    }
}
