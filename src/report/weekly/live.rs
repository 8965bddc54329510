//! What a live namespace adds to a report: room in its quotas, and habits of the namespace rather than of a pod. From
//! objects as they came; asks nobody.

use serde_json::Value;

use super::FoundAt;
use crate::policy::{Finding, Mode, Severity};
use crate::quantity::Quantity;

/// How these rules are applied: admission does not see them, so they are only told.
const MODE: Mode = Mode::Audit;

/// Objects of a namespace; `None` where they could not be listed, so that nothing is said of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Objects {
    /// `ResourceQuotas`.
    pub quotas: Option<Vec<Value>>,
    /// `LimitRanges`.
    pub limit_ranges: Option<Vec<Value>>,
    /// `PodDisruptionBudgets`.
    pub budgets: Option<Vec<Value>>,
    /// `Deployments`.
    pub deployments: Option<Vec<Value>>,
    /// `StatefulSets`.
    pub stateful_sets: Option<Vec<Value>>,
}

/// How much room a quota has.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct QuotaRoom {
    /// Namespace.
    pub namespace: String,
    /// The `ResourceQuota`.
    pub quota: String,
    /// What it bounds: `requests.memory`.
    pub resource: String,
    /// Its bound, as the cluster writes it.
    pub hard: String,
    /// What is used of it; `None` where nothing has counted yet.
    pub used: Option<String>,
    /// Share that is used, 0 to 1 and more.
    pub used_share: Option<f64>,
}

/// What a live cluster adds to a report.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Live {
    /// Findings that are of a namespace or of something in it that is no pod.
    pub findings: Vec<FoundAt>,
    /// Quotas.
    pub quotas: Vec<QuotaRoom>,
}

impl Live {
    /// Adds a namespace.
    pub fn add(&mut self, namespace: &str, objects: &Objects) {
        for quota in objects.quotas.iter().flatten() {
            self.quotas.extend(rooms(namespace, quota));
        }
        let found = |workload: String, rule: &'static str, message: String| FoundAt {
            namespace: namespace.to_owned(),
            workload,
            finding: Finding {
                rule,
                reason: rule,
                severity: Severity::Remark,
                mode: MODE,
                container: String::new(),
                path: String::new(),
                message,
            },
        };
        if objects.quotas.as_ref().is_some_and(Vec::is_empty) {
            let message = "the namespace has no ResourceQuota, so its work may take all nodes: set requests.cpu and \
                           requests.memory";
            self.findings.push(found(String::new(), "no-resource-quota", message.to_owned()));
        }
        if objects.limit_ranges.as_ref().is_some_and(Vec::is_empty) {
            let message = "the namespace has no LimitRange, so a container without requests gets none: set defaults for \
                           cpu and memory";
            self.findings.push(found(String::new(), "no-limit-range", message.to_owned()));
        }
        let kinds = [("deployment", &objects.deployments), ("statefulset", &objects.stateful_sets)];
        for (kind, object) in kinds.into_iter().flat_map(|(kind, list)| list.iter().flatten().map(move |o| (kind, o))) {
            let name = format!("{kind}/{}", name_of(object));
            let replicas = object.pointer("/spec/replicas").and_then(Value::as_u64).unwrap_or(1);
            let covered = |budgets: &Vec<Value>| budgets.iter().any(|budget| covers(budget, object));
            if replicas > 1 && objects.budgets.as_ref().is_some_and(|budgets| !covered(budgets)) {
                let message = format!(
                    "{replicas} replicas and no PodDisruptionBudget, so a drain may end them all at once: add one with \
                     maxUnavailable: 1"
                );
                self.findings.push(found(name.clone(), "no-disruption-budget", message));
            }
            if kind == "statefulset" && !claims_a_volume(object) {
                let message = "a StatefulSet without a volume claim keeps its data in the pod, and loses it with the pod: \
                               add volumeClaimTemplates, or make it a Deployment";
                self.findings.push(found(name, "data-without-volume-claim", message.to_owned()));
            }
        }
    }
}

fn name_of(object: &Value) -> &str {
    object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or("?")
}

/// Room for cpu and memory; other resources are not podfit's.
fn rooms(namespace: &str, quota: &Value) -> Vec<QuotaRoom> {
    let value = |section: &str, resource: &str| {
        let value = quota.pointer(section)?.get(resource)?;
        Some((value.as_str().map_or_else(|| value.to_string(), str::to_owned), Quantity::from_json(value).ok()))
    };
    ["requests.cpu", "cpu", "limits.cpu", "requests.memory", "memory", "limits.memory"]
        .into_iter()
        .filter_map(|resource| {
            let (hard, bound) = value("/spec/hard", resource)?;
            let used = value("/status/used", resource);
            // Both in thousandths, which is exact for cores and enough for bytes.
            let share = used.as_ref().and_then(|(_, used)| {
                let (used, bound) = (used.as_ref()?.millis_rounded_up(), bound?.millis_rounded_up());
                (bound > 0).then(|| used as f64 / bound as f64)
            });
            Some(QuotaRoom {
                namespace: namespace.to_owned(),
                quota: name_of(quota).to_owned(),
                resource: resource.to_owned(),
                hard,
                used: used.map(|(text, _)| text),
                used_share: share,
            })
        })
        .collect()
}

/// Whether a budget's selector takes the pods of a template. An empty selector takes all.
fn covers(budget: &Value, object: &Value) -> bool {
    let Some(selector) = budget.pointer("/spec/selector") else { return false };
    let label = |key: &str| {
        let labels = object.pointer("/spec/template/metadata/labels")?;
        labels.get(key)?.as_str()
    };
    let mut equal = selector.get("matchLabels").and_then(Value::as_object).into_iter().flatten();
    let mut expressions = selector.get("matchExpressions").and_then(Value::as_array).into_iter().flatten();
    equal.all(|(key, value)| label(key).is_some() && label(key) == value.as_str())
        && expressions.all(|expression| {
            let text = |field: &str| expression.get(field).and_then(Value::as_str).unwrap_or_default();
            let has = label(text("key"));
            let values = expression.get("values").and_then(Value::as_array);
            let listed = has.is_some_and(|has| values.is_some_and(|v| v.iter().any(|v| v.as_str() == Some(has))));
            match text("operator") {
                "In" => listed,
                "NotIn" => !listed,
                "Exists" => has.is_some(),
                "DoesNotExist" => has.is_none(),
                _ => false,
            }
        })
}

fn claims_a_volume(object: &Value) -> bool {
    let some = |pointer: &str| object.pointer(pointer).and_then(Value::as_array).cloned().unwrap_or_default();
    !some("/spec/volumeClaimTemplates").is_empty()
        || some("/spec/template/spec/volumes").iter().any(|volume| {
            volume.get("persistentVolumeClaim").is_some() || volume.pointer("/ephemeral/volumeClaimTemplate").is_some()
        })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn deployment(replicas: u32) -> Value {
        let labels = json!({"app": "api", "tier": "web"});
        json!({"metadata": {"name": "api"}, "spec": {"replicas": replicas, "template": {"metadata": {"labels": labels}}}})
    }

    fn rules(objects: &Objects) -> Vec<String> {
        let mut live = Live::default();
        live.add("a", objects);
        live.findings.iter().map(|f| format!("{} {}", f.finding.rule, f.workload)).collect()
    }

    #[rstest]
    #[case::none(json!(null), true)]
    #[case::all(json!({"spec": {"selector": {}}}), false)]
    #[case::same(json!({"spec": {"selector": {"matchLabels": {"app": "api"}}}}), false)]
    #[case::other(json!({"spec": {"selector": {"matchLabels": {"app": "db"}}}}), true)]
    #[case::one_of(json!({"spec": {"selector": {"matchExpressions": [
        {"key": "tier", "operator": "In", "values": ["web", "db"]}]}}}), false)]
    #[case::not_there(json!({"spec": {"selector": {"matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]}}}), true)]
    fn budgets_cover_by_their_selector(#[case] budget: Value, #[case] found: bool) {
        let budgets = if budget.is_null() { Vec::new() } else { vec![budget] };
        let objects = Objects { budgets: Some(budgets), deployments: Some(vec![deployment(2)]), ..Objects::default() };
        assert_eq!(!rules(&objects).is_empty(), found);
        let alone = Objects { deployments: Some(vec![deployment(1)]), ..objects };
        assert!(rules(&alone).is_empty(), "one replica needs no budget");
    }

    #[test]
    fn what_could_not_be_listed_is_not_found_missing() {
        assert!(rules(&Objects::default()).is_empty());
        let empty = Objects { quotas: Some(Vec::new()), limit_ranges: Some(Vec::new()), ..Objects::default() };
        assert_eq!(rules(&empty), ["no-resource-quota ", "no-limit-range "]);
    }

    #[test]
    fn data_wants_a_claim() {
        let bare = json!({"metadata": {"name": "db"}, "spec": {"template": {"spec": {"volumes": [{"emptyDir": {}}]}}}});
        let mut claims = bare.clone();
        claims["spec"]["volumeClaimTemplates"] = json!([{}]);
        let of = |object: Value| rules(&Objects { stateful_sets: Some(vec![object]), ..Objects::default() });
        assert_eq!(of(bare), ["data-without-volume-claim statefulset/db"]);
        assert!(of(claims).is_empty());
    }

    #[test]
    fn room_is_what_the_cluster_says() {
        let quota = json!({
            "metadata": {"name": "team"},
            "spec": {"hard": {"requests.memory": "64Gi", "limits.cpu": "10", "pods": "20", "cpu": "many"}},
            "status": {"used": {"requests.memory": "48Gi"}},
        });
        let mut live = Live::default();
        live.add("a", &Objects { quotas: Some(vec![quota]), ..Objects::default() });
        let rooms: Vec<_> =
            live.quotas.iter().map(|q| (q.resource.as_str(), q.used.as_deref(), q.used_share)).collect();
        assert_eq!(
            rooms,
            [("cpu", None, None), ("limits.cpu", None, None), ("requests.memory", Some("48Gi"), Some(0.75))]
        );
    }
}
