//! Kubernetes' own kinds: a patch of the object that makes the pods, the same in a kustomization, values for a chart.

use super::literal::Node;
use super::{Body, Item};
use crate::workload::Kind;

/// Whether the pods of this kind of work are made from a template that a patch can change.
pub(super) const fn has_template(kind: Kind) -> bool {
    object(kind).is_some()
}

/// API version, kind, and where the pod's spec is in it.
const fn object(kind: Kind) -> Option<(&'static str, &'static str, &'static [&'static str])> {
    const TEMPLATE: &[&str] = &["template", "spec"];
    Some(match kind {
        Kind::Cronjob => ("batch/v1", "CronJob", &["jobTemplate", "spec", "template", "spec"]),
        Kind::Job => ("batch/v1", "Job", TEMPLATE),
        Kind::Deployment => ("apps/v1", "Deployment", TEMPLATE),
        Kind::Statefulset => ("apps/v1", "StatefulSet", TEMPLATE),
        Kind::Daemonset => ("apps/v1", "DaemonSet", TEMPLATE),
        _ => return None,
    })
}

/// Name and namespace of the object that the workload is named after.
pub(super) fn metadata(item: &Item) -> Node {
    Node::map([("name", Node::text(item.name(0))), ("namespace", Node::text(&item.workload.namespace))])
}

fn object_patch(items: &[&Item]) -> Option<(Node, &'static str, &'static str)> {
    let first = items.first()?;
    let (version, kind, path) = object(first.workload.kind)?;
    let containers = items
        .iter()
        .map(|item| Node::map([("name", Node::text(&item.container)), ("resources", item.resources())]))
        .collect();
    let node = Node::map([
        ("apiVersion", Node::text(version)),
        ("kind", Node::text(kind)),
        ("metadata", metadata(first)),
        ("spec", Node::map([("containers", Node::List(containers))]).below(path)),
    ]);
    Some((node, version, kind))
}

/// What is to be known before it is applied.
fn said(items: &[&Item]) -> Vec<String> {
    match items.first().map(|item| item.workload.kind) {
        Some(Kind::Job) => vec![
            "into the manifest of the next Job: the template of one that exists cannot be changed, and the name may \
             lack what varies per run"
                .to_owned(),
        ],
        _ => Vec::new(),
    }
}

/// A strategic merge patch: `kubectl patch --patch-file`.
pub(super) fn patch(items: &[&Item]) -> Result<Body, Vec<String>> {
    let (node, ..) = object_patch(items).ok_or_else(Vec::new)?;
    Ok(Body::yaml(said(items), &node))
}

/// A kustomization with the patch in it.
pub(super) fn kustomize(items: &[&Item]) -> Result<Body, Vec<String>> {
    let (node, _, kind) = object_patch(items).ok_or_else(Vec::new)?;
    let name = items.first().map_or("", |item| item.name(0));
    let target = Node::map([("kind", Node::text(kind)), ("name", Node::text(name))]);
    // Kustomize matches the patch by its target; a namespace in it would have to be that of the resources.
    let entry = Node::map([("target", target), ("patch", Node::Block(without_namespace(node).to_yaml()))]);
    Ok(Body::yaml(said(items), &Node::List(vec![entry]).below(&["patches"])))
}

fn without_namespace(node: Node) -> Node {
    let Node::Map(entries) = node else { return node };
    let entries = entries.into_iter().map(|(key, value)| match value {
        Node::Map(inner) if key == "metadata" => {
            (key, Node::Map(inner.into_iter().filter(|(key, _)| key != "namespace").collect()))
        }
        value => (key, value),
    });
    Node::Map(entries.collect())
}

/// `resources`, as most charts take them for their one container.
pub(super) fn helm_values(items: &[&Item]) -> Body {
    let hint = "where the chart has resources; `helm show values` tells".to_owned();
    if let [item] = items {
        return Body::yaml([hint], &item.resources().below(&["resources"]));
    }
    let by_container = items.iter().map(|i| (i.container.clone(), i.resources().below(&["resources"]))).collect();
    Body::yaml([hint], &Node::Map(by_container))
}
