//! podfit in a real cluster: what it learns becomes objects, objects become sizes of new pods, kills become larger
//! next tries, and the policy decides how far that goes. A real API server, controller-manager and Prometheus; kwok
//! stands in for the kubelet and writes the phases and the OOM kills.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail loudly in its helpers")]

#[path = "../support/mod.rs"]
mod support;

mod definitions;
mod engines;
mod executor_heaps;
mod faults;
mod flink_deployment;
mod input;
mod kills;
mod lost_and_refused;
mod replicas;
mod rollout;
mod scene;
mod service;
mod services;
#[path = "../report/sinks.rs"]
#[allow(dead_code, reason = "shared with tests that use more of it")]
mod sinks;
mod spark_operator;
mod weekly;

use support::python;
