//! `Recommendation` objects as podfit reads and writes them. Reads what an older or newer release wrote: fields that are
//! not there are empty, fields that are not known are passed over. Must not know a cluster or a clock.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::admission::label_value;
use crate::admission::stamp::{RESIZE, WORKLOAD};
use crate::controller::crds::{GROUP, VERSION};
use crate::fit::ContainerResources;
use crate::fit::spark::Divided;
use crate::fnv::fnv1a;
use crate::quantity::Quantity;
use crate::recommendation::Kill;
use crate::workload::Workload;

/// Longest name that is made: the longest of an RFC 1123 label, so that it can be a label's value too.
const NAME_BYTES: usize = 63;

/// What was learned of a workload, and what is done about it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Status {
    /// The containers that do its work.
    pub containers: Vec<ContainerStatus>,
    /// One line for people.
    pub summary: Summary,
    /// The newest kill for memory that is taken in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kills_until: Option<Timestamp>,
    /// End of the newest run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_run: Option<Timestamp>,
    /// What holds of it now.
    pub conditions: Vec<Condition>,
}

/// One container.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ContainerStatus {
    /// Its name.
    pub name: String,
    /// What its newest run asked for.
    pub current: ContainerResources,
    /// What it should ask for; what is not there stays as it is.
    pub recommended: ContainerResources,
    /// Memory of the second try and further ones.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub memory_ladder: Vec<Quantity>,
    /// What is enough where the pod says how large its input is, ascending; above the last, what is recommended.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub memory_by_input: Vec<InputMemory>,
    /// Of a Spark container: how the recommended memory is divided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spark: Option<SparkStatus>,
    /// Of a Flink process: whether it may be made so small.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flink: Option<FlinkStatus>,
    /// Why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// What the numbers rest on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
    /// The newest kill that no later run has answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kill: Option<Kill>,
    /// After a shrink of podfit's that killed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frozen: Option<Frozen>,
}

/// Memory of a run whose input is known.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InputMemory {
    /// Largest input that it is for.
    pub up_to_input: Quantity,
    /// Request and limit.
    pub memory: Quantity,
}

/// How the memory of a Spark container is divided; heap and overhead are the recommended memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SparkStatus {
    /// The heap.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heap: Option<Quantity>,
    /// The JVMs have shown that it is the right one; else the one that is there stays, for want of evidence.
    pub heap_is_proven: bool,
    /// All beside it: overhead, off-heap memory, Python.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overhead: Option<Quantity>,
    /// The heap of the newest run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heap_now: Option<Quantity>,
    /// The memory of the newest run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_now: Option<Quantity>,
}

impl From<Divided> for SparkStatus {
    fn from(divided: Divided) -> Self {
        let quantity = |mib: u64| Some(Quantity::from_bytes(mib << 20));
        Self {
            heap: quantity(divided.heap_mib),
            heap_is_proven: divided.heap_is_proven,
            overhead: quantity(divided.overhead_mib),
            heap_now: quantity(divided.heap_now_mib),
            total_now: quantity(divided.total_now_mib),
        }
    }
}

impl SparkStatus {
    /// For arithmetic; `None` where a part is missing, or is what nobody can have meant.
    pub fn divided(&self) -> Option<Divided> {
        let mib = |quantity: Option<Quantity>| {
            let quantity = quantity.filter(|quantity| *quantity > Quantity::ZERO)?;
            Some(quantity.bytes_rounded_up().div_ceil(1 << 20))
        };
        Some(Divided {
            heap_mib: mib(self.heap)?,
            heap_is_proven: self.heap_is_proven,
            overhead_mib: mib(self.overhead)?,
            heap_now_mib: mib(self.heap_now)?,
            total_now_mib: mib(self.total_now)?,
        })
    }
}

/// What is known of a Flink process; its size is the recommended memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct FlinkStatus {
    /// The JVMs have shown that the recommended size is enough; else it is only raised.
    pub process_is_proven: bool,
}

/// What numbers rest on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Evidence {
    /// Finished runs.
    pub runs: u64,
    /// Of a service, whose runs are days of its replicas: finished days.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub days: Option<u64>,
    /// Start of the oldest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Timestamp>,
    /// End of the newest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<Timestamp>,
    /// Highest memory peak.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peak_max: Option<Quantity>,
    /// Median memory peak.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peak_median: Option<Quantity>,
    /// Runs killed for memory.
    pub oom_kills: u64,
    /// The rule that gave the memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_rule: Option<String>,
    /// The rule that gave the CPU request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_rule: Option<String>,
    /// Share of runs that need a second try, at most: upper end of the two-sided 95 % interval, 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failing_share_at_most: Option<f64>,
}

/// A workload that is left alone for a while.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Frozen {
    /// What it had before.
    pub memory: Quantity,
    /// Until when.
    pub until: Timestamp,
}

/// One line for people.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Summary {
    /// Finished runs.
    pub runs: String,
    /// Memory, now and recommended.
    pub memory: String,
    /// CPU request, now and recommended.
    pub cpu: String,
    /// Memory no longer reserved, GiB-hours a week.
    pub saved_per_week: String,
    /// Whether pods get it.
    pub applied: String,
}

/// A condition as Kubernetes has them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// Which.
    #[serde(rename = "type")]
    pub kind: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// Why, in one word.
    #[serde(default)]
    pub reason: String,
    /// Why, in a sentence.
    #[serde(default)]
    pub message: String,
    /// When the status last changed.
    #[serde(default)]
    pub last_transition_time: Timestamp,
}

/// An object as it is in the cluster.
#[derive(Clone, Debug, PartialEq)]
pub struct Recommendation {
    /// Its name.
    pub name: String,
    /// Whose it is.
    pub workload: Workload,
    /// Sizing is switched off for the workload.
    pub is_opted_out: bool,
    /// What podfit wrote.
    pub status: Status,
}

/// Why an object is none of podfit's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unusable(String);

impl Recommendation {
    /// Reads an object.
    ///
    /// # Errors
    /// What it lacks.
    pub fn read(object: &Value) -> Result<Self, Unusable> {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let workload = Workload::parse(text("/metadata/namespace"), text("/spec/workload"))
            .map_err(|_| Unusable("spec.workload is no workload, such as cronjob/nightly-report".to_owned()))?;
        let status = match object.get("status") {
            None | Some(Value::Null) => Status::default(),
            Some(status) => {
                Status::deserialize(status).map_err(|error| Unusable(format!("its status cannot be read: {error}")))?
            }
        };
        let annotation = object.pointer("/metadata/annotations").and_then(|of| of.get(RESIZE)).and_then(Value::as_str);
        Ok(Self {
            name: text("/metadata/name").to_owned(),
            workload,
            is_opted_out: annotation.is_some_and(|value| value.eq_ignore_ascii_case("off")),
            status,
        })
    }
}

/// Name of a workload's object: its text form where that can be read back from a name, else with a hash behind it, so
/// that different workloads have different names.
pub fn name_of(workload: &Workload) -> String {
    let text = workload.to_string();
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let is_plain = text.len() <= NAME_BYTES
        && text.split('/').all(|part| part.chars().all(fits) && !part.starts_with('-') && !part.ends_with('-'));
    if is_plain {
        return text.replace('/', ".");
    }
    let hash = format!("{:016x}", fnv1a(text.as_bytes()));
    let plain: String = text
        .chars()
        .map(|c| c.to_ascii_lowercase())
        .map(|c| if fits(c) { c } else { '-' })
        .take(NAME_BYTES - 1 - hash.len())
        .collect();
    format!("{}-{hash}", plain.trim_matches('-'))
}

/// What is applied to make the object: identity only.
pub fn identity(workload: &Workload) -> Value {
    json!({
        "apiVersion": format!("{GROUP}/{VERSION}"), "kind": "Recommendation",
        "metadata": {
            "name": name_of(workload), "namespace": workload.namespace,
            "labels": {WORKLOAD: label_value(&workload.to_string()), "podfit.dev/kind": workload.kind.as_str()},
        },
        "spec": {"workload": workload.to_string()},
    })
}

/// What is applied to its status.
pub fn with_status(workload: &Workload, status: &Status) -> Value {
    json!({
        "apiVersion": format!("{GROUP}/{VERSION}"), "kind": "Recommendation",
        "metadata": {"name": name_of(workload), "namespace": workload.namespace},
        "status": status,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;
    use crate::workload::Kind;

    fn workload(text: &str) -> Workload {
        Workload::parse("etl", text).unwrap()
    }

    #[rstest]
    #[case("cronjob/nightly-report", "cronjob.nightly-report", true)]
    #[case("spark-driver/orders-agg", "spark-driver.orders-agg", true)]
    #[case("airflow-task/orders_daily/Extract", "airflow-task-orders-daily-extract-", false)]
    #[case("cronjob/a.b", "cronjob-a-b-", false)]
    #[case("cronjob/-a", "cronjob--a-", false)]
    fn names_can_be_read(#[case] text: &str, #[case] beginning: &str, #[case] whole: bool) {
        let name = name_of(&workload(text));
        assert!(name.starts_with(beginning) && (name == beginning) == whole, "{name}");
    }

    #[test]
    fn different_workloads_have_different_names() {
        let texts = ["cronjob/a.b", "cronjob/a/b", "cronjob/a-b", "cronjob/a_b", "cronjob/A-b", "job/a-b"];
        let names: HashSet<_> = texts.iter().map(|text| name_of(&workload(text))).collect();
        assert_eq!(names.len(), texts.len());
    }

    #[test]
    fn what_other_releases_wrote_is_read() {
        let older = json!({"metadata": {"name": "n", "namespace": "etl"}, "spec": {"workload": "job/a"}});
        assert_eq!(Recommendation::read(&older).unwrap().status, Status::default());
        let newer = json!({
            "metadata": {"name": "n", "namespace": "etl", "annotations": {"podfit.dev/resize": "Off"}},
            "spec": {"workload": "job/a", "new": 1},
            "status": {"containers": [{"name": "main", "recommended": {"memoryLimit": "1Gi"}, "new": {}}], "new": []},
        });
        let read = Recommendation::read(&newer).unwrap();
        assert!(read.is_opted_out);
        assert_eq!(read.status.containers[0].recommended.memory_limit, Some("1Gi".parse().unwrap()));
    }

    #[rstest]
    #[case(json!({"metadata": {"namespace": "etl"}, "spec": {"workload": "nonsense"}}), "spec.workload is no workload")]
    #[case(json!({}), "spec.workload is no workload")]
    #[case(json!({"metadata": {"namespace": "etl"}, "spec": {"workload": "job/a"}, "status": 7}), "cannot be read")]
    fn what_cannot_be_read_is_said(#[case] object: Value, #[case] said: &str) {
        assert!(Recommendation::read(&object).unwrap_err().to_string().contains(said));
    }

    proptest! {
        #[test]
        fn every_workload_has_a_name_that_kubernetes_takes(names in proptest::collection::vec("\\PC{1,90}", 1..4)) {
            let name = name_of(&Workload::new("etl", Kind::Argo, names));
            let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
            prop_assert!(name.len() <= NAME_BYTES && name.starts_with(alphanumeric) && name.ends_with(alphanumeric));
            prop_assert!(name.chars().all(|c| alphanumeric(c) || c == '-' || c == '.'), "{}", name);
            prop_assert!(name.split('.').all(|l| l.starts_with(alphanumeric) && l.ends_with(alphanumeric)), "{}", name);
        }
    }
}
