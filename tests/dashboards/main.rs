//! What people import into Grafana and Prometheus: every metric that it names is exported, every expression is PromQL,
//! rules do what they say, panels stand where they can be seen.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail loudly in its helpers too")]

mod exported;
mod files;
mod platform;
mod promql;
#[path = "../controller_cluster/scene.rs"]
#[allow(dead_code, reason = "shared with tests that use more of it")]
mod scene;
mod schema;
mod scraped;
#[path = "../support/mod.rs"]
mod support;
mod variables;

use std::collections::BTreeSet;
use std::process::Command;

use exported::exported;
use files::{dashboards, dir, expressions, panels, rules};
use promql::selected;
use serde_json::{Value, json};
use support::prometheus_server::skipped;

/// podfit's own that take a cluster and recommendations, which there are none of here.
const OF_A_CLUSTER: [&str; 9] = [
    "podfit_requested_memory_bytes",
    "podfit_recommended_memory_bytes",
    "podfit_requested_cpu_cores",
    "podfit_recommended_cpu_cores",
    "podfit_workload_info",
    "podfit_recommend_last_success_timestamp_seconds",
    "podfit_recommend_failures_total",
    "podfit_oom_kills_total",
    "podfit_leader",
];
/// Of API servers, kubelets, kube-state-metrics and Spark's executors.
const FOREIGN: [&str; 9] = [
    "apiserver_admission_webhook_admission_duration_seconds_bucket",
    "apiserver_admission_webhook_fail_open_count",
    "container_cpu_cfs_periods_total",
    "container_cpu_cfs_throttled_periods_total",
    "container_cpu_usage_seconds_total",
    "container_memory_working_set_bytes",
    "kube_pod_labels",
    "kube_pod_status_phase",
    "metrics_executor_JVMHeapMemory_bytes",
];
/// Labels that Prometheus adds.
const ADDED: [&str; 3] = ["cluster", "instance", "le"];

#[test]
fn every_metric_that_is_named_is_exported_with_the_labels_that_it_is_selected_by() {
    let exported = exported();
    let recorded: BTreeSet<String> =
        rules().iter().filter_map(|(rule, _)| rule["record"].as_str().map(str::to_owned)).collect();
    let mut used = BTreeSet::new();
    for (place, expression) in expressions() {
        let selected = selected(&expression);
        assert!(!selected.is_empty(), "{place}: no metric in {expression}");
        for (name, labels) in selected {
            used.insert(name.clone());
            let known = exported.contains_key(&name)
                || recorded.contains(&name)
                || OF_A_CLUSTER.contains(&name.as_str())
                || FOREIGN.contains(&name.as_str());
            assert!(known, "{place}: nobody exports {name}");
            let Some(Some(has)) = exported.get(&name) else { continue };
            for label in labels {
                assert!(
                    has.contains(&label) || ADDED.contains(&label.as_str()),
                    "{place}: {name} has no label {label}"
                );
            }
        }
    }
    // And nobody looks for what is exported and not shown: the reader of the dashboards would.
    let hidden = |name: &&String| {
        let family = name.trim_end_matches("_sum").trim_end_matches("_count");
        !used.contains(*name) && !used.contains(&format!("{family}_bucket"))
    };
    let unseen: Vec<&String> = exported.keys().filter(|n| n.starts_with("podfit_")).filter(hidden).collect();
    assert!(unseen.len() <= exported.len() / 4, "many metrics are on no dashboard: {unseen:?}");
}

/// Runs promtool; `None` where there is none, which is said for the test.
fn promtool(test: &str, args: &[&str]) -> Option<()> {
    let Ok(out) = Command::new("promtool").current_dir(dir()).args(args).output() else {
        skipped(test, "promtool is not on PATH");
        return None;
    };
    let said = [out.stdout, out.stderr].concat();
    assert!(out.status.success(), "promtool {args:?}: {}", String::from_utf8_lossy(&said));
    Some(())
}

#[test]
fn the_rules_are_valid_and_pass_their_tests() {
    let test = "the_rules_are_valid_and_pass_their_tests";
    if promtool(test, &["check", "rules", "rules/recording.yaml", "rules/alerts.yaml"]).is_some() {
        promtool(test, &["test", "rules", "tests/rules.yaml"]);
    }
}

#[test]
fn every_alert_is_tested_and_tells_what_to_do() {
    let tests = std::fs::read_to_string(dir().join("tests/rules.yaml")).unwrap();
    for (rule, _) in rules() {
        let Some(name) = rule["alert"].as_str() else { continue };
        assert!(tests.contains(name), "{name} has no test");
        assert!(["critical", "warning", "info"].contains(&rule["labels"]["severity"].as_str().unwrap()), "{name}");
        for key in ["summary", "description", "runbook"] {
            assert!(rule["annotations"][key].as_str().is_some_and(|t| t.len() > 20), "{name} has no {key}");
        }
    }
}

/// A small platform as its metrics show it: a Spark application whose executors ask for too much and whose driver asks
/// for too little, a webhook with some trouble, and API servers that call it. Values by the minute.
const PLATFORM: [(&str, &str); 41] = [
    ("podfit_build_info{version='1'}", "1x60"),
    ("podfit_recommended_workloads", "2x60"),
    ("podfit_resizing_stopped", "0x60"),
    ("podfit_certificate_expiry_timestamp_seconds", "9000000x60"),
    ("podfit_reload_last_success_timestamp_seconds{input='policy'}", "0x60"),
    ("podfit_reload_failed{input='policy'}", "1x60"),
    ("podfit_leader", "1x60"),
    ("podfit_recommend_last_success_timestamp_seconds", "60x60"),
    ("podfit_recommend_failures_total", "0x60"),
    ("podfit_admission_reviews_total{entry='mutate',outcome='resized'}", "0+10x60"),
    ("podfit_admission_reviews_total{entry='mutate',outcome='shed'}", "0+1x60"),
    ("podfit_admission_reviews_total{entry='validate',outcome='allowed'}", "0+10x60"),
    ("podfit_admission_duration_seconds_bucket{entry='mutate',le='0.001'}", "0+10x60"),
    ("podfit_admission_duration_seconds_bucket{entry='mutate',le='+Inf'}", "0+11x60"),
    ("podfit_admission_in_flight{entry='mutate'}", "1x60"),
    ("podfit_admission_shed_total{entry='mutate',cause='busy'}", "0+1x60"),
    ("podfit_admission_reasons_total{entry='mutate',reason='opted-out'}", "0+1x60"),
    ("podfit_findings_total{rule='latest-tag',mode='warn'}", "0+1x60"),
    ("podfit_connections", "25x60"),
    ("podfit_connections_accepted_total", "0+1x60"),
    ("podfit_tls_handshake_failures_total{cause='refused'}", "0+1x60"),
    ("podfit_http_refused_total{status='404'}", "0+1x60"),
    ("podfit_requested_memory_bytes{namespace='etl',workload='spark-executor/a',container='main'}", "4000x60"),
    ("podfit_recommended_memory_bytes{namespace='etl',workload='spark-executor/a',container='main'}", "1000x60"),
    ("podfit_requested_memory_bytes{namespace='etl',workload='spark-driver/a',container='main'}", "1000x60"),
    ("podfit_recommended_memory_bytes{namespace='etl',workload='spark-driver/a',container='main'}", "2000x60"),
    ("podfit_requested_cpu_cores{namespace='etl',workload='spark-executor/a',container='main'}", "4x60"),
    ("podfit_recommended_cpu_cores{namespace='etl',workload='spark-executor/a',container='main'}", "1x60"),
    ("podfit_workload_info{namespace='etl',workload='spark-executor/a',engine='spark',label='ab'}", "1x60"),
    ("podfit_workload_info{namespace='etl',workload='spark-driver/a',engine='spark',label='cd'}", "1x60"),
    ("podfit_oom_kills_total{namespace='etl',workload='spark-executor/a'}", "0+1x60"),
    ("apiserver_admission_webhook_fail_open_count{name='size.podfit.dev'}", "0+1x60"),
    ("apiserver_admission_webhook_admission_duration_seconds_bucket{name='size.podfit.dev',le='+Inf'}", "0+1x60"),
    ("kube_pod_labels{namespace='etl',pod='e',label_podfit_dev_workload='ab',label_spark_role='executor'}", "1x60"),
    ("kube_pod_labels{namespace='etl',pod='d',label_podfit_dev_workload='cd',label_spark_role='driver'}", "1x60"),
    ("kube_pod_status_phase{namespace='etl',pod='e',phase='Running'}", "1x60"),
    ("container_memory_working_set_bytes{namespace='etl',pod='e',container='main'}", "900x60"),
    ("container_memory_working_set_bytes{namespace='etl',pod='d',container='main'}", "900x60"),
    ("container_cpu_usage_seconds_total{namespace='etl',pod='e',container='main'}", "0+30x60"),
    ("container_cpu_cfs_{}_total{namespace='etl',pod='e',container='main'}", "0+30x60"),
    ("metrics_executor_JVMHeapMemory_bytes{namespace='etl'}", "500x60"),
];

#[test]
fn every_panel_shows_something_of_a_platform_that_has_everything() {
    let mut series = Vec::new();
    for (name, values) in PLATFORM {
        let names = if name.contains("{}") {
            ["throttled_periods", "periods"].map(|part| name.replace("{}", part)).to_vec()
        } else {
            vec![name.to_owned()]
        };
        series.extend(names.iter().map(|name| json!({"series": name.replace('\'', "\""), "values": values})));
    }
    let mut questions = Vec::new();
    for (board, dashboard) in dashboards() {
        for target in panels(&dashboard).iter().filter_map(|p| p["targets"].as_array()).flatten() {
            // The workload's page is about one of them, the others about all.
            let workload = if board == "workload" { "spark-executor/a" } else { ".*" };
            let mut expression = target["expr"].as_str().unwrap().to_owned();
            for (variable, value) in
                [("$cluster", ".*"), ("$namespace", "etl"), ("$workload", workload), ("$engine", ".*")]
            {
                expression = expression.replace(variable, value);
            }
            let something = json!({"labels": "{}", "value": 1});
            let expression = format!("count({expression}) > bool 0");
            questions.push(json!({"expr": expression, "eval_time": "30m", "exp_samples": [something]}));
        }
    }
    assert!(questions.len() > 50, "{}", questions.len());
    let rules = ["recording.yaml", "alerts.yaml"].map(|file| dir().join("rules").join(file));
    let tests = json!([{"interval": "1m", "input_series": series, "promql_expr_test": questions}]);
    let file = tempfile::NamedTempFile::with_suffix(".yaml").unwrap();
    std::fs::write(file.path(), json!({"rule_files": rules, "evaluation_interval": "1m", "tests": tests}).to_string())
        .unwrap();
    promtool(
        "every_panel_shows_something_of_a_platform_that_has_everything",
        &["test", "rules", file.path().to_str().unwrap()],
    );
}

#[test]
fn every_expression_of_the_dashboards_is_promql() {
    let rules: Vec<String> = expressions()
        .iter()
        .enumerate()
        .map(|(n, (_, expression))| {
            format!("- {{record: 'expression_{n}', expr: {}}}", serde_json::to_string(expression).unwrap())
        })
        .collect();
    let file = tempfile::NamedTempFile::with_suffix(".yaml").unwrap();
    std::fs::write(file.path(), format!("groups:\n- name: all\n  rules:\n  {}\n", rules.join("\n  "))).unwrap();
    promtool("every_expression_of_the_dashboards_is_promql", &["check", "rules", file.path().to_str().unwrap()]);
}

#[test]
fn every_panel_can_be_seen_and_understood() {
    let all = dashboards();
    assert_eq!(all.iter().map(|(n, _)| n.as_str()).collect::<Vec<_>>(), ["admission", "overview", "spark", "workload"]);
    let uids: BTreeSet<&str> = all.iter().map(|(_, d)| d["uid"].as_str().unwrap()).collect();
    assert_eq!(uids.len(), all.len());
    for (name, dashboard) in &all {
        // What an import as a new dashboard takes: no id, and a data source that is chosen there.
        assert_eq!((&dashboard["id"], &dashboard["schemaVersion"]), (&Value::Null, &Value::from(39)), "{name}");
        assert!(dashboard.get("__inputs").is_none(), "{name}");
        let kinds: BTreeSet<&str> =
            panels(dashboard).iter().map(|p| p["type"].as_str().unwrap()).filter(|kind| *kind != "row").collect();
        let required = dashboard["__requires"].as_array().unwrap().iter().filter(|r| r["type"] == "panel");
        assert_eq!(required.map(|r| r["id"].as_str().unwrap()).collect::<BTreeSet<_>>(), kinds, "{name}");
        let variables: BTreeSet<&str> =
            dashboard["templating"]["list"].as_array().unwrap().iter().map(|v| v["name"].as_str().unwrap()).collect();
        assert!(variables.contains("datasource") && variables.contains("cluster"), "{name}: {variables:?}");
        let mut ids = BTreeSet::new();
        let mut taken: BTreeSet<(u64, u64)> = BTreeSet::new();
        let mut used = BTreeSet::from(["datasource"]);
        for panel in panels(dashboard) {
            let title = panel["title"].as_str().unwrap();
            assert!(ids.insert(panel["id"].as_u64().unwrap()), "{name}: {title}: its id is there twice");
            let at = |key: &str| panel["gridPos"][key].as_u64().unwrap();
            assert!(at("x") + at("w") <= 24, "{name}: {title} is too wide");
            for x in at("x")..at("x") + at("w") {
                for y in at("y")..at("y") + at("h") {
                    assert!(taken.insert((x, y)), "{name}: {title} covers another panel");
                }
            }
            if panel["type"] == "row" {
                continue;
            }
            assert!(panel["description"].as_str().is_some_and(|d| d.len() > 5), "{name}: {title} is not explained");
            assert!(panel["fieldConfig"]["defaults"]["unit"].is_string(), "{name}: {title} has no unit");
            for target in panel["targets"].as_array().unwrap() {
                assert_eq!(target["datasource"]["uid"], "${datasource}", "{name}: {title}");
                let expression = target["expr"].as_str().unwrap();
                for part in expression.split('$').skip(1) {
                    let variable = part.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap();
                    // `$1` of label_replace is none.
                    if variable.parse::<u8>().is_err() {
                        used.insert(variable);
                    }
                }
            }
        }
        let queries = dashboard["templating"].to_string();
        let idle: Vec<_> =
            variables.iter().filter(|v| !used.contains(*v) && !queries.contains(&format!("${v}"))).collect();
        assert!(idle.is_empty(), "{name}: {idle:?} change nothing");
        assert!(used.is_subset(&variables), "{name}: {used:?} of {variables:?}");
    }
}
