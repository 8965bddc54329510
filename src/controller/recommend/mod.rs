//! Recommendations as objects of the cluster.

pub mod metrics;
pub mod object;
pub mod run;
pub mod write;
pub mod writer;

pub use metrics::ControllerMetrics;
pub use run::{Learn, Recommender};
pub use write::Recommendations;
pub use writer::Writer;
