//! Recommendations that were read from a file, made into what admission looks up.
//! Must not know where the text comes from.

use std::collections::HashMap;
use std::io::Read;
use std::sync::Arc;

use super::snapshot::{Recommendations, Recommended, Sizes, Snapshot};
use crate::fit::spark::Divided;
use crate::fnv::fnv1a;
use crate::quantity::Quantity;
use crate::recommendation::{self, Entry, UnusableRecommendations};
use crate::sizing::InputSize;
use crate::text;
use crate::workload::Workload;

/// Longest text of a workload that an error repeats, in characters.
const SHOWN_CHARS: usize = 80;

/// Recommendations by namespace.
#[derive(Clone, Debug, Default)]
pub struct LoadedRecommendations {
    namespaces: HashMap<String, Arc<Recommendations>>,
    /// Workloads with a number for some container.
    pub workloads: usize,
}

impl LoadedRecommendations {
    /// Reads what `podfit recommend -o json` prints. Entries without a number are passed over.
    ///
    /// # Errors
    /// As [`recommendation::read`].
    pub fn read(text: impl Read) -> Result<Self, UnusableRecommendations> {
        let mut workloads: HashMap<Workload, Kept> = HashMap::new();
        recommendation::read(text, |entry| keep(entry, &mut workloads))?;
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
    pub fn replace_in(self, snapshot: &mut Snapshot) {
        for namespace in snapshot.namespaces.values_mut() {
            if !namespace.recommendations.is_empty() {
                namespace.recommendations = Arc::default();
            }
        }
        for (name, recommendations) in self.namespaces {
            snapshot.namespace_mut(&name).recommendations = recommendations;
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

/// What is kept of a workload's entries.
#[derive(Default)]
struct Kept {
    containers: Sizes,
    divided: Vec<(Box<str>, Divided)>,
    proven_processes: Vec<Box<str>>,
    by_input: Vec<(Box<str>, Box<[InputSize]>)>,
    is_service: bool,
}

fn keep(entry: Entry, workloads: &mut HashMap<Workload, Kept>) -> Result<(), String> {
    if !entry.has_number() {
        return Ok(());
    }
    let (divided, is_proven_process) = (entry.divided(), entry.is_proven_process());
    let Entry { workload, container, recommended, memory_by_input, evidence, .. } = entry;
    let shown = |text: &str| text::clip(&text::clean(text), SHOWN_CHARS);
    let name = shown(&workload.to_string());
    let kept = workloads.entry(workload).or_default();
    kept.is_service |= evidence.days.is_some();
    if !kept.containers.insert(&container, recommended) {
        return Err(format!(": \"{name}\" has container \"{}\" a second time", shown(&container)));
    }
    kept.divided.extend(divided.map(|divided| (container.as_str().into(), divided)));
    if is_proven_process {
        kept.proven_processes.push(container.as_str().into());
    }
    if !memory_by_input.is_empty() {
        kept.by_input.push((container.into(), memory_by_input.into()));
    }
    Ok(())
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

    fn looked_up(snapshot: &Snapshot, workload: &str) -> Option<Arc<Recommended>> {
        let workload = Workload::parse("jobs", workload).unwrap();
        snapshot.namespaces.get("jobs")?.recommendations.get(&workload).cloned()
    }

    #[test]
    fn what_recommend_prints_is_found_by_workload_and_container() {
        let mut snapshot = Snapshot::default();
        of(&[
            entry(
                "cronjob/nightly",
                "main",
                json!({"cpuRequest": "500m", "memoryRequest": "1Gi", "memoryLimit": "1Gi"}),
            ),
            entry("cronjob/nightly", "sidecar", json!({"memoryRequest": "64Mi"})),
            entry("cronjob/unknown", "main", json!({})),
        ])
        .replace_in(&mut snapshot);
        let found = looked_up(&snapshot, "cronjob/nightly").unwrap();
        assert_eq!(
            serde_json::to_value(found.containers.to_map()).unwrap(),
            json!({"main": {"cpuRequest": "500m", "memoryRequest": "1Gi", "memoryLimit": "1Gi"},
                "sidecar": {"memoryRequest": "64Mi"}})
        );
        assert!(looked_up(&snapshot, "cronjob/unknown").is_none(), "an entry without numbers is none");
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
            let mut snapshot = Snapshot::default();
            of(&[entry]).replace_in(&mut snapshot);
            looked_up(&snapshot, "spark-executor/join").unwrap().divided("spark-kubernetes-executor")
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
            let mut snapshot = Snapshot::default();
            of(&[entry]).replace_in(&mut snapshot);
            looked_up(&snapshot, "flink-taskmanager/clicks").unwrap().is_proven_process("flink-main-container")
        };
        let gib = |is_proven: bool| json!({"processBytes": 1_u64 << 30, "processIsProven": is_proven});
        assert!(proven("1Gi", gib(true)));
        assert!(!proven("1Gi", gib(false)));
        assert!(!proven("2Gi", gib(true)), "somebody has changed the size");
        assert!(!proven("1Gi", json!({})));
    }

    #[test]
    fn sizes_by_input_are_kept() {
        let mut snapshot = Snapshot::default();
        of(&[by_input(json!([[10, 1 << 20], [20, 2 << 20]]))]).replace_in(&mut snapshot);
        let found = looked_up(&snapshot, "job/a").unwrap();
        let memory = |input| found.for_input("c", input).map(|size| size.to_string());
        assert_eq!([memory(10), memory(11), memory(21)], [Some("1Mi".into()), Some("2Mi".into()), None]);
        assert_eq!(found.for_input("other", 10), None);
    }

    #[test]
    fn an_id_follows_the_sizes_alone() {
        let id = |entries: &[Value]| {
            let mut snapshot = Snapshot::default();
            of(entries).replace_in(&mut snapshot);
            looked_up(&snapshot, "job/a").unwrap().id.clone()
        };
        let (a, b) = (entry("job/a", "a", json!({"cpuRequest": "1"})), entry("job/a", "b", json!({"cpuRequest": "2"})));
        assert_eq!(id(&[a.clone(), b.clone()]), id(&[b.clone(), a.clone()]));
        assert_eq!(id(&[a.clone(), b]), "1dcebaf8d10a0ba1");
        assert_ne!(id(&[a]), id(&[entry("job/a", "a", json!({"cpuLimit": "1"}))]));
    }

    #[test]
    fn new_ones_replace_all_and_leave_the_rest_of_a_namespace_alone() {
        let mut snapshot = Snapshot::default();
        of(&[entry("job/a", "a", json!({"cpuRequest": "1"}))]).replace_in(&mut snapshot);
        let constraints = Arc::clone(&snapshot.namespaces["jobs"].constraints);
        of(&[]).replace_in(&mut snapshot);
        assert!(looked_up(&snapshot, "job/a").is_none());
        assert!(Arc::ptr_eq(&constraints, &snapshot.namespaces["jobs"].constraints));
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
