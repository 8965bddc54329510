//! Sets the `InForce` condition of every `RightsizingPolicy`: whether it applies, and if not, why. The leader writes it.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

use super::crds::{GROUP, IN_FORCE, POLICIES, VERSION};
use super::lease::Term;
use crate::cluster::{Api, ApiError, PatchKind};
use crate::policy::Policy;
use crate::text;

/// How often policies are looked at.
const EVERY: Duration = Duration::from_secs(3);
/// Longest message, in characters.
const MAX_CHARS: usize = 500;
const CONDITION: &str = "InForce";

/// Keeps the conditions right until stopped, while this replica leads.
pub async fn run(api: Api, term: &Term, stop: CancellationToken) {
    let mut reported = None;
    loop {
        if term.holds() {
            let problem = look(&api, term).await.err();
            if let Some(problem) = problem.as_ref().filter(|problem| reported.as_ref() != Some(*problem)) {
                tracing::warn!("{problem}");
            }
            reported = problem;
        }
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = stop.cancelled() => return,
        }
    }
}

async fn look(api: &Api, term: &Term) -> Result<(), String> {
    let path = format!("/apis/{GROUP}/{VERSION}/{POLICIES}");
    let policies = match api.list(&path, |_| {}).await {
        Ok(policies) => policies,
        // Their definition is not there; the watch has said so.
        Err(ApiError::Status { status: 404, .. }) => return Ok(()),
        Err(error) => return Err(format!("cannot list {POLICIES}: {error}")),
    };
    let mut failed = None;
    for policy in &policies {
        let name = policy.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
        let wanted = judged(name, policy.get("spec").unwrap_or(&Value::Null));
        if is_said(policy, &wanted) || !term.holds() {
            continue;
        }
        let generation = policy.pointer("/metadata/generation").cloned().unwrap_or_default();
        let condition = json!({
            "type": CONDITION, "status": wanted.0, "reason": wanted.1, "message": wanted.2,
            "lastTransitionTime": Timestamp::from_second(Timestamp::now().as_second()).unwrap_or_default(),
            "observedGeneration": generation,
        });
        let body = json!({
            "apiVersion": format!("{GROUP}/{VERSION}"), "kind": "RightsizingPolicy", "metadata": {"name": name},
            "status": {"conditions": [condition]},
        });
        let path = format!("{path}/{name}/status?fieldManager=podfit&force=true");
        match api.patch(&path, PatchKind::Apply, &body).await {
            Ok(_) | Err(ApiError::Status { status: 404 | 409, .. }) => {}
            Err(ApiError::Status { status: 403, .. }) => {
                failed = Some(format!(
                    "podfit may not patch {POLICIES}/status (403): grant its service account the verb patch on it \
                     ({GROUP})"
                ));
            }
            // One of another name, of a time when they were taken: it cannot be told.
            Err(ApiError::Status { status: 422, .. }) if name != IN_FORCE => {}
            Err(error) => failed = Some(format!("cannot patch {POLICIES}/status: {error}")),
        }
    }
    failed.map_or(Ok(()), Err)
}

/// Status, reason and message of the condition.
fn judged(name: &str, spec: &Value) -> (&'static str, &'static str, String) {
    if name != IN_FORCE {
        return ("False", "NotRead", format!("only the policy named {IN_FORCE} is read"));
    }
    let policy = Policy::deserialize(spec).map_err(|error| error.to_string());
    match policy.and_then(|policy| policy.validate().map_err(|error| error.to_string())) {
        Ok(()) => ("True", "Read", "it is in force".to_owned()),
        Err(why) => {
            let why = text::clip(&text::clean(&why), MAX_CHARS);
            ("False", "Unusable", format!("{why}; the policy before it stays in force"))
        }
    }
}

fn is_said(policy: &Value, wanted: &(&str, &str, String)) -> bool {
    let conditions = policy.pointer("/status/conditions").and_then(Value::as_array);
    conditions.into_iter().flatten().any(|condition| {
        let text = |key: &str| condition.get(key).and_then(Value::as_str).unwrap_or_default();
        text("type") == CONDITION
            && (text("status"), text("reason"), text("message")) == (wanted.0, wanted.1, wanted.2.as_str())
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("default", json!({"resizing": "stopped"}), "True", "in force")]
    #[case("default", json!({"bounds": {"memory": {"floor": "2Gi", "ceiling": "1Gi"}}}), "False", "floor 2Gi")]
    #[case("default", json!({"resising": "stopped"}), "False", "resising")]
    #[case("mine", json!({}), "False", "only the policy named default")]
    fn a_policy_says_whether_it_is_in_force(
        #[case] name: &str,
        #[case] spec: Value,
        #[case] status: &str,
        #[case] said: &str,
    ) {
        let judged = judged(name, &spec);
        assert!(judged.0 == status && judged.2.contains(said), "{judged:?}");
        let condition = json!({"type": "InForce", "status": judged.0, "reason": judged.1, "message": judged.2});
        assert!(is_said(&json!({"status": {"conditions": [condition]}}), &judged));
        assert!(!is_said(&json!({}), &judged));
    }
}
