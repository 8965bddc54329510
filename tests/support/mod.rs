//! What several tests share: real servers, servers that misbehave, the binary as its user runs it.
//! Knows no case in particular.

#![allow(dead_code, reason = "each test uses a part of it")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::unnecessary_wraps,
    reason = "a test may fail loudly in its helpers"
)]

pub mod cli;
pub mod cluster;
pub mod engine_client;
pub mod fault_server;
pub mod histogram;
pub mod keeper;
pub mod prometheus_server;
pub mod python;
pub mod thanos;
pub mod tools;
pub mod victoria_metrics;
pub mod webhook;
