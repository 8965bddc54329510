//! Values as JSON and YAML that a terminal shows as they are: what could change what a reader sees is written as an
//! escape, and a program reads the same text.

use std::fmt::Write as _;

use serde::Serialize;

use crate::text;

/// The value as JSON, a line break at its end.
///
/// # Errors
/// A map's key is no text.
pub fn json(value: &impl Serialize) -> serde_json::Result<String> {
    let text = serde_json::to_string_pretty(value)?;
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

/// The value as YAML; as JSON, which is YAML too, where a text in it needs escapes that the writer of YAML leaves out.
///
/// # Errors
/// As [`json`].
pub fn yaml(value: &impl Serialize) -> anyhow::Result<String> {
    let text = serde_saphyr::to_string(value)?;
    let is_safe = !text.chars().any(|c| c != '\n' && text::is_unprintable(c));
    if is_safe { Ok(text) } else { Ok(json(value)?) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_obeys_is_written_and_nothing_is_lost() {
        let odd = "a\u{1b}[31m\u{9b}31m\u{7f}\u{202e}\u{200b}\u{2028}\u{e0041}é\n";
        let value = serde_json::json!({odd: [odd, 7]});
        for text in [json(&value).unwrap(), yaml(&value).unwrap()] {
            assert!(!text.chars().any(|c| c != '\n' && text::is_unprintable(c)), "{text:?}");
            assert_eq!(serde_saphyr::from_str::<serde_json::Value>(&text).unwrap(), value);
        }
        assert_eq!(yaml(&serde_json::json!({"a": "b"})).unwrap(), "a: b\n");
    }
}
