//! Pods that kube-state-metrics saw and nobody sampled: too short for the scraper, or killed before its first look.
//! They ran, and how they ended is known; only what they used is not. Pure.

use std::collections::{BTreeSet, HashMap};

use super::instance::InstanceKey;
use super::objects::Objects;
use super::outcome::Told;
use super::pod_object::PodObject;
use crate::history::{Doubt, Run};
use crate::prometheus::TimeRange;

/// A scraper may repeat a container's last values, and clocks differ: samples this near to a pod's instance may be its
/// own.
const NEAR_MS: i64 = 60_000;
/// What makes pods that live until somebody stops them: their days are runs, and a day that nobody sampled says
/// nothing.
const OF_SERVICES: [&str; 3] = ["ReplicaSet", "StatefulSet", "DaemonSet"];

/// Namespace, pod, and its uid where it is known.
pub(super) type PodId = (String, String, Option<String>);
/// First and last samples of the instances of each container, by namespace, pod and container.
pub(super) type Spans = HashMap<(String, String, String), Vec<(i64, i64)>>;

/// A container that ran and was never sampled.
pub(super) struct Unsampled<'a> {
    pub key: InstanceKey,
    pub object: &'a PodObject,
}

/// Those whose pods ended in this slice of time. `waiting` are the pods without a sample that earlier slices left; it
/// is made the ones that this slice leaves.
pub(super) fn of<'a>(
    objects: &'a Objects,
    spans: &Spans,
    range: TimeRange,
    waiting: &mut BTreeSet<PodId>,
) -> Vec<Unsampled<'a>> {
    let earlier = std::mem::take(waiting);
    let mut found = Vec::new();
    for (namespace, pod, object) in objects.iter() {
        let Some(started_ms) = object.started_ms else { continue };
        if object.owner.as_ref().is_some_and(|(kind, _)| OF_SERVICES.contains(&kind.as_str())) {
            continue;
        }
        let id = (namespace.to_owned(), pod.to_owned(), object.uid.clone());
        // A pod that began before and was sampled then is over and told.
        if !range.contains(started_ms) && !earlier.contains(&id) {
            continue;
        }
        let ended_ms = object.completed_ms.filter(|end| *end >= started_ms);
        let until_ms = ended_ms.unwrap_or(i64::MAX - NEAR_MS) + NEAR_MS;
        // A start that is later than the end tells no time: any sample is its own.
        let has_no_times = object.completed_ms.is_some_and(|end| end < started_ms) || started_ms > range.end_ms;
        let is_sampled = |container: &str| {
            let key = (namespace.to_owned(), pod.to_owned(), container.to_owned());
            spans.get(&key).is_some_and(|instances| {
                has_no_times
                    || instances
                        .iter()
                        .any(|(first, last)| *first <= until_ms && *last >= started_ms.saturating_sub(NEAR_MS))
            })
        };
        let unsampled = object.containers.iter().filter(|(name, c)| !c.is_init && !is_sampled(name));
        let unsampled: Vec<&str> = unsampled.map(|(name, _)| name.as_str()).collect();
        if !object.is_over() {
            if unsampled.len() == object.containers.values().filter(|c| !c.is_init).count() {
                waiting.insert(id);
            }
            continue;
        }
        found.extend(unsampled.into_iter().map(|container| Unsampled {
            key: InstanceKey {
                namespace: namespace.to_owned(),
                pod: pod.to_owned(),
                container: container.to_owned(),
                // As a cgroup has it, so that the pod is told from others of its name.
                cgroup: object.uid.as_ref().map(|uid| format!("/pod{uid}")).unwrap_or_default(),
            },
            object,
        }));
    }
    found.sort_by(|a, b| a.key.cmp(&b.key));
    found
}

impl Unsampled<'_> {
    /// Its run.
    pub fn run(&self, attempt: Option<u32>) -> Run {
        let started_ms = self.object.started_ms.unwrap_or_default();
        let ended_ms = self.object.completed_ms.filter(|end| *end >= started_ms).unwrap_or(started_ms);
        let container = self.object.containers.get(&self.key.container).map(Box::as_ref);
        let told = Told::unseen(container, self.object, (started_ms, ended_ms));
        let mut run = Run {
            pod: self.key.pod.clone(),
            uid: self.object.uid.clone(),
            started_ms,
            ended_ms,
            memory: None,
            cpu: None,
            resources: told.resources,
            outcome: told.outcome,
            attempt,
            input_bytes: super::finish::input_of(self.object),
            jvm: None,
            day: None,
            observation: None,
        };
        run.doubt(Doubt::NeverSampled);
        told.note(&mut run);
        run
    }
}
