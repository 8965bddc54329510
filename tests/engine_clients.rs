//! Pods that the engines' own clients create on a real API server are stored as they were asked for, and podfit knows
//! whose they are. No container runs: kwok plays the kubelet.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail loudly in its helpers too")]

mod support;

use std::collections::BTreeMap;

use podfit::quantity::Quantity;
use podfit::workload::{IdentityRules, identify, pod_facts};
use rstest::rstest;
use serde_json::{Value, json};
use support::cluster::{cluster, until};
use support::engine_client::{Asked, CPU, MEMORY, create_pods};
use support::prometheus_server::skipped;

const IMAGE: &str = "registry.example/etl:1.4";

/// The workload of each pod that the engine creates, and the container that does its work.
#[rstest]
#[case::airflow("airflow", &[
    ("airflow-pod/nightly_sales_etl/aggregate", "base"),
    ("airflow-task/nightly_sales_etl/extract_orders", "base"),
])]
#[case::argo("argo", &[
    ("argo/clickstream/extract", "main"),
    ("argo/clickstream/load", "main"),
    ("argo/nightly-scores/score", "main"),
])]
#[case::cronjob("cronjob", &[("cronjob/nightly-report", "report")])]
#[case::dagster("dagster", &[
    ("dagster-run/nightly_report", "dagster"),
    ("dagster-step/nightly_report/extract", "dagster"),
])]
#[case::prefect("prefect", &[("prefect/load-customers/prod", "prefect-job")])]
#[case::spark("spark", &[
    ("spark-driver/nightly-join", "spark-kubernetes-driver"),
    ("spark-executor/nightly-join", "spark-kubernetes-executor"),
])]
fn what_an_engine_creates_is_stored_and_known(#[case] engine: &str, #[case] expected: &[(&str, &str)]) {
    let test = format!("what_an_engine_creates_is_stored_and_known::{engine}");
    let Some(cluster) = cluster(&test) else { return };
    let namespace = cluster.namespace(engine);
    let pods = match create_pods(engine, &namespace, IMAGE) {
        Asked::Created(pods) => pods,
        Asked::Refused(said) => panic!("{engine}: {said}"),
        Asked::NotHere(reason) => return skipped(&test, &reason),
    };
    let by_workload: BTreeMap<String, &Value> = pods.iter().map(|pod| (workload(pod), pod)).collect();
    let workloads: Vec<&str> = by_workload.keys().map(String::as_str).collect();
    assert_eq!(workloads, expected.iter().map(|(workload, _)| *workload).collect::<Vec<_>>());
    for (workload, name) in expected {
        let spec = &by_workload[*workload]["spec"];
        let container = spec["containers"].as_array().unwrap().iter().find(|c| c["name"] == *name);
        let container = container.unwrap_or_else(|| panic!("{workload} has no container {name}: {spec:#}"));
        assert_eq!(container["image"], IMAGE, "{workload}");
        for (what, asked) in [("/requests/cpu", CPU), ("/requests/memory", MEMORY), ("/limits/memory", MEMORY)] {
            let stored = container["resources"].pointer(what).unwrap_or_else(|| panic!("{workload}: no {what}"));
            assert_eq!(quantity(stored.as_str().unwrap()), quantity(asked), "{workload}: {what}");
        }
        let non_root = |of: &Value| of["securityContext"]["runAsNonRoot"] == true;
        assert!(non_root(spec) || non_root(container), "{workload}: {spec:#}");
    }
}

/// What keeps an engine from its pods is told as the API server said it: tests of admission rely on that.
#[test]
fn a_refused_pod_is_told() {
    const TEST: &str = "a_refused_pod_is_told";
    const RULES: &str = "/apis/admissionregistration.k8s.io/v1";
    let Some(cluster) = cluster(TEST) else { return };
    let namespace = cluster.namespace("refused");
    let name = json!({"name": namespace.name});
    let rule = json!({"metadata": name, "spec": {
        "matchConstraints": {
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace.name}},
            "resourceRules": [
                {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}],
        },
        "validations": [{"expression": "false", "message": "no pods today"}],
    }});
    cluster.create(&format!("{RULES}/validatingadmissionpolicies"), &rule);
    let binding = json!({"metadata": name, "spec": {"policyName": namespace.name, "validationActions": ["Deny"]}});
    cluster.create(&format!("{RULES}/validatingadmissionpolicybindings"), &binding);
    let pod = json!({"metadata": {"name": "probe"}, "spec": {"containers": [{"name": "main", "image": IMAGE}]}});
    until("the rule", || namespace.try_create("/api/v1", "pods", &pod).err());

    match create_pods("cronjob", &namespace, IMAGE) {
        Asked::Refused(said) => assert!(said.contains("no pods today"), "{said}"),
        Asked::Created(pods) => panic!("created against the rule: {pods:#?}"),
        Asked::NotHere(reason) => skipped(TEST, &reason),
    }
    for kind in ["validatingadmissionpolicybindings", "validatingadmissionpolicies"] {
        cluster.request("DELETE", &format!("{RULES}/{kind}/{}", namespace.name), None).unwrap();
    }
}

/// The key of a stored pod, without its namespace.
fn workload(pod: &Value) -> String {
    let identity = identify(&pod_facts(pod, "default").unwrap(), &IdentityRules::default());
    identity.unwrap_or_else(|unknown| panic!("{unknown}: {pod:#}")).workload.to_string()
}

fn quantity(text: &str) -> Quantity {
    text.parse().unwrap()
}
