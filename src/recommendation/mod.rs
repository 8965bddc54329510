//! The recommendation, which is what podfit makes: from a history, what its container has, and what surrounds it, to what
//! the next run should ask for, and why. Gets values, asks nobody; must not know who shows or applies it.

mod container;
mod document;
mod flink;
mod spark;
mod wanted;

pub use container::{Change, Line, Verdict, resources_of, wanted};
pub use document::{Report, Totals};
pub use flink::FlinkLine;
pub use spark::SparkLine;
pub use wanted::Wanted;
