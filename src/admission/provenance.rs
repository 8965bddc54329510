//! What podfit writes on a pod: which workload it belongs to, and what was changed, from what, by which recommendation.
//! Must not trust what a pod brought along: a record counts only where it says what the pod has.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::fit::ContainerResources;
use crate::fnv::fnv1a;
use crate::quantity::Quantity;

/// Annotation that records a resize, JSON of [`Record`].
pub const RESIZED: &str = "podfit.dev/resized";
/// Annotation with which a pod's author switches sizing off: `"off"`.
pub const RESIZE: &str = "podfit.dev/resize";
/// Label that names the pod's workload; see [`label_value`].
pub const WORKLOAD: &str = "podfit.dev/workload";
/// Annotation that the kubelet sets on the mirror of a static pod.
const MIRROR: &str = "kubernetes.io/config.mirror";

/// Longest label value, in bytes.
const LABEL_BYTES: usize = 63;

/// Whose recommendation is applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provenance {
    /// The workload's text form: `cronjob/nightly-report`.
    pub workload: String,
    /// Which recommendation, for the record.
    pub recommendation: String,
}

/// One container's change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// What it asked for.
    pub from: ContainerResources,
    /// What it asks for now.
    pub to: ContainerResources,
    /// The heap of its JVM, where that was set too; records of releases before have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heap: Option<HeapChange>,
}

/// The change of a JVM's heap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeapChange {
    /// What it was to have.
    pub from: Quantity,
    /// What it has now.
    pub to: Quantity,
}

/// The record of a resize.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The workload's text form.
    pub workload: String,
    /// Which recommendation was applied.
    pub recommendation: String,
    /// By container name.
    pub containers: BTreeMap<String, Change>,
}

impl Record {
    /// The record for these changes. Where the pod was resized before by the same recommendation (another webhook had a
    /// turn in between), what it asked for at first is kept.
    pub fn new(provenance: &Provenance, changes: &BTreeMap<String, Change>, pod: &Value) -> Self {
        let mut containers = changes.clone();
        let earlier = annotation(pod, RESIZED).and_then(|text| serde_json::from_str::<Self>(text).ok());
        if let Some(earlier) = earlier.filter(|e| e.recommendation == provenance.recommendation) {
            for (name, before) in earlier.containers {
                match containers.get_mut(&name) {
                    Some(change) if change.from == before.to => {
                        change.from = before.from;
                        change.heap = match (change.heap, before.heap) {
                            (Some(now), Some(first)) if now.from == first.to => {
                                Some(HeapChange { from: first.from, ..now })
                            }
                            (now, first) => now.or(first),
                        };
                    }
                    Some(_) => {}
                    None => {
                        containers.insert(name, before);
                    }
                }
            }
        }
        Self { workload: provenance.workload.clone(), recommendation: provenance.recommendation.clone(), containers }
    }
}

/// An annotation of a pod.
pub fn annotation<'a>(pod: &'a Value, key: &str) -> Option<&'a str> {
    pod.get("metadata")?.get("annotations")?.get(key)?.as_str()
}

/// Whether the author has switched sizing off. Rules are not switched off by anything on a pod.
pub fn is_opted_out(pod: &Value) -> bool {
    annotation(pod, RESIZE).is_some_and(|value| value.eq_ignore_ascii_case("off"))
}

/// Whether the pod says that it mirrors a static pod. Anyone can write that.
pub fn is_mirror(pod: &Value) -> bool {
    annotation(pod, MIRROR).is_some()
}

/// A text as a label value: as it is where it is one, else with other characters replaced, shortened, and a hash of the
/// text behind it, so that different texts stay different.
pub fn label_value(text: &str) -> String {
    let edge = |b: u8| b.is_ascii_alphanumeric();
    let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let bytes = text.as_bytes();
    let fits = text.len() <= LABEL_BYTES
        && text.chars().all(inner)
        && bytes.first().copied().is_some_and(edge)
        && bytes.last().copied().is_some_and(edge);
    if fits {
        return text.to_owned();
    }
    let hash = format!("{:016x}", fnv1a(bytes));
    let plain: String =
        text.chars().map(|c| if inner(c) { c } else { '.' }).take(LABEL_BYTES - 1 - hash.len()).collect();
    let plain = plain.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    if plain.is_empty() { hash } else { format!("{plain}-{hash}") }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case("nightly", "nightly")]
    #[case("a.b_c-D9", "a.b_c-D9")]
    #[case("cronjob/nightly", "cronjob.nightly-77044c2ba9902262")]
    #[case("-a", "a-07d05b07b498591b")]
    #[case("", "cbf29ce484222325")]
    fn labels_are_made_valid(#[case] text: &str, #[case] label: &str) {
        assert_eq!(label_value(text), label);
    }

    fn size(memory: &str) -> ContainerResources {
        serde_json::from_value(json!({"memoryRequest": memory, "memoryLimit": memory})).unwrap()
    }

    fn heap(from: &str, to: &str) -> HeapChange {
        HeapChange { from: from.parse().unwrap(), to: to.parse().unwrap() }
    }

    #[rstest]
    #[case::the_heap_stays_from_first_to_last(
        Some(heap("4Gi", "2Gi")),
        Some(heap("2Gi", "1Gi")),
        Some(heap("4Gi", "1Gi"))
    )]
    #[case::only_the_size_changed_again(Some(heap("4Gi", "2Gi")), None, Some(heap("4Gi", "2Gi")))]
    #[case::the_heap_changed_last(None, Some(heap("4Gi", "2Gi")), Some(heap("4Gi", "2Gi")))]
    #[case::somebody_else_set_it_between(Some(heap("4Gi", "2Gi")), Some(heap("3Gi", "1Gi")), Some(heap("3Gi", "1Gi")))]
    fn a_second_turn_keeps_what_was_asked_for_at_first(
        #[case] first: Option<HeapChange>,
        #[case] second: Option<HeapChange>,
        #[case] expected: Option<HeapChange>,
    ) {
        let provenance = Provenance { workload: "spark-executor/join".to_owned(), recommendation: "r1".to_owned() };
        let of =
            |from: &str, to: &str, heap| [("c".to_owned(), Change { from: size(from), to: size(to), heap })].into();
        let record = Record::new(&provenance, &of("5Gi", "3Gi", first), &json!({}));
        let pod = json!({"metadata": {"annotations": {RESIZED: serde_json::to_string(&record).unwrap()}}});
        let record = Record::new(&provenance, &of("3Gi", "2Gi", second), &pod);
        let expected = Change { from: size("5Gi"), to: size("2Gi"), heap: expected };
        assert_eq!(record.containers["c"], expected);
    }

    #[test]
    fn a_record_of_a_release_before_is_read() {
        let text =
            r#"{"workload":"job/a","recommendation":"r","containers":{"c":{"from":{},"to":{"memoryLimit":"1Gi"}}}}"#;
        let record: Record = serde_json::from_str(text).unwrap();
        assert_eq!(record.containers["c"].heap, None);
        assert_eq!(serde_json::to_string(&record).unwrap(), text, "and written as before where there is no heap");
    }

    proptest! {
        #[test]
        fn every_text_makes_a_label(text in "\\PC{0,100}") {
            let label = label_value(&text);
            prop_assert!(!label.is_empty() && label.len() <= LABEL_BYTES);
            prop_assert!(label.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)), "{}", label);
            prop_assert!(label.starts_with(|c: char| c.is_ascii_alphanumeric()));
            prop_assert!(label.ends_with(|c: char| c.is_ascii_alphanumeric()));
            prop_assert_eq!(&label_value(&label), &label);
        }
    }
}
