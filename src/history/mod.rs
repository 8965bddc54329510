//! What is remembered of a workload: its runs, bounded in size, mergeable, on disk.
//! Knows nothing of Prometheus, Kubernetes objects or sizing.

mod codec;
pub mod observation;
mod resources;
pub mod run;
mod separate_sizes;
pub mod store;
mod view;
mod workload_history;

pub use observation::{Doubt, Doubts, HeldUntil, Observation};
pub use resources::Resources;
pub use run::{CpuUse, Day, JvmUse, MemoryUse, Outcome, PeakSource, Run, ScaledOn};
pub use separate_sizes::{Group, SeparateSizes, separate_sizes};
pub use store::{
    CommitSummary, Histories, JvmSeen, Notice, Opened, PodSeen, Progress, Store, StoreError, panic_is_handled,
};
pub use view::{START_TOLERANCE_MS, join, same_run};
pub use workload_history::{Added, History, MAX_RUNS, Older};

#[cfg(test)]
mod tests;
