//! podfit learns what every recurring data workload on Kubernetes really uses and says, with evidence, what its next
//! run should ask for.
//!
//! Data goes one way: series ([`prometheus`]) become runs ([`collector`]), runs become a [`history`] per [`workload`],
//! a history becomes numbers ([`sizing`]), which are made right for their constraints ([`fit`]), explained
//! ([`recommendation`]) and applied to a pod ([`admission`]); [`pipeline`] is the way to the recommendation as one
//! function. Pods as people write them come from a [`manifest`] and are judged in a [`review`]. The modules in the
//! middle (`workload`, `history`, `sizing`, `fit`, `recommendation`, `policy`, `manifest`, `review`, `quantity`,
//! `image`, `text`) know no network, no clock and no cluster client.

pub mod admission;
pub mod certs;
pub mod cli;
pub mod cluster;
pub mod collector;
pub mod controller;
pub mod delivery;
pub mod doctor;
pub mod export;
pub mod fit;
pub mod fnv;
pub mod history;
pub mod image;
pub mod manifest;
pub mod pipeline;
pub mod policy;
pub mod prometheus;
pub mod quantity;
pub mod recommendation;
pub mod report;
pub mod research;
pub mod review;
pub mod secret;
pub mod server;
pub mod sizing;
pub mod text;
pub mod workload;

#[cfg(test)]
mod docs_tests;
