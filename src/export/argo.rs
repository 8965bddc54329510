//! Argo Workflows: a template's own resources, or a patch of its pod. Source: its field reference.

use super::literal::Node;
use super::{Body, Item};

/// `templates[].container.resources`
pub(super) fn template(items: &[&Item]) -> Result<Body, Vec<String>> {
    let [item] = items else {
        // A container set; its members are named in the pod's patch.
        return pod_spec_patch(items);
    };
    let template = Node::map([("name", Node::text(name(item))), ("container", item.resources().below(&["resources"]))]);
    Ok(Body::yaml([place(item)], &Node::List(vec![template]).below(&["templates"])))
}

/// `templates[].podSpecPatch`, applied last.
pub(super) fn pod_spec_patch(items: &[&Item]) -> Result<Body, Vec<String>> {
    let [first, ..] = items else { return Err(Vec::new()) };
    let containers = items
        .iter()
        .map(|item| Node::map([("name", Node::text(&item.container)), ("resources", item.resources())]))
        .collect();
    let patch = Node::map([("containers", Node::List(containers))]).to_json();
    let template = Node::map([("name", Node::text(name(first))), ("podSpecPatch", Node::Text(patch))]);
    Ok(Body::yaml([place(first)], &Node::List(vec![template]).below(&["templates"])))
}

fn place(item: &Item) -> String {
    format!("into the template of the workflow {}", item.name(0))
}

/// The template; a workflow of one pod names none in it.
fn name(item: &Item) -> &str {
    item.workload.names.last().map_or("", String::as_str)
}
