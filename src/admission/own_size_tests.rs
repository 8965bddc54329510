//! Pods that say of themselves what their size depends on: how large their input is, how large a heap they have.
#![allow(clippy::needless_pass_by_value)] // rstest hands its cases over

use std::sync::Arc;

use rstest::rstest;
use serde_json::{Value, json};

use super::answer_tests::{create, known, ops, pod, replied, warnings};
use super::*;
use crate::fit::spark::Divided;
use crate::policy::ExecutorHeaps;
use crate::recommendation::Kill;
use crate::sizing::InputSize;
use crate::workload::{Kind, Workload};

/// The memory limit of the only container after the patch.
fn memory_after(object: &Value, response: &Value) -> Value {
    let mut after = object.clone();
    apply(&mut after, &ops(response)).unwrap();
    after["spec"]["containers"][0]["resources"]["limits"]["memory"].clone()
}

/// What is enough for inputs of up to 1 and 5 GB; 1Gi beyond.
fn known_by_input() -> Snapshot {
    let mut known = known();
    let namespace = known.namespace_mut("sales");
    for recommended in Arc::make_mut(&mut namespace.recommendations).values_mut() {
        let size = |up_to_input_bytes, mib: u64| InputSize { up_to_input_bytes, bytes: mib << 20 };
        let sizes = Box::new([size(1_000_000_000, 256), size(5_000_000_000, 512)]);
        Arc::make_mut(recommended).by_input = vec![("main".into(), sizes)];
    }
    known
}

#[rstest]
#[case::small("1G", "256Mi")]
#[case::between("1000000001", "512Mi")]
#[case::larger_than_any_seen("5.1G", "1Gi")]
#[case::not_readable("large", "1Gi")]
#[case::negative("-1", "1Gi")]
fn a_pod_that_says_how_large_its_input_is_gets_what_is_enough_for_it(#[case] input: &str, #[case] memory: &str) {
    let known = known_by_input();
    let mut object = pod();
    object["metadata"]["annotations"] = json!({"podfit.dev/input-bytes": input});
    let (response, _) = replied(Entry::Mutate, create(&object), &known);
    assert_eq!(memory_after(&object, &response), memory);
    let mut labelled = pod();
    labelled["metadata"]["labels"]["podfit.dev/input-bytes"] = json!(input);
    let (response_to_label, _) = replied(Entry::Mutate, create(&labelled), &known);
    assert_eq!(memory_after(&labelled, &response_to_label), memory, "a label says as much");
    let told = warnings(&response).iter().any(|line| line.contains("memory is that for an input of"));
    assert_eq!(told, memory != "1Gi", "{response}");
    let (without, _) = replied(Entry::Mutate, create(&pod()), &known);
    assert_eq!(memory_after(&pod(), &without), "1Gi");
}

#[test]
fn after_a_kill_at_what_was_enough_for_an_input_the_next_try_gets_what_any_run_gets() {
    let mut known = known_by_input();
    let at = jiff::Timestamp::from_millisecond(7).unwrap();
    let kill = Kill { limit: "256Mi".parse().unwrap(), lowered_from: None, at, pod: String::new() };
    let kills = [("main".to_owned(), kill)].into();
    known.namespace_mut("sales").kills = Arc::new([(Workload::new("sales", Kind::Cronjob, ["load"]), kills)].into());
    let mut object = pod();
    object["metadata"]["annotations"] = json!({"podfit.dev/input-bytes": "1G"});
    let (response, _) = replied(Entry::Mutate, create(&object), &known);
    assert_eq!(memory_after(&object, &response), "1Gi");
}

/// An executor's heap is in its container, a driver's is not: each keeps its own, and gets what belongs beside it.
#[rstest]
#[case::the_heap_it_was_learned_with("executor", Some("4g"), "4505Mi", Some("4914Mi"))]
#[case::a_larger_one_with_a_tenth_of_it("executor", Some("8g"), "10Gi", Some("9012Mi"))]
#[case::a_smaller_one_in_too_much("executor", Some("1804m"), "4505Mi", Some("2622Mi"))]
#[case::one_that_nobody_sees("executor", None, "4505Mi", Some("4914Mi"))]
#[case::a_driver("driver", None, "4505Mi", Some("4914Mi"))]
#[case::a_driver_is_never_lowered("driver", None, "8Gi", None)]
fn a_spark_pod_keeps_its_heap(
    #[case] role: &str,
    #[case] heap: Option<&str>,
    #[case] asked: &str,
    #[case] expected: Option<&str>,
) {
    let name = format!("spark-kubernetes-{role}");
    let pod = spark_pod(role, heap, asked);
    let kind = if role == "driver" { Kind::SparkDriver } else { Kind::SparkExecutor };
    let known = known_of_spark(kind, &name, true);
    let (response, seen) = replied(Entry::Mutate, create(&pod), &known);
    assert_eq!(seen.outcome == Outcome::Resized, expected.is_some(), "{response:#}");
    let mut after = pod.clone();
    apply(&mut after, &ops(&response)).unwrap();
    let memory = &after["spec"]["containers"][0]["resources"]["limits"]["memory"];
    assert_eq!(memory, expected.unwrap_or(asked));
}

fn spark_pod(role: &str, heap: Option<&str>, asked: &str) -> Value {
    let mut pod = pod();
    pod["metadata"] = json!({"name": "daily-1", "labels": {"spark-role": role, "spark-app-name": "daily"}});
    let container = &mut pod["spec"]["containers"][0];
    container["name"] = json!(format!("spark-kubernetes-{role}"));
    container["resources"] = json!({"requests": {"cpu": "2", "memory": asked}, "limits": {"memory": asked}});
    let heap = heap.map(|heap| json!({"name": "SPARK_EXECUTOR_MEMORY", "value": heap}));
    container["env"] = json!([{"name": "SPARK_USER", "value": "spark"}]);
    container["env"].as_array_mut().unwrap().extend(heap);
    pod
}

/// The heap is to shrink and what is beside it to grow.
fn known_of_spark(kind: Kind, container: &str, heap_is_proven: bool) -> Snapshot {
    let divided =
        Divided { heap_mib: 1804, heap_is_proven, overhead_mib: 818, heap_now_mib: 4096, total_now_mib: 4505 };
    let size = serde_json::from_value(json!({"memoryRequest": "2622Mi", "memoryLimit": "2622Mi"})).unwrap();
    let recommended = Recommended {
        containers: [(container.to_owned(), size)].into_iter().collect(),
        divided: vec![(container.into(), divided)],
        ..Recommended::default()
    };
    let mut known = Snapshot::default();
    let workload = Workload::new("sales", kind, ["daily"]);
    Arc::make_mut(&mut known.namespace_mut("sales").recommendations).insert(workload, Arc::new(recommended));
    known
}

/// The heap and the limit that an executor of 4 GiB of heap in 4505 MiB is stored with; a second turn changes nothing.
fn executor_stored(known: &Snapshot, mut pod: Value) -> (String, String) {
    for turn in 0..2 {
        let (response, _) = replied(Entry::Mutate, create(&pod), known);
        if response.get("patch").is_some() {
            assert_eq!(turn, 0, "{response:#}");
            apply(&mut pod, &ops(&response)).unwrap();
        }
    }
    let container = &pod["spec"]["containers"][0];
    let memory = |what: &str| container["resources"][what]["memory"].as_str().unwrap().to_owned();
    assert_eq!(memory("requests"), memory("limits"));
    (container["env"][1]["value"].as_str().unwrap().to_owned(), memory("limits"))
}

#[test]
fn an_executor_gets_the_proven_heap_where_the_policy_says_so() {
    let stored = |policy, heap_is_proven, change: &dyn Fn(&mut Snapshot, &mut Value)| {
        let mut known = known_of_spark(Kind::SparkExecutor, "spark-kubernetes-executor", heap_is_proven);
        known.executor_heaps = policy;
        let mut pod = spark_pod("executor", Some("4g"), "4505Mi");
        change(&mut known, &mut pod);
        executor_stored(&known, pod)
    };
    let sizes = |heap: &str, memory: &str| (heap.to_owned(), memory.to_owned());
    let nothing = |_: &mut Snapshot, _: &mut Value| {};
    let (set, kept) = (ExecutorHeaps::AsRecommended, ExecutorHeaps::default());
    assert_eq!(stored(set, true, &nothing), sizes("1804m", "2622Mi"));
    assert_eq!(stored(kept, true, &nothing), sizes("4g", "4914Mi"), "by explicit policy alone");
    assert_eq!(stored(set, false, &nothing), sizes("4g", "4914Mi"), "nothing is guessed");
    let floor = |known: &mut Snapshot, _: &mut Value| known.bounds.memory.floor = Some("4Gi".parse().unwrap());
    assert_eq!(stored(set, true, &floor), sizes("4g", "4914Mi"), "both or neither");
    let opted_out = |_: &mut Snapshot, pod: &mut Value| {
        pod["metadata"]["annotations"] = json!({"podfit.dev/resize": "off"});
    };
    assert_eq!(stored(set, true, &opted_out), sizes("4g", "4505Mi"));
    let mut known = known_of_spark(Kind::SparkExecutor, "spark-kubernetes-executor", true);
    known.executor_heaps = set;
    for (heap, asked, told) in [
        ("4g", "4505Mi", "heap 4Gi → 1804Mi, memory 4505Mi → 2622Mi"),
        ("4g", "2622Mi", "heap 4Gi → 1804Mi; past runs"),
    ] {
        let mut pod = spark_pod("executor", Some(heap), asked);
        let (response, _) = replied(Entry::Mutate, create(&pod), &known);
        assert!(response["warnings"][0].as_str().unwrap().contains(told), "{response:#}");
        apply(&mut pod, &ops(&response)).unwrap();
        let record = pod["metadata"]["annotations"]["podfit.dev/resized"].as_str().unwrap();
        let record: Value = serde_json::from_str(record).unwrap();
        let heap = &record["containers"]["spark-kubernetes-executor"]["heap"];
        assert_eq!(*heap, json!({"from": "4Gi", "to": "1804Mi"}), "{record:#}");
    }
    let by_reference = |_: &mut Snapshot, pod: &mut Value| {
        let heap = &mut pod["spec"]["containers"][0]["env"][1];
        heap["value"] = json!("$(HEAP)");
    };
    assert_eq!(stored(set, true, &by_reference), sizes("$(HEAP)", "4914Mi"));
}
