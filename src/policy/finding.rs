//! One breach of a rule: where it is and how to mend it.
//! Must not hold values that may be secret; texts are printable and at most 112 characters.

use serde::Serialize;

use super::Mode;

/// How much a finding weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth a warning; never turns a pod away.
    Remark,
    /// What the rule is there for.
    Breach,
}

/// One breach of one rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The rule's name.
    pub rule: &'static str,
    /// Which of the rule's cases; few and fixed, fit for a metric's label.
    pub reason: &'static str,
    /// Its weight.
    pub severity: Severity,
    /// What it leads to: the rule's mode, softened for a remark.
    pub mode: Mode,
    /// Container or volume name; empty when the whole pod is meant.
    pub container: String,
    /// JSON pointer into the object to the value at fault, or to where it is missing.
    pub path: String,
    /// One line, at most 112 characters: what is wrong and how to mend it.
    pub message: String,
}
