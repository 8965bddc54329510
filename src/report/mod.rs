//! What people read: one model of a namespace's workloads, and its faces.
//! Gets histories and objects, asks nobody.

pub mod backtest;
pub mod backtest_html;
pub mod csv;
mod flink;
pub mod histogram;
pub mod markdown;
mod model;
mod spark;
pub mod svg;
pub mod table;
pub mod units;
mod wanted;
pub mod weekly;

pub use flink::FlinkLine;
pub use model::{Change, FindingGroup, FindingLine, Line, Report, Totals, Verdict, resources_of, wanted};
pub use spark::SparkLine;
pub use wanted::Wanted;
