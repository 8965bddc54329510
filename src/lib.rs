//! podfit learns what every recurring data workload on Kubernetes really uses and says, with evidence, what its next
//! run should ask for.
//!
//! Data goes one way: series ([`prometheus`]) become runs ([`collector`]), runs become a [`history`] per [`workload`],
//! a history becomes a recommendation ([`sizing`]), which is made right for its surroundings ([`fit`]) and applied to a
//! pod ([`admission`]). The modules in the middle (`workload`, `history`, `sizing`, `fit`, `policy`, `quantity`,
//! `image`) know no network, no clock and no cluster client.

pub mod admission;
pub mod certs;
pub mod cli;
pub mod cluster;
pub mod collector;
pub mod fit;
pub mod history;
pub mod image;
pub mod policy;
pub mod prometheus;
pub mod quantity;
pub mod report;
pub mod server;
pub mod simulate;
pub mod sizing;
pub mod workload;
