//! The README's first command: a whole report from nothing, the same every time, in every form.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail loudly in its helpers")]

use std::process::Command;

use podfit::quantity::Quantity;
use serde_json::Value;

fn demo(args: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_podfit")).arg("demo").args(args).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "nothing is said in a pipe");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_table_fits_and_tells_its_stories() {
    let text = demo(&[]);
    for line in text.lines().filter(|l| !l.starts_with("    podfit: ")) {
        assert!(line.chars().count() <= 100, "{} columns: {line}", line.chars().count());
    }
    let row = |name: &str| {
        text.lines().find(|l| l.starts_with(name)).unwrap_or_else(|| panic!("no line of {name} in\n{text}"))
    };
    assert!(row("airflow-task/orders_daily/extract_orders").ends_with("lower"));
    assert!(row("spark-executor/basket-affinity").ends_with("raise"));
    assert!(row("cronjob/sku-embeddings-rebuild").ends_with("unknown"));
    // What the platform itself lives on: three weeks without an end.
    assert!(
        row("deployment/airflow-scheduler").contains(" 21 d ")
            && row("deployment/airflow-scheduler").ends_with("lower")
    );
    assert!(row("statefulset/airflow-db").contains(" 21 d ") && row("statefulset/airflow-db").ends_with("raise"));
    assert!(row("flink-taskmanager/clickstream-sessions").ends_with("ok"));
    let admission = text.split_once("At admission").unwrap().1;
    for said in
        ["denied\n    podfit: latest-tag", "denied\n    podfit: run-as-root", "admitted\n    podfit: base: memory"]
    {
        assert!(admission.contains(said), "{said:?} is not in{admission}");
    }
}

#[test]
fn every_form_says_the_same() {
    let text = demo(&["-o", "json"]);
    let json: Value = serde_json::from_str(&text).unwrap();
    let lines = json["workloads"].as_array().unwrap();
    assert_eq!(json["totals"]["containers"], lines.len());
    assert_eq!(demo(&["-o", "json"]), text, "two runs of the demo differ");

    for line in lines {
        let size = |value: &Value| Quantity::parse(value.as_str().unwrap()).unwrap();
        let Some(limit) = line["recommended"]["memoryLimit"].as_str() else { continue };
        let mut before = Quantity::parse(limit).unwrap();
        for step in line["memoryLadder"].as_array().unwrap().iter().map(size) {
            assert!(step > before, "{} after {before} of {}", step, line["workload"]);
            before = step;
        }
        assert!(before > Quantity::parse(limit).unwrap(), "no ladder of {}", line["workload"]);
    }

    let yaml = demo(&["-o", "yaml"]);
    let from_yaml: Value = serde_saphyr::from_str(&yaml).unwrap();
    assert_eq!(from_yaml["workloads"].as_array().unwrap().len(), lines.len());

    let output = Command::new(env!("CARGO_BIN_EXE_podfit"))
        .args(["demo", "-o", "csv", "--fail-on", "undersized"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "a workload asks for too little");
    let csv = String::from_utf8(output.stdout).unwrap();
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let header = reader.headers().unwrap().clone();
    let at = |name: &str| header.iter().position(|h| h == name).unwrap();
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), lines.len());
    for (row, line) in rows.iter().zip(lines) {
        assert_eq!(&row[at("workload")], line["workload"].as_str().unwrap());
        let limit = line["recommended"]["memoryLimit"].as_str().unwrap_or_default();
        assert_eq!(&row[at("recommended_memory_limit")], limit);
    }

    let markdown = demo(&["-o", "markdown"]);
    let rows = markdown.lines().filter(|l| l.starts_with("| ")).count();
    assert_eq!(rows, lines.len() + 1);
    assert!(demo(&["-o", "wide"]).lines().count() > lines.len());
}

#[test]
fn explain_draws_and_says_why() {
    let text = demo(&["--explain", "airflow-task/orders_daily/extract_orders"]);
    for said in [
        "21 finished runs",
        "├╴recommended",
        "├╴request and limit now",
        "the highest of 21 peaks",
        "Replayed",
        "CPU     request",
    ] {
        assert!(text.contains(said), "{said:?} is not in\n{text}");
    }
}

#[test]
fn a_service_is_explained_by_days_and_replicas() {
    let text = demo(&["--explain", "deployment/airflow-scheduler"]);
    for said in [
        "Seen    21 days of 2 replicas from ",
        ", 2 under way.",
        "Memory peaks of 42 days, one of each replica",
        "1.15·highest peak of a day",
        "starts again in its pod with the same limit",
        "Replayed on these days",
        "P95 of days' busy time",
    ] {
        assert!(text.contains(said), "{said:?} is not in\n{text}");
    }
    assert!(!text.contains("second try") && !text.contains("finished run"), "{text}");
}
