//! Whether podfit's work gets done: where its history is, who leads, when it last learned.
//! Must not ask anyone.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::{Check, Installation, Read};

/// The annotation of the Lease that says when recommendations were last brought up to date, whoever led then.
pub const LEARNED: &str = "podfit.dev/learned";
/// A lease that was not renewed for so long has no holder: twice as long as it holds.
const LAPSED: Duration = Duration::from_secs(30);
/// A first learning reads weeks of history; before that, none is late.
const FIRST: Duration = Duration::from_secs(30 * 60);

/// Where the history is, by the Deployment; `None` where it says nothing.
pub fn history(installation: &Installation) -> Option<Check> {
    let is_there = installation.replicas.is_some();
    (is_there && installation.prometheus_url.is_none()).then(|| {
        Check::fail(
            "history",
            "the Deployment names no Prometheus (PODFIT_PROMETHEUS_URL): nothing is learned or recommended",
            "helm upgrade … --set prometheus.url=http://NAME.NAMESPACE:PORT, or set the variable",
        )
    })
}

/// Who recommends, and when it last brought recommendations up to date.
pub fn leader(installation: &Installation, lease: &Read<Value>, now: Timestamp) -> Vec<Check> {
    let name = format!("Lease {} in namespace {}", installation.lease, installation.namespace);
    let logs = format!("kubectl -n {} logs -l app.kubernetes.io/name=podfit --tail=50", installation.namespace);
    let lease = match lease {
        Err(why) => return vec![Check::unknown("leader", why, "")],
        Ok(None) => return vec![Check::fail("leader", format!("there is no {name}: no replica recommends"), logs)],
        Ok(Some(lease)) => lease,
    };
    let holder = lease.pointer("/spec/holderIdentity").and_then(Value::as_str).unwrap_or_default();
    let renewed = time(lease.pointer("/spec/renewTime"));
    let since = |then: Timestamp| now.duration_since(then).max(jiff::SignedDuration::ZERO).unsigned_abs();
    if holder.is_empty() || renewed.is_none_or(|then| since(then) > LAPSED) {
        let last = renewed.map(|then| format!(", {} ago the last one did", words(since(then)))).unwrap_or_default();
        return vec![Check::fail("leader", format!("nobody holds {name}: no replica recommends{last}"), logs)];
    }
    let leader = Check::ok("leader", format!("{holder} holds {name}"));
    if installation.prometheus_url.is_none() {
        return vec![leader];
    }
    let learned = time(lease.pointer("/metadata/annotations").and_then(|all| all.get(LEARNED)));
    let begun = time(lease.pointer("/metadata/creationTimestamp"));
    let every = installation.recommend_every.unwrap_or(Duration::from_secs(3600));
    let check = "last learning";
    vec![
        leader,
        match learned {
            Some(then) if since(then) <= every * 2 + FIRST => Check::ok(check, format!("{} ago", words(since(then)))),
            Some(then) => Check::fail(
                check,
                format!("{} ago, and there should be one every {}", words(since(then)), words(every)),
                logs,
            ),
            None if begun.is_some_and(|begun| since(begun) <= FIRST) => {
                Check::ok(check, "none yet: podfit has just been installed")
            }
            None => Check::fail(check, "none yet: nothing is recommended", logs),
        },
    ]
}

fn time(value: Option<&Value>) -> Option<Timestamp> {
    value?.as_str()?.parse().ok()
}

fn words(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds / 60),
        seconds @ 7200..172_800 => format!("{} h", seconds / 3600),
        seconds => format!("{} d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;
    use crate::doctor::State;

    fn installation() -> Installation {
        let prometheus_url = Some("http://prometheus:9090".to_owned());
        Installation { prometheus_url, replicas: Some(2), ..Installation::usual("podfit") }
    }

    #[rstest]
    #[case::well("a", "12:00:00", Some("11:30:00"), "2026-01-01T00:00:00Z", [State::Ok, State::Ok], "30 min ago")]
    #[case::just_installed("a", "12:00:00", None, "2026-11-22T11:50:00Z", [State::Ok, State::Ok], "just been installed")]
    #[case::never("a", "12:00:00", None, "2026-11-22T10:00:00Z", [State::Ok, State::Fail], "none yet")]
    #[case::long_ago("a", "12:00:00", Some("03:00:00"), "2026-01-01T00:00:00Z", [State::Ok, State::Fail], "9 h ago")]
    fn who_leads_has_learned(
        #[case] holder: &str,
        #[case] renewed: &str,
        #[case] learned: Option<&str>,
        #[case] created: &str,
        #[case] states: [State; 2],
        #[case] seen: &str,
    ) {
        let at = |time: &str| format!("2026-11-22T{time}Z");
        let annotations = json!({LEARNED: learned.map(at)});
        let lease = json!({"metadata": {"creationTimestamp": created, "annotations": annotations},
            "spec": {"holderIdentity": holder, "renewTime": at(renewed)}});
        let checks = leader(&installation(), &Ok(Some(lease)), at("12:00:01").parse().unwrap());
        assert_eq!(checks.iter().map(|check| check.state).collect::<Vec<_>>(), states);
        assert!(checks[1].seen.contains(seen), "{checks:?}");
    }

    #[rstest]
    #[case::none(Ok(None), "there is no Lease podfit")]
    #[case::given_up(Ok(Some(json!({"spec": {"holderIdentity": "", "renewTime": "2026-11-22T12:00:00Z"}}))), "nobody holds")]
    #[case::lapsed(Ok(Some(json!({"spec": {"holderIdentity": "a", "renewTime": "2026-11-22T11:00:00Z"}}))), "60 min ago")]
    fn where_nobody_leads_nothing_is_recommended(#[case] lease: Read<Value>, #[case] seen: &str) {
        let checks = leader(&installation(), &lease, "2026-11-22T12:00:00Z".parse().unwrap());
        assert_eq!((checks.len(), checks[0].state), (1, State::Fail));
        assert!(checks[0].seen.contains(seen), "{checks:?}");
    }

    #[test]
    fn without_a_prometheus_there_is_no_history() {
        assert!(history(&installation()).is_none());
        let without = Installation { prometheus_url: None, ..installation() };
        assert_eq!(history(&without).map(|check| check.state), Some(State::Fail));
        assert!(history(&Installation::usual("podfit")).is_none(), "nobody knows where there is no Deployment");
    }
}
