//! The background work of the service: keeps admission's snapshot and the certificate up to date.
//! Must not decide about pods, and must not delay a request.

pub mod built_in_ca;
pub mod crds;
pub mod in_cluster;
pub mod lease;
mod policy_status;
pub mod recommend;
pub mod watch;
pub mod weekly;
