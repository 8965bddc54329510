//! Kubernetes' own controllers: CronJob, Job, Deployment, StatefulSet, DaemonSet, and controllers of other kinds.
//! Used when no engine claims the pod.

use super::Kind;
use super::facts::PodFacts;
use super::identity::{ALLOW_LABELS, Identity, Unidentified};
use super::recurring_name::{
    cronjob_of_job, holds_random_part, recurring_name, without_generated_suffix, without_number,
};

/// Kinds of Kubernetes itself that make pods, and the groups whose kinds of that name are used in the same way.
const BUILT_IN: [(&str, &[&str]); 5] = [
    ("Job", &["batch"]),
    ("ReplicaSet", &["apps", "extensions"]),
    ("StatefulSet", &["apps", "apps.kruise.io"]),
    ("DaemonSet", &["apps", "extensions", "apps.kruise.io"]),
    ("Node", &[""]),
];

/// Labels by which operators tell the pods of one object apart that do different work: the last part of the key.
const ROLES: [&str; 7] =
    ["replica-type", "replica-role", "node-type", "task-role", "task-spec", "job-role", "role-group"];

/// Ends of kinds whose objects are one run each; a number at the end of their names counts runs.
const RUNS: [&str; 5] = ["run", "build", "execution", "attempt", "trial"];

/// Whether Kubernetes itself has a kind of this name whose pods are workloads.
pub(super) fn is_built_in(kind: &str) -> bool {
    BUILT_IN.iter().any(|(known, _)| *known == kind)
}

pub(super) fn identify(pod: &PodFacts) -> Result<Identity, Unidentified> {
    if let Some(job) = pod.job_name() {
        return job_pod(pod, job);
    }
    let Some(owner) = &pod.owner else {
        let labels = pod.labels.entries(&super::allowlist::labels());
        return Err(if labels.is_empty() { Unidentified::Unowned } else { Unidentified::no_recurring_name(pod, &[]) });
    };
    let (kind, name) = (owner.kind.as_str(), owner.name.as_str());
    if let Some((_, groups)) = BUILT_IN.iter().find(|(known, _)| *known == kind)
        && !pod.owner_may_be_of(groups)
    {
        // Another project's kind of the same name: the group is what tells them apart.
        let group = pod.owner_group.as_deref().unwrap_or_default();
        return custom(pod, &format!("{kind}.{group}"), name);
    }
    match kind {
        "ReplicaSet" => {
            let deployment = match &pod.owner_of_owner {
                Some(o) if o.kind == "Deployment" => o.name.as_str(),
                Some(o) => return custom(pod, &o.kind, &o.name),
                None => deployment_of_replica_set(pod, name),
            };
            if is_knative(deployment) {
                return Err(Unidentified::Incomplete {
                    engine: "Knative Serving",
                    missing: "its service (label serving.knative.dev/service) is".into(),
                    remedy: ALLOW_LABELS,
                });
            }
            Ok(Identity::new(pod, Kind::Deployment, [deployment]))
        }
        "StatefulSet" => Ok(Identity::new(pod, Kind::Statefulset, [name])),
        "DaemonSet" => Ok(Identity::new(pod, Kind::Daemonset, [name])),
        "Node" => Err(Unidentified::Static),
        // A deployment of OpenShift: its number counts deployments, and only a label names it.
        "ReplicationController" if without_number(name) != name => Err(Unidentified::Incomplete {
            engine: "OpenShift",
            missing: "its DeploymentConfig (label deploymentconfig) is".into(),
            remedy: ALLOW_LABELS,
        }),
        kind => custom(pod, kind, name),
    }
}

/// A Deployment that Knative makes for each revision of a service: `hello-00003-deployment`.
fn is_knative(deployment: &str) -> bool {
    let revision = deployment.strip_suffix("-deployment").and_then(|rest| rest.rsplit_once('-'));
    revision.is_some_and(|(_, number)| number.len() == 5 && number.bytes().all(|b| b.is_ascii_digit()))
}

/// Whether another controller's Job made the pod, where only its name can tell: Kubernetes' own Jobs end the names of
/// their pods with a generated suffix, Volcano with `-TASK-INDEX`.
fn is_made_by_volcano(pod: &PodFacts, job: &str) -> bool {
    let rest = pod.name.as_deref().and_then(|name| name.strip_prefix(job)?.strip_prefix('-'));
    pod.owner_group.is_none()
        && pod.owner.is_some()
        && rest.is_some_and(|rest| {
            rest.rsplit_once('-').is_some_and(|(task, index)| {
                task.bytes().any(|b| b.is_ascii_alphabetic())
                    && index.bytes().all(|b| b.is_ascii_digit())
                    && without_generated_suffix(rest).is_none()
            })
        })
}

fn job_pod(pod: &PodFacts, job: &str) -> Result<Identity, Unidentified> {
    if is_made_by_volcano(pod, job) {
        return Err(Unidentified::Incomplete {
            engine: "Volcano",
            missing: "its job and task (labels volcano.sh/job-name, volcano.sh/task-spec) are".into(),
            remedy: ALLOW_LABELS,
        });
    }
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
    let identity = match (cronjob, &pod.owner_of_owner) {
        (Some(cronjob), _) => Identity::new(pod, Kind::Cronjob, [cronjob]),
        // `<jobset>-<replicated job>-<index>`
        (None, Some(owner)) if owner.kind == "JobSet" => {
            let replicated = without_number(job.strip_prefix(&*owner.name).unwrap_or(job).trim_start_matches('-'));
            Identity::new(pod, Kind::Custom, ["jobset", &recurring_name(&owner.name), replicated])
        }
        (None, _) => {
            let name = recurring_name(job);
            if holds_random_part(&name) {
                return Err(Unidentified::no_recurring_name(pod, &[]));
            }
            Identity::new(pod, Kind::Job, [name])
        }
    };
    Ok(identity.attempt(attempt).unit(Some(unit)))
}

/// The Deployment of a ReplicaSet: its name without the hash of the pod template.
pub(super) fn deployment_of_replica_set<'a>(pod: &PodFacts, replica_set: &'a str) -> &'a str {
    let by_label = pod
        .label("pod-template-hash")
        .and_then(|hash| replica_set.strip_suffix(hash))
        .and_then(|stem| stem.strip_suffix('-'));
    by_label.or_else(|| replica_set.rsplit_once('-').map(|(stem, _)| stem)).unwrap_or(replica_set)
}

/// A controller that podfit does not know: its name without what changes from run to run, where that leaves a name; and
/// its pod's role, where a label tells one.
fn custom(pod: &PodFacts, kind: &str, name: &str) -> Result<Identity, Unidentified> {
    let kind = kind.to_lowercase();
    let stem = recurring_name(cronjob_of_job(name).unwrap_or(name));
    let counts_runs = RUNS.iter().any(|end| kind.ends_with(end)) && without_number(&stem) != stem;
    if holds_random_part(&stem) || counts_runs {
        return Err(Unidentified::no_recurring_name(pod, &[]));
    }
    let role = ROLES.iter().find_map(|word| pod.labels.ends_with(word)).map(str::to_lowercase);
    Ok(Identity::new(pod, Kind::Custom, [kind, stem].into_iter().chain(role)))
}
