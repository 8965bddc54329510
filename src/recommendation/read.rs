//! The one reader of what `podfit recommend -o json` prints, of this release and of those before.
//! Must not know where the text comes from; hands on entry by entry, so that only what is kept takes memory.

use std::fmt;
use std::io::Read;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::document::VERSION;
use crate::fit::ContainerResources;
use crate::fit::spark::Divided;
use crate::quantity::{MIB, Quantity};
use crate::sizing::InputSize;
use crate::text;
use crate::workload::Workload;

/// Most entries that are read: ten times the largest clusters.
const MAX_ENTRIES: usize = 1_000_000;
/// Longest text of a workload, in bytes: three names of the longest that Kubernetes has.
const MAX_WORKLOAD_BYTES: usize = 1_024;
/// Longest name of a namespace or container that Kubernetes takes, in bytes (RFC 1123 label).
const MAX_NAME_BYTES: usize = 63;
/// Most sizes by input of a container; sizing makes fewer.
const MAX_INPUTS: usize = 1_000;
/// Longest value of a file that an error repeats, in characters.
const SHOWN_CHARS: usize = 80;

/// Recommendations that cannot be used; says which entry and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}; write it by `podfit recommend -o json`")]
pub struct UnusableRecommendations(String);

/// What the numbers rest on, as far as readers need it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Seen {
    /// Finished runs.
    pub runs: u64,
    /// Of a service: finished days.
    pub days: Option<u64>,
    /// Of a service: replicas.
    pub replicas: Option<u64>,
    /// Start of the oldest run, milliseconds since the epoch.
    #[serde(alias = "first_ms")]
    pub first_ms: Option<i64>,
    /// End of the newest run, milliseconds since the epoch.
    #[serde(alias = "last_ms")]
    pub last_ms: Option<i64>,
    /// Highest memory peak in bytes.
    #[serde(alias = "peak_max_bytes")]
    pub peak_max_bytes: Option<u64>,
    /// Runs killed for memory.
    #[serde(alias = "oom_kills")]
    pub oom_kills: u64,
}

/// One container of one workload, as it is written; its names and sizes are checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Whose.
    pub workload: Workload,
    /// Container.
    pub container: String,
    /// What it asked for then.
    pub current: ContainerResources,
    /// What it should ask for; a value that is not there stays as it is.
    pub recommended: ContainerResources,
    /// Memory where the size of the input is known, ascending.
    pub memory_by_input: Vec<InputSize>,
    /// Why, one sentence each.
    pub notes: Vec<String>,
    /// What the numbers rest on.
    pub evidence: Seen,
    spark: Option<SparkEntry>,
    flink: Option<FlinkEntry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Written {
    namespace: String,
    workload: String,
    container: String,
    #[serde(default)]
    current: ContainerResources,
    #[serde(default)]
    recommended: ContainerResources,
    #[serde(default)]
    memory_by_input: Vec<InputSize>,
    #[serde(default)]
    notes: Vec<String>,
    #[serde(default)]
    evidence: Seen,
    #[serde(default)]
    spark: Option<SparkEntry>,
    #[serde(default)]
    flink: Option<FlinkEntry>,
}

/// How a Spark container's memory is divided, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct SparkEntry {
    heap_bytes: Option<u64>,
    overhead_bytes: u64,
    heap_now_bytes: u64,
    /// Releases that did not write it changed a heap only where it was proven.
    heap_is_proven: Option<bool>,
    total_now_bytes: u64,
}

/// What is known of a Flink process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct FlinkEntry {
    process_bytes: u64,
    process_is_proven: bool,
}

impl Entry {
    /// How a Spark container's memory is divided; `None` where that is not known, or is no division of this size.
    pub fn divided(&self) -> Option<Divided> {
        let spark = self.spark?;
        let mib = |bytes: u64| bytes.div_ceil(MIB);
        let heap_bytes = spark.heap_bytes?;
        let divided = Divided {
            heap_mib: mib(heap_bytes),
            heap_is_proven: spark.heap_is_proven.unwrap_or(heap_bytes != spark.heap_now_bytes),
            overhead_mib: mib(spark.overhead_bytes),
            heap_now_mib: mib(spark.heap_now_bytes),
            total_now_mib: mib(spark.total_now_bytes),
        };
        let limit = self.recommended.memory_limit?;
        let is_whole = mib(limit.bytes_rounded_up()) == divided.total_mib();
        (is_whole && divided.heap_mib > 0 && divided.overhead_mib > 0 && divided.heap_now_mib > 0).then_some(divided)
    }

    /// The heap that a Spark container should have, in MiB, where it is written.
    pub fn heap_mib(&self) -> Option<u64> {
        self.spark?.heap_bytes.map(|bytes| bytes / MIB)
    }

    /// Whether the JVMs of a Flink process have shown that the size is enough.
    pub fn is_proven_process(&self) -> bool {
        let recommended = self.recommended.memory_limit.map(Quantity::bytes_rounded_up);
        self.flink.is_some_and(|flink| flink.process_is_proven && Some(flink.process_bytes) == recommended)
    }

    /// Whether there is any number.
    pub fn has_number(&self) -> bool {
        self.recommended != ContainerResources::default()
    }
}

/// Reads the JSON text and hands each entry to `take`, whose errors are told as the entry's. Fields that are not known
/// are passed over.
///
/// # Errors
/// The first entry at fault; a text that is no JSON, without `workloads`, of a later version, or of more than a million
/// entries.
pub fn read(text: impl Read, mut take: impl FnMut(Entry) -> Result<(), String>) -> Result<(), UnusableRecommendations> {
    let mut deserializer = serde_json::Deserializer::from_reader(text);
    let read = Document(&mut take).deserialize(&mut deserializer).and_then(|()| deserializer.end());
    // The parser's own words, without what it quotes beyond a line.
    read.map_err(|error| UnusableRecommendations(text::clip(&text::clean(&error.to_string()), 4 * SHOWN_CHARS)))
}

struct Document<'a, F>(&'a mut F);

impl<'de, F: FnMut(Entry) -> Result<(), String>> DeserializeSeed<'de> for Document<'_, F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, F: FnMut(Entry) -> Result<(), String>> Visitor<'de> for Document<'_, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with workloads")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let mut is_read = false;
        while let Some(name) = members.next_key::<String>()? {
            match name.as_str() {
                "workloads" if is_read => return Err(A::Error::duplicate_field("workloads")),
                "workloads" => {
                    members.next_value_seed(Entries(&mut *self.0))?;
                    is_read = true;
                }
                "version" => {
                    let version: u64 = members.next_value()?;
                    if version > u64::from(VERSION) {
                        return Err(A::Error::custom(format!(
                            "version {version} is of a later podfit; this one reads up to version {VERSION}"
                        )));
                    }
                }
                _ => {
                    members.next_value::<IgnoredAny>()?;
                }
            }
        }
        if is_read { Ok(()) } else { Err(A::Error::missing_field("workloads")) }
    }
}

struct Entries<'a, F>(&'a mut F);

impl<'de, F: FnMut(Entry) -> Result<(), String>> DeserializeSeed<'de> for Entries<'_, F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, F: FnMut(Entry) -> Result<(), String>> Visitor<'de> for Entries<'_, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of workloads")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Err(A::Error::custom("workloads: it should be a list"))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        for index in 0.. {
            let at = |problem: &str| A::Error::custom(format!("workloads[{index}]{problem}"));
            let next = entries.next_element::<Written>();
            let Some(written) = next.map_err(|error| at(&format!(": {error}")))? else { break };
            if index >= MAX_ENTRIES {
                return Err(A::Error::custom(format!("workloads: more than {MAX_ENTRIES} entries")));
            }
            written.checked().and_then(&mut *self.0).map_err(|problem| at(&problem))?;
        }
        Ok(())
    }
}

impl Written {
    fn checked(self) -> Result<Entry, String> {
        let quoted = |value: &str| text::clip(&text::clean(value), SHOWN_CHARS);
        for (field, value) in [("namespace", &self.namespace), ("container", &self.container)] {
            if value.is_empty() || value.len() > MAX_NAME_BYTES {
                return Err(format!(".{field}: \"{}\" should have 1 to {MAX_NAME_BYTES} characters", quoted(value)));
            }
        }
        if self.workload.len() > MAX_WORKLOAD_BYTES {
            return Err(format!(".workload: it has more than {MAX_WORKLOAD_BYTES} characters"));
        }
        let workload = Workload::parse(&self.namespace, &self.workload).map_err(|_| {
            format!(
                ".workload: \"{}\" is no workload; its form is KIND/NAME, such as cronjob/nightly-report",
                quoted(&self.workload)
            )
        })?;
        let ContainerResources { cpu_request, cpu_limit, memory_request, memory_limit } = self.recommended;
        for (field, value) in [
            ("cpuRequest", cpu_request),
            ("cpuLimit", cpu_limit),
            ("memoryRequest", memory_request),
            ("memoryLimit", memory_limit),
        ] {
            if value.is_some_and(|q| q <= Quantity::ZERO) {
                return Err(format!(".recommended.{field}: it should be above zero"));
            }
        }
        let is_ascending =
            |pair: &[InputSize]| pair[0].up_to_input_bytes < pair[1].up_to_input_bytes && pair[0].bytes < pair[1].bytes;
        if self.memory_by_input.len() > MAX_INPUTS || !self.memory_by_input.windows(2).all(is_ascending) {
            return Err(format!(".memoryByInput: it should have at most {MAX_INPUTS} entries, ascending"));
        }
        if self.memory_by_input.first().is_some_and(|size| size.bytes == 0) {
            return Err(".memoryByInput: its sizes should be above zero".to_owned());
        }
        let Self { container, current, recommended, memory_by_input, notes, evidence, spark, flink, .. } = self;
        Ok(Entry { workload, container, current, recommended, memory_by_input, notes, evidence, spark, flink })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn entries(document: &Value) -> Result<Vec<Entry>, String> {
        let mut all = Vec::new();
        let read = read(document.to_string().as_bytes(), |entry| {
            all.push(entry);
            Ok(())
        });
        read.map(|()| all).map_err(|error| error.to_string())
    }

    fn entry(evidence: &Value) -> Value {
        json!({"namespace": "etl", "workload": "job/a", "container": "main", "evidence": evidence})
    }

    #[test]
    fn the_names_of_the_first_version_are_read_too() {
        let first = entry(&json!({"runs": 21, "first_ms": 1, "last_ms": 2, "peak_max_bytes": 3, "oom_kills": 4}));
        let now = entry(&json!({"runs": 21, "firstMs": 1, "lastMs": 2, "peakMaxBytes": 3, "oomKills": 4}));
        let read = entries(&json!({"workloads": [first, now], "version": 2})).unwrap();
        assert_eq!(read[0], read[1]);
        assert_eq!((read[0].evidence.first_ms, read[0].evidence.oom_kills), (Some(1), 4));
    }

    #[test]
    fn a_later_version_is_refused() {
        let error = entries(&json!({"version": 3, "workloads": []})).unwrap_err();
        assert!(error.contains("version 3 is of a later podfit"), "{error}");
    }

    #[test]
    fn what_this_release_writes_it_reads() {
        let key = crate::workload::WorkloadKey {
            workload: Workload::parse("etl", "job/a").unwrap(),
            container: "main".to_owned(),
        };
        let line = super::super::Line::of_history(
            &key,
            &crate::history::History::default(),
            &crate::sizing::SizingPolicy::default(),
            &crate::fit::Constraints::default(),
            &crate::fit::spark::KnownHeaps::default(),
        );
        let report = super::super::Report::new(vec![line.clone()], Vec::new(), Vec::new());
        let written = serde_json::to_value(&report).unwrap();
        let all = entries(&written).unwrap();
        assert_eq!((all[0].workload.to_string(), &all[0].notes), (line.workload, &line.notes));
        assert!(keys(&written).iter().all(|key| !key.contains('_')), "one case throughout: {:?}", keys(&written));
    }

    fn keys(value: &Value) -> Vec<String> {
        match value {
            Value::Object(members) => {
                members.iter().flat_map(|(k, v)| [k.clone()].into_iter().chain(keys(v))).collect()
            }
            Value::Array(items) => items.iter().flat_map(keys).collect(),
            _ => Vec::new(),
        }
    }
}
