//! What a pod says of podfit: how it was resized, as its record tells, and which of them were told of already.
//! Must not know a server: a pod as raw JSON in.

use std::collections::{HashSet, VecDeque};

use serde_json::Value;

use super::news::{OfPod, Regarded};
use crate::admission::provenance::{self, Record};
use crate::admission::{Recommended, change_in_words};
use crate::fit::ContainerResources;
use crate::recommendation::Kill;
use crate::text::units;
use crate::workload::{Workload, WorkloadKey};

/// Most pods that are remembered as told of; the oldest go first.
const MOST_TOLD: usize = 20_000;
/// Whoever makes pods by the thousand and is looked at by nobody for one of them.
const OWNERS_OF_SERVICES: [&str; 4] = ["ReplicaSet", "StatefulSet", "DaemonSet", "Pod"];

/// Pods that were told of.
#[derive(Debug, Default)]
pub(super) struct Told {
    known: HashSet<String>,
    in_order: VecDeque<String>,
}

impl Told {
    pub(super) fn knows(&self, pod: &Value) -> bool {
        let uid = pod.pointer("/metadata/uid").and_then(Value::as_str);
        uid.is_some_and(|uid| self.known.contains(uid))
    }

    pub(super) fn add(&mut self, of: &OfPod) {
        self.known.insert(of.pod.uid.clone());
        self.in_order.push_back(of.pod.uid.clone());
        if self.in_order.len() > MOST_TOLD
            && let Some(oldest) = self.in_order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }
}

/// How a pod was resized.
pub(super) fn resized(pod: &Value, workload: &Workload, of: Option<&Recommended>) -> Option<OfPod> {
    let record: Record = serde_json::from_str(provenance::annotation(pod, provenance::RESIZED)?).ok()?;
    // A record counts only where it says what the pod has; anyone can write one.
    let has = |name: &str| {
        let containers = pod.pointer("/spec/containers").and_then(Value::as_array).into_iter().flatten();
        let found = containers.into_iter().find(|c| c.get("name").and_then(Value::as_str) == Some(name))?;
        ContainerResources::of_container(found).ok()
    };
    let changes = record.containers.iter().filter(|(name, change)| has(name) == Some(change.to));
    let parts: Vec<String> = changes.map(|(name, change)| format!("{name}: {}", change_in_words(change))).collect();
    if parts.is_empty() {
        return None;
    }
    let evidence = |of: &Recommended| {
        let what = if of.is_service { "days" } else { "runs" };
        format!("{} {what}, highest peak {}", of.runs, units::memory(of.peak_bytes))
    };
    let why = of.filter(|of| of.runs > 0 && of.peak_bytes > 0).map_or_else(|| "past runs".to_owned(), evidence);
    let note = format!("podfit: {}; {why}; {}", parts.join("; "), explain(workload));
    tell(pod, regarded(pod)?, "Resized", false, note)
}

/// A container of the pod was killed for memory.
pub(super) fn killed(pod: &Value, key: &WorkloadKey, kill: &Kill, of: Option<&Recommended>) -> Option<OfPod> {
    let WorkloadKey { workload, container } = key;
    let planned = of.and_then(|of| of.containers.to_map().get(container)?.memory_limit);
    let next = kill.next_memory(planned, of.map_or(&[], |of| of.ladder(container)));
    let note = format!(
        "podfit: {container} was killed for memory at {}; where sizes are applied its next try gets {next}; {}",
        kill.limit,
        explain(workload)
    );
    tell(pod, regarded(pod)?, "KilledForMemory", true, note)
}

fn explain(workload: &Workload) -> String {
    format!("podfit explain {workload} -n {}", workload.namespace)
}

fn tell(pod: &Value, regarded: Regarded, reason: &'static str, is_warning: bool, note: String) -> Option<OfPod> {
    let created = pod.pointer("/metadata/creationTimestamp")?.as_str()?.parse().ok()?;
    let owners = pod.pointer("/metadata/ownerReferences").and_then(Value::as_array).into_iter().flatten();
    let owner = owners.into_iter().find(|owner| owner.get("controller") == Some(&Value::Bool(true)));
    let owner = owner.and_then(|owner| {
        let text = |key: &str| owner.get(key).and_then(Value::as_str).map(str::to_owned);
        Some(Regarded {
            api_version: text("apiVersion")?,
            kind: text("kind")?,
            namespace: regarded.namespace.clone(),
            name: text("name")?,
            uid: text("uid")?,
        })
    });
    let owner = owner.filter(|owner| !OWNERS_OF_SERVICES.contains(&owner.kind.as_str()));
    Some(OfPod { pod: regarded, owner, created, reason, is_warning, note })
}

fn regarded(pod: &Value) -> Option<Regarded> {
    let text = |key: &str| pod.pointer(&format!("/metadata/{key}")).and_then(Value::as_str).map(str::to_owned);
    Some(Regarded {
        api_version: "v1".to_owned(),
        kind: "Pod".to_owned(),
        namespace: text("namespace")?,
        name: text("name")?,
        uid: text("uid")?,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(has: &str) -> Value {
        let record = json!({"workload": "cronjob/nightly", "recommendation": "r", "containers": {"main": {
            "from": {"memoryRequest": "2Gi", "memoryLimit": "2Gi"}, "to": {"memoryRequest": "480Mi", "memoryLimit": "480Mi"}}}});
        let owners =
            json!([{"apiVersion": "batch/v1", "kind": "Job", "name": "nightly-1", "uid": "j", "controller": true}]);
        json!({"metadata": {"name": "nightly-1-x", "namespace": "etl", "uid": "u", "creationTimestamp": "2026-11-30T02:00:00Z",
                "annotations": {"podfit.dev/resized": record.to_string()}, "ownerReferences": owners},
            "spec": {"containers": [{"name": "main", "resources": {"requests": {"memory": has}, "limits": {"memory": has}}}]}})
    }

    fn workload() -> Workload {
        Workload::parse("etl", "cronjob/nightly").unwrap()
    }

    #[test]
    fn a_resized_pod_is_told_of_once_with_its_evidence() {
        let mut told = Told::default();
        assert!(!told.knows(&pod("480Mi")));
        let of = Recommended { runs: 21, peak_bytes: 431 << 20, ..Recommended::default() };
        let news = resized(&pod("480Mi"), &workload(), Some(&of)).unwrap();
        told.add(&news);
        assert_eq!(
            news.note,
            "podfit: main: memory 2Gi → 480Mi; 21 runs, highest peak 431Mi; podfit explain cronjob/nightly -n etl"
        );
        assert_eq!(news.owner.unwrap().kind, "Job");
        assert!(told.knows(&pod("480Mi")));
    }

    #[test]
    fn a_record_that_does_not_say_what_the_pod_has_is_not_believed() {
        assert_eq!(resized(&pod("1Gi"), &workload(), None), None);
    }

    #[test]
    fn of_a_kill_the_next_size_is_told() {
        let key = WorkloadKey { workload: workload(), container: "main".to_owned() };
        let at = "2026-11-30T02:10:00Z".parse().unwrap();
        let kill = Kill { limit: "480Mi".parse().unwrap(), at, pod: "p".to_owned(), lowered_from: "2Gi".parse().ok() };
        let news = killed(&pod("480Mi"), &key, &kill, None).unwrap();
        assert!(
            news.is_warning
                && news.note.contains("killed for memory at 480Mi; where sizes are applied its next try gets 2Gi"),
            "{news:?}"
        );
    }
}
