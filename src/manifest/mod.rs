//! Manifests as people write them: where in a file every value stands, and which pods an object of any kind leads to.
//! Must not know rules, files or the command line: text in, pod specs and places out.
//!
//! A new kind is one new file and one line in [`pods`].

mod argo;
mod built_in;
mod flink;
mod marked;
mod shape;
mod spark;
#[cfg(test)]
mod tests;

pub use marked::{Document, Place, Unreadable, read};
pub use shape::{PodOf, Shape, escape};

use serde_json::Value;

/// The pods that an object leads to; none for a kind without any. `base` is the JSON pointer to the object.
pub fn pods(object: &Value, base: &str) -> Vec<PodOf> {
    let text = |key: &str| object.get(key).and_then(Value::as_str).unwrap_or_default();
    let (version, kind) = (text("apiVersion"), text("kind"));
    let group = version.rsplit_once('/').map_or("", |(group, _)| group);
    match (group, kind) {
        // A list holds objects of any kind, lists too; the reader has bounded its depth.
        (_, list) if list.ends_with("List") => {
            let items = object.get("items").and_then(Value::as_array).into_iter().flatten().enumerate();
            items.flat_map(|(index, item)| pods(item, &format!("{base}/items/{index}"))).collect()
        }
        ("sparkoperator.k8s.io", "SparkApplication") => spark::kubeflow(object, base, "/spec"),
        ("sparkoperator.k8s.io", "ScheduledSparkApplication") => spark::kubeflow(object, base, "/spec/template"),
        ("spark.apache.org", "SparkApplication") => spark::apache(object, base),
        ("flink.apache.org", "FlinkDeployment") => flink::pods(object, base),
        ("argoproj.io", "Workflow" | "WorkflowTemplate" | "ClusterWorkflowTemplate") => {
            argo::pods(object, base, "/spec")
        }
        ("argoproj.io", "CronWorkflow") => argo::pods(object, base, "/spec/workflowSpec"),
        ("" | "apps" | "batch" | "extensions", _) => built_in::pod(object, base).into_iter().collect(),
        _ => Vec::new(),
    }
}
