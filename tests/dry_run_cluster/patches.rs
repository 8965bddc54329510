//! The patches that dry-run prints are what the API server takes, and dry-run itself changes nothing there.
//! Judged by the API server's own dry run and by its audit log.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::scene::{Scene, line, lines, parsed};

/// RFC 6902, as far as podfit's patches go: `add` and `replace` of members of objects.
fn apply(document: &mut Value, patch: &Value) {
    for op in patch.as_array().unwrap() {
        let (parent, last) = op["path"].as_str().unwrap().rsplit_once('/').unwrap();
        let parent = document.pointer_mut(parent).unwrap_or_else(|| panic!("{op}: there is no parent"));
        let key = last.replace("~1", "/").replace("~0", "~");
        let parent = parent.as_object_mut().unwrap();
        assert!(op["op"] == "add" || parent.contains_key(&key), "{op}: nothing to replace");
        parent.insert(key, op["value"].clone());
    }
}

/// The pod as its engine would send it once more, under another name.
fn once_more(mut pod: Value) -> Value {
    pod.as_object_mut().unwrap().remove("status");
    pod["spec"].as_object_mut().unwrap().remove("nodeName");
    let metadata = pod["metadata"].as_object_mut().unwrap();
    for key in ["uid", "resourceVersion", "creationTimestamp", "managedFields", "generateName", "generation"] {
        metadata.remove(key);
    }
    metadata.insert("name".to_owned(), json!("once-more"));
    pod
}

/// A live pod of each workload that has one: by a part of its name and the container that does the work.
const PODS: [(&str, &str); 12] = [
    ("airflow-pod/churn_scoring/score_customers", "score-customers-"),
    ("airflow-task/nightly_sales_etl/extract_orders", "nightly-sales-etl-extract-orders-1"),
    ("airflow-task/nightly_sales_etl/load_warehouse", "nightly-sales-etl-load-warehouse-"),
    ("argo/clickstream/extract", "clickstream-1795334400-extract-"),
    ("cronjob/nightly-report", "nightly-report-"),
    ("dagster-run/forecast/demand_forecast", "dagster-run-"),
    ("dagster-step/demand_forecast/train_model", "dagster-step-"),
    ("flink-jobmanager/sessions", "sessions-"),
    ("flink-taskmanager/sessions", "sessions-taskmanager-1-2"),
    ("job/backfill", "backfill-"),
    ("spark-driver/orders-agg", "orders-agg-2026-11-22-b21a99a202581605-driver"),
    ("spark-executor/customer-features", "customer-features-2026-11-22-7c6282a202601188-exec-2"),
];

#[test]
fn the_api_server_takes_every_patch() {
    let Some(scene) = Scene::shared("the_api_server_takes_every_patch") else { return };
    let report = scene.report();
    let pods = scene.namespace.list("/api/v1", "pods");
    for (workload, prefix) in PODS {
        let line = line(report, workload);
        let is_it = |p: &&Value| p["metadata"]["name"].as_str().unwrap().starts_with(prefix);
        let mut pod = once_more(pods.iter().find(is_it).unwrap_or_else(|| panic!("no pod {prefix}")).clone());
        apply(&mut pod, line.get("patch").unwrap_or_else(|| panic!("{workload} has no patch")));
        let made = scene
            .namespace
            .try_create("/api/v1", "pods", &pod)
            .unwrap_or_else(|refused| panic!("{workload}: {refused:?}"));
        let containers = made["spec"]["containers"].as_array().unwrap();
        let container = containers.iter().find(|c| c["name"] == line["container"]).unwrap();
        let recommended = &line["recommended"];
        for (section, resource, value) in [
            ("requests", "memory", "memoryRequest"),
            ("limits", "memory", "memoryLimit"),
            ("requests", "cpu", "cpuRequest"),
        ] {
            assert_eq!(
                container["resources"][section][resource], recommended[value],
                "{workload} {section} {resource}"
            );
        }
        assert!(made["metadata"]["labels"]["podfit.dev/workload"].is_string(), "{workload}");
    }
    // A CronJob without pods: its next one will have the labels of the Job controller, which the patch must not drop.
    let ops = line(report, "cronjob/six-hourly-compact")["patch"].as_array().unwrap();
    assert!(ops.len() >= 4 && ops.iter().all(|op| op["path"] != "/metadata/labels"), "{ops:#?}");
    // What the rules turn away is not patched.
    for workload in ["argo/clickstream/score", "prefect/sync-crm/prod"] {
        assert_eq!(line(report, workload).get("patch"), None, "{workload}");
    }
}

/// Without this the test above would show nothing: the bounds that the sizes keep to are in force.
#[test]
fn the_api_server_turns_away_what_the_sizes_avoid() {
    let Some(scene) = Scene::shared("the_api_server_turns_away_what_the_sizes_avoid") else { return };
    let live = scene.namespace.list("/api/v1", "pods");
    let cases = [
        ("nightly-report-", "/spec/containers/0", "2Gi", "exceeded quota: deadline"),
        ("dagster-step-", "/spec/containers/0", "6Gi", "maximum memory usage per Container is 5Gi"),
        (
            "clickstream-1795334400-extract-",
            "/spec/containers/1",
            "64Mi",
            "minimum memory usage per Container is 128Mi",
        ),
    ];
    for (prefix, container, size, why) in cases {
        let is_it = |p: &&Value| p["metadata"]["name"].as_str().unwrap().starts_with(prefix);
        let mut pod = once_more(live.iter().find(is_it).unwrap().clone());
        for section in ["requests", "limits"] {
            pod.pointer_mut(container).unwrap()["resources"][section]["memory"] = json!(size);
        }
        let (status, message) = scene.namespace.try_create("/api/v1", "pods", &pod).unwrap_err();
        assert!(status == 403 && message.contains(why), "{prefix} {size}: {status} {message}");
    }
}

#[test]
fn dry_run_only_reads() {
    let Some(scene) = Scene::shared("dry_run_only_reads") else { return };
    let name = &scene.namespace.name;
    // A user of its own, with every right in the namespace, so that the audit log holds this run alone.
    let all = json!([{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]);
    let user = scene.namespace.account("almighty", &all, &json!([]), scene.files.path());
    let report = parsed(&scene.dry_run(&user, &["-o", "json", "--show-patch"]));
    assert!(lines(&report).len() >= 20);
    let events = super::support::cluster::until("the audit log of the run", || {
        let log = scene.namespace.cluster.audit_log();
        let own: Vec<Value> = log
            .into_iter()
            .filter(|e| e["user"]["username"] == format!("system:serviceaccount:{name}:almighty"))
            .collect();
        own.iter().any(|e| e["objectRef"]["resource"] == "resourcequotas").then_some(own)
    });
    let verbs: BTreeSet<&str> = events.iter().map(|e| e["verb"].as_str().unwrap()).collect();
    assert_eq!(verbs, BTreeSet::from(["get", "list"]));
    for event in &events {
        assert!(event["userAgent"].as_str().unwrap().starts_with("podfit/"), "{event}");
        assert_ne!(event["objectRef"]["resource"], "secrets");
    }
    // A list per kind and the cluster's policy, not a request per pod.
    assert!(events.len() <= 12, "{} requests", events.len());
}
