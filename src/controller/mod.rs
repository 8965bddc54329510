//! What the running service does beside answering: it keeps what admission knows up to date, and its certificate.
//! Must not decide about pods; nor hold a request up.

pub mod built_in_ca;
pub mod crds;
pub mod in_cluster;
pub mod lease;
mod policy_status;
pub mod recommend;
pub mod watch;
pub mod weekly;
