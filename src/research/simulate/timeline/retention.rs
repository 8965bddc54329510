//! When finished pods and Jobs are deleted, by the model's retention.
//! Knows nothing of engines.

use std::collections::{BTreeMap, HashMap};

use super::Played;
use crate::research::simulate::instance::End;
use crate::research::simulate::model::{Engine, Retention, WorkloadModel};
use crate::research::simulate::pod::{ParentKind, Pod};
use crate::research::simulate::random::{Rng, mix};

/// From the end of a pod to its deletion where nothing keeps it: shortest and longest.
const AT_ONCE_MS: (i64, i64) = (800, 4_000);

/// Sets when every pod and parent object goes, as far as that is inside the window.
pub(super) fn delete(model: &WorkloadModel, end_ms: i64, played: &mut Played) {
    let newest = match model.retention {
        Retention::Newest { successful, failed } => expiry(&played.pods, successful, failed),
        _ => BTreeMap::new(),
    };
    for pod in &mut played.pods {
        let ended = pod.end_ms();
        let soon = ended + Rng::new(mix(pod.key, 13)).between(AT_ONCE_MS.0, AT_ONCE_MS.1);
        let well = pod.last_instance().is_some_and(|l| l.end == End::Completed);
        // Spark deletes executors itself, whatever becomes of the driver.
        let executor = pod.labels.iter().any(|(k, v)| k == "spark-role" && v == "executor");
        let at = match model.retention {
            _ if executor => Some(soon),
            Retention::AtOnce => Some(soon),
            Retention::After(ms) => Some(ended + ms),
            Retention::KeepFailed => well.then_some(soon),
            Retention::Newest { .. } => newest.get(&pod.unit).copied().map(|t| t.max(soon)),
        };
        pod.deleted_ms = at.filter(|t| *t <= end_ms);
    }
    let mut last_of: HashMap<&str, (i64, Option<i64>)> = HashMap::new();
    for pod in &played.pods {
        if let Some(owner) = &pod.owner {
            let (ended, deleted) = last_of.entry(owner.name.as_str()).or_insert((i64::MIN, Some(i64::MIN)));
            *ended = pod.end_ms().max(*ended);
            *deleted = deleted.zip(pod.deleted_ms).map(|(a, b)| a.max(b));
        }
    }
    for parent in &mut played.parents {
        // A Deployment keeps its old ReplicaSets.
        let stays = parent.kind == ParentKind::ReplicaSet && matches!(model.engine, Engine::Deployment);
        if let Some((ended, deleted)) = last_of.get(parent.name.as_str()) {
            parent.ended_ms = *ended;
            parent.deleted_ms = deleted.filter(|_| !stays);
        }
    }
}

/// When each unit of work falls out of the newest so many of its outcome.
fn expiry(pods: &[Pod], successful: usize, failed: usize) -> BTreeMap<usize, i64> {
    let mut units: BTreeMap<usize, (bool, i64)> = BTreeMap::new();
    for pod in pods {
        let well = pod.last_instance().is_some_and(|l| l.end == End::Completed);
        // Pods of a unit come in order of time: the last one says how it went.
        units.insert(pod.unit, (well, pod.end_ms()));
    }
    let mut gone = BTreeMap::new();
    for (outcome, keep) in [(true, successful), (false, failed)] {
        let of: Vec<(usize, i64)> = units.iter().filter(|(_, u)| u.0 == outcome).map(|(n, u)| (*n, u.1)).collect();
        for (i, (unit, _)) in of.iter().enumerate() {
            if let Some((_, at)) = of.get(i + keep) {
                gone.insert(*unit, *at + 1_000);
            }
        }
    }
    gone
}
