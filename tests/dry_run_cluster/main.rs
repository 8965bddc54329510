//! `podfit dry-run` on a real API server and a real Prometheus: every engine's workloads in one namespace, one row
//! each. Past pods are simulated, live ones created through the API server; podfit runs as its user runs it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail loudly in its helpers too")]

mod faces;
mod less;
mod live;
mod past;
mod patches;
mod refusals;
mod scene;
mod services;
#[path = "../support/mod.rs"]
mod support;

use past::DAYS;
use podfit::quantity::Quantity;
use scene::{Scene, line, lines, notes};
use serde_json::Value;

/// Workload, container, live pods, finished runs.
const ROWS: [(&str, &str, u64, u64); 20] = [
    ("airflow-pod/churn_scoring/score_customers", "base", 1, DAYS),
    ("airflow-task/nightly_sales_etl/extract_orders", "base", 1, DAYS),
    ("airflow-task/nightly_sales_etl/load_warehouse", "base", 1, DAYS),
    ("argo/clickstream/extract", "main", 1, DAYS),
    ("argo/clickstream/score", "main", 1, DAYS),
    ("cronjob/nightly-report", "main", 1, DAYS + 2 * KILLED_DAYS),
    ("cronjob/six-hourly-compact", "main", 0, 4 * DAYS),
    ("cronjob/yearly-audit", "main", 0, 0),
    ("dagster-run/forecast/demand_forecast", "dagster", 1, DAYS + KILLED_DAYS),
    ("dagster-run/forecast/stock_levels", "dagster", 0, DAYS),
    ("dagster-step/demand_forecast/train_model", "dagster", 1, DAYS + 3 * KILLED_DAYS),
    ("dagster-step/stock_levels/count", "dagster", 0, DAYS),
    ("flink-jobmanager/sessions", "flink-main-container", 1, 4),
    ("flink-taskmanager/sessions", "flink-main-container", 2, 8),
    ("job/backfill", "main", 1, DAYS),
    ("prefect/sync-crm/prod", "prefect-job", 1, DAYS),
    ("spark-driver/customer-features", "spark-kubernetes-driver", 1, DAYS),
    ("spark-driver/orders-agg", "spark-kubernetes-driver", 1, DAYS),
    ("spark-executor/customer-features", "spark-kubernetes-executor", 2, 2 * DAYS),
    ("spark-executor/orders-agg", "spark-kubernetes-executor", 2, 2 * DAYS),
];
/// Days on which what grows needed more than its limit. A CronJob's pod is tried three times, a Dagster run and each of
/// its steps twice.
const KILLED_DAYS: u64 = 2;

fn quantity(of: &Value) -> Quantity {
    of.as_str().unwrap_or_else(|| panic!("{of} is no quantity")).parse().unwrap()
}

#[test]
fn one_row_per_workload() {
    let Some(scene) = Scene::shared("one_row_per_workload") else { return };
    let report = scene.report();
    let text = |l: &Value, key: &str| l[key].as_str().unwrap().to_owned();
    let mut rows: Vec<_> = lines(report)
        .iter()
        .map(|l| {
            let counts = (l["livePods"].as_u64().unwrap(), l["evidence"]["runs"].as_u64().unwrap());
            (text(l, "workload"), text(l, "container"), counts.0, counts.1)
        })
        .collect();
    rows.sort();
    let expected: Vec<_> =
        ROWS.iter().map(|(w, c, live, runs)| ((*w).to_owned(), (*c).to_owned(), *live, *runs)).collect();
    assert_eq!(rows, expected);
    assert!(lines(report).iter().all(|l| l["namespace"] == *scene.namespace.name));
    let nobodys = report["unidentifiedPods"].as_array().unwrap();
    assert_eq!(nobodys.len(), 1, "{nobodys:?}");
    assert_eq!(nobodys[0][0], format!("{}/debug-shell", scene.namespace.name));
    let notes: Vec<&str> = report["notes"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(matches!(notes[..], [one] if one.contains("24 side containers")), "nothing is missing: {notes:?}");
}

#[test]
fn current_sizes_are_those_of_the_live_pods() {
    let Some(scene) = Scene::shared("current_sizes_are_those_of_the_live_pods") else { return };
    let report = scene.report();
    for (workload, ..) in ROWS {
        let current = &line(report, workload)["current"];
        let (cpu, mib) = past::asks(workload);
        // Somebody has halved this one since its last run.
        let mib = if workload.ends_with("extract_orders") { mib / 2 } else { mib };
        assert_eq!(quantity(&current["cpuRequest"]), Quantity::from_millis(cpu), "{workload}");
        assert_eq!(quantity(&current["memoryRequest"]), Quantity::from_bytes(mib << 20), "{workload}");
        assert_eq!(quantity(&current["memoryLimit"]), Quantity::from_bytes(mib << 20), "{workload}");
    }
}

#[test]
fn sizes_keep_to_limit_range_quota_and_heap() {
    let Some(scene) = Scene::shared("sizes_keep_to_limit_range_quota_and_heap") else { return };
    let report = scene.report();
    let (least, most): (Quantity, Quantity) = ("128Mi".parse().unwrap(), "5Gi".parse().unwrap());
    for line in lines(report).iter().filter(|l| l["workload"] != "cronjob/yearly-audit") {
        for value in ["memoryRequest", "memoryLimit"] {
            let size = quantity(&line["recommended"][value]);
            assert!(least <= size && size <= most, "{}: {size}", line["workload"]);
        }
        assert!(quantity(&line["recommended"]["cpuRequest"]) >= "50m".parse::<Quantity>().unwrap(), "{line:#}");
    }
    let cases = [
        ("argo/clickstream/extract", "128Mi", "raised to the LimitRange minimum 128Mi"),
        ("dagster-step/demand_forecast/train_model", "5Gi", "6Gi wanted, lowered to the LimitRange maximum 5Gi"),
        ("cronjob/nightly-report", "1536Mi", "2Gi wanted, held back: quota deadline, "),
        ("cronjob/nightly-report", "1536Mi", ": 1536Mi is left of 2560Mi"),
        (
            "spark-driver/orders-agg",
            "1433Mi",
            "the heap of now is taken to be 1024m, whose default overhead makes 1433m",
        ),
        ("flink-taskmanager/sessions", "3Gi", "kept at 3Gi: Flink fixed its process memory"),
    ];
    for (workload, size, note) in cases {
        let line = line(report, workload);
        assert_eq!(line["recommended"]["memoryLimit"], size, "{workload}");
        assert!(notes(line).contains(note), "{workload}: {}", notes(line));
    }
    // 4505Mi, of which the pods themselves say that 2048 are heap: it stays, and what is beside it shrinks to no less
    // than the whole container ever held.
    let executor = line(report, "spark-executor/orders-agg");
    let bytes = |of: &Value| of.as_u64().unwrap() >> 20;
    let (heap, beside) = (bytes(&executor["spark"]["heapBytes"]), bytes(&executor["spark"]["overheadBytes"]));
    let peak = bytes(&executor["evidence"]["peakMaxBytes"]);
    assert!(heap == 2048 && (peak..4505 - heap).contains(&beside), "{executor:#}");
    assert_eq!(quantity(&executor["recommended"]["memoryLimit"]), Quantity::from_bytes((heap + beside) << 20));
    let killed = notes(line(report, "dagster-step/demand_forecast/train_model"));
    assert!(killed.contains("of 14 runs were OOM-killed"), "{killed}");
    let unknown = line(report, "cronjob/yearly-audit");
    assert_eq!(unknown["verdict"]["memory"], "unknown");
    assert!(notes(unknown).contains("no run was seen"), "{}", notes(unknown));
}

#[test]
fn findings_name_the_container_and_the_remedy() {
    let Some(scene) = Scene::shared("findings_name_the_container_and_the_remedy") else { return };
    let report = scene.report();
    let enforced: Vec<_> = lines(report)
        .iter()
        .flat_map(|l| l["findings"].as_array().unwrap().iter().map(move |f| (l, f)))
        .filter(|(_, f)| f["mode"] == "enforce")
        .map(|(l, f)| (l["workload"].as_str().unwrap(), f["rule"].as_str().unwrap(), f["container"].as_str().unwrap()))
        .collect();
    let expected =
        [("argo/clickstream/score", "run-as-root", "main"), ("prefect/sync-crm/prod", "latest-tag", "prefect-job")];
    let mut sorted = enforced.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, expected);
    assert!(line(report, "prefect/sync-crm/prod").to_string().contains("pin a version or a digest"));
}
