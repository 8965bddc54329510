//! What people read of recommendations: tables, Markdown, CSV, pictures, the weekly report.
//! Presents what is handed in; must not size anything, nor ask anybody.

pub mod backtest;
pub mod backtest_html;
pub mod csv;
mod findings;
pub mod histogram;
pub mod json;
pub mod markdown;
pub mod svg;
pub mod table;
pub mod weekly;
pub mod why;
