//! The wire to a Prometheus-compatible server: the query API, streamed remote read, OpenMetrics files.
//! Knows nothing of pods or workloads: selectors in, labelled samples out.

pub mod selector;
pub mod series;

pub use selector::{MatchOp, Matcher, Selector};
pub use series::{Labels, Sample, SampleStream, SeriesChunk, SeriesSource, TimeRange};

/// Placeholder until the client defines its errors.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not reachable.
    #[error("{0}")]
    Other(String),
}
