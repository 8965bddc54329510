//! What is known of one pod and its containers, with the times at which it was said.
//! Plain data that slices of time add to; reads no series.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::dated::Dated;
use crate::history::{HeldUntil, Resources};

/// So many changes in place of one container's sizes are kept, the newest.
const MOST_HELD: usize = 64;

/// One container of a pod.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ContainerObject {
    /// Whether it is an init container, or a sidecar that is written as one.
    pub is_init: bool,
    /// Requests and limits, those said last.
    pub resources: Resources,
    /// What was said before them, in the order of time.
    pub held: Vec<HeldUntil>,
    /// When the first of these sizes was said in this slice of time; `None` where nobody asked.
    #[serde(skip)]
    pub since_ms: Option<i64>,
    /// Why it ended, said while it was not running (`OOMKilled`, `Completed`, `Error` …).
    pub ended: Dated<String>,
    /// Why the instance before the present one ended.
    pub last_ended: Dated<String>,
    /// The exit code of the instance before the present one.
    pub last_exit: Dated<i32>,
}

impl ContainerObject {
    /// Adds what a later slice says, which begins at `slice_ms`.
    fn update(&mut self, later: Self, slice_ms: i64) {
        let Self { is_init, resources, held, since_ms, ended, last_ended, last_exit } = later;
        self.is_init |= is_init;
        let first = held.first().map_or(resources, |held| held.resources);
        if differ(self.resources, first) {
            self.held.push(HeldUntil { until_ms: since_ms.unwrap_or(slice_ms), resources: self.resources });
        }
        self.held.extend(held);
        self.held.drain(..self.held.len().saturating_sub(MOST_HELD));
        self.resources = resources.or(self.resources);
        self.ended.then(ended);
        self.last_ended.then(last_ended);
        self.last_exit.then(last_exit);
    }
}

/// Whether what both know is not the same.
fn differ(a: Resources, b: Resources) -> bool {
    a.or(b) != b.or(a)
}

/// One pod.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PodObject {
    /// Its uid, where the series carry it.
    pub uid: Option<String>,
    /// Labels as kube-state-metrics writes them.
    pub labels: BTreeMap<String, String>,
    /// Annotations as kube-state-metrics writes them.
    pub annotations: BTreeMap<String, String>,
    /// Kind and name of the controller.
    pub owner: Option<(String, String)>,
    /// Start time of the pod, milliseconds since the epoch.
    pub started_ms: Option<i64>,
    /// When its last container finished, milliseconds since the epoch.
    pub completed_ms: Option<i64>,
    /// Its phase is Succeeded, or its Job has as many successes as pods.
    pub succeeded: bool,
    /// Its phase is Failed.
    pub failed: bool,
    /// The kubelet evicted it.
    pub evicted: bool,
    /// Containers by name; boxed, since a node of the map has room for eleven and most pods have one.
    pub containers: BTreeMap<String, Box<ContainerObject>>,
    /// When labels, annotations and owner were said last, where that had to be asked; 0 = it did not.
    #[serde(skip)]
    pub(super) said_ms: [i64; 3],
}

impl PodObject {
    /// Adds what a later slice says, which begins at `slice_ms`.
    pub fn update(&mut self, later: Self, slice_ms: i64) {
        let Self {
            uid,
            labels,
            annotations,
            owner,
            started_ms,
            completed_ms,
            succeeded,
            failed,
            evicted,
            containers,
            said_ms: _,
        } = later;
        self.uid = uid.or_else(|| self.uid.take());
        self.labels.extend(labels);
        self.annotations.extend(annotations);
        self.owner = owner.or_else(|| self.owner.take());
        self.started_ms = started_ms.or(self.started_ms);
        self.completed_ms = completed_ms.or(self.completed_ms);
        self.succeeded |= succeeded;
        self.failed |= failed;
        self.evicted |= evicted;
        for (name, container) in containers {
            match self.containers.get_mut(&name) {
                Some(known) => known.update(*container, slice_ms),
                None => {
                    self.containers.insert(name, container);
                }
            }
        }
    }

    /// Whether its containers are over, as far as anything says so.
    pub fn is_over(&self) -> bool {
        let all_ended = !self.containers.is_empty()
            && self.containers.values().filter(|c| !c.is_init).all(|container| !container.ended.is_empty());
        self.completed_ms.is_some() || self.succeeded || self.failed || all_ended
    }
}
