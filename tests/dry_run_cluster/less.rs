//! With less to go by: no pod labels in Prometheus, or a user who may list pods and nothing else.
//! What can be said is said, and the rest is named with what to do about it.

use podfit::research::simulate::{Allowlist, ScrapeOptions};
use serde_json::json;

use super::past::{self, DAYS};
use super::scene::{Scene, line, lines, notes, parsed, reading};

#[test]
fn without_pod_labels_names_match_where_they_can() {
    let scrape =
        ScrapeOptions { pod_labels: Allowlist::Nothing, pod_annotations: Allowlist::Nothing, ..past::scrape() };
    let Some(scene) = Scene::new("without_pod_labels_names_match_where_they_can", scrape) else { return };
    let report = scene.report();
    let runs = |workload: &str| line(report, workload)["evidence"]["runs"].as_u64().unwrap();
    // By owner, by container, by what the live pod of the same name says.
    for (workload, expected) in [
        ("cronjob/six-hourly-compact", 4 * DAYS),
        ("job/backfill", DAYS),
        ("argo/clickstream/extract", DAYS),
        ("flink-jobmanager/sessions", 4),
        ("flink-taskmanager/sessions", 8),
        ("spark-driver/orders-agg", DAYS),
        ("spark-executor/customer-features", 2 * DAYS),
        ("airflow-task/nightly_sales_etl/extract_orders", DAYS),
        ("airflow-task/nightly_sales_etl/load_warehouse", DAYS),
        ("airflow-pod/churn_scoring/score_customers", DAYS),
    ] {
        assert_eq!(runs(workload), expected, "{workload}");
    }
    // The names of these say nothing of the work: two Dagster jobs ran, one of them is live.
    for workload in ["dagster-run/forecast/demand_forecast", "prefect/sync-crm/prod"] {
        assert_eq!(runs(workload), 0, "{workload}");
        assert_eq!(line(report, workload)["livePods"], 1, "{workload}");
    }
    let workloads: Vec<&str> = lines(report).iter().map(|l| l["workload"].as_str().unwrap()).collect();
    assert!(!workloads.iter().any(|w| w.contains("stock_levels")), "{workloads:?}");
    let notes = notes(report);
    for said in [
        "no pod labels in Prometheus",
        "--metric-labels-allowlist=pods=",
        "Dagster pod, but its job and op (labels dagster/job, dagster/op) are not visible",
        "Prefect pod, but its flow and deployment",
        "matched by their names alone",
    ] {
        assert!(notes.contains(said), "{said:?} is not in:\n{notes}");
    }
}

#[test]
fn who_may_only_list_pods_gets_a_report() {
    let Some(scene) = Scene::shared("who_may_only_list_pods_gets_a_report") else { return };
    let rules = json!([reading("", &["pods"])]);
    let user = scene.namespace.account("restricted", &rules, &json!([]), scene.files.path());
    let report = parsed(&scene.dry_run(&user, &["-o", "json"]));
    let rows = |workload: &str| line(&report, workload)["livePods"].as_u64().unwrap();
    assert_eq!(rows("cronjob/nightly-report"), 1, "by the name of its Job");
    assert_eq!(rows("flink-jobmanager/sessions"), 1, "by the hash in its ReplicaSet's name");
    assert_eq!(rows("spark-executor/orders-agg"), 2);
    let workloads: Vec<&str> = lines(&report).iter().map(|l| l["workload"].as_str().unwrap()).collect();
    assert!(!workloads.contains(&"cronjob/yearly-audit"), "a CronJob without pods cannot be seen");
    assert!(workloads.contains(&"cronjob/six-hourly-compact"), "but its history can");
    // Nobody knows the bounds, and the report says so.
    assert_eq!(line(&report, "dagster-step/demand_forecast/train_model")["recommended"]["memoryLimit"], "6Gi");
    let notes = notes(&report);
    for kind in ["jobs", "replicasets", "cronjobs", "LimitRanges", "ResourceQuotas", "nodes"] {
        assert!(notes.contains(kind), "{kind}:\n{notes}");
    }
    let expected = |n: &str| n.contains("you may not") || n.contains("side containers of past pods");
    assert!(notes.lines().all(expected), "{notes}");
    let table = scene.dry_run(&user, &[]);
    eprintln!("{table}");
    assert!(table.lines().all(|l| l.chars().count() <= 100), "{table}");
}
