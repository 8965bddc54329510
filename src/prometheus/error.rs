//! What can go wrong between podfit and a source of series: each message is one line that says what, where and what to
//! do. Knows no credentials: addresses come here already stripped of them.

use std::path::PathBuf;
use std::time::Duration;

use crate::secret::Secrets;

/// Why a source of series did not answer. Every message is a single line and free of secrets.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The settings cannot work.
    #[error("{setting}: {problem}")]
    Config {
        /// The setting at fault.
        setting: &'static str,
        /// What is wrong and what would be right.
        problem: String,
    },
    /// A file named in the settings, or an `OpenMetrics` file, cannot be read.
    #[error("cannot read {}: {problem}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The operating system's words.
        problem: String,
    },
    /// A line of an `OpenMetrics` file is not one.
    #[error("{file}:{line}: {problem}")]
    Line {
        /// The file.
        file: String,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// No connection.
    #[error("cannot reach {url}: {cause}; {hint}")]
    Unreachable {
        /// Where.
        url: String,
        /// What the network said.
        cause: String,
        /// What to do.
        hint: String,
    },
    /// The TLS handshake failed.
    #[error(
        "cannot trust {url}: {cause}; give the CA that signed its certificate, or that certificate itself (--prometheus-ca-file), or a client certificate (--prometheus-cert-file) if it asks for one"
    )]
    Tls {
        /// Where.
        url: String,
        /// What the handshake said.
        cause: String,
    },
    /// No answer in time.
    #[error("{url} gave no answer for {} s; raise the timeout (--prometheus-timeout), or ask for less with a shorter --history", after.as_secs())]
    Timeout {
        /// Where.
        url: String,
        /// How long nothing came.
        after: Duration,
    },
    /// An answer that came too slowly as a whole.
    #[error("the answer of {url} was not whole after {} s ({bytes} bytes came); raise the timeout (--prometheus-timeout; an answer has ten times as long), or look for a proxy that slows it down", after.as_secs())]
    Slow {
        /// Where.
        url: String,
        /// How long was waited.
        after: Duration,
        /// Bytes that came.
        bytes: u64,
    },
    /// An answer that does not end.
    #[error(
        "the answer of {url} is longer than {bytes} bytes; ask for fewer namespaces with -n, and check that the address is a Prometheus API"
    )]
    Endless {
        /// Where.
        url: String,
        /// What is read at most.
        bytes: u64,
    },
    /// A token endpoint gave no token.
    #[error(
        "cannot get a token from {url}: {problem}; check --prometheus-oauth2-token-url, -client-id and the file of the secret"
    )]
    Token {
        /// Where.
        url: String,
        /// The status, where there was one.
        status: Option<u16>,
        /// What it said, cleaned.
        problem: String,
    },
    /// So many requests were tried again that the rest is not worth it.
    #[error(
        "{error}; {retries} requests of this collection were tried again before, which is enough (--prometheus-retries)"
    )]
    GaveUp {
        /// Why the last one failed.
        error: Box<Error>,
        /// How many.
        retries: u64,
    },
    /// 401 or 403.
    #[error(
        "{url} refuses the credentials (HTTP {status}){}; give a user and password (--prometheus-user, --prometheus-password-file), a bearer token (--prometheus-token-file), AWS or OAuth 2.0 credentials (--prometheus-sigv4-region, --prometheus-oauth2-token-url), a tenant (--org-id) or a client certificate (--prometheus-cert-file) that may query",
        quoted(detail)
    )]
    Denied {
        /// Where.
        url: String,
        /// 401 or 403.
        status: u16,
        /// The server's words, cleaned.
        detail: String,
    },
    /// Another address is meant.
    #[error(
        "{url} redirects to {location}; give the address that serves /api/v1/query itself, with the credentials it asks for"
    )]
    Redirected {
        /// Where.
        url: String,
        /// Where to, without query and user.
        location: String,
    },
    /// The address serves something else.
    #[error(
        "{url} is not a Prometheus API ({what}); is it Grafana or a proxy? give the address that serves /api/v1/query, path prefix included"
    )]
    NotPrometheus {
        /// Where.
        url: String,
        /// What it serves instead.
        what: String,
    },
    /// 400 or 422: the query itself.
    #[error(
        "{url} rejects the query (HTTP {status}): {message}; check --prometheus-param and what stands between podfit and the server"
    )]
    Rejected {
        /// Where.
        url: String,
        /// 400, 405, 413, 422.
        status: u16,
        /// The server's words, cleaned.
        message: String,
    },
    /// The answer is too large for the server even in the smallest slice of time.
    #[error("{url} cannot answer for even {} s at once ({message}); raise its sample limit (--query.max-samples of Prometheus), or ask for fewer namespaces with -n", slice.as_secs())]
    TooMuch {
        /// Where.
        url: String,
        /// The slice that was refused.
        slice: Duration,
        /// The server's words, cleaned.
        message: String,
    },
    /// 429 or 5xx after all retries.
    #[error("{url} is overloaded or down (HTTP {status}){}; {}", quoted(message), wait_hint(*retry_after))]
    Busy {
        /// Where.
        url: String,
        /// 429, 500, 502, 503, 504.
        status: u16,
        /// The server's words, cleaned.
        message: String,
        /// How long it asks to be left alone.
        retry_after: Option<Duration>,
    },
    /// HTTP 200 with `status: error`.
    #[error("{url} answered with an error ({kind}): {message}; run again, and if it stays look into the server's log")]
    Server {
        /// Where.
        url: String,
        /// `errorType`.
        kind: String,
        /// The server's words, cleaned.
        message: String,
    },
    /// The body stopped early.
    #[error(
        "the answer of {url} broke off after {bytes} bytes: {cause}; run again, and if it stays look for a proxy that limits time or size"
    )]
    Truncated {
        /// Where.
        url: String,
        /// Bytes of the body until then.
        bytes: u64,
        /// What happened.
        cause: String,
    },
    /// The body is not the JSON that the API promises.
    #[error(
        "the answer of {url} is not valid at byte {at}: {problem}; look for a proxy that changes it, or give the address of the server itself"
    )]
    Json {
        /// Where.
        url: String,
        /// Offset in the body, from 0.
        at: u64,
        /// What is wrong.
        problem: String,
    },
    /// A remote-read frame whose checksum does not match.
    #[error(
        "frame {frame} from {url} is damaged (CRC-32C {got:08x} instead of {want:08x}); the network or a proxy changes the bytes, use the query API instead (--prometheus-read query)"
    )]
    Checksum {
        /// Where.
        url: String,
        /// Frame, counted from 1.
        frame: u64,
        /// Checksum of what came.
        got: u32,
        /// Checksum that was sent along.
        want: u32,
    },
    /// A remote-read message that cannot be decoded.
    #[error(
        "cannot decode the remote-read answer of {url}: {problem}; use the query API instead (--prometheus-read query)"
    )]
    Decode {
        /// Where.
        url: String,
        /// What is wrong.
        problem: String,
    },
    /// No remote read there.
    #[error("{url} offers no remote read ({why}); use the query API instead (--prometheus-read query)")]
    NoRemoteRead {
        /// Where.
        url: String,
        /// How it said so.
        why: String,
    },
    /// From a source outside this module.
    #[error("{0}")]
    Other(String),
}

impl Error {
    /// True when the same request may work a little later: the network, an overload, a broken stream.
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. }
                | Self::Timeout { .. }
                | Self::Busy { .. }
                | Self::Truncated { .. }
                | Self::Checksum { .. }
        )
    }

    /// The same with our own secrets struck out of what others said.
    #[must_use]
    pub(crate) fn struck(mut self, secrets: &Secrets) -> Self {
        let said = match &mut self {
            Self::Denied { detail: said, .. }
            | Self::Redirected { location: said, .. }
            | Self::NotPrometheus { what: said, .. }
            | Self::Rejected { message: said, .. }
            | Self::TooMuch { message: said, .. }
            | Self::Busy { message: said, .. }
            | Self::Unreachable { cause: said, .. }
            | Self::Tls { cause: said, .. }
            | Self::Truncated { cause: said, .. }
            | Self::Json { problem: said, .. }
            | Self::Decode { problem: said, .. }
            | Self::Token { problem: said, .. }
            | Self::NoRemoteRead { why: said, .. } => said,
            Self::Server { kind, message, .. } => {
                *kind = secrets.strike(kind);
                message
            }
            Self::Config { .. }
            | Self::File { .. }
            | Self::Line { .. }
            | Self::Timeout { .. }
            | Self::Slow { .. }
            | Self::Endless { .. }
            | Self::Checksum { .. }
            | Self::Other(_) => return self,
            Self::GaveUp { error, retries } => {
                let error = std::mem::replace(&mut **error, Self::Other(String::new()));
                return Self::GaveUp { error: Box::new(error.struck(secrets)), retries: *retries };
            }
        };
        *said = secrets.strike(said);
        self
    }

    /// True when the server says that there were too many requests.
    pub(crate) fn is_too_often(&self) -> bool {
        matches!(self, Self::Busy { status: 429, .. })
    }

    /// True when an answer began well and did not end: the same question in smaller parts may be answered.
    pub fn broke_off(&self) -> bool {
        matches!(self, Self::Truncated { .. } | Self::Checksum { .. } | Self::Slow { .. } | Self::Endless { .. })
    }

    /// How long the server asks to be left alone.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Busy { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

/// The longest piece of a server's message that is passed on, in characters.
const MESSAGE_CHARS: usize = 300;

/// A server's words made fit for one line of a terminal: no control characters, one space where several were, cut.
pub(crate) fn clean(text: &str) -> String {
    clean_up_to(MESSAGE_CHARS, text)
}

/// The same at more length, for words out of which secrets are struck before they are cut.
pub(crate) fn tidy(text: &str) -> String {
    clean_up_to(8 * MESSAGE_CHARS, text)
}

fn clean_up_to(most: usize, text: &str) -> String {
    let mut out = String::new();
    let mut space = false;
    for (i, c) in text.trim().chars().enumerate() {
        if i >= most {
            out.push('…');
            break;
        }
        if c.is_whitespace() || c.is_control() || is_invisible(c) {
            space = true;
        } else {
            if space && !out.is_empty() {
                out.push(' ');
            }
            space = false;
            out.push(c);
        }
    }
    out
}

/// Characters that turn or hide the text around them.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// What the operating system said of a file that could not be read, and what to do.
pub(crate) fn unreadable(error: &std::io::Error) -> String {
    use std::io::ErrorKind;
    let said = clean(&error.to_string());
    let advice = match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => "check the path",
        ErrorKind::IsADirectory => "name a file in it",
        ErrorKind::PermissionDenied => "let this user read it",
        _ if ["incomplete", "unexpected end", "corrupt", "invalid gzip"].iter().any(|w| said.contains(w)) => {
            "the file was cut or damaged, copy it again"
        }
        ErrorKind::InvalidData => "it must be text in UTF-8",
        _ => "check the disk it is on",
    };
    format!("{said}; {advice}")
}

fn quoted(detail: &str) -> String {
    if detail.is_empty() { String::new() } else { format!(": {detail}") }
}

fn wait_hint(retry_after: Option<Duration>) -> String {
    match retry_after {
        Some(wait) => format!("it asks to wait {} s; run again then", wait.as_secs()),
        None => "run again later".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_one_clean_line() {
        assert_eq!(clean("  a\r\n\tb\u{1b}[31m c\u{202e}d "), "a b [31m c d");
        let long = clean(&"x".repeat(10_000));
        assert_eq!(long.chars().count(), MESSAGE_CHARS + 1);
        assert!(long.ends_with('…'));
    }

    #[test]
    fn what_may_work_later_is_transient() {
        let busy = |status| Error::Busy { url: String::new(), status, message: String::new(), retry_after: None };
        assert!(busy(503).is_transient());
        assert!(!Error::Denied { url: String::new(), status: 401, detail: String::new() }.is_transient());
    }

    #[test]
    fn an_overload_says_how_long_to_wait() {
        let error = Error::Busy {
            url: "http://p:9090".into(),
            status: 429,
            message: "slow down".into(),
            retry_after: Some(Duration::from_secs(7)),
        };
        assert_eq!(
            error.to_string(),
            "http://p:9090 is overloaded or down (HTTP 429): slow down; it asks to wait 7 s; run again then"
        );
    }
}
