//! Flink's own arithmetic: what a process size is divided into, and which size a history asks for.
//! Must not know Kubernetes objects: sizes or histories in, mebibytes out.

mod need;
mod parts;

pub use need::{Need, need};
pub use parts::{Component, Parts, parts};
