//! Decides whether labels pass the matchers of a selector, as a server would.
//! Knows nothing of storage.

use regex::Regex;

use super::error::{Error, clean};
use super::selector::{MatchOp, Selector};
use super::series::Labels;

/// The matchers of a selector, made ready.
pub(crate) struct Matchers(Vec<(String, Test)>);

enum Test {
    Equal(String),
    NotEqual(String),
    Regex(Regex),
    NotRegex(Regex),
}

impl Matchers {
    /// Compiles the regular expressions, anchored at both ends.
    pub(crate) fn new(selector: &Selector) -> Result<Self, Error> {
        let regex = |pattern: &str| {
            // Alone first: unbalanced brackets must not pair up with those around it.
            Regex::new(pattern).and_then(|_| Regex::new(&format!("^(?s:{pattern})$"))).map_err(|_| Error::Config {
                setting: "selector",
                problem: format!("{:?} is not a regular expression", clean(pattern)),
            })
        };
        let tests = selector.matchers.iter().map(|m| {
            let test = match m.op {
                MatchOp::Equal => Test::Equal(m.value.clone()),
                MatchOp::NotEqual => Test::NotEqual(m.value.clone()),
                MatchOp::Regex => Test::Regex(regex(&m.value)?),
                MatchOp::NotRegex => Test::NotRegex(regex(&m.value)?),
            };
            Ok((m.label.clone(), test))
        });
        Ok(Self(tests.collect::<Result<_, Error>>()?))
    }

    /// True when every matcher accepts. An absent label counts as empty.
    pub(crate) fn accept(&self, metric: &str, labels: &Labels) -> bool {
        self.0.iter().all(|(name, test)| {
            let value = if name == "__name__" { metric } else { labels.get(name).unwrap_or("") };
            match test {
                Test::Equal(wanted) => value == wanted,
                Test::NotEqual(unwanted) => value != unwanted,
                Test::Regex(pattern) => pattern.is_match(value),
                Test::NotRegex(pattern) => !pattern.is_match(value),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matchers_agree_with_prometheus() {
        let labels = Labels::new([("ns".to_owned(), "team-a".to_owned()), ("two".to_owned(), "x\ny".to_owned())]);
        for (label, op, value, passes) in [
            ("ns", MatchOp::Equal, "team-a", true),
            ("ns", MatchOp::Equal, "team", false),
            ("ns", MatchOp::NotEqual, "team", true),
            ("ns", MatchOp::Regex, "team", false),
            ("ns", MatchOp::Regex, "team-.|other", true),
            ("ns", MatchOp::Regex, "a|team", false),
            ("ns", MatchOp::NotRegex, "team", true),
            ("ns", MatchOp::NotRegex, "team.*", false),
            ("absent", MatchOp::Equal, "", true),
            ("absent", MatchOp::NotEqual, "", false),
            ("absent", MatchOp::Regex, ".*", true),
            ("absent", MatchOp::Regex, ".+", false),
            ("two", MatchOp::Regex, "x.y", true),
            ("__name__", MatchOp::Equal, "m", true),
        ] {
            let matchers = Matchers::new(&Selector::metric("m").with(label, op, value)).unwrap();
            assert_eq!(matchers.accept("m", &labels), passes, "{label} {op:?} {value}");
        }
        for wrong in ["(", "a)|(b"] {
            assert!(Matchers::new(&Selector::metric("m").with("a", MatchOp::Regex, wrong)).is_err());
        }
    }
}
