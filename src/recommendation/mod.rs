//! The recommendation, which is what podfit makes: from a history, what its container has, and what surrounds it, to
//! what the next run should ask for, and why. Gets values, asks nobody; must not know who shows or applies it.

mod container;
mod document;
mod explanation;
mod flink;
pub mod in_force;
#[cfg(test)]
mod in_force_tests;
mod kill;
mod read;
mod spark;
pub mod status;
#[cfg(test)]
mod tests;
mod wanted;

pub use container::{Change, Line, Verdict};
pub use document::{Report, Totals, VERSION};
pub use explanation::{Difference, Explanation, Part, PartKind};
pub use flink::FlinkLine;
pub use kill::{Kill, KillSet};
pub use read::{Entry, Seen, UnusableRecommendations, read};
pub use spark::SparkLine;
pub use wanted::{Wanted, wanted};
