//! The query API: raw range vectors by instant queries over slices of time, and the last sample of each series.
//! Knows nothing of remote read.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use super::answer::{ApiResponse, parse};
use super::body::Body;
use super::error::Error;
use super::http::Failure;
use super::json::{Parser, Problem};
use super::labels::Labels;
use super::limits::is_too_much;
use super::sample::TimeRange;
use super::selector::Selector;
use super::server::Server;
use super::sink::{Halt, Sink};
use super::slices::{GROWTH, SILENT_TRIES, Slices, is_silence, too_much};

/// The shortest time whose last samples are asked for, in milliseconds.
const SHORTEST_MS: u64 = 60_000;
/// A server that counts for longer than this is not asked for much at once.
const COUNT_PATIENCE: Duration = Duration::from_secs(5);
/// The longest answer to a question for one number.
const COUNT_CAP: usize = 1 << 16;

/// Streams all samples of a selector, slice by slice in order of time.
pub(crate) async fn samples(server: &Server, selector: &Selector, range: TimeRange, sink: &Sink) -> Result<(), Halt> {
    let mut slices = server.slices(range);
    slices.bound(server.limits.longest_ms(&selector.metric));
    while let Some(slice) = slices.current() {
        // A range ends at the time of the query. Prometheus 3 leaves its start out, Prometheus 2 takes it in: ask for
        // one millisecond more than is wanted and drop what is outside.
        let query = format!("{selector}[{}ms]", slice.len_ms());
        sink.mark();
        match retrying(server, &query, slice, sink, |_| true).await {
            Ok(samples) => slices.advance(samples),
            Err(halt) => shrink(server, &selector.metric, &mut slices, slice, sink, halt)?,
        }
        slices.bound(server.limits.longest_ms(&selector.metric));
    }
    Ok(())
}

/// Sends the last sample of each series, its time being the end of the range. Where the range has to be cut, the latest
/// slice comes first and a series is sent once.
pub(crate) async fn last(server: &Server, selector: &Selector, range: TimeRange, sink: &Sink) -> Result<(), Halt> {
    let mut seen: HashSet<Arc<Labels>> = HashSet::new();
    let (mut rest, mut length_ms, mut silent) = (range, range.len_ms(), 0);
    while rest.len_ms() > 0 {
        length_ms = length_ms.min(server.limits.longest_ms(&selector.metric)).max(SHORTEST_MS).min(rest.len_ms());
        let slice = TimeRange { start_ms: rest.end_ms.saturating_sub_unsigned(length_ms - 1), end_ms: rest.end_ms };
        let query = format!("last_over_time({selector}[{length_ms}ms])");
        sink.mark();
        // One answer says every series once.
        let fresh = |labels: &Arc<Labels>| slice == range || seen.insert(labels.clone());
        match retrying(server, &query, slice, sink, fresh).await {
            Ok(_) if slice.start_ms == rest.start_ms => break,
            Ok(_) => {
                rest.end_ms = slice.start_ms - 1;
                length_ms = length_ms.saturating_mul(GROWTH);
            }
            Err(Halt::Failed(error)) if !sink.delivered() => {
                silent += u32::from(is_silence(&error));
                if !server.limits.learn(&selector.metric, slice, &error) {
                    return Err(error.into());
                }
                if length_ms / 2 < SHORTEST_MS || silent > SILENT_TRIES {
                    return Err(too_much(error, slice).into());
                }
                length_ms = length_ms.div_ceil(2);
            }
            Err(halt) => return Err(halt),
        }
    }
    Ok(())
}

/// Sends one sample of each series whose value is not the same all over the range, as the server finds them.
pub(crate) async fn changed(server: &Server, selector: &Selector, range: TimeRange, sink: &Sink) -> Result<(), Halt> {
    // The spread of equal values is exactly 0, on every server; `changes` of VictoriaMetrics counts a beginning too.
    let query = format!("stddev_over_time({selector}[{}ms]) > 0", range.len_ms());
    retrying(server, &query, range, sink, |_| true).await.map(|_| ())
}

/// How many samples there are, as the server counts them, each series as at least `least`. Asked once: without an answer the caller goes on carefully,
/// and what is wrong with the server shows when it is asked for the samples.
pub(crate) async fn count(server: &Server, selector: &Selector, range: TimeRange, least: u64) -> Option<u64> {
    let params = [
        ("query", format!("sum(clamp_min(count_over_time({selector}[{}ms]), {least}))", range.len_ms())),
        ("time", seconds(range.end_ms)),
        ("timeout", format!("{}ms", COUNT_PATIENCE.as_millis())),
    ];
    let asked = async {
        let mut body = server.http.ask("api/v1/query", &params).await?.reject_page()?;
        let answer: ApiResponse<serde_json::Value> = parse(&server.http, &body.read_all(COUNT_CAP).await?)?;
        Ok::<_, Error>(answer.data)
    };
    let data = tokio::time::timeout(COUNT_PATIENCE, asked).await.ok()?.ok()??;
    if data.pointer("/result")?.as_array()?.is_empty() {
        return Some(0);
    }
    let samples: f64 = data.pointer("/result/0/value/1")?.as_str()?.parse().ok()?;
    (samples >= 0.0).then_some(samples as u64)
}

/// Makes the slices smaller when the server found one too large and nothing of it was delivered; else the error stands.
pub(crate) fn shrink(
    server: &Server,
    metric: &str,
    slices: &mut Slices,
    slice: TimeRange,
    sink: &Sink,
    halt: Halt,
) -> Result<(), Halt> {
    match halt {
        Halt::Failed(error) if !sink.delivered() && server.limits.learn(metric, slice, &error) => {
            if slices.halve(&error) { Ok(()) } else { Err(too_much(error, slice).into()) }
        }
        other => Err(other),
    }
}

/// One query with retries: allowed as long as nothing of it was delivered.
async fn retrying(
    server: &Server,
    query: &str,
    slice: TimeRange,
    sink: &Sink,
    fresh: impl FnMut(&Arc<Labels>) -> bool,
) -> Result<u64, Halt> {
    let fresh = tokio::sync::Mutex::new(fresh);
    server
        .http
        .retrying(
            async || {
                let mut fresh = fresh.lock().await;
                once(server, query, slice, sink, &mut *fresh).await
            },
            |halt: &Halt| halt.error().is_some_and(|e| e.is_transient() && !is_too_much(e)) && !sink.delivered(),
        )
        .await
}

/// One query, parsed as it comes; the number of samples.
async fn once(
    server: &Server,
    query: &str,
    slice: TimeRange,
    sink: &Sink,
    fresh: &mut impl FnMut(&Arc<Labels>) -> bool,
) -> Result<u64, Halt> {
    let params = [
        ("query", query.to_owned()),
        ("time", seconds(slice.end_ms)),
        // A little less than our own patience, so that the server says why before we hang up.
        ("timeout", format!("{}ms", server.timeout.as_millis().saturating_mul(9) / 10)),
    ];
    let mut body = server.http.ask("api/v1/query", &params).await?.reject_page()?;
    let mut parser = Parser::new(slice);
    let mut pieces = Vec::new();
    while let Some(bytes) = body.chunk().await? {
        parser.feed(&bytes, &mut pieces).map_err(|p| failure(server, &body, p))?;
        for piece in pieces.drain(..) {
            if fresh(&piece.labels) {
                sink.send(piece).await?;
            }
        }
        sink.flush().await?;
    }
    parser.finish().map_err(|p| failure(server, &body, p))?;
    server.count(body.bytes(), parser.samples, parser.histograms);
    server.remark(&parser.notes, parser.is_partial);
    Ok(parser.samples)
}

/// A parser's problem with the address it came from.
fn failure(server: &Server, body: &Body, problem: Problem) -> Error {
    let url = server.http.shown().to_owned();
    let error = match problem {
        Problem::Malformed { at, what } => Error::Json { url, at, problem: what },
        Problem::Page => Error::NotPrometheus { url, what: "it answers with a web page".to_owned() },
        Problem::Truncated => {
            Error::Truncated { url, bytes: body.bytes(), cause: "the JSON stops in the middle".to_owned() }
        }
        Problem::Server { kind, message } => Error::Server { url, kind, message },
    };
    server.http.secrets.struck(error)
}

/// Milliseconds as the seconds of the API.
pub(crate) fn seconds(at_ms: i64) -> String {
    let sign = if at_ms < 0 { "-" } else { "" };
    let ms = at_ms.unsigned_abs();
    format!("{sign}{}.{:03}", ms / 1000, ms % 1000)
}

#[cfg(test)]
mod tests {
    use super::seconds;

    #[test]
    fn times_keep_their_milliseconds() {
        assert_eq!(seconds(1_700_000_000_007), "1700000000.007");
        assert_eq!(seconds(-1), "-0.001");
        assert_eq!(seconds(0), "0.000");
    }
}
