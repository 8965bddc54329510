//! Applications that are being created (`SparkApplication`, `ScheduledSparkApplication`, `FlinkDeployment`): their
//! sizes are set where heap and pod can change together. Pure: the object and what is known in, operations out.
//!
//! Never on one that runs: a change of its spec would start it anew. What was set once is what is wanted, so that a
//! second turn changes nothing.

use crate::quantity::MIB;

mod flink;
mod spark;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::judge;
use super::patch::{Editor, PatchError};
use super::provenance::{self, Change, HeapChange, Provenance, Record};
use super::resize::Resizing;
use super::snapshot::Recommendations;
use crate::fit::spark::LEAST_HEAP_MIB;
use crate::fit::{Constraints, ContainerResources, MemoryRule, Pair, Resource, SizeRules, fit};
use crate::policy::Bounds;
use crate::quantity::Quantity;
use crate::text;
use crate::workload::{IdentityRules, Keys, PodFacts, identify};

const HEAP_AND_OVERHEAD: &str = "Spark's heap and overhead";

/// An application and what is known of its namespace.
#[derive(Clone, Copy, Debug)]
pub struct Application<'a> {
    /// The object as it came.
    pub object: &'a Value,
    /// The namespace of the review.
    pub namespace: &'a str,
    /// What the namespace's workloads should ask for.
    pub recommendations: &'a Recommendations,
    /// The user's own say in identity.
    pub identity: &'a IdentityRules,
    /// What its pods must fit into.
    pub constraints: &'a Constraints,
    /// What the administrator lets no size leave.
    pub bounds: &'a Bounds,
}

/// One part of an application: the pods of one role.
struct Part {
    /// Its name in the object and in messages: `driver`, `taskManager`.
    name: &'static str,
    /// The labels that its pods will have.
    labels: BTreeMap<String, String>,
    /// Its engine's container.
    container: &'static str,
    /// What its pods will ask for, or why that cannot be said.
    size: Result<PartSize, String>,
}

struct PartSize {
    current: ContainerResources,
    place: SizeRules,
    /// It is one process size, divided by its engine's default fractions: it can be as small as its JVMs have proven.
    is_process: bool,
    /// The heap that it asks for, and its floor for each heap, in MiB, where heap and pod are sized apart.
    heap: Option<Heap>,
    edit: Edit,
}

struct Heap {
    mib: u64,
    /// The least memory of a pod with this heap, in MiB.
    least: Box<dyn Fn(u64) -> u64>,
}

/// Values at places of the object: the base, which is there, and keys below it.
type Write = (String, Vec<String>, Value);

/// What is written for a new size and, in MiB, its heap, where that is another: keys below a base, and their values.
/// `None` where the size cannot be had.
type Edit = Box<dyn Fn(&ContainerResources, Option<u64>) -> Option<Vec<Write>>>;

/// Whether sizes of such an object can be set.
pub fn is_application(object: &Value) -> bool {
    spark::is_ours(object) || flink::is_ours(object)
}

/// Sets the sizes of an application that is being created.
pub fn size(application: &Application<'_>) -> Resizing {
    let object = application.object;
    let skipped = |reason| Resizing { skipped: Some(reason), ..Resizing::default() };
    if provenance::is_opted_out(object) {
        return skipped("opted-out");
    }
    // Restored from a backup, or moved: it may run already.
    if object.get("status").is_some_and(|status| status.as_object().is_none_or(|status| !status.is_empty())) {
        return skipped("has-status");
    }
    let parts = if spark::is_ours(object) {
        spark::parts(object)
    } else if flink::is_ours(object) {
        match flink::parts(object) {
            Ok(parts) => parts,
            Err(reason) => return skipped(reason),
        }
    } else {
        Vec::new()
    };
    let mut resizing = Resizing::default();
    let mut writes = Vec::new();
    let mut stamps = Vec::new();
    for part in &parts {
        consider(application, part, &mut resizing, &mut writes, &mut stamps);
    }
    match patch(object, writes, &stamps, &resizing.changes) {
        Ok(ops) => resizing.ops = ops,
        Err(error) => {
            let warning = judge::warning(&format!("not resized: {error}"));
            resizing = Resizing { warnings: vec![warning], ..skipped("patch-failed") };
        }
    }
    resizing
}

fn consider(
    application: &Application<'_>,
    part: &Part,
    resizing: &mut Resizing,
    writes: &mut Vec<Write>,
    stamps: &mut Vec<Provenance>,
) {
    let facts = PodFacts {
        namespace: application.namespace.to_owned(),
        labels: Keys::exact(part.labels.clone()),
        ..PodFacts::default()
    };
    let Ok(identity) = identify(&facts, application.identity) else { return };
    let Some(recommended) = application.recommendations.get(&identity.workload) else { return };
    let sizes: Vec<_> = recommended.containers.iter().collect();
    let (name, mut wanted) = match sizes.as_slice() {
        [(name, only)] => (*name, **only),
        sizes => match sizes.iter().find(|(name, _)| *name == part.container) {
            Some((name, size)) => (*name, **size),
            None => return,
        },
    };
    let size = match &part.size {
        Ok(size) => size,
        Err(why) => {
            resizing.skipped = Some("unreadable-settings");
            resizing.warnings.push(judge::warning(&format!("{}: not resized: {why}", part.name)));
            return;
        }
    };
    let (mut place, mut new_heap) = (size.place.clone(), None);
    if size.is_process && recommended.is_proven_process(name) {
        place.memory = MemoryRule::Free;
    }
    if let (Some(asked), Some(divided)) = (&size.heap, recommended.divided(name)) {
        let heap = divided.heap_in_place_of(asked.mib).max(LEAST_HEAP_MIB.min(asked.mib));
        let total = Some(quantity(heap.saturating_add(divided.overhead_mib)));
        wanted.set(Resource::Memory, Pair { request: total, limit: total });
        if heap != asked.mib {
            let floor = quantity((asked.least)(heap));
            (place.memory, new_heap) = (MemoryRule::AtLeast { floor, why: HEAP_AND_OVERHEAD }, Some(heap));
        }
    }
    let wanted = held(&wanted, &size.current, application.bounds);
    let fitted = fit(&size.current, &wanted, &place, application.constraints);
    if let Some(skip) = &fitted.skipped {
        resizing.skipped = Some(skip.reason());
        resizing.warnings.push(judge::warning(&format!("{}: not resized: {skip}", part.name)));
        return;
    }
    // The engine makes request and limit one number.
    let mut to = fitted.resources;
    to.memory_request = to.memory_limit.or(to.memory_request);
    to.memory_limit = to.memory_request;
    hold_under_quota(&size.current, &mut to, part.name, application.constraints, &mut resizing.warnings);
    if to == size.current {
        return;
    }
    // A heap grows and shrinks with its pod: not where a bound has left the pod as it was.
    let new_heap = new_heap.filter(|_| to.memory_limit != size.current.memory_limit);
    let Some(mut more) = (size.edit)(&to, new_heap) else {
        resizing.skipped = Some("no-room");
        return;
    };
    writes.append(&mut more);
    let workload = identity.workload.to_string();
    let memory = |of: &ContainerResources| of.memory_limit.map_or_else(|| "unset".to_owned(), |q| q.to_string());
    let cpu = |of: &ContainerResources| of.cpu_request.map_or_else(|| "unset".to_owned(), |q| q.to_string());
    let mut said = Vec::new();
    if memory(&size.current) != memory(&to) {
        said.push(format!("memory {} → {}", memory(&size.current), memory(&to)));
    }
    if size.current.cpu_request != to.cpu_request {
        said.push(format!("cpu request {} → {}", cpu(&size.current), cpu(&to)));
    }
    let head = format!("podfit: {}: {}; past runs of ", part.name, said.join(", "));
    resizing.warnings.push(text::line(&head, &workload, "", text::LINE_CHARS));
    let heap = size.heap.as_ref().zip(new_heap);
    let heap = heap.map(|(asked, to)| HeapChange { from: quantity(asked.mib), to: quantity(to) });
    resizing.changes.insert(part.name.to_owned(), Change { from: size.current, to, heap });
    stamps.push(Provenance { workload, recommendation: recommended.id.clone() });
}

/// Nothing is raised where a quota bounds the namespace: how many pods will run is not known here. Each of them is
/// sized within the quota when it comes.
fn hold_under_quota(
    from: &ContainerResources,
    to: &mut ContainerResources,
    part: &str,
    constraints: &Constraints,
    warnings: &mut Vec<String>,
) {
    if constraints.quotas.is_empty() {
        return;
    }
    for resource in Resource::ALL {
        if to.pair(resource).request > from.pair(resource).request {
            to.set(resource, from.pair(resource));
            let why = "the namespace has a quota, and how many pods will run is not known";
            warnings.push(judge::warning(&format!("{part}: {resource} not raised: {why}")));
        }
    }
}

/// What is recommended, within the administrator's bounds.
fn held(wanted: &ContainerResources, current: &ContainerResources, bounds: &Bounds) -> ContainerResources {
    let mut held = *wanted;
    for (resource, range) in [(Resource::Cpu, &bounds.cpu), (Resource::Memory, &bounds.memory)] {
        let (to, from) = (wanted.pair(resource), current.pair(resource));
        let hold = |to: Option<Quantity>, from| to.map(|to| range.hold(to, from));
        let request = hold(to.request, from.effective_request());
        held.set(resource, Pair { request, limit: hold(to.limit, from.limit.or(from.request)) });
    }
    held
}

fn patch(
    object: &Value,
    writes: Vec<Write>,
    stamps: &[Provenance],
    changes: &BTreeMap<String, Change>,
) -> Result<Vec<super::patch::Op>, PatchError> {
    let mut editor = Editor::new(object);
    for (base, keys, value) in writes {
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        editor.set(&base, &keys, value)?;
    }
    if let [first, ..] = stamps {
        // No label: operators copy those to pods of every role.
        let join = |of: fn(&Provenance) -> &str| stamps.iter().map(of).collect::<Vec<_>>().join(" ");
        let provenance = Provenance {
            workload: first.workload.clone(),
            recommendation: join(|provenance| &provenance.recommendation),
        };
        let record = serde_json::to_string(&Record::new(&provenance, changes, object)).unwrap_or_default();
        editor.set("", &["metadata", "annotations", provenance::RESIZED], json!(record))?;
    }
    Ok(editor.into_ops())
}

/// The object's own name, or what it will begin with.
fn name(object: &Value) -> Option<&str> {
    let text = |key: &str| object.pointer(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    text("/metadata/name").or_else(|| text("/metadata/generateName").map(|name| name.trim_end_matches('-')))
}

/// Labels at a place of the object.
fn labels(object: &Value, place: &str) -> BTreeMap<String, String> {
    let labels = object.pointer(place).and_then(Value::as_object).into_iter().flatten();
    labels.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}

/// A value as it stands in settings: a string, or what YAML has read as a number or truth.
fn setting(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        _ => None,
    }
}

fn quantity(mib: u64) -> Quantity {
    Quantity::from_bytes_mib_rounded_up(mib.saturating_mul(MIB))
}

fn mib(quantity: Quantity) -> u64 {
    quantity.bytes_rounded_up().div_ceil(MIB)
}
