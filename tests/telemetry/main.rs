//! What `podfit recommend` makes of telemetry as it is in the wild: kubelets, cAdvisor and kube-state-metrics that
//! repeat, forget, contradict each other or come too late. Each history is small and made here; each test asserts the
//! number and what is said of it. One file per kind of evidence.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail loudly in its helpers")]
#![allow(dead_code, reason = "each kind of evidence uses a part of what makes histories")]

mod answer;
mod pods;
mod series;

mod outcomes;
mod sizes;
mod usage;
