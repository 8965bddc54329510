//! Pods of Airflow's KubernetesExecutor and KubernetesPodOperator.
//! Label values that Airflow would hash get random digits at that place: nothing reads them back.

use super::{Identity, RunPosition, pairs, slug};

fn run_id(place: &RunPosition<'_>) -> String {
    format!("scheduled__{}", place.date_time())
}

/// The labels that both kinds of pods carry. A run id holds characters that labels must not, so Airflow removes them
/// and appends nine hexadecimal digits of a digest.
fn labels(place: &RunPosition<'_>) -> Vec<(String, String)> {
    let safe: String = run_id(place).chars().filter(|c| !matches!(c, ':' | '+')).collect();
    let digest = place.run.hex("run id", 9);
    pairs([
        ("airflow_version", "3.1.2"),
        ("dag_id", place.name()),
        ("run_id", &format!("{safe}-{digest}")),
        ("task_id", place.part_name()),
        ("try_number", &place.attempt.to_string()),
    ])
}

pub(super) fn worker(place: &RunPosition<'_>) -> Identity {
    let (dag, task) = (place.name(), place.part_name());
    let base = slug(&format!("{dag}-{task}"));
    let mut labels = labels(place);
    labels.extend(pairs([("airflow-worker", "4711"), ("kubernetes_executor", "True")]));
    Identity {
        pod: format!("{base}-{}", place.own.alphanumeric("pod", 8)),
        container: "base",
        workload: format!("airflow-task/{dag}/{task}"),
        labels,
        annotations: pairs([
            ("dag_id", dag),
            ("run_id", &run_id(place)),
            ("task_id", task),
            ("try_number", &place.attempt.to_string()),
        ]),
        ..Identity::default()
    }
}

pub(super) fn operator_pod(place: &RunPosition<'_>) -> Identity {
    let (dag, task) = (place.name(), place.part_name());
    let mut labels = labels(place);
    labels.extend(pairs([("airflow_kpo_in_cluster", "True"), ("kubernetes_pod_operator", "True")]));
    Identity {
        pod: format!("{}-{}", slug(task), place.own.alphanumeric("pod", 8)),
        container: "base",
        workload: format!("airflow-pod/{dag}/{task}"),
        labels,
        sidecar: Some("airflow-xcom-sidecar"),
        ..Identity::default()
    }
}
