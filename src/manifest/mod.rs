//! Manifests as people write them: where in a file every value stands, and which pods an object of any kind leads to.
//! Must not know rules, files or the command line: text in, pod specs and places out.
//!
//! A new kind is a row in `kinds`; one whose pods are put together from several places is a new file and a line in
//! [`look`].

mod argo;
mod built_in;
mod by_shape;
mod flink;
pub mod kinds;
mod marked;
mod nested;
mod shape;
mod spark;
mod tekton;
#[cfg(test)]
mod tests;

pub use marked::{Document, Position, TEMPLATE_WORDS, Unreadable, read};
pub use shape::{PodOf, Shape, escape};

use serde_json::Value;

/// Deepest text in a text that is looked at: a `ConfigMap` whose pod template is part of a workflow.
const TEXTS: u8 = 3;

/// What an object leads to.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// Its pods.
    pub pods: Vec<PodOf>,
    /// What holds containers and is not judged.
    pub unjudged: Vec<Unjudged>,
    /// What else is to be said.
    pub notes: Vec<Unjudged>,
}

/// A part of an object about which something is to be said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unjudged {
    /// JSON pointer to it.
    pub path: String,
    /// What; one line.
    pub message: String,
}

/// Everything that an object leads to.
pub fn find(object: &Value) -> Found {
    let mut found = Found::default();
    look(object, "", &mut found, TEXTS);
    found
}

/// The whole pods that an object leads to; none for a kind without any. `base` is the JSON pointer to the object. Texts
/// inside it are not read.
pub fn pods(object: &Value, base: &str) -> Vec<PodOf> {
    let mut found = Found::default();
    look(object, base, &mut found, 0);
    found.pods.retain(|pod| pod.rules.is_none());
    found.pods
}

/// Looks at one object; `texts` is how deep texts in it are read.
fn look(object: &Value, base: &str, found: &mut Found, texts: u8) {
    if let Some(items) = object.as_array() {
        for (index, item) in items.iter().enumerate() {
            look(item, &format!("{base}/{index}"), found, texts);
        }
        return;
    }
    let text = |key: &str| object.get(key).and_then(Value::as_str).unwrap_or_default();
    let (version, kind) = (text("apiVersion"), text("kind"));
    let group = version.rsplit_once('/').map_or("", |(group, _)| group);
    match (group, kind) {
        // A list holds objects of any kind, lists too; the reader has bounded its depth.
        (_, list) if list.ends_with("List") && object.get("items").is_some_and(Value::is_array) => {
            list_items(object, version, list, base, found, texts);
        }
        ("sparkoperator.k8s.io", "SparkApplication") => found.pods.extend(spark::kubeflow(object, base, "/spec")),
        ("sparkoperator.k8s.io", "ScheduledSparkApplication") => {
            found.pods.extend(spark::kubeflow(object, base, "/spec/template"));
        }
        ("spark.apache.org", "SparkApplication") => found.pods.extend(spark::apache(object, base)),
        ("flink.apache.org", "FlinkDeployment") => found.pods.extend(flink::pods(object, base, "/spec")),
        ("flink.apache.org", "FlinkBlueGreenDeployment") => {
            found.pods.extend(flink::pods(object, base, "/spec/template/spec"));
        }
        ("argoproj.io", "Workflow" | "WorkflowTemplate" | "ClusterWorkflowTemplate") => {
            argo::look(object, base, "/spec", found, texts);
        }
        ("argoproj.io", "CronWorkflow") => argo::look(object, base, "/spec/workflowSpec", found, texts),
        ("tekton.dev", _) => tekton::pods(object, base, found),
        ("", "ConfigMap") => nested::config_map(object, base, found, texts),
        // Of a patch that deletes something nothing runs.
        ("" | "apps" | "batch" | "extensions", kind) if built_in::path(kind).is_some() => {
            if object.get("$patch").is_none() {
                found.pods.extend(built_in::pod(object, base));
            }
        }
        // What a controller remembers of its template.
        ("apps", "ControllerRevision") => {}
        (group, _) if kinds::makes_no_pods(group) => {}
        (group, kind) => by_shape::find(object, base, kinds::row(group, kind), found, texts),
    }
}

/// The items of a list. `kubectl get --raw` leaves out what they are, and then the list says it.
fn list_items(object: &Value, version: &str, list: &str, base: &str, found: &mut Found, texts: u8) {
    let items = object.get("items").and_then(Value::as_array).into_iter().flatten();
    let kind = list.strip_suffix("List").unwrap_or_default();
    for (index, item) in items.enumerate() {
        let at = format!("{base}/items/{index}");
        let mut named = None;
        if let Some(fields) = item.as_object().filter(|fields| !fields.contains_key("kind") && !kind.is_empty()) {
            let mut fields = fields.clone();
            fields.insert("kind".to_owned(), kind.into());
            fields.entry("apiVersion").or_insert_with(|| version.into());
            named = Some(Value::Object(fields));
        }
        look(named.as_ref().unwrap_or(item), &at, found, texts);
    }
}
