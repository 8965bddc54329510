//! What the watches tell whoever writes recommendations. Must not know what is done about it.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::recommendation::Kill;
use crate::workload::{Workload, WorkloadKey};

/// Something that recommendations do not say yet, or say now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// A container was killed for memory.
    Killed(WorkloadKey, Kill),
    /// The kills of a workload up to a moment are in its object.
    TakenIn(Workload, Timestamp),
    /// Its object is gone, with the kills that waited in it for an answer, by container; or what its owner says on it
    /// has changed.
    ToSayAgain(Workload, BTreeMap<String, Kill>),
    /// All objects were listed: the cluster knows their kind.
    Listed,
    /// What whoever looks at a pod should see.
    OfPod(OfPod),
}

/// What podfit did about a pod, or what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfPod {
    /// The pod.
    pub pod: Regarded,
    /// Who made it, such as a Job.
    pub owner: Option<Regarded>,
    /// When it was created.
    pub created: Timestamp,
    /// What happened, in one word.
    pub reason: &'static str,
    /// Whether it is bad news.
    pub is_warning: bool,
    /// The same in a sentence.
    pub note: String,
}

/// An object as Events name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Regarded {
    /// Group and version.
    pub api_version: String,
    /// Kind.
    pub kind: String,
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Identity.
    pub uid: String,
}
