//! What is checked of every setting: names of rules and namespaces, and how a fault is told.
//! Must not know the settings themselves.

use super::{Mode, Modes, RULES};
use crate::text;

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

/// Whether a name, or a beginning of names with a `*` at the end, means a namespace.
pub(super) fn matches(pattern: &str, namespace: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == namespace, |prefix| namespace.starts_with(prefix))
}

/// A value at fault.
pub(super) fn fault(place: &str, problem: &str) -> SettingsError {
    SettingsError::Value { place: place.to_owned(), problem: problem.to_owned() }
}

/// The names of rules that there are.
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
