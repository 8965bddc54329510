//! Run workers and step workers of Dagster's Kubernetes executor.
//! Step Jobs are named by a digest in Dagster; random digits stand in for it, as nothing reads them back.

use super::job::of_job;
use super::{Identity, RunPosition, pairs};

pub(super) fn pod(place: &RunPosition<'_>, location: &str) -> Identity {
    let (job, op) = (place.name(), place.part_name());
    let run_id = place.run.uuid("dagster run");
    let name = if place.leads() {
        format!("dagster-run-{run_id}")
    } else {
        let digest = place.run.hex(op, 32);
        let retry = if place.attempt > 1 { format!("-{}", place.attempt - 1) } else { String::new() };
        format!("dagster-step-{digest}{retry}")
    };
    let mut identity = of_job(place, name, None);
    identity.container = "dagster";
    identity.labels.extend(pairs([
        ("app.kubernetes.io/component", if place.leads() { "run_worker" } else { "step_worker" }),
        ("app.kubernetes.io/instance", "dagster"),
        ("app.kubernetes.io/name", "dagster"),
        ("app.kubernetes.io/part-of", "dagster"),
        ("app.kubernetes.io/version", "1.12.4"),
        ("dagster/code-location", location),
        ("dagster/deployment-name", "prod"),
        ("dagster/job", job),
        ("dagster/run-id", &run_id),
    ]));
    if place.leads() {
        identity.workload = format!("dagster-run/{location}/{job}");
    } else {
        identity.labels.push(("dagster/op".to_owned(), op.to_owned()));
        identity.workload = format!("dagster-step/{job}/{op}");
    }
    identity
}
