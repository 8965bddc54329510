//! What a Pod object tells, read from its raw JSON so that a live pod, a manifest and an admission review all go
//! through the same door. Knows no engine.

use std::collections::BTreeMap;

use serde_json::Value;

use super::facts::{ContainerFacts, Keys, Owner, PodFacts, READ_ENV};
use crate::quantity::Quantity;

/// The JSON is not a Pod.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a Pod: {0}; give a pod's manifest, such as `kubectl get pod NAME -o yaml` prints")]
pub struct NotAPod(&'static str);

/// Reads what identity needs from a Pod. `namespace` stands in where the object names none (admission).
///
/// # Errors
/// [`NotAPod`] when the object has no `metadata` or no `spec.containers`.
pub fn pod_facts(pod: &Value, namespace: &str) -> Result<PodFacts, NotAPod> {
    let metadata = pod.get("metadata").filter(|m| m.is_object()).ok_or(NotAPod("it has no metadata"))?;
    let spec = pod.get("spec").filter(|s| s.is_object()).ok_or(NotAPod("it has no spec"))?;
    let containers = spec.get("containers").and_then(Value::as_array).ok_or(NotAPod("it has no spec.containers"))?;
    let text = |key: &str| metadata.get(key).and_then(Value::as_str).filter(|s| !s.is_empty()).map(str::to_owned);
    let keys = |key: &str| {
        Keys::exact(
            metadata
                .get(key)
                .and_then(Value::as_object)
                .map(|m| m.iter().filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned()))).collect())
                .unwrap_or_default(),
        )
    };
    let owner = controller(metadata);
    Ok(PodFacts {
        namespace: text("namespace").unwrap_or_else(|| namespace.to_owned()),
        name: text("name"),
        generate_name: text("generateName"),
        labels: keys("labels"),
        annotations: keys("annotations"),
        owner: owner.and_then(named),
        owner_group: owner.and_then(group),
        owner_of_owner: None,
        containers: containers.iter().map(container).collect(),
        init_containers: spec
            .get("initContainers")
            .and_then(Value::as_array)
            .map(|c| c.iter().map(container).collect())
            .unwrap_or_default(),
    })
}

/// The owner with `controller: true`; where none has it, the only owner there is.
fn controller(metadata: &Value) -> Option<&Value> {
    let owners = metadata.get("ownerReferences")?.as_array()?;
    controlling(owners).or_else(|| if owners.len() == 1 { owners.first() } else { None })
}

/// The API group of an owner; empty for the core.
fn group(owner: &Value) -> Option<String> {
    let version = owner.get("apiVersion")?.as_str()?;
    Some(version.rsplit_once('/').map_or_else(String::new, |(group, _)| group.to_owned()))
}

/// The controller of any object, such as the `CronJob` of a Job: the owner with `controller: true`.
pub fn controller_of(object: &Value) -> Option<Owner> {
    named(controlling(object.pointer("/metadata/ownerReferences")?.as_array()?)?)
}

fn controlling(owners: &[Value]) -> Option<&Value> {
    owners.iter().find(|o| o.get("controller").and_then(Value::as_bool) == Some(true))
}

fn named(owner: &Value) -> Option<Owner> {
    Some(Owner::new(owner.get("kind")?.as_str()?, owner.get("name")?.as_str()?))
}

fn container(container: &Value) -> ContainerFacts {
    let request = |resource: &str| {
        container
            .pointer("/resources/requests")
            .and_then(|r| r.get(resource))
            .and_then(Value::as_str)
            .and_then(|q| q.parse::<Quantity>().ok())
    };
    let env: BTreeMap<String, String> = container
        .get("env")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|e| Some((e.get("name")?.as_str()?, e.get("value")?.as_str()?)))
        .filter(|(name, _)| READ_ENV.contains(name))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    ContainerFacts {
        name: container.get("name").and_then(Value::as_str).unwrap_or_default().to_owned(),
        env,
        cpu_request_millis: request("cpu").map(Quantity::millis_rounded_up),
        memory_request_bytes: request("memory").map(Quantity::bytes_rounded_up),
    }
}
