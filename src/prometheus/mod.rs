//! The wire to a Prometheus-compatible server: the query API, streamed remote read, `OpenMetrics` files.
//! Knows nothing of pods or workloads: selectors in, labelled samples out.

mod address;
mod answer;
mod bits;
mod body;
mod capabilities;
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
mod sample;
mod secrets;
pub mod selector;
pub mod series;
mod server;
mod sigv4;
mod sink;
mod slices;
mod store;

pub use capabilities::{Capabilities, Product, ProductKind, RemoteRead, Transport};
pub use client::Client;
pub use config::{Auth, Config, Mode};
pub use error::Error;
pub(crate) use error::unreadable;
pub use oauth2::{ClientProof, OAuth2};
pub use openmetrics::OpenMetricsFile;
pub use selector::{MatchOp, Matcher, Selector};
pub use series::{Labels, Sample, SeriesChunk, SeriesSource, TimeRange};
pub use server::Stats;
pub use sink::SampleStream;
pub use store::SeriesStore;

pub use crate::secret::Secret;
