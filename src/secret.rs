//! Secrets, and texts of strangers with our secrets struck out: a server may repeat what was sent to it.
//! Must not know where they come from, nor who shows the text.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};

use crate::text;

/// What stands in a secret's place.
const STRUCK: &str = "***";
/// A piece of a secret as long as this, at the end of a text that was cut, is struck out too.
const PIECE_CHARS: usize = 4;

/// A value that is never printed.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The secret itself, for the request only.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl From<String> for Secret {
    fn from(value: String) -> Self {
        Self(value)
    }
}

/// Secrets that a text may repeat, in all forms in which they were sent or may come back.
#[derive(Clone, Default)]
pub struct Secrets(Vec<String>);

impl Secrets {
    /// Adds a secret: as it is, and as an address, a form, JSON, and base64 write it.
    pub fn add(&mut self, secret: &str) {
        let secret = secret.trim();
        if secret.is_empty() {
            return;
        }
        let json = serde_json::to_string(secret).unwrap_or_default();
        let json = json.trim_matches('"').to_owned();
        // Go writes these so, for HTML's sake.
        let of_go = json.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026");
        let upper = text::percent_encoded(secret, b"");
        let mut parts = upper.split('%');
        let first = parts.next().unwrap_or_default().to_owned();
        let lower =
            parts.fold(first, |so_far, part| format!("{so_far}%{}{}", part[..2].to_ascii_lowercase(), &part[2..]));
        self.0.extend([
            secret.to_owned(),
            secret.split_whitespace().collect::<Vec<_>>().join(" "),
            json,
            of_go,
            upper.replace("%20", "+"),
            upper,
            lower,
            STANDARD.encode(secret),
            STANDARD_NO_PAD.encode(secret),
            URL_SAFE_NO_PAD.encode(secret),
        ]);
        // Longest first: one form may begin with another.
        self.0.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        self.0.dedup();
    }

    /// Adds a user's password, alone and as basic authorization sends both.
    pub fn add_login(&mut self, user: &str, password: &str) {
        self.add(password);
        if !password.is_empty() {
            self.add(&format!("{user}:{password}"));
        }
    }

    /// Adds what may be a secret or a mere setting, such as a header's value: anything of six characters or more, whole
    /// and by its words.
    pub fn add_setting(&mut self, value: &str) {
        for text in value.split_whitespace().chain([value]).filter(|text| text.chars().count() >= 6) {
            self.add(text);
        }
    }

    /// Adds what of an address may be one: the password, the query's values, the path and its long segments.
    pub fn add_address(&mut self, url: &reqwest::Url) {
        self.add_login(url.username(), url.password().unwrap_or_default());
        url.query_pairs().for_each(|(_, value)| self.add_setting(&value));
        let segments: Vec<&str> = url.path_segments().into_iter().flatten().collect();
        if segments.iter().any(|segment| segment.len() >= 8) {
            self.add(url.as_str());
            self.add(url.path());
        }
        segments.into_iter().filter(|segment| segment.len() >= 8).for_each(|segment| self.add(segment));
    }

    /// The text without them. Of a text that was cut, which `…` at its end says, the beginning of one goes too.
    pub fn strike(&self, text: &str) -> String {
        let mut struck = text.to_owned();
        for secret in &self.0 {
            struck = strike_one(&struck, secret);
        }
        if let Some(rest) = struck.strip_suffix('…') {
            let is_begun = |secret: &String| {
                let ends = secret.char_indices().map(|(at, _)| at).skip(PIECE_CHARS);
                ends.filter(|end| rest.ends_with(&secret[..*end])).max()
            };
            if let Some(len) = self.0.iter().filter_map(is_begun).max() {
                struck = format!("{}{STRUCK}…", &rest[..rest.len() - len]);
            }
        }
        struck
    }
}

/// A secret of a few characters is struck out only where it stands alone: else hardly a word would be left.
fn strike_one(text: &str, secret: &str) -> String {
    let is_short = secret.chars().count() < PIECE_CHARS;
    let mut struck = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(secret) {
        let (before, after) = (&rest[..at], &rest[at + secret.len()..]);
        let joins = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
        let is_inside =
            joins(before.chars().next_back().or_else(|| struck.chars().next_back())) || joins(after.chars().next());
        struck.push_str(before);
        struck.push_str(if is_short && is_inside { secret } else { STRUCK });
        rest = after;
    }
    struck.push_str(rest);
    struck
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secrets({})", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn secrets() -> Secrets {
        let mut secrets = Secrets::default();
        secrets.add_login("me", "p@ss w<rd/\u{e9}");
        secrets
    }

    #[rstest]
    #[case::plain("no login for p@ss w<rd/é here", "no login for *** here")]
    #[case::twice("p@ss w<rd/ép@ss w<rd/é", "******")]
    #[case::in_an_address("GET http://me:p%40ss%20w%3Crd%2F%C3%A9@h/x", "GET http://me:***@h/x")]
    #[case::in_a_form("q=p%40ss+w%3Crd%2F%C3%A9&b", "q=***&b")]
    #[case::lower_case("q=p%40ss%20w%3crd%2f%c3%a9", "q=***")]
    #[case::by_go("\"p@ss w\\u003crd/é\"", "\"***\"")]
    #[case::basic("Basic bWU6cEBzcyB3PHJkL8OpXXXX", "Basic ***XXXX")]
    #[case::cut("bad password: p@ss w…", "bad password: ***…")]
    #[case::others("the password is wrong", "the password is wrong")]
    fn a_secret_is_struck_out_however_it_is_written(#[case] said: &str, #[case] shown: &str) {
        assert_eq!(secrets().strike(said), shown);
    }

    #[test]
    fn a_short_one_is_struck_out_where_it_stands_alone() {
        let mut secrets = Secrets::default();
        secrets.add("at");
        assert_eq!(secrets.strike("that \"at\" is what: at"), "that \"***\" is what: ***");
        secrets.add("");
        assert_eq!(secrets.strike("all the same"), "all the same");
    }

    #[test]
    fn what_of_an_address_may_be_one_is_taken() {
        let mut secrets = Secrets::default();
        secrets
            .add_address(&"https://u:hunter2@hooks.example/services/T0/B0/abcdefghijkl?sig=x1y2z3w4".parse().unwrap());
        let said = "no /services/T0/B0/abcdefghijkl for hunter2, abcdefghijkl? sig=x1y2z3w4";
        assert_eq!(secrets.strike(said), "no *** for ***, ***? sig=***");
        assert!(!format!("{secrets:?}").contains("hunter2"));
    }
}
