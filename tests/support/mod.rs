//! What several tests share: real servers.
#![allow(dead_code, reason = "each test uses a part of it")]

pub mod cluster;
pub mod prometheus_server;
