//! Two replicas: one makes recommendations, both answer, and nothing is lost when one of them or the Prometheus goes.

use std::time::Instant;

use serde_json::json;

use super::scene::{ASKED_MIB, PODFIT, Policy, Scene};
use super::support::cluster::{cluster, until};
use super::support::webhook::{Serve, get};

fn metric(address: &str, name: &str) -> f64 {
    let metrics = get(address, "/metrics").unwrap_or_default();
    let line = metrics.lines().find(|line| line.starts_with(&format!("{name} ")));
    line.and_then(|line| line.rsplit_once(' ')?.1.parse().ok()).unwrap_or(-1.0)
}

#[test]
fn the_other_replica_leads_when_the_leader_is_gone() {
    let test = "the_other_replica_leads_when_the_leader_is_gone";
    let Some(cluster) = cluster(test) else { return };
    let _policy = Policy::hold(cluster, &json!({"rollout": {"mode": "apply"}}));
    let Some(mut scene) = Scene::start(test, &[]) else { return };
    scene.recommendation();
    assert_eq!(metric(&scene.webhook.metrics_address, "podfit_leader"), 1.0);

    let name = scene.namespace().name.clone();
    let mut arguments: Vec<String> = ["--watch-namespaces", &name, "--lease"].map(str::to_owned).into();
    arguments.push(format!("{name}/podfit"));
    arguments.extend(["--recommend-every", "1s", "--prometheus-url"].map(str::to_owned));
    arguments.push(scene.prometheus.as_ref().unwrap().url());
    arguments.extend(["--at", super::scene::NOON_TEXT].map(str::to_owned));
    let other = Serve::start(scene.webhook.dir(), Some(cluster.kubeconfig()), &arguments);
    until("the other replica is ready", || get(&other.metrics_address, "/readyz"));
    assert_eq!(metric(&other.metrics_address, "podfit_leader"), 0.0, "one at a time");

    let begun = Instant::now();
    scene.webhook.serve.kill();
    until("the other replica leads", || (metric(&other.metrics_address, "podfit_leader") == 1.0).then_some(()));
    eprintln!("leader killed → the other leads: {:?}", begun.elapsed());
    let path = format!("{PODFIT}/namespaces/{name}/recommendations/cronjob.nightly");
    cluster.request("DELETE", &path, None).unwrap();
    scene.recommendation();
    let lease = scene.namespace().find("/apis/coordination.k8s.io/v1", "leases/podfit").unwrap();
    assert_eq!(lease["spec"]["leaseTransitions"], 1, "{lease:#}");
}

#[test]
fn without_the_prometheus_what_was_said_stays_and_pods_are_sized() {
    let test = "without_the_prometheus_what_was_said_stays_and_pods_are_sized";
    let Some(cluster) = cluster(test) else { return };
    let _policy = Policy::hold(cluster, &json!({"rollout": {"mode": "apply"}}));
    let Some(mut scene) = Scene::start(test, &["--prometheus-retries", "0"]) else { return };
    let before = scene.recommendation();
    let small = scene.until_next_limit("applied", |mib| mib < ASKED_MIB / 2);
    scene.prometheus = None;
    until("a cycle that failed", || (scene.webhook.metric("podfit_recommend_failures_total") > 0.0).then_some(()));
    assert_eq!(scene.next_limit_mib(), small);
    assert_eq!(scene.recommendation()["status"], before["status"]);
    assert!(get(&scene.webhook.metrics_address, "/readyz").is_some(), "admission goes on");
}
