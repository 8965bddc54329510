//! A `FlinkDeployment` on a real API server gets the process sizes that its Recommendations have, when it is created
//! and never again. The operator and Flink itself do not run; its definition here takes any fields.

use serde_json::{Value, json};

use super::scene::{Policy, define, recommend};
use super::support::cluster::{Cluster, cluster, until};
use super::support::webhook::{Setup, Webhook};

const FLINK: &str = "/apis/flink.apache.org/v1beta1";

#[test]
fn a_deployment_is_sized_when_it_is_created_and_never_again() {
    let Some(cluster) = cluster("a_deployment_is_sized_when_it_is_created_and_never_again") else { return };
    let _policy = Policy::hold(cluster, &json!({"applications": "sized-at-creation", "rollout": {"mode": "apply"}}));
    define(cluster);
    define_flink(cluster);
    let namespace = cluster.namespace("flink");
    recommend(&namespace, "flink-taskmanager/clicks", &of_process("2176Mi", true));
    recommend(&namespace, "flink-jobmanager/clicks", &of_process("1408Mi", false));
    let arguments = ["--watch-namespaces", "{namespace}", "--lease", "{namespace}/podfit"].map(str::to_owned);
    let setup = Setup { arguments: arguments.into(), applications: true, ..Setup::default() };
    let webhook = Webhook::start_in(namespace, &setup);
    let namespace = &webhook.namespace;
    until("the recommendations reach admission", || {
        let would_be = namespace.try_create(FLINK, "flinkdeployments", &deployment()).ok()?;
        (memory(&would_be, "taskManager") != "4096m").then_some(())
    });

    let stored = namespace.create(FLINK, "flinkdeployments", &deployment());
    assert_eq!(memory(&stored, "taskManager"), "2176m", "its JVMs have proven that: {stored:#}");
    assert_eq!(memory(&stored, "jobManager"), "1600m", "less is not proven: {stored:#}");
    assert_eq!(stored["spec"]["taskManager"]["resource"]["cpu"], 1.5, "{stored:#}");
    let record: Value =
        serde_json::from_str(stored["metadata"]["annotations"]["podfit.dev/resized"].as_str().unwrap()).unwrap();
    let task_manager = &record["containers"]["taskManager"];
    let limits = [&task_manager["from"]["memoryLimit"], &task_manager["to"]["memoryLimit"]];
    assert_eq!(limits, [&json!("4Gi"), &json!("2176Mi")], "{record:#}");

    // Whoever changes it later, its author or what keeps it as in Git, has the last word.
    let path = format!("{FLINK}/namespaces/{}/flinkdeployments/clicks", namespace.name);
    let back = json!({"spec": {"taskManager": {"resource": {"memory": "4096m"}}}});
    let changed = cluster.request("PATCH", &path, Some(&back)).unwrap();
    assert_eq!(memory(&changed, "taskManager"), "4096m");
    for metric in ["apiserver_admission_webhook_rejection_count", "apiserver_admission_webhook_fail_open_count"] {
        assert_eq!(webhook.counted_by_the_api_server(metric), 0.0, "{metric}");
    }
}

fn memory(deployment: &Value, component: &str) -> String {
    deployment["spec"][component]["resource"]["memory"].as_str().unwrap_or_default().to_owned()
}

fn deployment() -> Value {
    let resource = |cpu: f64, memory: &str| json!({"resource": {"cpu": cpu, "memory": memory}});
    json!({"apiVersion": "flink.apache.org/v1beta1", "kind": "FlinkDeployment", "metadata": {"name": "clicks"},
        "spec": {"image": "registry.example/clicks:2.1", "flinkVersion": "v2_0", "serviceAccount": "flink",
            "jobManager": resource(1.0, "1600m"), "taskManager": resource(1.5, "4096m"),
            "job": {"jarURI": "local:///opt/flink/clicks.jar", "parallelism": 2, "upgradeMode": "savepoint"}}})
}

fn of_process(memory: &str, process_is_proven: bool) -> Value {
    json!({
        "name": "flink-main-container",
        "recommended": {"memoryRequest": memory, "memoryLimit": memory},
        "flink": {"processIsProven": process_is_proven},
    })
}

/// Tells the cluster of the operator's kind.
fn define_flink(cluster: &Cluster) {
    const PATH: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    let any = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "flinkdeployments.flink.apache.org"},
        "spec": {"group": "flink.apache.org", "scope": "Namespaced",
            "names": {"plural": "flinkdeployments", "singular": "flinkdeployment", "kind": "FlinkDeployment",
                "listKind": "FlinkDeploymentList"},
            "versions": [{"name": "v1beta1", "served": true, "storage": true, "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": any, "status": any}}}}]},
    });
    if cluster.request("GET", &format!("{PATH}/flinkdeployments.flink.apache.org"), None).is_err() {
        let _ = cluster.request("POST", PATH, Some(&definition));
    }
    until("the API server serves Flink's kind", || {
        cluster.request("GET", &format!("{FLINK}/flinkdeployments"), None).ok()
    });
}
