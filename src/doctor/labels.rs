//! The pod labels by which past pods are told apart, and whether kube-state-metrics exports them.
//! Must not know what a label means to its engine: `workload` does.

use std::collections::{BTreeMap, BTreeSet};

use super::Check;
use crate::workload::allowlist;
use crate::workload::facts::kube_state_metrics_name;

/// A pod: namespace and name.
pub type Pod = (String, String);

/// Labels that pods have: of live ones their keys, of series the names that kube-state-metrics makes of them, without
/// `label_`.
pub type LabelsOfPods = BTreeMap<Pod, BTreeSet<String>>;

/// Compares what live pods carry with what is exported of the same pods. `live` is `None` where pods cannot be listed.
pub fn allowlist(exported: &LabelsOfPods, live: Option<&LabelsOfPods>) -> Check {
    let check = "kube-state-metrics' labels";
    let consequence = "past pods of these engines cannot be told apart";
    // To be pasted as it is: of several such flags kube-state-metrics takes the last.
    let option =
        format!("start kube-state-metrics with --metric-labels-allowlist=pods=[{}]", allowlist::labels().join(","));
    let Some(live) = live else {
        if exported.is_empty() {
            return Check::unknown(check, "no pod was there within the last day", "look again while something runs");
        }
        let any = exported.values().any(|labels| !labels.is_empty());
        return if any {
            Check::ok(check, format!("labels of {} pods are exported", exported.len()))
        } else {
            Check::warn(check, format!("no pod's labels are exported: {consequence}"), option)
        };
    };
    let mut missing = Vec::new();
    let mut carried = 0;
    for key in allowlist::labels() {
        let name = kube_state_metrics_name(key);
        let mut pods = live.iter().filter(|(_, keys)| keys.contains(key)).map(|(pod, _)| pod).peekable();
        if pods.peek().is_none() {
            continue;
        }
        carried += 1;
        if !pods.any(|pod| exported.get(pod).is_some_and(|labels| labels.contains(&name))) {
            missing.push(key);
        }
    }
    match (carried, missing.len()) {
        (0, _) => Check::unknown(
            check,
            "no pod that is there now carries one of the engines' labels",
            "look again while something runs",
        ),
        (_, 0) => Check::ok(check, format!("all {carried} that pods carry now are exported")),
        (_, n) => {
            let seen = format!(
                "{n} of {carried} that pods carry now are not exported, {} among them: {consequence}",
                missing[0]
            );
            Check::warn(check, seen, option)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::State;

    fn pods(labels: &[(&str, &[&str])]) -> LabelsOfPods {
        labels
            .iter()
            .map(|(pod, keys)| (("etl".to_owned(), (*pod).to_owned()), keys.iter().map(|k| (*k).to_owned()).collect()))
            .collect()
    }

    #[test]
    fn what_live_pods_carry_must_be_exported() {
        let live = pods(&[("a", &["dag_id", "task_id", "team"]), ("b", &["spark-role"])]);
        let all = pods(&[("a", &["dag_id", "task_id"]), ("b", &["spark_role"])]);
        assert_eq!(allowlist(&all, Some(&live)).state, State::Ok);
        let some = allowlist(&pods(&[("a", &["dag_id"]), ("b", &[])]), Some(&live));
        assert_eq!(some.state, State::Warn);
        assert!(some.seen.starts_with("2 of 3 that pods carry"), "{}", some.seen);
        assert!(some.advice.contains("--metric-labels-allowlist=pods=[dag_id,task_id,run_id,"), "{}", some.advice);
    }

    #[test]
    fn where_no_pod_carries_any_nothing_is_known() {
        assert_eq!(allowlist(&pods(&[]), Some(&pods(&[("a", &["team"])]))).state, State::Unknown);
        assert_eq!(allowlist(&pods(&[]), None).state, State::Unknown);
        assert_eq!(allowlist(&pods(&[("a", &[])]), None).state, State::Warn);
        assert_eq!(allowlist(&pods(&[("a", &["dag_id"])]), None).state, State::Ok);
    }
}
