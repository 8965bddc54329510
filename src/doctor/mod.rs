//! What is right and wrong with an installation of podfit, or with a place where it is to be installed, and what to do.
//! Must not ask anyone: it gets what was read, and what could not be.

pub mod certificate;
pub mod definitions;
pub mod history;
pub mod installation;
pub mod labels;
pub mod reach;
pub mod rights;
mod table;
pub mod webhooks;
pub mod work;

use serde::Serialize;

pub use installation::Installation;
pub use table::table;

/// How a check came out, from the worst to the best.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// podfit does not work, or not as it should, until this is mended.
    Fail,
    /// It works, and less well than it could, or not for long.
    Warn,
    /// It could not be looked at.
    Unknown,
    /// All is well.
    Ok,
}

impl State {
    /// As it is printed.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fail => "fail",
            Self::Warn => "warn",
            Self::Unknown => "unknown",
            Self::Ok => "ok",
        }
    }
}

/// One check and how it came out. All texts are printable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was looked at, a few words.
    pub check: String,
    /// How it came out.
    pub state: State,
    /// What was seen.
    pub seen: String,
    /// What to do; empty where there is nothing to do.
    #[serde(rename = "do", skip_serializing_if = "String::is_empty")]
    pub advice: String,
}

impl Check {
    fn new(check: impl Into<String>, state: State, seen: impl Into<String>, advice: impl Into<String>) -> Self {
        let clean = |text: String| crate::text::clean(&text);
        Self { check: clean(check.into()), state, seen: clean(seen.into()), advice: clean(advice.into()) }
    }

    /// All is well.
    pub fn ok(check: impl Into<String>, seen: impl Into<String>) -> Self {
        Self::new(check, State::Ok, seen, "")
    }

    /// It works, but.
    pub fn warn(check: impl Into<String>, seen: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::new(check, State::Warn, seen, advice)
    }

    /// It does not work.
    pub fn fail(check: impl Into<String>, seen: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::new(check, State::Fail, seen, advice)
    }

    /// It could not be looked at.
    pub fn unknown(check: impl Into<String>, seen: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::new(check, State::Unknown, seen, advice)
    }
}

/// What was read: an object, that there is none, or why it could not be read.
pub type Read<T> = Result<Option<T>, String>;

/// A difference of clocks, in words: whose clock is ahead of this machine's, and whether that does harm.
///
/// Certificates are valid from an hour before they were made; samples are asked for by time. So seconds do no harm and
/// minutes do.
pub fn clock(check: &str, whose: &str, ahead_ms: Option<i64>) -> Check {
    /// What the network and whole seconds in headers account for.
    const NOTICEABLE_MS: u64 = 5_000;
    const HARMFUL_MS: u64 = 300_000;
    let Some(ahead) = ahead_ms else {
        return Check::unknown(check, format!("{whose} does not tell its time"), "compare it with this machine's");
    };
    let direction = if ahead > 0 { "ahead of" } else { "behind" };
    let seconds = ahead.unsigned_abs() / 1000;
    let seen = format!("{whose} is {seconds} s {direction} this machine");
    let advice = "set the clocks by NTP";
    match ahead.unsigned_abs() {
        0..NOTICEABLE_MS => Check::ok(check, format!("{whose} and this machine agree")),
        NOTICEABLE_MS..HARMFUL_MS => Check::warn(check, seen, advice),
        _ => Check::fail(check, seen, advice),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(Some(0), State::Ok, "agree")]
    #[case(Some(-4_999), State::Ok, "agree")]
    #[case(Some(61_000), State::Warn, "61 s ahead of")]
    #[case(Some(-299_999), State::Warn, "299 s behind")]
    #[case(Some(i64::MIN), State::Fail, "behind")]
    #[case(None, State::Unknown, "does not tell")]
    fn clocks_are_judged_by_the_harm(#[case] ahead: Option<i64>, #[case] state: State, #[case] seen: &str) {
        let check = clock("clock", "the API server's clock", ahead);
        assert_eq!(check.state, state);
        assert!(check.seen.contains(seen), "{}", check.seen);
        assert_eq!(check.advice.is_empty(), state == State::Ok);
    }

    #[test]
    fn no_text_can_leave_its_line() {
        let check = Check::fail("a\nb", "x\u{1b}[31m", "y\u{202e}");
        assert!(
            ![check.check, check.seen, check.advice].concat().contains(|c: char| c.is_control() || c == '\u{202e}')
        );
    }
}
