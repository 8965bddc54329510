//! Pods that the engines' own clients create come out of a real API server with the recommended sizes, and what they
//! create against a ban is refused with the reason. No container runs: kwok plays the kubelet.

use podfit::quantity::Quantity;
use podfit::workload::{IdentityRules, identify, pod_facts};
use rstest::rstest;
use serde_json::{Value, json};

use super::sizes;
use super::support::cluster::cluster;
use super::support::engine_client::{Asked, MEMORY, create_pods};
use super::support::prometheus_server::skipped;
use super::support::webhook::{Setup, Webhook};

const IMAGE: &str = "registry.example/etl:1.4";

/// Workload, container, CPU request and memory. All memory is more than the engines ask for: a Spark pod's memory is
/// never made less than its heap and overhead.
type Sized = (&'static str, &'static str, &'static str, &'static str);

#[rstest]
#[case::airflow("airflow", &[
    ("airflow-pod/nightly_sales_etl/aggregate", "base", "300m", "3Gi"),
    ("airflow-task/nightly_sales_etl/extract_orders", "base", "400m", "640Mi"),
])]
#[case::argo("argo", &[
    ("argo/clickstream/extract", "main", "200m", "512Mi"),
    ("argo/clickstream/load", "main", "1500m", "4Gi"),
    ("argo/nightly-scores/score", "main", "250m", "768Mi"),
])]
#[case::cronjob("cronjob", &[("cronjob/nightly-report", "report", "350m", "896Mi")])]
#[case::dagster("dagster", &[
    ("dagster-run/nightly_report", "dagster", "150m", "384Mi"),
    ("dagster-step/nightly_report/extract", "dagster", "600m", "5Gi"),
])]
#[case::prefect("prefect", &[("prefect/load-customers/prod", "prefect-job", "450m", "1100Mi")])]
#[case::spark("spark", &[
    ("spark-driver/nightly-join", "spark-kubernetes-driver", "700m", "6Gi"),
    ("spark-executor/nightly-join", "spark-kubernetes-executor", "800m", "7Gi"),
])]
fn what_an_engine_creates_is_stored_with_the_recommended_sizes(
    #[case] engine: &str,
    #[case] recommended: &'static [Sized],
) {
    let test = format!("what_an_engine_creates_is_stored_with_the_recommended_sizes::{engine}");
    let Some(cluster) = cluster(&test) else { return };
    let setup = Setup {
        recommended: recommended
            .iter()
            .map(|(workload, container, cpu, memory)| {
                (*workload, *container, json!({"cpuRequest": cpu, "memoryRequest": memory, "memoryLimit": memory}))
            })
            .collect(),
        ..Setup::default()
    };
    let webhook = Webhook::start(cluster, engine, &setup);
    let pods = match create_pods(engine, &webhook.namespace, IMAGE) {
        Asked::Created(pods) => pods,
        Asked::Refused(said) => panic!("{engine}: {said}"),
        Asked::NotHere(reason) => return skipped(&test, &reason),
    };
    assert!(!pods.is_empty());
    for pod in &pods {
        let workload = workload(pod);
        let sized = recommended.iter().find(|(w, ..)| *w == workload);
        let (_, container, cpu, memory) = sized.unwrap_or_else(|| panic!("{workload} is not expected"));
        let stored = sizes(pod, container);
        for (what, wanted) in [("/requests/cpu", cpu), ("/requests/memory", memory), ("/limits/memory", memory)] {
            let stored = stored.pointer(what).and_then(Value::as_str).unwrap_or_else(|| panic!("{workload}: {what}"));
            assert_eq!(quantity(stored), quantity(wanted), "{workload}: {what}");
        }
        let record = pod["metadata"]["annotations"]["podfit.dev/resized"].as_str();
        let record: Value = serde_json::from_str(record.unwrap_or_else(|| panic!("{workload}: no record"))).unwrap();
        let from = record["containers"][*container]["from"]["memoryLimit"].as_str().unwrap();
        assert_eq!(quantity(from), quantity(MEMORY), "{workload}");
    }
    for metric in ["apiserver_admission_webhook_rejection_count", "apiserver_admission_webhook_fail_open_count"] {
        assert_eq!(webhook.counted_by_the_api_server(metric), 0.0, "{metric}");
    }
}

#[rstest]
#[case::airflow("airflow")]
#[case::cronjob("cronjob")]
#[case::spark("spark")]
fn what_an_engine_creates_against_a_ban_is_refused_with_the_reason(#[case] engine: &str) {
    let test = format!("what_an_engine_creates_against_a_ban_is_refused_with_the_reason::{engine}");
    let Some(cluster) = cluster(&test) else { return };
    let webhook = Webhook::start(cluster, &format!("no-{engine}"), &Setup::default());
    match create_pods(engine, &webhook.namespace, "registry.example/etl:latest") {
        Asked::Refused(said) => assert!(said.contains("latest-tag"), "{said}"),
        Asked::Created(pods) => panic!("created against the rule: {pods:#?}"),
        Asked::NotHere(reason) => skipped(&test, &reason),
    }
}

fn workload(pod: &Value) -> String {
    let identity = identify(&pod_facts(pod, "default").unwrap(), &IdentityRules::default());
    identity.unwrap_or_else(|unknown| panic!("{unknown}: {pod:#}")).workload.to_string()
}

fn quantity(text: &str) -> Quantity {
    text.parse().unwrap()
}
