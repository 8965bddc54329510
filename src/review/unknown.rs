//! Values of a pod that are filled in later: placeholders and templates. What is unknown is not judged.
//! Must not know where a value stands in a file.

use std::ops::Range;

use serde_json::{Value, json};

use crate::manifest::{PodOf, TEMPLATE_WORDS};
use crate::policy::Slot;
use crate::text;

/// Something that is not known yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unknown {
    /// JSON pointer in the pod.
    pub at: String,
    /// What; one line.
    pub message: String,
    /// Whether the text is to be rendered before it can be judged.
    pub is_template: bool,
}

/// Longest value that is shown, in characters.
const SHOWN: usize = 60;
/// Texts that stand for an image, or for its tag, in tools' examples and pod templates, Airflow's for one.
const DUMMIES: [&str; 7] =
    ["dummy_image", "dummy-image", "image_placeholder", "placeholder", "replace_me", "replaceme", "changeme"];
/// What encloses a name that a tool replaces.
const ENCLOSED: [(&str, &str); 8] =
    [("${", "}"), ("$(", ")"), ("#{", "}"), ("@@", "@@"), ("@", "@"), ("%", "%"), ("<", ">"), ("__", "__")];
/// What begins a template, and what ends it.
const BRACES: [(&str, &str); 2] = [("{{", "}}"), ("{%", "%}")];
/// Stands for what a placeholder will be where it makes no difference what that is.
const ANYTHING: &str = "x";

/// What was taken out of a pod.
#[derive(Clone, Debug, Default)]
pub(super) struct Taken {
    /// What is not known yet.
    pub unknown: Vec<Unknown>,
    /// Images that are judged by what is written beside their placeholders: what was put in their place, and they.
    pub images: Vec<(String, String)>,
}

/// Takes out of a pod what is not known yet, and says so of each.
pub(super) fn take(pod: &mut PodOf) -> Taken {
    let mut taken = Taken::default();
    let mut found = Vec::new();
    let none = Vec::new();
    let spec = pod.pod.get("spec").cloned().unwrap_or_default();
    for slot in Slot::ALL {
        let list = spec.get(slot.field()).and_then(Value::as_array).unwrap_or(&none);
        for (index, container) in list.iter().enumerate() {
            let at = format!("/spec/{}/{index}", slot.field());
            let name = container.get("name").and_then(Value::as_str).unwrap_or_default();
            if let Some(image) = container.get("image").and_then(Value::as_str) {
                let of_mesh = name == "istio-proxy" && image == "auto";
                if let Some(decided) = decided(image) {
                    pod.assume(&format!("{at}/image"), json!(decided));
                    taken.images.push((decided, image.to_owned()));
                } else if of_mesh || is_blank(image) || is_placeholder(image) || is_dummy(image) {
                    found.push((format!("{at}/image"), name.to_owned(), "image", image.to_owned(), json!("")));
                }
            }
            security(container, &at, name, &mut found);
        }
    }
    security(&spec, "/spec", "", &mut found);
    for (at, name, field, value, instead) in found {
        let head = if name.is_empty() { String::new() } else { format!("container {}: ", text::name(&name)) };
        let is_template = TEMPLATE_WORDS.iter().any(|word| value.contains(word));
        let shown = text::clip(&text::clean(&value), SHOWN);
        let message = match (is_template, is_blank(&value)) {
            (true, _) => format!("{head}{field} is a template: render it first (helm template … | podfit review -)"),
            (_, true) => format!("{head}{field} is not judged: it is left to another tool"),
            _ => format!("{head}{field} {shown} is a placeholder, and not judged: it is known when it is filled in"),
        };
        taken.unknown.push(Unknown { at: at.clone(), message, is_template });
        pod.assume(&at, instead);
    }
    taken
}

/// Fields of a security context that hold a text where a number or a boolean belongs.
fn security(of: &Value, at: &str, name: &str, found: &mut Vec<(String, String, &'static str, String, Value)>) {
    // A uid that is no root, so that nothing is said of a user who is not known.
    const NOBODY: u32 = 65_534;
    for (field, instead) in [("runAsUser", json!(NOBODY)), ("runAsGroup", json!(NOBODY)), ("runAsNonRoot", json!(true))]
    {
        let Some(value) = of.get("securityContext").and_then(|c| c.get(field)).and_then(Value::as_str) else {
            continue;
        };
        if is_placeholder(value) {
            found.push((format!("{at}/securityContext/{field}"), name.to_owned(), field, value.to_owned(), instead));
        }
    }
}

fn is_blank(value: &str) -> bool {
    !value.is_empty() && value.trim().is_empty()
}

/// Where placeholders stand in a value, in order, without gaps between those that overlap.
fn placeholders(value: &str) -> Vec<Range<usize>> {
    let mut places = Vec::new();
    for (open, close) in BRACES {
        places.extend(value.match_indices(open).map(|(start, _)| {
            let end = value.get(start..).and_then(|rest| rest.find(close)).map(|end| start + end + close.len());
            start..end.unwrap_or(value.len())
        }));
    }
    for (open, close) in ENCLOSED {
        places.extend(value.match_indices(open).filter_map(|(start, _)| {
            let inside = start + open.len();
            let inner = value.get(inside..)?;
            let inner = inner.get(..inner.find(close)?)?;
            is_name(open, inner).then(|| start..inside + inner.len() + close.len())
        }));
    }
    // As a shell writes it.
    places.extend(value.match_indices('$').filter_map(|(start, _)| {
        let name = value.get(start + 1..)?;
        let end = name.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(name.len());
        name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_').then_some(start..start + 1 + end)
    }));
    places.sort_by_key(|place| place.start);
    places.into_iter().fold(Vec::new(), |mut apart: Vec<Range<usize>>, place| {
        match apart.last_mut().filter(|last| place.start < last.end) {
            Some(last) => last.end = last.end.max(place.end),
            None => apart.push(place),
        }
        apart
    })
}

/// Whether what stands between two marks is a name that somebody replaces.
fn is_name(open: &str, inner: &str) -> bool {
    let is_plain = |more: &[char]| inner.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(&c));
    // `@sha256:…` of a digest and `50%…` have no name between two marks.
    inner.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && !inner.contains(['/', '@'])
        && match open {
            // Double underscores are part of plain repositories.
            "__" => !inner.bytes().any(|b| b.is_ascii_lowercase()),
            // Kubernetes' own form, which it replaces in commands and variables, never in an image: it is what it is.
            "$(" => !is_plain(&['_', '-']),
            _ => open.len() > 1 || is_plain(&['_', '-', '.']),
        }
}

/// An image as far as it is written, where that decides, whatever its placeholders will be: there is a tag or a digest
/// behind the last one, or a path's last part without either.
fn decided(image: &str) -> Option<String> {
    let places = placeholders(image);
    let behind = image.get(places.last()?.end..)?;
    let tag = behind.rsplit_once(':').map(|(_, tag)| tag);
    if !behind.contains(['/', ':', '@']) || tag.is_some_and(is_dummy) {
        return None;
    }
    let mut written = image.to_owned();
    for place in places.into_iter().rev() {
        written.replace_range(place, ANYTHING);
    }
    Some(written)
}

/// Whether a value, or a part of it, is filled in later.
fn is_placeholder(value: &str) -> bool {
    // A repository has no capital letters: a text of nothing else is a name that is replaced.
    let shouted = value.len() > 1
        && value.starts_with(|c: char| c.is_ascii_uppercase())
        && value.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
    shouted || !placeholders(value).is_empty()
}

/// Whether an image, or its tag, is a word that stands for one. A tag beside such a word decides.
fn is_dummy(image: &str) -> bool {
    let word = match image.rsplit_once(':') {
        Some((_, tag)) if !tag.contains('/') => tag,
        _ => image,
    };
    DUMMIES.contains(&word.to_ascii_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("${TAG}", true)]
    #[case("reg.example/a:${TAG:-latest}", true)]
    #[case("reg.example/a:$(Build.BuildId)", true)]
    #[case("reg.example/a:#{tag}#", true)]
    #[case("@@IMAGE@@", true)]
    #[case("reg.example/a:@TAG@", true)]
    #[case("reg.example/a:%TAG%", true)]
    #[case("<IMAGE>", true)]
    #[case("__IMAGE__", true)]
    #[case("IMAGE_PLACEHOLDER", true)]
    #[case("dummy_image", true)]
    #[case("reg.example/placeholder:latest", false)]
    #[case("reg.example/a:REPLACE_ME", true)]
    #[case("a:$TAG", true)]
    #[case("a:$(params.tag)", true)]
    #[case("a:$(TAG)", false)]
    #[case("me/todo:latest", false)]
    #[case("nginx", false)]
    #[case("reg.example/a:LATEST", false)]
    #[case("reg.example:5000/a_b__c/d__e:1", false)]
    #[case("a:1@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", false)]
    #[case("A/b:1", false)]
    #[case("a__b__c:1", false)]
    #[case("reg.example/todo-app:1", false)]
    fn placeholders(#[case] image: &str, #[case] expected: bool) {
        assert_eq!(is_placeholder(image) || is_dummy(image), expected);
    }

    #[rstest]
    #[case("${REG}/app:latest", Some("x/app:latest"))]
    #[case("${REG}:5000/app", Some("x:5000/app"))]
    #[case("{{ .Values.reg }}/{{ .Values.app }}:1.2", Some("x/x:1.2"))]
    #[case("${REG}/app:${TAG}@sha256:ab", Some("x/app:x@sha256:ab"))]
    #[case("${REG}/app:replace_me", None)]
    #[case("${REG}/app-${SUFFIX}", None)]
    #[case("a:${TAG}", None)]
    #[case("{{ image", None)]
    #[case("a:1", None)]
    #[case("@@@@/${ä}/%a%:1", Some("@@@@/${ä}/x:1"))]
    fn what_is_written_beside_placeholders_may_decide(#[case] image: &str, #[case] expected: Option<&str>) {
        assert_eq!(decided(image).as_deref(), expected);
    }
}
