//! Values of a pod that are filled in later: placeholders and templates. What is unknown is not judged.
//! Must not know where a value stands in a file.

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
/// Texts that stand for an image in tools' examples and pod templates, Airflow's for one.
const DUMMIES: [&str; 8] =
    ["dummy_image", "dummy-image", "image_placeholder", "placeholder", "replace_me", "replaceme", "changeme", "todo"];
/// What encloses a name that a tool replaces.
const ENCLOSED: [(&str, &str); 8] =
    [("${", "}"), ("$(", ")"), ("#{", "}"), ("@@", "@@"), ("@", "@"), ("%", "%"), ("<", ">"), ("__", "__")];

/// Takes out of a pod what is not known yet, and says so of each.
pub(super) fn take(pod: &mut PodOf) -> Vec<Unknown> {
    let mut unknown = Vec::new();
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
                if of_mesh || is_blank(image) || is_placeholder(image) || is_filled_in(image) {
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
        unknown.push(Unknown { at: at.clone(), message, is_template });
        pod.assume(&at, instead);
    }
    unknown
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
        if is_placeholder(value) || is_filled_in(value) {
            found.push((format!("{at}/securityContext/{field}"), name.to_owned(), field, value.to_owned(), instead));
        }
    }
}

fn is_blank(value: &str) -> bool {
    !value.is_empty() && value.trim().is_empty()
}

/// Braces of a template or of a parameter.
fn is_filled_in(value: &str) -> bool {
    value.contains("{{") || value.contains("{%")
}

fn is_placeholder(value: &str) -> bool {
    let enclosed = ENCLOSED.iter().any(|(open, close)| {
        value.match_indices(open).any(|(start, _)| {
            let rest = value.get(start + open.len()..).unwrap_or_default();
            rest.find(close).is_some_and(|end| {
                let inner = rest.get(..end).unwrap_or_default();
                let first = inner.chars().next();
                // `@sha256:…` of a digest and `50%…` have no name between two marks.
                first.is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
                    // Double underscores are part of plain repositories.
                    && !(*open == "__" && inner.bytes().any(|b| b.is_ascii_lowercase()))
                    && !inner.contains(['/', '@'])
                    && (open.len() > 1 || inner.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')))
            })
        })
    });
    // A repository has no capital letters: a text of nothing else is a name that is replaced.
    let shouted = value.len() > 1
        && value.starts_with(|c: char| c.is_ascii_uppercase())
        && value.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
    let lower = value.to_ascii_lowercase();
    let words = lower.split(['/', ':']);
    let dummy = words.into_iter().any(|word| DUMMIES.contains(&word));
    enclosed || shouted || dummy
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
    #[case("reg.example/placeholder:latest", true)]
    #[case("reg.example/a:REPLACE_ME", true)]
    #[case("nginx", false)]
    #[case("reg.example/a:LATEST", false)]
    #[case("reg.example:5000/a_b__c/d__e:1", false)]
    #[case("a:1@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", false)]
    #[case("A/b:1", false)]
    #[case("a__b__c:1", false)]
    #[case("reg.example/todo-app:1", false)]
    fn placeholders(#[case] image: &str, #[case] expected: bool) {
        assert_eq!(is_placeholder(image), expected);
    }
}
