//! `podfit doctor` about a real Prometheus: what it has, what it lacks, how often it scrapes. There is no cluster here;
//! `tests/deploy` has one.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail loudly in its helpers too")]

mod support;

use podfit::research::simulate::Platform;
use podfit::research::simulate::platforms::{forty_seconds, nightly_three, nightly_unlabelled};
use rstest::rstest;
use serde_json::Value;
use support::cli::{NOON, NOON_TEXT, command, run};
use support::prometheus_server::{PrometheusServer, skipped};

/// Check, state, what was seen.
fn doctor(url: &str) -> (Vec<(String, String, String)>, Option<i32>) {
    let mut command = command();
    command.args(["doctor", "-o", "json", "--kubeconfig", "/nonexistent", "--at", NOON_TEXT]);
    let ran = run(command.args(["--prometheus-url", url, "--prometheus-retries", "0"]));
    let answer: Value = serde_json::from_str(&ran.stdout).unwrap_or_else(|e| panic!("{e}: {ran:?}"));
    let text = |check: &Value, key: &str| check[key].as_str().unwrap().to_owned();
    let checks = answer["checks"].as_array().unwrap().iter();
    (checks.map(|c| (text(c, "check"), text(c, "state"), text(c, "seen"))).collect(), ran.code)
}

fn served(platform: Platform, test: &str) -> Option<PrometheusServer> {
    let simulation = platform.simulate(NOON, 1);
    let write = |out: &mut dyn std::io::Write| {
        let mut out = out;
        simulation.write_openmetrics(&mut out).unwrap();
    };
    let server = PrometheusServer::start_with_writer(write, &[]);
    if server.is_none() {
        skipped(test, "prometheus or promtool is not on PATH");
    }
    server
}

#[rstest]
#[case::plain("plain", nightly_three(), "scrape interval", "ok", "30 s")]
#[case::plain_labels("plain_labels", nightly_three(), "kube-state-metrics' labels", "ok", "are exported")]
#[case::no_pod_labels("no_pod_labels", nightly_unlabelled(), "series", "warn", "there is no kube_pod_labels")]
#[case::short_runs("short_runs", forty_seconds(), "scrape interval", "ok", "30 s")]
fn what_a_prometheus_has_is_seen(
    #[case] name: &str,
    #[case] platform: Platform,
    #[case] check: &str,
    #[case] state: &str,
    #[case] seen: &str,
) {
    let Some(server) = served(platform, name) else { return };
    let (checks, code) = doctor(&server.url());
    let found = checks.iter().any(|(c, s, text)| c == check && s == state && text.contains(seen));
    assert!(found, "{checks:#?}");
    // There is no cluster, which is a failure of its own.
    assert_eq!((checks[0].0.as_str(), checks[0].1.as_str(), code), ("API server", "fail", Some(1)));
    assert!(checks.iter().any(|(c, s, _)| c == "Prometheus' clock" && s == "ok"), "{checks:#?}");
}

#[rstest]
#[case(120, "warn")]
#[case(600, "fail")]
fn rare_scrapes_are_told_by_their_distance(#[case] seconds: i64, #[case] state: &str) {
    let mut history = "# TYPE container_memory_working_set_bytes gauge\n".to_owned();
    let labels = r#"namespace="etl",pod="a",container="main""#;
    for n in (0..5).rev() {
        let at = NOON / 1000 - n * seconds;
        history.push_str(&format!("container_memory_working_set_bytes{{{labels}}} 1000 {at}\n"));
    }
    let Some(server) = PrometheusServer::start_with(&(history + "# EOF\n")) else {
        return skipped("rare_scrapes_are_told_by_their_distance", "prometheus or promtool is not on PATH");
    };
    let (checks, _) = doctor(&server.url());
    let interval = checks.iter().find(|c| c.0 == "scrape interval").unwrap();
    assert_eq!(interval.1, state, "{interval:?}");
    assert!(interval.2.starts_with(&format!("{seconds} s")), "{interval:?}");
}

#[test]
fn an_empty_prometheus_lacks_everything_that_counts() {
    let Some(server) = PrometheusServer::start_with("# TYPE up gauge\nup 1 1795348800\n# EOF\n") else {
        return skipped("an_empty_prometheus_lacks_everything_that_counts", "prometheus or promtool is not on PATH");
    };
    let (checks, _) = doctor(&server.url());
    let fails: Vec<&str> = checks.iter().filter(|c| c.0 == "series" && c.1 == "fail").map(|c| c.2.as_str()).collect();
    assert_eq!(fails.len(), 3, "{checks:#?}");
    assert!(fails[0].contains("container_memory_working_set_bytes"), "{fails:?}");
}

#[test]
fn who_is_not_there_is_told_in_one_line_with_nothing_of_the_address() {
    let (checks, code) = doctor("http://reader:hunter2@127.0.0.1:1/");
    let prometheus = checks.iter().find(|c| c.0 == "Prometheus").unwrap();
    assert_eq!((prometheus.1.as_str(), code), ("fail", Some(1)));
    assert!(!prometheus.2.contains("hunter2"), "{prometheus:?}");
}

#[test]
fn a_wrong_argument_is_one_line_without_its_secret() {
    let ran = run(command().args(["doctor", "--webhook-url", "https://reader:hunter2@podfit:8443"]));
    ran.refused_with(&["--webhook-url", "https://127.0.0.1:9443"]);
}
