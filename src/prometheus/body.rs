//! The body of an answer, read piece by piece within bounds: of silence, of time as a whole, and of length.
//! Knows nothing of what the bytes mean.

use std::time::{Duration, Instant};

use bytes::Bytes;
use reqwest::Response;
use reqwest::header::{CONTENT_TYPE, DATE};

use super::error::Error;
use super::refusal::{parse_http_date, root_cause};

/// What one answer may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// The longest silence.
    pub silence: Duration,
    /// The longest time that is spent waiting for all of it. Time in which the reader was behind does not count.
    pub whole: Duration,
    /// The most bytes, after decompression.
    pub bytes: u64,
}

/// A response, read piece by piece.
pub(crate) struct Body {
    response: Response,
    shown: String,
    bounds: Bounds,
    waited: Duration,
    bytes: u64,
}

impl Body {
    /// Of a response of which only the head was read; `waited` for that.
    pub(crate) fn new(response: Response, shown: &str, bounds: Bounds, waited: Duration) -> Self {
        Self { response, shown: shown.to_owned(), bounds, waited, bytes: 0 }
    }

    /// The next piece; `None` at the end.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        let begun = Instant::now();
        let left = self.bounds.whole.saturating_sub(self.waited);
        let piece = tokio::time::timeout(left, self.response.chunk()).await;
        self.waited += begun.elapsed();
        let url = || self.shown.clone();
        match piece {
            Err(_) => Err(Error::Slow { url: url(), after: self.bounds.whole, bytes: self.bytes }),
            Ok(Ok(piece)) => {
                self.bytes += piece.as_ref().map_or(0, |p| p.len() as u64);
                if self.bytes > self.bounds.bytes {
                    return Err(Error::Endless { url: url(), bytes: self.bounds.bytes });
                }
                Ok(piece)
            }
            Ok(Err(e)) if e.is_timeout() => Err(Error::Timeout { url: url(), after: self.bounds.silence }),
            Ok(Err(e)) => Err(Error::Truncated { url: url(), bytes: self.bytes, cause: root_cause(&e.without_url()) }),
        }
    }

    /// The whole body, at most `cap` bytes of it.
    pub(crate) async fn read_all(&mut self, cap: usize) -> Result<Vec<u8>, Error> {
        let mut out = Vec::new();
        while let Some(piece) = self.chunk().await? {
            if out.len() + piece.len() > cap {
                return Err(Error::Endless { url: self.shown.clone(), bytes: cap as u64 });
            }
            out.extend_from_slice(&piece);
        }
        Ok(out)
    }

    /// What of the body comes, up to a limit; errors end it.
    pub(crate) async fn read_up_to(&mut self, cap: usize) -> Vec<u8> {
        let mut out = Vec::new();
        while let Ok(Some(piece)) = self.chunk().await {
            out.extend_from_slice(&piece[..piece.len().min(cap - out.len())]);
            if out.len() >= cap {
                break;
            }
        }
        out
    }

    pub(crate) fn content_type(&self) -> &str {
        self.header(CONTENT_TYPE.as_str()).unwrap_or("")
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.response.headers().get(name).and_then(|v| v.to_str().ok())
    }

    /// The server's clock, milliseconds since the epoch.
    pub(crate) fn date_ms(&self) -> Option<i64> {
        self.header(DATE.as_str()).and_then(parse_http_date)
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Refuses a web page that came with status 200: a login form, Grafana, a proxy's greeting.
    pub(crate) fn reject_page(self) -> Result<Self, Error> {
        if self.content_type().starts_with("text/html") {
            return Err(Error::NotPrometheus { url: self.shown, what: "it answers with a web page".to_owned() });
        }
        Ok(self)
    }
}
