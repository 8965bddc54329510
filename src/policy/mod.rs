//! The rules: habits that podfit checks in every container of a pod, and the list of them.
//! Must not know the network, the clock, admission or sizing: a pod spec as raw JSON in, findings out.
//!
//! A new rule is one new file, its `mod` line and one line in [`RULES`].

mod bounds;
mod cel;
mod credential_text;
mod default_service_account;
mod exemption;
pub mod export;
mod file;
pub mod finding;
mod hardcoded_credential;
mod host_path_data;
mod latest_tag;
mod missing_resources;
mod mode;
mod rollout;
mod root_group;
mod run_as_root;
mod security_context;
mod setting_check;
mod settings;
mod unproven_non_root;
pub mod visitor;

use std::collections::BTreeMap;

use crate::text;
pub use bounds::{Bounds, Range};
pub use exemption::{Exemption, Subject};
pub use file::{Applications, ExecutorHeaps, Policy, Resizing, Services};
pub use finding::{Finding, Severity};
pub use mode::{Mode, Modes, UnknownMode, UnknownRule};
pub use rollout::{CanaryBy, NamespaceRollout, Rollout, RolloutMode, Stage};
pub use setting_check::SettingsError;
pub use settings::{NamespaceModes, Settings};

pub use visitor::{Container, ImageVolume, Malformed, PodSpec, Slot, Volume};

/// Every rule, in the order of its findings.
pub static RULES: &[&dyn Rule] = &[
    &latest_tag::LatestTag,
    &run_as_root::RunAsRoot,
    &unproven_non_root::UnprovenNonRoot,
    &root_group::RootGroup,
    &missing_resources::MissingResources,
    &hardcoded_credential::HardcodedCredential,
    &default_service_account::DefaultServiceAccount,
    &host_path_data::HostPathData,
];

/// One habit.
///
/// ```
/// use podfit::policy::{self, Mode, Modes, Options, PodSpec};
///
/// let pod = serde_json::json!({"spec": {"containers": [{"name": "main", "image": "reg.example/etl"}]}});
/// let spec = PodSpec::of_pod(&pod).unwrap();
/// let findings = policy::check(&spec, &Modes::default(), &Options::default());
/// let latest = findings.iter().find(|finding| finding.rule == "latest-tag").unwrap();
/// assert_eq!((latest.mode, latest.path.as_str()), (Mode::Enforce, "/spec/containers/0/image"));
/// ```
pub trait Rule: Sync {
    /// Its name in configuration, messages and metrics: `latest-tag`.
    fn id(&self) -> &'static str;
    /// What it looks for, in one sentence.
    fn summary(&self) -> &'static str;
    /// How its breaches are mended, in one sentence.
    fn cure(&self) -> &'static str;
    /// Its mode where nothing is configured.
    fn default_mode(&self) -> Mode;
    /// Why it is not among [`export`]'s policies, where it is not.
    fn why_not_in_cel(&self) -> &'static str {
        "it has no form in CEL"
    }
    /// Reports every breach in the pod.
    fn check(&self, pod: &PodSpec<'_>, options: &Options, report: &mut Report<'_>);
}

/// Switches of single rules.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Accept root inside a user namespace (`spec.hostUsers: false`), as Pod Security does from Kubernetes 1.35: uid 0
    /// in the container is then an ordinary user on the node. Off by default: the ban holds everywhere.
    pub accept_user_namespaces: bool,
}

/// What the rules found in a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// Findings in the order of the rules, then of the pod.
    pub findings: Vec<Finding>,
    /// How many more there were of a rule, by what they would have led to.
    pub left_out: BTreeMap<(&'static str, Mode), usize>,
}

/// Where a rule puts its findings.
pub struct Report<'a> {
    rule: &'static str,
    mode: Mode,
    /// How many more are written down; further ones are counted.
    room: usize,
    checked: &'a mut Checked,
}

impl Report<'_> {
    /// Adds a finding about a container: `problem` is what is wrong and how to mend it, without the name.
    pub fn container(
        &mut self,
        severity: Severity,
        reason: &'static str,
        container: &Container<'_>,
        path: &str,
        problem: &str,
    ) {
        if self.room == 0 {
            return self.leave_out(severity);
        }
        let message = text::line("container ", container.name, &format!(": {problem}"), text::MESSAGE_CHARS);
        self.add(severity, reason, container.name, path, &message);
    }

    /// Adds a finding; its mode is the rule's, softened to a warning for a mere remark.
    pub fn add(&mut self, severity: Severity, reason: &'static str, container: &str, path: &str, message: &str) {
        if self.room == 0 {
            return self.leave_out(severity);
        }
        self.room -= 1;
        self.checked.findings.push(Finding {
            rule: self.rule,
            reason,
            severity,
            mode: self.mode_of(severity),
            container: text::clean(container),
            path: text::clean(path),
            message: text::clip(&text::clean(message), text::MESSAGE_CHARS),
        });
    }

    fn leave_out(&mut self, severity: Severity) {
        *self.checked.left_out.entry((self.rule, self.mode_of(severity))).or_default() += 1;
    }

    fn mode_of(&self, severity: Severity) -> Mode {
        match (severity, self.mode) {
            (Severity::Remark, Mode::Enforce) => Mode::Warn,
            (_, mode) => mode,
        }
    }
}

/// Applies every rule whose mode is not `off`.
pub fn check(pod: &PodSpec<'_>, modes: &Modes, options: &Options) -> Vec<Finding> {
    check_up_to(usize::MAX, pod, modes, options).findings
}

/// The same, with at most so many findings of each rule written down: whoever writes a pod also decides how many there
/// are, and each takes memory and time. What is left out of a rule that enforces must not be taken for a pass.
pub fn check_up_to(most: usize, pod: &PodSpec<'_>, modes: &Modes, options: &Options) -> Checked {
    let mut checked = Checked::default();
    for rule in RULES {
        let mode = modes.of(*rule);
        if mode != Mode::Off {
            rule.check(pod, options, &mut Report { rule: rule.id(), mode, room: most, checked: &mut checked });
        }
    }
    checked
}

#[cfg(test)]
mod credential_tests;
#[cfg(test)]
mod habit_tests;
#[cfg(test)]
mod settings_tests;
#[cfg(test)]
mod tests;
