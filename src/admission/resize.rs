//! The sizing's answer to a pod: operations on the containers that a recommendation names, and what to tell the author.
//! Must not deny: where a size does not fit or a patch does not apply, the pod goes as it came.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::patch::{Editor, Op, PatchError};
use super::provenance::{self, Change, HeapChange, Record};
use super::{judge, provenance::Provenance};
use crate::fit::{self, Constraints, ContainerResources, Resource, What};
use crate::policy::{Bounds, PodSpec};
use crate::quantity::Quantity;
use crate::text;
use crate::workload::Kind;

/// A pod and what its containers should ask for.
#[derive(Clone, Copy, Debug)]
pub struct Sizing<'a> {
    /// The pod as it came.
    pub pod: &'a Value,
    /// What kind of work it is; `None` when nobody knows.
    pub kind: Option<Kind>,
    /// By container name, what it should ask for; empty when nothing is known.
    pub recommended: &'a BTreeMap<String, ContainerResources>,
    /// By container name, limits at which an earlier try was killed, where the size answers that.
    pub killed_at: &'a BTreeMap<String, Quantity>,
    /// Whose recommendation that is; `None` for a pod of no known workload, which is not changed at all.
    pub provenance: Option<&'a Provenance>,
    /// What it must fit into.
    pub constraints: &'a Constraints,
    /// What the administrator lets no size leave.
    pub bounds: &'a Bounds,
}

/// What is done about a pod's size.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Resizing {
    /// The patch, tried on a copy; empty when there is nothing to do.
    pub ops: Vec<Op>,
    /// One line each, at most 120 characters. An answer takes a [`judge::few`].
    pub warnings: Vec<String>,
    /// By container name, what changes.
    pub changes: BTreeMap<String, Change>,
    /// Why nothing is resized, in one word for metrics, where there was something to do.
    pub skipped: Option<&'static str>,
}

/// Makes the patch for a pod that is being created.
pub fn resize(request: &Sizing<'_>, pod: &PodSpec<'_>) -> Resizing {
    resize_with_heap(request, pod, None)
}

/// The same for a pod with another heap in one of its containers, which is told and recorded too.
pub(super) fn resize_with_heap(request: &Sizing<'_>, pod: &PodSpec<'_>, heap: Option<(&str, HeapChange)>) -> Resizing {
    let Some(provenance) = request.provenance else { return Resizing::default() };
    if provenance::is_mirror(request.pod) {
        return Resizing { skipped: Some("mirror-pod"), ..Resizing::default() };
    }
    let mut resizing = Resizing::default();
    if provenance::is_opted_out(request.pod) {
        resizing.skipped = Some("opted-out");
    } else if !request.recommended.is_empty() {
        changes(request, pod, provenance, heap, &mut resizing);
    }
    match patch(request.pod, pod, provenance, &resizing.changes) {
        Ok(ops) => resizing.ops = ops,
        Err(error) => {
            let warning = judge::warning(&format!("not resized: {error}"));
            resizing = Resizing { warnings: vec![warning], skipped: Some("patch-failed"), ..Resizing::default() };
        }
    }
    resizing
}

fn changes(
    request: &Sizing<'_>,
    pod: &PodSpec<'_>,
    provenance: &Provenance,
    heap: Option<(&str, HeapChange)>,
    resizing: &mut Resizing,
) {
    let fitted = fit::fit_pod(pod, request.kind, &held(request, pod), request.constraints);
    if let Some(skip) = &fitted.skipped {
        resizing.skipped = Some(skip.reason());
        resizing.warnings.push(judge::warning(&format!("not resized: {skip}")));
    }
    for (name, fitted) in fitted.containers {
        let Some(container) = pod.containers().find(|container| container.name == name) else { continue };
        let Ok(from) = ContainerResources::of_container(container.json) else { continue };
        if let Some(skip) = &fitted.skipped {
            resizing.skipped = Some(skip.reason());
            resizing.warnings.push(judge::warning(&format!("{}: not resized: {skip}", text::name(&name))));
        }
        let heap = heap.filter(|(container, _)| *container == name).map(|(_, change)| change);
        if fitted.resources != from || heap.is_some() {
            let change = Change { from, to: fitted.resources, heap };
            resizing.warnings.push(told(&name, &change, &provenance.workload, request.killed_at.get(&name).copied()));
            resizing.changes.insert(name.clone(), change);
        }
        // What the pod as a whole may not have is news to its author; bending to an engine is not.
        for adjustment in fitted.adjustments.iter().filter(|a| matches!(a.what, What::Both(_))) {
            let line = format!("{}: {} {}", text::name(&name), adjustment.what, adjustment.why);
            resizing.warnings.push(judge::warning(&line));
        }
    }
}

/// What is recommended, within the administrator's bounds.
fn held(request: &Sizing<'_>, pod: &PodSpec<'_>) -> BTreeMap<String, ContainerResources> {
    let mut wanted = request.recommended.clone();
    if *request.bounds == Bounds::default() {
        return wanted;
    }
    for container in pod.containers() {
        let Some(wanted) = wanted.get_mut(container.name) else { continue };
        let Ok(current) = ContainerResources::of_container(container.json) else { continue };
        for (resource, range) in [(Resource::Cpu, &request.bounds.cpu), (Resource::Memory, &request.bounds.memory)] {
            let held = wanted.pair(resource).within(range, current.pair(resource));
            wanted.set(resource, held);
        }
    }
    wanted
}

/// `podfit: main: memory 4Gi → 1536Mi, cpu request 2 → 500m; past runs of cronjob/nightly`
fn told(name: &str, change: &Change, workload: &str, killed_at: Option<Quantity>) -> String {
    let why = killed_at.map_or_else(|| "past runs of ".to_owned(), |limit| format!("OOM-killed at {limit}: "));
    let head = format!("podfit: {}: {}; {why}", text::name(name), change_in_words(change));
    text::line(&head, workload, "", text::LINE_CHARS)
}

/// `memory 4Gi → 1536Mi, cpu request 2 → 500m`
pub fn change_in_words(change: &Change) -> String {
    let shown = |value: Option<Quantity>| value.map_or("unset".to_owned(), |value| value.to_string());
    let mut parts: Vec<String> = change.heap.iter().map(|heap| format!("heap {} → {}", heap.from, heap.to)).collect();
    for resource in [Resource::Memory, Resource::Cpu] {
        let (from, to) = (change.from.pair(resource), change.to.pair(resource));
        if from == to {
            continue;
        }
        if from.request == from.limit && to.request == to.limit {
            parts.push(format!("{resource} {} → {}", shown(from.request), shown(to.request)));
            continue;
        }
        for (what, from, to) in [("request", from.request, to.request), ("limit", from.limit, to.limit)] {
            if from != to {
                parts.push(format!("{resource} {what} {} → {}", shown(from), shown(to)));
            }
        }
    }
    parts.join(", ")
}

/// The operations, each tried on a copy; the copy is read again to prove that it holds what was meant.
fn patch(
    pod: &Value,
    spec: &PodSpec<'_>,
    provenance: &Provenance,
    changes: &BTreeMap<String, Change>,
) -> Result<Vec<Op>, PatchError> {
    let mut editor = Editor::of_pod(pod);
    for container in spec.containers() {
        let Some(change) = changes.get(container.name) else { continue };
        for resource in Resource::ALL {
            let (from, to) = (change.from.pair(resource), change.to.pair(resource));
            for (section, from, to) in [("requests", from.request, to.request), ("limits", from.limit, to.limit)] {
                if let Some(to) = to.filter(|to| Some(*to) != from) {
                    let keys = ["resources", section, resource.as_str()];
                    editor.set(&container.path, &keys, json!(to.to_string()))?;
                }
            }
        }
        let unmeant = PatchError { path: container.path.clone(), why: "it would not hold what was meant" };
        let after = editor.document().pointer(&container.path).map(ContainerResources::of_container);
        if after != Some(Ok(change.to)) {
            return Err(unmeant);
        }
    }
    editor.set(
        "",
        &["metadata", "labels", provenance::WORKLOAD],
        json!(provenance::label_value(&provenance.workload)),
    )?;
    if !changes.is_empty() {
        let record = Record::new(provenance, changes, pod);
        let record = serde_json::to_string(&record).unwrap_or_default();
        editor.set("", &["metadata", "annotations", provenance::RESIZED], json!(record))?;
    }
    Ok(editor.into_ops())
}
