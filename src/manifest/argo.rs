//! Argo workflows as the pods of their templates. Must not know rules, nor the containers that Argo adds by itself.
//! Source: argoproj/argo-workflows pkg/apis/workflow/v1alpha1.

use serde_json::{Value, json};

use super::shape::{PodOf, Shape};
use super::{Found, Unjudged, nested};

/// The pods of a workflow whose spec stands at `path` of the object.
pub(super) fn look(object: &Value, base: &str, path: &str, found: &mut Found, texts: u8) {
    let Some(spec) = object.pointer(path) else { return };
    let spec = Part { json: spec, origin: format!("{base}{path}") };
    for template in spec.items("/templates") {
        collect(object, &spec, &template, found, texts);
    }
}

/// The pod of a template, and those of the templates that stand inside its steps and tasks.
fn collect(object: &Value, spec: &Part<'_>, template: &Part<'_>, found: &mut Found, texts: u8) {
    found.pods.extend(pod(object, spec, template));
    created(object, template, found, texts);
    let steps = template.items("/steps").flat_map(|parallel| parallel.items("").collect::<Vec<_>>());
    for step in steps.chain(template.items("/dag/tasks")) {
        if let Some(inline) = step.part("/inline") {
            collect(object, spec, &inline, found, texts);
        }
    }
}

/// The object that a template creates, which stands in it as text.
fn created(object: &Value, template: &Part<'_>, found: &mut Found, texts: u8) {
    if texts == 0 {
        return;
    }
    let path = "/resource/manifest";
    let place = template.from(path);
    let is_read = match template.get(path).and_then(Value::as_str) {
        Some(manifest) => nested::text(manifest, object, &place, found, texts),
        None => template.get("/resource/manifestFrom").is_none(),
    };
    if !is_read {
        let message = "not looked at: the object that this template creates is known when the workflow runs".to_owned();
        found.notes.push(Unjudged { path: place, message });
    }
}

fn pod(object: &Value, spec: &Part<'_>, template: &Part<'_>) -> Option<PodOf> {
    const LIST: &str = "/spec/containers";
    let kind = ["/container", "/script", "/containerSet"].into_iter().find(|kind| template.get(kind).is_some())?;
    let defaults = spec.part("/templateDefaults");
    let mut shape = Shape::new(&template.origin);
    let from_defaults = defaults.as_ref().filter(|defaults| defaults.get(kind).is_some());
    if kind == "/containerSet" {
        shape.append(LIST, template.get("/containerSet/containers"), &template.from("/containerSet/containers"));
        let mounts = template.get("/containerSet/volumeMounts");
        for index in 0..shape.len(LIST) {
            let from = template.from("/containerSet/volumeMounts");
            shape.append(&format!("{LIST}/{index}/volumeMounts"), mounts, &from);
        }
    } else {
        let main = shape.push(LIST, json!({}), &template.from(kind));
        for part in from_defaults.into_iter().chain([template]) {
            shape.merge(&main, part.get(kind), &part.from(kind));
        }
        shape.put(&format!("{main}/name"), Some(&json!("main")), &template.from(kind));
        if let Some(source) = template.get("/script/source") {
            shape.push(&format!("{main}/args"), source.clone(), &template.from("/script/source"));
        }
    }
    for part in defaults.iter().chain([template]) {
        shape.append(LIST, part.get("/sidecars"), &part.from("/sidecars"));
        shape.append("/spec/initContainers", part.get("/initContainers"), &part.from("/initContainers"));
    }
    for part in [Some(spec), defaults.as_ref(), Some(template)].into_iter().flatten() {
        shape.append("/spec/volumes", part.get("/volumes"), &part.from("/volumes"));
        for field in ["/securityContext", "/serviceAccountName", "/automountServiceAccountToken"] {
            shape.put(&format!("/spec{field}"), part.get(field), &part.from(field));
        }
        if part.get("/podSpecPatch").is_some() {
            shape.note("podSpecPatch is not judged: it is applied when the pod is made");
        }
    }
    forget_unknown_images(&mut shape);
    let name = template.get("/name").and_then(Value::as_str).unwrap_or_default();
    Some(shape.done(object, &format!("template {name}")))
}

/// An image that a parameter fills in is not known before the workflow runs: the pod is judged then.
fn forget_unknown_images(shape: &mut Shape) {
    for list in ["/spec/containers", "/spec/initContainers"] {
        for index in 0..shape.len(list) {
            let at = format!("{list}/{index}/image");
            if shape.get(&at).and_then(Value::as_str).is_some_and(|image| image.contains("{{")) {
                let from = format!("{list}/{index}");
                shape.put(&at, Some(&json!("")), &from);
                shape.note("an image that a parameter fills in is not judged: it is known when the workflow runs");
            }
        }
    }
}

/// A part of the object, and where it stands.
struct Part<'a> {
    json: &'a Value,
    origin: String,
}

impl<'a> Part<'a> {
    fn get(&self, path: &str) -> Option<&'a Value> {
        self.json.pointer(path).filter(|value| !value.is_null())
    }

    fn from(&self, path: &str) -> String {
        format!("{}{path}", self.origin)
    }

    fn part(&self, path: &str) -> Option<Self> {
        Some(Self { json: self.get(path)?, origin: self.from(path) })
    }

    fn items(&self, path: &str) -> impl Iterator<Item = Self> + use<'a> {
        let origin = self.from(path);
        let items = self.get(path).and_then(Value::as_array).into_iter().flatten().enumerate();
        items.map(move |(index, json)| Part { json, origin: format!("{origin}/{index}") })
    }
}
