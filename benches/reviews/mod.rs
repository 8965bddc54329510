//! Reviews for benches, as an API server sends them. Must not know what is measured with them.

use serde_json::{Value, json};

/// A review of an Airflow task's pod, as an API server sends it; a third of it is bookkeeping of field managers, the
/// rest is filled up with environment variables. Its owner is a StatefulSet of the task's name, for who asks owners.
pub fn review(bytes: usize, namespace: usize, task: usize, memory: &str) -> Vec<u8> {
    let (name, namespace) = (format!("orders-task-{task}-x2m4k"), format!("team-{namespace}"));
    let mut env: Vec<Value> = vec![json!({"name": "AIRFLOW_IS_K8S_EXECUTOR_POD", "value": "True"})];
    let mut fields = Vec::new();
    loop {
        let review = json!({
            "kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1",
            "request": {
                "uid": "3a9a2a2e-6f3a-4b0c-9a34-0c7a2f7e2c11",
                "kind": {"group": "", "version": "v1", "kind": "Pod"},
                "resource": {"group": "", "version": "v1", "resource": "pods"},
                "requestKind": {"group": "", "version": "v1", "kind": "Pod"},
                "requestResource": {"group": "", "version": "v1", "resource": "pods"},
                "name": name, "namespace": namespace, "operation": "CREATE",
                "userInfo": {"username": "system:serviceaccount:airflow:airflow-scheduler",
                    "groups": ["system:serviceaccounts", "system:authenticated"]},
                "object": {
                    "kind": "Pod", "apiVersion": "v1",
                    "metadata": {
                        "name": name, "namespace": namespace, "creationTimestamp": null,
                        "labels": {"airflow-worker": "17", "airflow_version": "3.0.6", "component": "worker",
                            "dag_id": "orders", "kubernetes_executor": "True", "run_id": "scheduled__2026-11-22",
                            "task_id": format!("task_{task}"), "tier": "airflow", "try_number": "1"},
                        "annotations": {"dag_id": "orders", "run_id": "scheduled__2026-11-22T00:00:00+00:00",
                            "task_id": format!("task_{task}"), "try_number": "1"},
                        "ownerReferences": [{"apiVersion": "apps/v1", "kind": "StatefulSet", "name": format!("task-{task}"),
                            "uid": "0b5f7a53-2f2c-4d53-8a53-1d9a4a2c0e11", "controller": true}],
                        "managedFields": fields,
                    },
                    "spec": {
                        "serviceAccountName": "airflow-worker", "restartPolicy": "Never",
                        "securityContext": {"runAsUser": 50000, "runAsNonRoot": true, "fsGroup": 0},
                        "volumes": [{"name": "logs", "emptyDir": {}}, {"name": "config", "configMap": {"name": "airflow"}}],
                        "containers": [{
                            "name": "base", "image": "registry.example/airflow:3.0.6",
                            "args": ["python", "-m", "airflow.sdk.execution_time.execute_workload"],
                            "env": env,
                            "resources": {"requests": {"cpu": "2", "memory": memory}, "limits": {"memory": memory}},
                            "volumeMounts": [{"name": "logs", "mountPath": "/opt/airflow/logs"}],
                            "terminationMessagePath": "/dev/termination-log", "imagePullPolicy": "IfNotPresent",
                        }],
                        "tolerations": [{"key": "node.kubernetes.io/not-ready", "operator": "Exists",
                            "effect": "NoExecute", "tolerationSeconds": 300}],
                        "schedulerName": "default-scheduler", "priority": 0, "enableServiceLinks": true,
                    },
                    "status": {},
                },
                "oldObject": null, "dryRun": false, "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"},
            },
        });
        let body = serde_json::to_vec(&review).expect("JSON");
        if body.len() >= bytes {
            return body;
        }
        let number = env.len();
        let value = if number.is_multiple_of(3) {
            json!({"name": format!("AIRFLOW__SECRET_{number}"),
                "valueFrom": {"secretKeyRef": {"name": "airflow-config", "key": format!("key-{number}")}}})
        } else {
            json!({"name": format!("AIRFLOW__CORE__SETTING_{number}"), "value": "a value of some thirty letters"})
        };
        env.push(value);
        fields.push(json!({"manager": "OpenAPI-Generator", "operation": "Update",
            format!("f:env-{number}"): {".": {}, "f:name": {}, "f:value": {}}}));
    }
}
