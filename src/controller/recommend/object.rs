//! `Recommendation` objects as podfit reads and writes them. Reads what an older or newer release wrote: fields that
//! are not there are empty, fields that are not known are passed over. Must not know a cluster or a clock.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::admission::label_value;
use crate::admission::provenance::{RESIZE, WORKLOAD};
use crate::controller::crds::{GROUP, VERSION};
use crate::fnv::fnv1a;
use crate::recommendation::status::Status;
use crate::workload::Workload;

/// Longest name that is made: the longest of an RFC 1123 label, so that it can be a label's value too.
const NAME_BYTES: usize = 63;

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
