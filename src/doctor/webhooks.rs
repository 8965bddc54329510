//! Both webhook configurations: whether they are there, lead to podfit, and can do no harm.
//! Must not know who answers behind them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::{Check, Installation, Read};

/// API servers wait no longer than this for a webhook that is away, if all is to go on as it does; seconds.
const LONG_TIMEOUT_S: u64 = 5;
/// What an API server takes where nothing is said; seconds.
const DEFAULT_TIMEOUT_S: u64 = 10;
/// Namespaces that a cluster lives on.
const VITAL: [&str; 2] = ["kube-system", "kube-node-lease"];

/// One of the two configurations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Sizes pods.
    Mutating,
    /// Applies the rules.
    Validating,
}

impl Kind {
    /// As in its path.
    pub const fn plural(self) -> &'static str {
        match self {
            Self::Mutating => "mutatingwebhookconfigurations",
            Self::Validating => "validatingwebhookconfigurations",
        }
    }

    const fn check(self) -> &'static str {
        match self {
            Self::Mutating => "mutating webhook",
            Self::Validating => "validating webhook",
        }
    }

    const fn without(self) -> &'static str {
        match self {
            Self::Mutating => "no pod is resized",
            Self::Validating => "no rule is applied",
        }
    }
}

/// What is wrong with both of them, or that nothing is.
pub fn both(mutating: &Read<Value>, validating: &Read<Value>, installation: &Installation) -> Vec<Check> {
    if let (Ok(None), Ok(None)) = (mutating, validating) {
        let seen =
            format!("there is no webhook configuration {}: API servers do not ask podfit", installation.configuration);
        return vec![Check::fail("webhooks", seen, "install podfit anew, or see who deleted them")];
    }
    let of = |kind, object| configuration(kind, object, installation);
    [of(Kind::Mutating, mutating), of(Kind::Validating, validating)].concat()
}

fn configuration(kind: Kind, object: &Read<Value>, installation: &Installation) -> Vec<Check> {
    let check = kind.check();
    let object = match object {
        Err(why) => return vec![Check::unknown(check, why, "")],
        Ok(None) => {
            let seen = format!("there is no {} {}: {}", kind.plural(), installation.configuration, kind.without());
            return vec![Check::warn(check, seen, "fine if it was left out on purpose; else install it")];
        }
        Ok(Some(object)) => object,
    };
    let entries = entries(object, installation);
    if entries.is_empty() {
        let seen = format!("no entry leads to {}: {}", installation.dns(), kind.without());
        return vec![Check::fail(check, seen, "install podfit's configurations anew")];
    }
    let mut checks = Vec::new();
    for entry in entries {
        let name = entry["name"].as_str().unwrap_or("an entry");
        let closed = entry["failurePolicy"] != "Ignore";
        if closed && kind == Kind::Mutating {
            let seen = format!("{name} has failurePolicy Fail: while podfit is away no pod is created");
            checks.push(Check::warn(check, seen, "set it to Ignore: a pod that is not resized runs as it did before"));
        }
        let reached: Vec<&str> =
            VITAL.into_iter().chain([installation.namespace.as_str()]).filter(|n| selects(entry, n)).collect();
        if closed && !reached.is_empty() {
            let seen = format!(
                "{name} fails closed and reaches {}: the cluster may not recover by itself",
                reached.join(", ")
            );
            checks.push(Check::fail(check, seen, "exclude them by namespaceSelector on kubernetes.io/metadata.name"));
        }
        let timeout = entry["timeoutSeconds"].as_u64().unwrap_or(DEFAULT_TIMEOUT_S);
        if timeout > LONG_TIMEOUT_S {
            let seen = format!("{name} has timeoutSeconds {timeout}: each pod waits so long while podfit hangs");
            checks.push(Check::warn(check, seen, "set it to 2 or 3"));
        }
    }
    if checks.is_empty() {
        let policies: Vec<String> = policies(object, installation);
        checks.push(Check::ok(check, policies.join(", ")));
    }
    checks
}

/// The bundles of the entries that lead to podfit, decoded; what cannot be decoded is empty.
pub fn bundles(object: &Value, installation: &Installation) -> Vec<Vec<u8>> {
    let of = |entry: &&Value| {
        let text = entry.pointer("/clientConfig/caBundle").and_then(Value::as_str).unwrap_or_default();
        STANDARD.decode(text).unwrap_or_default()
    };
    entries(object, installation).iter().map(of).collect()
}

fn policies(object: &Value, installation: &Installation) -> Vec<String> {
    let of = |entry: &&Value| {
        let text = |key: &str| entry[key].as_str().unwrap_or_default().to_owned();
        format!("{} (failurePolicy {})", text("name"), text("failurePolicy"))
    };
    entries(object, installation).iter().map(of).collect()
}

/// The entries of a configuration that lead to podfit.
pub(super) fn entries<'a>(object: &'a Value, installation: &Installation) -> Vec<&'a Value> {
    let leads_here = |entry: &&Value| {
        let service = &entry["clientConfig"]["service"];
        service["name"] == *installation.service && service["namespace"] == *installation.namespace
    };
    object["webhooks"].as_array().into_iter().flatten().filter(leads_here).collect()
}

/// Whether an entry is asked about a namespace, as far as its name decides it: other labels are taken to match.
fn selects(entry: &Value, namespace: &str) -> bool {
    const NAME: &str = "kubernetes.io/metadata.name";
    let selector = &entry["namespaceSelector"];
    let label = selector["matchLabels"].get(NAME).and_then(Value::as_str);
    let expressions = selector["matchExpressions"].as_array().into_iter().flatten().filter(|e| e["key"] == NAME);
    label.is_none_or(|l| l == namespace)
        && expressions.clone().all(|e| {
            let listed = e["values"].as_array().into_iter().flatten().any(|v| v == namespace);
            match e["operator"].as_str() {
                Some("In") => listed,
                Some("NotIn") => !listed,
                Some("DoesNotExist") => false,
                _ => true,
            }
        })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;
    use crate::doctor::State;

    fn object(change: impl Fn(&mut Value)) -> Value {
        let mut entry = json!({"name": "size.podfit.dev", "failurePolicy": "Ignore", "timeoutSeconds": 2,
            "namespaceSelector": {"matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "NotIn",
                "values": ["kube-system", "kube-node-lease", "podfit"]}]},
            "clientConfig": {"caBundle": "YQ==", "service": {"name": "podfit-webhook", "namespace": "podfit"}}});
        change(&mut entry);
        let other = json!({"name": "other", "failurePolicy": "Fail", "clientConfig": {"url": "https://other.example"}});
        json!({"webhooks": [other, entry]})
    }

    fn outcome(kind: Kind, object: &Read<Value>) -> (State, String) {
        let mut checks = configuration(kind, object, &Installation::usual("podfit"));
        checks.sort_by_key(|c| c.state);
        (checks[0].state, checks[0].seen.clone())
    }

    #[rstest]
    #[case::as_installed(Kind::Mutating, |_: &mut Value| {}, State::Ok, "size.podfit.dev (failurePolicy Ignore)")]
    #[case::closed(Kind::Mutating, |e: &mut Value| e["failurePolicy"] = json!("Fail"), State::Warn, "no pod is created")]
    #[case::closed_rules(Kind::Validating, |e: &mut Value| e["failurePolicy"] = json!("Fail"), State::Ok, "Fail")]
    #[case::closed_everywhere(Kind::Validating, |e: &mut Value| {
        e["failurePolicy"] = json!("Fail");
        e["namespaceSelector"] = json!({});
    }, State::Fail, "reaches kube-system, kube-node-lease, podfit")]
    #[case::closed_for_a_few(Kind::Validating, |e: &mut Value| {
        e["failurePolicy"] = json!("Fail");
        e["namespaceSelector"] = json!({"matchLabels": {"kubernetes.io/metadata.name": "etl"}});
    }, State::Ok, "Fail")]
    #[case::slow(Kind::Mutating, |e: &mut Value| e["timeoutSeconds"] = json!(30), State::Warn, "timeoutSeconds 30")]
    #[case::elsewhere(Kind::Mutating, |e: &mut Value| e["clientConfig"] = json!({}), State::Fail, "no entry leads to")]
    fn what_can_do_harm_is_told(
        #[case] kind: Kind,
        #[case] change: impl Fn(&mut Value),
        #[case] state: State,
        #[case] seen: &str,
    ) {
        let (found, text) = outcome(kind, &Ok(Some(object(change))));
        assert_eq!(found, state, "{text}");
        assert!(text.contains(seen), "{text}");
    }

    #[test]
    fn a_missing_one_is_a_choice_and_an_unread_one_unknown() {
        assert_eq!(outcome(Kind::Mutating, &Ok(None)).0, State::Warn);
        assert_eq!(outcome(Kind::Mutating, &Err("403".to_owned())).0, State::Unknown);
    }

    #[test]
    fn without_either_nobody_asks_podfit() {
        let checks = both(&Ok(None), &Ok(None), &Installation::usual("podfit"));
        assert_eq!(checks.iter().map(|c| c.state).collect::<Vec<_>>(), [State::Fail]);
        assert_eq!(both(&Ok(Some(object(|_| {}))), &Ok(None), &Installation::usual("podfit")).len(), 2);
    }

    #[test]
    fn bundles_are_those_of_podfits_entries() {
        let installation = Installation::usual("podfit");
        let read = |change: fn(&mut Value)| bundles(&object(change), &installation);
        assert_eq!(read(|_| {}), [b"a".to_vec()]);
        assert_eq!(read(|e| e["clientConfig"]["caBundle"] = json!("?")), [Vec::<u8>::new()]);
    }
}
