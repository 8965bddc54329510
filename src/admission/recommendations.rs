//! Recommendations in the form that `podfit recommend -o json` prints, made into what admission looks up.
//! Must not know where the text comes from; reads it piece by piece, so that only what is kept takes memory.

use std::collections::HashMap;
use std::fmt;
use std::io::Read;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::knowledge::{Knowledge, Recommendations, Recommended, Sizes};
use crate::fit::ContainerResources;
use crate::fit::spark::Divided;
use crate::fnv::fnv1a;
use crate::quantity::Quantity;
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

/// Recommendations by namespace.
#[derive(Clone, Debug, Default)]
pub struct LoadedRecommendations {
    namespaces: HashMap<String, Arc<Recommendations>>,
    /// Workloads with a number for some container.
    pub workloads: usize,
}

impl LoadedRecommendations {
    /// Reads the JSON text. Fields that are not known are passed over, entries without a number too.
    ///
    /// # Errors
    /// The first entry at fault, a text that is no JSON or without `workloads`, or more than a million entries.
    pub fn read(text: impl Read) -> Result<Self, UnusableRecommendations> {
        let mut deserializer = serde_json::Deserializer::from_reader(text);
        let read = File::deserialize(&mut deserializer).and_then(|file| deserializer.end().map(|()| file));
        let Gathered(workloads) = read.map_err(|error| UnusableRecommendations(said(&error)))?.workloads;
        let mut namespaces: HashMap<String, Recommendations> = HashMap::new();
        let count = workloads.len();
        for (workload, containers) in workloads {
            let Kept { containers, divided, proven_processes, by_input, is_service } = containers;
            let id = id_of(&containers, &divided);
            let recommended = Recommended {
                id,
                containers,
                divided,
                proven_processes,
                by_input,
                is_service,
                ..Recommended::default()
            };
            // An owned key is needed once per namespace only.
            if let Some(there) = namespaces.get_mut(&workload.namespace) {
                there.insert(workload, Arc::new(recommended));
            } else {
                let namespace = workload.namespace.clone();
                namespaces.insert(namespace, [(workload, Arc::new(recommended))].into());
            }
        }
        let namespaces = namespaces
            .into_iter()
            .map(|(name, mut workloads)| {
                workloads.shrink_to_fit();
                (name, Arc::new(workloads))
            })
            .collect();
        Ok(Self { namespaces, workloads: count })
    }

    /// Puts them in place of all that were known.
    pub fn replace_in(self, knowledge: &mut Knowledge) {
        for namespace in knowledge.namespaces.values_mut() {
            if !namespace.recommendations.is_empty() {
                namespace.recommendations = Arc::default();
            }
        }
        for (name, recommendations) in self.namespaces {
            knowledge.namespace_mut(&name).recommendations = recommendations;
        }
    }
}

/// The same sizes have the same id, on every replica and after every restart.
pub fn id_of(containers: &Sizes, divided: &[(Box<str>, Divided)]) -> String {
    let heaps = divided.iter().filter(|(_, divided)| divided.heap_is_proven);
    let heaps = heaps.map(|(name, divided)| format!("{name} heap {}Mi", divided.heap_mib));
    let text: String = containers
        .iter()
        .flat_map(|(name, r)| {
            let value = |q: Option<Quantity>| q.map(|q| q.to_string()).unwrap_or_default();
            let values = [r.cpu_request, r.cpu_limit, r.memory_request, r.memory_limit].map(value);
            [name.to_owned(), values.join(" ")]
        })
        .chain(heaps)
        .collect::<Vec<_>>()
        .join("\n");
    format!("{:016x}", fnv1a(text.as_bytes()))
}

/// The parser's own words, without what it quotes beyond a line.
fn said(error: &serde_json::Error) -> String {
    text::clip(&text::clean(&error.to_string()), 4 * SHOWN_CHARS)
}

#[derive(Deserialize)]
struct File {
    workloads: Gathered,
}

#[derive(Deserialize)]
struct Entry {
    namespace: String,
    workload: String,
    container: String,
    #[serde(default)]
    recommended: ContainerResources,
    #[serde(default, rename = "memoryByInput")]
    memory_by_input: Vec<InputSize>,
    #[serde(default)]
    spark: Option<SparkEntry>,
    #[serde(default)]
    flink: Option<FlinkEntry>,
    #[serde(default)]
    evidence: EvidenceEntry,
}

/// What is known of a Flink process.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
struct FlinkEntry {
    #[serde(default)]
    process_bytes: u64,
    #[serde(default)]
    process_is_proven: bool,
}

/// Of the evidence, what tells a service.
#[derive(Default, Deserialize)]
struct EvidenceEntry {
    #[serde(default)]
    days: Option<u64>,
}

/// How a Spark container's memory is divided, in bytes.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SparkEntry {
    heap_bytes: u64,
    overhead_bytes: u64,
    heap_now_bytes: u64,
    /// Releases that did not write it changed a heap only where it was proven.
    heap_is_proven: Option<bool>,
    #[serde(default)]
    total_now_bytes: u64,
}

impl SparkEntry {
    /// `None` for what is no division of this size.
    fn divided(self, size: &ContainerResources) -> Option<Divided> {
        let mib = |bytes: u64| bytes.div_ceil(1 << 20);
        let divided = Divided {
            heap_mib: mib(self.heap_bytes),
            heap_is_proven: self.heap_is_proven.unwrap_or(self.heap_bytes != self.heap_now_bytes),
            overhead_mib: mib(self.overhead_bytes),
            heap_now_mib: mib(self.heap_now_bytes),
            total_now_mib: mib(self.total_now_bytes),
        };
        let is_whole = size.memory_limit.is_some_and(|limit| mib(limit.bytes_rounded_up()) == divided.total_mib());
        (is_whole && divided.heap_mib > 0 && divided.overhead_mib > 0 && divided.heap_now_mib > 0).then_some(divided)
    }
}

/// What is kept of a workload's entries.
#[derive(Default)]
struct Kept {
    containers: Sizes,
    divided: Vec<(Box<str>, Divided)>,
    proven_processes: Vec<Box<str>>,
    by_input: Vec<(Box<str>, Box<[InputSize]>)>,
    is_service: bool,
}

/// What is kept of the entries.
struct Gathered(HashMap<Workload, Kept>);

impl<'de> Deserialize<'de> for Gathered {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(EntryVisitor)
    }
}

struct EntryVisitor;

impl<'de> Visitor<'de> for EntryVisitor {
    type Value = Gathered;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of workloads")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Gathered, A::Error> {
        while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Err(A::Error::custom("workloads: it should be a list"))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Gathered, A::Error> {
        let mut gathered = HashMap::new();
        for index in 0.. {
            let at = |problem: &str| A::Error::custom(format!("workloads[{index}]{problem}"));
            let next = entries.next_element::<Entry>();
            let Some(entry) = next.map_err(|error| at(&format!(": {error}")))? else { break };
            if index >= MAX_ENTRIES {
                return Err(A::Error::custom(format!("workloads: more than {MAX_ENTRIES} entries")));
            }
            entry.keep(&mut gathered).map_err(|problem| at(&problem))?;
        }
        Ok(Gathered(gathered))
    }
}

impl Entry {
    fn keep(self, gathered: &mut HashMap<Workload, Kept>) -> Result<(), String> {
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
        if self.recommended == ContainerResources::default() {
            return Ok(());
        }
        let shown = quoted(&self.container);
        let kept = gathered.entry(workload).or_default();
        kept.is_service |= self.evidence.days.is_some();
        if !kept.containers.insert(&self.container, self.recommended) {
            return Err(format!(": \"{}\" has container \"{shown}\" a second time", quoted(&self.workload)));
        }
        let divided = self.spark.and_then(|spark| spark.divided(&self.recommended));
        kept.divided.extend(divided.map(|divided| (self.container.as_str().into(), divided)));
        let recommended = self.recommended.memory_limit.map(Quantity::bytes_rounded_up);
        if self.flink.is_some_and(|flink| flink.process_is_proven && Some(flink.process_bytes) == recommended) {
            kept.proven_processes.push(self.container.as_str().into());
        }
        if !self.memory_by_input.is_empty() {
            kept.by_input.push((self.container.into(), self.memory_by_input.into()));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    #[allow(clippy::needless_pass_by_value, reason = "it is written in place")]
    fn entry(workload: &str, container: &str, recommended: Value) -> Value {
        json!({"namespace": "jobs", "workload": workload, "container": container, "recommended": recommended,
            "notes": ["anything"], "evidence": {"runs": 21}})
    }

    /// An entry with sizes by input, each (largest input, memory).
    #[allow(clippy::needless_pass_by_value, reason = "it is written in place")]
    fn by_input(sizes: Value) -> Value {
        let mut entry = entry("job/a", "c", json!({"memoryLimit": "1Gi"}));
        let size = |pair: &Value| json!({"upToInputBytes": pair[0], "bytes": pair[1]});
        entry["memoryByInput"] = sizes.as_array().unwrap().iter().map(size).collect();
        entry
    }

    fn read(text: &str) -> Result<LoadedRecommendations, String> {
        LoadedRecommendations::read(text.as_bytes()).map_err(|e| e.to_string())
    }

    fn of(entries: &[Value]) -> LoadedRecommendations {
        read(&json!({"summary": {"new": 1}, "workloads": entries, "notes": []}).to_string()).unwrap()
    }

    fn looked_up(knowledge: &Knowledge, workload: &str) -> Option<Arc<Recommended>> {
        let workload = Workload::parse("jobs", workload).unwrap();
        knowledge.namespaces.get("jobs")?.recommendations.get(&workload).cloned()
    }

    #[test]
    fn what_recommend_prints_is_found_by_workload_and_container() {
        let mut knowledge = Knowledge::default();
        of(&[
            entry(
                "cronjob/nightly",
                "main",
                json!({"cpuRequest": "500m", "memoryRequest": "1Gi", "memoryLimit": "1Gi"}),
            ),
            entry("cronjob/nightly", "sidecar", json!({"memoryRequest": "64Mi"})),
            entry("cronjob/unknown", "main", json!({})),
        ])
        .replace_in(&mut knowledge);
        let found = looked_up(&knowledge, "cronjob/nightly").unwrap();
        assert_eq!(
            serde_json::to_value(found.containers.to_map()).unwrap(),
            json!({"main": {"cpuRequest": "500m", "memoryRequest": "1Gi", "memoryLimit": "1Gi"},
                "sidecar": {"memoryRequest": "64Mi"}})
        );
        assert!(looked_up(&knowledge, "cronjob/unknown").is_none(), "an entry without numbers is none");
    }

    #[test]
    fn a_spark_containers_division_is_kept_where_it_is_one() {
        let spark = |limit: &str, mut spark: Value| {
            let memory = json!({"memoryRequest": limit, "memoryLimit": limit});
            let mut entry = entry("spark-executor/join", "spark-kubernetes-executor", memory);
            for (_, value) in spark.as_object_mut().unwrap() {
                *value = value.as_u64().map_or_else(|| value.clone(), |mib| json!(mib << 20));
            }
            entry["spark"] = spark;
            let mut knowledge = Knowledge::default();
            of(&[entry]).replace_in(&mut knowledge);
            looked_up(&knowledge, "spark-executor/join").unwrap().divided("spark-kubernetes-executor")
        };
        let whole = json!({"heapBytes": 1804, "heapIsProven": true, "overheadBytes": 409, "heapNowBytes": 4096,
            "totalNowBytes": 4505});
        let divided = Divided {
            heap_mib: 1804,
            heap_is_proven: true,
            overhead_mib: 409,
            heap_now_mib: 4096,
            total_now_mib: 4505,
        };
        assert_eq!(spark("2213Mi", whole.clone()), Some(divided));
        assert_eq!(spark("3Gi", whole), None, "somebody has changed the size");
        let older = json!({"heapBytes": 1804, "overheadBytes": 409, "heapNowBytes": 4096});
        assert_eq!(spark("2213Mi", older), Some(Divided { total_now_mib: 0, ..divided }));
    }

    #[test]
    fn a_process_of_flinks_is_proven_where_the_entry_says_so_of_its_size() {
        let proven = |limit: &str, flink: Value| {
            let mut entry = entry("flink-taskmanager/clicks", "flink-main-container", json!({"memoryLimit": limit}));
            entry["flink"] = flink;
            let mut knowledge = Knowledge::default();
            of(&[entry]).replace_in(&mut knowledge);
            looked_up(&knowledge, "flink-taskmanager/clicks").unwrap().is_proven_process("flink-main-container")
        };
        let gib = |is_proven: bool| json!({"processBytes": 1_u64 << 30, "processIsProven": is_proven});
        assert!(proven("1Gi", gib(true)));
        assert!(!proven("1Gi", gib(false)));
        assert!(!proven("2Gi", gib(true)), "somebody has changed the size");
        assert!(!proven("1Gi", json!({})));
    }

    #[test]
    fn sizes_by_input_are_kept() {
        let mut knowledge = Knowledge::default();
        of(&[by_input(json!([[10, 1 << 20], [20, 2 << 20]]))]).replace_in(&mut knowledge);
        let found = looked_up(&knowledge, "job/a").unwrap();
        let memory = |input| found.for_input("c", input).map(|size| size.to_string());
        assert_eq!([memory(10), memory(11), memory(21)], [Some("1Mi".into()), Some("2Mi".into()), None]);
        assert_eq!(found.for_input("other", 10), None);
    }

    #[test]
    fn an_id_follows_the_sizes_alone() {
        let id = |entries: &[Value]| {
            let mut knowledge = Knowledge::default();
            of(entries).replace_in(&mut knowledge);
            looked_up(&knowledge, "job/a").unwrap().id.clone()
        };
        let (a, b) = (entry("job/a", "a", json!({"cpuRequest": "1"})), entry("job/a", "b", json!({"cpuRequest": "2"})));
        assert_eq!(id(&[a.clone(), b.clone()]), id(&[b.clone(), a.clone()]));
        assert_eq!(id(&[a.clone(), b]), "1dcebaf8d10a0ba1");
        assert_ne!(id(&[a]), id(&[entry("job/a", "a", json!({"cpuLimit": "1"}))]));
    }

    #[test]
    fn new_ones_replace_all_and_leave_the_rest_of_a_namespace_alone() {
        let mut knowledge = Knowledge::default();
        of(&[entry("job/a", "a", json!({"cpuRequest": "1"}))]).replace_in(&mut knowledge);
        let surroundings = Arc::clone(&knowledge.namespaces["jobs"].surroundings);
        of(&[]).replace_in(&mut knowledge);
        assert!(looked_up(&knowledge, "job/a").is_none());
        assert!(Arc::ptr_eq(&surroundings, &knowledge.namespaces["jobs"].surroundings));
    }

    #[rstest]
    #[case(entry("x", "c", json!({})), "workloads[1].workload: \"x\" is no workload; its form is KIND/NAME")]
    #[case(entry("cron/x", "c", json!({})), "workloads[1].workload: \"cron/x\" is no workload")]
    #[case(entry("job/\u{1b}[31m/", "c", json!({})), "\"job/\\u{1b}[31m/\" is no workload")]
    #[case(entry("job/a", "", json!({})), "workloads[1].container: \"\" should have 1 to 63 characters")]
    #[case(entry("job/a", "c", json!({"cpuRequest": "much"})), "workloads[1]: ")]
    #[case(entry("job/a", "c", json!({"memoryLimit": "0"})), "workloads[1].recommended.memoryLimit: it should be above")]
    #[case(entry("job/first", "c", json!({"cpuRequest": "1"})), "workloads[1]: \"job/first\" has container \"c\" a second")]
    #[case(by_input(json!([[2, 5], [1, 7]])), "workloads[1].memoryByInput: it should have at most")]
    #[case(by_input(json!([[1, 5], [2, 5]])), "workloads[1].memoryByInput: it should have at most")]
    #[case(by_input(json!([[1, 0]])), "workloads[1].memoryByInput: its sizes should be above zero")]
    #[case(json!({"namespace": "n", "workload": "job/a"}), "workloads[1]: missing field `container`")]
    #[case(json!(7), "workloads[1]: invalid type")]
    fn the_entry_at_fault_is_named(#[case] bad: Value, #[case] said: &str) {
        let first = entry("job/first", "c", json!({"cpuRequest": "1"}));
        let error = read(&json!({"workloads": [first, bad]}).to_string()).unwrap_err();
        assert!(error.contains(said), "{error}");
        assert!(!error.contains('\u{1b}') && error.ends_with("; write it by `podfit recommend -o json`"), "{error}");
    }

    #[rstest]
    #[case("", "EOF while parsing")]
    #[case("{}", "missing field `workloads`")]
    #[case("[]", "invalid")]
    #[case("{\"workloads\": {}}", "workloads: it should be a list")]
    #[case("{\"workloads\": []} x", "trailing characters")]
    #[case("{\"workloads\": [", "EOF while parsing")]
    fn a_file_of_another_form_is_refused(#[case] text: &str, #[case] said: &str) {
        let error = read(text).unwrap_err();
        assert!(error.contains(said), "{error}");
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,60}", cut in 0_usize..200) {
            let _ = read(&text);
            let good = json!({"workloads": [entry("job/a", "c", json!({"cpuRequest": text}))]}).to_string();
            let _ = read(good.get(..cut).unwrap_or(&good));
        }
    }
}
