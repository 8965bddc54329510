//! Makes text from the cluster fit to be shown: one line, printable, short.
//! Must not know who shows it.

/// Longest line of a message, in characters: many warnings share one budget in the API server's answer.
pub const LINE_CHARS: usize = 120;
/// Longest message of a finding, in characters: a line with `podfit: ` before it.
pub const MESSAGE_CHARS: usize = 112;

/// The text with control characters and invisible ones escaped.
pub fn clean(text: &str) -> String {
    // `escape_debug` also escapes quotes and backslashes, which are harmless here.
    text.chars()
        .flat_map(|c| {
            let plain = matches!(c, '"' | '\'' | '\\');
            plain.then_some(c).into_iter().chain((!plain).then(|| c.escape_debug()).into_iter().flatten())
        })
        .collect()
}

/// At most `chars` characters of the text; what is cut is shown by `…`.
pub fn clip(text: &str, chars: usize) -> String {
    if text.chars().count() <= chars {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(chars.saturating_sub(1)).collect();
    short.push('…');
    short
}

/// A text of at most `chars` characters in which, if that is enough, only `value` is shortened.
pub fn line(before: &str, value: &str, after: &str, chars: usize) -> String {
    let room = chars.saturating_sub(before.chars().count() + after.chars().count());
    clip(&format!("{before}{}{after}", clip(&clean(value), room)), chars)
}

/// A container's name for the head of a message: printable, at most 40 characters.
pub fn name(text: &str) -> String {
    clip(&clean(text), 40)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_unprintable_survives() {
        let shown = clean("a\nb\u{1b}[31mc\u{202e}d\u{0}\"é\\");
        assert_eq!(shown, "a\\nb\\u{1b}[31mc\\u{202e}d\\0\"é\\");
    }

    #[test]
    fn only_the_value_is_cut() {
        let shown = line("before ", &"v".repeat(300), " after", LINE_CHARS);
        assert_eq!(shown.chars().count(), LINE_CHARS);
        assert!(shown.starts_with("before v") && shown.ends_with("v… after"), "{shown}");
    }
}
