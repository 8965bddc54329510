//! The definitions say what the types hold, and no more.

use serde_json::{Value, json};

use super::*;
use crate::policy::Policy;
use crate::recommendation::status::Status;

fn schema(index: usize) -> Value {
    definitions()[index].pointer("/spec/versions/0/schema/openAPIV3Schema/properties").unwrap().clone()
}

/// Every key of a value has a place in the schema.
fn fits(value: &Value, schema: &Value, place: &str) {
    match value {
        Value::Object(members) => {
            for (key, value) in members {
                let of = schema["properties"].get(key).or_else(|| schema.get("additionalProperties"));
                fits(
                    value,
                    of.unwrap_or_else(|| panic!("{place}.{key} is not in the schema")),
                    &format!("{place}.{key}"),
                );
            }
        }
        Value::Array(items) => items.iter().for_each(|item| fits(item, &schema["items"], &format!("{place}[]"))),
        Value::String(text) => {
            if let Some(allowed) = schema.get("enum") {
                assert!(allowed.as_array().unwrap().contains(value), "{place}: {text} is not allowed");
            }
            assert!(schema.get("type") == Some(&json!("string")) || schema.get("anyOf").is_some(), "{place}");
        }
        Value::Number(_) => {
            assert!(["integer", "number"].contains(&schema["type"].as_str().unwrap_or("integer")), "{place}");
        }
        Value::Bool(_) => assert_eq!(schema["type"], "boolean", "{place}"),
        Value::Null => panic!("{place} is null"),
    }
}

/// Every property of a schema is in a value in which nothing is left out.
fn is_covered(schema: &Value, value: &Value, place: &str) {
    if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
        for (key, of) in properties {
            let value = value.get(key).unwrap_or_else(|| panic!("{place}.{key} is in the schema only"));
            is_covered(of, value, &format!("{place}.{key}"));
        }
    }
    if let Some(items) = schema.get("items") {
        is_covered(items, &value[0], &format!("{place}[]"));
    }
}

#[test]
fn the_policy_of_the_cluster_is_that_of_the_file() {
    let text = r"
resizing: stopped
applications: sized-at-creation
executorHeaps: as-recommended
services: sized
rollout:
  mode: canary
  canaryPercent: 5
  canaryBy: run
  largestShrink: 0.5
  freezeDays: 3
  namespaces: [{names: [etl, dev-*], mode: apply, canaryPercent: 20, canaryBy: workload}]
bounds: {memory: {floor: 64Mi, ceiling: 64Gi}, cpu: {floor: 10m, ceiling: 8}}
rules:
  modes: {latest-tag: warn}
  namespaces: [{names: [sandbox], modes: {run-as-root: off}}]
  exemptions:
  - {reason: why, rules: [run-as-root], namespaces: [a], users: [u], images: [i.example/x], serviceAccounts: [s]}
  acceptUserNamespaces: true
";
    let policy = serde_json::to_value(Policy::from_yaml(text).unwrap()).unwrap();
    let spec = &schema(0)["spec"];
    fits(&policy, spec, "spec");
    is_covered(spec, &policy, "spec");
}

#[test]
fn the_status_of_a_recommendation_is_what_is_written() {
    let time = "2026-11-22T10:00:00Z";
    let sizes = json!({"cpuRequest": "1", "cpuLimit": "2", "memoryRequest": "1Gi", "memoryLimit": "1Gi"});
    let whole = json!({
        "containers": [{
            "name": "main", "current": sizes, "recommended": sizes, "inForce": sizes, "memoryLadder": ["2Gi"], "notes": ["n"],
            "memoryByInput": [{"upToInput": "10Gi", "memory": "512Mi"}],
            "spark": {
                "heap": "1804Mi", "heapIsProven": true, "overhead": "409Mi", "heapNow": "4Gi", "totalNow": "4505Mi",
            },
            "flink": {"processIsProven": true},
            "evidence": {
                "runs": 21, "days": 7, "from": time, "to": time, "hoursPerWeek": 3.5, "reservedPerWeek": -0.5, "peakMax": "1Gi", "peakMedian": "1Gi", "oomKills": 1,
                "memoryRule": "m", "cpuRule": "c", "failingShareAtMost": 0.1,
            },
            "kill": {"limit": "1Gi", "at": time, "pod": "p", "loweredFrom": "2Gi"},
            "frozen": {"memory": "2Gi", "until": time},
        }],
        "summary": {"runs": "21", "memory": "1Gi", "cpu": "1", "savedPerWeek": "1", "applied": "apply"},
        "killsUntil": time, "lastRun": time,
        "conditions": [{
            "type": "Ready", "status": "True", "reason": "r", "message": "m", "lastTransitionTime": time,
        }],
    });
    let status: Status = serde_json::from_value(whole.clone()).unwrap();
    let written = serde_json::to_value(status).unwrap();
    assert_eq!(written, whole, "nothing is lost");
    let schema = &schema(1)["status"];
    fits(&written, schema, "status");
    let mut with_generation = written;
    with_generation["conditions"][0]["observedGeneration"] = json!(1);
    is_covered(schema, &with_generation, "status");
}

/// A line of the reference for each property below `schema`.
fn described(schema: &Value, path: &str, lines: &mut Vec<String>) {
    for (key, of) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        let (place, of) = (format!("{path}.{key}"), of);
        let items = of.get("items");
        let kind = match (of.get("type").and_then(Value::as_str), items) {
            (Some("array"), Some(items)) => format!("list of {}", items["type"].as_str().unwrap_or("quantity")),
            (Some(kind), _) => kind.to_owned(),
            (None, _) => "quantity".to_owned(),
        };
        let allowed = of.get("enum").and_then(Value::as_array).map(|all| {
            let all: Vec<&str> = all.iter().filter_map(Value::as_str).collect();
            format!(" One of `{}`.", all.join("`, `"))
        });
        let what = of["description"].as_str().unwrap_or_default().replace('|', "\\|");
        lines.push(format!("| `{place}` | {kind} | {what}{} |", allowed.unwrap_or_default()));
        described(of, &place, lines);
        if let Some(items) = items {
            described(items, &format!("{place}[]"), lines);
        }
        if let Some(values) = of.get("additionalProperties").filter(|values| values.is_object()) {
            described(values, &format!("{place}.*"), lines);
        }
    }
}

#[test]
fn the_reference_is_that_of_the_definitions() {
    let mut text = "# podfit's own kinds\n\nWhat `podfit crds` defines. Written by `ACCEPT_GOLDEN=1 cargo test --lib \
                    the_reference_is`.\n"
        .to_owned();
    for definition in definitions() {
        let (kind, scope) = (&definition["spec"]["names"]["kind"], &definition["spec"]["scope"]);
        let (kind, scope) = (kind.as_str().unwrap(), scope.as_str().unwrap());
        let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        let mut lines = Vec::new();
        for part in ["spec", "status"] {
            described(&schema["properties"][part], part, &mut lines);
        }
        assert!(lines.len() > 5, "{kind}");
        text.push_str(&format!(
            "\n## {kind}\n\n`{GROUP}/{VERSION}`, {}. {}\n\n| field | type | what |\n|---|---|---|\n{}\n",
            scope.to_lowercase(),
            schema["description"].as_str().unwrap_or_default(),
            lines.join("\n")
        ));
    }
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/crds.md");
    if std::env::var_os("ACCEPT_GOLDEN").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    assert_eq!(std::fs::read_to_string(path).unwrap_or_default(), text, "docs/crds.md is to be written anew");
}
