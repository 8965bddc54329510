//! The wire as a user meets it: a real Prometheus, and servers that misbehave.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail loudly in its helpers too")]

#[path = "prometheus_wire/answers.rs"]
mod answers;
#[path = "prometheus_wire/certificates.rs"]
mod certificates;
#[path = "prometheus_wire/faults.rs"]
mod faults;
#[path = "prometheus_wire/limits.rs"]
mod limits;
#[path = "support/prometheus_server.rs"]
#[allow(dead_code, reason = "each test binary uses a part of it")]
mod prometheus_server;
#[path = "prometheus_wire/real.rs"]
mod real;
#[path = "prometheus_wire/speed.rs"]
mod speed;
#[path = "prometheus_wire/streams.rs"]
mod streams;
#[path = "prometheus_wire/tokens.rs"]
mod tokens;

use std::collections::BTreeMap;

use podfit::prometheus::{Error, SampleStream, TimeRange};

/// Samples of `tests/prometheus_wire/history.om`, from before its first to after its last.
const ALL: TimeRange = TimeRange { start_ms: 1_699_999_000_000, end_ms: 1_700_010_000_000 };
const HISTORY: &str = include_str!("prometheus_wire/history.om");

/// `case` label → time and value.
type ByCase = BTreeMap<String, Vec<(i64, f64)>>;

/// What was written, read without any code under test.
fn written() -> ByCase {
    let mut out = ByCase::new();
    for line in HISTORY.lines().filter(|l| l.starts_with("wire{")) {
        let case = line.split('"').nth(1).unwrap();
        let words: Vec<&str> = line.rsplitn(3, ' ').collect();
        let at_ms = (words[0].parse::<f64>().unwrap() * 1000.0).round() as i64;
        let value: f64 = words[1].parse().unwrap();
        if !value.is_nan() {
            out.entry(case.to_owned()).or_default().push((at_ms, value));
        }
    }
    out
}

/// Everything that a stream gives until its end or its error.
async fn collect(mut stream: SampleStream) -> (ByCase, Option<Error>) {
    let mut out = ByCase::new();
    while let Some(chunk) = stream.recv().await {
        match chunk {
            Ok(chunk) => {
                assert!(chunk.samples.len() <= 4096 && chunk.samples.is_sorted_by(|a, b| a.at_ms < b.at_ms));
                assert_eq!(chunk.labels.get("__name__"), None);
                let series = out.entry(chunk.labels.get("case").unwrap_or("").to_owned()).or_default();
                assert!(series.last().is_none_or(|s| s.0 < chunk.samples[0].at_ms), "chunks in time order");
                series.extend(chunk.samples.iter().map(|s| (s.at_ms, s.value)));
            }
            Err(error) => return (out, Some(error)),
        }
    }
    (out, None)
}
