//! Recommendations as objects of the cluster.

pub mod figures;
pub mod object;
pub mod run;
pub mod status;
pub mod write;
pub mod writer;

pub use figures::Figures;
pub use run::{Learn, Recommender};
pub use write::Recommendations;
pub use writer::Writer;

#[cfg(test)]
mod status_tests;
