//! What the engine inside a container asks of its size: a JVM's heap was fixed before the pod was made.
//! Must not read more of a container than the one variable that names the heap.

use serde_json::Value;

use super::{ContainerResources, Resource, spark};
use crate::policy::visitor::present;
use crate::quantity::Quantity;
use crate::workload::Kind;

/// The variable from which Spark's entrypoint takes an executor's heap.
pub const EXECUTOR_HEAP: &str = "SPARK_EXECUTOR_MEMORY";
/// Spark's default memory overhead in percent of the heap (`spark.executor.memoryOverheadFactor`).
const SPARK_OVERHEAD_PERCENT: u32 = 10;

/// How far a container's memory may be lowered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum MemoryRule {
    /// As far as its use allows.
    #[default]
    Free,
    /// Not below this, or not below what it has where that is less.
    AtLeast {
        /// The floor.
        floor: Quantity,
        /// What needs it.
        why: &'static str,
    },
    /// Not at all.
    NeverLower {
        /// What forbids it.
        why: &'static str,
    },
}

/// What a container's engine and pod ask of its size. The default asks nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SizeRules {
    /// How far memory may be lowered.
    pub memory: MemoryRule,
    /// A CPU limit may be raised and not lowered.
    pub keep_cpu_limit: bool,
    /// The pod is Guaranteed: requests must stay equal to limits.
    pub guaranteed: bool,
}

impl SizeRules {
    /// For a container of a pod of this kind of work, as it came. `guaranteed`: the pod's `QoS` class is.
    pub fn of(kind: Option<Kind>, container: &Value, guaranteed: bool) -> Self {
        let memory = match kind {
            Some(Kind::SparkExecutor | Kind::AirflowSparkExecutor) => spark_executor(container),
            Some(kind) => fixed_heap(kind),
            None => MemoryRule::Free,
        };
        Self { memory, keep_cpu_limit: kind.is_some_and(is_flink), guaranteed }
    }

    /// Where only the kind of work and the container's present size are known, and not its pod.
    pub fn without_pod(kind: Option<Kind>, current: &ContainerResources) -> Self {
        Self::of(kind, &Value::Null, current.is_guaranteed())
    }
}

const fn is_flink(kind: Kind) -> bool {
    matches!(kind, Kind::FlinkJobmanager | Kind::FlinkTaskmanager)
}

const fn fixed_heap(kind: Kind) -> MemoryRule {
    match kind {
        Kind::SparkDriver | Kind::AirflowSparkDriver | Kind::SparkConnect => {
            MemoryRule::NeverLower { why: "the Spark driver's heap is not visible in its pod" }
        }
        Kind::SparkMaster | Kind::SparkWorker => MemoryRule::NeverLower { why: "the Spark daemon's heap is fixed" },
        Kind::FlinkJobmanager | Kind::FlinkTaskmanager => {
            MemoryRule::NeverLower { why: "Flink fixed its process memory when the pod was made" }
        }
        _ => MemoryRule::Free,
    }
}

/// Heap plus what the JVM needs beside it; an unknown heap forbids lowering.
fn spark_executor(container: &Value) -> MemoryRule {
    let Some(heap) = spark_executor_heap(container) else {
        return MemoryRule::NeverLower { why: "the Spark executor's heap is not visible in its container" };
    };
    let overhead = heap.percent(SPARK_OVERHEAD_PERCENT).max(Quantity::from_bytes(spark::LEAST_OVERHEAD_MIB << 20));
    let floor = Quantity::from_bytes_mib_rounded_up(heap.plus(overhead).bytes_rounded_up());
    MemoryRule::AtLeast { floor, why: "the Spark executor's heap and overhead" }
}

/// The heap that a Spark executor's container gives its JVM.
pub fn spark_executor_heap(container: &Value) -> Option<Quantity> {
    let env = present(container, "env")?.as_array()?;
    // Where a variable is set twice, the last one counts.
    let heap = env.iter().rev().find(|e| e.get("name").and_then(Value::as_str) == Some(EXECUTOR_HEAP))?;
    spark::java_size(heap.get("value")?.as_str()?)
}

impl MemoryRule {
    /// The least request and limit, given what the container has; and why.
    pub(super) fn least(&self, resource: Resource, current: Option<Quantity>) -> Option<(Quantity, &'static str)> {
        match self {
            _ if resource != Resource::Memory => None,
            Self::Free => None,
            Self::AtLeast { floor, why } => Some((current.map_or(*floor, |current| current.min(*floor)), why)),
            Self::NeverLower { why } => current.map(|current| (current, *why)),
        }
    }

    /// Whether a limit may be set where there is none.
    pub(super) const fn allows_new_limit(&self) -> bool {
        !matches!(self, Self::NeverLower { .. })
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case("3072m", Some("3456Mi"))]
    #[case("3g", Some("3456Mi"))]
    #[case("10G", Some("11Gi"))]
    #[case("1073741824", Some("1408Mi"))]
    #[case("512MB", Some("896Mi"))]
    #[case("", None)]
    #[case("0", None)]
    #[case("1.5g", None)]
    #[case("$(HEAP)", None)]
    fn executor_memory_keeps_heap_and_overhead(#[case] heap: &str, #[case] floor: Option<&str>) {
        let container = json!({"env": [{"name": "SPARK_EXECUTOR_MEMORY", "value": heap}]});
        let place = SizeRules::of(Some(Kind::SparkExecutor), &container, false);
        match (place.memory, floor) {
            (MemoryRule::AtLeast { floor, .. }, Some(expected)) => assert_eq!(floor.to_string(), expected),
            (MemoryRule::NeverLower { .. }, None) => {}
            (rule, _) => panic!("{rule:?}"),
        }
    }

    #[test]
    fn only_known_heaps_bind() {
        let nothing = json!({});
        for kind in Kind::ALL {
            let place = SizeRules::of(Some(kind), &nothing, false);
            let jvm = kind.as_str().contains("spark") || kind.as_str().contains("flink");
            assert_eq!(place.memory != MemoryRule::Free, jvm, "{kind}");
            assert_eq!(place.keep_cpu_limit, kind.as_str().contains("flink"), "{kind}");
        }
    }
}
