//! How far the administrator lets recommendations go: shown only, applied to a share of workloads or runs, applied to
//! all. Must not know pods: names in, yes or no out.

use serde::{Deserialize, Serialize};

use super::setting_check::{SettingsError, fault, matches, patterns};
use crate::fnv::fnv1a;

/// Most of a shrink in one step that can be asked for; at 1 there would be nothing left.
const LARGEST_SHRINK: f64 = 0.95;
/// How long a workload is left alone after a shrink that killed it, where the policy does not say. A week has every
/// weekday once.
const FREEZE_DAYS: u32 = 7;
/// Share of a canary where the policy does not say, in percent.
const CANARY_PERCENT: u8 = 10;

/// The rollout; the default applies recommendations everywhere.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Rollout {
    /// How far it goes.
    pub mode: RolloutMode,
    /// In a canary, the share of workloads or runs that is resized, 0 to 100 percent.
    pub canary_percent: u8,
    /// In a canary, what the share is of.
    pub canary_by: CanaryBy,
    /// Largest share, 0 to 0.95, that a size is lowered by in one step; the next step waits for runs at the new size.
    /// Without it a size is lowered to what is recommended at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub largest_shrink: Option<f64>,
    /// Days that a workload's memory is not lowered again after a shrink that got it killed.
    pub freeze_days: u32,
    /// Other rollouts for some namespaces. Where several name a namespace, the last one holds.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub namespaces: Vec<NamespaceRollout>,
}

impl Default for Rollout {
    fn default() -> Self {
        Self {
            mode: RolloutMode::Apply,
            canary_percent: CANARY_PERCENT,
            canary_by: CanaryBy::Workload,
            largest_shrink: None,
            freeze_days: FREEZE_DAYS,
            namespaces: Vec::new(),
        }
    }
}

/// How far a rollout goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RolloutMode {
    /// Recommendations are shown; no pod is changed.
    Recommend,
    /// A share is resized.
    Canary,
    /// All pods with a recommendation are resized.
    #[default]
    Apply,
}

impl RolloutMode {
    /// As it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Recommend => "recommend",
            Self::Canary => "canary",
            Self::Apply => "apply",
        }
    }
}

/// What a canary's share is of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CanaryBy {
    /// Of workloads: all runs of one, or none. The same ones every time.
    #[default]
    Workload,
    /// Of runs: some of every workload's, so that each can be compared with itself.
    Run,
}

/// The rollout of some namespaces; what is not said is as everywhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NamespaceRollout {
    /// Names, or beginnings of names with a `*` at the end.
    pub names: Vec<String>,
    /// How far it goes there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<RolloutMode>,
    /// The share of a canary there, in percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary_percent: Option<u8>,
    /// What it is of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary_by: Option<CanaryBy>,
}

/// What holds in one namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stage {
    /// How far it goes.
    pub mode: RolloutMode,
    /// In a canary, the share in percent.
    pub percent: u8,
    /// In a canary, what it is of.
    pub by: CanaryBy,
}

impl Rollout {
    /// What holds in a namespace.
    pub fn stage(&self, namespace: &str) -> Stage {
        let mut stage = Stage { mode: self.mode, percent: self.canary_percent, by: self.canary_by };
        let here = |entry: &&NamespaceRollout| entry.names.iter().any(|name| matches(name, namespace));
        if let Some(entry) = self.namespaces.iter().rev().find(here) {
            stage.mode = entry.mode.unwrap_or(stage.mode);
            stage.percent = entry.canary_percent.unwrap_or(stage.percent);
            stage.by = entry.canary_by.unwrap_or(stage.by);
        }
        stage
    }

    /// Holds a size of at least `previous` less the largest shrink; what grows, grows at once. In any unit, whole
    /// numbers.
    pub fn step(&self, previous: Option<u64>, wanted: u64) -> u64 {
        let least = self.largest_shrink.zip(previous).map(|(share, previous)| (previous as f64 * (1.0 - share)).ceil());
        least.map_or(wanted, |least| wanted.max(least as u64))
    }

    pub(super) fn validate(&self) -> Result<(), SettingsError> {
        percent("rollout.canaryPercent", self.canary_percent)?;
        if let Some(share) = self.largest_shrink
            && !(share > 0.0 && share <= LARGEST_SHRINK)
        {
            return Err(fault("rollout.largestShrink", "it should be above 0 and at most 0.95, a share such as 0.5"));
        }
        for (index, entry) in self.namespaces.iter().enumerate() {
            let place = format!("rollout.namespaces[{index}]");
            if entry.names.is_empty() {
                let problem = "it is empty: name namespaces, or prefixes such as dev-*";
                return Err(fault(&format!("{place}.names"), problem));
            }
            patterns(&format!("{place}.names"), &entry.names)?;
            percent(&format!("{place}.canaryPercent"), entry.canary_percent.unwrap_or(0))?;
        }
        Ok(())
    }
}

fn percent(place: &str, value: u8) -> Result<(), SettingsError> {
    if value <= 100 { Ok(()) } else { Err(fault(place, "it should be from 0 to 100")) }
}

impl Stage {
    /// Whether a run is resized: by its workload's text form with its namespace before it, and by a text that differs
    /// from run to run.
    pub fn applies(self, workload: &str, run: &str) -> bool {
        match self.mode {
            RolloutMode::Recommend => false,
            RolloutMode::Apply => true,
            RolloutMode::Canary => {
                let text = match self.by {
                    CanaryBy::Workload => workload,
                    CanaryBy::Run => run,
                };
                spread(text) % 100 < u64::from(self.percent)
            }
        }
    }
}

/// A number that depends on every byte of a text, evenly spread: FNV-1a (its low bits alone are not even), then the
/// finalizer of `MurmurHash3`. The same on every machine and in every release, so that a canary keeps its members.
fn spread(text: &str) -> u64 {
    let mut hash = fnv1a(text.as_bytes());
    for factor in [0xff51_afd7_ed55_8ccd_u64, 0xc4ce_b9fe_1a85_ec53] {
        hash = (hash ^ (hash >> 33)).wrapping_mul(factor);
    }
    hash ^ (hash >> 33)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;
    use crate::policy::Policy;

    fn rollout(yaml: &str) -> Rollout {
        Policy::from_yaml(&format!("rollout: {{{yaml}}}")).unwrap().rollout
    }

    #[rstest]
    #[case("", "etl", RolloutMode::Apply, 10)]
    #[case("mode: recommend", "etl", RolloutMode::Recommend, 10)]
    #[case("mode: recommend, namespaces: [{names: [etl], mode: apply}]", "etl", RolloutMode::Apply, 10)]
    #[case("mode: recommend, namespaces: [{names: [etl], mode: apply}]", "etl2", RolloutMode::Recommend, 10)]
    #[case("namespaces: [{names: [e*], mode: canary, canaryPercent: 30}]", "etl", RolloutMode::Canary, 30)]
    #[case(
        "namespaces: [{names: [e*], mode: canary}, {names: [etl], mode: recommend}]",
        "etl",
        RolloutMode::Recommend,
        10
    )]
    fn the_last_entry_that_names_a_namespace_holds(
        #[case] yaml: &str,
        #[case] namespace: &str,
        #[case] mode: RolloutMode,
        #[case] percent: u8,
    ) {
        let stage = rollout(yaml).stage(namespace);
        assert_eq!((stage.mode, stage.percent), (mode, percent));
    }

    #[test]
    fn a_canary_by_workload_has_its_share_and_keeps_its_members() {
        let names: Vec<String> = (0..2_000).map(|n| format!("etl/cronjob/job-{n}")).collect();
        let members = |percent: u8| -> Vec<&String> {
            let stage = Stage { mode: RolloutMode::Canary, percent, by: CanaryBy::Workload };
            names.iter().filter(|name| stage.applies(name, "any run")).collect()
        };
        let (ten, thirty) = (members(10), members(30));
        assert!((150..=250).contains(&ten.len()), "{}", ten.len());
        assert!((520..=680).contains(&thirty.len()), "{}", thirty.len());
        assert!(ten.iter().all(|name| thirty.contains(name)), "who was in it stays in it as it grows");
        assert_eq!((members(0).len(), members(100).len()), (0, 2_000));
    }

    #[test]
    fn a_canary_by_run_takes_some_of_every_workload() {
        let stage = Stage { mode: RolloutMode::Canary, percent: 50, by: CanaryBy::Run };
        let taken = (0..1_000).filter(|run| stage.applies("etl/cronjob/a", &format!("uid-{run}"))).count();
        assert!((400..=600).contains(&taken), "{taken}");
    }

    #[rstest]
    #[case(None, Some(8), 1, 1)]
    #[case(Some(0.5), Some(8), 1, 4)]
    #[case(Some(0.5), Some(7), 1, 4)]
    #[case(Some(0.5), Some(8), 6, 6)]
    #[case(Some(0.5), Some(8), 16, 16)]
    #[case(Some(0.5), None, 1, 1)]
    fn a_size_is_lowered_by_steps_and_raised_at_once(
        #[case] largest_shrink: Option<f64>,
        #[case] previous: Option<u64>,
        #[case] wanted: u64,
        #[case] given: u64,
    ) {
        assert_eq!(Rollout { largest_shrink, ..Rollout::default() }.step(previous, wanted), given);
    }

    #[rstest]
    #[case("canaryPercent: 101", "rollout.canaryPercent: it should be from 0 to 100")]
    #[case("largestShrink: 0", "rollout.largestShrink: it should be above 0")]
    #[case("largestShrink: 50", "a share such as 0.5")]
    #[case("largestShrink: .nan", "rollout.largestShrink")]
    #[case("namespaces: [{names: []}]", "rollout.namespaces[0].names: it is empty")]
    #[case("namespaces: [{names: ['a/b']}]", "rollout.namespaces[0].names[0]")]
    #[case("namespaces: [{names: [a], canaryPercent: 200}]", "rollout.namespaces[0].canaryPercent")]
    #[case("mode: canari", "canari")]
    #[case("canary: 5", "canary")]
    fn what_is_wrong_is_said(#[case] yaml: &str, #[case] said: &str) {
        let error = Policy::from_yaml(&format!("rollout: {{{yaml}}}")).unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }

    proptest! {
        #[test]
        fn a_step_never_goes_below_what_is_wanted(share in 0.01_f64..0.95, previous in 0_u64..1 << 50, wanted in 0_u64..1 << 50) {
            let rollout = Rollout { largest_shrink: Some(share), ..Rollout::default() };
            let given = rollout.step(Some(previous), wanted);
            prop_assert!(given >= wanted && given <= wanted.max(previous));
            prop_assert_eq!(rollout.step(Some(previous), given), given);
        }
    }
}
