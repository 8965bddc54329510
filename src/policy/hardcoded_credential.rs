//! `hardcoded-credential`: a password, key or token written into the pod, where whoever may read pods reads it too.
//! Must never show a value, not even a part of one: a finding names the container and the key.

use serde_json::Value;

use super::credential_text::{self, Credential};
use super::{Container, Mode, Options, PodSpec, Report, Rule, Severity, visitor};
use crate::text;

pub(super) struct HardcodedCredential;

/// Longest name of a key in a message, in characters.
const KEY_CHARS: usize = 36;

impl Rule for HardcodedCredential {
    fn id(&self) -> &'static str {
        "hardcoded-credential"
    }

    fn summary(&self) -> &'static str {
        "A credential written into a pod is open to all who may read pods, and is kept in every backup and manifest."
    }

    fn cure(&self) -> &'static str {
        "Keep it in a Secret and refer to it with valueFrom.secretKeyRef, envFrom or a mounted file."
    }

    fn default_mode(&self) -> Mode {
        Mode::Warn
    }

    fn why_not_in_cel(&self) -> &'static str {
        "its patterns are beyond CEL's cost limits, and an API server would log what matches"
    }

    fn check(&self, pod: &PodSpec<'_>, _: &Options, report: &mut Report<'_>) {
        for container in pod.containers() {
            environment(&container, report);
            for field in ["command", "args"] {
                arguments(&container, field, report);
            }
        }
    }
}

/// Literal values only: `valueFrom` and `envFrom` are the cure.
fn environment(container: &Container<'_>, report: &mut Report<'_>) {
    let variables = visitor::present(container.json, "env").and_then(Value::as_array).into_iter().flatten();
    for (index, variable) in variables.enumerate() {
        let name = variable.get("name").and_then(Value::as_str).unwrap_or_default();
        let Some(value) = variable.get("value").and_then(Value::as_str) else { continue };
        if let Some(found) = credential_text::in_setting(name, value) {
            let path = format!("{}/env/{index}/value", container.path);
            let name = text::clip(&text::clean(name), KEY_CHARS);
            tell(container, &path, found, &format!("env {name}"), report);
        }
    }
}

fn arguments(container: &Container<'_>, field: &str, report: &mut Report<'_>) {
    let texts = visitor::present(container.json, field).and_then(Value::as_array).into_iter().flatten();
    let texts: Vec<&str> = texts.map(|value| value.as_str().unwrap_or_default()).collect();
    for (index, text) in texts.iter().enumerate() {
        let path = format!("{}/{field}/{index}", container.path);
        let place = format!("{field}[{index}]");
        if let Some((found, name)) = credential_text::in_text(text) {
            let place = name.map_or(place, |name| text::clip(&text::clean(name), KEY_CHARS));
            tell(container, &path, found, &place, report);
        } else if let Some(option) = index.checked_sub(1).and_then(|before| option(texts[before])) {
            // `--password hunter2`
            if !text.starts_with('-') && credential_text::is_literal(text) {
                tell(container, &path, Credential::Named, &text::clip(&text::clean(option), KEY_CHARS), report);
            }
        }
    }
}

/// An option whose value is the next argument, if its name says that it is a credential.
fn option(argument: &str) -> Option<&str> {
    let name = argument.strip_prefix('-')?;
    let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
    (plain && credential_text::is_telling(name)).then_some(argument)
}

fn tell(container: &Container<'_>, path: &str, found: Credential, place: &str, report: &mut Report<'_>) {
    let (reason, what) = match found {
        Credential::PrivateKey => ("private-key", "a private key"),
        Credential::Token => ("token", "an access token"),
        Credential::Address => ("address", "a password in an address"),
        Credential::Named => ("named", "a literal credential"),
    };
    let problem = format!("{place} holds {what}: use a Secret");
    report.container(Severity::Breach, reason, container, path, &problem);
}
