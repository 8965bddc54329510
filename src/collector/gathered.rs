//! One pod while series come in, and how what they say of it is settled.
//! Pure; knows no labels.

use std::collections::{BTreeMap, BTreeSet};

use super::dated::Dated;
use super::pod_object::{ContainerObject, PodObject};
use crate::history::{HeldUntil, Resources};

/// What is said of one container before it is settled.
#[derive(Debug, Default)]
pub(super) struct Asking {
    /// CPU request and limit, memory request and limit.
    pub sizes: [Dated<u64>; 4],
}

/// One pod while series come in.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    pub object: PodObject,
    /// The reason of a container that ended, where it was not contested.
    pub reasons: BTreeMap<String, String>,
    pub asking: BTreeMap<String, Box<Asking>>,
}

/// Whether a series says what is known already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Agrees {
    Yes,
    No,
}

/// Keeps the greater of two values that are said of the same thing, until it is known which is newer.
pub(super) fn put<T: Default + Ord>(known: &mut T, said: T) -> Agrees {
    let empty = T::default();
    let agrees = *known == empty || said == empty || *known == said;
    if said > *known {
        *known = said;
    }
    if agrees { Agrees::Yes } else { Agrees::No }
}

/// Keeps what was said last; of what was said at the same time the greater.
pub(super) fn newest<T: Ord>(known: &mut T, known_ms: &mut i64, said: T, said_ms: i64) {
    if (said_ms, &said) > (*known_ms, &*known) {
        (*known, *known_ms) = (said, said_ms);
    }
}

impl PodObject {
    /// Adds what is known of the same pod and is not known here.
    pub(super) fn complete_with(&mut self, other: Self) {
        let mut known = other;
        known.update(std::mem::take(self), i64::MIN);
        for container in known.containers.values_mut() {
            // Both were said in the same slice: what differs did not follow each other.
            container.held.retain(|held| held.until_ms != i64::MIN);
        }
        *self = known;
    }
}

impl Gathered {
    /// Settled: `until_ms` is the end of the slice, `ends_are_dated` says whether the times of ends were asked for.
    pub fn settled(self, until_ms: i64, ends_are_dated: bool) -> PodObject {
        let Self { mut object, reasons, asking } = self;
        if !ends_are_dated {
            for (name, reason) in reasons {
                if let Some(container) = object.containers.get_mut(&name) {
                    container.ended.say(until_ms, reason);
                }
            }
        }
        for container in object.containers.values_mut() {
            container.ended.seal();
            container.last_ended.seal();
            container.last_exit.seal();
        }
        for (name, asking) in asking {
            if let Some(container) = object.containers.get_mut(&name) {
                asking.settle(container);
            }
        }
        object
    }
}

impl Asking {
    /// From what was said when to the sizes that held, one after the other.
    fn settle(mut self, container: &mut ContainerObject) {
        self.sizes.iter_mut().for_each(Dated::seal);
        let times: BTreeSet<i64> = self
            .sizes
            .iter()
            .flat_map(|size| size.iter().flat_map(|said| [said.from_ms, said.until_ms.saturating_add(1)]))
            .collect();
        let Some(end_ms) = times.last().copied() else { return };
        let first = times.first().copied();
        let mut now: Option<Resources> = None;
        for at_ms in times.into_iter().filter(|at_ms| *at_ms < end_ms) {
            let mut then = container.resources;
            for (size, said) in sizes(&mut then).into_iter().zip(&self.sizes) {
                *size = said.at(at_ms).copied().or(*size);
            }
            if let Some(before) = now.filter(|before| *before != then) {
                container.held.push(HeldUntil { until_ms: at_ms, resources: before });
            }
            now = Some(then);
        }
        container.since_ms = first;
        container.resources = now.unwrap_or(container.resources);
    }
}

/// Requests and limits by their number: CPU request and limit, memory request and limit.
pub(super) fn sizes(resources: &mut Resources) -> [&mut Option<u64>; 4] {
    [
        &mut resources.cpu_request_millis,
        &mut resources.cpu_limit_millis,
        &mut resources.memory_request_bytes,
        &mut resources.memory_limit_bytes,
    ]
}

/// The number of a request or limit.
pub(super) fn size_of(resource: &str, is_limit: bool) -> Option<usize> {
    match (resource, is_limit) {
        ("cpu", false) => Some(0),
        ("cpu", true) => Some(1),
        ("memory", false) => Some(2),
        ("memory", true) => Some(3),
        _ => None,
    }
}

/// A request or limit in millicores or bytes; `None` for what none can be.
pub(super) fn amount(which: usize, value: f64) -> Option<u64> {
    const MOST: f64 = 9.0e15;
    (0.0..=MOST).contains(&value).then(|| if which < 2 { (value * 1000.0).ceil() as u64 } else { value.ceil() as u64 })
}
