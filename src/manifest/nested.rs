//! Manifests that stand as text in a value of another object: a pod template in a `ConfigMap`, the object that a
//! workflow creates. Must not know what is made of them.

use serde_json::Value;

use super::{Found, Unjudged, look, read};

/// Reads a text that stands at `place` of `object`, and looks for pods in what it says. False where it cannot be read.
pub(super) fn text(text: &str, object: &Value, place: &str, found: &mut Found, texts: u8) -> bool {
    let Some(texts) = texts.checked_sub(1) else { return true };
    let mut is_read = true;
    for document in read(text) {
        let Ok(document) = document else {
            is_read = false;
            continue;
        };
        let mut inner = Found::default();
        look(&document.value, "", &mut inner, texts);
        found.pods.extend(inner.pods.into_iter().map(|pod| pod.inside(object, place)));
        let here = |unjudged: Unjudged| Unjudged { path: place.to_owned(), ..unjudged };
        found.unjudged.extend(inner.unjudged.into_iter().map(here));
        found.notes.extend(inner.notes.into_iter().map(here));
    }
    is_read
}

/// Manifests in the values of a `ConfigMap`, such as Airflow's `pod_template_file.yaml`.
pub(super) fn config_map(object: &Value, base: &str, found: &mut Found, texts: u8) {
    if texts == 0 {
        return;
    }
    let data = object.get("data").and_then(Value::as_object);
    for (key, value) in data.into_iter().flatten() {
        let Some(value) = value.as_str().filter(|value| holds_pods(value)) else { continue };
        let place = format!("{base}/data/{}", super::escape(key));
        if !text(value, object, &place, found, texts) {
            let message = "not looked at: this text holds containers and cannot be read as a manifest".to_owned();
            found.notes.push(Unjudged { path: place, message });
        }
    }
}

/// Whether a text may be a manifest with pods: cheap, and never wrong where it says no.
fn holds_pods(text: &str) -> bool {
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    let is_object = has(&["containers", "templates", "image"]) && has(&["kind"]) && has(&["apiVersion"]);
    // A pod template need not say what it is.
    is_object || has(&["containers:", "\"containers\""]) && has(&["image:", "\"image\""])
}
