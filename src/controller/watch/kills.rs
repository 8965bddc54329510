//! Containers that a pod's status says were killed for memory. Must not know a server: a pod as raw JSON in.

use jiff::Timestamp;
use serde_json::Value;

use super::limits::{PodLimits, reported};
use crate::admission::provenance::{self, Record};
use crate::fit::ContainerResources;
use crate::quantity::Quantity;
use crate::recommendation::Kill;

/// The reason that a kubelet gives.
const OOM_KILLED: &str = "OOMKilled";

/// The containers of a pod that were killed at a limit of their own, which `limits` may know better than its spec. One
/// that was killed without a limit ran out of its node's memory: no size of its own would have saved it.
pub(super) fn killed(pod: &Value, limits: &PodLimits) -> Vec<(String, Kill)> {
    statuses(pod).filter_map(|status| one(pod, status, limits)).collect()
}

/// The same of a pod that was not watched: its status and spec alone tell.
pub fn killed_by_status(pod: &Value) -> Vec<(String, Kill)> {
    killed(pod, &PodLimits::default())
}

/// What a pod's status says of each of its containers.
pub(super) fn statuses(pod: &Value) -> impl Iterator<Item = &Value> {
    ["containerStatuses", "initContainerStatuses"]
        .into_iter()
        .filter_map(move |key| pod.get("status")?.get(key)?.as_array())
        .flatten()
}

/// The memory limit that a pod's spec asks for.
pub(super) fn asked(pod: &Value, name: &str) -> Option<Quantity> {
    let containers =
        ["containers", "initContainers"].into_iter().filter_map(|key| pod.get("spec")?.get(key)?.as_array());
    let container = containers.flatten().find(|c| c.get("name").and_then(Value::as_str) == Some(name))?;
    ContainerResources::of_container(container).ok()?.memory_limit
}

fn one(pod: &Value, status: &Value, limits: &PodLimits) -> Option<(String, Kill)> {
    let name = status.get("name")?.as_str()?;
    // Of a container that was started again the earlier state is the one that tells.
    let ended = ["state", "lastState"].into_iter().find_map(|key| {
        let ended = status.get(key)?.get("terminated")?;
        (ended.get("reason").and_then(Value::as_str) == Some(OOM_KILLED)).then_some(ended)
    })?;
    let at: Timestamp = ended.get("finishedAt")?.as_str()?.parse().ok()?;
    let limit = limits.when_killed(name, at).or_else(|| reported(pod, status)).or_else(|| asked(pod, name))?;
    let pod_name = pod.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
    let kill = Kill { limit, at, pod: pod_name.to_owned(), lowered_from: lowered_from(pod, name, limit) };
    Some((name.to_owned(), kill))
}

/// What the container had before podfit lowered it to the limit that it has. A record counts only where it says what
/// the pod has.
fn lowered_from(pod: &Value, container: &str, limit: Quantity) -> Option<Quantity> {
    let record: Record = serde_json::from_str(provenance::annotation(pod, provenance::RESIZED)?).ok()?;
    let change = record.containers.get(container)?;
    let of = |size: &ContainerResources| size.memory_limit.or(size.memory_request);
    (of(&change.to) == Some(limit)).then(|| of(&change.from))?.filter(|before| *before > limit)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn pod(state: &Value, last: &Value, resized: Option<&str>) -> Value {
        let change = |from: &str| {
            json!({"workload": "job/a", "recommendation": "r", "containers": {"main": {
                "from": {"memoryLimit": from}, "to": {"memoryLimit": "2Gi"}}}})
        };
        let annotations = resized.map(|from| json!({"podfit.dev/resized": change(from).to_string()}));
        json!({
            "metadata": {"name": "a-1", "annotations": annotations},
            "spec": {"containers": [{"name": "main", "resources": {"limits": {"memory": "2Gi"}}}, {"name": "side"}]},
            "status": {"containerStatuses": [{"name": "main", "state": state, "lastState": last}]},
        })
    }

    fn ended(reason: &str) -> Value {
        json!({"terminated": {"reason": reason, "exitCode": 137, "finishedAt": "2026-11-22T10:00:00Z"}})
    }

    #[rstest]
    #[case::killed(ended("OOMKilled"), json!({}), true)]
    #[case::killed_and_started_again(json!({"running": {}}), ended("OOMKilled"), true)]
    #[case::failed(ended("Error"), json!({}), false)]
    #[case::running(json!({"running": {}}), json!({}), false)]
    #[case::no_time(json!({"terminated": {"reason": "OOMKilled"}}), json!({}), false)]
    #[case::nonsense(json!(7), json!([]), false)]
    fn a_kill_is_what_the_kubelet_says(#[case] state: Value, #[case] last: Value, #[case] is_kill: bool) {
        let found = killed(&pod(&state, &last, None), &PodLimits::default());
        assert_eq!(found.len(), usize::from(is_kill));
        assert!(
            found.iter().all(|(_, k)| k.limit == "2Gi".parse().unwrap() && k.at.as_millisecond() == 1_795_341_600_000)
        );
    }

    #[rstest]
    #[case::lowered(Some("8Gi"), Some("8Gi"))]
    #[case::raised(Some("1Gi"), None)]
    #[case::untouched(None, None)]
    fn a_shrink_of_ours_is_told_by_the_record(#[case] from: Option<&str>, #[case] before: Option<&str>) {
        let found = killed(&pod(&ended("OOMKilled"), &json!({}), from), &PodLimits::default());
        assert_eq!(found[0].1.lowered_from, before.map(|b| b.parse().unwrap()));
    }

    #[test]
    fn a_record_that_does_not_say_what_the_pod_has_is_not_believed() {
        let mut pod = pod(&ended("OOMKilled"), &json!({}), Some("64Gi"));
        pod["spec"]["containers"][0]["resources"]["limits"]["memory"] = json!("3Gi");
        assert_eq!(killed(&pod, &PodLimits::default())[0].1.lowered_from, None);
    }

    #[test]
    fn without_a_limit_it_is_the_nodes_memory_that_ran_out() {
        let mut pod = pod(&ended("OOMKilled"), &json!({}), None);
        pod["spec"]["containers"][0]["resources"] = json!({});
        assert_eq!(killed(&pod, &PodLimits::default()), []);
    }
}
