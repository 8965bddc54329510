//! Why a number is what it is: parts that add up to it, and where it is not what was wanted.
//! Must not know who shows it.

use serde::Serialize;

use super::flink::FlinkLine;
use super::spark::SparkLine;
use crate::fit::{Adjustment, Cause, ContainerResources, Fitted, Resource, What};
use crate::quantity::Quantity;
use crate::sizing::Sizing;

/// A part of a number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Part {
    /// What it is for.
    pub part: PartKind,
    /// How much, in bytes or millicores; negative where it takes away.
    pub amount: i64,
    /// Why, where the part has a reason of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// What a part of a number is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PartKind {
    /// The memory peak that the rule covers.
    Peak,
    /// What the rule adds for what lies beyond it.
    Margin,
    /// What is kept of the present size although the rule alone would go lower.
    Held,
    /// The heap of a Spark JVM.
    Heap,
    /// All beside the heap.
    Overhead,
    /// The process size of a Flink JVM.
    Process,
    /// The CPU that the rule gives.
    Use,
    /// Up to the step in which sizes are given.
    Rounding,
    /// What the constraints add or take: see the differences.
    Constraints,
}

/// The parts of both numbers. Those of memory add up to the recommended limit in bytes (the request, where there is no
/// limit), those of CPU to the recommended request in millicores; empty where nothing is recommended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// Of memory, in bytes.
    pub memory: Vec<Part>,
    /// Of the CPU request, in millicores.
    pub cpu: Vec<Part>,
}

impl Explanation {
    /// Of what sizing wants, as its JVMs divide it, and what became of that.
    pub(super) fn of(
        sizing: &Sizing,
        spark: Option<&SparkLine>,
        flink: Option<&FlinkLine>,
        wanted: &ContainerResources,
        recommended: &ContainerResources,
        why_not: &[Difference],
    ) -> Self {
        let mut memory = Parts::default();
        match (spark, flink, sizing.memory.known()) {
            (Some(spark), ..) => {
                memory.add(PartKind::Heap, spark.heap_bytes, None);
                memory.add(PartKind::Overhead, spark.overhead_bytes, None);
            }
            (None, Some(flink), _) => memory.add(PartKind::Process, flink.process_bytes, None),
            (None, None, Some(size)) => {
                memory.add(PartKind::Peak, size.covered_bytes, None);
                let beyond = if size.held.is_some() { PartKind::Held } else { PartKind::Margin };
                memory.up_to(beyond, size.bytes, size.held.clone());
            }
            (None, None, None) => {}
        }
        let bytes =
            |size: &ContainerResources| size.memory_limit.or(size.memory_request).map(Quantity::bytes_rounded_up);
        let mut cpu = Parts::default();
        if let Some(size) = sizing.cpu.known() {
            cpu.add(PartKind::Use, size.request_millis, size.held.clone());
        }
        let millis = |size: &ContainerResources| size.cpu_request.map(Quantity::millis_rounded_up);
        Self {
            memory: memory.come_to(bytes(wanted), bytes(recommended), &reasons(why_not, Resource::Memory)),
            cpu: cpu.come_to(millis(wanted), millis(recommended), &reasons(why_not, Resource::Cpu)),
        }
    }
}

fn reasons(differences: &[Difference], resource: Resource) -> String {
    let mut reasons: Vec<&str> = Vec::new();
    for difference in differences.iter().filter(|d| d.resource == resource.as_str()) {
        if !reasons.contains(&difference.why.as_str()) {
            reasons.push(&difference.why);
        }
    }
    reasons.join("; ")
}

#[derive(Default)]
struct Parts {
    parts: Vec<Part>,
    sum: i64,
}

impl Parts {
    fn add(&mut self, part: PartKind, amount: u64, why: Option<String>) {
        self.up_to(part, u64::try_from(self.sum).unwrap_or(0).saturating_add(amount), why);
    }

    /// What is missing to the sum, where anything is.
    fn up_to(&mut self, part: PartKind, sum: u64, why: Option<String>) {
        let sum = i64::try_from(sum).unwrap_or(i64::MAX);
        if sum != self.sum {
            self.parts.push(Part { part, amount: sum - self.sum, why });
            self.sum = sum;
        }
    }

    fn come_to(mut self, wanted: Option<u64>, recommended: Option<u64>, why: &str) -> Vec<Part> {
        let Some(recommended) = recommended else { return Vec::new() };
        if let Some(wanted) = wanted {
            self.up_to(PartKind::Rounding, wanted, None);
        }
        self.up_to(PartKind::Constraints, recommended, Some(why.to_owned()).filter(|why| !why.is_empty()));
        self.parts
    }
}

/// A value that is not what was wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Difference {
    /// `cpu` or `memory`.
    pub resource: &'static str,
    /// `request` or `limit`.
    pub value: &'static str,
    /// What was wanted; `None` = to be left as it is.
    pub wanted: Option<Quantity>,
    /// What came of it.
    pub recommended: Option<Quantity>,
    /// What stood in the way.
    pub cause: Cause,
    /// Why, in a sentence.
    pub why: String,
}

/// Where and why what came of it is not what was wanted.
pub(super) fn differences(fitted: &Fitted, wanted: &ContainerResources) -> Vec<Difference> {
    let one = |resource: Resource, is_limit: bool, cause: Cause, why: &str| {
        let of = |size: &ContainerResources| {
            let pair = size.pair(resource);
            if is_limit { pair.limit } else { pair.request }
        };
        Difference {
            resource: resource.as_str(),
            value: if is_limit { "limit" } else { "request" },
            wanted: of(wanted),
            recommended: of(&fitted.resources),
            cause,
            why: why.to_owned(),
        }
    };
    let mut all = Vec::new();
    for Adjustment { what, cause, why } in &fitted.adjustments {
        match what {
            What::Request(resource) => all.push(one(*resource, false, *cause, why)),
            What::Limit(resource) => all.push(one(*resource, true, *cause, why)),
            What::Both(resource) => all.extend([false, true].map(|limit| one(*resource, limit, *cause, why))),
        }
    }
    if let Some(skip) = &fitted.skipped {
        let why = skip.to_string();
        let values = Resource::ALL.into_iter().flat_map(|resource| [(resource, false), (resource, true)]);
        all.extend(values.map(|(resource, limit)| one(resource, limit, Cause::Skipped, &why)));
        all.retain(|difference| difference.wanted.is_some() && difference.wanted != difference.recommended);
    }
    all
}
