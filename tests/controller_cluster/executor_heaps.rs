//! `executorHeaps`: with an executor that Spark itself makes, on a real API server. With the policy its container has
//! the recommended heap and the memory that belongs to it, and the pod's record says so; without, it keeps its own
//! heap.

use podfit::fit::EXECUTOR_HEAP;
use rstest::rstest;
use serde_json::{Value, json};

use super::scene::define;
use super::spark_operator::recommend;
use super::support::cluster::cluster;
use super::support::engine_client::{Asked, create_pods};
use super::support::prometheus_server::skipped;
use super::support::webhook::{Setup, Webhook};

const IMAGE: &str = "registry.example/etl:1.4";
const CONTAINER: &str = "spark-kubernetes-executor";
/// What Spark is told to give an executor, in MiB; 2 GiB with what is beside it.
const ASKED_HEAP: u64 = 1664;
/// What is recommended: heap, and what is beside it.
const HEAP: u64 = 700;
const OVERHEAD: u64 = 450;

#[rstest]
#[case::with_the_policy("as-recommended", HEAP)]
#[case::without("as-they-come", ASKED_HEAP)]
fn an_executor_that_spark_makes_has_the_heap_that_the_policy_says(#[case] heaps: &str, #[case] expected: u64) {
    let test = format!("an_executor_that_spark_makes_has_the_heap_that_the_policy_says::{heaps}");
    let Some(cluster) = cluster(&test) else { return };
    define(cluster);
    let namespace = cluster.namespace("heaps");
    recommend(&namespace, "spark-executor/nightly-join", "executor", (HEAP, OVERHEAD), ASKED_HEAP, true);
    let arguments = ["--lease", "{namespace}/podfit", "--watch-namespaces", "{namespace}", "--policy"];
    let mut arguments: Vec<String> = arguments.map(str::to_owned).into();
    arguments.push("{dir}/policy.yaml".to_owned());
    let policy = format!("rollout: {{mode: apply}}\nexecutorHeaps: {heaps}\n");
    let webhook = Webhook::start_in(namespace, &Setup { policy, arguments, ..Setup::default() });

    let pods = match create_pods("spark", &webhook.namespace, IMAGE) {
        Asked::Created(pods) => pods,
        Asked::Refused(said) => panic!("{said}\npodfit said:\n{}", webhook.serve.log()),
        Asked::NotHere(reason) => return skipped(&test, &reason),
    };
    let executor = pods.iter().find(|pod| pod["metadata"]["labels"]["spark-role"] == "executor").unwrap();
    let container = &executor["spec"]["containers"][0];
    assert_eq!(container["name"], CONTAINER);
    assert_eq!(heap_of(container), format!("{expected}m"), "{container:#}");
    let total = format!("{}Mi", expected + OVERHEAD);
    for list in ["requests", "limits"] {
        assert_eq!(container["resources"][list]["memory"], total, "{container:#}");
    }

    let record = executor["metadata"]["annotations"]["podfit.dev/resized"].as_str().unwrap();
    let record: Value = serde_json::from_str(record).unwrap();
    let change = &record["containers"][CONTAINER];
    assert_eq!((&change["from"]["memoryLimit"], &change["to"]["memoryLimit"]), (&json!("2Gi"), &json!(total)));
    let heap = (expected != ASKED_HEAP).then(|| json!({"from": format!("{ASKED_HEAP}Mi"), "to": format!("{HEAP}Mi")}));
    assert_eq!(change.get("heap").cloned(), heap, "{record:#}");

    let driver = pods.iter().find(|pod| pod["metadata"]["labels"]["spark-role"] == "driver").unwrap();
    assert_eq!(driver["spec"]["containers"][0]["resources"]["limits"]["memory"], "2Gi", "nothing is known of it");
    for metric in ["apiserver_admission_webhook_rejection_count", "apiserver_admission_webhook_fail_open_count"] {
        assert_eq!(webhook.counted_by_the_api_server(metric), 0.0, "{metric}");
    }
}

fn heap_of(container: &Value) -> &str {
    let env = container["env"].as_array().unwrap();
    env.iter().find(|variable| variable["name"] == EXECUTOR_HEAP).unwrap()["value"].as_str().unwrap()
}
