//! What an administrator configures of the rules: modes, namespaces, exemptions. The same value is read from a file and
//! is part of a cluster's policy object. Must not know where it came from, nor the pods it will be applied to.
//!
//! Only these settings relax a rule. No label or annotation of a pod or a namespace does: whoever is to be held to a
//! rule can write those.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::exemption::{Exemption, Images, Subject};
use super::setting_check::{SettingsError, fault, known_rules, matches, patterns};
use super::{Finding, Mode, Modes, Options};
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
