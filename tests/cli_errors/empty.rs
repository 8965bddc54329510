//! A server that is fine and does not have what is needed: the line names the metric or the label that is missing and
//! says how to get it.

use podfit::prometheus::{Labels, SeriesStore};
use podfit::research::simulate::platforms::nightly_three;
use rstest::rstest;

use super::support::cli::{NOON, NOON_TEXT, run};
use super::support::fault_server::FaultServer;
use super::{nightly, recommend, remember};

/// The history without some of its series, or with others.
fn changed(change: impl Fn(&str, Labels) -> Option<Labels>) -> FaultServer {
    let mut store = SeriesStore::new("changed");
    nightly_three().simulate(NOON, 1).for_each_series(|metric, labels, samples| {
        if let Some(labels) = change(metric, labels) {
            store.insert(metric, labels, samples);
        }
    });
    FaultServer::start(store)
}

fn without(labels: &Labels, name: &str) -> Labels {
    Labels::new(labels.iter().filter(|(n, _)| *n != name).map(|(n, v)| (n.to_owned(), v.to_owned())))
}

const NONE: &str =
    "nothing to recommend: no container_memory_working_set_bytes and no container_cpu_usage_seconds_total ";

#[rstest]
#[case::nothing_at_all(|_: &str, _| None, &[], "at all in Prometheus 2.53.0 at http://127.0.0.1:")]
#[case::no_such_namespace(|_: &str, labels| Some(labels), &["-n", "nightlies"], "for namespace nightlies, only for other namespaces: check the name after -n")]
#[case::no_such_series_label(|_: &str, labels| Some(labels), &["--series-label", "cluster=prod"], "for all namespaces with {cluster=\"prod\"}, only without that label: check --series-label")]
fn no_measurements(#[case] change: fn(&str, Labels) -> Option<Labels>, #[case] args: &[&str], #[case] words: &str) {
    let server = changed(change);
    run(recommend(&server, NOON_TEXT).args(args)).refused_with(&[NONE, words]);
}

/// Runs that nobody measured are there all the same.
#[test]
fn only_kube_state_metrics() {
    let server = changed(|metric, labels| metric.starts_with("kube_").then_some(labels));
    let ran = run(recommend(&server, NOON_TEXT).args(["-n", "nightly"]));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let answer: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    let workloads = answer["workloads"].as_array().unwrap();
    assert_eq!(workloads.len(), 3, "{answer}");
    for workload in workloads {
        assert_eq!(workload["recommended"], serde_json::json!({}), "{workload}");
        let notes = workload["notes"].to_string();
        assert!(notes.contains("none sampled, long as they are: let Prometheus scrape /metrics/cadvisor"), "{notes}");
    }
    let notes = answer["notes"].to_string();
    assert!(notes.contains("/metrics/cadvisor and keep both, name the server that does"), "{notes}");
}

#[test]
fn no_label_container() {
    let server = changed(|_, labels| Some(without(&labels, "container")));
    run(recommend(&server, NOON_TEXT).args(["-n", "nightly"])).refused_with(&[
        "container_memory_working_set_bytes and container_cpu_usage_seconds_total of namespace nightly have no label \
         container: let Prometheus keep that label",
    ]);
}

#[test]
fn an_empty_store_says_so_each_time() {
    let server = changed(|_, _| None);
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("history.redb");
    for _ in 0..2 {
        run(&mut remember(&server, NOON_TEXT, &store)).refused_with(&[NONE]);
    }
}

#[test]
fn what_is_explained_is_not_there() {
    let server = changed(|_, _| None);
    let mut command = super::support::cli::command();
    command.args(["explain", "cronjob/nightly-05m", "--prometheus-url", &server.url(), "--at", NOON_TEXT]);
    run(&mut command).refused_with(&["nothing to explain: no container_memory_working_set_bytes"]);
}

#[rstest]
#[case::pod_labels(
    "kube_pod_labels",
    "no pod labels in Prometheus for all namespaces: start kube-state-metrics with --metric-labels-allowlist=pods=[…]"
)]
#[case::limits(
    "kube_pod_container_resource_",
    "no kube_pod_container_resource_limits for all namespaces: what runs asked for is unknown; let kube-state-metrics export it"
)]
#[case::memory(
    "container_memory_working_set_bytes",
    "no container_memory_working_set_bytes for all namespaces: let Prometheus keep it"
)]
#[case::cpu(
    "container_cpu_usage_seconds_total",
    "no container_cpu_usage_seconds_total for all namespaces: let Prometheus keep it"
)]
fn a_part_is_missing(#[case] prefix: &'static str, #[case] words: &str) {
    let mut store = SeriesStore::new("part");
    nightly_three().simulate(NOON, 1).for_each_series(|metric, labels, samples| {
        if !metric.starts_with(prefix) {
            store.insert(metric, labels, samples);
        }
    });
    let server = FaultServer::start(store);
    let ran = run(&mut recommend(&server, NOON_TEXT));
    let report = ran.report();
    let notes: Vec<&str> = report["notes"].as_array().unwrap().iter().map(|n| n.as_str().unwrap()).collect();
    assert!(notes.iter().any(|n| n.contains(words)), "{notes:?}");
    assert!(notes.iter().all(|n| !n.contains(char::is_control)), "{notes:?}");
    eprintln!("{notes:?}");
}

#[test]
fn no_kube_state_metrics() {
    let server = changed(|metric, labels| metric.starts_with("container_").then_some(labels));
    run(&mut recommend(&server, NOON_TEXT)).refused_with(&[
        "nothing to recommend: no kube_pod_owner for all namespaces: install kube-state-metrics and scrape it",
        "42 containers of past pods in nightly belong to no workload, nightly-",
    ]);
}

#[test]
fn a_history_that_ends_before_the_time_asked_about() {
    let server = FaultServer::start(nightly());
    run(&mut recommend(&server, "2027-06-01T00:00:00Z")).refused_with(&["nothing to recommend: "]);
}
