//! Which labels of a pod look as if they named its work: what to give to `--group-by-labels`. A proposal, never a key.

use super::allowlist;
use super::facts::PodFacts;
use super::recurring_name::{holds_random_part, holds_uuid, without_stamps};

/// Most labels that are proposed.
const MOST: usize = 3;
/// Labels that name work in many charts, the best first.
const FIRST: [&str; 5] =
    ["app.kubernetes.io/name", "app.kubernetes.io/component", "app.kubernetes.io/instance", "app", "component"];
/// Labels that controllers or releases give: they name a run, a version or a tool.
const NO_NAMES: [&str; 13] = [
    "app.kubernetes.io/created-by",
    "app.kubernetes.io/managed-by",
    "app.kubernetes.io/part-of",
    "app.kubernetes.io/version",
    "apps.kubernetes.io/pod-index",
    "chart",
    "controller-revision-hash",
    "controller-uid",
    "helm.sh/chart",
    "heritage",
    "job-name",
    "pod-template-generation",
    "pod-template-hash",
];

/// The labels: of the suggested ones those that the pod has, else those whose values look like names.
pub(super) fn labels(pod: &PodFacts, suggested: &[&str]) -> Vec<String> {
    let own: Vec<String> =
        suggested.iter().filter(|key| pod.label(key).is_some()).take(MOST).map(|key| (*key).to_owned()).collect();
    if !own.is_empty() {
        return own;
    }
    let known: Vec<&str> = FIRST.into_iter().chain(allowlist::labels()).collect();
    let mut entries = pod.labels.entries(&known);
    entries.retain(|(key, value)| is_a_name(pod, key, value));
    let place = |key: &str| FIRST.iter().position(|first| *first == key).unwrap_or(FIRST.len());
    entries.sort_by(|(a, _), (b, _)| (place(a), *a).cmp(&(place(b), *b)));
    entries.dedup();
    entries.into_iter().take(MOST).map(|(key, _)| key.to_owned()).collect()
}

fn is_a_name(pod: &PodFacts, key: &str, value: &str) -> bool {
    let is_key = key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'.' | b'-' | b'_'));
    let of_a_controller = ["batch.kubernetes.io/", "statefulset.kubernetes.io/", "podfit.dev/"];
    let of_a_run = ["-id", "/id", "uid", "uuid", "runid", "run_id", "hash", "index", "number", "timestamp"];
    let value = value.to_lowercase();
    is_key
        && !NO_NAMES.contains(&key)
        && !of_a_controller.iter().any(|head| key.starts_with(head))
        && !of_a_run.iter().any(|end| key.to_lowercase().ends_with(end))
        && !matches!(value.as_str(), "true" | "false")
        && !value.bytes().all(|b| b.is_ascii_digit())
        && !holds_uuid(&value)
        && !holds_random_part(&value)
        && without_stamps(&value) == value
        && pod.name.as_deref() != Some(value.as_str())
}

/// What to do.
pub(super) fn remedy(labels: &[String]) -> String {
    if labels.is_empty() {
        return "give the pods a label that says what they do, and name it: --group-by-labels KEY".to_owned();
    }
    format!("where these labels of the pod name its work: --group-by-labels {}", labels.join(","))
}
