//! How a life ended and what it was given, from what is known of its pod.
//! Pure; measures nothing.

use super::finish::{Place, SPARK_HEAP_EXHAUSTED};
use super::life::{Life, LifeKey};
use super::objects::PodObject;
use super::segment::SILENCE_MS;
use crate::history::{JvmUse, Outcome, Resources, Run};

/// What is known of a life's end, and of what it was given.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Told {
    /// How it ended.
    pub outcome: Outcome,
    /// Whether it is over.
    pub ended: bool,
    /// When its pod's last container finished, milliseconds since the epoch.
    pub completed_ms: Option<i64>,
    /// Requests and limits; where they changed, the last.
    pub resources: Resources,
    heap_exhausted: bool,
}

impl Told {
    /// Of a life that began at `started_ms` and was last seen at `last_ms`.
    pub fn of(
        key: &LifeKey,
        life: &Life,
        object: Option<&PodObject>,
        place: Place,
        (started_ms, last_ms): (i64, i64),
        seen_until_ms: i64,
    ) -> Self {
        let container = object.and_then(|o| o.containers.get(&key.container));
        let reason = match place {
            Place::Latest => {
                let restarted_in_place = life.restarted_in_place();
                container.and_then(|c| {
                    c.terminated_reason.as_deref().or(if restarted_in_place && key.cgroup.is_empty() {
                        c.last_terminated_reason.as_deref()
                    } else {
                        None
                    })
                })
            }
            Place::Followed => container.and_then(|c| c.last_terminated_reason.as_deref()),
        };
        let completed_ms = object.and_then(|o| o.completed_ms).filter(|c| *c > started_ms);
        let silent = seen_until_ms - last_ms > SILENCE_MS;
        let ended = place == Place::Followed || reason.is_some() || completed_ms.is_some() || silent;
        let outcome = match reason {
            Some("OOMKilled") => Outcome::OomKilled,
            Some("Completed") => Outcome::Completed,
            Some(_) => Outcome::Failed,
            None if ended => Outcome::Unknown,
            None => Outcome::Running,
        };
        let heap_exhausted =
            place == Place::Followed && container.and_then(|c| c.last_exit_code) == Some(SPARK_HEAP_EXHAUSTED);
        let resources = container.map(|c| c.resources).unwrap_or_default();
        Self { outcome, ended, completed_ms, resources, heap_exhausted }
    }

    /// Writes into the run what is told beside its times and its outcome.
    pub fn note(&self, run: &mut Run) {
        if self.heap_exhausted {
            run.jvm.get_or_insert_default().heap_exhausted = true;
        }
    }
}
