//! A series selector and its `PromQL` text. Values come from clusters and are untrusted: everything is escaped here.

use std::fmt;

/// How a matcher compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MatchOp {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`, anchored at both ends
    Regex,
    /// `!~`, anchored at both ends
    NotRegex,
}

/// One label matcher.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Matcher {
    /// Label name.
    pub label: String,
    /// Comparison.
    pub op: MatchOp,
    /// Value, unescaped.
    pub value: String,
}

/// A metric name and label matchers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Selector {
    /// Metric name.
    pub metric: String,
    /// Further matchers.
    pub matchers: Vec<Matcher>,
}

impl Selector {
    /// All series of a metric.
    pub fn metric(name: impl Into<String>) -> Self {
        Self { metric: name.into(), matchers: Vec::new() }
    }

    /// Adds a matcher.
    #[must_use]
    pub fn with(mut self, label: impl Into<String>, op: MatchOp, value: impl Into<String>) -> Self {
        self.matchers.push(Matcher { label: label.into(), op, value: value.into() });
        self
    }

    /// Adds an equality matcher.
    #[must_use]
    pub fn equal(self, label: impl Into<String>, value: impl Into<String>) -> Self {
        self.with(label, MatchOp::Equal, value)
    }

    /// Adds a matcher for any of the given values, each taken literally. No value at all matches no series.
    #[must_use]
    pub fn one_of<V: AsRef<str>>(self, label: impl Into<String>, values: impl IntoIterator<Item = V>) -> Self {
        let mut pattern = String::new();
        let mut count = 0;
        for value in values {
            if count > 0 {
                pattern.push('|');
            }
            count += 1;
            escape_regex(value.as_ref(), &mut pattern);
        }
        match count {
            // No name is empty and not empty at once.
            0 => {
                let label = label.into();
                self.equal(label.clone(), "").with(label, MatchOp::NotEqual, "")
            }
            _ => self.with(label, MatchOp::Regex, pattern),
        }
    }

    /// The matchers, the metric's among them, in the order that remote read wants.
    pub(crate) fn all_matchers(&self) -> impl Iterator<Item = (&str, MatchOp, &str)> {
        std::iter::once(("__name__", MatchOp::Equal, self.metric.as_str()))
            .chain(self.matchers.iter().map(|m| (m.label.as_str(), m.op, m.value.as_str())))
    }

    /// `{…}` without a metric name; for selectors whose name is among the matchers.
    pub(crate) fn matchers_only(&self) -> String {
        struct Only<'a>(&'a Selector);
        impl fmt::Display for Only<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("{")?;
                for (i, m) in self.0.matchers.iter().enumerate() {
                    f.write_str(if i == 0 { "" } else { "," })?;
                    write_matcher(f, m)?;
                }
                f.write_str("}")
            }
        }
        Only(self).to_string()
    }
}

/// Appends a text so that a regular expression matches it literally.
fn escape_regex(text: &str, out: &mut String) {
    for c in text.chars() {
        if matches!(c, '\\' | '.' | '+' | '*' | '?' | '(' | ')' | '|' | '[' | ']' | '{' | '}' | '^' | '$') {
            out.push('\\');
        }
        out.push(c);
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = is_plain(&self.metric, true);
        if plain {
            f.write_str(&self.metric)?;
        } else {
            f.write_str("{__name__=")?;
            quote(f, &self.metric)?;
        }
        for (i, m) in self.matchers.iter().enumerate() {
            f.write_str(if i == 0 && plain { "{" } else { "," })?;
            write_matcher(f, m)?;
        }
        if !self.matchers.is_empty() || !plain {
            f.write_str("}")?;
        }
        Ok(())
    }
}

fn write_matcher(f: &mut fmt::Formatter<'_>, m: &Matcher) -> fmt::Result {
    if is_plain(&m.label, false) {
        f.write_str(&m.label)?;
    } else {
        quote(f, &m.label)?;
    }
    f.write_str(match m.op {
        MatchOp::Equal => "=",
        MatchOp::NotEqual => "!=",
        MatchOp::Regex => "=~",
        MatchOp::NotRegex => "!~",
    })?;
    quote(f, &m.value)
}

/// True for a name that `PromQL` takes without quotes.
fn is_plain(name: &str, colon: bool) -> bool {
    let first = name.bytes().next();
    first.is_some_and(|b| !b.is_ascii_digit())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || (colon && b == b':'))
}

fn quote(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_str("\"")?;
    for c in text.chars() {
        match c {
            '\\' => f.write_str("\\\\")?,
            '"' => f.write_str("\\\"")?,
            '\n' => f.write_str("\\n")?,
            c if c.is_control() => write!(f, "\\u{:04x}", c as u32)?,
            c => write!(f, "{c}")?,
        }
    }
    f.write_str("\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_cannot_leave_their_quotes() {
        for (value, text) in [
            ("plain", r#"m{a="plain"}"#),
            (r#"x"} or vector(1) #"#, r#"m{a="x\"} or vector(1) #"}"#),
            ("back\\slash", r#"m{a="back\\slash"}"#),
            ("two\nlines", r#"m{a="two\nlines"}"#),
            ("tab\tbell\u{7}del\u{7f}", r#"m{a="tab\u0009bell\u0007del\u007f"}"#),
            ("ünï€", r#"m{a="ünï€"}"#),
            ("`{{}}`", r#"m{a="`{{}}`"}"#),
        ] {
            assert_eq!(Selector::metric("m").equal("a", value).to_string(), text);
        }
    }

    #[test]
    fn names_that_are_not_plain_are_quoted() {
        let odd = Selector::metric("m} or up{").equal("a=\"\",b", "c");
        assert_eq!(odd.to_string(), r#"{__name__="m} or up{","a=\"\",b"="c"}"#);
        assert_eq!(Selector::metric("job:cpu").to_string(), "job:cpu");
        assert_eq!(Selector::metric("1m").to_string(), r#"{__name__="1m"}"#);
        assert_eq!(Selector::metric("").to_string(), r#"{__name__=""}"#);
    }

    #[test]
    fn alternatives_are_literal() {
        let s = Selector::metric("m").one_of("ns", ["a.b", "c|d", "e"]);
        assert_eq!(s.to_string(), r#"m{ns=~"a\\.b|c\\|d|e"}"#);
        assert_eq!(Selector::metric("m").one_of("ns", [""; 0]).to_string(), r#"m{ns="",ns!=""}"#);
    }

    #[test]
    fn every_operator() {
        let s = Selector::metric("m").with("a", MatchOp::NotEqual, "1").with("b", MatchOp::Regex, "2").with(
            "c",
            MatchOp::NotRegex,
            "3",
        );
        assert_eq!(s.to_string(), r#"m{a!="1",b=~"2",c!~"3"}"#);
    }
}
