//! Reads the object of a review as JSON, without what nobody looks at: `metadata.managedFields` always, often most of
//! the bytes; and of a pod that is to be sized also what says nothing about sizes, most of its environment above all.
//! What is read has a bound of memory: a list of a hundred thousand empty objects is small on the wire.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::fit::EXECUTOR_HEAP;
use crate::workload::READ_ENV;

/// An object that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the object cannot be read: {0}")]
pub struct UnreadableObject(String);

/// What is wrong and where, without repeating what the body holds.
pub(super) fn place_of(error: &serde_json::Error) -> String {
    let what = match error.classify() {
        serde_json::error::Category::Eof => "it ends early",
        serde_json::error::Category::Syntax => "no valid JSON",
        serde_json::error::Category::Data => "a field is missing or of another type",
        serde_json::error::Category::Io => "it could not be read",
    };
    format!("{what} (line {}, column {})", error.line(), error.column())
}

/// The object as it came, unknown fields and all.
///
/// # Errors
/// It is no JSON object, or nested deeper than 128 levels.
pub fn read_object(raw: &RawValue) -> Result<Value, UnreadableObject> {
    read(raw, &OBJECT)
}

/// A pod as far as a rule can depend on it: without its status, where it is to run, probes and ports.
///
/// # Errors
/// As [`read_object`].
pub fn read_pod_to_judge(raw: &RawValue) -> Result<Value, UnreadableObject> {
    read(raw, &POD_TO_JUDGE)
}

/// A pod as far as its size can depend on it. Its containers have their places and resources, but it is no pod to
/// store:
/// volumes, probes and the like are missing, and environment variables that podfit never reads are null.
///
/// # Errors
/// As [`read_object`]; also where a list of containers or variables is none.
pub fn read_pod_to_size(raw: &RawValue) -> Result<Value, UnreadableObject> {
    read(raw, &POD_TO_SIZE)
}

/// The same as part of something larger that is being read; null where it is no object.
#[derive(Deserialize)]
pub(super) struct PodToSize(#[serde(deserialize_with = "pod_to_size")] pub Value);

fn pod_to_size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Value, D::Error> {
    Part { shape: &POD_TO_SIZE, room: &Cell::new(MOST_BYTES) }.deserialize(deserializer)
}

fn read(raw: &RawValue, shape: &'static Shape) -> Result<Value, UnreadableObject> {
    let mut deserializer = serde_json::Deserializer::from_str(raw.get());
    let room = Cell::new(MOST_BYTES);
    match (Part { shape, room: &room }).deserialize(&mut deserializer) {
        Ok(object @ Value::Object(_)) => Ok(object),
        Ok(_) => Err(UnreadableObject("it is no object".to_owned())),
        Err(_) if room.get() == 0 => Err(UnreadableObject(format!(
            "it holds too many values: they would take more than {} MiB of memory",
            MOST_BYTES >> 20
        ))),
        Err(error) => Err(UnreadableObject(place_of(&error))),
    }
}

/// Most memory of what is read of one object. A pod of 1.3 MB with 300 containers takes some 8 MiB.
const MOST_BYTES: usize = 24 << 20;
/// What an object takes beside its members: a node of its tree, which has room for eleven.
const OBJECT_BYTES: usize = 640;
/// What a value takes beside its text.
const VALUE_BYTES: usize = 64;

/// What is read of a value.
enum Shape {
    /// All of it.
    Whole,
    /// Members of an object: all but those named, some of them in part only. null is read as null.
    Object { without: &'static [&'static str], within: &'static [(&'static str, Shape)] },
    /// A list, each item in part.
    List(&'static Shape),
    /// A container's `env`: the variables that podfit reads, with their values where they are literal.
    Environment,
}

const OBJECT: Shape = Shape::Object { without: &[], within: &[("metadata", METADATA)] };
const METADATA: Shape = Shape::Object { without: &["managedFields"], within: &[] };
/// What no rule looks at is left out by name, so that a field that is new to Kubernetes is there for a rule to see.
const POD_TO_JUDGE: Shape =
    Shape::Object { without: &["status"], within: &[("metadata", METADATA), ("spec", SPEC_TO_JUDGE)] };
const SPEC_TO_JUDGE: Shape = Shape::Object {
    without: &["affinity", "tolerations", "topologySpreadConstraints", "dnsConfig", "hostAliases"],
    within: &[
        ("containers", Shape::List(&CONTAINER_TO_JUDGE)),
        ("initContainers", Shape::List(&CONTAINER_TO_JUDGE)),
        ("ephemeralContainers", Shape::List(&CONTAINER_TO_JUDGE)),
    ],
};
const CONTAINER_TO_JUDGE: Shape = Shape::Object {
    without: &["volumeDevices", "livenessProbe", "readinessProbe", "startupProbe", "lifecycle", "ports"],
    within: &[],
};
const POD_TO_SIZE: Shape =
    Shape::Object { without: &["status"], within: &[("metadata", METADATA), ("spec", SPEC_TO_SIZE)] };
const SPEC_TO_SIZE: Shape = Shape::Object {
    without: &["volumes", "affinity", "tolerations", "topologySpreadConstraints", "dnsConfig", "hostAliases"],
    within: &[
        ("containers", Shape::List(&CONTAINER_TO_SIZE)),
        ("initContainers", Shape::List(&CONTAINER_TO_SIZE)),
        ("ephemeralContainers", Shape::List(&CONTAINER_TO_SIZE)),
    ],
};
const CONTAINER_TO_SIZE: Shape = Shape::Object {
    without: &[
        "envFrom",
        "volumeMounts",
        "volumeDevices",
        "livenessProbe",
        "readinessProbe",
        "startupProbe",
        "lifecycle",
        "ports",
    ],
    within: &[("env", Shape::Environment)],
};

/// Whether anything about a pod's size is read from the variable of this name.
fn is_read(variable: &str) -> bool {
    READ_ENV.contains(&variable) || variable == EXECUTOR_HEAP
}

#[derive(Clone, Copy)]
struct Part<'r> {
    shape: &'static Shape,
    /// Bytes that may still be taken; 0 once it was too much.
    room: &'r Cell<usize>,
}

impl Part<'_> {
    const fn of(self, shape: &'static Shape) -> Self {
        Self { shape, ..self }
    }

    fn take<E: Error>(self, bytes: usize) -> Result<(), E> {
        let left = self.room.get().saturating_sub(bytes);
        self.room.set(left);
        if left == 0 { Err(E::custom("too many values")) } else { Ok(()) }
    }

    fn scalar<E: Error>(self, value: impl Into<Value>) -> Result<Value, E> {
        match self.shape {
            Shape::Whole => self.take(VALUE_BYTES).map(|()| value.into()),
            _ => Err(E::invalid_type(serde::de::Unexpected::Other("a value"), &self)),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Part<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Part<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.shape {
            Shape::Whole => "a value",
            Shape::Object { .. } => "an object",
            Shape::List(_) | Shape::Environment => "a list",
        })
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        self.scalar(value)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        self.scalar(value)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        self.scalar(value)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        self.scalar(value)
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        self.take(value.len())?;
        self.scalar(value)
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Value, E> {
        self.take(value.len())?;
        self.scalar(value)
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let (without, within): (&[&str], &'static [(&str, Shape)]) = match self.shape {
            Shape::Object { without, within } => (without, within),
            Shape::Whole => (&[], &[]),
            _ => return Err(A::Error::invalid_type(serde::de::Unexpected::Map, &self)),
        };
        let mut object = Map::new();
        self.take(OBJECT_BYTES)?;
        while let Some(Key(key)) = members.next_key()? {
            if without.contains(&&*key) {
                members.next_value::<IgnoredAny>()?;
                continue;
            }
            self.take(VALUE_BYTES + key.len())?;
            let shape = within.iter().find(|(name, _)| *name == key).map_or(&Shape::Whole, |(_, shape)| shape);
            let value = members.next_value_seed(self.of(shape))?;
            object.insert(key.into_owned(), value);
        }
        Ok(Value::Object(object))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        self.take(VALUE_BYTES)?;
        match self.shape {
            Shape::Object { .. } => return Err(A::Error::invalid_type(serde::de::Unexpected::Seq, &self)),
            Shape::Whole => {
                while let Some(item) = items.next_element_seed(self)? {
                    list.push(item);
                }
            }
            Shape::List(shape) => {
                while let Some(item) = items.next_element_seed(self.of(shape))? {
                    list.push(item);
                }
            }
            Shape::Environment => {
                while let Some(Variable { name, value }) = items.next_element()? {
                    self.take(VALUE_BYTES)?;
                    // A place of its own for each: patches count them.
                    if !is_read(&name) {
                        list.push(Value::Null);
                        continue;
                    }
                    let value = value.and_then(|value| Some(("value", serde_json::from_str(value.get()).ok()?)));
                    let members = [("name", Value::String(name.into_owned()))].into_iter().chain(value);
                    list.push(members.map(|(key, value)| (key.to_owned(), value)).collect());
                }
            }
        }
        Ok(Value::Array(list))
    }
}

/// A member's name, borrowed where it has no escapes.
#[derive(Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

/// A variable; what is not literal has no value here.
#[derive(Deserialize)]
struct Variable<'a> {
    #[serde(borrow, default)]
    name: Cow<'a, str>,
    #[serde(borrow, default)]
    value: Option<&'a RawValue>,
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use std::collections::BTreeMap;

    use super::*;
    use crate::admission::identity::identity_of;
    use crate::admission::owners::Owners;
    use crate::admission::provenance::Provenance;
    use crate::admission::resize::{Resizing, Sizing, resize};
    use crate::fit::{Constraints, ContainerResources};
    use crate::policy::{Bounds, PodSpec};
    use crate::workload::{IdentityRules, Kind};

    #[test]
    fn only_managed_fields_are_left_out() {
        let text = r#"{"kind":"Pod","metadata":{"name":"a","managedFields":[{"managedFields":1}],"labels":null},
            "spec":{"managedFields":[1e2],"new":{"metadata":{"managedFields":2}}},"list":[]}"#;
        let raw: &RawValue = serde_json::from_str(text).unwrap();
        assert_eq!(
            read_object(raw).unwrap(),
            json!({"kind": "Pod", "metadata": {"name": "a", "labels": null},
                "spec": {"managedFields": [1e2], "new": {"metadata": {"managedFields": 2}}}, "list": []})
        );
    }

    #[rstest]
    #[case("{\"metadata\": null}", true)]
    #[case("null", false)]
    #[case("[]", false)]
    #[case("7", false)]
    #[case("{\"metadata\": 7}", false)]
    fn odd_shapes_are_errors(#[case] text: &str, #[case] readable: bool) {
        let raw: &RawValue = serde_json::from_str(text).unwrap();
        assert_eq!(read_object(raw).is_ok(), readable);
    }

    #[test]
    fn what_is_too_deep_is_an_error() {
        let text = format!("{{\"spec\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
        let raw: Box<RawValue> = RawValue::from_string(text).unwrap();
        assert!(read_object(&raw).is_err());
    }

    #[test]
    fn of_a_pod_to_size_only_what_sizes_depend_on_is_read() {
        let text = r#"{"metadata":{"managedFields":[],"labels":{"a":"b"}},"status":{},"spec":{"volumes":[{}],"os":{},
            "containers":[{"name":"a","new":1,"volumeMounts":[1],"env":[{"name":"SECRET","value":"x"},
            {"value":"app-7","name":"SPARK_APPLICATION_ID"},{"name":"SPARK_EXECUTOR_ID","valueFrom":{}},{}]}],
            "initContainers":null}}"#;
        let raw: &RawValue = serde_json::from_str(text).unwrap();
        let env =
            json!([null, {"name": "SPARK_APPLICATION_ID", "value": "app-7"}, {"name": "SPARK_EXECUTOR_ID"}, null]);
        assert_eq!(
            read_pod_to_size(raw).unwrap(),
            json!({"metadata": {"labels": {"a": "b"}}, "spec": {"os": {},
                "containers": [{"name": "a", "new": 1, "env": env}], "initContainers": null}})
        );
    }

    /// A few hundred KiB on the wire that would be a hundred times as much as values.
    #[rstest]
    #[case::objects("{},")]
    #[case::nested("{\"a\":{\"b\":{}}},")]
    #[case::lists("[],")]
    #[case::numbers("0,")]
    fn what_would_take_much_memory_is_an_error(#[case] item: &str) {
        let text = format!("{{\"spec\":{{\"new\":[{}0]}}}}", item.repeat((MOST_BYTES >> 20) * 20_000));
        let raw: Box<RawValue> = RawValue::from_string(text).unwrap();
        for read in [read_object, read_pod_to_judge, read_pod_to_size] {
            assert!(read(&raw).unwrap_err().to_string().contains("too many values"));
        }
    }

    #[test]
    fn a_pod_is_judged_by_what_is_read_of_it_as_by_the_whole() {
        let rows: BTreeMap<String, Value> =
            serde_json::from_str(include_str!("../../tests/policy_export/pods.json")).unwrap();
        let recorded = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/engines/recorded");
        let recorded = walk(&recorded).into_iter().map(|file| std::fs::read_to_string(file).unwrap());
        let mut judged = 0;
        for text in rows.values().map(|spec| json!({"spec": spec}).to_string()).chain(recorded) {
            let Ok(raw) = serde_json::from_str::<&RawValue>(&text) else { continue };
            let Ok(whole) = read_object(raw) else { continue };
            let Ok(pod) = PodSpec::of_pod(&whole) else { continue };
            let part = read_pod_to_judge(raw).unwrap();
            let check = |pod: &PodSpec<'_>| {
                let modes = crate::policy::Modes::all(crate::policy::Mode::Enforce);
                crate::policy::check(pod, &modes, &crate::policy::Options::default())
            };
            let found = check(&pod);
            judged += found.len();
            assert_eq!(found, check(&PodSpec::of_pod(&part).unwrap()));
        }
        assert!(judged > 200, "{judged}");
    }

    #[rstest]
    #[case(r#"{"spec": {"containers": {}}}"#)]
    #[case(r#"{"spec": {"containers": [[]]}}"#)]
    #[case(r#"{"spec": {"containers": [{"env": {}}]}}"#)]
    #[case(r#"{"spec": {"containers": [{"env": [{"name": 7}]}]}}"#)]
    fn lists_of_another_shape_are_errors(#[case] text: &str) {
        assert!(read_pod_to_size(serde_json::from_str(text).unwrap()).is_err());
    }

    /// Every pod that an engine's own code made is taken for the same workload, and sized alike, as if all of it were
    /// read.
    #[test]
    fn no_recorded_pod_is_sized_otherwise_than_as_a_whole() {
        let recorded = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/engines/recorded");
        let files = walk(&recorded);
        assert!(files.len() > 100, "{}", files.len());
        for file in files {
            let text = std::fs::read_to_string(&file).unwrap();
            let Ok(raw) = serde_json::from_str::<&RawValue>(&text) else { continue };
            let Ok(whole) = read_object(raw) else { continue };
            if whole.get("kind") != Some(&json!("Pod")) {
                continue;
            }
            let part = read_pod_to_size(raw).unwrap();
            let identity = |pod| identity_of(pod, "jobs", &Owners::default(), &IdentityRules::default());
            assert_eq!(identity(&whole), identity(&part), "{}", file.display());
            assert_eq!(sized(&whole), sized(&part), "{}", file.display());
        }
    }

    fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
        let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
    }

    /// What becomes of a pod of each kind whose containers all should ask for the same.
    fn sized(pod: &Value) -> Vec<Resizing> {
        let size: ContainerResources =
            serde_json::from_value(json!({"cpuRequest": "150m", "memoryRequest": "700Mi", "memoryLimit": "700Mi"}))
                .unwrap();
        let spec = PodSpec::of_pod(pod).unwrap();
        let recommended = spec.containers().map(|container| (container.name.to_owned(), size)).collect();
        let provenance = Provenance { workload: "job/a".into(), recommendation: "r1".into() };
        Kind::ALL
            .into_iter()
            .map(|kind| {
                let sizing = Sizing {
                    pod,
                    kind: Some(kind),
                    recommended: &recommended,
                    killed_at: &BTreeMap::new(),
                    provenance: Some(&provenance),
                    constraints: &Constraints::default(),
                    bounds: &Bounds::default(),
                };
                resize(&sizing, &spec)
            })
            .collect()
    }
}
