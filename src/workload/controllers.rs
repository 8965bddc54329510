//! Kubernetes' own controllers: CronJob, Job, Deployment, StatefulSet, DaemonSet, and controllers of other kinds.
//! Used when no engine claims the pod.

use super::Kind;
use super::facts::PodFacts;
use super::identify::{Identity, Unidentified};
use super::recurring_name::{cronjob_of_job, recurring_name};

pub(super) fn identify(pod: &PodFacts) -> Result<Identity, Unidentified> {
    if let Some(job) = pod.job_name() {
        return Ok(job_pod(pod, job));
    }
    let Some(owner) = &pod.owner else { return Err(Unidentified::Unowned) };
    let name = owner.name.as_str();
    match owner.kind.as_str() {
        "ReplicaSet" => {
            let deployment = match &pod.owner_of_owner {
                Some(o) if o.kind == "Deployment" => o.name.as_str(),
                Some(o) => return Ok(custom(pod, &o.kind, &o.name)),
                None => deployment_of_replica_set(pod, name),
            };
            Ok(Identity::new(pod, Kind::Deployment, [deployment]))
        }
        "StatefulSet" => Ok(Identity::new(pod, Kind::Statefulset, [name])),
        "DaemonSet" => Ok(Identity::new(pod, Kind::Daemonset, [name])),
        "Node" => Err(Unidentified::Static),
        kind => Ok(custom(pod, kind, name)),
    }
}

fn job_pod(pod: &PodFacts, job: &str) -> Identity {
    let cronjob = match &pod.owner_of_owner {
        Some(owner) if owner.kind == "CronJob" => Some(owner.name.as_str()),
        _ => cronjob_of_job(job),
    };
    let index = pod
        .label("batch.kubernetes.io/job-completion-index")
        .or_else(|| pod.annotation("batch.kubernetes.io/job-completion-index"));
    let unit = match index {
        Some(index) => format!("{job}/{index}"),
        None => job.to_owned(),
    };
    // Only a Job with backoffLimitPerIndex writes how often this index failed before.
    let attempt = pod
        .annotation("batch.kubernetes.io/job-index-failure-count")
        .and_then(|n| n.parse::<u32>().ok())
        .map(|n| n.saturating_add(1));
    let identity = match cronjob {
        Some(cronjob) => Identity::new(pod, Kind::Cronjob, [cronjob]),
        None => Identity::new(pod, Kind::Job, [recurring_name(job)]),
    };
    identity.attempt(attempt).unit(Some(unit))
}

/// The Deployment of a ReplicaSet: its name without the hash of the pod template.
pub(super) fn deployment_of_replica_set<'a>(pod: &PodFacts, replica_set: &'a str) -> &'a str {
    let by_label = pod
        .label("pod-template-hash")
        .and_then(|hash| replica_set.strip_suffix(hash))
        .and_then(|stem| stem.strip_suffix('-'));
    by_label.or_else(|| replica_set.rsplit_once('-').map(|(stem, _)| stem)).unwrap_or(replica_set)
}

fn custom(pod: &PodFacts, kind: &str, name: &str) -> Identity {
    Identity::new(pod, Kind::Custom, [kind.to_lowercase(), recurring_name(name)])
}
