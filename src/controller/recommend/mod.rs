//! Recommendations as objects of the cluster.

pub mod figures;
pub mod object;
pub mod run;
pub mod status;
pub mod write;

pub use figures::Figures;
pub use run::{Learn, Recommender};
pub use write::Recommendations;

#[cfg(test)]
mod status_tests;
