//! `ResourceQuotas`: what is left of them, which pods they count, and whether a changed pod still fits.
//! Must not assume room where the status is missing: it is said, and nothing is raised.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Pair, QosClass, Resource, Totals};
use crate::policy::PodSpec;
use crate::policy::visitor::present;
use crate::quantity::Quantity;
use crate::text;

/// One `ResourceQuota` of a namespace, as far as cpu and memory go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Its name, printable.
    pub name: String,
    counts: Vec<Scope>,
    /// Per resource, for requests and for limits.
    rows: BTreeMap<(Resource, bool), Row>,
}

/// What a quota says of one sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Row {
    hard: Quantity,
    /// `None`: the controller has not counted yet.
    used: Option<Quantity>,
}

/// Which pods a quota counts.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Scope {
    BestEffort(bool),
    Terminating(bool),
    /// Operator and priority class names.
    PriorityClass(String, Vec<String>),
    /// A scope not known here: the quota is taken to count every pod.
    Unknown,
}

/// A `ResourceQuota` that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("ResourceQuota {name} cannot be read: {why}")]
pub struct QuotaError {
    /// Its name, printable.
    pub name: String,
    /// What is wrong.
    pub why: String,
}

/// A sum that a quota has no room for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shortage {
    /// What the pod may ask for at most; `None` when the quota's status is unknown.
    pub most: Option<Quantity>,
    /// The limit's sum rather than the request's.
    pub limit: bool,
    pub why: String,
}

impl Quota {
    /// Reads a `ResourceQuota` object as it came.
    ///
    /// # Errors
    /// A cpu or memory value is no quantity.
    pub fn of_object(object: &Value) -> Result<Self, QuotaError> {
        let name = object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or("?");
        let name = text::name(name);
        let empty = Value::Null;
        let section = |pointer: &str| object.pointer(pointer).filter(|v| v.is_object()).unwrap_or(&empty);
        let (spec, used) = (section("/spec/hard"), section("/status/used"));
        let mut rows = BTreeMap::new();
        for (key, resource, limit) in [
            ("cpu", Resource::Cpu, false),
            ("requests.cpu", Resource::Cpu, false),
            ("limits.cpu", Resource::Cpu, true),
            ("memory", Resource::Memory, false),
            ("requests.memory", Resource::Memory, false),
            ("limits.memory", Resource::Memory, true),
        ] {
            let read = |values: &Value| -> Result<Option<Quantity>, QuotaError> {
                present(values, key)
                    .map(Quantity::from_json)
                    .transpose()
                    .map_err(|error| QuotaError { name: name.clone(), why: format!("{key}: {error}") })
            };
            let Some(hard) = read(spec)? else { continue };
            let row = Row { hard, used: read(used)? };
            let tighter = rows.get(&(resource, limit)).is_none_or(|other: &Row| row.left() < other.left());
            if tighter {
                rows.insert((resource, limit), row);
            }
        }
        let counts = scopes(object.get("spec").unwrap_or(&empty));
        Ok(Self { name, counts, rows })
    }

    /// Stands for a quota of which only this is known: that there may be one. Nothing is raised under it.
    pub fn unknown(name: &str) -> Self {
        let row = Row { hard: Quantity::ZERO, used: None };
        let rows = Resource::ALL.into_iter().flat_map(|resource| [((resource, false), row), ((resource, true), row)]);
        Self { name: text::name(name), counts: Vec::new(), rows: rows.collect() }
    }

    /// Whether the quota counts a pod of this spec and class.
    pub fn counts(&self, pod: &PodSpec<'_>, class: QosClass) -> bool {
        self.counts.iter().all(|scope| match scope {
            Scope::BestEffort(wanted) => (class == QosClass::BestEffort) == *wanted,
            Scope::Terminating(wanted) => present(pod.json(), "activeDeadlineSeconds").is_some() == *wanted,
            Scope::PriorityClass(operator, names) => {
                let class = present(pod.json(), "priorityClassName").and_then(Value::as_str).filter(|c| !c.is_empty());
                let listed = class.is_some_and(|class| names.iter().any(|name| name == class));
                match operator.as_str() {
                    "In" => listed,
                    "NotIn" => !listed,
                    "Exists" => class.is_some(),
                    "DoesNotExist" => class.is_none(),
                    _ => true,
                }
            }
            Scope::Unknown => true,
        })
    }

    /// Why the changed pod does not fit, for one resource. A sum that does not grow fits: it would have been asked for
    /// without the change too.
    pub(super) fn shortage(&self, resource: Resource, before: Pair, after: Pair) -> Option<Shortage> {
        let sums = [(false, before.request, after.request), (true, before.limit, after.limit)];
        sums.into_iter().find_map(|(limit, before, after)| {
            let row = self.rows.get(&(resource, limit))?;
            let after = after.filter(|after| *after > before.unwrap_or(Quantity::ZERO))?;
            let kind = if limit { "limits" } else { "requests" };
            let quota = format!("quota {}, {kind}.{resource}", self.name);
            match row.used {
                None => {
                    let why = format!("not raised: {quota}: what is used is not known yet");
                    Some(Shortage { most: None, limit, why })
                }
                Some(used) => {
                    let left = row.hard.minus(used);
                    let why = format!("{quota}: {left} is left of {}", row.hard);
                    (after > left).then_some(Shortage { most: Some(left), limit, why })
                }
            }
        })
    }
}

impl Row {
    fn left(self) -> Option<Quantity> {
        self.used.map(|used| self.hard.minus(used))
    }
}

fn scopes(spec: &Value) -> Vec<Scope> {
    let list = |field: &Value| field.as_array().cloned().unwrap_or_default();
    let plain = present(spec, "scopes").map(list).unwrap_or_default();
    let plain = plain.iter().map(|name| scope(name.as_str().unwrap_or_default(), "Exists", &Value::Null));
    let chosen = spec.pointer("/scopeSelector/matchExpressions").map(list).unwrap_or_default();
    let text = |value: &Value, field: &str| value.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    let chosen = chosen.iter().map(|expression| {
        let values = expression.get("values").unwrap_or(&Value::Null);
        scope(&text(expression, "scopeName"), &text(expression, "operator"), values)
    });
    plain.chain(chosen).collect()
}

fn scope(name: &str, operator: &str, values: &Value) -> Scope {
    match name {
        "BestEffort" => Scope::BestEffort(true),
        "NotBestEffort" => Scope::BestEffort(false),
        "Terminating" => Scope::Terminating(true),
        "NotTerminating" => Scope::Terminating(false),
        "PriorityClass" => {
            let names = values.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
            Scope::PriorityClass(operator.to_owned(), names)
        }
        _ => Scope::Unknown,
    }
}

/// The first quota of the namespace that has no room for the changed pod.
pub(super) fn shortage(
    quotas: &[Quota],
    pod: &PodSpec<'_>,
    resource: Resource,
    (before, before_class): (&Totals, QosClass),
    (after, after_class): (&Totals, QosClass),
) -> Option<Shortage> {
    quotas.iter().filter(|quota| quota.counts(pod, after_class)).find_map(|quota| {
        // A pod that was not counted before brings its whole sum with it.
        let counted = quota.counts(pod, before_class);
        let before = if counted { before.pair(resource) } else { Pair::default() };
        quota.shortage(resource, before, after.pair(resource))
    })
}
