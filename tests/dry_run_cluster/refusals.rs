//! What the user is told when the API server says no, and that a large namespace is read to its end.
//! No Prometheus: the history is a file of runs, or is not reached.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};

use super::scene::{line, parsed, reading};
use super::support::cluster::{cluster, until};

fn dry_run(namespace: &str, kubeconfig: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_podfit"))
        .args(["dry-run", "-n", namespace, "-o", "json", "--kubeconfig"])
        .arg(kubeconfig)
        .args(args)
        .output()
        .unwrap()
}

#[test]
fn a_refusal_is_one_line_that_says_what_to_do() {
    let Some(cluster) = cluster("a_refusal_is_one_line_that_says_what_to_do") else { return };
    let namespace = cluster.namespace("refused");
    let files = tempfile::tempdir().unwrap();
    let pods = json!([reading("", &["pods"])]);
    let reader = namespace.account("reader", &pods, &json!([reading("", &["namespaces"])]), files.path());
    let nobody = namespace.account("nobody", &json!([]), &json!([]), files.path());
    let stranger = files.path().join("stranger.kubeconfig");
    let mut config: Value = serde_json::from_slice(&std::fs::read(&nobody).unwrap()).unwrap();
    config["users"][0]["user"]["token"] = json!("not-a-token");
    std::fs::write(&stranger, config.to_string()).unwrap();
    let name = namespace.name.as_str();
    let cases = [
        ("no-such-namespace", &reader, "there is no namespace no-such-namespace in the cluster at https://127.0.0.1:"),
        (name, &nobody, &*format!("you may not list pods in namespace {name} (403)")),
        (name, &stranger, "does not know you (401): log in again"),
    ];
    for (namespace, kubeconfig, said) in cases {
        let output = dry_run(namespace, kubeconfig, &["--prometheus-url", "http://127.0.0.1:9"]);
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.contains(said) && text.trim().lines().count() == 1, "{text}");
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{text}");
    }
}

#[test]
fn every_page_of_a_large_namespace_is_read() {
    const PODS: usize = 520;
    let Some(cluster) = cluster("every_page_of_a_large_namespace_is_read") else { return };
    let namespace = cluster.namespace("large");
    let labels = json!({"app": "api"});
    // Pods that no scheduler cares for cost nothing more than their object.
    let container = json!({"name": "app", "image": "registry.example/api:1"});
    let template =
        json!({"metadata": {"labels": labels}, "spec": {"schedulerName": "none", "containers": [container]}});
    let spec = json!({"replicas": PODS, "selector": {"matchLabels": labels}, "template": template});
    let deployment = json!({"metadata": {"name": "api"}, "spec": spec});
    namespace.create("/apis/apps/v1", "deployments", &deployment);
    until("all pods", || {
        let deployment = namespace.find("/apis/apps/v1", "deployments/api")?;
        (deployment["status"]["replicas"] == json!(PODS)).then_some(())
    });
    let files = tempfile::tempdir().unwrap();
    let rules = json!([reading("", &["pods"]), reading("apps", &["replicasets"])]);
    let reader = namespace.account("reader", &rules, &json!([]), files.path());
    let runs = files.path().join("runs.csv");
    std::fs::write(&runs, "task,peak_mem_bytes\n").unwrap();
    let output = dry_run(&namespace.name, &reader, &["--runs", runs.to_str().unwrap()]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report = parsed(&String::from_utf8(output.stdout).unwrap());
    assert_eq!(line(&report, "deployment/api")["livePods"], json!(PODS));
}
