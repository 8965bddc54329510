//! How far the policy lets recommendations go, and how soon it is obeyed.

use std::time::Instant;

use serde_json::json;

use super::scene::{ASKED_MIB, PODFIT, Policy, Scene};
use super::support::cluster::{cluster, until};

#[test]
fn nothing_is_changed_that_nobody_has_allowed_and_the_kill_switch_works_at_once() {
    let test = "nothing_is_changed_that_nobody_has_allowed_and_the_kill_switch_works_at_once";
    let Some(cluster) = cluster(test) else { return };
    let policy = Policy::hold(cluster, &json!({"rollout": {"mode": "recommend"}}));
    let Some(scene) = Scene::start(test, &[]) else { return };
    let small = |mib: u64| mib < ASKED_MIB / 2;
    let unchanged = |mib: u64| mib == ASKED_MIB;
    let said = |word: &str| {
        scene.recommendation_that(&format!("the object says {word}"), |found| {
            found["status"]["summary"]["applied"] == word
        })
    };

    let shown = said("recommend");
    assert!(shown["status"]["containers"][0]["recommended"]["memoryLimit"].is_string(), "{shown:#}");
    assert_eq!(scene.next_limit_mib(), ASKED_MIB);

    policy.set(&json!({"rollout": {"mode": "apply"}}));
    scene.until_next_limit("applied", small);
    said("apply");

    let begun = Instant::now();
    policy.set(&json!({"resizing": "stopped", "rollout": {"mode": "apply"}}));
    scene.until_next_limit("stopped", unchanged);
    eprintln!("kill switch: {:?}", begun.elapsed());
    said("stopped");
    until("the metric says so", || (scene.webhook.metric("podfit_resizing_stopped") == 1.0).then_some(()));
    assert_eq!(scene.webhook.metric("podfit_recommended_workloads"), 1.0);

    policy.set(&json!({"rollout": {"mode": "canary", "canaryPercent": 100}}));
    scene.until_next_limit("all of the canary", small);
    said("canary");
    policy.set(&json!({"rollout": {"mode": "canary", "canaryPercent": 0}}));
    scene.until_next_limit("none of the canary", unchanged);
    let elsewhere = json!({"names": [scene.namespace().name], "mode": "apply"});
    policy.set(&json!({"rollout": {"mode": "recommend", "namespaces": [elsewhere]}}));
    scene.until_next_limit("one namespace alone", small);

    // The workload's own switch.
    let path = format!("{PODFIT}/namespaces/{}/recommendations/cronjob.nightly", scene.namespace().name);
    let switch = |value: serde_json::Value| {
        let annotation = json!({"metadata": {"annotations": {"podfit.dev/resize": value}}});
        cluster.request("PATCH", &path, Some(&annotation)).unwrap();
    };
    switch(json!("off"));
    scene.until_next_limit("switched off for the workload", unchanged);
    said("off");
    switch(json!(null));
    scene.until_next_limit("and on again", small);

    // Without a policy nothing is allowed; a deleted object comes back by itself.
    policy.remove();
    scene.until_next_limit("the policy is gone", unchanged);
    policy.set(&json!({"rollout": {"mode": "apply"}}));
    scene.until_next_limit("and back", small);
    cluster.request("DELETE", &path, None).unwrap();
    scene.recommendation();
    scene.until_next_limit("the object was deleted and came back", small);
}

#[test]
fn a_policy_that_cannot_be_used_says_so_and_leaves_the_one_before_in_force() {
    let test = "a_policy_that_cannot_be_used_says_so_and_leaves_the_one_before_in_force";
    let Some(cluster) = cluster(test) else { return };
    let _policy = Policy::hold(cluster, &json!({"rollout": {"mode": "apply"}}));
    let Some(scene) = Scene::start(test, &[]) else { return };
    scene.until_next_limit("applied", |mib| mib < ASKED_MIB / 2);
    let path = format!("{PODFIT}/rightsizingpolicies/default");
    let said = |word: &str| {
        until("the policy's condition", || {
            let found = cluster.get(&path);
            let condition = found["status"]["conditions"].as_array()?.first()?.clone();
            condition["message"].as_str()?.contains(word).then_some(condition)
        })
    };
    assert_eq!(said("it is in force")["status"], "True");
    let failed = || scene.webhook.metric("podfit_reload_failed{input=\"policy\"}");
    assert!(scene.webhook.loaded("policy") > 0.0 && failed() == 0.0);
    // What the definition does not check: a size that is less than a byte.
    cluster.request("PATCH", &path, Some(&json!({"spec": {"bounds": {"memory": {"floor": "128m"}}}}))).unwrap();
    let condition = said("less than a byte");
    assert_eq!((&condition["status"], &condition["reason"]), (&json!("False"), &json!("Unusable")));
    assert!(scene.next_limit_mib() < ASKED_MIB / 2);
    until("the metric says so", || (failed() == 1.0).then_some(()));
    cluster.request("PATCH", &path, Some(&json!({"spec": {"bounds": null}}))).unwrap();
    until("the metric says that it is well again", || (failed() == 0.0).then_some(()));
}

#[test]
fn sizes_are_lowered_by_steps_where_the_policy_says_so() {
    let test = "sizes_are_lowered_by_steps_where_the_policy_says_so";
    let Some(cluster) = cluster(test) else { return };
    let _policy = Policy::hold(cluster, &json!({"rollout": {"mode": "apply", "largestShrink": 0.25}}));
    let Some(scene) = Scene::start(test, &[]) else { return };
    let step = ASKED_MIB * 3 / 4;
    scene.until_next_limit("the first step", |mib| mib == step);
    // There are no new runs, so there is no second step.
    let done = scene.webhook.metric("podfit_recommend_last_success_timestamp_seconds");
    until("later cycles", || {
        (scene.webhook.metric("podfit_recommend_last_success_timestamp_seconds") > done + 2.0).then_some(())
    });
    assert_eq!(scene.next_limit_mib(), step);
}
