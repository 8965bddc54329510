//! The webhook as an API server meets it: real TLS on loopback, good reviews and all that is none, overload, reloads,
//! and the end of the process. After every fault it still answers.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail loudly in its helpers too")]
#![allow(clippy::large_futures, reason = "what a client has read so far is held in it; there are few of them")]

mod attacks;
mod client;
mod drain;
mod faults;
mod overload;
mod process;
mod protocols;
mod reviews;
mod scene;
#[path = "../support/mod.rs"]
mod support;
