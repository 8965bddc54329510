//! From a history to a size, from a kill to a larger next try, and to a recommendation that remembers.

use std::time::Instant;

use serde_json::{Value, json};

use super::scene::{ASKED_MIB, PODFIT, Policy, Scene, limit_mib};
use super::support::cluster::{cluster, until};

fn apply() -> Value {
    json!({"rollout": {"mode": "apply"}})
}

fn condition<'a>(recommendation: &'a Value, kind: &str) -> &'a Value {
    recommendation["status"]["conditions"].as_array().unwrap().iter().find(|c| c["type"] == kind).unwrap()
}

#[test]
fn a_shrink_that_kills_is_taken_back_for_the_very_next_try() {
    let test = "a_shrink_that_kills_is_taken_back_for_the_very_next_try";
    let Some(cluster) = cluster(test) else { return };
    let _policy = Policy::hold(cluster, &apply());
    let Some(scene) = Scene::start(test, &[]) else { return };

    // History → recommendation → size.
    let learned = scene.recommendation();
    assert_eq!(condition(&learned, "Ready")["status"], "True", "{learned:#}");
    assert_eq!(learned["status"]["summary"]["applied"], "apply");
    let small = scene.until_next_limit("the recommendation reaches admission", |mib| mib < ASKED_MIB / 2);

    // A run is killed at that size.
    let begun = Instant::now();
    scene.run_job("nightly-29000001", "oom");
    let first = until("the first pod is killed", || {
        let pods = scene.pods_of("nightly-29000001");
        pods.first().filter(|pod| pod["status"]["phase"] == "Failed").cloned()
    });
    assert_eq!(limit_mib(&first), small);
    let killed = Instant::now();
    scene.until_next_limit("the next try would get more", |mib| mib >= ASKED_MIB);
    eprintln!("kill → larger next try: {:?} (job to kill {:?})", killed.elapsed(), killed - begun);

    // The Job's own next try.
    let second = until("the next try", || scene.pods_of("nightly-29000001").get(1).cloned());
    assert!(limit_mib(&second) >= ASKED_MIB, "{} MiB after {small}", limit_mib(&second));

    // What is said of it, and remembered.
    let taken_back = scene.recommendation_that("the freeze", |found| {
        found["status"]["conditions"].as_array().is_some_and(|all| all.iter().any(|c| c["reason"] == "ShrinkTakenBack"))
    });
    eprintln!("kill → in the recommendation: {:?}", killed.elapsed());
    assert_eq!(condition(&taken_back, "Frozen")["status"], "True");
    assert_eq!(taken_back["status"]["summary"]["applied"], "frozen");
    let container = &taken_back["status"]["containers"][0];
    // What is shown is what is in force: the size of before, which saves nothing, and a kill.
    assert_eq!(taken_back["status"]["summary"]["savedPerWeek"], "0", "{taken_back:#}");
    assert_eq!(container["evidence"]["oomKills"], 1);
    assert_eq!(container["inForce"]["memoryLimit"], format!("{}Gi", ASKED_MIB / 1024));
    assert_eq!(container["kill"]["loweredFrom"], format!("{}Gi", ASKED_MIB / 1024));
    let events = until("an Event", || {
        let all = scene.namespace().list("/apis/events.k8s.io/v1", "events");
        all.iter().any(|event| event["reason"] == "ShrinkTakenBack").then_some(all)
    });
    let event = events.iter().find(|event| event["reason"] == "ShrinkTakenBack").unwrap();
    assert_eq!((&event["regarding"]["name"], &event["type"]), (&json!("cronjob.nightly"), &json!("Warning")));
    assert!(event["note"].as_str().unwrap().contains("was killed for memory at"), "{event:#}");

    // What dashboards and alerts look for.
    let metrics = scene.webhook.metrics();
    let namespace = &scene.namespace().name;
    for beginning in [
        format!(
            "podfit_workload_info{{namespace=\"{namespace}\",workload=\"cronjob/nightly\",engine=\"kubernetes\",label=\""
        ),
        format!(
            "podfit_recommended_memory_bytes{{namespace=\"{namespace}\",workload=\"cronjob/nightly\",container=\"main\"}}"
        ),
        format!(
            "podfit_requested_cpu_cores{{namespace=\"{namespace}\",workload=\"cronjob/nightly\",container=\"main\"}}"
        ),
        format!("podfit_oom_kills_total{{namespace=\"{namespace}\",workload=\"cronjob/nightly\"}}"),
        "podfit_leader 1".to_owned(),
    ] {
        assert!(metrics.lines().any(|line| line.starts_with(&beginning)), "{beginning}\n{metrics}");
    }

    // A later cycle, which learns from the same old history, does not undo it.
    let done = scene.webhook.metric("podfit_recommend_last_success_timestamp_seconds");
    until("a later cycle", || {
        (scene.webhook.metric("podfit_recommend_last_success_timestamp_seconds") > done + 1.0).then_some(())
    });
    let later = scene.recommendation();
    let size = |of: &Value| {
        let text = of["status"]["containers"][0]["recommended"]["memoryLimit"].as_str().unwrap().to_owned();
        text.parse::<podfit::quantity::Quantity>().unwrap()
    };
    assert!(size(&later) >= size(&taken_back), "{later:#}");
    assert!(later["status"]["containers"][0]["kill"].is_object(), "no later run has lived: {later:#}");
}

#[test]
fn a_workload_without_any_history_gets_more_after_a_kill_too() {
    let test = "a_workload_without_any_history_gets_more_after_a_kill_too";
    let Some(cluster) = cluster(test) else { return };
    let _policy = Policy::hold(cluster, &apply());
    let Some(scene) = Scene::start(test, &[]) else { return };
    let job = json!({"metadata": {"name": "backfill"}, "spec": {"backoffLimit": 4, "template": {
        "metadata": {"annotations": {"podfit.test/outcome": "oom"}},
        "spec": {"restartPolicy": "Never", "containers": [{
            "name": "main", "image": "registry.example/data/work:3.2.1", "securityContext": {"runAsUser": 1000},
            "resources": {"requests": {"memory": "1Gi"}, "limits": {"memory": "1Gi"}}}]}}}});
    scene.namespace().create("/apis/batch/v1", "jobs", &job);
    let second = until("the next try", || scene.pods_of("backfill").get(1).cloned());
    assert_eq!(limit_mib(&second), 2048);
    let said = until("its recommendation", || {
        scene
            .namespace()
            .find(PODFIT, "recommendations/job.backfill")
            .filter(|found| found["status"]["summary"]["memory"].is_string())
    });
    assert_eq!(said["status"]["containers"][0]["kill"]["limit"], "1Gi", "{said:#}");
    let third = until("the try after that", || scene.pods_of("backfill").get(2).cloned());
    assert!(limit_mib(&third) >= 4096, "{} MiB", limit_mib(&third));
}
