//! Recommendations as objects of the cluster.

mod backoff;
pub mod metrics;
pub mod object;
mod pod_events;
mod problem;
pub mod run;
mod todo;
pub mod write;
pub mod writer;

pub use metrics::ControllerMetrics;
pub(super) use pod_events::{PodEvents, WAITING};
pub use problem::Problem;
pub use run::{Learn, Recommender};
pub use write::Recommendations;
pub use writer::Writer;
