//! Flink's own arithmetic: what a process size is divided into, and which size a history asks for.
//! And the one reader of its configuration. Must not know Kubernetes objects beyond that: sizes or histories in,
//! mebibytes out.

mod configuration;
mod need;
mod parts;

pub use configuration::{Configuration, Setting};
pub use need::{Need, need};
pub use parts::{Component, Parts, parts};
