//! What is deleted by hand comes back, with what it knew; what is refused stops nothing else. podfit learns once an hour
//! here: whatever happens, happens without a cycle.

use std::time::Instant;

use serde_json::{Value, json};

use super::scene::{ASKED_MIB, PODFIT, Policy, Scene, history, recommend};
use super::support::cluster::{Namespace, cluster, own_cluster, until};

const HOURLY: [&str; 2] = ["--recommend-every", "1h"];
const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const ADMISSION: &str = "/apis/admissionregistration.k8s.io/v1";

fn applied(word: &str) -> impl Fn(&Value) -> bool {
    move |found| found["status"]["summary"]["applied"] == word
}

#[test]
fn the_first_learning_comes_at_once_and_what_is_deleted_comes_back_at_once() {
    let test = "the_first_learning_comes_at_once_and_what_is_deleted_comes_back_at_once";
    let Some(cluster) = cluster(test) else { return };
    let policy = Policy::hold(cluster, &json!({"rollout": {"mode": "apply"}}));
    let Some(scene) = Scene::start(test, &HOURLY) else { return };
    let first = scene.recommendation();
    let cycles = || scene.webhook.metric("podfit_recommend_last_success_timestamp_seconds");
    let cycle = until("the end of the first cycle", || Some(cycles()).filter(|at| *at > 0.0));

    let path = format!("{PODFIT}/namespaces/{}/recommendations/cronjob.nightly", scene.namespace().name);
    let begun = Instant::now();
    cluster.request("DELETE", &path, None).unwrap();
    let again = scene.recommendation_that("another object", |found| {
        found["metadata"]["uid"] != first["metadata"]["uid"] && found["status"]["summary"]["memory"].is_string()
    });
    eprintln!("deleted → said again: {:?}", begun.elapsed());
    assert_eq!(again["status"]["containers"], first["status"]["containers"]);

    // The owner's word on the object, and the policy's bounds, are in its columns when they are in force.
    let switch = |value: Value| {
        let annotation = json!({"metadata": {"annotations": {"podfit.dev/resize": value}}});
        cluster.request("PATCH", &path, Some(&annotation)).unwrap();
    };
    switch(json!("off"));
    scene.recommendation_that("that it is off", applied("off"));
    switch(json!(null));
    scene.recommendation_that("that it is applied", applied("apply"));
    policy.set(&json!({"rollout": {"mode": "apply"}, "bounds": {"memory": {"floor": "1Gi"}}}));
    let bounded = scene.recommendation_that("the floor", |found| {
        found["status"]["summary"]["memory"] == format!("{}Gi → 1Gi", ASKED_MIB / 1024)
    });
    assert_ne!(bounded["status"]["summary"]["savedPerWeek"], first["status"]["summary"]["savedPerWeek"]);
    scene.until_next_limit("pods get that", |mib| mib == 1024);
    let metrics = scene.webhook.metrics();
    let of = format!("podfit_recommended_memory_bytes{{namespace=\"{}\"", scene.namespace().name);
    let line = metrics.lines().find(|line| line.starts_with(&of)).unwrap();
    assert_eq!(line.rsplit(' ').next().unwrap().parse::<f64>().unwrap(), 1024.0 * 1024.0 * 1024.0, "{line}");
    assert_eq!(cycles(), cycle, "nothing was learned meanwhile");
}

#[test]
fn kills_outlive_objects_and_definitions() {
    let test = "kills_outlive_objects_and_definitions";
    let Some(cluster) = own_cluster(test) else { return };
    let make = |namespace: &Namespace| history(&namespace.name, test);
    let _policy = Policy::hold(cluster, &json!({"rollout": {"mode": "apply"}}));
    let Some(scene) = Scene::start_in(cluster, &HOURLY, make) else { return };
    scene.recommendation();
    scene.until_next_limit("applied", |mib| mib < ASKED_MIB / 2);
    scene.run_job("nightly-29000001", "oom");
    let has_kill = |found: &Value| found["status"]["containers"][0]["kill"].is_object();
    let killed = scene.recommendation_that("the kill", has_kill);
    // Nobody can read it off a pod any more.
    scene.namespace().cluster.request("DELETE", &jobs(&scene, "nightly-29000001"), Some(&background())).unwrap();
    until("no pod of it", || scene.pods_of("nightly-29000001").is_empty().then_some(()));

    let path = format!("{PODFIT}/namespaces/{}/recommendations/cronjob.nightly", scene.namespace().name);
    cluster.request("DELETE", &path, None).unwrap();
    let again = scene.recommendation_that("the kill in another object", |found| {
        found["metadata"]["uid"] != killed["metadata"]["uid"] && has_kill(found)
    });
    let kill_of = |object: &Value| object["status"]["containers"][0]["kill"].clone();
    assert_eq!(kill_of(&again), kill_of(&killed));
    assert_eq!(again["status"]["summary"]["applied"], "frozen", "{again:#}");
    assert_eq!(counted(&scene), 1.0, "it is counted once");

    for definition in podfit::controller::crds::definitions() {
        let name = definition["metadata"]["name"].as_str().unwrap().to_owned();
        cluster.request("DELETE", &format!("{DEFINITIONS}/{name}"), None).unwrap();
        until("the definition is gone", || cluster.request("GET", &format!("{DEFINITIONS}/{name}"), None).err());
    }
    // Another one meanwhile.
    let job = json!({"metadata": {"name": "backfill"}, "spec": {"backoffLimit": 0, "template": {
        "metadata": {"annotations": {"podfit.test/outcome": "oom"}},
        "spec": {"restartPolicy": "Never", "containers": [{
            "name": "main", "image": "registry.example/data/work:3.2.1", "securityContext": {"runAsUser": 1000},
            "resources": {"requests": {"memory": "1Gi"}, "limits": {"memory": "1Gi"}}}]}}}});
    scene.namespace().create("/apis/batch/v1", "jobs", &job);
    until("it is said that it waits", || {
        scene.webhook.serve.log().contains("not in the recommendations yet: the cluster does not know").then_some(())
    });
    super::scene::define(cluster);
    let begun = Instant::now();
    let back = scene.recommendation_that("the first kill under new definitions", has_kill);
    eprintln!("definitions back → kills in them: {:?}", begun.elapsed());
    assert_eq!(kill_of(&back), kill_of(&killed));
    until("the kill of meanwhile", || {
        scene.namespace().find(PODFIT, "recommendations/job.backfill").filter(|found| has_kill(found))
    });
}

/// Kills of the CronJob, by podfit's own count.
fn counted(scene: &Scene) -> f64 {
    let of = format!("namespace=\"{}\",workload=\"cronjob/nightly\"", scene.namespace().name);
    scene.webhook.metric(&format!("podfit_oom_kills_total{{{of}}}"))
}

fn jobs(scene: &Scene, name: &str) -> String {
    format!("/apis/batch/v1/namespaces/{}/jobs/{name}", scene.namespace().name)
}

fn background() -> Value {
    json!({"propagationPolicy": "Background"})
}

/// As an administrator's own rule might, or a definition with a field that is too short.
fn refuse(namespace: &Namespace, name: &str) {
    let constraints = json!({"resourceRules": [{"apiGroups": ["podfit.dev"], "apiVersions": ["*"],
        "operations": ["CREATE", "UPDATE"], "resources": ["recommendations", "recommendations/status"],
        "resourceNames": [name]}],
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace.name}}});
    let policy = json!({"metadata": {"name": namespace.name}, "spec": {"failurePolicy": "Fail",
        "matchConstraints": constraints, "validations": [{"expression": "false", "message": "not this one"}]}});
    namespace.cluster.create(&format!("{ADMISSION}/validatingadmissionpolicies"), &policy);
    let binding = json!({"metadata": {"name": namespace.name},
        "spec": {"policyName": namespace.name, "validationActions": ["Deny"]}});
    namespace.cluster.create(&format!("{ADMISSION}/validatingadmissionpolicybindings"), &binding);
    let path = format!("{PODFIT}/namespaces/{}/recommendations/{name}/status?dryRun=All", namespace.name);
    let touch = json!({"status": {"lastRun": "2026-11-22T12:00:00Z"}});
    until("the rule is in force", || namespace.cluster.request("PATCH", &path, Some(&touch)).err());
}

#[test]
fn one_refused_object_stops_no_other_and_is_not_asked_for_all_the_time() {
    let test = "one_refused_object_stops_no_other_and_is_not_asked_for_all_the_time";
    let Some(cluster) = cluster(test) else { return };
    let policy = Policy::hold(cluster, &json!({"rollout": {"mode": "apply"}}));
    let size = json!({"name": "main", "recommended": {"memoryRequest": "1Gi", "memoryLimit": "1Gi"}});
    let names: Vec<String> = (10..40).map(|n| format!("sibling-{n}")).collect();
    let prepare = |namespace: &Namespace| {
        for name in &names {
            recommend(namespace, &format!("cronjob/{name}"), &size);
        }
    };
    let Some(scene) = Scene::start_with(test, &HOURLY, prepare) else { return };
    let says = |name: &str, word: &str| {
        let found = scene.namespace().find(PODFIT, &format!("recommendations/cronjob.{name}"));
        found.filter(applied(word))
    };
    until("all say that they are applied", || names.iter().all(|name| says(name, "apply").is_some()).then_some(()));

    refuse(scene.namespace(), "cronjob.sibling-10");
    policy.set(&json!({"resizing": "stopped", "rollout": {"mode": "apply"}}));
    let others = || names.iter().filter(|name| *name != "sibling-10");
    until("all others say so", || others().all(|name| says(name, "stopped").is_some()).then_some(()));
    let failures = || scene.webhook.metric("podfit_recommend_failures_total");
    let requests = || {
        let log = cluster.audit_log();
        let of_podfit = log.iter().filter(|entry| {
            entry["stage"] == "ResponseComplete"
                && entry["userAgent"].as_str().is_some_and(|agent| agent.starts_with("podfit/"))
                && entry["objectRef"]["resource"] == "recommendations"
                && entry["objectRef"]["namespace"] == *scene.namespace().name
        });
        of_podfit.filter(|entry| entry["verb"] != "watch").count()
    };
    let (before, asked) = (failures(), requests());
    until("three more tries", || (failures() >= before + 3.0).then_some(()));
    let asked = requests() - asked;
    eprintln!("requests about recommendations in three tries: {asked}");
    assert!(asked <= 12, "{asked} requests for one object that is refused");
    assert!(says("sibling-10", "apply").is_some());
    let log = scene.webhook.serve.log();
    assert!(log.contains("1 of 1 recommendations stay as they were, cronjob/sibling-10 among them"), "{log}");
    assert!(log.contains("not this one") && !log.contains("not this release's"), "{log}");

    cluster
        .request("DELETE", &format!("{ADMISSION}/validatingadmissionpolicybindings/{}", scene.namespace().name), None)
        .unwrap();
    until("the one too, when nobody refuses it", || says("sibling-10", "stopped"));
    let _ =
        cluster.request("DELETE", &format!("{ADMISSION}/validatingadmissionpolicies/{}", scene.namespace().name), None);
}

#[test]
fn what_has_not_run_for_a_quarter_is_forgotten() {
    let test = "what_has_not_run_for_a_quarter_is_forgotten";
    let Some(cluster) = cluster(test) else { return };
    let _policy = Policy::hold(cluster, &json!({"rollout": {"mode": "apply"}}));
    let Some(scene) = Scene::start(test, &[]) else { return };
    scene.recommendation();
    let ago = |days: i64| {
        jiff::Timestamp::from_second(jiff::Timestamp::now().as_second() - days * 86_400).unwrap().to_string()
    };
    for (name, days, key) in
        [("quarterly", 95, "lastRun"), ("old", 101, "lastRun"), ("killed-long-ago", 101, "killsUntil")]
    {
        recommend(scene.namespace(), &format!("cronjob/{name}"), &json!({"name": "main"}));
        let path = format!("{PODFIT}/namespaces/{}/recommendations/cronjob.{name}/status", scene.namespace().name);
        cluster.request("PATCH", &path, Some(&json!({"status": {key: ago(days)}}))).unwrap();
    }
    let is_there = |name: &str| scene.namespace().find(PODFIT, &format!("recommendations/cronjob.{name}")).is_some();
    until("they are forgotten", || (!is_there("old") && !is_there("killed-long-ago")).then_some(()));
    let cycles = || scene.webhook.metric("podfit_recommend_last_success_timestamp_seconds");
    let done = cycles();
    until("later cycles", || (cycles() > done + 1.0).then_some(()));
    assert!(is_there("quarterly") && !is_there("old"), "and do not come back");
}
