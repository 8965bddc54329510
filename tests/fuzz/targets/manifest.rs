//! Manifests: every place is in the text, every value has one, JSON is read as JSON's own reader does, and what is said
//! of a text is short and printable. Knows nothing of where the bytes come from.

use podfit::manifest;
use podfit::policy::{Mode, Modes, Options, PodSpec, Settings, check};
use podfit::review::Review;
use serde_json::Value;

pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    // To YAML a carriage return alone ends a line too.
    let lines = text.matches(['\n', '\r']).count() as u64 + 1;
    let documents = manifest::read(text);
    for document in &documents {
        match document {
            Ok(document) => {
                for pointer in ["", "/spec", "/spec/template/spec/containers/0/image", "/x~1y"] {
                    let place = document.place(pointer);
                    assert!((1..=lines).contains(&place.line) && place.column >= 1, "{place:?} of {lines}");
                }
                pods(&document.value);
            }
            Err(error) => {
                assert!((1..=lines).contains(&error.place.line), "{error:?}");
                assert!(!error.message.contains(char::is_control) && error.message.chars().count() < 300);
                assert!(!error.message.contains("no memory left"), "the reader came to grief");
            }
        }
    }
    as_json(text, &documents);

    let mut review = Review::default();
    review.add("f.yaml", text, &Settings::default(), "jobs");
    assert!(
        review.findings.iter().all(|f| (1..=lines).contains(&f.line) && !f.finding.message.contains(char::is_control))
    );
    assert!(review.errors.iter().chain(&review.notes).all(|f| !f.message.contains(char::is_control)));
}

fn pods(object: &Value) {
    for made in manifest::pods(object, "") {
        let Ok(spec) = PodSpec::of_pod(&made.pod) else { continue };
        for finding in check(&spec, &Modes::all(Mode::Enforce), &Options::default()) {
            assert!(finding.message.chars().count() <= 112, "{}", finding.message);
            assert!(!finding.message.contains(char::is_control));
            assert!(made.origin(&finding.path).starts_with('/'));
        }
    }
}

/// A text that is one JSON object says the same to both readers.
fn as_json(text: &str, documents: &[Result<manifest::Document, manifest::Unreadable>]) {
    let Ok(json @ Value::Object(_)) = serde_json::from_str::<Value>(text) else { return };
    if let [Ok(document)] = documents {
        assert!(same(&json, &document.value), "{json} was read as {}", document.value);
    }
}

/// The same but for numbers, of which YAML has other ideas.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)))
        }
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Number(_), b) => !b.is_object() && !b.is_array(),
        (a, b) => a == b,
    }
}
