//! What one slice hands to the next, and one collection to the next.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::executors::Executors;
use super::open_instances::OpenInstances;
use super::pod_object::PodObject;
use super::unsampled;

/// What the bytes of [`Carried`] begin with; those of an earlier form begin with a small number.
pub(super) const CARRIED: &[u8] = b"\xffpodfit4";

/// Instances that go on, with what is known of their pods, between slices and between collections.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Carried {
    pub(super) instances: OpenInstances,
    pub(super) objects: Vec<((String, String), PodObject)>,
    pub(super) executors: Executors,
    /// The beginning of what was read.
    pub(super) watched_from_ms: Option<i64>,
    /// Pods that go on and have no sample yet.
    pub(super) unsampled: BTreeSet<unsampled::PodId>,
}
