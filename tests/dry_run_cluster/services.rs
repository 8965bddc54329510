//! A namespace of a platform itself: a scheduler of two replicas that an autoscaler looks after, and its database, each
//! alive for two weeks. Real controllers make the pods.

use std::process::Command;

use podfit::research::simulate::platforms::services;
use podfit::research::simulate::{Platform, Simulation};
use serde_json::{Value, json};

use super::past::{NOON, NOON_TEXT};
use super::quantity;
use super::scene::{line, notes, parsed, reading};
use super::support::cluster::{Namespace, cluster, until};
use super::support::prometheus_server::{PrometheusServer, skipped};

const APPS: &str = "/apis/apps/v1";

fn history(namespace: &str) -> Simulation {
    let Platform { models, days, nodes, scrape } = services();
    let models = models
        .into_iter()
        .map(|mut model| {
            namespace.clone_into(&mut model.namespace);
            model
        })
        .collect();
    Platform { models, days, nodes, scrape }.simulate(NOON, 1)
}

fn create(namespace: &Namespace) {
    let template = |name: &str| {
        let resources = json!({"requests": {"cpu": "1", "memory": "4Gi"}, "limits": {"cpu": "2", "memory": "4Gi"}});
        let container = json!({"name": "app", "image": "registry.example/platform/app:1.2.0", "resources": resources});
        json!({"metadata": {"labels": {"app": name}}, "spec": {"schedulerName": "none", "containers": [container]}})
    };
    for (plural, name, replicas) in [("deployments", "scheduler", 2), ("statefulsets", "database", 1)] {
        let mut spec =
            json!({"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template(name)});
        if plural == "statefulsets" {
            spec["serviceName"] = json!(name);
        }
        namespace.create(APPS, plural, &json!({"metadata": {"name": name}, "spec": spec}));
    }
    let metric = |name: &str, target: Value| json!({"type": "Resource", "resource": {"name": name, "target": target}});
    let on = |metrics: Value| {
        json!({"metadata": {"name": "scheduler"}, "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "scheduler"},
            "minReplicas": 2, "maxReplicas": 5, "metrics": metrics}})
    };
    let metrics = json!([
        metric("cpu", json!({"type": "Utilization", "averageUtilization": 70})),
        metric("memory", json!({"type": "AverageValue", "averageValue": "2Gi"})),
    ]);
    namespace.create("/apis/autoscaling/v2", "horizontalpodautoscalers", &on(metrics));
    until("all pods", || (namespace.list("/api/v1", "pods").len() == 3).then_some(()));
}

#[test]
fn services_are_sized_and_what_an_autoscaler_scales_on_is_not() {
    let test = "services_are_sized_and_what_an_autoscaler_scales_on_is_not";
    let Some(cluster) = cluster(test) else { return };
    let namespace = cluster.namespace("platform");
    let history = history(&namespace.name);
    let write = |mut out: &mut dyn std::io::Write| history.write_openmetrics(&mut out).unwrap();
    let Some(prometheus) = PrometheusServer::start_with_writer(write, &[]) else {
        return skipped(test, "prometheus or promtool is not on PATH");
    };
    create(&namespace);
    let files = tempfile::tempdir().unwrap();
    let dry_run = |user: &std::path::Path, args: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_podfit"))
            .args(["dry-run", "-n", &namespace.name, "--at", NOON_TEXT, "--prometheus-url", &prometheus.url()])
            .arg("--kubeconfig")
            .arg(user)
            .args(args)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let pods = [reading("", &["pods", "limitranges", "resourcequotas"]), reading("apps", &["replicasets"])];
    let jobs = reading("batch", &["jobs", "cronjobs"]);
    let all = json!([pods[0], pods[1], jobs, reading("autoscaling", &["horizontalpodautoscalers"])]);
    let of_cluster = json!([reading("", &["nodes", "namespaces"])]);
    let viewer = namespace.account("viewer", &all, &of_cluster, files.path());
    let report = parsed(&dry_run(&viewer, &["-o", "json", "--show-patch"]));
    let mib = |of: &Value| quantity(of).bytes_rounded_up() >> 20;
    for (workload, replicas) in [("deployment/scheduler", 2), ("statefulset/database", 1)] {
        let line = line(&report, workload);
        let evidence = &line["evidence"];
        assert_eq!((&evidence["days"], &evidence["replicas"]), (&json!(14), &json!(replicas)), "{line:#}");
        assert_eq!(line["livePods"], json!(replicas));
        assert!((1766..1800).contains(&mib(&line["recommended"]["memoryLimit"])), "{line:#}");
    }
    let (scheduler, database) = (line(&report, "deployment/scheduler"), line(&report, "statefulset/database"));
    assert_eq!(scheduler["recommended"].get("cpuRequest"), None, "{scheduler:#}");
    assert!(
        notes(scheduler).contains("CPU left as it is: a HorizontalPodAutoscaler scales on its share"),
        "{scheduler:#}"
    );
    let paths: Vec<&str> =
        scheduler["patch"].as_array().unwrap().iter().map(|op| op["path"].as_str().unwrap()).collect();
    assert!(paths.iter().any(|path| path.ends_with("/limits/memory")), "{paths:?}");
    assert!(!paths.iter().any(|path| path.ends_with("/cpu")), "{paths:?}");
    assert_eq!(database["recommended"]["cpuRequest"], "400m", "{database:#}");
    let table = dry_run(&viewer, &[]);
    assert!(table.lines().any(|l| l.starts_with("deployment/scheduler") && l.contains(" 14 d ")), "{table}");

    // Who may not see autoscalers is told so.
    let less = json!([pods[0], pods[1], jobs]);
    let user = namespace.account("less", &less, &of_cluster, files.path());
    let report = parsed(&dry_run(&user, &["-o", "json"]));
    assert!(notes(&report).contains("you may not list HorizontalPodAutoscalers"), "{}", notes(&report));
    assert_eq!(line(&report, "deployment/scheduler")["recommended"]["cpuRequest"], "400m");
}
