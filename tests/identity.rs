//! Two runs of one workload get one key, two workloads never the same, from the pod and from what kube-state-metrics
//! says of it; held against pods that the engines' own code made (`tests/engines/recorded`).

#![allow(clippy::unwrap_used, reason = "a test may fail loudly in its helpers")]

#[path = "identity/wild.rs"]
mod wild;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use podfit::workload::{
    ContainerFacts, Identity, IdentityRules, Keys, PodFacts, Unidentified, identify, kube_state_metrics_name, pod_facts,
};
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
struct Expected {
    file: String,
    family: Option<String>,
    attempt: Option<u32>,
    main_container: Option<String>,
    why: String,
}

/// Families that share a key on purpose, with the reason.
const ONE_KEY_ON_PURPOSE: [(&str, &str); 4] = [
    ("spark/spark-driver/nightly-join", "one application name in one namespace, submitted in two ways"),
    ("spark/spark-executor/nightly-join", "one application name in one namespace, submitted in two ways"),
    (
        "argo/argo/marts/run-sql",
        "the template is the workload; which step used it is not on the pod without annotations",
    ),
    ("prefect/prefect/Export-Orders/Every-Night-EU", "names that differ only in characters that Prefect's labels drop"),
];

fn recorded() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/engines/recorded")
}

fn expectations() -> Vec<(Expected, PodFacts)> {
    let text = std::fs::read_to_string(recorded().join("expectations.json")).unwrap();
    let expected: Vec<Expected> = serde_json::from_str(&text).unwrap();
    expected
        .into_iter()
        .map(|e| {
            let pod: Value = serde_json::from_str(&std::fs::read_to_string(recorded().join(&e.file)).unwrap()).unwrap();
            let facts = pod_facts(&pod, "default").unwrap();
            (e, facts)
        })
        .collect()
}

/// What series tell of the same pod: its final name, labels as kube-state-metrics writes them, owner, requests; no env.
fn as_seen_in_series(pod: &PodFacts, pod_json: &Value) -> PodFacts {
    let of = |key: &str| {
        Keys::from_kube_state_metrics(
            pod_json["metadata"][key]
                .as_object()
                .into_iter()
                .flatten()
                .map(|(k, v)| (kube_state_metrics_name(k), v.as_str().unwrap_or_default().to_owned()))
                .collect(),
        )
    };
    let blind = |c: &ContainerFacts| ContainerFacts { env: BTreeMap::new(), ..c.clone() };
    PodFacts {
        name: pod.name.clone().or_else(|| pod.generate_name.as_ref().map(|g| format!("{g}x7k2q"))),
        generate_name: None,
        labels: of("labels"),
        annotations: of("annotations"),
        containers: pod.containers.iter().map(blind).collect(),
        init_containers: Vec::new(),
        ..pod.clone()
    }
}

fn answer(pod: &PodFacts) -> Result<Identity, Unidentified> {
    identify(pod, &IdentityRules::default())
}

#[test]
fn one_key_per_family_and_one_family_per_key() {
    let mut by_family: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    let mut by_key: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut wrong = Vec::new();
    for (expected, pod) in expectations() {
        let key = match answer(&pod) {
            Ok(identity) => format!("{}/{}", identity.workload.namespace, identity.workload),
            Err(reason) => {
                if let Some(family) = &expected.family {
                    wrong.push(format!("{}: no key for {family}: {reason} ({})", expected.file, expected.why));
                }
                continue;
            }
        };
        let Some(family) = expected.family else {
            wrong.push(format!("{}: {key}, but nothing should be guessed ({})", expected.file, expected.why));
            continue;
        };
        by_key.entry(key.clone()).or_default().insert(family.clone());
        by_family.entry(family).or_default().insert(key, format!("{} ({})", expected.file, expected.why));
    }
    for (family, keys) in by_family.iter().filter(|(_, k)| k.len() > 1) {
        wrong.push(format!("{family} has {} keys: {keys:#?}", keys.len()));
    }
    for (key, families) in by_key.iter().filter(|(_, f)| f.len() > 1) {
        if ONE_KEY_ON_PURPOSE.iter().any(|(k, _)| k == key) {
            continue;
        }
        wrong.push(format!("{key} stands for {families:?}"));
    }
    assert!(wrong.is_empty(), "{} wrong\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn attempts_and_main_containers() {
    let mut wrong = Vec::new();
    for (expected, pod) in expectations() {
        let Ok(identity) = answer(&pod) else { continue };
        if identity.attempt != expected.attempt {
            wrong.push(format!(
                "{}: attempt {:?}, not {:?} ({})",
                expected.file, identity.attempt, expected.attempt, expected.why
            ));
        }
        if let Some(main) = &expected.main_container
            && !identity.is_main(main)
        {
            wrong.push(format!("{}: main container {:?}, not {main}", expected.file, identity.main_container));
        }
    }
    assert!(wrong.is_empty(), "{} wrong\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn series_give_the_same_key_as_the_pod() {
    let mut wrong = Vec::new();
    for (expected, pod) in expectations() {
        let json: Value =
            serde_json::from_str(&std::fs::read_to_string(recorded().join(&expected.file)).unwrap()).unwrap();
        let from_pod = answer(&pod).map(|i| i.workload);
        let from_series = answer(&as_seen_in_series(&pod, &json)).map(|i| i.workload);
        // Series may know too little to answer; they must never answer otherwise.
        if from_series.is_ok() && from_series != from_pod {
            wrong.push(format!(
                "{}: {:?} from series, {:?} from the pod",
                expected.file,
                from_series.map(|w| w.to_string()),
                from_pod.map(|w| w.to_string())
            ));
        }
    }
    assert!(wrong.is_empty(), "{} wrong\n{}", wrong.len(), wrong.join("\n"));
}
