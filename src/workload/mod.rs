//! Who is this pod? The key that all runs of the same recurring work share.
//! One function for pods and for series; knows no network, no clock and no cluster client.

pub mod key;

pub use key::{Kind, Workload, WorkloadKey};
