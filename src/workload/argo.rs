//! Argo Workflows: pods of a Workflow. The key is the workflow's recurring name and the template.
//! Which CronWorkflow or WorkflowTemplate made a Workflow is not on its pods; its name without suffix stands for it.

use super::Kind;
use super::facts::PodFacts;
use super::identity::{Identity, Unidentified};
use super::recurring_name::recurring_name;

const NODE_NAME: &str = "workflows.argoproj.io/node-name";

pub(super) fn identify(pod: &PodFacts) -> Option<Result<Identity, Unidentified>> {
    let workflow = pod
        .label("workflows.argoproj.io/workflow")
        .or_else(|| pod.owned_by("Workflow").filter(|_| pod.owner_may_be_of(&["argoproj.io"])))?;
    let family = recurring_name(workflow);
    let node = pod.annotation(NODE_NAME);
    let identity = if pod.name.as_deref() == Some(workflow) {
        Identity::new(pod, Kind::Argo, [family])
    } else {
        // Kubeflow Pipelines runs every component by one template: only the node tells which one it is.
        let own = |template: &String| !template.starts_with("system-");
        let template = template_of_name(pod, workflow)
            .filter(own)
            .or_else(|| template_of_env(pod).filter(own))
            .or_else(|| node.and_then(|n| step_of_node(n, workflow)));
        match template {
            Some(template) => Identity::new(pod, Kind::Argo, [family, template]),
            None => {
                return Some(Err(Unidentified::Incomplete {
                    engine: "Argo Workflows",
                    missing: "its template is".into(),
                    remedy: "let kube-state-metrics export the annotation workflows.argoproj.io/node-name",
                }));
            }
        }
    };
    let unit = node.map(|n| format!("{workflow}/{}", without_retry(n).0));
    Some(Ok(identity.attempt(node.and_then(|n| without_retry(n).1)).unit(unit).main_container_of(pod, &["main"])))
}

/// `<workflow>-<template>-<hash>`, the form of pod names since 3.4.
fn template_of_name(pod: &PodFacts, workflow: &str) -> Option<String> {
    let rest = pod.name.as_deref()?.strip_prefix(workflow)?.strip_prefix('-')?;
    let (template, hash) = rest.rsplit_once('-')?;
    (!template.is_empty() && hash.bytes().all(|b| b.is_ascii_digit())).then(|| template.to_owned())
}

/// The template that the controller hands to its own containers as JSON (absent when it is too large).
fn template_of_env(pod: &PodFacts) -> Option<String> {
    let template: serde_json::Value = serde_json::from_str(pod.env("ARGO_TEMPLATE")?).ok()?;
    template.get("name")?.as_str().filter(|n| !n.is_empty()).map(str::to_owned)
}

/// The node's path below the workflow, loop items and indices removed: `wf[0].load(2:eu)` becomes `load`.
fn step_of_node(node: &str, workflow: &str) -> Option<String> {
    let path = node.strip_prefix(workflow)?;
    let mut out = String::new();
    let mut depth = 0_u32;
    for c in path.chars() {
        match c {
            '(' | '[' => depth += 1,
            ')' | ']' => depth = depth.saturating_sub(1),
            c if depth == 0 => out.push(c),
            _ => {}
        }
    }
    let step = out.trim_matches('.').replace("..", ".");
    (!step.is_empty()).then_some(step)
}

/// The node's name without the `(n)` that marks a child of a retry node, and the attempt that it means.
fn without_retry(node: &str) -> (&str, Option<u32>) {
    node.strip_suffix(')')
        .and_then(|s| s.rsplit_once('('))
        .and_then(|(stem, n)| n.parse::<u32>().ok().map(|n| (stem, Some(n.saturating_add(1)))))
        .unwrap_or((node, None))
}
