//! The definitions of podfit's own kinds: `deploy/` has what the command prints, and a real API server takes it, checks
//! by it, and says what is wrong.

use std::path::Path;

use kube::config::{KubeConfigOptions, Kubeconfig};
use podfit::cluster::Api;
use podfit::controller::recommend::write::{Recommendations, Written};
use podfit::recommendation::status::{ContainerStatus, Status};
use podfit::workload::Workload;
use rstest::rstest;
use serde_json::{Value, json};

use super::scene::{PODFIT, Policy, define};
use super::support::cli;
use super::support::cluster::cluster;

#[test]
fn what_is_printed_is_what_deploy_has() {
    let printed = cli::run(cli::command().arg("crds"));
    assert_eq!(printed.code, Some(0), "{printed:?}");
    let files = ["rightsizingpolicies", "recommendations"].map(|name| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/crds").join(format!("{name}.yaml"));
        format!("---\n{}", std::fs::read_to_string(path).unwrap())
    });
    assert!(printed.stdout == files.concat(), "deploy/crds is not what `podfit crds` prints: write it anew");
}

fn refusal(plural: &str, object: &Value) -> Result<(), String> {
    let cluster = cluster("definitions").unwrap();
    let path = format!("{PODFIT}/{plural}?dryRun=All&fieldValidation=Strict");
    match cluster.request("POST", &path, Some(object)) {
        // It would be taken, were there none of that name.
        Ok(_) | Err((409, _)) => Ok(()),
        Err((_, message)) => Err(message),
    }
}

#[rstest]
#[case(json!({}), None)]
#[case(json!({"resizing": "stopped", "rollout": {"mode": "canary", "canaryPercent": 5, "largestShrink": 0.5}}), None)]
#[case(json!({"bounds": {"memory": {"floor": "64Mi", "ceiling": "64Gi"}, "cpu": {"floor": "10m", "ceiling": 8}}}), None)]
#[case(json!({"rules": {"modes": {"latest-tag": "warn"}}}), None)]
#[case(json!({"resising": "stopped"}), Some("resising"))]
#[case(json!({"resizing": "paused"}), Some("Unsupported value"))]
#[case(json!({"rollout": {"canaryPercent": 101}}), Some("less than or equal to 100"))]
#[case(json!({"rollout": {"namespaces": [{"names": []}]}}), Some("names"))]
#[case(json!({"bounds": {"memory": {"floor": "2Gi", "ceiling": "1Gi"}}}), Some("the floor is above the ceiling"))]
#[case(json!({"bounds": {"memory": {"floor": "much"}}}), Some("floor"))]
#[case(json!({"rules": {"modes": {"latest": "warn"}}}), Some("the rules are latest-tag"))]
#[case(json!({"rules": {"modes": {"latest-tag": "maybe"}}}), Some("Unsupported value"))]
#[case(json!({"rules": {"exemptions": [{"reason": "r", "rules": ["run-as-root"], "namespaces": ["a"]}]}}), Some("it names nobody"))]
fn a_policy_is_checked_when_it_is_written(#[case] spec: Value, #[case] said: Option<&str>) {
    let Some(cluster) = cluster("a_policy_is_checked_when_it_is_written") else { return };
    define(cluster);
    let object = json!({"apiVersion": "podfit.dev/v1alpha1", "kind": "RightsizingPolicy",
        "metadata": {"name": "default"}, "spec": spec});
    match (refusal("rightsizingpolicies", &object), said) {
        (Ok(()), None) => {}
        (Err(message), Some(said)) => assert!(message.contains(said), "{message}"),
        (answer, said) => panic!("{answer:?} instead of {said:?}"),
    }
}

#[test]
fn a_second_policy_is_refused_and_the_first_shows_no_blank() {
    let Some(cluster) = cluster("a_second_policy_is_refused_and_the_first_shows_no_blank") else { return };
    let _policy = Policy::hold(cluster, &json!({}));
    let second = json!({"apiVersion": "podfit.dev/v1alpha1", "kind": "RightsizingPolicy",
        "metadata": {"name": "mine"}, "spec": {"resizing": "stopped"}});
    let refused = refusal("rightsizingpolicies", &second).unwrap_err();
    assert!(refused.contains("its name is default"), "{refused}");
    // As `kubectl get rsp` is answered.
    let table = cluster.table(&format!("{PODFIT}/rightsizingpolicies"));
    let columns = table["columnDefinitions"].as_array().unwrap().iter().map(|column| column["name"].clone());
    let cells = table["rows"][0]["cells"].as_array().unwrap().iter().cloned();
    let row: Vec<(Value, Value)> = columns.zip(cells).collect();
    assert!(row.len() >= 5, "{row:?}");
    assert!(row.iter().all(|(_, cell)| cell.as_str().is_some_and(|text| !text.is_empty())), "{row:?}");
    assert!(row.contains(&(json!("Rollout"), json!("apply"))), "what is in force where nothing is said: {row:?}");
}

#[test]
fn the_workload_of_a_recommendation_cannot_be_changed() {
    let Some(cluster) = cluster("the_workload_of_a_recommendation_cannot_be_changed") else { return };
    define(cluster);
    let namespace = cluster.namespace("defined");
    let object = json!({"apiVersion": "podfit.dev/v1alpha1", "kind": "Recommendation", "metadata": {"name": "a"},
        "spec": {"workload": "job/a"}});
    namespace.create(PODFIT, "recommendations", &object);
    let path = format!("{PODFIT}/namespaces/{}/recommendations/a", namespace.name);
    let refused = cluster.request("PATCH", &path, Some(&json!({"spec": {"workload": "job/b"}}))).unwrap_err();
    assert!(refused.1.contains("cannot be changed"), "{refused:?}");
    let nonsense = json!({"apiVersion": "podfit.dev/v1alpha1", "kind": "Recommendation", "metadata": {"name": "b"},
        "spec": {"workload": "nonsense"}});
    let path = format!("{PODFIT}/namespaces/{}/recommendations", namespace.name);
    assert!(cluster.request("POST", &path, Some(&nonsense)).is_err());
}

/// Server-side apply makes `null` of an object that is emptied, and the definition refuses it.
#[test]
fn a_size_that_is_no_longer_known_is_taken_out() {
    let Some(cluster) = cluster("a_size_that_is_no_longer_known_is_taken_out") else { return };
    define(cluster);
    let namespace = cluster.namespace("unknown");
    let workload = Workload::parse(&namespace.name, "cronjob/etl").unwrap();
    let status = |size: Value| {
        let container: ContainerStatus =
            serde_json::from_value(json!({"name": "main", "current": size, "recommended": size})).unwrap();
        Status { containers: vec![container], ..Status::default() }
    };
    let written = tokio::runtime::Runtime::new().unwrap().block_on(async {
        let read = Kubeconfig::read_from(cluster.kubeconfig()).unwrap();
        let config = kube::Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await.unwrap();
        let recommendations = Recommendations::new(Api::new(kube::Client::try_from(config).unwrap()));
        let (_, before) = recommendations.write(&workload, None, &status(json!({"memoryLimit": "2Gi"}))).await?;
        recommendations.write(&workload, before.as_ref(), &status(json!({}))).await
    });
    let (written, stored) = written.unwrap();
    assert_eq!(written, Written::Stored);
    assert_eq!(stored.unwrap().recommendation.status.containers, status(json!({})).containers);
}
