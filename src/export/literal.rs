//! Text from a cluster as literals of Python and YAML: whatever a name holds, it stays one string.

/// A string literal of Python.
pub fn python(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            ' '..='~' => out.push(c),
            c if (c as u32) < 0x100 => out.push_str(&format!("\\x{:02x}", c as u32)),
            c if (c as u32) < 0x1_0000 => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push_str(&format!("\\U{:08x}", c as u32)),
        }
    }
    out.push('"');
    out
}

/// A YAML document, in the order in which it is to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// Keys and values.
    Map(Vec<(String, Node)>),
    /// Items.
    List(Vec<Node>),
    /// A string.
    Text(String),
    /// A number as it is written.
    Number(String),
    /// Text of several lines.
    Block(String),
}

impl Node {
    /// Keys and values.
    pub fn map<const N: usize>(entries: [(&str, Self); N]) -> Self {
        Self::Map(entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
    }

    /// A string.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// This below some keys, outermost first.
    #[must_use]
    pub fn below(self, keys: &[&str]) -> Self {
        keys.iter().rev().fold(self, |node, key| Self::Map(vec![((*key).to_owned(), node)]))
    }

    /// Puts a value below a key; nothing is changed in what is no map.
    pub fn put(&mut self, key: &str, value: Self) {
        if let Self::Map(entries) = self {
            entries.push((key.to_owned(), value));
        }
    }

    /// Whether there is nothing in it.
    pub const fn is_empty(&self) -> bool {
        match self {
            Self::Map(entries) => entries.is_empty(),
            Self::List(items) => items.is_empty(),
            _ => false,
        }
    }

    /// The document, two spaces a level.
    pub fn to_yaml(&self) -> String {
        let mut out = String::new();
        self.write(&mut out, 0, false);
        if !out.ends_with('\n') {
            out.push('\n');
        }
        out
    }

    /// As JSON text in one line.
    pub fn to_json(&self) -> String {
        match self {
            Self::Map(entries) => {
                let entries: Vec<String> =
                    entries.iter().map(|(key, value)| format!("{}:{}", json(key), value.to_json())).collect();
                format!("{{{}}}", entries.join(","))
            }
            Self::List(items) => format!("[{}]", items.iter().map(Self::to_json).collect::<Vec<_>>().join(",")),
            Self::Text(text) | Self::Block(text) => json(text),
            Self::Number(number) => number.clone(),
        }
    }

    /// `inline`: the cursor stands behind `- `, where the first key goes.
    fn write(&self, out: &mut String, depth: usize, inline: bool) {
        match self {
            Self::Map(entries) if entries.is_empty() => out.push_str("{}"),
            Self::List(items) if items.is_empty() => out.push_str("[]"),
            Self::Map(entries) => {
                for (index, (key, value)) in entries.iter().enumerate() {
                    if index > 0 || !inline {
                        indent(out, depth);
                    }
                    out.push_str(&yaml(key));
                    out.push(':');
                    value.write_below(out, depth);
                }
            }
            Self::List(items) => {
                for item in items {
                    indent(out, depth);
                    out.push_str("- ");
                    item.write(out, depth + 1, true);
                    if !out.ends_with('\n') {
                        out.push('\n');
                    }
                }
            }
            Self::Text(text) => out.push_str(&yaml(text)),
            Self::Number(number) => out.push_str(number),
            Self::Block(text) => {
                out.push_str("|-\n");
                for line in text.lines() {
                    indent(out, depth);
                    out.push_str(line);
                    out.push('\n');
                }
            }
        }
    }

    fn write_below(&self, out: &mut String, depth: usize) {
        match self {
            Self::Map(entries) if !entries.is_empty() => {
                out.push('\n');
                self.write(out, depth + 1, false);
            }
            // Lists stand below their key without a further step, as most manifests have them.
            Self::List(items) if !items.is_empty() => {
                out.push('\n');
                self.write(out, depth, false);
            }
            _ => {
                out.push(' ');
                self.write(out, depth + 1, false);
                if !out.ends_with('\n') {
                    out.push('\n');
                }
            }
        }
    }
}

fn indent(out: &mut String, depth: usize) {
    out.push_str(&"  ".repeat(depth));
}

/// A YAML string: plain where no reader of YAML 1.1 or 1.2 could take it for anything else, else in double quotes.
pub fn yaml(text: &str) -> String {
    let plain = text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/'))
        && !is_other(text);
    if plain { text.to_owned() } else { json(text) }
}

/// What some reader of YAML takes for a number, a date, a truth or nothing.
fn is_other(text: &str) -> bool {
    const WORDS: [&str; 9] = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    let lower = text.to_ascii_lowercase();
    let number_like = |text: &str| {
        text.chars().all(|c| c.is_ascii_digit() || matches!(c, '-' | '_' | '.' | 'e'))
            && text.starts_with(|c: char| c.is_ascii_digit())
    };
    WORDS.contains(&lower.as_str())
        || number_like(&lower)
        || lower.starts_with("0x")
        || lower.starts_with("0o")
        || lower.starts_with("0b")
        // A time stamp, as 2026-11-21t03 is.
        || (lower.len() > 9 && number_like(&lower[..10]) && lower.as_bytes()[4] == b'-')
}

/// A string of JSON, which is one of YAML in double quotes too. What a reader of YAML may take for a line's end, and
/// what is not seen, is escaped.
fn json(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            // All of these are below U+10000, where both languages write them alike.
            c if crate::text::is_unprintable(c) => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
