//! Flink: process sizes. Sources: Flink's configuration reference and the operator's custom resource reference. Request
//! and limit follow the process size, each times its limit factor.

use super::literal::Node;
use super::{Body, Item};
use crate::workload::Kind;

/// A `FlinkDeployment`.
pub(super) fn deployment(items: &[&Item]) -> Result<Body, Vec<String>> {
    let [first, ..] = items else { return Err(Vec::new()) };
    let node = Node::map([
        ("apiVersion", Node::text("flink.apache.org/v1beta1")),
        ("kind", Node::text("FlinkDeployment")),
        ("metadata", super::kubernetes::metadata(first)),
        ("spec", components(items)),
    ]);
    Ok(Body::yaml(["a change of the spec restarts the job as its upgradeMode says"], &node))
}

/// Values for a chart that makes a `FlinkDeployment`.
pub(super) fn helm_values(items: &[&Item]) -> Body {
    let hint = "where the chart passes jobManager and taskManager on to the FlinkDeployment; `helm show values` tells";
    Body::yaml([hint, "a change of the spec restarts the job as its upgradeMode says"], &components(items))
}

/// `jobManager: {resource: {cpu, memory}}`, and the same of task managers.
fn components(items: &[&Item]) -> Node {
    let mut spec = Node::Map(Vec::new());
    for item in items {
        let mut resource = Node::Map(Vec::new());
        if let Some(cpu) = item.recommended.cpu_request {
            resource.put("cpu", Node::Number(cores(cpu.millis_rounded_up())));
        }
        if let Some(total) = item.total_mib() {
            resource.put("memory", Node::text(format!("{total}m")));
        }
        let component = if item.workload.kind == Kind::FlinkJobmanager { "jobManager" } else { "taskManager" };
        spec.put(component, resource.below(&["resource"]));
    }
    spec
}

/// Keys of Flink's configuration.
pub(super) fn configuration(items: &[&Item]) -> Body {
    let mut node = Node::Map(Vec::new());
    for item in items {
        let component = if item.workload.kind == Kind::FlinkJobmanager { "jobmanager" } else { "taskmanager" };
        if let Some(total) = item.total_mib() {
            node.put(&format!("{component}.memory.process.size"), Node::text(format!("{total}m")));
        }
        if let Some(cpu) = item.recommended.cpu_request {
            let cores = Node::Number(cores(cpu.millis_rounded_up()));
            node.put(&format!("kubernetes.{component}.cpu.amount"), cores);
        }
    }
    Body::yaml(["into config.yaml or spec.flinkConfiguration"], &node)
}

/// Cores as a decimal number.
fn cores(millis: u64) -> String {
    let text = format!("{}.{:03}", millis / 1000, millis % 1000);
    let text = text.trim_end_matches('0');
    // A number with a point stays one: the field is a double.
    if text.ends_with('.') { format!("{text}0") } else { text.to_owned() }
}
