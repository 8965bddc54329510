//! Whether what podfit makes reaches pods: namespaces that API servers never ask about, configurations that ask twice or
//! somebody who is gone, other policies, calls that failed open. Must not ask anyone.

use std::collections::BTreeMap;

use serde_json::Value;

use super::webhooks::Kind;
use super::{Check, Installation};
use crate::text;

/// Calls that failed open are worth a word where they are more than this share.
const NOTICEABLE: f64 = 0.01;
/// Most names in a line.
const FEW: usize = 3;

/// Recommendations whose pods are never asked about. `counts` says how many there are by namespace.
pub fn never_asked(
    counts: &BTreeMap<String, usize>,
    namespaces: &[Value],
    mutating: &Value,
    installation: &Installation,
) -> Check {
    let check = "namespaces";
    let entries = super::webhooks::entries(mutating, installation);
    let of_pods: Vec<&&Value> = entries.iter().filter(|entry| is_about_pods(entry)).collect();
    let labels: BTreeMap<&str, &Value> =
        namespaces.iter().filter_map(|n| Some((n.pointer("/metadata/name")?.as_str()?, n))).collect();
    let asked = |name: &str| {
        let namespace = labels.get(name).copied().unwrap_or(&Value::Null);
        of_pods.iter().any(|entry| selects(&entry["namespaceSelector"], name, namespace))
    };
    let never: Vec<&String> = counts.keys().filter(|name| !asked(name)).collect();
    let all: usize = counts.values().sum();
    if never.is_empty() {
        return Check::ok(check, format!("{all} recommendations, and API servers ask about all their namespaces"));
    }
    let lost: usize = never.iter().map(|name| counts[*name]).sum();
    let seen = format!(
        "{lost} of {all} recommendations are in namespaces that API servers never ask about ({}): no pod there is sized",
        few(never.iter().map(|name| name.as_str()))
    );
    Check::warn(check, seen, "fine if that is wanted; else see namespaces.include and exclude, or namespaceSelector")
}

fn is_about_pods(entry: &Value) -> bool {
    let rules = entry["rules"].as_array().into_iter().flatten();
    rules
        .filter_map(|rule| rule["resources"].as_array())
        .flatten()
        .any(|resource| resource == "pods" || resource == "*")
}

/// Kubernetes' label selector, on a namespace.
fn selects(selector: &Value, name: &str, namespace: &Value) -> bool {
    let label = |key: &str| {
        let found = namespace.pointer("/metadata/labels").and_then(|labels| labels.get(key)).and_then(Value::as_str);
        // The API server sets it on every namespace.
        found.or((key == "kubernetes.io/metadata.name").then_some(name))
    };
    let equal = selector["matchLabels"].as_object().into_iter().flatten();
    let expressions = selector["matchExpressions"].as_array().into_iter().flatten();
    equal.into_iter().all(|(key, value)| label(key) == value.as_str())
        && expressions.into_iter().all(|expression| {
            let has = label(expression["key"].as_str().unwrap_or_default());
            let listed = |has: &str| expression["values"].as_array().into_iter().flatten().any(|v| v == has);
            match expression["operator"].as_str() {
                Some("In") => has.is_some_and(listed),
                Some("NotIn") => !has.is_some_and(listed),
                Some("Exists") => has.is_some(),
                Some("DoesNotExist") => has.is_none(),
                _ => true,
            }
        })
}

/// Configurations beside the installation's own that lead to a podfit: a second one to the same Service asks twice, one
/// to another Service is of another release, or of one that is gone. `services` are those that are there, as
/// `NAMESPACE/NAME`; `None` where they could not be listed.
pub fn others(
    configurations: &[(Kind, Value)],
    services: Option<&[String]>,
    installation: &Installation,
) -> Vec<Check> {
    let own_service = format!("{}/{}", installation.namespace, installation.service);
    let mut checks = Vec::new();
    let mut releases: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (kind, object) in configurations {
        let name = object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
        for entry in object["webhooks"].as_array().into_iter().flatten() {
            let service = &entry["clientConfig"]["service"];
            let (Some(space), Some(of)) = (service["namespace"].as_str(), service["name"].as_str()) else { continue };
            let (leads_to, entry_name) = (format!("{space}/{of}"), entry["name"].as_str().unwrap_or_default());
            let configuration = format!("{} {name}", kind.plural());
            if leads_to == own_service && name != installation.configuration {
                checks.push(Check::warn(
                    "webhooks",
                    format!("{configuration} leads to {of} too: API servers ask about each pod twice"),
                    format!("kubectl delete {configuration}"),
                ));
                break;
            }
            if leads_to != own_service && entry_name.ends_with(".podfit.dev") {
                releases.entry(leads_to).or_default().push(configuration);
                break;
            }
        }
    }
    for (service, of) in releases {
        let named = of.join(" and ");
        checks.push(if services.is_some_and(|there| !there.contains(&service)) {
            let delete = of.iter().map(|one| format!("kubectl delete {one}")).collect::<Vec<_>>().join("; ");
            let seen = format!("{named} lead to Service {service}, which is not there: each pod waits for nobody");
            Check::warn("other releases", seen, delete)
        } else {
            let seen =
                format!("{named} lead to Service {service}: a second podfit sizes pods and writes recommendations");
            let advice = "uninstall one of the two, or give each its own namespaces (namespaces.include)";
            Check::warn("other releases", seen, advice)
        });
    }
    checks
}

/// Policies of other names, which an older definition let in.
pub fn other_policies(policies: &[Value], in_force: &str) -> Option<Check> {
    let names = policies.iter().filter_map(|policy| policy.pointer("/metadata/name")?.as_str());
    let others: Vec<&str> = names.filter(|name| *name != in_force).collect();
    (!others.is_empty()).then(|| {
        let seen = format!("{} is not read: only {in_force} is", few(others.iter().copied()));
        Check::warn("policy", seen, format!("move what it says into {in_force}, and delete it"))
    })
}

/// Calls that the API server let pass because podfit did not answer, by its own metrics. `is_young`: the installation
/// is, whose first calls came before its first replica was ready.
pub fn failed_open(metrics: &str, is_young: bool) -> Check {
    let check = "admission calls";
    let of = |family: &str| -> f64 {
        let lines = metrics.lines().filter_map(|line| line.strip_prefix(family)?.strip_prefix('{'));
        lines
            .filter(|rest| rest.contains(".podfit.dev\""))
            .filter_map(|rest| rest.rsplit_once(' ')?.1.parse::<f64>().ok())
            .sum()
    };
    let open = of("apiserver_admission_webhook_fail_open_count");
    let all = of("apiserver_admission_webhook_admission_duration_seconds_count").max(open);
    let seen = format!("{open} of {all} failed open since the API server that was asked started");
    if open > all * NOTICEABLE && !is_young {
        let advice = "pods passed unsized and unchecked: see the certificate, replicas, NetworkPolicies and firewalls \
                      between API server and podfit (on private GKE port 8443 of the nodes)";
        return Check::warn(check, seen, advice);
    }
    Check::ok(check, seen)
}

fn few<'a>(names: impl ExactSizeIterator<Item = &'a str>) -> String {
    let more = names.len().saturating_sub(FEW);
    let mut shown: Vec<String> = names.take(FEW).map(|name| text::name(name).clone()).collect();
    if more > 0 {
        shown.push(format!("{more} more"));
    }
    shown.join(", ")
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;
    use crate::doctor::State;

    fn entry(name: &str, namespace: &str, selector: &Value) -> Value {
        json!({"name": name, "namespaceSelector": selector, "rules": [{"resources": ["pods"]}],
            "clientConfig": {"service": {"name": "podfit-webhook", "namespace": namespace}}})
    }

    fn configuration(name: &str, entry: &Value) -> Value {
        json!({"metadata": {"name": name}, "webhooks": [entry]})
    }

    #[rstest]
    #[case::all(json!({}), State::Ok, "3 recommendations")]
    #[case::named(json!({"matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["etl"]}]}),
        State::Warn, "1 of 3 recommendations are in namespaces that API servers never ask about (ml)")]
    #[case::labelled(json!({"matchLabels": {"team": "data"}}), State::Warn, "(ml)")]
    #[case::opted_out(json!({"matchExpressions": [{"key": "podfit", "operator": "DoesNotExist"}]}), State::Warn, "(ml)")]
    fn namespaces_that_nobody_asks_about_are_told(#[case] selector: Value, #[case] state: State, #[case] seen: &str) {
        let counts = [("etl".to_owned(), 2), ("ml".to_owned(), 1)].into();
        let namespaces = [
            json!({"metadata": {"name": "etl", "labels": {"team": "data"}}}),
            json!({"metadata": {"name": "ml", "labels": {"podfit": "no"}}}),
        ];
        let object = configuration("podfit-webhook", &entry("size.podfit.dev", "podfit", &selector));
        let check = never_asked(&counts, &namespaces, &object, &Installation::usual("podfit"));
        assert_eq!(check.state, state, "{check:?}");
        assert!(check.seen.contains(seen), "{check:?}");
    }

    #[rstest]
    #[case::own("podfit-webhook", "size.podfit.dev", "podfit", &[])]
    #[case::somebody_elses("other", "other.example", "kyverno", &[])]
    #[case::twice("old-webhook", "size.podfit.dev", "podfit", &["ask about each pod twice"])]
    #[case::second("data-podfit-webhook", "size.podfit.dev", "data", &["a second podfit sizes pods"])]
    #[case::leftover("old-webhook", "size.podfit.dev", "gone", &["each pod waits for nobody"])]
    fn other_configurations_are_told(
        #[case] name: &str,
        #[case] webhook: &str,
        #[case] namespace: &str,
        #[case] seen: &[&str],
    ) {
        let all = [(Kind::Mutating, configuration(name, &entry(webhook, namespace, &json!({}))))];
        let services = ["podfit/podfit-webhook".to_owned(), "data/podfit-webhook".to_owned()];
        let checks = others(&all, Some(&services), &Installation::usual("podfit"));
        assert_eq!(checks.len(), seen.len(), "{checks:?}");
        for (check, seen) in checks.iter().zip(seen) {
            assert!(check.state == State::Warn && check.seen.contains(seen), "{check:?}");
        }
    }

    #[test]
    fn a_policy_that_nobody_reads_is_told() {
        let policies = ["default", "mine"].map(|name| json!({"metadata": {"name": name}}));
        assert!(other_policies(&policies, "default").unwrap().seen.starts_with("mine is not read"));
        assert_eq!(other_policies(&policies[..1], "default"), None);
    }

    #[rstest]
    #[case::few("1", "2000", false, State::Ok)]
    #[case::many("40", "2000", false, State::Warn)]
    #[case::before_the_first_replica_was_ready("40", "2000", true, State::Ok)]
    fn calls_that_failed_open_are_counted(
        #[case] open: &str,
        #[case] all: &str,
        #[case] is_young: bool,
        #[case] state: State,
    ) {
        let metrics = format!(
            "apiserver_admission_webhook_fail_open_count{{name=\"size.podfit.dev\",type=\"admit\"}} {open}\n\
             apiserver_admission_webhook_fail_open_count{{name=\"other.example\",type=\"admit\"}} 9999\n\
             apiserver_admission_webhook_admission_duration_seconds_count{{name=\"size.podfit.dev\",operation=\"CREATE\"}} {all}\n"
        );
        let check = failed_open(&metrics, is_young);
        assert_eq!(check.state, state, "{check:?}");
        assert!(check.seen.starts_with(&format!("{open} of {all} failed open")), "{check:?}");
    }
}
