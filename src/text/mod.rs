//! Makes untrusted text safe to show or send: one line, printable, short, percent-encoded. Must not know who shows it.

pub mod units;

use std::borrow::Cow;

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

/// The text with control characters and direction marks as `\u{202e}`. Not left out: names that differ in them alone
/// would look the same.
pub fn visible(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unprintable) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_unprintable(c) { out.extend(c.escape_unicode()) } else { out.push(c) }
    }
    Cow::Owned(out)
}

/// A name for a table or a heading: [`visible`], and of more than `most` characters without the middle, because both
/// ends of a name tell. `most` is at least 2.
pub fn short(text: &str, most: usize) -> String {
    let clean: Vec<char> = visible(text).chars().collect();
    if clean.len() <= most {
        return clean.into_iter().collect();
    }
    let tail = (most - 1) / 2;
    let head = most - 1 - tail;
    clean[..head].iter().chain(['…'].iter()).chain(&clean[clean.len() - tail..]).collect()
}

/// Characters that could change what a reader sees: controls, and the marks that turn or hide text.
pub fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Percent-encoded for a URI (RFC 3986): all but unreserved characters and the bytes of `safe`.
pub fn percent_encoded(text: &str, safe: &[u8]) -> String {
    let mut out = String::with_capacity(text.len());
    for b in text.bytes() {
        if b.is_ascii_alphanumeric() || b"-._~".contains(&b) || safe.contains(&b) {
            out.push(char::from(b));
        } else {
            out.push_str(&format!("%{b:02X}"));
        }
    }
    out
}

/// The other way round; what is not an escape stays as it is.
pub fn percent_decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while i < bytes.len() {
        let hex = |at: usize| bytes.get(at).and_then(|b| char::from(*b).to_digit(16));
        if let (b'%', Some(high), Some(low)) = (bytes[i], hex(i + 1), hex(i + 2)) {
            out.push((high * 16 + low) as u8);
            i += 3;
        } else {
            out.push(bytes[i]);
            i += 1;
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// What makes a word of so many.
pub const fn plural(n: usize) -> &'static str {
    if n == 1 { "" } else { "s" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_names_are_harmless() {
        assert_eq!(short("a\u{1b}[31mb\u{202e}c\n", 40), "a\\u{1b}[31mb\\u{202e}c\\u{a}");
        assert_ne!(short("a\u{200b}b", 20), short("ab", 20));
        assert_eq!(short("abcdefghij", 5), "ab…ij");
    }

    #[test]
    fn what_a_uri_reserves_is_encoded() {
        assert_eq!(percent_encoded("a b/c&d=é~", b""), "a%20b%2Fc%26d%3D%C3%A9~");
        assert_eq!(percent_encoded("a b/c", b"/"), "a%20b/c");
        assert_eq!(percent_decoded("a%20b%2fc%C3%A9%%4"), "a b/cé%%4");
    }

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
