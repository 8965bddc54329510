//! What the report is made of: a container with its history. Must not know the report.

use crate::history::History;
use crate::recommendation::Line;

/// What is known of one container.
pub struct Entry<'a> {
    /// Its runs.
    pub history: &'a History,
    /// What it asks for and what it should, from all its runs.
    pub line: Line,
}
