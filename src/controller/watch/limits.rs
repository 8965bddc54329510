//! Memory limits that containers really ran with, where the specs of their pods say something else.
//! Must not know a server: pods as raw JSON in.
//!
//! A resize changes a pod's spec at once. Until the kubelet has carried it out, which may be never (`Deferred`,
//! `Infeasible`, an error), the earlier limit holds, and the status of the running container says so. Of a container that
//! is dead the status says what the kubelet had set out to give, which may never have held: only who saw it run knows for
//! sure at which limit it was killed.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use serde_json::Value;

use super::kills::{asked, statuses};
use crate::quantity::Quantity;
use crate::recommendation::Kill;

/// Kernels round a limit to whole pages, which are no larger than this, and some runtimes report the rounded one.
const PAGE_BYTES: u64 = 64 << 10;

/// Of one pod, by container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct PodLimits(BTreeMap<String, Seen>);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Seen {
    /// What held when it was last seen running, where the spec said something else.
    in_force: Option<Quantity>,
    /// Its last kill, and the limit then: a later resize changes nothing about that.
    killed: Option<(Timestamp, Quantity)>,
}

impl PodLimits {
    /// The limit at which a container was killed at this time, where it is known not to be the spec's.
    pub(super) fn when_killed(&self, container: &str, at: Timestamp) -> Option<Quantity> {
        let seen = self.0.get(container)?;
        let known = seen.killed.filter(|(known_at, _)| *known_at == at).map(|(_, limit)| limit);
        known.or(seen.in_force)
    }

    /// Takes in a pod as it is now, and the kills that were found in it.
    pub(super) fn see(&mut self, pod: &Value, kills: &[(String, Kill)]) {
        for (container, kill) in kills {
            self.0.entry(container.clone()).or_default().killed = Some((kill.at, kill.limit));
        }
        for status in statuses(pod) {
            let Some(name) = status.get("name").and_then(Value::as_str) else { continue };
            if status.pointer("/state/running").is_none() {
                continue;
            }
            let in_force = reported(pod, status);
            match self.0.get_mut(name) {
                Some(seen) => seen.in_force = in_force,
                None if in_force.is_some() => {
                    self.0.insert(name.to_owned(), Seen { in_force, killed: None });
                }
                None => {}
            }
        }
        self.0.retain(|_, seen| *seen != Seen::default());
    }
}

/// The limit that a container's status tells of, where the spec says another. A kubelet before Kubernetes 1.33 tells of
/// none.
pub(super) fn reported(pod: &Value, status: &Value) -> Option<Quantity> {
    let limit = Quantity::from_json(status.pointer("/resources/limits/memory")?).ok()?;
    let asked = asked(pod, status.get("name")?.as_str()?);
    let is_same = |asked: Quantity| limit.bytes_rounded_up().abs_diff(asked.bytes_rounded_up()) < PAGE_BYTES;
    (!asked.is_some_and(is_same)).then_some(limit)
}

/// Of the pods that are there, by namespace and name. Of most of them nothing is kept.
#[derive(Debug, Default)]
pub(super) struct Limits(HashMap<(String, String), (String, PodLimits)>);

impl Limits {
    /// What is known of a pod. Another one of its name may have been there before it.
    pub(super) fn take(&mut self, namespace: &str, name: &str, uid: &str) -> PodLimits {
        let known = self.0.remove(&(namespace.to_owned(), name.to_owned()));
        known.filter(|(known, _)| known == uid).map(|(_, limits)| limits).unwrap_or_default()
    }

    pub(super) fn put(&mut self, namespace: &str, name: &str, uid: &str, limits: PodLimits) {
        if limits != PodLimits::default() {
            self.0.insert((namespace.to_owned(), name.to_owned()), (uid.to_owned(), limits));
        }
    }

    pub(super) fn remove(&mut self, namespace: &str, name: &str) {
        self.0.remove(&(namespace.to_owned(), name.to_owned()));
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &(String, String)> {
        self.0.keys()
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::super::kills::killed;
    use super::*;

    const KILLED: &str = "2026-11-22T10:00:00Z";

    /// A pod of one container: what its spec asks for, what its status says is in force, and the container's states.
    fn pod(asked: &str, in_force: Option<&str>, state: &Value, last: &Value) -> Value {
        let resources = in_force.map(|memory| json!({"limits": {"memory": memory}}));
        json!({
            "metadata": {"name": "a-1"},
            "spec": {"containers": [{"name": "main", "resources": {"limits": {"memory": asked}}}]},
            "status": {"containerStatuses": [
                {"name": "main", "state": state, "lastState": last, "resources": resources}]},
        })
    }

    fn runs(asked: &str, in_force: Option<&str>) -> Value {
        pod(asked, in_force, &json!({"running": {}}), &json!({}))
    }

    fn oom(at: &str) -> Value {
        json!({"terminated": {"reason": "OOMKilled", "exitCode": 137, "finishedAt": at}})
    }

    /// Of a resize that was refused the kubelet shows what it had set out to give.
    fn dead(asked: &str) -> Value {
        pod(asked, Some(asked), &oom(KILLED), &json!({}))
    }

    fn restarted(asked: &str, in_force: &str) -> Value {
        pod(asked, Some(in_force), &json!({"running": {}}), &oom(KILLED))
    }

    /// The limits of the kills that each state of the pod tells of.
    fn told(pods: &[Value]) -> Vec<Option<Quantity>> {
        let mut limits = PodLimits::default();
        let mut tell = |pod: &Value| {
            let kills = killed(pod, &limits);
            limits.see(pod, &kills);
            kills.first().map(|(_, kill)| kill.limit)
        };
        pods.iter().map(&mut tell).collect()
    }

    #[rstest]
    #[case::no_resize(&[runs("64Mi", Some("64Mi")), dead("64Mi")], "64Mi")]
    #[case::deferred(&[runs("64Mi", Some("64Mi")), runs("22000Mi", Some("64Mi")), dead("22000Mi")], "64Mi")]
    #[case::refused(&[runs("40Mi", Some("128Mi")), dead("40Mi")], "128Mi")]
    #[case::done(&[runs("160Mi", Some("64Mi")), runs("160Mi", Some("160Mi")), dead("160Mi")], "160Mi")]
    #[case::killed_and_started_again(&[runs("22000Mi", Some("64Mi")), restarted("22000Mi", "64Mi")], "64Mi")]
    #[case::rounded_to_pages(&[runs("100M", Some("99999744")), dead("100M")], "100M")]
    #[case::kubelet_does_not_say(&[runs("64Mi", None), dead("64Mi")], "64Mi")]
    #[case::written_otherwise(&[runs("65536Ki", Some("64Mi")), dead("65536Ki")], "64Mi")]
    #[case::nobody_saw_it_run_and_the_status_knows(&[pod("22000Mi", Some("64Mi"), &oom(KILLED), &json!({}))], "64Mi")]
    #[case::nobody_saw_it_run(&[dead("22000Mi")], "22000Mi")]
    fn a_kill_is_charged_to_the_limit_in_force(#[case] pods: &[Value], #[case] limit: &str) {
        assert_eq!(told(pods).last().copied().flatten(), limit.parse().ok());
    }

    #[test]
    fn a_resize_after_a_kill_is_nothing_to_it() {
        let pods = [
            runs("64Mi", Some("64Mi")),
            restarted("64Mi", "64Mi"),
            restarted("128Mi", "64Mi"),
            restarted("128Mi", "128Mi"),
        ];
        let limit = "64Mi".parse().ok();
        assert_eq!(told(&pods), [None, limit, limit, limit]);
    }

    #[test]
    fn of_most_pods_nothing_is_kept() {
        let mut limits = Limits::default();
        for (asked, in_force) in
            [("64Mi", Some("64Mi")), ("64Mi", None), ("65536Ki", Some("64Mi")), ("100M", Some("99999744"))]
        {
            let mut of_pod = limits.take("etl", "a-1", "u");
            of_pod.see(&runs(asked, in_force), &[]);
            limits.put("etl", "a-1", "u", of_pod);
            assert_eq!(limits.keys().count(), 0, "{asked}");
        }
    }

    #[test]
    fn another_pod_of_the_same_name_begins_anew() {
        let mut limits = Limits::default();
        let mut of_pod = PodLimits::default();
        of_pod.see(&runs("22000Mi", Some("64Mi")), &[]);
        limits.put("etl", "a-1", "u", of_pod.clone());
        assert_eq!(limits.take("etl", "a-1", "v"), PodLimits::default());
        limits.put("etl", "a-1", "u", of_pod.clone());
        assert_eq!(limits.take("etl", "a-1", "u"), of_pod);
    }
}
