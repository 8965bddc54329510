//! Pods of CronJobs, plain Jobs, Deployments and StatefulSets, as Kubernetes' own controllers name them.
//! Knows nothing of data engines.

use super::{Identity, Owner, ParentKind, RunPosition, pairs};
use crate::research::simulate::calendar::MINUTE_MS;
use crate::research::simulate::random::Names;

/// The labels that the Job controller puts on its pods.
pub(super) fn job_labels(job: &str, run: Names) -> Vec<(String, String)> {
    let uid = run.uuid(job);
    pairs([
        ("batch.kubernetes.io/controller-uid", &uid),
        ("batch.kubernetes.io/job-name", job),
        ("controller-uid", &uid),
        ("job-name", job),
    ])
}

/// A pod of a Job of the given name.
pub(super) fn of_job(place: &RunPosition<'_>, job: String, owner: Option<Owner>) -> Identity {
    Identity {
        pod: format!("{job}-{}", place.own.suffix("pod", 5)),
        owner: Some(Owner { kind: "Job", name: job.clone() }),
        labels: job_labels(&job, place.run),
        parent: Some((ParentKind::Job, job, owner)),
        ..Identity::default()
    }
}

pub(super) fn cron_job(place: &RunPosition<'_>) -> Identity {
    let job = format!("{}-{}", place.name(), place.tick_ms / MINUTE_MS);
    let mut identity = of_job(place, job, Some(Owner { kind: "CronJob", name: place.name().to_owned() }));
    identity.container = "main";
    identity.workload = format!("cronjob/{}", place.name());
    identity
}

pub(super) fn plain_job(place: &RunPosition<'_>) -> Identity {
    let mut identity = of_job(place, format!("{}-{}", place.name(), place.run.suffix("job", 5)), None);
    identity.container = "main";
    identity.workload = format!("job/{}", place.name());
    identity
}

pub(super) fn deployment(place: &RunPosition<'_>) -> Identity {
    let hash = place.run.suffix("replicaset", 10);
    let set = format!("{}-{hash}", place.name());
    Identity {
        pod: format!("{set}-{}", place.own.suffix("pod", 5)),
        container: "app",
        workload: format!("deployment/{}", place.name()),
        owner: Some(Owner { kind: "ReplicaSet", name: set.clone() }),
        parent: Some((ParentKind::ReplicaSet, set, Some(Owner { kind: "Deployment", name: place.name().to_owned() }))),
        labels: pairs([("app.kubernetes.io/name", place.name()), ("pod-template-hash", &hash)]),
        ..Identity::default()
    }
}

pub(super) fn stateful_set(place: &RunPosition<'_>) -> Identity {
    let pod = format!("{}-{}", place.name(), place.index.saturating_sub(1));
    Identity {
        container: "app",
        workload: format!("statefulset/{}", place.name()),
        owner: Some(Owner { kind: "StatefulSet", name: place.name().to_owned() }),
        labels: pairs([
            ("app.kubernetes.io/name", place.name()),
            ("apps.kubernetes.io/pod-index", &place.index.saturating_sub(1).to_string()),
            ("statefulset.kubernetes.io/pod-name", &pod),
        ]),
        pod,
        ..Identity::default()
    }
}
