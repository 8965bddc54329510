//! What holds for any pod: the patch applies, a second turn changes nothing, nothing else is touched.
//! Must not test wording; the tables do.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::tests::{Known, known};
use super::*;
use crate::fit::tests::{any_kind, any_size, any_surroundings};
use crate::fit::{ContainerResources, QosClass};
use crate::policy::{Mode, Modes, PodSpec};
use crate::quantity::Quantity;
use crate::text;

fn any_container(name: &'static str) -> impl Strategy<Value = Value> {
    let image = prop_oneof![3 => Just("reg:5000/app:1"), 1 => Just("nginx"), 1 => Just("Bad Image\n")];
    let context = prop_oneof![
        3 => Just(json!({"runAsUser": 185})), 1 => Just(json!({"runAsUser": 0})), 1 => Just(json!(null))];
    (any_size(), image, context, any::<[bool; 5]>()).prop_map(
        move |(size, image, context, [gpu, none, null, heap, extra])| {
            let section = |cpu: Option<Quantity>, memory: Option<Quantity>| {
                let mut section = serde_json::Map::new();
                let gpu = gpu.then(|| Quantity::from_units(1));
                for (key, value) in [("cpu", cpu), ("memory", memory), ("nvidia.com/gpu", gpu)] {
                    if let Some(value) = value {
                        section.insert(key.to_owned(), json!(value));
                    }
                }
                if section.is_empty() && null { Value::Null } else { Value::Object(section) }
            };
            let mut container =
                json!({"name": name, "image": image, "securityContext": context, "futureField": [1, {"a": 0.1}]});
            if !none {
                container["resources"] = json!({"requests": section(size.cpu_request, size.memory_request),
                "limits": section(size.cpu_limit, size.memory_limit), "claims": [{"name": "c"}]});
            } else if null {
                container["resources"] = Value::Null;
            }
            if heap {
                container["env"] =
                    json!([{"name": "SPARK_EXECUTOR_MEMORY", "value": "1g"}, {"name": "SECRET", "value": "hunter2"}]);
            }
            if extra {
                container["restartPolicy"] = json!("Always");
            }
            container
        },
    )
}

fn any_pod() -> impl Strategy<Value = Value> {
    let lists = (any_container("a"), any_container("b"), any_container("i"), any_container("j"));
    let metadata = prop_oneof![
        Just(json!({})),
        Just(json!({"labels": null, "annotations": {"a/b~c": "d"}})),
        Just(json!({"labels": {"podfit.dev/workload": "forged"}, "annotations": {"podfit.dev/resized": "{}"}})),
        Just(json!({"annotations": {"podfit.dev/resize": "off"}})),
    ];
    (lists, metadata, any::<[bool; 4]>()).prop_map(|((a, b, i, j), metadata, [two, init, sidecar, overhead])| {
        let mut spec = json!({"containers": if two { json!([a, b]) } else { json!([a]) }, "newField": {"deep": [[]]}});
        if init {
            spec["initContainers"] = if sidecar { json!([i, j]) } else { json!([i]) };
        }
        if overhead {
            spec["overhead"] = json!({"memory": "120Mi"});
        }
        json!({"metadata": metadata, "spec": spec})
    })
}

/// The pod without what podfit may change.
fn untouched(pod: &Value) -> Value {
    let mut rest = pod.clone();
    for field in ["containers", "initContainers"] {
        for container in rest["spec"].get_mut(field).and_then(Value::as_array_mut).into_iter().flatten() {
            for section in ["requests", "limits"] {
                if let Some(values) =
                    container.pointer_mut(&format!("/resources/{section}")).and_then(Value::as_object_mut)
                {
                    values.remove("cpu");
                    values.remove("memory");
                }
            }
        }
    }
    for (section, key) in [("labels", "podfit.dev/workload"), ("annotations", "podfit.dev/resized")] {
        if let Some(values) = rest["metadata"].get_mut(section).and_then(Value::as_object_mut) {
            values.remove(key);
        }
    }
    without_empty(rest)
}

/// Without nulls and empty objects: what the API treats alike.
fn without_empty(value: Value) -> Value {
    match value {
        Value::Object(members) => Value::Object(
            members
                .into_iter()
                .map(|(k, v)| (k, without_empty(v)))
                .filter(|(_, v)| !v.is_null() && *v != json!({}))
                .collect(),
        ),
        Value::Array(items) => Value::Array(items.into_iter().map(without_empty).collect()),
        other => other,
    }
}

fn sizes(pod: &Value) -> Vec<ContainerResources> {
    PodSpec::of_pod(pod).unwrap().containers().map(|c| ContainerResources::of_container(c.json).unwrap()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn holds_for_any_pod(
        before in any_pod(), kind in any_kind(), constraints in any_surroundings(),
        wanted in proptest::collection::btree_map("[abij]", any_size(), 0..4), enforce in any::<bool>()
    ) {
        let known = Known {
            kind, constraints, recommended: wanted,
            modes: Modes::all(if enforce { Mode::Enforce } else { Mode::Warn }),
            ..known(json!({}))
        };
        let decision = known.decide(&before);
        let mut after = before.clone();
        prop_assert!(apply(&mut after, &decision.ops).is_ok());

        let again = known.decide(&after);
        prop_assert!(again.ops.is_empty(), "once {:?} twice {:?}", decision.ops, again.ops);
        prop_assert_eq!(untouched(&before), untouched(&after));
        let pairs = sizes(&before).into_iter().zip(sizes(&after));
        for ((from, to), container) in pairs.zip(PodSpec::of_pod(&before).unwrap().containers()) {
            prop_assert!(to.cpu_limit.is_none_or(|limit| to.cpu_request.is_none_or(|request| request <= limit)));
            prop_assert!(to.memory_limit.is_none_or(|limit| to.memory_request.is_none_or(|request| request <= limit)));
            prop_assert!(from == to || known.recommended.contains_key(container.name));
        }
        if QosClass::of(&sizes(&before)) == QosClass::Guaranteed {
            prop_assert_eq!(QosClass::of(&sizes(&after)), QosClass::Guaranteed);
        }
        prop_assert_eq!(decision.allowed, decision.denial.is_none());
        for line in decision.warnings.iter().chain(&decision.denial) {
            prop_assert!(!line.contains(char::is_control) && !line.contains("hunter2"), "{}", line);
        }
        for line in &decision.warnings {
            prop_assert!(line.chars().count() <= text::LINE_CHARS, "{}", line);
        }
    }
}
