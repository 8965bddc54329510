//! What a refusal says of the size of a question, whatever its status and words, and which sizes a server has refused.
//! Sends nothing.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::error::Error;
use super::sample::TimeRange;

/// A refusal whose reason is not understood is answered by half the time once, for at most so many metrics.
const GUESSES: usize = 3;
/// Nothing shorter is halved without a reason, in milliseconds.
const SHORTEST_GUESS_MS: u64 = 3_600_000;

/// What a refusal means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The time is too long for any metric.
    TooLong,
    /// Too much was asked for; of this metric a shorter time may be answered.
    TooMuch,
    /// It may be the size, or anything else.
    Unclear,
    /// The size is not what is wrong.
    Other,
}

/// Words of limits on time, in lower case. They come from the sources of Mimir, Cortex, Thanos, `VictoriaMetrics`.
const OF_TIME: [&str; 10] = [
    "range exceeds",
    "query length",
    "query-length",
    "query_length",
    "querylength",
    "time range is too",
    "time range too",
    "range too l",
    "too long time range",
    "lookback",
];
/// Words of limits on series, samples, chunks, bytes, memory and time of evaluation.
const OF_SIZE: [&str; 25] = [
    "too many",
    "exceed",
    "limit",
    "timed out",
    "timeout",
    "maximum",
    "max-",
    "max_",
    "too large",
    "too long",
    "too much",
    "too big",
    "larger than",
    "more than",
    "resource exhausted",
    "resourceexhausted",
    "resource_exhausted",
    "expanding series",
    "out of memory",
    "not enough memory",
    "entity too",
    "deadline exceeded",
    "cannot select",
    "increase -search",
    "split the query",
];
/// Words of limits on how often or how many at once: a smaller question does not help, a later one does.
const OF_RATE: [&str; 10] = [
    "rate limit",
    "rate-limit",
    "request rate",
    "request-rate",
    "too many requests",
    "too many outstanding",
    "concurren",
    "requests per",
    "queue",
    "throttl",
];
/// Words about the question itself.
const OF_QUERY: [&str; 4] = ["parse error", "unknown function", "invalid parameter", "cannot parse"];

/// What an error means for the size of the next question.
pub(crate) fn judge(error: &Error) -> Refusal {
    let (status, message) = match error {
        Error::Timeout { .. } | Error::Slow { .. } | Error::Endless { .. } => return Refusal::TooMuch,
        Error::Rejected { status, message, .. } | Error::Busy { status, message, .. } => (*status, message),
        Error::Server { kind, message, .. } => {
            (kind.strip_prefix("HTTP ").and_then(|status| status.parse().ok()).unwrap_or(500), message)
        }
        _ => return Refusal::Other,
    };
    let message = message.to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| message.contains(word));
    match status {
        405 | 407 | 411 | 414 | 415 | 431 | 501 => Refusal::Other,
        _ if says(&OF_QUERY) => Refusal::Other,
        _ if says(&OF_RATE) => Refusal::Other,
        _ if says(&OF_TIME) => Refusal::TooLong,
        // Of the words below, those of a proxy's busy back end say nothing of the size.
        502 => Refusal::Unclear,
        _ if says(&OF_SIZE) => Refusal::TooMuch,
        413 | 504 => Refusal::TooMuch,
        400 if message.starts_with("bad_data") => Refusal::Other,
        _ => Refusal::Unclear,
    }
}

/// True when a smaller slice of time may well be answered where this one was not: then it is not asked for again.
pub(crate) fn is_too_much(error: &Error) -> bool {
    matches!(judge(error), Refusal::TooLong | Refusal::TooMuch)
}

/// The sizes that a server refused, so that nobody asks for them again.
#[derive(Debug)]
pub(crate) struct Limits {
    /// Nothing longer than this is asked for, of any metric.
    of_all_ms: AtomicU64,
    /// The same of one metric.
    of_metric_ms: Mutex<HashMap<String, u64>>,
    /// Metrics of which a refusal that is not understood was answered by half the time.
    guessed: Mutex<HashSet<String>>,
}

impl Default for Limits {
    fn default() -> Self {
        Self { of_all_ms: AtomicU64::new(u64::MAX), of_metric_ms: Mutex::default(), guessed: Mutex::default() }
    }
}

impl Limits {
    /// The longest time to ask for, in milliseconds.
    pub(crate) fn longest_ms(&self, metric: &str) -> u64 {
        let of_metric = self.of_metric_ms.lock().unwrap_or_else(PoisonError::into_inner).get(metric).copied();
        of_metric.unwrap_or(u64::MAX).min(self.of_all_ms.load(Ordering::Relaxed))
    }

    fn may_guess(&self, metric: &str) -> bool {
        let mut guessed = self.guessed.lock().unwrap_or_else(PoisonError::into_inner);
        guessed.len() < GUESSES && guessed.insert(metric.to_owned())
    }

    /// Whether a refused slice is to be halved; then no longer one than half of it will be asked for.
    pub(crate) fn learn(&self, metric: &str, slice: TimeRange, error: &Error) -> bool {
        let half = slice.len_ms().div_ceil(2);
        match judge(error) {
            Refusal::Other => return false,
            Refusal::Unclear if slice.len_ms() <= SHORTEST_GUESS_MS || !self.may_guess(metric) => return false,
            Refusal::TooLong => {
                self.of_all_ms.fetch_min(half, Ordering::Relaxed);
            }
            Refusal::TooMuch | Refusal::Unclear => {
                let mut of_metric = self.of_metric_ms.lock().unwrap_or_else(PoisonError::into_inner);
                let known = of_metric.entry(metric.to_owned()).or_insert(half);
                *known = half.min(*known);
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn rejected(status: u16, message: &str) -> Error {
        let (url, message) = (String::new(), message.to_owned());
        match status {
            429 | 502..=504 => Error::Busy { url, status, message, retry_after: None },
            500.. => Error::Server { url, kind: format!("HTTP {status}"), message },
            _ => Error::Rejected { url, status, message },
        }
    }

    #[rstest]
    #[case(422, "execution: query processing would load too many samples into memory in query execution")]
    #[case(
        400,
        "bad_data: exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution"
    )]
    #[case(
        500,
        "expanding series: rpc error: code = ResourceExhausted desc = grpc: received message larger than max (4196352 vs. 4194304)"
    )]
    #[case(
        503,
        "expanding series: proxy Series(): rpc error: code = Aborted desc = receive series from Addr: rpc error: code = ResourceExhausted desc = exceeded series limit: limit 1000 violated (got 1001)"
    )]
    #[case(
        422,
        "error when searching: cannot select more than -search.maxSamplesPerQuery=1000 samples; possible solutions: increase the -search.maxSamplesPerQuery"
    )]
    #[case(
        422,
        "the query exceeded the maximum number of series (limit: 100000 series) (err-mimir-max-series-per-query)"
    )]
    #[case(
        422,
        "the query exceeded the aggregated chunks size limit (limit: 1 bytes) (err-mimir-max-chunks-bytes-per-query)"
    )]
    #[case(400, "exceeded sample limit (50000000)")]
    #[case(503, "timeout: query timed out in expression evaluation")]
    #[case(413, "")]
    #[case(504, "")]
    #[case(500, "too many series matched, see --querier.max-series")]
    fn sizes_in_every_wording(#[case] status: u16, #[case] words: &str) {
        assert_eq!(judge(&rejected(status, words)), Refusal::TooMuch);
    }

    #[rstest]
    #[case(422, "the query time range exceeds the limit (query length: 336h0m0s, limit: 1h0m0s)")]
    #[case(400, "bad_data: the total query time range exceeds the limit (err-mimir-max-total-query-length)")]
    #[case(500, "time range exceeds the limit")]
    #[case(422, "invalid query, length > limit (query length: 720h0m0s, limit: 24h0m0s)")]
    fn times_in_every_wording(#[case] status: u16, #[case] words: &str) {
        assert_eq!(judge(&rejected(status, words)), Refusal::TooLong);
    }

    #[rstest]
    #[case(429, "too many requests", Refusal::Other)]
    #[case(
        429,
        "the request has been rejected because the tenant exceeded the request rate limit (err-mimir-tenant-max-request-rate)",
        Refusal::Other
    )]
    #[case(503, "too many outstanding requests", Refusal::Other)]
    #[case(400, "bad_data: 1:9: parse error: unexpected end of input, too many braces", Refusal::Other)]
    #[case(501, "not implemented", Refusal::Other)]
    #[case(500, "boom", Refusal::Unclear)]
    #[case(429, "", Refusal::Unclear)]
    #[case(502, "bad gateway: upstream limit", Refusal::Unclear)]
    fn what_is_no_size(#[case] status: u16, #[case] words: &str, #[case] refusal: Refusal) {
        assert_eq!(judge(&rejected(status, words)), refusal);
    }

    #[test]
    fn what_was_refused_once_is_not_asked_for_again() {
        let hours = |n: i64| TimeRange { start_ms: 0, end_ms: n * 3_600_000 - 1 };
        let limits = Limits::default();
        assert!(limits.learn("a", hours(8), &rejected(422, "too many samples")));
        assert_eq!((limits.longest_ms("a"), limits.longest_ms("b")), (4 * 3_600_000, u64::MAX));
        assert!(limits.learn("a", hours(4), &rejected(500, "time range exceeds the limit")));
        assert_eq!((limits.longest_ms("a"), limits.longest_ms("b")), (2 * 3_600_000, 2 * 3_600_000));
        assert!(!limits.learn("a", hours(1), &rejected(500, "boom")), "too short for a guess");
        let guesses = ["a", "a", "b", "c", "d"].map(|metric| limits.learn(metric, hours(2), &rejected(500, "boom")));
        assert_eq!(guesses, [true, false, true, true, false]);
    }
}
