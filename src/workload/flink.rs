//! Flink on Kubernetes: native and standalone mode, with or without the operator. The key is cluster and component.
//! A task manager's number grows with every restart and is no attempt.

use std::sync::LazyLock;

use regex::Regex;

use super::Kind;
use super::facts::PodFacts;
use super::identity::{Identity, Unidentified};
use super::recurring_name::recurring_name;

/// `<cluster>-taskmanager-<attempt of the job manager>-<index>`
static TASKMANAGER: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"^(?P<cluster>.+)-taskmanager-\d+-\d+$").ok());

const CONTAINERS: [&str; 3] = ["flink-main-container", "flink-task-manager", "flink-job-manager"];

pub(super) fn identify(pod: &PodFacts) -> Option<Result<Identity, Unidentified>> {
    let by_label = pod.label("type").is_some_and(|t| t.starts_with("flink-"));
    let by_container = CONTAINERS.iter().any(|c| pod.has_container(c));
    if !by_label && !by_container {
        return None;
    }
    let name = pod.name_or_prefix();
    let from_name = TASKMANAGER.as_ref().zip(name).and_then(|(r, n)| r.captures(n)).map(|c| c["cluster"].to_owned());
    let deployment = deployment(pod);
    let kind = match pod.label("component") {
        Some("jobmanager") => Kind::FlinkJobmanager,
        Some("taskmanager") => Kind::FlinkTaskmanager,
        _ if from_name.is_some() => Kind::FlinkTaskmanager,
        _ if deployment.as_deref().is_some_and(|d| d.ends_with("-taskmanager")) => Kind::FlinkTaskmanager,
        _ if deployment.is_some() => Kind::FlinkJobmanager,
        _ => return None,
    };
    let cluster = pod
        .label("app")
        .map(str::to_owned)
        .or(from_name)
        .or_else(|| deployment.map(|d| d.strip_suffix("-taskmanager").map(str::to_owned).unwrap_or(d)))?;
    Some(Ok(Identity::new(pod, kind, [recurring_name(&cluster)]).main_container_of(pod, &CONTAINERS)))
}

fn deployment(pod: &PodFacts) -> Option<String> {
    let replica_set = pod.owned_by("ReplicaSet")?;
    match &pod.owner_of_owner {
        Some(owner) if owner.kind == "Deployment" => Some(owner.name.clone()),
        _ => Some(super::controllers::deployment_of_replica_set(pod, replica_set).to_owned()),
    }
}
