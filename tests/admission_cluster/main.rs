//! The webhook on a real API server: every test ends with what was stored, or with the API server's own refusal.
//! `podfit serve` runs as its user runs it, a process and a namespace per test.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail loudly in its helpers too")]

mod bypasses;
mod engines;
mod faults;
mod second_webhook;
mod sizes;
#[path = "../support/mod.rs"]
mod support;
mod tenant;

use serde_json::{Value, json};

/// A pod of the Job that a CronJob `nightly` made, with the labels that the Job controller writes.
fn nightly_pod(resources: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"generateName": "nightly-29400000-", "labels": {"job-name": "nightly-29400000",
            "batch.kubernetes.io/job-name": "nightly-29400000"}},
        "spec": {"restartPolicy": "Never", "automountServiceAccountToken": false, "containers": [{
            "name": "main", "image": "reg.example/report:7",
            "resources": resources, "securityContext": {"runAsUser": 1000}}]}
    })
}

/// A pod that breaks no rule that is enforced.
fn plain_pod(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
        "spec": {"restartPolicy": "Never", "containers": [
            {"name": "main", "image": "reg.example/app:1", "securityContext": {"runAsUser": 1000}}]}})
}

/// The sizes of a container.
fn sizes(pod: &Value, container: &str) -> Value {
    let all = ["containers", "initContainers"].map(|l| pod["spec"][l].as_array().cloned().unwrap_or_default());
    let found = all.iter().flatten().find(|c| c["name"] == container).unwrap_or_else(|| panic!("{container}: {pod:#}"));
    found["resources"].clone()
}

/// The refusal's message; fails where the object was accepted.
fn refused(result: Result<Value, (u16, String)>) -> String {
    match result {
        Err((403, message)) => message,
        other => panic!("not turned away by a rule: {other:?}"),
    }
}
