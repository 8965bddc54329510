//! The words of a refusal: what the bodies and headers of failed answers say, made fit for one line.
//! Makes no requests.

use std::time::Duration;

use reqwest::Url;

use super::error::{clean, tidy};

/// The innermost reason of an error.
pub(crate) fn root_cause(error: &dyn std::error::Error) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    clean(&last.to_string())
}

pub(crate) fn parse_retry_after(text: &str) -> Option<Duration> {
    if let Ok(seconds) = text.trim().parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let until = parse_http_date(text)?;
    let now = jiff::Timestamp::now().as_millisecond();
    Some(Duration::from_millis(until.saturating_sub(now).max(0) as u64))
}

pub(crate) fn parse_http_date(text: &str) -> Option<i64> {
    jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text.trim()).ok().map(jiff::Timestamp::as_millisecond)
}

/// Where a redirect leads, without user, query and fragment.
pub(crate) fn shown_location(base: &Url, location: &str) -> String {
    let Ok(mut url) = base.join(location) else { return "another address".to_owned() };
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.set_fragment(None);
    clean(url.as_str())
}

/// True for HTML.
pub(crate) fn is_page(body: &[u8]) -> bool {
    body.trim_ascii_start().first() == Some(&b'<')
}

pub(crate) fn page_title(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let lower = text.to_ascii_lowercase();
    let title = lower.find("<title>").and_then(|from| {
        let from = from + "<title>".len();
        lower[from..].find("</title>").map(|to| &text[from..from + to])
    });
    clean(title.unwrap_or(""))
}

/// The message in an error body: the API's `error`, or the text itself.
pub(crate) fn message_of(body: &[u8]) -> String {
    #[derive(serde::Deserialize)]
    struct ErrorBody {
        #[serde(default)]
        error: String,
        #[serde(default, rename = "errorType")]
        kind: String,
        #[serde(default)]
        message: String,
    }
    match serde_json::from_slice::<ErrorBody>(body) {
        Ok(a) if !a.error.is_empty() && !a.kind.is_empty() => tidy(&format!("{}: {}", a.kind, a.error)),
        Ok(a) if !a.error.is_empty() => tidy(&a.error),
        Ok(a) if !a.message.is_empty() => tidy(&a.message),
        _ => tidy(&String::from_utf8_lossy(body)),
    }
}

pub(crate) fn in_quotes(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!(" «{text}»") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_in_both_forms() {
        assert_eq!(parse_retry_after(" 7 "), Some(Duration::from_secs(7)));
        assert_eq!(parse_retry_after("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::ZERO));
        assert_eq!(parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777_000));
        assert_eq!(parse_retry_after("soon"), None);
    }

    #[test]
    fn bodies_in_every_shape() {
        assert_eq!(message_of(br#"{"status":"error","errorType":"a","error":"b"}"#), "a: b");
        assert_eq!(message_of(br#"{"error":"b"}"#), "b");
        assert_eq!(message_of(br#"{"message":"c"}"#), "c");
        assert_eq!(message_of(b"plain\n"), "plain");
        assert_eq!(message_of(b"\xff\x00"), "\u{fffd}");
        assert_eq!(page_title("<HTML><TITLE>Ünï\n code</TITLE>".as_bytes()), "Ünï code");
        assert_eq!(page_title(b"<html>"), "");
        // Letters whose lower case has another length do not shift the title.
        assert_eq!(page_title("<p>İİİ</p><title>x</title>".as_bytes()), "x");
    }

    #[test]
    fn a_place_is_shown_without_what_is_secret() {
        let base = Url::parse("http://h/prom").unwrap();
        assert_eq!(shown_location(&base, "/login?next=/prom"), "http://h/login");
        assert_eq!(shown_location(&base, "https://u:p@o.example/x#y"), "https://o.example/x");
        assert_eq!(shown_location(&base, "http://[bad"), "another address");
    }
}
