//! The rules on manifests: every pod that a text leads to is judged, and each finding is led back to its line.
//! Must not know files or the command line: a name and a text in, findings out.

mod sarif;
#[cfg(test)]
mod tests;
mod unknown;

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::Value;

use crate::manifest::{self, Document, PodOf, Position};
use crate::policy::{self, Finding, Mode, PodSpec, Settings, Subject};
use crate::text;

pub use sarif::sarif;

/// What was found in some texts.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Review {
    /// Breaches of rules, in the order of the texts.
    pub findings: Vec<Located>,
    /// What could not be read, and was not judged.
    pub errors: Vec<Fault>,
    /// What holds containers and was not looked at.
    pub unjudged: Vec<Fault>,
    /// What was read and not judged, and why.
    pub notes: Vec<Fault>,
    /// How many pods were judged.
    pub pods: usize,
    /// Namespaces whose service account `default` mounts no token.
    #[serde(skip)]
    tokenless: BTreeSet<String>,
}

/// A finding in a text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Located {
    /// Name of the text.
    pub file: String,
    /// Line, from 1.
    pub line: u64,
    /// Column, from 1.
    pub column: u64,
    /// Kind of the object.
    pub kind: String,
    /// Its namespace: its own, else the one assumed.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Which of its pods; empty where there is one.
    pub role: String,
    /// What was found; its path is a JSON pointer in the document.
    #[serde(flatten)]
    pub finding: Finding,
    /// Whether the pod leaves it to its service account whether a token is mounted.
    #[serde(skip)]
    account_decides: bool,
}

/// Something about a place of a text that is no finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Fault {
    /// Name of the text.
    pub file: String,
    /// Line, from 1.
    pub line: u64,
    /// Column, from 1.
    pub column: u64,
    /// What is the matter.
    pub message: String,
}

impl Fault {
    /// A fault at a place.
    pub fn new(file: &str, place: Position, message: &str) -> Self {
        Self { file: file.to_owned(), line: place.line, column: place.column, message: text::clean(message) }
    }
}

impl Review {
    /// Judges every pod of a text. `namespace` is that of objects which name none.
    pub fn add(&mut self, file: &str, text: &str, settings: &Settings, namespace: &str) {
        let known = self.tokenless.len();
        for document in manifest::read(text) {
            match document {
                Ok(document) => self.document(file, &document, settings, namespace),
                Err(error) => self.errors.push(Fault::new(file, error.place, &error.message)),
            }
        }
        if self.tokenless.len() > known {
            // An account may stand behind the pods that run as it.
            let tokenless = &self.tokenless;
            self.findings.retain(|finding| !(finding.account_decides && tokenless.contains(&finding.namespace)));
        }
    }

    /// The worst mode of all findings.
    pub fn worst(&self) -> Option<Mode> {
        self.findings.iter().map(|located| located.finding.mode).max()
    }

    fn document(&mut self, file: &str, document: &Document, settings: &Settings, namespace: &str) {
        let mut objects = vec![&document.value];
        while let Some(object) = objects.pop() {
            self.tokenless.extend(without_token(object, namespace));
            let items = object.as_array().or_else(|| object.get("items").and_then(Value::as_array));
            objects.extend(items.into_iter().flatten());
        }
        let found = manifest::find(&document.value);
        let here = |unjudged: &manifest::Unjudged| Fault::new(file, document.place(&unjudged.path), &unjudged.message);
        self.unjudged.extend(found.unjudged.iter().map(here));
        self.notes.extend(found.notes.iter().map(here));
        for mut pod in found.pods {
            let taken = unknown::take(&mut pod);
            for unknown in &taken.unknown {
                let fault = Fault::new(file, document.place(&pod.origin(&unknown.at)), &unknown.message);
                let told = if unknown.is_template { &mut self.errors } else { &mut self.notes };
                if told.last() != Some(&fault) {
                    told.push(fault);
                }
            }
            for note in &pod.notes {
                let note = Fault::new(file, document.place(&pod.origin("/spec")), note);
                if !self.notes.contains(&note) {
                    self.notes.push(note);
                }
            }
            self.pods += 1;
            let before = self.findings.len();
            self.pod(file, document, &pod, settings, namespace);
            // Images are shown as they are written.
            for (judged, written) in taken.images {
                let (judged, written) = (format!("image {judged}"), format!("image {}", text::clean(&written)));
                for finding in
                    self.findings.iter_mut().skip(before).filter(|finding| finding.finding.rule == "latest-tag")
                {
                    finding.finding.message = finding.finding.message.replacen(&judged, &written, 1);
                }
            }
        }
    }

    fn pod(&mut self, file: &str, document: &Document, pod: &PodOf, settings: &Settings, namespace: &str) {
        let spec = match PodSpec::of_pod(&pod.pod) {
            Ok(spec) => spec,
            Err(odd) => {
                let at = pod.origin(&odd.path);
                let message = format!("the pod cannot be judged: {at} should be {}{}", odd.expected, patch(&at));
                return self.errors.push(Fault::new(file, document.place(&at), &message));
            }
        };
        let namespace = pod.object.namespace.as_deref().unwrap_or(namespace);
        let mut findings = policy::check(&spec, &settings.modes_for(namespace), &settings.options());
        findings.retain(|finding| pod.is_judged_by(finding.rule));
        settings.exempt(&mut findings, &Subject { namespace, user: None, pod: spec });
        let account_decides = spec.json().get("automountServiceAccountToken").is_none_or(Value::is_null);
        for finding in findings {
            let path = pod.origin(&finding.path);
            let Position { line, column } = document.place(&path);
            let located = Located {
                file: file.to_owned(),
                line,
                column,
                kind: text::name(&pod.object.kind),
                namespace: text::name(namespace),
                name: text::clip(&text::clean(&pod.object.name), NAME_CHARS),
                role: text::name(&pod.role),
                account_decides: account_decides && finding.rule == "default-service-account",
                finding: Finding { path: text::clean(&path), ..finding },
            };
            if located.account_decides && self.tokenless.contains(&located.namespace) {
                continue;
            }
            // One value can be part of several pods: it is said once.
            let said = |other: &Located| {
                let key = |of: &'_ Located| (of.line, of.column, of.finding.rule);
                key(other) == key(&located)
                    && (&other.finding.message, &other.finding.path, &other.file)
                        == (&located.finding.message, &located.finding.path, &located.file)
            };
            if !self.findings.iter().rev().take(SEVERAL).any(said) {
                self.findings.push(located);
            }
        }
    }
}

/// What an object without its pod spec may be.
fn patch(at: &str) -> &'static str {
    if at.ends_with("/spec") { "; if this is a patch: kustomize build FOLDER | podfit review -" } else { "" }
}

/// The namespace of a service account `default` that mounts no token into the pods that leave it to the account.
fn without_token(object: &Value, namespace: &str) -> Option<String> {
    let is = |at: &str, text: &str| object.pointer(at).and_then(Value::as_str) == Some(text);
    let declines = object.get("automountServiceAccountToken") == Some(&Value::Bool(false));
    let own = object.pointer("/metadata/namespace").and_then(Value::as_str).unwrap_or(namespace);
    (is("/kind", "ServiceAccount") && is("/metadata/name", "default") && declines).then(|| text::name(own))
}

/// Longest name of an object (RFC 1123 subdomain).
const NAME_CHARS: usize = 253;
/// How far back a finding may have been said already: an object leads to a few pods with a few findings each.
const SEVERAL: usize = 500;
