//! The pod labels and annotations by which past pods are told apart: what kube-state-metrics has to export.

use super::table;

/// Labels that the engines' own files read.
const OF_ENGINES: [&str; 35] = [
    "dag_id",
    "task_id",
    "run_id",
    "try_number",
    "map_index",
    "airflow_version",
    "airflow-worker",
    "kubernetes_executor",
    "kubernetes_pod_operator",
    "spark_kubernetes_operator",
    "spark-role",
    "spark-app-name",
    "spark-app-selector",
    "spark-exec-id",
    "spark-exec-resourceprofile-id",
    "sparkoperator.k8s.io/app-name",
    "sparkoperator.k8s.io/scheduled-app-name",
    "sparkoperator.k8s.io/connect-name",
    "spark.operator/spark-app-name",
    "spark.operator/spark-cluster-name",
    "dagster/job",
    "dagster/op",
    "dagster/run-id",
    "dagster/code-location",
    "app.kubernetes.io/component",
    "prefect.io/flow-name",
    "prefect.io/deployment-name",
    "prefect.io/flow-run-id",
    "workflows.argoproj.io/workflow",
    "app",
    "component",
    "type",
    "batch.kubernetes.io/job-name",
    "batch.kubernetes.io/job-completion-index",
    "podfit.dev/workload",
];

/// Annotations that are read.
pub const ANNOTATIONS: [&str; 6] = [
    "workflows.argoproj.io/node-name",
    "batch.kubernetes.io/job-index-failure-count",
    "podfit.dev/input-bytes",
    "metaflow/flow_name",
    "metaflow/step_name",
    "job.runner.gitlab.com/name",
];

/// What `--metric-labels-allowlist` of kube-state-metrics has to name; each key once.
pub fn labels() -> Vec<&'static str> {
    let mut all = OF_ENGINES.to_vec();
    let of_rows = table::labels().into_iter().filter(|key| !ANNOTATIONS.contains(key) && !OF_ENGINES.contains(key));
    all.extend(of_rows);
    all
}
