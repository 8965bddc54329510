//! What a container should have, as everybody says it: sizing's word, and for a JVM that of its parts.
//! Must not know where a history comes from, nor what a pod may have.

use super::flink::FlinkLine;
use super::spark::SparkLine;
use crate::fit::spark::KnownHeaps;
use crate::fit::{ContainerResources, Fitted, Resource, What};
use crate::history::{History, Resources};
use crate::quantity::Quantity;
use crate::sizing::{Sizing, SizingPolicy, recommend};
use crate::workload::Kind;

/// What a container should have before it is made right for its constraints.
pub struct Wanted {
    /// Sizing's word, on the container as a whole.
    pub sizing: Sizing,
    /// What it has.
    pub current: ContainerResources,
    /// What it should have; a value that is not there stays as it is.
    pub size: ContainerResources,
    /// The rule that gave the memory, where it is not sizing's own.
    pub rule: Option<String>,
    /// How a Spark pod's memory is divided, where that is known.
    pub spark: Option<SparkLine>,
    /// The size of a process of Flink's, where its JVMs said something.
    pub flink: Option<FlinkLine>,
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
        let flink = FlinkLine::of(kind, history, &current, &size, policy);
        let of_parts = spark.as_ref().map(|line| (line.total(), line.rule()));
        let of_parts = of_parts.or_else(|| flink.as_ref().map(|line| (line.total(), line.rule())));
        let mut rule = None;
        if let Some((total, of_parts)) = of_parts {
            rule = Some(of_parts).filter(|_| Some(total) != size.memory_limit);
            (size.memory_request, size.memory_limit) = (Some(total), Some(total));
        }
        Self { sizing, current, size, rule, spark, flink }
    }

    /// Whether the application that makes the pods can have less, whatever a pod's own fixed memory forbids.
    pub(super) fn is_of_application(&self) -> bool {
        self.spark.is_some() || self.flink.as_ref().is_some_and(|line| line.process_is_proven)
    }

    /// What its JVMs had to say.
    pub(super) fn notes(&self) -> impl Iterator<Item = &String> {
        let spark = self.spark.iter().flat_map(|line| &line.notes);
        spark.chain(self.flink.iter().flat_map(|line| &line.notes))
    }
}

/// What is recommended is memory for the application and the rest for its pods; where admission would give the pod that
/// was looked at another memory, since its heap is fixed, that is said.
pub(super) fn beside(of_application: Fitted, mut in_pod: Fitted) -> (Fitted, Option<String>) {
    if in_pod.skipped.is_some() || of_application.skipped.is_some() {
        return (in_pod, None);
    }
    let memory = |fitted: &Fitted| fitted.resources.pair(Resource::Memory);
    let said = memory(&in_pod).limit.filter(|_| memory(&in_pod) != memory(&of_application)).map(|given| {
        format!("the heap is fixed when a pod is made, so that admission gives a pod {given}: change the application")
    });
    in_pod.resources.set(Resource::Memory, memory(&of_application));
    let of_memory = |what: What| {
        matches!(what, What::Request(Resource::Memory) | What::Limit(Resource::Memory) | What::Both(Resource::Memory))
    };
    in_pod.adjustments.retain(|adjustment| !of_memory(adjustment.what));
    in_pod.adjustments.extend(of_application.adjustments.into_iter().filter(|adjustment| of_memory(adjustment.what)));
    (in_pod, said)
}

/// What sizing wants, as quantities; `None` = leave as it is.
pub fn wanted(sizing: &Sizing) -> ContainerResources {
    let memory = sizing.memory.known().map(|m| Quantity::from_bytes_mib_rounded_up(m.bytes));
    ContainerResources {
        cpu_request: sizing.cpu.known().map(|c| Quantity::from_millis(c.request_millis)),
        cpu_limit: sizing.cpu.known().and_then(|c| c.limit_millis).map(Quantity::from_millis),
        memory_request: memory,
        memory_limit: memory,
    }
}

/// The same without units, for sizing.
fn resources_of(resources: &ContainerResources) -> Resources {
    Resources {
        cpu_request_millis: resources.cpu_request.map(Quantity::millis_rounded_up),
        cpu_limit_millis: resources.cpu_limit.map(Quantity::millis_rounded_up),
        memory_request_bytes: resources.memory_request.map(Quantity::bytes_rounded_up),
        memory_limit_bytes: resources.memory_limit.map(Quantity::bytes_rounded_up),
    }
}

fn quantities_of(resources: &Resources) -> ContainerResources {
    ContainerResources {
        cpu_request: resources.cpu_request_millis.map(Quantity::from_millis),
        cpu_limit: resources.cpu_limit_millis.map(Quantity::from_millis),
        memory_request: resources.memory_request_bytes.map(Quantity::from_bytes),
        memory_limit: resources.memory_limit_bytes.map(Quantity::from_bytes),
    }
}
