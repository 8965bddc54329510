//! What goes wrong while pods are being created: the webhook dies, its certificate changes, its data changes.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::{Value, json};

use super::support::cluster::{cluster, until};
use super::support::webhook::{Setup, Webhook, certificates, write_recommendations};
use super::{nightly_pod, sizes};

const CREATORS: usize = 4;

fn asked() -> Value {
    json!({"requests": {"memory": "4Gi"}, "limits": {"memory": "4Gi"}})
}

fn nightly(memory: &str) -> Vec<(&'static str, &'static str, Value)> {
    vec![("cronjob/nightly", "main", json!({"memoryRequest": memory, "memoryLimit": memory}))]
}

/// Creates pods (without storing them) from several threads while something happens, and at least `after` more once
/// it has; gives back what they asked for in the end. A refusal ends the test.
fn under_load(webhook: &Webhook, after: usize, happening: impl FnOnce(&AtomicUsize)) -> Vec<Value> {
    let (stop, created) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let creators: Vec<_> = (0..CREATORS)
            .map(|_| {
                scope.spawn(|| {
                    let mut stored = Vec::new();
                    while !stop.load(Ordering::Relaxed) {
                        let pod = webhook.namespace.try_create("/api/v1", "pods", &nightly_pod(&asked()));
                        stored.push(sizes(&pod.unwrap_or_else(|refused| panic!("{refused:?}")), "main"));
                        created.fetch_add(1, Ordering::Relaxed);
                    }
                    stored
                })
            })
            .collect();
        until("the first pods", || (created.load(Ordering::Relaxed) > 20).then_some(()));
        happening(&created);
        let enough = created.load(Ordering::Relaxed) + after;
        until("pods after it", || (created.load(Ordering::Relaxed) > enough).then_some(()));
        stop.store(true, Ordering::Relaxed);
        creators.into_iter().flat_map(|c| c.join().unwrap()).collect()
    })
}

fn no_call_failed(webhook: &Webhook) {
    for metric in ["apiserver_admission_webhook_rejection_count", "apiserver_admission_webhook_fail_open_count"] {
        assert_eq!(webhook.counted_by_the_api_server(metric), 0.0, "{metric}");
    }
}

#[test]
fn a_webhook_that_is_killed_stops_no_pod() {
    let Some(cluster) = cluster("a_webhook_that_is_killed_stops_no_pod") else { return };
    let setup = Setup { failure_policy: "Ignore", recommended: nightly("1536Mi"), ..Setup::default() };
    let mut webhook = Webhook::start(cluster, "killed", &setup);
    let pid = webhook.serve.pid();
    let stored = under_load(&webhook, 40, |_| {
        // The process of this test's own webhook.
        let killed = std::process::Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap();
        assert!(killed.success());
    });
    webhook.serve.kill();
    let sized = stored.iter().filter(|s| s["limits"]["memory"] == "1536Mi").count();
    assert!(sized > 0 && sized < stored.len(), "{sized} of {} were sized before the end", stored.len());
    assert!(webhook.counted_by_the_api_server("apiserver_admission_webhook_fail_open_count") > 0.0);
}

#[test]
fn two_certificate_rotations_fail_no_call() {
    let Some(cluster) = cluster("two_certificate_rotations_fail_no_call") else { return };
    let setup = Setup { recommended: nightly("1536Mi"), ..Setup::default() };
    let webhook = Webhook::start(cluster, "rotated", &setup);
    let stored = under_load(&webhook, 40, |created| {
        for _ in 0..2 {
            let (before, pods) = (webhook.loaded("certificate"), created.load(Ordering::Relaxed));
            certificates(webhook.dir(), true);
            until("the new certificate is served", || (webhook.loaded("certificate") > before).then_some(()));
            // Registered again, the API server makes new connections.
            webhook.register();
            until("pods in between", || (created.load(Ordering::Relaxed) > pods + 20).then_some(()));
        }
    });
    assert!(stored.iter().all(|s| s["limits"]["memory"] == "1536Mi"));
    no_call_failed(&webhook);
}

#[test]
fn recommendations_that_change_fail_no_call_and_are_never_mixed() {
    let Some(cluster) = cluster("recommendations_that_change_fail_no_call_and_are_never_mixed") else { return };
    let setup = Setup { recommended: nightly("1536Mi"), ..Setup::default() };
    let webhook = Webhook::start(cluster, "swapped", &setup);
    let stored = under_load(&webhook, 20, |created| {
        for round in 0..10 {
            let memory = if round % 2 == 0 { "3Gi" } else { "1536Mi" };
            let pods = created.load(Ordering::Relaxed);
            write_recommendations(webhook.dir(), &webhook.namespace.name, &nightly(memory));
            until("pods in between", || (created.load(Ordering::Relaxed) > pods + 10).then_some(()));
        }
    });
    for size in &stored {
        assert_eq!(size["limits"]["memory"], size["requests"]["memory"]);
        assert!(["3Gi", "1536Mi"].map(|m| size["limits"]["memory"] == m).contains(&true), "{size}");
    }
    let grown = stored.iter().filter(|s| s["limits"]["memory"] == "3Gi").count();
    assert!(grown > 0 && grown < stored.len(), "{grown} of {}", stored.len());
    no_call_failed(&webhook);
}
