use std::collections::HashMap;
use std::sync::Arc;

use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::admission::patch::apply;
use crate::admission::snapshot::Recommended;
use crate::fit::LimitRanges;
use crate::fit::spark::Divided;
use crate::policy::{Applications, Range};
use crate::workload::Workload;

fn recommendations(entries: &[(&str, &str, &str)]) -> Recommendations {
    let quantity = |text: &str| Some(text.parse::<Quantity>().unwrap()).filter(|q| !q.is_zero());
    let of = |(workload, cpu, memory): &(&str, &str, &str)| {
        let memory = quantity(memory);
        let size = ContainerResources {
            cpu_request: quantity(cpu),
            cpu_limit: None,
            memory_request: memory,
            memory_limit: memory,
        };
        let containers = [("main".to_owned(), size)].into_iter().collect();
        let workload = Workload::parse("jobs", workload).unwrap();
        (workload, Arc::new(Recommended { id: "r1".to_owned(), containers, ..Recommended::default() }))
    };
    entries.iter().map(of).collect::<HashMap<_, _>>()
}

fn sized_in(object: &Value, known: &Recommendations, constraints: &Constraints, bounds: &Bounds) -> Resizing {
    let identity = IdentityRules::default();
    size(&Application { object, namespace: "jobs", recommendations: known, identity: &identity, constraints, bounds })
}

fn sized(object: &Value, known: &Recommendations) -> Resizing {
    sized_in(object, known, &Constraints::default(), &Bounds::default())
}

/// The object as it is stored; a second turn must not change it any more.
fn stored(object: &Value, known: &Recommendations) -> Value {
    let mut after = object.clone();
    apply(&mut after, &sized(object, known).ops).unwrap();
    let again = sized(&after, known);
    assert_eq!((again.ops, again.changes), (Vec::new(), BTreeMap::new()), "a second turn changes nothing");
    after
}

fn kubeflow() -> Value {
    json!({"apiVersion": "sparkoperator.k8s.io/v1beta2", "kind": "SparkApplication",
        "metadata": {"name": "basket-affinity", "namespace": "jobs"},
        "spec": {"type": "Scala", "sparkVersion": "3.5.7", "mode": "cluster",
            "driver": {"cores": 1, "memory": "1g"},
            "executor": {"instances": 3, "cores": 2, "memory": "4g", "labels": {"team": "sales"}}}})
}

#[test]
fn memory_and_overhead_are_set_together_and_the_heap_stays() {
    let known = recommendations(&[
        ("spark-driver/basket-affinity", "400m", "2Gi"),
        ("spark-executor/basket-affinity", "1500m", "5427Mi"),
    ]);
    let after = stored(&kubeflow(), &known);
    assert_eq!(
        after["spec"]["driver"],
        json!({"cores": 1, "coreRequest": "400m", "memory": "1024m", "memoryOverhead": "1024m"})
    );
    let executor = &after["spec"]["executor"];
    assert_eq!((&executor["memory"], &executor["memoryOverhead"]), (&json!("4096m"), &json!("1331m")));
    assert_eq!((&executor["coreRequest"], &executor["cores"]), (&json!("1500m"), &json!(2)), "task slots stay");
    assert!(after["metadata"].get("labels").is_none(), "operators copy labels to the pods of all roles");
    let record = after["metadata"]["annotations"]["podfit.dev/resized"].as_str().unwrap();
    assert!(record.contains("\"memoryLimit\":\"4505Mi\"") && record.contains("\"memoryLimit\":\"5427Mi\""), "{record}");
    let warnings = sized(&kubeflow(), &known).warnings;
    assert_eq!(
        warnings[1],
        "podfit: executor: memory 4505Mi → 5427Mi, cpu request 2 → 1500m; past runs of spark-executor/basket-affinity"
    );
}

/// One recommendation, divided: 4505Mi with 4096 of heap, as the runs had, to what is said here.
fn divided(heap_mib: u64, heap_is_proven: bool, overhead_mib: u64) -> Recommendations {
    let total = format!("{}Mi", heap_mib + overhead_mib);
    let mut known = recommendations(&[("spark-executor/basket-affinity", "0", &total)]);
    for recommended in known.values_mut() {
        let divided = Divided { heap_mib, heap_is_proven, overhead_mib, heap_now_mib: 4096, total_now_mib: 4505 };
        Arc::make_mut(recommended).divided = vec![("main".into(), divided)];
    }
    known
}

#[rstest]
#[case::a_proven_heap_is_lowered((1804, true, 409), json!({"memory": "4g"}), ("1804m", "409m"))]
#[case::a_full_heap_grows((8192, true, 820), json!({"memory": "4g"}), ("8192m", "820m"))]
#[case::its_author_has_raised_what_is_proven((1804, true, 409), json!({"memory": "9g"}), ("1804m", "409m"))]
#[case::what_is_not_proven_stays((4096, false, 818), json!({"memory": "4g"}), ("4096m", "818m"))]
#[case::what_its_author_has_raised_stays((4096, false, 818), json!({"memory": "9g", "memoryOverhead": "4g"}), ("9216m", "922m"))]
#[case::never_less_than_spark_starts_with((300, true, 409), json!({"memory": "4g"}), ("450m", "409m"))]
fn heap_and_overhead_are_set_as_they_are_recommended(
    #[case] (heap, proven, overhead): (u64, bool, u64),
    #[case] executor: Value,
    #[case] expected: (&str, &str),
) {
    let mut object = kubeflow();
    object["spec"]["executor"] = executor;
    let after = stored(&object, &divided(heap, proven, overhead));
    let executor = &after["spec"]["executor"];
    assert_eq!((&executor["memory"], &executor["memoryOverhead"]), (&json!(expected.0), &json!(expected.1)));
}

#[test]
fn off_heap_and_python_are_beside_a_heap_that_changes() {
    let mut object = kubeflow();
    object["spec"]["sparkConf"] = json!({"spark.memory.offHeap.enabled": true, "spark.memory.offHeap.size": "1g"});
    let after = stored(&object, &divided(1804, true, 2000));
    assert_eq!(after["spec"]["executor"]["memory"], "1804m");
    assert_eq!(after["spec"]["executor"]["memoryOverhead"], "976m", "1024m of the 2000m are off-heap");
}

#[test]
fn a_heap_that_should_grow_stays_where_its_pod_may_not() {
    let quotas = vec![crate::fit::Quota::unknown("podfit may not list them")];
    let constraints = Constraints { quotas, ..Constraints::default() };
    let resizing = sized_in(&kubeflow(), &divided(8192, true, 820), &constraints, &Bounds::default());
    assert_eq!((resizing.ops, resizing.changes.len()), (Vec::new(), 0), "{:?}", resizing.warnings);
    let range = json!({"spec": {"limits": [{"type": "Container", "max": {"memory": "6Gi"}}]}});
    let constraints = Constraints { limit_ranges: LimitRanges::of_objects([&range]), ..Constraints::default() };
    let resizing = sized_in(&kubeflow(), &divided(8192, true, 820), &constraints, &Bounds::default());
    assert_eq!(resizing.ops, Vec::new(), "half of both is neither: {:?}", resizing.warnings);
}

#[rstest]
#[case::to_what_heap_and_overhead_need(json!({"memory": "4g", "memoryOverhead": "4g"}), "1Gi", json!({"memory": "4096m", "memoryOverhead": "410m"}))]
#[case::only_the_overhead(json!({"memory": "4g", "memoryOverhead": "4g"}), "6Gi", json!({"memory": "4096m", "memoryOverhead": "2048m"}))]
#[case::a_small_heap_keeps_the_floor(json!({"memory": "1g", "memoryOverhead": "4g"}), "1Gi", json!({"memory": "1024m", "memoryOverhead": "384m"}))]
#[case::not_below_what_it_has(json!({"memory": "4g", "memoryOverhead": "100m"}), "1Gi", json!({"memory": "4g", "memoryOverhead": "100m"}))]
#[case::defaults_stay(json!({"memory": "4g"}), "1Gi", json!({"memory": "4g"}))]
fn less_is_given_only_beside_the_heap(#[case] executor: Value, #[case] memory: &str, #[case] expected: Value) {
    let mut object = kubeflow();
    object["spec"]["executor"] = executor;
    let after = stored(&object, &recommendations(&[("spark-executor/basket-affinity", "0", memory)]));
    assert_eq!(after["spec"]["executor"], expected);
}

#[test]
fn off_heap_and_python_keep_their_parts_and_fields_win_over_settings() {
    let mut object = kubeflow();
    object["spec"]["type"] = json!("Python");
    object["spec"]["sparkConf"] = json!({"spark.executor.memory": "9g", "spark.memory.offHeap.enabled": true,
        "spark.memory.offHeap.size": "1g", "spark.executor.pyspark.memory": "512m"});
    // 4096 + 0.4 of it + 1024 + 512
    let known = recommendations(&[("spark-executor/basket-affinity", "0", "8Gi")]);
    let resizing = sized(&object, &known);
    assert_eq!(resizing.changes["executor"].from.memory_limit.unwrap().to_string(), "7270Mi");
    let after = stored(&object, &known);
    assert_eq!(after["spec"]["executor"]["memoryOverhead"], json!(format!("{}m", 8192 - 4096 - 1024 - 512)));
}

#[test]
fn runs_of_a_schedule_and_of_airflow_are_known() {
    let mut scheduled = kubeflow();
    let template = scheduled["spec"].take();
    scheduled["kind"] = json!("ScheduledSparkApplication");
    scheduled["metadata"]["name"] = json!("nightly");
    scheduled["spec"] = json!({"schedule": "@daily", "template": template});
    let known = recommendations(&[("spark-executor/nightly", "0", "5427Mi")]);
    assert_eq!(stored(&scheduled, &known)["spec"]["template"]["executor"]["memoryOverhead"], "1331m");
    // What the schedule makes of it is of that size already.
    let mut run = kubeflow();
    run["metadata"] = json!({"name": "nightly-1795327200000000000", "labels": {"sparkoperator.k8s.io/scheduled-app-name": "nightly"}});
    assert_eq!(stored(&run, &known)["spec"]["executor"]["memoryOverhead"], "1331m");

    let mut airflow = kubeflow();
    airflow["metadata"]["name"] = json!("basket-x7k2p9ab");
    let labels = json!({"dag_id": "sales", "task_id": "basket", "run_id": "r", "try_number": "1", "spark_kubernetes_operator": "True"});
    for role in ["driver", "executor"] {
        airflow["spec"][role]["labels"] = labels.clone();
    }
    let known = recommendations(&[("airflow-spark-executor/sales/basket", "0", "5427Mi")]);
    assert_eq!(stored(&airflow, &known)["spec"]["executor"]["memoryOverhead"], "1331m");
}

#[test]
fn the_apache_operators_settings() {
    let object = json!({"apiVersion": "spark.apache.org/v1", "kind": "SparkApplication", "metadata": {"name": "pi"},
        "spec": {"mainClass": "a.B", "runtimeVersions": {"sparkVersion": "4.0.0"},
            "sparkConf": {"spark.executor.memory": "4g", "spark.executor.minMemoryOverhead": "1g"}}});
    let known = recommendations(&[("spark-executor/pi", "250m", "6Gi"), ("spark-driver/pi", "0", "1408Mi")]);
    assert_eq!(
        stored(&object, &known)["spec"]["sparkConf"],
        json!({"spark.executor.memory": "4096m", "spark.executor.memoryOverhead": "2048m",
            "spark.executor.minMemoryOverhead": "1g", "spark.kubernetes.executor.request.cores": "250m"})
    );
    let mut none = object;
    none["spec"] = json!({});
    assert_eq!(stored(&none, &known)["spec"]["sparkConf"]["spark.executor.memoryOverhead"], json!("5120m"));
}

fn flink() -> Value {
    json!({"apiVersion": "flink.apache.org/v1beta1", "kind": "FlinkDeployment", "metadata": {"name": "clicks"},
        "spec": {"flinkVersion": "v2_0", "jobManager": {"resource": {"cpu": 1, "memory": "2048m"}},
            "taskManager": {"resource": {"cpu": 2.0, "memory": "2g"}}}})
}

#[test]
fn flink_is_raised_and_never_lowered() {
    let known =
        recommendations(&[("flink-jobmanager/clicks", "250m", "1Gi"), ("flink-taskmanager/clicks", "2500m", "3100Mi")]);
    let after = stored(&flink(), &known);
    assert_eq!(after["spec"]["jobManager"]["resource"], json!({"cpu": 0.25, "memory": "2048m"}));
    assert_eq!(after["spec"]["taskManager"]["resource"], json!({"cpu": 2.5, "memory": "3100m"}));
    let mut by_setting = flink();
    by_setting["spec"]["taskManager"] = json!({});
    by_setting["spec"]["flinkConfiguration"] = json!({"taskmanager": {"memory": {"process": {"size": "2 gb"}}}});
    assert_eq!(stored(&by_setting, &known)["spec"]["taskManager"]["resource"], json!({"cpu": 2.5, "memory": "3100m"}));
}

/// Both components are to be made smaller; the JVMs have proven it, or not.
fn smaller(is_proven: bool) -> Recommendations {
    let mut known =
        recommendations(&[("flink-jobmanager/clicks", "0", "1200Mi"), ("flink-taskmanager/clicks", "0", "1500Mi")]);
    for recommended in known.values_mut().filter(|_| is_proven) {
        Arc::make_mut(recommended).proven_processes = vec!["main".into()];
    }
    known
}

#[test]
fn flinks_processes_are_lowered_to_what_their_jvms_have_proven() {
    let after = stored(&flink(), &smaller(true));
    assert_eq!(after["spec"]["jobManager"]["resource"], json!({"cpu": 1, "memory": "1200m"}));
    assert_eq!(after["spec"]["taskManager"]["resource"], json!({"cpu": 2.0, "memory": "1500m"}));
    assert_eq!(stored(&flink(), &smaller(false)), flink(), "nothing is proven");
    let record = after["metadata"]["annotations"]["podfit.dev/resized"].as_str().unwrap();
    assert!(record.contains("\"memoryLimit\":\"2Gi\"") && record.contains("\"memoryLimit\":\"1500Mi\""), "{record}");
}

#[rstest]
#[case::own_fraction(json!({"taskmanager.memory.managed.fraction": "0.1"}))]
#[case::nested(json!({"taskmanager": {"memory": {"managed": {"size": "1g"}}}}))]
#[case::limit_factor(json!({"kubernetes.taskmanager.memory.limit-factor": 1.5}))]
fn flinks_own_division_is_not_lowered(#[case] settings: Value) {
    let mut object = flink();
    object["spec"]["flinkConfiguration"] = settings;
    let after = stored(&object, &smaller(true));
    assert_eq!(after["spec"]["taskManager"], flink()["spec"]["taskManager"]);
    assert_eq!(after["spec"]["jobManager"]["resource"]["memory"], "1200m", "the other component is not its business");
}

#[test]
fn no_process_is_made_that_cannot_start() {
    let mut known = recommendations(&[("flink-taskmanager/clicks", "0", "500Mi")]);
    for recommended in known.values_mut() {
        Arc::make_mut(recommended).proven_processes = vec!["main".into()];
    }
    let resizing = sized(&flink(), &known);
    assert_eq!((resizing.ops, resizing.skipped), (Vec::new(), Some("no-room")));
}

#[rstest]
#[case::autoscaler(flink(), "/spec/flinkConfiguration", json!({"job.autoscaler.enabled": "true"}), "autoscaler")]
#[case::autoscaler_of_old(flink(), "/spec/flinkConfiguration", json!({"kubernetes.operator.job.autoscaler.enabled": true}), "autoscaler")]
#[case::nested(flink(), "/spec/flinkConfiguration", json!({"job": {"autoscaler": {"enabled": true}}}), "autoscaler")]
#[case::no_size(flink(), "/spec/taskManager", json!({}), "unreadable-settings")]
#[case::new_form(flink(), "/spec/taskManager", json!({"resources": {"requests": {"memory": "2Gi"}}}), "unreadable-settings")]
#[case::opted_out(flink(), "/metadata/annotations", json!({"podfit.dev/resize": "off"}), "opted-out")]
#[case::running(flink(), "/status", json!({"jobManagerDeploymentStatus": "READY"}), "has-status")]
#[case::limit_by_hand(kubeflow(), "/spec/executor", json!({"memory": "4g", "memoryLimit": "8g"}), "unreadable-settings")]
#[case::no_size_of_spark(kubeflow(), "/spec/executor", json!({"memory": "much"}), "unreadable-settings")]
#[case::spark_runs(kubeflow(), "/status", json!({"applicationState": {"state": "RUNNING"}}), "has-status")]
fn what_is_not_touched(#[case] mut object: Value, #[case] place: &str, #[case] value: Value, #[case] skipped: &str) {
    let (parent, key) = place.rsplit_once('/').unwrap();
    object.pointer_mut(parent).unwrap()[key] = value;
    let known =
        recommendations(&[("flink-taskmanager/clicks", "0", "5Gi"), ("spark-executor/basket-affinity", "0", "6Gi")]);
    let resizing = sized(&object, &known);
    assert_eq!((resizing.ops, resizing.skipped), (Vec::new(), Some(skipped)), "{:?}", resizing.warnings);
}

#[test]
fn bounds_and_limit_ranges_hold() {
    let known = recommendations(&[("spark-executor/basket-affinity", "0", "20Gi")]);
    let overhead = |constraints: &Constraints, bounds: &Bounds| {
        let mut after = kubeflow();
        let ops = sized_in(&kubeflow(), &known, constraints, bounds).ops;
        apply(&mut after, &ops).unwrap();
        after["spec"]["executor"]["memoryOverhead"].clone()
    };
    let ceiling = Range { ceiling: Some("8Gi".parse().unwrap()), ..Range::default() };
    let bounds = Bounds { memory: ceiling, ..Bounds::default() };
    assert_eq!(overhead(&Constraints::default(), &bounds), "4096m");
    let range = json!({"spec": {"limits": [{"type": "Container", "max": {"memory": "6Gi"}}]}});
    let constraints = Constraints { limit_ranges: LimitRanges::of_objects([&range]), ..Constraints::default() };
    assert_eq!(overhead(&constraints, &Bounds::default()), "2048m");
}

#[test]
fn under_a_quota_nothing_is_raised() {
    let known = recommendations(&[("spark-executor/basket-affinity", "500m", "20Gi")]);
    let quotas = vec![crate::fit::Quota::unknown("podfit may not list them")];
    let constraints = Constraints { quotas, ..Constraints::default() };
    let mut after = kubeflow();
    let resizing = sized_in(&kubeflow(), &known, &constraints, &Bounds::default());
    apply(&mut after, &resizing.ops).unwrap();
    assert_eq!(after["spec"]["executor"]["coreRequest"], "500m");
    assert_eq!(after["spec"]["executor"]["memory"], "4g");
    let told =
        "podfit: executor: memory not raised: the namespace has a quota, and how many pods will run is not known";
    assert_eq!(resizing.warnings[0], told);
}

/// A review as an API server sends it, and the operations that are answered.
fn reviewed(operation: &str, sub_resource: &str, applications: Applications) -> Vec<Value> {
    use base64::Engine as _;

    use crate::admission::{Entry, Snapshot, answer};

    let mut known = Snapshot { applications, ..Snapshot::default() };
    known.namespace_mut("jobs").recommendations =
        Arc::new(recommendations(&[("spark-executor/basket-affinity", "0", "5427Mi")]));
    let kind = json!({"group": "sparkoperator.k8s.io", "version": "v1beta2", "kind": "SparkApplication"});
    let resource = json!({"group": "sparkoperator.k8s.io", "version": "v1beta2", "resource": "sparkapplications"});
    let review = json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": {
        "uid": "705ab4f5-6393-11e8-b7cc-42010a800002", "kind": kind, "resource": resource, "subResource": sub_resource,
        "namespace": "jobs", "operation": operation, "userInfo": {"username": "ada"}, "object": kubeflow(),
        "oldObject": null, "dryRun": false, "options": null}});
    let reply = answer(Entry::Mutate, review.to_string().as_bytes(), &known);
    let response: Value = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!(response["response"]["allowed"], true);
    let Some(patch) = response["response"]["patch"].as_str() else { return Vec::new() };
    serde_json::from_slice(&base64::engine::general_purpose::STANDARD.decode(patch).unwrap()).unwrap()
}

#[test]
fn the_webhook_sizes_applications_at_creation_and_only_where_the_policy_says_so() {
    let ops = reviewed("CREATE", "", Applications::SizedAtCreation);
    assert!(ops.contains(&json!({"op": "add", "path": "/spec/executor/memoryOverhead", "value": "1331m"})), "{ops:?}");
    let sized = Applications::SizedAtCreation;
    for (operation, sub_resource, policy) in
        [("CREATE", "", Applications::AsTheyCome), ("UPDATE", "", sized), ("CREATE", "status", sized)]
    {
        assert_eq!(reviewed(operation, sub_resource, policy), Vec::<Value>::new(), "{operation} {sub_resource}");
    }
}

#[test]
fn other_objects_and_unknown_applications_are_left_alone() {
    let known = recommendations(&[("spark-executor/other", "1", "8Gi")]);
    assert_eq!(sized(&kubeflow(), &known), Resizing::default());
    for object in
        [json!({"kind": "Pod"}), json!({"apiVersion": "spark.apache.org/v1", "kind": "SparkCluster"}), json!(7)]
    {
        assert!(!is_application(&object));
        assert_eq!(sized(&object, &known), Resizing::default());
    }
}

proptest! {
    #[test]
    fn a_second_turn_changes_nothing(heap in 450_u64..100_000, overhead in prop::option::of(1_u64..50_000), wanted in 1_u64..200_000,
        millis in 1_u64..64_000, off_heap in prop::option::of(1_u64..9_000), python in any::<bool>()) {
        let mut object = kubeflow();
        object["spec"]["executor"] = json!({"memory": format!("{heap}m")});
        if let Some(overhead) = overhead {
            object["spec"]["executor"]["memoryOverhead"] = json!(format!("{overhead}m"));
        }
        if let Some(off_heap) = off_heap {
            object["spec"]["sparkConf"] = json!({"spark.memory.offHeap.enabled": "true", "spark.memory.offHeap.size": format!("{off_heap}m")});
        }
        if python {
            object["spec"]["type"] = json!("Python");
        }
        let cpu = format!("{millis}m");
        let known = recommendations(&[("spark-executor/basket-affinity", &cpu, &format!("{wanted}Mi"))]);
        let before = sized(&object, &known).changes.remove("executor").map(|change| change.to);
        let after = stored(&object, &known);
        // What is written makes exactly the size that was told.
        let made = sized(&after, &recommendations(&[("spark-executor/basket-affinity", "65", "300Gi")]));
        if let Some(told) = before {
            prop_assert_eq!(made.changes["executor"].from, told);
        }
        let heap_after = java(&after["spec"]["executor"]["memory"]);
        prop_assert_eq!(heap_after, heap, "the heap stays");
    }

    #[test]
    fn no_object_makes_it_panic(text in "\\PC{0,20}", place in 0_usize..6) {
        let mut object = kubeflow();
        let place = ["/spec", "/spec/driver", "/spec/executor/memory", "/spec/sparkConf", "/metadata", "/spec/executor/cores"][place];
        let (parent, key) = place.rsplit_once('/').unwrap();
        for value in [json!(text), json!([text]), json!(null), json!({"memory": text, "memoryOverhead": [text]})] {
            object.pointer_mut(parent).unwrap()[key] = value;
            let known = recommendations(&[("spark-executor/basket-affinity", "1", "8Gi"), ("spark-driver/basket-affinity", "1", "8Gi")]);
            let _ = sized(&object, &known);
        }
    }
}

fn java(value: &Value) -> u64 {
    crate::fit::spark::java_size(value.as_str().unwrap()).unwrap().bytes_rounded_up() >> 20
}
