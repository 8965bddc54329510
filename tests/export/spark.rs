//! The model of Spark's memory beside the pods that spark-submit makes, and a recommendation's settings back through
//! it.

use podfit::fit::spark::{Application, Conf, Role, Version, driver, executor};
use podfit::quantity::Quantity;
use rstest::rstest;
use serde_json::{Value, json};

use super::support::cluster::{Namespace, cluster};
use super::support::engine_client::{Asked, ask};
use super::support::prometheus_server::skipped;
use super::{exported, recommended};

const IMAGE: &str = "registry.example/spark:1";

fn conf(text: &str) -> Conf {
    text.split_whitespace().map(|pair| pair.split_once('=').unwrap()).map(|(k, v)| (k.into(), v.into())).collect()
}

/// The driver's and the executor's pod; `None` where Spark cannot run here.
fn submitted(test: &str, environment: &str, python: bool, conf: &Conf, namespace: &Namespace) -> Option<[Value; 2]> {
    let given = json!({"environment": environment, "python": python, "conf": conf}).to_string();
    match ask("spark-sizes", namespace, IMAGE, Some(&given)) {
        Asked::Created(mut pods) => {
            pods.sort_by_key(|pod| pod["metadata"]["labels"]["spark-role"].as_str().unwrap().to_owned());
            Some(pods.try_into().unwrap())
        }
        Asked::Refused(said) => panic!("{environment}: {said}"),
        Asked::NotHere(reason) => {
            skipped(test, &reason);
            None
        }
    }
}

fn asked(pod: &Value, place: &str) -> Option<Quantity> {
    pod["spec"]["containers"][0]["resources"].pointer(place).map(|value| Quantity::from_json(value).unwrap())
}

/// Settings → pod → model: the same numbers. Then a recommendation → settings → pod: exactly the recommended total.
#[rstest]
#[case::v3_2("3.2", "spark32", true, "spark.driver.memory=3g spark.executor.memory=5g spark.executor.memoryOverheadFactor=0.9
    spark.executor.pyspark.memory=300m spark.memory.offHeap.enabled=true spark.memory.offHeap.size=100m spark.executor.cores=3")]
#[case::v3_3("3.3", "spark33", false, "spark.driver.memory=3g spark.driver.memoryOverheadFactor=0.3 spark.executor.memory=5g
    spark.kubernetes.memoryOverheadFactor=0.2 spark.executor.pyspark.memory=300m spark.kubernetes.executor.request.cores=700m")]
#[case::v3_5(
    "3.5",
    "spark35",
    true,
    "spark.driver.memory=3001m spark.driver.minMemoryOverhead=2g spark.executor.memory=5g
    spark.executor.memoryOverheadFactor=0.33 spark.kubernetes.executor.limit.cores=2 spark.memory.offHeap.size=1g"
)]
#[case::v4_3(
    "4.3",
    "spark",
    false,
    "spark.driver.minMemoryOverhead=700m spark.executor.memory=1500m spark.executor.minMemoryOverhead=100m
    spark.memory.offHeap.enabled=true spark.memory.offHeap.size=64m spark.kubernetes.driver.request.cores=250m"
)]
fn spark_submit_agrees_both_ways(
    #[case] of: &str,
    #[case] environment: &str,
    #[case] python: bool,
    #[case] settings: &str,
) {
    let test = format!("spark_submit_agrees_both_ways::{environment}");
    let Some(cluster) = cluster(&test) else { return };
    let namespace = cluster.namespace("sizes");
    let settings = conf(settings);
    let version: Version = of.parse().unwrap();
    let kind = if python { Application::Python } else { Application::Jvm };
    let Some(pods) = submitted(&test, environment, python, &settings, &namespace) else { return };
    let modelled = [driver(&settings, version, kind).unwrap(), executor(&settings, version, kind, None).unwrap()];
    for (pod, size) in pods.iter().zip(modelled) {
        let memory = Some(Quantity::from_bytes(size.memory.total_mib() << 20));
        assert_eq!((asked(pod, "/requests/memory"), asked(pod, "/limits/memory")), (memory, memory), "{size:?}");
        assert_eq!((asked(pod, "/requests/cpu"), asked(pod, "/limits/cpu")), (Some(size.cpu_request), size.cpu_limit));
    }
    let more = cluster.namespace("sizes");
    let totals = ["2345Mi", "6789Mi"];
    // The executors' heap is known, and another one is recommended.
    let heaps = [None, Some(5000_u64)];
    let entries: Vec<Value> = Role::ALL
        .iter()
        .zip(totals)
        .zip(heaps)
        .map(|((role, total), heap)| {
            let spark = heap.map(|heap| {
                json!({"heapBytes": heap << 20, "heapIsProven": true,
                "overheadBytes": (6789 - heap) << 20, "heapNowBytes": 1024 << 20, "totalNowBytes": 1408 << 20})
            });
            json!({"spark": spark,
                "namespace": more.name, "workload": format!("spark-{}/nightly-join", role.as_str()), "container": "c",
                "current": {"memoryRequest": "1408Mi", "memoryLimit": "1408Mi"},
                "recommended": {"cpuRequest": "1234m", "memoryRequest": total, "memoryLimit": total}})
        })
        .collect();
    // Python and off-heap memory are not in the totals that are recommended here.
    let mut back = conf("spark.kubernetes.memoryOverheadFactor=0.7");
    back.extend(exported_conf(&entries));
    let Some(pods) = submitted(&test, environment, false, &back, &more) else { return };
    for ((pod, total), heap) in pods.iter().zip(totals).zip(heaps) {
        let env = pod["spec"]["containers"][0]["env"].as_array().unwrap();
        let given = env.iter().find(|variable| variable["name"] == "SPARK_EXECUTOR_MEMORY");
        assert_eq!(given.map(|given| given["value"].clone()), heap.map(|heap| json!(format!("{heap}m"))), "{back:?}");
        let total = Some(total.parse().unwrap());
        assert_eq!((asked(pod, "/requests/memory"), asked(pod, "/limits/memory")), (total, total), "{back:?}");
        assert_eq!(asked(pod, "/requests/cpu"), Some("1234m".parse().unwrap()));
    }
}

/// The lines of `spark-defaults.conf` that the command prints.
fn exported_conf(entries: &[Value]) -> Conf {
    let (_folder, file) = recommended(entries);
    let file = file.to_str().unwrap();
    let ran = super::support::cli::podfit(["export", "--recommendations", file]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{ran:?}");
    let lines = ran.stdout.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    lines.map(|line| line.split_once(' ').unwrap()).map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

#[test]
fn arguments_are_the_lines_of_the_file() {
    let entry = json!({"namespace": "n", "workload": "spark-executor/a", "container": "c",
        "current": {"memoryLimit": "1408Mi"}, "recommended": {"memoryRequest": "2Gi", "memoryLimit": "2Gi"}});
    let text = exported(&entry, "spark-submit");
    let arguments: Vec<&str> = text.lines().filter(|line| line.starts_with("--conf")).collect();
    assert_eq!(arguments, ["--conf spark.executor.memory=1024m \\", "--conf spark.executor.memoryOverhead=1024m"]);
}
