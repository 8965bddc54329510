//! The report for programs: the model itself.

use std::fmt::Write as _;

use super::Weekly;
use crate::text;

/// The report as JSON. Characters that could change what a reader of it sees are written as escapes; a program reads
/// the same text.
///
/// # Errors
/// None that is known: no map of the model has a key that is no text.
pub fn render(report: &Weekly) -> serde_json::Result<String> {
    let text = serde_json::to_string_pretty(report)?;
    let mut out = String::with_capacity(text.len() + 1);
    // Outside of texts only line breaks are unprintable, and inside of them they are escaped already.
    for c in text.chars() {
        if c != '\n' && text::is_unprintable(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(c);
        }
    }
    out.push('\n');
    Ok(out)
}
