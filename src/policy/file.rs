//! The policy as an administrator writes it: whether pods are resized at all, and the rules' settings.
//! Must not know where the text comes from. The same form serves the webhook, the review of manifests and the export.

use serde::{Deserialize, Serialize};

use super::bounds::Bounds;
use super::rollout::Rollout;
use super::setting_check::SettingsError;
use super::settings::{Settings, from_yaml};

/// A policy; the default resizes, and leaves every rule in its own mode.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Policy {
    /// The switch that stops all resizing at once.
    #[serde(default)]
    pub resizing: Resizing,
    /// How far recommendations go.
    #[serde(default)]
    pub rollout: Rollout,
    /// Whether applications that are being created are sized too.
    #[serde(default)]
    pub applications: Applications,
    /// Whether the heap of Spark's executors is set in their pods.
    #[serde(default)]
    pub executor_heaps: ExecutorHeaps,
    /// Whether services are sized, as jobs are.
    #[serde(default)]
    pub services: Services,
    /// What no size may leave.
    #[serde(default)]
    pub bounds: Bounds,
    /// Modes of rules, and exemptions.
    #[serde(default)]
    pub rules: Settings,
}

/// Whether pods are resized.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Resizing {
    /// Pods with a recommendation get its sizes.
    #[default]
    Active,
    /// No pod is changed; the rules hold all the same.
    Stopped,
}

/// Whether sizes are set on objects that an operator makes pods of (`SparkApplication`, `FlinkDeployment`), where heap
/// and pod change together. What is set there differs from what its author keeps in Git, hence not by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Applications {
    /// They stay as they come; only their pods are sized.
    #[default]
    AsTheyCome,
    /// Sized once, when they are created.
    SizedAtCreation,
}

/// Whether the variable that gives a Spark executor its heap is set in its pod, where the JVMs have proven another
/// heap. The driver's settings and Spark's web UI go on to show the old one, hence not by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExecutorHeaps {
    /// A pod keeps the heap that it comes with.
    #[default]
    AsTheyCome,
    /// It gets the recommended one, and its size with it.
    AsRecommended,
}

/// Whether pods of services (Deployments, `StatefulSets`, `DaemonSets`) are sized as those of jobs are. Not by default:
/// a job's size is tried by its next run and mended by the one after, a service's pods are all made anew at one
/// rollout, its kill is an outage, and its container starts again in its pod with the limit that killed it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Services {
    /// Their sizes are recommended, for their authors to take over.
    #[default]
    RecommendedOnly,
    /// Sized when their pods are created, as far as the rollout goes.
    Sized,
}

impl Policy {
    /// Reads and checks a policy, YAML or JSON. An empty text is the default.
    ///
    /// # Errors
    /// What is wrong, where, and what to write instead.
    pub fn from_yaml(text: &str) -> Result<Self, SettingsError> {
        let policy: Self = from_yaml(text)?;
        policy.validate()?;
        Ok(policy)
    }

    /// Checks what the form alone does not say.
    ///
    /// # Errors
    /// The first value at fault.
    pub fn validate(&self) -> Result<(), SettingsError> {
        self.rollout.validate()?;
        self.bounds.validate()?;
        self.rules.validate().map_err(|error| error.inside("rules"))
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::policy::{Mode, Modes};

    #[test]
    fn the_switch_and_the_rules_are_read_and_the_rest_stays_default() {
        let policy = Policy::from_yaml("resizing: stopped\nrules:\n  modes: {latest-tag: warn}\n").unwrap();
        assert_eq!(policy.resizing, Resizing::Stopped);
        let mut modes = Modes::default();
        modes.set("latest-tag", Mode::Warn).unwrap();
        assert_eq!(policy.rules.modes_for("any"), modes);
        assert_eq!(policy.applications, Applications::AsTheyCome);
        let sized = Policy::from_yaml("applications: sized-at-creation").unwrap();
        assert_eq!(sized.applications, Applications::SizedAtCreation);
        for empty in ["", "{}", "# nothing\n", "null"] {
            assert_eq!(Policy::from_yaml(empty).unwrap(), Policy::default(), "{empty:?}");
        }
    }

    #[rstest]
    #[case("rules: {modes: {latest: warn}}", "rules.modes: there is no rule \"latest\"; the rules are latest-tag")]
    #[case("rules: {modes: {latest-tag: maybe}}", "maybe")]
    #[case("rules: {latest-tag: warn}", "latest-tag")]
    #[case("resizing: perhaps", "perhaps")]
    #[case("resising: stopped", "resising")]
    #[case("bounds: {memory: {floor: 2Gi, ceiling: 1Gi}}", "bounds.memory: the floor 2Gi is above the ceiling 1Gi")]
    #[case("bounds: {memory: {floor: 128m}}", "bounds.memory.floor: it is less than a byte")]
    #[case("bounds: {cpu: {floor: 0}}", "bounds.cpu.floor: it should be above zero")]
    #[case("- a", "")]
    #[case("a: [", "")]
    fn what_is_wrong_is_said(#[case] yaml: &str, #[case] said: &str) {
        let error = Policy::from_yaml(yaml).unwrap_err().to_string();
        assert!(error.contains(said) && !error.contains('\n'), "{error}");
    }
}
