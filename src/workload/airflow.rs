//! Airflow: KubernetesExecutor workers, KubernetesPodOperator, KubernetesJobOperator, SparkKubernetesOperator.
//! Labels hold the ids made safe by Airflow (equal labels mean equal ids), so the key is made of labels.

use super::facts::PodFacts;
use super::identity::{Identity, Unidentified};
use super::{Kind, spark};

pub(super) fn identify(pod: &PodFacts) -> Option<Result<Identity, Unidentified>> {
    let (dag, task) = (pod.label("dag_id")?, pod.label("task_id")?);
    let is = |key: &str| pod.label(key).is_some_and(|v| v.eq_ignore_ascii_case("true"));
    let spark_role = pod.label("spark-role");
    let kind = match spark_role {
        Some("driver") => Kind::AirflowSparkDriver,
        Some("executor") => Kind::AirflowSparkExecutor,
        // The worker and the pod that its task starts carry the same ids; only these flags tell them apart.
        _ if is("kubernetes_pod_operator") => Kind::AirflowPod,
        _ if is("kubernetes_executor") || pod.label("airflow-worker").is_some() => Kind::AirflowTask,
        _ if pod.env("AIRFLOW_IS_K8S_EXECUTOR_POD").is_some() => Kind::AirflowTask,
        _ if pod.label("airflow_version").is_some() => Kind::AirflowPod,
        _ => return None,
    };
    let mut names = vec![dag.to_owned(), task.to_owned()];
    if kind == Kind::AirflowSparkExecutor {
        names.extend(spark::profile_shape(pod));
    }
    let unit = pod.label("run_id").map(|run| {
        let index = pod.label("map_index").map(|m| format!("[{m}]")).unwrap_or_default();
        format!("{dag}/{task}/{run}{index}")
    });
    // A pod built outside a task instance says 0; it is a first try all the same.
    let attempt = pod.label("try_number").and_then(|n| n.parse::<u32>().ok()).map(|n| n.max(1));
    let identity = Identity::new(pod, kind, names).attempt(attempt).unit(unit);
    Some(Ok(match kind {
        Kind::AirflowSparkDriver | Kind::AirflowSparkExecutor => spark::with_main_container(identity, pod),
        _ => with_main_container(identity, pod),
    }))
}

fn with_main_container(identity: Identity, pod: &PodFacts) -> Identity {
    let named = identity.main_container_of(pod, &["base"]);
    if named.main_container.is_some() {
        return named;
    }
    // `base_container_name` may be anything; the sidecar's name is fixed.
    let own: Vec<&str> =
        pod.containers.iter().map(|c| c.name.as_str()).filter(|n| *n != "airflow-xcom-sidecar").collect();
    Identity { main_container: own.first().map(|n| (*n).to_owned()), ..named }
}
