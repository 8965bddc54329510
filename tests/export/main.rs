//! What `podfit export` prints and writes, and what the engines' own code makes of it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail loudly in its helpers too")]

#[path = "../support/mod.rs"]
mod support;

mod engines;
mod files;
mod kubectl;
mod spark;

use std::path::PathBuf;

use serde_json::{Value, json};

/// What the next run should ask for, in each test.
const CPU: &str = "775m";
/// The same for memory, request and limit.
const MEMORY: &str = "1397Mi";

/// A folder with a file of recommendations, as `podfit recommend -o json` prints them.
fn recommended(entries: &[Value]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("recommendations.json");
    std::fs::write(&file, json!({"workloads": entries, "notes": []}).to_string()).unwrap();
    (folder, file)
}

/// One recommendation.
fn entry(namespace: &str, workload: &str, container: &str) -> Value {
    json!({"namespace": namespace, "workload": workload, "container": container,
        "current": {"cpuRequest": "2", "memoryRequest": "8Gi", "memoryLimit": "8Gi"},
        "recommended": {"cpuRequest": CPU, "memoryRequest": MEMORY, "memoryLimit": MEMORY},
        "evidence": {"runs": 21}})
}

/// What the command prints of one recommendation in a form.
fn exported(entry: &Value, form: &str) -> String {
    let (_folder, file) = recommended(std::slice::from_ref(entry));
    let file = file.to_str().unwrap();
    let ran = support::cli::podfit(["export", "--recommendations", file, "--format", form]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{ran:?}");
    ran.stdout
}

/// The resources that are recommended, as JSON.
fn resources() -> Value {
    json!({"requests": {"cpu": CPU, "memory": MEMORY}, "limits": {"memory": MEMORY}})
}
