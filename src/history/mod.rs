//! What is remembered of a workload: its runs, bounded in size, mergeable, on disk.
//! Knows nothing of Prometheus, Kubernetes objects or sizing.

pub mod run;

pub use run::{CpuUse, MemoryUse, Outcome, PeakSource, Resources, Run};
