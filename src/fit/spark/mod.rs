//! Spark's own arithmetic: from its configuration to the size of its pods, and back. Versions 3.2 to 4.3.
//! Must not know Kubernetes objects: settings or histories in, mebibytes out.
//!
//! Sources: Spark's documentation ("Running Spark on Kubernetes" and "Spark Configuration" of each version) for the
//! keys, their defaults and the version they came with; the order in which they win, and what is cut to whole MiB, as
//! `BasicDriverFeatureStep`, `BasicExecutorFeatureStep` and `ResourceProfile.getResourcesForClusterManager` do it.

mod known;
mod memory;
mod need;
mod settings;
#[cfg(test)]
mod tests;

pub use known::{Divided, KnownHeap, KnownHeaps};
pub use memory::{Parts, PodSize, Profile, default_heap_of, driver, executor, likely_heap};
pub use need::{Need, need};
pub use settings::{Application, Conf, ConfError, Role, Version, java_size, lines};

/// The smallest heap that an executor or driver starts with, in MiB: one and a half times the 300 MiB that Spark keeps
/// for itself (`UnifiedMemoryManager`).
pub const LEAST_HEAP_MIB: u64 = 450;
/// The smallest overhead where no setting says otherwise, in MiB (`spark.executor.minMemoryOverhead`, a setting since
/// 4.0 and a constant before).
pub const LEAST_OVERHEAD_MIB: u64 = 384;
/// Overhead as a share of the heap (`spark.executor.memoryOverheadFactor`).
pub const OVERHEAD_FACTOR: f64 = 0.1;
/// The same for an application in Python or R that is submitted in cluster mode.
pub const NON_JVM_OVERHEAD_FACTOR: f64 = 0.4;
