//! The custom resource definitions, and the policy in force.
//! Must not know the schemas.

use serde_json::Value;

use super::{Check, Read};

/// The API group and version that this build works with.
pub const GROUP: &str = "podfit.dev";
/// Its version.
pub const VERSION: &str = "v1alpha1";
/// Plural names of podfit's kinds.
pub const PLURALS: [&str; 2] = ["rightsizingpolicies", "recommendations"];

/// One definition, read by its plural.
pub fn definition(plural: &str, object: &Read<Value>) -> Check {
    let check = format!("definition of {plural}");
    let apply = "kubectl apply --server-side -k deploy/crds, or install the chart with crds.install";
    let object = match object {
        Err(why) => return Check::unknown(check, why, ""),
        Ok(None) => return Check::fail(check, format!("there is no {plural}.{GROUP}"), apply),
        Ok(Some(object)) => object,
    };
    let versions = object.pointer("/spec/versions").and_then(Value::as_array).into_iter().flatten();
    let served: Vec<&str> = versions.filter(|v| v["served"] == true).filter_map(|v| v["name"].as_str()).collect();
    if !served.contains(&VERSION) {
        let seen = format!(
            "{VERSION} is not served, but {}",
            if served.is_empty() { "none".to_owned() } else { served.join(", ") }
        );
        return Check::fail(check, seen, apply);
    }
    let conditions = object.pointer("/status/conditions").and_then(Value::as_array).into_iter().flatten();
    let established = conditions.into_iter().any(|c| c["type"] == "Established" && c["status"] == "True");
    if !established {
        return Check::fail(check, "it is not established", format!("kubectl describe crd {plural}.{GROUP}"));
    }
    Check::ok(check, format!("{VERSION} is served"))
}

/// The policy `default`.
pub fn policy(object: &Read<Value>) -> Check {
    let check = "policy";
    let object = match object {
        Err(why) => return Check::unknown(check, why, ""),
        Ok(None) => {
            let seen = "there is no RightsizingPolicy default: podfit's own defaults hold, and nothing is resized";
            return Check::warn(check, seen, "kubectl create -f deploy/policy.yaml");
        }
        Ok(Some(object)) => object,
    };
    let mode = object.pointer("/spec/rollout/mode").and_then(Value::as_str).unwrap_or("recommend");
    if object.pointer("/spec/resizing").and_then(Value::as_str) == Some("stopped") {
        let advice = r#"on purpose? else kubectl patch rsp default --type merge -p '{"spec":{"resizing":"active"}}'"#;
        return Check::warn(check, format!("resizing is stopped (mode {mode})"), advice);
    }
    let conditions = object.pointer("/status/conditions").and_then(Value::as_array).into_iter().flatten();
    let refused = conditions.into_iter().find(|c| c["status"] == "False" && c["message"].is_string());
    if let Some(refused) = refused {
        let seen = format!("it is not in force: {}", refused["message"].as_str().unwrap_or_default());
        return Check::fail(check, seen, "kubectl edit rsp default");
    }
    let seen = match mode {
        "recommend" => "mode recommend: sizes are shown, nothing is changed",
        "canary" => "mode canary: a share of pods is resized",
        "apply" => "mode apply: pods are resized",
        _ => return Check::fail(check, format!("mode {mode} is not known"), "recommend, canary or apply"),
    };
    Check::ok(check, seen)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;
    use crate::doctor::State;

    #[rstest]
    #[case(json!({"spec": {"versions": [{"name": "v1alpha1", "served": true}]},
        "status": {"conditions": [{"type": "Established", "status": "True"}]}}), State::Ok)]
    #[case(json!({"spec": {"versions": [{"name": "v1alpha1", "served": true}]}}), State::Fail)]
    #[case(json!({"spec": {"versions": [{"name": "v1alpha1", "served": false}, {"name": "v1", "served": true}]}}), State::Fail)]
    #[case(json!({}), State::Fail)]
    fn a_definition_serves_the_version(#[case] object: Value, #[case] state: State) {
        assert_eq!(definition(PLURALS[0], &Ok(Some(object))).state, state);
    }

    #[rstest]
    #[case(json!({"spec": {"rollout": {"mode": "canary"}}}), State::Ok, "a share")]
    #[case(json!({"spec": {}}), State::Ok, "nothing is changed")]
    #[case(json!({"spec": {"resizing": "stopped", "rollout": {"mode": "apply"}}}), State::Warn, "stopped (mode apply)")]
    #[case(json!({"spec": {}, "status": {"conditions": [{"type": "Accepted", "status": "False", "message": "no such rule"}]}}), State::Fail, "no such rule")]
    #[case(json!({"spec": {"rollout": {"mode": "yolo"}}}), State::Fail, "yolo")]
    fn the_policy_says_what_happens_to_pods(#[case] object: Value, #[case] state: State, #[case] seen: &str) {
        let check = policy(&Ok(Some(object)));
        assert_eq!(check.state, state);
        assert!(check.seen.contains(seen), "{}", check.seen);
    }

    #[test]
    fn what_is_not_there_is_told() {
        assert_eq!(definition(PLURALS[1], &Ok(None)).state, State::Fail);
        assert_eq!(policy(&Ok(None)).state, State::Warn);
        assert_eq!(policy(&Err("403".to_owned())).state, State::Unknown);
    }
}
