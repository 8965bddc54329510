//! The kinds of Kubernetes itself that have a pod or a pod template. Must not know other kinds.

use serde_json::Value;

use super::shape::{PodOf, Shape};

/// Where a kind has its pod spec.
pub(super) fn path(kind: &str) -> Option<&'static str> {
    match kind {
        "Pod" => Some("/spec"),
        "PodTemplate" => Some("/template/spec"),
        "CronJob" => Some("/spec/jobTemplate/spec/template/spec"),
        "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet" | "ReplicationController" | "Job" => {
            Some("/spec/template/spec")
        }
        _ => None,
    }
}

/// The pod of an object.
pub(super) fn pod(object: &Value, base: &str) -> Option<PodOf> {
    let path = path(object.get("kind").and_then(Value::as_str)?)?;
    let from = format!("{base}{path}");
    let mut shape = Shape::new(&from);
    // Absent is not fine: null cannot be walked, and that is said of it.
    match object.pointer(path).filter(|spec| !spec.is_null()) {
        Some(spec) => shape.put("/spec", Some(spec), &from),
        None => shape.put("/spec", Some(&Value::Bool(false)), &from),
    }
    if path == "/spec" {
        let annotations = "/metadata/annotations";
        shape.put(annotations, object.pointer(annotations), &format!("{base}{annotations}"));
    }
    Some(shape.done(object, ""))
}
