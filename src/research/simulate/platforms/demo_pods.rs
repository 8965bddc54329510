//! Pods of the demo's platform as the API server would send them for admission: one turned away for its image tag, one
//! for root, one that gets resized. Knows nothing of what admission decides.

use serde_json::{Value, json};

/// Which of the demo's pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DemoPod {
    /// A `KubernetesPodOperator` pod whose image is `:latest`.
    LatestTag,
    /// An Argo step that says `runAsUser: 0`.
    ExplicitRoot,
    /// The next run of the over-requested Airflow task: nothing wrong with it, and far too large.
    Resized,
}

impl DemoPod {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::LatestTag, Self::ExplicitRoot, Self::Resized];
}

/// The pod as JSON, before the API server fills in defaults.
pub fn demo_pod(which: DemoPod) -> Value {
    match which {
        DemoPod::LatestTag => latest_tag(),
        DemoPod::ExplicitRoot => explicit_root(),
        DemoPod::Resized => resized(),
    }
}

fn safe_context() -> Value {
    json!({
        "allowPrivilegeEscalation": false,
        "capabilities": {"drop": ["ALL"]},
        "runAsNonRoot": true,
        "runAsUser": 50_000,
        "seccompProfile": {"type": "RuntimeDefault"}
    })
}

fn latest_tag() -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "fct-sales-3k9w1xqz",
            "namespace": "sales-data",
            "labels": {
                "airflow_kpo_in_cluster": "True",
                "airflow_version": "3.1.2",
                "dag_id": "dbt_marts",
                "kubernetes_pod_operator": "True",
                "run_id": "scheduled__2026-11-22T0300000000-5d0a4be17",
                "task_id": "fct_sales",
                "try_number": "1"
            }
        },
        "spec": {
            "restartPolicy": "Never",
            "serviceAccountName": "dbt",
            "containers": [{
                "name": "base",
                "image": "registry.marlow.example/data/dbt:latest",
                "args": ["build", "--select", "fct_sales"],
                "resources": {
                    "requests": {"cpu": "1", "memory": "6Gi"},
                    "limits": {"memory": "6Gi"}
                },
                "securityContext": safe_context()
            }]
        }
    })
}

fn explicit_root() -> Value {
    let workflow = "competitor-prices-1795321200";
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": format!("{workflow}-normalise-2864153901"),
            "namespace": "pricing",
            "labels": {
                "workflows.argoproj.io/completed": "false",
                "workflows.argoproj.io/workflow": workflow
            },
            "annotations": {
                "kubectl.kubernetes.io/default-container": "main",
                "workflows.argoproj.io/node-id": format!("{workflow}-2864153901"),
                "workflows.argoproj.io/node-name": format!("{workflow}[1].normalise(0)")
            },
            "ownerReferences": [{
                "apiVersion": "argoproj.io/v1alpha1",
                "blockOwnerDeletion": true,
                "controller": true,
                "kind": "Workflow",
                "name": workflow,
                "uid": "7c1f7e7e-52a4-4b86-9b0e-0f2f6f0d8a11"
            }]
        },
        "spec": {
            "restartPolicy": "Never",
            "serviceAccountName": "argo-pricing",
            "initContainers": [{
                "name": "init",
                "image": "quay.io/argoproj/argoexec:v3.7.3",
                "command": ["argoexec", "init"],
                "env": [{"name": "ARGO_TEMPLATE", "value": "{\"name\":\"normalise\"}"}],
                "securityContext": safe_context()
            }],
            "containers": [
                {
                    "name": "wait",
                    "image": "quay.io/argoproj/argoexec:v3.7.3",
                    "command": ["argoexec", "wait"],
                    "resources": {"requests": {"cpu": "1m", "memory": "10Mi"}},
                    "securityContext": safe_context()
                },
                {
                    "name": "main",
                    "image": "registry.marlow.example/data/competitor-prices:4.2.0",
                    "command": ["python", "-m", "prices.normalise"],
                    "resources": {
                        "requests": {"cpu": "1", "memory": "2Gi"},
                        "limits": {"memory": "2Gi"}
                    },
                    "securityContext": {"runAsUser": 0}
                }
            ]
        }
    })
}

fn resized() -> Value {
    let run_id = "scheduled__2026-11-22T01:15:00+00:00";
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "orders-daily-extract-orders-p4h7m2ca",
            "namespace": "sales-data",
            "labels": {
                "airflow-worker": "4711",
                "airflow_version": "3.1.2",
                "dag_id": "orders_daily",
                "kubernetes_executor": "True",
                "run_id": "scheduled__2026-11-22T0115000000-0c9d2f6ba",
                "task_id": "extract_orders",
                "try_number": "1"
            },
            "annotations": {
                "dag_id": "orders_daily",
                "run_id": run_id,
                "task_id": "extract_orders",
                "try_number": "1"
            }
        },
        "spec": {
            "restartPolicy": "Never",
            "serviceAccountName": "airflow-worker",
            "containers": [{
                "name": "base",
                "image": "registry.marlow.example/data/airflow:3.1.2-12",
                "args": ["python", "-m", "airflow.sdk.execution_time.execute_workload", "--json-string", "{}"],
                "env": [{"name": "AIRFLOW_IS_K8S_EXECUTOR_POD", "value": "True"}],
                "resources": {
                    "requests": {"cpu": "2", "memory": "8Gi"},
                    "limits": {"memory": "8Gi"}
                },
                "securityContext": safe_context()
            }]
        }
    })
}
