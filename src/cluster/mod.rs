//! The live cluster: the one way to its API server, and what a namespace holds right now.
//! Hands out raw objects; decides nothing about them.

mod api;
mod error;
mod kubeconfig;
mod reader;
mod snapshot;

pub use api::{Api, ApiError, PatchKind};
pub use error::{ClusterError, innermost};
pub use kubeconfig::Access;
pub use reader::{Reader, watch_client};
pub use snapshot::{ClusterSnapshot, LiveWorkload};
