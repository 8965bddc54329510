//! Whose pod it is: the same answer at its admission and whenever it is seen later.
//! Must not trust what a pod brought along: an owner counts by its uid, a record where it says what the pod has.

use serde_json::Value;

use super::owners::Owners;
use super::provenance::{self, Change, Record};
use crate::quantity::Quantity;
use crate::workload::{Identity, IdentityRules, Owner, PodFacts, identify, pod_facts};

/// Whose pod it is. An owner is looked up by name and counts only where the pod names its uid too: whoever makes a pod
/// can write any owner's name on it.
pub fn identity_of(object: &Value, namespace: &str, owners: &Owners, rules: &IdentityRules) -> Option<Identity> {
    let mut facts = pod_facts(object, namespace).ok()?;
    // The review's namespace is the API server's word, the object's may be missing.
    namespace.clone_into(&mut facts.namespace);
    as_first_asked(&mut facts, object);
    facts.owner_of_owner = facts.owner.as_ref().and_then(|owner| {
        let owned = owners.get(owner)?;
        (owner_uid(object, owner) == Some(owned.uid.as_str())).then(|| owned.by.clone())
    });
    identify(&facts, rules).ok()
}

/// Some workloads are told apart by what their pods ask for, Spark's resource profiles for one: a pod that podfit has
/// resized is known by what it asked for before, or a second turn would take it for another's. The record counts only
/// where it says what the pod has.
fn as_first_asked(facts: &mut PodFacts, object: &Value) {
    let record =
        provenance::annotation(object, provenance::RESIZED).and_then(|text| serde_json::from_str::<Record>(text).ok());
    let Some(record) = record else { return };
    let millis = |quantity: Option<Quantity>| quantity.map(Quantity::millis_rounded_up);
    let bytes = |quantity: Option<Quantity>| quantity.map(Quantity::bytes_rounded_up);
    for container in &mut facts.containers {
        let Some(Change { from, to, .. }) = record.containers.get(&container.name) else { continue };
        let now = (container.cpu_request_millis, container.memory_request_bytes);
        if now == (millis(to.cpu_request), bytes(to.memory_request)) {
            container.cpu_request_millis = millis(from.cpu_request);
            container.memory_request_bytes = bytes(from.memory_request);
        }
    }
}

/// The uid of an owner, as an object names it.
pub fn owner_uid<'a>(object: &'a Value, owner: &Owner) -> Option<&'a str> {
    let has = |reference: &Value, key: &str, value: &str| reference.get(key).and_then(Value::as_str) == Some(value);
    let references = object.pointer("/metadata/ownerReferences")?.as_array()?;
    let reference = references.iter().find(|r| has(r, "kind", &owner.kind) && has(r, "name", &owner.name))?;
    reference.get("uid")?.as_str()
}
