//! What an administrator configures of the rules: modes, namespaces, exemptions. The same value is read from a file and
//! is part of a cluster's policy object. Must not know where it came from, nor the pods it will be applied to.
//!
//! Only these settings relax a rule. No label or annotation of a pod or a namespace does: whoever is to be held to a
//! rule can write those.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::exemption::{Exemption, Images, Subject};
use super::{Finding, Mode, Modes, Options, RULES};
use crate::text;

/// The rules' settings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Settings {
    /// By rule, its mode in every namespace; else the rule's own default.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub modes: BTreeMap<String, Mode>,
    /// Other modes for some namespaces. Where several name the same rule for a namespace, the last one holds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub namespaces: Vec<NamespaceModes>,
    /// What is let through, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exemptions: Vec<Exemption>,
    /// Accept root inside a user namespace (`hostUsers: false`).
    #[serde(default)]
    pub accept_user_namespaces: bool,
}

/// The modes of some namespaces.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NamespaceModes {
    /// Names, or beginnings of names with a `*` at the end.
    pub names: Vec<String>,
    /// By rule, its mode there.
    pub modes: BTreeMap<String, Mode>,
}

/// Settings that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// Not YAML, or not of this form. The text around the fault is not repeated.
    #[error("{0}")]
    Form(String),
    /// A value at fault.
    #[error("{place}: {problem}")]
    Value {
        /// Which: `namespaces[0].modes`.
        place: String,
        /// What is wrong with it and what to do.
        problem: String,
    },
}

impl Settings {
    /// Reads and checks settings.
    ///
    /// # Errors
    /// What is wrong, where, and what to write instead.
    pub fn from_yaml(text: &str) -> Result<Self, SettingsError> {
        let settings: Self = from_yaml(text)?;
        settings.validate()?;
        Ok(settings)
    }

    /// Checks what the form alone does not say.
    ///
    /// # Errors
    /// The first value at fault.
    pub fn validate(&self) -> Result<(), SettingsError> {
        known_rules("modes", self.modes.keys())?;
        for (index, entry) in self.namespaces.iter().enumerate() {
            let place = format!("namespaces[{index}]");
            if entry.names.is_empty() {
                return Err(fault(
                    &format!("{place}.names"),
                    "it is empty: name namespaces, or prefixes such as dev-*",
                ));
            }
            patterns(&format!("{place}.names"), &entry.names)?;
            if entry.modes.is_empty() {
                return Err(fault(
                    &format!("{place}.modes"),
                    "it is empty: give a rule and its mode, or remove the entry",
                ));
            }
            known_rules(&format!("{place}.modes"), entry.modes.keys())?;
        }
        for (index, exemption) in self.exemptions.iter().enumerate() {
            exemption.validate(&format!("exemptions[{index}]"))?;
        }
        Ok(())
    }

    /// The modes that hold in a namespace. The same for every pod of it, so that it can be computed ahead.
    pub fn modes_for(&self, namespace: &str) -> Modes {
        let mut modes = Modes::default();
        let here = self.namespaces.iter().filter(|entry| entry.names.iter().any(|name| matches(name, namespace)));
        for (rule, mode) in self.modes.iter().chain(here.flat_map(|entry| &entry.modes)) {
            // A rule that there is not was refused when the settings were read.
            let _ = modes.set(rule, *mode);
        }
        modes
    }

    /// The switches of single rules.
    pub const fn options(&self) -> Options {
        Options { accept_user_namespaces: self.accept_user_namespaces }
    }

    /// Softens what an exemption covers to a note for the operator, with the exemption's reason in place of the cure.
    pub fn exempt(&self, findings: &mut [Finding], subject: &Subject<'_>) {
        if findings.is_empty() || self.exemptions.is_empty() {
            return;
        }
        let images = Images::of(&subject.pod);
        for finding in findings.iter_mut().filter(|finding| finding.mode > Mode::Audit) {
            let covering = self.exemptions.iter().find(|exemption| exemption.covers(finding, subject, &images));
            if let Some(exemption) = covering {
                finding.mode = Mode::Audit;
                let reason = text::clip(&text::clean(&exemption.reason), REASON_CHARS);
                let room = text::MESSAGE_CHARS.saturating_sub(reason.chars().count() + EXEMPT.chars().count() + 1);
                finding.message = format!("{}{EXEMPT}{reason})", text::clip(&finding.message, room));
            }
        }
    }
}

impl SettingsError {
    /// The same fault, of settings that stand at a place of something larger.
    #[must_use]
    pub(super) fn inside(self, outer: &str) -> Self {
        match self {
            Self::Value { place, problem } => Self::Value { place: format!("{outer}.{place}"), problem },
            form @ Self::Form(_) => form,
        }
    }
}

/// Reads YAML; an empty text is the default. The text around a fault is not repeated.
pub(super) fn from_yaml<T: Default + DeserializeOwned>(yaml: &str) -> Result<T, SettingsError> {
    let read: Option<T> =
        serde_saphyr::from_str(yaml).map_err(|e| SettingsError::Form(text::clean(&e.without_snippet().to_string())))?;
    Ok(read.unwrap_or_default())
}

const EXEMPT: &str = " (exempt: ";
/// Most of a reason in a message, in characters.
const REASON_CHARS: usize = 50;

/// Whether a name, or a beginning of names with a `*` at the end, means a namespace.
pub(super) fn matches(pattern: &str, namespace: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == namespace, |prefix| namespace.starts_with(prefix))
}

pub(super) fn fault(place: &str, problem: &str) -> SettingsError {
    SettingsError::Value { place: place.to_owned(), problem: problem.to_owned() }
}

pub(super) fn known_rules<'a>(place: &str, names: impl IntoIterator<Item = &'a String>) -> Result<(), SettingsError> {
    for name in names {
        if !RULES.iter().any(|rule| rule.id() == name) {
            let mut modes = Modes::default();
            let problem = modes.set(name, Mode::Off).map_or_else(|unknown| unknown.to_string(), |()| String::new());
            return Err(fault(place, &problem));
        }
    }
    Ok(())
}

/// Names of namespaces: RFC 1123 labels, or beginnings of such with a `*`.
pub(super) fn patterns(place: &str, names: &[String]) -> Result<(), SettingsError> {
    for (index, name) in names.iter().enumerate() {
        let bare = name.strip_suffix('*').unwrap_or(name);
        let fits = bare.len() <= 63 && bare.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if !fits || name.is_empty() {
            let shown = text::clip(&text::clean(name), 40);
            let problem = format!("\"{shown}\" is no namespace: write its name, or a prefix with * at the end");
            return Err(fault(&format!("{place}[{index}]"), &problem));
        }
    }
    Ok(())
}
