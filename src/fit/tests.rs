//! Fitting, as tables: what a container has, what is wanted, what it gets and why.
#![allow(clippy::needless_pass_by_value)] // rstest hands its cases over

use std::collections::BTreeMap;

use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::policy::PodSpec;
use crate::quantity::Quantity;
use crate::workload::Kind;

fn quantity(text: &str) -> Option<Quantity> {
    (text != "-").then(|| Quantity::parse(text).unwrap())
}

/// `cpu request/limit, memory request/limit`; `-` = none.
fn size(text: &str) -> ContainerResources {
    let parts: Vec<_> = text.split([' ', '/']).collect();
    ContainerResources {
        cpu_request: quantity(parts[0]),
        cpu_limit: quantity(parts[1]),
        memory_request: quantity(parts[2]),
        memory_limit: quantity(parts[3]),
    }
}

fn ranges(limits: Value) -> Constraints {
    let object = json!({"metadata": {"name": "bounds"}, "spec": {"limits": limits}});
    Constraints { limit_ranges: LimitRanges::of_objects([&object]), ..Constraints::default() }
}

#[rstest]
#[case::lowers("2/- 4Gi/4Gi", "500m/- 1Gi/1Gi", "500m/- 1Gi/1Gi")]
#[case::leaves_what_is_not_wanted("2/4 4Gi/4Gi", "-/- 1Gi/-", "2/4 1Gi/4Gi")]
#[case::nothing_wanted("-/4 -/4Gi", "-/- -/-", "-/4 -/4Gi")]
#[case::memory_limit_follows_the_request("1/- 1Gi/1Gi", "-/- 2Gi/-", "1/- 2Gi/2Gi")]
#[case::kept_cpu_limit_holds("1/2 -/-", "3/- -/-", "2/2 -/-")]
#[case::wanted_cpu_limit_moves("1/2 -/-", "3/3 -/-", "3/3 -/-")]
#[case::limit_alone_becomes_both("-/- -/4Gi", "-/- -/1Gi", "-/- 1Gi/1Gi")]
#[case::cpu_rounds_up_to_millis("1/- -/-", "100500u/- -/-", "101m/- -/-")]
#[case::memory_fraction_rounds_up("-/- 1Gi/1Gi", "-/- 0.1Gi/0.1Gi", "-/- 103Mi/103Mi")]
#[case::nonsense_is_not_wanted("1/- 1Gi/1Gi", "-1/0 -1/0", "1/- 1Gi/1Gi")]
fn fits_freely(#[case] current: &str, #[case] wanted: &str, #[case] expected: &str) {
    let fitted = fit(&size(current), &size(wanted), &SizeRules::default(), &Constraints::default());
    assert_eq!(fitted.resources, size(expected));
    assert_eq!(fitted.skipped, None);
}

#[rstest]
#[case::both_move("1/1 4Gi/4Gi", "500m/500m 1Gi/1Gi", "1/1 1Gi/1Gi")]
#[case::cpu_limit_kept("1500m/1500m 4Gi/4Gi", "500m/- 1Gi/-", "1500m/1500m 1Gi/1Gi")]
#[case::cpu_limit_holds("1500m/1500m 4Gi/4Gi", "1700m/- -/-", "1500m/1500m 4Gi/4Gi")]
#[case::cpu_grows("1500m/1500m 4Gi/4Gi", "1700m/1700m -/-", "1700m/1700m 4Gi/4Gi")]
#[case::limit_alone("1500m/1500m 4Gi/4Gi", "-/1 -/1Gi", "1500m/1500m 4Gi/4Gi")]
#[case::whole_cpus_stay_whole("2/2 4Gi/4Gi", "2100m/2100m -/-", "3/3 4Gi/4Gi")]
#[case::larger_counts("1500m/1500m 4Gi/4Gi", "500m/700m 1Gi/2Gi", "700m/700m 2Gi/2Gi")]
fn guaranteed_stays_guaranteed(#[case] current: &str, #[case] wanted: &str, #[case] expected: &str) {
    let place = SizeRules::without_pod(None, &size(current));
    assert!(place.guaranteed);
    let fitted = fit(&size(current), &size(wanted), &place, &Constraints::default());
    assert_eq!(fitted.resources, size(expected));
    assert!(fitted.resources.is_guaranteed());
}

#[rstest]
#[case::driver(Kind::SparkDriver, "1/- 4Gi/4Gi", "500m/- 1Gi/1Gi", "500m/- 4Gi/4Gi")]
#[case::driver_grows(Kind::SparkDriver, "1/- 4Gi/4Gi", "-/- 5Gi/5Gi", "1/- 5Gi/5Gi")]
#[case::executor_of_unknown_heap(Kind::SparkExecutor, "1/- 4Gi/4Gi", "-/- 1Gi/1Gi", "1/- 4Gi/4Gi")]
#[case::airflow_executor(Kind::AirflowSparkExecutor, "1/- 4Gi/4Gi", "-/- 1Gi/1Gi", "1/- 4Gi/4Gi")]
#[case::flink(Kind::FlinkTaskmanager, "2/2 4Gi/4Gi", "1/1 1Gi/1Gi", "1/2 4Gi/4Gi")]
#[case::flink_without_limit(Kind::FlinkJobmanager, "2/- 4Gi/-", "1/- 5Gi/5Gi", "1/- 5Gi/-")]
#[case::python(Kind::Prefect, "1/- 4Gi/4Gi", "-/- 1Gi/1Gi", "1/- 1Gi/1Gi")]
fn engines_keep_their_memory(#[case] kind: Kind, #[case] current: &str, #[case] wanted: &str, #[case] expected: &str) {
    let place = SizeRules { guaranteed: false, ..SizeRules::of(Some(kind), &json!({}), false) };
    let fitted = fit(&size(current), &size(wanted), &place, &Constraints::default());
    assert_eq!(fitted.resources, size(expected));
    assert_eq!(fitted.skipped, None);
}

#[rstest]
#[case::down_to_the_floor("8Gi/8Gi", "1Gi/1Gi", "3456Mi/3456Mi")]
#[case::above_the_floor("8Gi/8Gi", "4Gi/4Gi", "4Gi/4Gi")]
#[case::below_the_floor_stays("3Gi/3Gi", "1Gi/1Gi", "3Gi/3Gi")]
#[case::grows("3Gi/3Gi", "9Gi/9Gi", "9Gi/9Gi")]
#[case::request_too("8Gi/8Gi", "1Gi/6Gi", "3456Mi/6Gi")]
fn executor_with_known_heap(#[case] current: &str, #[case] wanted: &str, #[case] expected: &str) {
    let container = json!({"env": [{"name": "SPARK_EXECUTOR_MEMORY", "value": "3072m"}]});
    let place = SizeRules::of(Some(Kind::SparkExecutor), &container, false);
    let read = |text: &str| size(&format!("1/- {text}"));
    let fitted = fit(&read(current), &read(wanted), &place, &Constraints::default());
    assert_eq!(fitted.resources, read(expected));
}

#[rstest]
#[case::min(json!([{"type": "Container", "min": {"memory": "2Gi"}}]), "-/- 1Gi/1Gi", "1/- 2Gi/2Gi", "LimitRange minimum 2Gi")]
#[case::max(json!([{"type": "Container", "max": {"memory": "6Gi"}}]), "-/- 8Gi/8Gi", "1/- 6Gi/6Gi", "LimitRange maximum 6Gi")]
#[case::tightest(json!([{"type": "Container", "min": {"memory": "1Gi"}}, {"type": "Container", "min": {"memory": "3Gi"}}]),
    "-/- 1Gi/1Gi", "1/- 3Gi/3Gi", "3Gi")]
#[case::ratio(json!([{"type": "Container", "maxLimitRequestRatio": {"memory": "2"}}]), "-/- 1Gi/4Gi", "1/- 2Gi/4Gi", "2 times")]
#[case::ratio_rounds_up(json!([{"type": "Container", "maxLimitRequestRatio": {"memory": "3"}}]), "-/- 1Mi/1Gi", "1/- 342Mi/1Gi", "3 times")]
#[case::default_limit(json!([{"type": "Container", "default": {"cpu": "500m"}}]), "700m/- -/-", "700m/700m 4Gi/4Gi", "default")]
#[case::default_is_max(json!([{"type": "Container", "max": {"cpu": "3"}}]), "700m/- -/-", "700m/3 4Gi/4Gi", "default")]
#[case::other_types(json!([{"type": "PersistentVolumeClaim", "min": {"memory": "9Gi"}}]), "-/- 1Gi/1Gi", "1/- 1Gi/1Gi", "")]
fn limit_ranges_bind(#[case] limits: Value, #[case] wanted: &str, #[case] expected: &str, #[case] why: &str) {
    let fitted = fit(&size("1/- 4Gi/4Gi"), &size(wanted), &SizeRules::default(), &ranges(limits));
    assert_eq!(fitted.resources, size(expected));
    assert_eq!(fitted.adjustments.is_empty(), why.is_empty());
    assert!(fitted.adjustments.iter().all(|a| a.why.contains(why)), "{:?}", fitted.adjustments);
}

#[rstest]
#[case::crossed(json!([{"type": "Container", "min": {"memory": "3Gi"}}, {"type": "Container", "max": {"memory": "2Gi"}}]), None, "conflicting-bounds")]
#[case::engine_over_max(json!([{"type": "Container", "max": {"memory": "2Gi"}}]), Some(Kind::SparkDriver), "conflicting-bounds")]
#[case::unreadable(json!([{"type": "Container", "max": {"memory": "2GB"}}]), None, "unreadable-limit-range")]
#[case::odd(json!({}), None, "unreadable-limit-range")]
fn what_no_value_meets_is_left_alone(#[case] limits: Value, #[case] kind: Option<Kind>, #[case] reason: &str) {
    let current = size("1/- 4Gi/4Gi");
    let fitted = fit(&current, &size("500m/- 1Gi/1Gi"), &SizeRules::of(kind, &json!({}), false), &ranges(limits));
    assert_eq!(fitted.resources, current);
    assert_eq!(fitted.skipped.unwrap().reason(), reason);
}

#[test]
fn the_largest_node_is_the_end() {
    let node = Constraints { largest_node_memory: quantity("8Gi"), ..Constraints::default() };
    let fitted = fit(&size("1/- 4Gi/4Gi"), &size("-/- 16Gi/16Gi"), &SizeRules::default(), &node);
    assert_eq!(fitted.resources, size("1/- 8Gi/8Gi"));
    let fitted = fit(&size("1/- 10Gi/10Gi"), &size("-/- 16Gi/16Gi"), &SizeRules::default(), &node);
    assert_eq!(fitted.resources, size("1/- 10Gi/10Gi"), "it asked for that before");
}

fn container(name: &str, text: &str) -> Value {
    let size = size(text);
    let mut resources = json!({"requests": {"nvidia.com/gpu": "1"}, "limits": {"nvidia.com/gpu": "1"}});
    for (section, cpu, memory) in
        [("requests", size.cpu_request, size.memory_request), ("limits", size.cpu_limit, size.memory_limit)]
    {
        for (key, value) in [("cpu", cpu), ("memory", memory)] {
            if let Some(value) = value {
                resources[section][key] = json!(value);
            }
        }
    }
    json!({"name": name, "resources": resources})
}

fn quota(hard: Value, status: Value, more: Value) -> Constraints {
    let mut object = json!({"metadata": {"name": "team"}, "spec": {"hard": hard}, "status": status});
    if let (Some(spec), Some(more)) = (object["spec"].as_object_mut(), more.as_object()) {
        spec.extend(more.clone());
    }
    Constraints { quotas: vec![Quota::of_object(&object).unwrap()], ..Constraints::default() }
}

fn fit_one(spec: &Value, wanted: &str, constraints: &Constraints) -> Fitted {
    let wanted = BTreeMap::from([("a".to_owned(), size(wanted))]);
    let mut fitted = fit_pod(&PodSpec::new(spec, "/spec").unwrap(), None, &wanted, constraints);
    fitted.containers.remove("a").unwrap()
}

#[rstest]
#[case::room(json!({"requests.memory": "10Gi"}), json!({"used": {"requests.memory": "2Gi"}}), json!({}), "2Gi/2Gi", "")]
#[case::takes_what_is_left(json!({"memory": "10Gi"}), json!({"used": {"memory": "8704Mi"}}), json!({}), "1536Mi/1536Mi", "quota team, requests.memory: 1536Mi is left of 10Gi")]
#[case::limits_count(json!({"limits.memory": "10Gi"}), json!({"used": {"limits.memory": "8704Mi"}}), json!({}), "1536Mi/1536Mi", "1536Mi is left")]
#[case::nothing_left(json!({"requests.memory": "10Gi"}), json!({"used": {"requests.memory": "10Gi"}}), json!({}), "1Gi/1Gi", "left as it was")]
#[case::unknown(json!({"requests.memory": "10Gi"}), json!({}), json!({}), "1Gi/1Gi", "not known yet")]
#[case::not_this_pod(json!({"requests.memory": "1Gi"}), json!({}), json!({"scopes": ["BestEffort"]}), "2Gi/2Gi", "")]
#[case::this_pod(json!({"requests.memory": "1Gi"}), json!({}), json!({"scopes": ["NotBestEffort"]}), "1Gi/1Gi", "not known")]
#[case::terminating(json!({"requests.memory": "1Gi"}), json!({}), json!({"scopes": ["Terminating"]}), "2Gi/2Gi", "")]
#[case::priority(json!({"requests.memory": "1Gi"}), json!({}),
    json!({"scopeSelector": {"matchExpressions": [{"scopeName": "PriorityClass", "operator": "In", "values": ["low"]}]}}), "2Gi/2Gi", "")]
#[case::priority_here(json!({"requests.memory": "1Gi"}), json!({}),
    json!({"scopeSelector": {"matchExpressions": [{"scopeName": "PriorityClass", "operator": "In", "values": ["batch"]}]}}), "1Gi/1Gi", "not known")]
#[case::scope_to_come(json!({"requests.memory": "1Gi"}), json!({}), json!({"scopes": ["Whatever"]}), "1Gi/1Gi", "not known")]
fn quotas_bind(
    #[case] hard: Value,
    #[case] status: Value,
    #[case] more: Value,
    #[case] expected: &str,
    #[case] why: &str,
) {
    let spec = json!({"priorityClassName": "batch", "containers": [container("a", "1/- 1Gi/1Gi")]});
    let fitted = fit_one(&spec, "-/- 2Gi/2Gi", &quota(hard, status, more));
    assert_eq!(fitted.resources, size(&format!("1/- {expected}")), "{:?}", fitted.adjustments);
    assert_eq!(fitted.adjustments.is_empty(), why.is_empty(), "{:?}", fitted.adjustments);
    assert!(why.is_empty() || fitted.adjustments.iter().any(|a| a.why.contains(why)), "{:?}", fitted.adjustments);
}

#[test]
fn a_full_quota_does_not_forbid_less() {
    let spec = json!({"containers": [container("a", "1/- 4Gi/4Gi")]});
    let full = quota(json!({"requests.memory": "1Gi"}), json!({"used": {"requests.memory": "1Gi"}}), json!({}));
    assert_eq!(fit_one(&spec, "-/- 1Gi/1Gi", &full).resources, size("1/- 1Gi/1Gi"));
}

#[rstest]
#[case::max(json!({"max": {"memory": "5Gi"}}), "3Gi/3Gi")]
#[case::max_with_request(json!({"max": {"memory": "4Gi"}}), "2Gi/2Gi")]
#[case::full(json!({"max": {"memory": "3Gi"}}), "1Gi/1Gi")]
#[case::min(json!({"min": {"memory": "9Gi"}}), "1Gi/1Gi")]
fn limit_ranges_bind_the_sum(#[case] bounds: Value, #[case] expected: &str) {
    let mut bounds = bounds;
    bounds["type"] = json!("Pod");
    let spec = json!({"containers": [container("a", "1/- 1Gi/1Gi"), container("b", "1/- 2Gi/2Gi")]});
    let fitted = fit_one(&spec, "-/- 4Gi/4Gi", &ranges(json!([bounds])));
    assert_eq!(fitted.resources, size(&format!("1/- {expected}")), "{:?}", fitted.adjustments);
}

#[test]
fn a_pod_counts_what_runs_together() {
    let sidecar = |name: &str, text: &str| {
        let mut c = container(name, text);
        c["restartPolicy"] = json!("Always");
        c
    };
    let spec = json!({
        "overhead": {"cpu": "100m", "memory": "1Gi"},
        "initContainers": [container("i", "1/- 5Gi/5Gi"), sidecar("s", "500m/- 1Gi/-"), container("j", "3/- 2Gi/2Gi")],
        "containers": [container("a", "1/2 3Gi/3Gi"), container("b", "1/2 500Mi/-")],
    });
    let pod = PodSpec::new(&spec, "/spec").unwrap();
    let members: Vec<_> = pod
        .containers()
        .filter_map(|c| Some((resources::Part::of(&c)?, ContainerResources::of_container(c.json).unwrap())))
        .collect();
    let totals = Totals::of(&pod, &members).unwrap();
    assert_eq!(totals.cpu, Pair { request: quantity("3600m"), limit: quantity("4100m") });
    assert_eq!(totals.memory, Pair { request: quantity("6Gi"), limit: quantity("6Gi") });
}

#[test]
fn one_untouched_container_decides_the_class() {
    let guaranteed = container("a", "1/1 1Gi/1Gi");
    let spec = json!({"initContainers": [container("i", "1/1 1Gi/1Gi")], "containers": [guaranteed]});
    let fitted = fit_one(&spec, "-/- 512Mi/-", &Constraints::default());
    assert_eq!(fitted.resources, size("1/1 512Mi/512Mi"));
    let spec = json!({"initContainers": [container("i", "1/- 1Gi/1Gi")], "containers": [guaranteed]});
    let fitted = fit_one(&spec, "500m/- 512Mi/-", &Constraints::default());
    assert_eq!(fitted.resources, size("500m/1 512Mi/1Gi"));
}

#[rstest]
#[case::pod_level(json!({"resources": {"requests": {"cpu": "1"}}, "containers": []}), "pod-level-resources")]
#[case::no_quantity(json!({"containers": [{"name": "b", "resources": {"limits": {"cpu": "two"}}}]}), "unreadable-resources")]
#[case::no_object(json!({"containers": [{"name": "b", "resources": {"limits": []}}]}), "unreadable-resources")]
#[case::overhead(json!({"overhead": {"memory": {}}, "containers": [container("a", "1/- 1Gi/-")]}), "unreadable-resources")]
fn whole_pods_are_left_alone(#[case] spec: Value, #[case] reason: &str) {
    let wanted = BTreeMap::from([("a".to_owned(), size("1/1 1Gi/1Gi"))]);
    let fitted = fit_pod(&PodSpec::new(&spec, "/spec").unwrap(), None, &wanted, &Constraints::default());
    assert_eq!(fitted.skipped.unwrap().reason(), reason);
    assert!(fitted.containers.is_empty());
}

fn any_quantity(values: &'static [&'static str]) -> impl Strategy<Value = Option<Quantity>> {
    proptest::sample::select(values).prop_map(quantity)
}

pub(crate) fn any_size() -> impl Strategy<Value = ContainerResources> {
    let cpu = &["-", "0", "1m", "100m", "333333u", "1", "1500m", "2", "4"];
    let memory = &["-", "1Mi", "64Mi", "100M", "1Gi", "1.3Gi", "2Gi", "4Gi", "9Gi"];
    let pair = |values| {
        (any_quantity(values), any_quantity(values)).prop_map(|(request, limit)| match (request, limit) {
            (Some(request), Some(limit)) if request > limit => (Some(limit), Some(request)),
            pair => pair,
        })
    };
    (pair(cpu), pair(memory)).prop_map(|((cpu_request, cpu_limit), (memory_request, memory_limit))| {
        ContainerResources { cpu_request, cpu_limit, memory_request, memory_limit }
    })
}

pub(crate) fn any_surroundings() -> impl Strategy<Value = Constraints> {
    let bound = |values| any_quantity(values);
    let container = (bound(&["-", "1Mi", "80Mi"]), bound(&["-", "2Gi", "16Gi"]), bound(&["-", "1", "1500m", "4"]));
    let pod = (bound(&["-", "10Mi", "3Gi"]), bound(&["-", "4Gi", "40Gi"]));
    let used = any_quantity(&["-", "0", "6Gi", "10Gi"]);
    (container, pod, used, any_quantity(&["-", "5Gi"])).prop_map(
        |((min, max, ratio), (pod_min, pod_max), used, node)| {
            let item = |kind: &str, fields: [(&str, Option<Quantity>); 3]| {
                let mut item = json!({"type": kind});
                for (field, value) in fields {
                    if let Some(value) = value {
                        item[field] = json!({"memory": value});
                    }
                }
                item
            };
            let limits = json!([
                item("Container", [("min", min), ("max", max), ("maxLimitRequestRatio", ratio)]),
                item("Pod", [("min", pod_min), ("max", pod_max), ("-", None)])
            ]);
            let status =
                used.map_or(json!({}), |used| json!({"used": {"requests.memory": used, "limits.memory": used}}));
            let mut all = quota(json!({"requests.memory": "10Gi", "limits.memory": "12Gi"}), status, json!({}));
            all.limit_ranges = ranges(limits).limit_ranges;
            all.largest_node_memory = node;
            all
        },
    )
}

pub(crate) fn any_kind() -> impl Strategy<Value = Option<Kind>> {
    prop_oneof![Just(None), proptest::sample::select(&Kind::ALL[..]).prop_map(Some)]
}

proptest! {
    #[test]
    fn fitting_again_changes_nothing(
        current in any_size(), wanted in any_size(), kind in any_kind(), constraints in any_surroundings(),
        guaranteed in any::<bool>()
    ) {
        let place = SizeRules::of(kind, &json!({}), guaranteed && current.is_guaranteed());
        let once = fit(&current, &wanted, &place, &constraints);
        let twice = fit(&once.resources, &wanted, &place, &constraints);
        prop_assert_eq!(once.resources, twice.resources);
        for resource in Resource::ALL {
            let pair = once.resources.pair(resource);
            if let (Some(request), Some(limit)) = (pair.request, pair.limit) {
                prop_assert!(request <= limit);
            }
        }
    }
}
