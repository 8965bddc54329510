//! Dagster: run workers, step workers, `k8s_job_op` and Pipes pods.
//! Its pods belong to Jobs named after run ids and hashes, so only labels name the work.

use super::Kind;
use super::facts::PodFacts;
use super::identity::{ALLOW_LABELS, Identity, Unidentified};

pub(super) fn identify(pod: &PodFacts) -> Option<Result<Identity, Unidentified>> {
    let job_name = pod.job_name();
    let Some(job) = pod.label("dagster/job") else {
        return pipes(pod).or_else(|| {
            let made_by_dagster =
                job_name.is_some_and(|j| j.starts_with("dagster-run-") || j.starts_with("dagster-step-"));
            made_by_dagster.then_some(Err(Unidentified::Incomplete {
                engine: "Dagster",
                missing: "its job and op (labels dagster/job, dagster/op) are".into(),
                remedy: ALLOW_LABELS,
            }))
        });
    };
    let unit = pod.label("dagster/run-id").map(str::to_owned);
    let component = pod.label("app.kubernetes.io/component");
    let identity = match pod.label("dagster/op") {
        Some(op) => {
            let op = static_step(op);
            let kind = if component == Some("k8s_job_op") { Kind::DagsterOp } else { Kind::DagsterStep };
            Identity::new(pod, kind, [job, op]).unit(unit.map(|run| format!("{run}/{op}")))
        }
        // Every code location has an asset job of the same name, so the location is part of the key.
        None => {
            Identity::new(pod, Kind::DagsterRun, pod.label("dagster/code-location").into_iter().chain([job])).unit(unit)
        }
    };
    let attempt = job_name.and_then(attempt_of_job);
    Some(Ok(identity.attempt(attempt).main_container_of(pod, &["dagster"])))
}

/// The step without the key of a dynamic output: `op[key]` becomes `op-key` in the label, and names of ops are Python
/// identifiers, which have no `-`.
fn static_step(op: &str) -> &str {
    op.split_once('-').map_or(op, |(name, _)| name)
}

/// A Pipes pod has only the common labels: `dagster-<run id>-<op>-<10 digits>`.
fn pipes(pod: &PodFacts) -> Option<Result<Identity, Unidentified>> {
    let name = pod.name.as_deref()?.strip_prefix("dagster-")?;
    let by_dagster =
        pod.has_container("dagster-pipes-execution") || pod.label("app.kubernetes.io/name") == Some("dagster");
    let (rest, digits) = name.rsplit_once('-')?;
    let run = rest.get(..18)?;
    let op = rest.get(18..)?.strip_prefix('-')?;
    let run_like = run.chars().all(|c| c.is_ascii_hexdigit() || c == '-');
    if !by_dagster || !run_like || digits.len() != 10 || !digits.bytes().all(|b| b.is_ascii_digit()) || op.is_empty() {
        return None;
    }
    Some(Ok(Identity::new(pod, Kind::DagsterOp, ["pipes", op])
        .main_container_of(pod, &["dagster-pipes-execution", "dagster"])))
}

/// `dagster-step-<32 hex>-<n>` is retry n; `dagster-run-<uuid>-<n>` is the n-th resumption.
fn attempt_of_job(job: &str) -> Option<u32> {
    let id = if let Some(rest) = job.strip_prefix("dagster-step-") {
        rest.get(32..)?
    } else if let Some(rest) = job.strip_prefix("dagster-run-") {
        rest.get(36..)?
    } else if job.len() >= 32 && job.bytes().take(32).all(|b| b.is_ascii_hexdigit()) {
        job.get(32..)? // k8s_job_op
    } else {
        return None;
    };
    match id.strip_prefix('-') {
        Some(n) => n.parse::<u32>().ok().map(|n| n.saturating_add(1)),
        None => id.is_empty().then_some(1),
    }
}
