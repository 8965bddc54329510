//! The times of which a server said that its answers were not whole, and the note about them.
//! Decides nothing about runs.

use crate::prometheus::TimeRange;

/// Different sayings of the server that the note has; one of them names the fault, more would bury it.
const WORDS: usize = 2;

/// What was not whole in a collection.
#[derive(Debug, Default)]
pub(super) struct Incomplete {
    /// From the first to the last slice.
    span: Option<TimeRange>,
    words: Vec<String>,
    more: bool,
}

impl Incomplete {
    /// Takes in what the server said of a slice.
    pub(super) fn add(&mut self, slice: TimeRange, words: Vec<String>) {
        if words.is_empty() {
            return;
        }
        self.span = Some(TimeRange { start_ms: self.span.map_or(slice.start_ms, |s| s.start_ms), ..slice });
        for words in words {
            if self.words.contains(&words) {
                continue;
            }
            if self.words.len() < WORDS {
                self.words.push(words);
            } else {
                self.more = true;
            }
        }
    }

    /// Whether all was whole so far.
    pub(super) fn is_empty(&self) -> bool {
        self.span.is_none()
    }

    /// What to tell, `None` where all was whole.
    pub(super) fn note(&self) -> Option<String> {
        let span = self.span?;
        let time =
            |ms: i64| jiff::Timestamp::from_second(ms.div_euclid(1000)).map(|t| t.to_string()).unwrap_or_default();
        let quoted: Vec<String> = self.words.iter().map(|words| format!("«{words}»")).collect();
        let more = if self.more { " and more" } else { "" };
        Some(format!(
            "the server's answers for {} to {} are not complete, it says {}{more}: runs of that time may be missing or \
             look smaller than they were; mend that part of the server, and the next collection reads this time again",
            time(span.start_ms),
            time(span.end_ms),
            quoted.join(" and ")
        ))
    }
}
