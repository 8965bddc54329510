//! The wire to a Prometheus-compatible server: the query API, streamed remote read, `OpenMetrics` files.
//! Knows nothing of pods or workloads: selectors in, labelled samples out.

mod bits;
mod body;
mod chunk;
mod client;
mod config;
mod connection;
mod credentials;
mod error;
mod frame;
mod http;
mod json;
mod labels;
mod limits;
mod matching;
mod messages;
mod number;
mod oauth2;
#[doc(hidden)]
pub mod on_bytes;
mod openmetrics;
mod probe;
mod query;
mod refusal;
mod remote_read;
mod secrets;
pub mod selector;
pub mod series;
mod sigv4;
mod sink;
mod slices;
mod store;

pub use client::{Client, Stats};
pub use config::{Auth, Config, Mode};
pub use error::Error;
pub(crate) use error::unreadable;
pub use oauth2::{ClientProof, OAuth2};
pub use openmetrics::OpenMetricsFile;
pub use probe::{Capabilities, Product, ProductKind, RemoteRead, Transport};
pub use selector::{MatchOp, Matcher, Selector};
pub use series::{Labels, Sample, SeriesChunk, SeriesSource, TimeRange};
pub use sink::SampleStream;
pub use store::SeriesStore;

pub use crate::secret::Secret;
