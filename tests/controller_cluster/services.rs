//! A Deployment that has lived for two weeks: its recommendation is shown and its pods are left alone until the policy
//! says that services are sized; then a pod made anew by the real controllers differs from its template, and says how.

use podfit::research::simulate::Platform;
use podfit::research::simulate::platforms::services;
use serde_json::{Value, json};

use super::scene::{NOON, NOON_TEXT, PODFIT, Policy, define, limit_mib};
use super::support::cluster::{cluster, until};
use super::support::prometheus_server::{PrometheusServer, skipped};
use super::support::webhook::{Setup, Webhook};

const ASKED_MIB: u64 = 4096;

fn history(namespace: &str) -> Option<PrometheusServer> {
    let Platform { mut models, days, nodes, scrape } = services();
    for model in &mut models {
        namespace.clone_into(&mut model.namespace);
    }
    let simulation = Platform { models, days, nodes, scrape }.simulate(NOON, 1);
    PrometheusServer::start_with_writer(|mut out| simulation.write_openmetrics(&mut out).unwrap(), &[])
}

fn deployment() -> Value {
    let resources = json!({"requests": {"cpu": "1", "memory": "4Gi"}, "limits": {"cpu": "2", "memory": "4Gi"}});
    let container = json!({"name": "app", "image": "registry.example/platform/app:1.2.0", "resources": resources,
        "securityContext": {"runAsUser": 1000, "runAsNonRoot": true}});
    let labels = json!({"app": "scheduler"});
    let template =
        json!({"metadata": {"labels": labels}, "spec": {"schedulerName": "none", "containers": [container]}});
    json!({"metadata": {"name": "scheduler"},
        "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}})
}

#[test]
fn pods_of_a_service_are_sized_where_the_policy_says_so() {
    let test = "pods_of_a_service_are_sized_where_the_policy_says_so";
    let Some(cluster) = cluster(test) else { return };
    define(cluster);
    let policy = Policy::hold(cluster, &json!({"rollout": {"mode": "apply"}}));
    let namespace = cluster.namespace("platform");
    let Some(prometheus) = history(&namespace.name) else {
        return skipped(test, "prometheus or promtool is not on PATH");
    };
    let arguments = ["--watch-namespaces", "{namespace}", "--lease", "{namespace}/podfit", "--recommend-every", "1s"];
    let more = ["--at", NOON_TEXT, "--prometheus-url", &prometheus.url()];
    let arguments = arguments.iter().chain(&more).map(|argument| (*argument).to_owned()).collect();
    let webhook = Webhook::start_in(namespace, &Setup { arguments, ..Setup::default() });
    let namespace = &webhook.namespace;
    let said = |word: &str| {
        until(&format!("the object says {word}"), || {
            let found = namespace.find(PODFIT, "recommendations/deployment.scheduler")?;
            (found["status"]["summary"]["applied"] == word).then_some(found)
        })
    };
    let shown = said("recommend");
    assert_eq!(shown["status"]["summary"]["runs"], "14 d", "{shown:#}");
    assert_eq!(shown["status"]["containers"][0]["evidence"]["days"], 14, "{shown:#}");
    assert!(shown["status"]["conditions"].to_string().contains("services: sized"), "{shown:#}");

    namespace.create("/apis/apps/v1", "deployments", &deployment());
    let pod = until("the pod", || namespace.list("/api/v1", "pods").into_iter().next());
    assert_eq!(limit_mib(&pod), ASKED_MIB, "it is shown only");
    assert_eq!(pod["metadata"]["annotations"].get("podfit.dev/resized"), None);

    policy.set(&json!({"rollout": {"mode": "apply"}, "services": "sized"}));
    said("apply");
    let made_anew = until("a pod made anew with other sizes", || {
        let pods = namespace.list("/api/v1", "pods");
        let is_deleted = |pod: &Value| pod["metadata"]["deletionTimestamp"].is_string();
        if let Some(sized) = pods.iter().find(|pod| limit_mib(pod) != ASKED_MIB) {
            return Some(sized.clone());
        }
        for pod in pods.iter().filter(|pod| !is_deleted(pod)) {
            let name = pod["metadata"]["name"].as_str()?;
            let path = format!("/api/v1/namespaces/{}/pods/{name}", namespace.name);
            let _ = cluster.request("DELETE", &path, Some(&json!({"gracePeriodSeconds": 0})));
        }
        None
    });
    assert!((1766..1800).contains(&limit_mib(&made_anew)), "{made_anew:#}");
    let resources = &made_anew["spec"]["containers"][0]["resources"];
    assert_eq!((&resources["requests"]["cpu"], &resources["limits"]["cpu"]), (&json!("400m"), &json!("2")));
    let record = made_anew["metadata"]["annotations"]["podfit.dev/resized"].as_str().unwrap();
    assert!(record.contains("deployment/scheduler") && record.contains("\"memoryLimit\":\"4Gi\""), "{record}");
    let kept = namespace.find("/apis/apps/v1", "deployments/scheduler").unwrap();
    assert_eq!(kept["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]["memory"], "4Gi");
}
