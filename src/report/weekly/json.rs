//! The report for programs: the model itself.

use super::Weekly;
use crate::report::json;

/// The report as JSON.
///
/// # Errors
/// None that is known: no map of the model has a key that is no text.
pub fn render(report: &Weekly) -> serde_json::Result<String> {
    json::json(report)
}
