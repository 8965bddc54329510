//! What happens on a breach: enforce, warn, audit or off, per rule.
//! Must not know where the setting came from, nor how the answer reaches the user.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{RULES, Rule};
use crate::text;

/// What a breach of a rule leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// The rule is not checked.
    Off,
    /// Recorded for the operator only.
    Audit,
    /// Allowed; the author is told.
    Warn,
    /// Turned away.
    Enforce,
}

impl Mode {
    /// The mode's text form.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Audit => "audit",
            Self::Warn => "warn",
            Self::Enforce => "enforce",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that is no mode.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a mode; write enforce, warn, audit or off")]
pub struct UnknownMode(String);

impl FromStr for Mode {
    type Err = UnknownMode;

    fn from_str(text: &str) -> Result<Self, UnknownMode> {
        [Self::Off, Self::Audit, Self::Warn, Self::Enforce]
            .into_iter()
            .find(|mode| mode.as_str() == text)
            .ok_or_else(|| UnknownMode(text::clean(text)))
    }
}

/// A name that no rule has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no rule \"{name}\"; the rules are {known}")]
pub struct UnknownRule {
    name: String,
    known: String,
}

/// The mode of every rule: what was set, else the rule's default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Modes(BTreeMap<&'static str, Mode>);

impl Modes {
    /// Sets the mode of one rule.
    ///
    /// # Errors
    /// There is no rule of that name.
    pub fn set(&mut self, rule: &str, mode: Mode) -> Result<(), UnknownRule> {
        let Some(known) = RULES.iter().find(|r| r.id() == rule) else {
            let known = RULES.iter().map(|r| r.id()).collect::<Vec<_>>().join(", ");
            return Err(UnknownRule { name: text::clip(&text::clean(rule), text::LINE_CHARS), known });
        };
        self.0.insert(known.id(), mode);
        Ok(())
    }

    /// One mode for all rules.
    pub fn all(mode: Mode) -> Self {
        Self(RULES.iter().map(|rule| (rule.id(), mode)).collect())
    }

    /// The mode of a rule.
    pub fn of(&self, rule: &dyn Rule) -> Mode {
        self.0.get(rule.id()).copied().unwrap_or_else(|| rule.default_mode())
    }
}
