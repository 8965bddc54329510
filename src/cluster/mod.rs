//! The live cluster, read only: what a namespace holds right now.
//! Hands out raw objects; decides nothing about them.

mod error;
mod kubeconfig;
mod reader;
mod snapshot;

pub use error::ClusterError;
pub use kubeconfig::Access;
pub use reader::{Reader, watch_client};
pub use snapshot::{ClusterSnapshot, LiveWorkload};
