//! A run of an engine is killed for memory, and the engine's own next try comes out of admission with the ladder's next
//! step. The engines' own code makes all pods; who makes the next one is said at each case. kwok writes the kills.

use std::collections::BTreeMap;

use podfit::controller::recommend::object::{identity as object_of, name_of, with_status};
use podfit::quantity::Quantity;
use podfit::recommendation::status::{ContainerStatus, Status};
use podfit::workload::{IdentityRules, Workload, identify, pod_facts};
use rstest::rstest;
use serde_json::Value;

use super::scene::{PODFIT, define};
use super::support::cluster::{Namespace, cluster, until};
use super::support::engine_client::{Asked, Client};
use super::support::prometheus_server::skipped;
use super::support::webhook::{Setup, Webhook};

const IMAGE: &str = "registry.example/etl:1.4";

/// A workload that is killed: its container, its recommended memory, and the ladder above it.
struct Killed {
    workload: &'static str,
    container: &'static str,
    memory: &'static str,
    ladder: [&'static str; 2],
}

fn killed(workload: &'static str, container: &'static str, memory: &'static str, next: &'static str) -> Killed {
    Killed { workload, container, memory, ladder: [next, "48Gi"] }
}

#[rstest]
// The scheduler, with the next `try_number`.
#[case::airflow("airflow", vec![
    killed("airflow-pod/nightly_sales_etl/aggregate", "base", "3Gi", "5Gi"),
    killed("airflow-task/nightly_sales_etl/extract_orders", "base", "640Mi", "2600Mi"),
])]
// The workflow-controller, by the template's `retryStrategy`.
#[case::argo("argo", vec![killed("argo/clickstream/extract", "main", "512Mi", "2500Mi")])]
// The run's `k8s_job_executor`, by the op's retry policy.
#[case::dagster("dagster", vec![killed("dagster-step/nightly_report/extract", "dagster", "5Gi", "8Gi")])]
// The worker, with the same flow run.
#[case::prefect("prefect", vec![killed("prefect/load-customers/prod", "prefect-job", "1100Mi", "2300Mi")])]
// Who submits the application, for a driver; the driver, for an executor. Never below heap and overhead, 2 GiB here.
#[case::spark("spark", vec![
    killed("spark-driver/nightly-join", "spark-kubernetes-driver", "6Gi", "9Gi"),
    killed("spark-executor/nightly-join", "spark-kubernetes-executor", "7Gi", "12Gi"),
])]
fn the_next_try_after_a_kill_gets_the_ladders_next_step(#[case] engine: &str, #[case] all: Vec<Killed>) {
    let test = format!("the_next_try_after_a_kill_gets_the_ladders_next_step::{engine}");
    let Some(cluster) = cluster(&test) else { return };
    define(cluster);
    let namespace = cluster.namespace(engine);
    for one in &all {
        recommend(&namespace, one);
    }
    let arguments = ["--lease", "{namespace}/podfit", "--watch-namespaces", "{namespace}", "--policy"];
    let mut arguments: Vec<String> = arguments.map(str::to_owned).into();
    arguments.push("{dir}/policy.yaml".to_owned());
    let policy = "rollout: {mode: apply}\n".to_owned();
    let webhook = Webhook::start_in(namespace, &Setup { policy, arguments, ..Setup::default() });

    let mut client = match Client::of_killed(engine, &webhook.namespace, IMAGE) {
        Ok(client) => client,
        Err(reason) => return skipped(&test, &reason),
    };
    let mut made = || match client.pods() {
        Asked::Created(pods) => Ok(sizes_of(&pods, &all)),
        Asked::Refused(said) => panic!("{engine}: {said}\npodfit said:\n{}", webhook.serve.log()),
        Asked::NotHere(reason) => Err(reason),
    };
    let first = match made() {
        Ok(first) => first,
        Err(reason) => return skipped(&test, &reason),
    };
    assert_eq!(first, all.iter().map(|one| (one.workload, quantity(one.memory))).collect());

    // What the administrator sees of it.
    for one in &all {
        let path = format!("recommendations/{}", name_of(&workload(&webhook.namespace.name, one.workload)));
        let seen = until(&format!("the kill of {} is in its recommendation", one.workload), || {
            webhook.namespace.find(PODFIT, &path).filter(|o| o["status"]["containers"][0]["kill"].is_object())
        });
        let container = &seen["status"]["containers"][0];
        assert_eq!(container["kill"]["limit"], one.memory, "{seen:#}");
        assert_eq!(container["recommended"]["memoryLimit"], one.ladder[0], "{seen:#}");
    }
    client.go_on();
    let next = match client.pods() {
        Asked::Created(pods) => sizes_of(&pods, &all),
        Asked::Refused(said) | Asked::NotHere(said) => panic!("{engine}: {said}"),
    };
    assert_eq!(next, all.iter().map(|one| (one.workload, quantity(one.ladder[0]))).collect());
    for metric in ["apiserver_admission_webhook_rejection_count", "apiserver_admission_webhook_fail_open_count"] {
        assert_eq!(webhook.counted_by_the_api_server(metric), 0.0, "{metric}");
    }
}

/// What an earlier leader has left behind.
fn recommend(namespace: &Namespace, one: &Killed) {
    let workload = workload(&namespace.name, one.workload);
    namespace.create(PODFIT, "recommendations", &object_of(&workload));
    let memory = Some(quantity(one.memory));
    let mut container = ContainerStatus { name: one.container.to_owned(), ..ContainerStatus::default() };
    container.recommended.memory_request = memory;
    container.recommended.memory_limit = memory;
    container.memory_ladder = one.ladder.map(quantity).into();
    let status = with_status(&workload, &Status { containers: vec![container], ..Status::default() });
    let path = format!("{PODFIT}/namespaces/{}/recommendations/{}/status", namespace.name, name_of(&workload));
    namespace.cluster.request("PATCH", &path, Some(&status)).unwrap();
}

/// The memory limits of the pods that are to be killed, by workload.
fn sizes_of(pods: &[Value], all: &[Killed]) -> BTreeMap<&'static str, Quantity> {
    let of = |pod: &Value| {
        let identity = identify(&pod_facts(pod, "default").unwrap(), &IdentityRules::default()).unwrap();
        let text = identity.workload.to_string();
        let one = all.iter().find(|one| one.workload == text)?;
        let containers = pod["spec"]["containers"].as_array().unwrap();
        let container = containers.iter().find(|c| c["name"] == one.container).unwrap();
        Some((one.workload, quantity(container["resources"]["limits"]["memory"].as_str().unwrap())))
    };
    pods.iter().filter_map(of).collect()
}

fn workload(namespace: &str, text: &str) -> Workload {
    Workload::parse(namespace, text).unwrap()
}

fn quantity(text: &str) -> Quantity {
    text.parse().unwrap()
}
