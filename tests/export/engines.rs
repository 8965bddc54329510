//! Each snippet is handed to the engine's own code (`tests/engines/exports`), which then gives its pod the recommended
//! size.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use rstest::rstest;
use serde_json::{Value, json};

use super::support::cluster::cluster;
use super::support::engine_client::{Asked, ask};
use super::support::prometheus_server::skipped;
use super::{entry, exported, resources};

const NOT_HERE: i32 = 3;

#[rstest]
#[case::airflow_task("airflow", "airflow-task/orders_daily/extract_orders", "base", "airflow-pod-override")]
#[case::airflow_pod("airflow", "airflow-pod/dbt_marts/fct_sales", "base", "airflow-container-resources")]
#[case::dagster_run("dagster", "dagster-run/loc/demand_forecast", "dagster", "dagster-tags")]
#[case::dagster_step("dagster", "dagster-step/demand_forecast/train_model", "dagster", "dagster-tags")]
#[case::dagster_run_config("dagster", "dagster-step/demand_forecast/train_model", "dagster", "dagster-run-config")]
#[case::prefect("prefect", "prefect/load-customers/prod", "prefect-job", "prefect-job-variables")]
fn the_engine_gives_its_pod_what_is_recommended(
    #[case] engine: &str,
    #[case] workload: &str,
    #[case] container: &str,
    #[case] form: &str,
) {
    let snippet = exported(&entry("jobs", workload, container), form);
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/engines/exports").join(engine);
    let started =
        Command::new(program).arg(form).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let test = format!("the_engine_gives_its_pod_what_is_recommended::{engine}");
    let mut running = match started {
        Ok(running) => running,
        Err(error) => return skipped(&test, &format!("python3: {error}")),
    };
    // An engine that is not here ends before it reads.
    let _ = running.stdin.take().unwrap().write_all(snippet.as_bytes());
    let answer = running.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&answer.stderr);
    if answer.status.code() == Some(NOT_HERE) {
        return skipped(&test, said.lines().last().unwrap_or_default());
    }
    assert!(answer.status.success(), "{said}\n{snippet}");
    let containers: Value = serde_json::from_slice(&answer.stdout).unwrap();
    assert_eq!(containers[0], json!({"name": container, "resources": resources()}), "{snippet}");
}

/// Argo's controller makes the pods of a Workflow whose templates are the snippet's.
#[test]
fn argo_gives_its_pods_what_is_recommended() {
    const TEST: &str = "argo_gives_its_pods_what_is_recommended";
    let Some(cluster) = cluster(TEST) else { return };
    let namespace = cluster.namespace("export");
    let snippets = ["argo-template", "argo-pod-spec-patch"].map(|form| {
        let template = if form == "argo-template" { "extract" } else { "load" };
        exported(&entry(&namespace.name, &format!("argo/clickstream/{template}"), "main"), form)
    });
    let given = json!(snippets).to_string();
    let pods = match ask("argo-templates", &namespace, "registry.example/etl:1.4", Some(&given)) {
        Asked::Created(pods) => pods,
        Asked::Refused(said) => panic!("{said}"),
        Asked::NotHere(reason) => return skipped(TEST, &reason),
    };
    assert_eq!(pods.len(), 2);
    for pod in &pods {
        let containers = pod["spec"]["containers"].as_array().unwrap();
        let main = containers.iter().find(|c| c["name"] == "main").unwrap();
        assert_eq!(main["resources"], resources(), "{snippets:#?}");
        let wait = containers.iter().find(|c| c["name"] == "wait").unwrap();
        assert_ne!(wait["resources"], resources(), "only the main container is sized");
    }
}
