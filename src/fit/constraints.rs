//! What a pod of a namespace must fit into, gathered from objects as they came.
//! Must not know how they were read, once or by a watch.

use serde_json::Value;

use super::{LimitRanges, Quota, Resource};
use crate::quantity::Quantity;

/// What a pod of a namespace must fit into. The default binds nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Constraints {
    /// The namespace's `LimitRanges`, merged to the tightest.
    pub limit_ranges: LimitRanges,
    /// The namespace's `ResourceQuotas`.
    pub quotas: Vec<Quota>,
    /// CPU that the largest node can give to pods, where known.
    pub largest_node_cpu: Option<Quantity>,
    /// Memory that the largest node can give to pods, where known.
    pub largest_node_memory: Option<Quantity>,
}

impl Constraints {
    /// What the largest node can give to pods, where known.
    pub const fn largest_node(&self, resource: Resource) -> Option<Quantity> {
        match resource {
            Resource::Cpu => self.largest_node_cpu,
            Resource::Memory => self.largest_node_memory,
        }
    }

    /// The same, with this as the largest node.
    #[must_use]
    pub fn with_largest_node(self, Allocatable { cpu, memory }: Allocatable) -> Self {
        Self { largest_node_cpu: cpu, largest_node_memory: memory, ..self }
    }
}

/// What a node can give to pods. `None` where it is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allocatable {
    /// CPU.
    pub cpu: Option<Quantity>,
    /// Memory.
    pub memory: Option<Quantity>,
}

impl Allocatable {
    /// Reads `status.allocatable` of a Node. What is missing, as on a node that has just come, or no quantity is not
    /// known.
    pub fn of_node(node: &Value) -> Self {
        let read = |resource: Resource| {
            let value = node.pointer("/status/allocatable")?.get(resource.as_str())?;
            Quantity::from_json(value).ok()
        };
        Self { cpu: read(Resource::Cpu), memory: read(Resource::Memory) }
    }

    /// The largest of each, be it on one node or on two.
    pub fn largest(nodes: impl IntoIterator<Item = Self>) -> Self {
        nodes.into_iter().fold(Self::default(), |largest, node| Self {
            cpu: largest.cpu.max(node.cpu),
            memory: largest.memory.max(node.memory),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_largest_node_is_taken_for_each_resource() {
        let node = |cpu: Value, memory: Value| json!({"status": {"allocatable": {"cpu": cpu, "memory": memory}}});
        let nodes = [
            node(json!("4"), json!("64Gi")),
            node(json!(16), json!("32Gi")),
            node(json!("lots"), json!(null)),
            json!({"status": {}}),
        ];
        let largest = Allocatable::largest(nodes.iter().map(Allocatable::of_node));
        assert_eq!(largest, Allocatable { cpu: "16".parse().ok(), memory: "64Gi".parse().ok() });
        assert_eq!(Allocatable::largest([]), Allocatable::default());
    }
}
