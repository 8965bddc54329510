//! The policy file of `podfit serve`: modes of the rules, and the switch that stops all resizing.
//! Must not know where the text comes from; [`load_policy`] is the one place that knows its form.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;

use crate::admission::Knowledge;
use crate::policy::{Mode, Modes, Options, text};

/// What a policy file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    modes: Modes,
    options: Options,
    /// No pod is resized; the rules hold all the same.
    pub resizing_stopped: bool,
}

impl Policy {
    /// Puts it in place of the one that was known.
    pub fn replace_in(self, knowledge: &mut Knowledge) {
        knowledge.modes = Arc::new(self.modes);
        knowledge.options = self.options;
        knowledge.resizing_stopped = self.resizing_stopped;
    }
}

/// A policy that cannot be used: what and where. The text around the fault is not repeated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct UnusablePolicy(String);

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Form {
    resizing: Resizing,
    rules: BTreeMap<String, Mode>,
    accept_user_namespaces: bool,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Resizing {
    #[default]
    Active,
    Stopped,
}

/// Reads a policy, YAML. An empty one is all defaults.
///
/// # Errors
/// A text of another form, or a rule that there is not.
pub fn load_policy(yaml: &str) -> Result<Policy, UnusablePolicy> {
    let form: Option<Form> =
        serde_saphyr::from_str(yaml).map_err(|e| UnusablePolicy(text::clean(&e.without_snippet().to_string())))?;
    let form = form.unwrap_or_default();
    let mut modes = Modes::default();
    for (rule, mode) in &form.rules {
        modes.set(rule, *mode).map_err(|unknown| UnusablePolicy(format!("rules: {unknown}")))?;
    }
    Ok(Policy {
        modes,
        options: Options { accept_user_namespaces: form.accept_user_namespaces },
        resizing_stopped: form.resizing == Resizing::Stopped,
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::policy::RULES;

    #[test]
    fn modes_and_the_switch_are_read_and_the_rest_stays_default() {
        let policy = load_policy("resizing: stopped\nrules:\n  latest-tag: warn\n").unwrap();
        let mut knowledge = Knowledge::default();
        policy.replace_in(&mut knowledge);
        assert!(knowledge.resizing_stopped);
        for rule in RULES {
            let mode = if rule.id() == "latest-tag" { Mode::Warn } else { rule.default_mode() };
            assert_eq!(knowledge.modes.of(*rule), mode, "{}", rule.id());
        }
        load_policy("").unwrap().replace_in(&mut knowledge);
        assert!(!knowledge.resizing_stopped);
        assert_eq!(*knowledge.modes, Modes::default());
    }

    #[rstest]
    #[case("rules: {latest: warn}", "there is no rule \"latest\"; the rules are latest-tag")]
    #[case("rules: {latest-tag: maybe}", "maybe")]
    #[case("resizing: perhaps", "perhaps")]
    #[case("resising: stopped", "resising")]
    #[case("- a", "")]
    #[case("a: [", "")]
    fn what_is_wrong_is_said(#[case] yaml: &str, #[case] said: &str) {
        let error = load_policy(yaml).unwrap_err().to_string();
        assert!(error.contains(said) && !error.contains('\n'), "{error}");
    }
}
