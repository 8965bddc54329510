//! The result of identification: a pod's workload, or why there is none. Must not know how it is found.

use std::borrow::Cow;

use super::facts::PodFacts;
use super::{Kind, Workload, group_by};

/// Which recurring workload a pod belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The key that all runs share.
    pub workload: Workload,
    /// 1 for the first try of its unit of work; `None` where the pod does not tell.
    pub attempt: Option<u32>,
    /// What the attempts are attempts of (a task instance, a flow run), where the pod tells.
    pub unit: Option<String>,
    /// The container that does the work, where the engine names one; `None` = every container counts.
    pub main_container: Option<String>,
}

impl Identity {
    pub(super) fn new<S: AsRef<str>>(pod: &PodFacts, kind: Kind, names: impl IntoIterator<Item = S>) -> Self {
        Self {
            workload: Workload::new(pod.namespace.clone(), kind, names),
            attempt: None,
            unit: None,
            main_container: None,
        }
    }

    pub(super) fn attempt(mut self, attempt: Option<u32>) -> Self {
        self.attempt = attempt;
        self
    }

    pub(super) fn unit(mut self, unit: Option<String>) -> Self {
        self.unit = unit;
        self
    }

    /// The first of these containers that the pod has; where containers are not known, the first name.
    pub(super) fn main_container_of(mut self, pod: &PodFacts, candidates: &[&str]) -> Self {
        self.main_container = candidates
            .iter()
            .find(|c| pod.has_container(c))
            .copied()
            .or_else(|| if pod.containers.is_empty() { candidates.first().copied() } else { None })
            .map(str::to_owned);
        self
    }

    /// Whether sizing may touch this container: the main one, or all where the engine names none.
    pub fn is_main(&self, container: &str) -> bool {
        self.main_container.as_deref().is_none_or(|m| m == container)
    }
}

/// Why no workload could be named. No guess is made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unidentified {
    /// Nothing made the pod and it carries no engine's labels.
    #[error("no controller and no engine labels: a pod made by hand")]
    Unowned,
    /// The engine is recognised but what would name the work is not visible.
    #[error("{engine} pod, but {missing} not visible; {remedy}")]
    Incomplete {
        /// The engine, as people call it.
        engine: &'static str,
        /// What would have to be known.
        missing: Cow<'static, str>,
        /// What to do so that it is.
        remedy: &'static str,
    },
    /// There are names, and all of them are new with every run.
    #[error("no recurring name; {}", group_by::remedy(.labels))]
    NoRecurringName {
        /// Labels of the pod that look as if they named its work; may be empty.
        labels: Vec<String>,
    },
    /// A static pod: the kubelet runs it whatever admission says.
    #[error("static pod of a node; the kubelet runs it from a file")]
    Static,
}

impl Unidentified {
    /// With the labels to group by: of the `suggested` ones those that the pod has, else those that look as if they
    /// named its work.
    pub(super) fn no_recurring_name(pod: &PodFacts, suggested: &[&str]) -> Self {
        Self::NoRecurringName { labels: group_by::labels(pod, suggested) }
    }
}

/// What to do when an engine's labels are missing from series.
pub(super) const ALLOW_LABELS: &str =
    "let kube-state-metrics export them (--metric-labels-allowlist=pods=[…], the list is in the README)";
