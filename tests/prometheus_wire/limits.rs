//! Servers that find a question too large, in their own words: they get smaller ones, and no other too large one.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use podfit::prometheus::{Client, Config, Mode, SeriesSource, TimeRange};
use rstest::rstest;

use crate::faults::{EMPTY, Fault, Hit, ONE, message, run, status};
use crate::streams::streamed;
use crate::{ALL, collect};

const HOUR_MS: u64 = 3_600_000;
/// Two weeks, as they are asked for.
const WEEKS: TimeRange = TimeRange { start_ms: ALL.end_ms - 14 * 24 * HOUR_MS.cast_signed(), end_ms: ALL.end_ms };

/// The length that a question asks for, in milliseconds.
fn length(hit: &Hit) -> u64 {
    let query = format!("{}{}", hit.path, String::from_utf8_lossy(&hit.body));
    let (_, rest) = query.split_once("%5B").unwrap();
    rest.split_once("ms").unwrap().0.parse().unwrap()
}

#[rstest]
#[case::prometheus(422, r#"{"status":"error","errorType":"execution","error":"query processing would load too many samples into memory in query execution"}"#)]
#[case::resolution(400, r#"{"status":"error","errorType":"bad_data","error":"exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)"}"#)]
#[case::mimir_time(422, r#"{"status":"error","errorType":"execution","error":"the total query time range exceeds the limit (query length: 336h0m0s, limit: 1h0m0s) (err-mimir-max-total-query-length)"}"#)]
#[case::mimir_series(422, r#"{"status":"error","error":"the query exceeded the maximum number of series (limit: 1000 series) (err-mimir-max-series-per-query)"}"#)]
#[case::cortex(
    422,
    r#"{"status":"error","error":"the query hit the max number of chunks limit while fetching chunks (limit: 1)"}"#
)]
#[case::thanos_message(500, r#"{"status":"error","errorType":"internal","error":"expanding series: proxy Series(): rpc error: code = ResourceExhausted desc = grpc: received message larger than max (10 vs. 4)"}"#)]
#[case::thanos_series(
    503,
    "expanding series: rpc error: code = Aborted desc = exceeded series limit: limit 10 violated (got 11)"
)]
#[case::victoria(422, r#"{"status":"error","errorType":"422","error":"cannot execute query: cannot select more than -search.maxSamplesPerQuery=10 samples; possible solutions"}"#)]
#[case::older(500, "time range exceeds the limit")]
#[case::plain(400, "time range exceeds the limit")]
#[case::entity(413, "Request Entity Too Large")]
#[case::gateway(504, "<html><title>504 Gateway Time-out</title>")]
#[case::grafana_cloud(
    429,
    r#"{"status":"error","error":"the query exceeds the maximum of 5000 series, try a shorter range"}"#
)]
#[tokio::test]
async fn limits_in_every_wording(#[case] code: u16, #[case] words: &'static str, #[values(false, true)] last: bool) {
    let server = Fault::start(move |hit, _| match length(hit) {
        length if length > HOUR_MS => status(code, words),
        _ => status(200, EMPTY),
    })
    .await;
    let client = Client::new(&Config { retries: 0, ..server.config(Mode::Query) }).unwrap();
    let selector = podfit::prometheus::Selector::metric("wire");
    let stream = if last { client.last(&selector, ALL).await } else { client.samples(&selector, ALL).await };
    assert!(collect(stream.unwrap()).await.1.is_none());
    let hits = server.hits();
    let refused = hits.iter().filter(|hit| length(hit) > HOUR_MS).count();
    // Of three hours: all, a half; then quarters.
    assert_eq!((refused, hits.len() - refused), (2, 4));
}

const DAYS: TimeRange = TimeRange { start_ms: ALL.end_ms - 3 * 24 * HOUR_MS.cast_signed(), end_ms: ALL.end_ms };

#[tokio::test]
async fn what_was_refused_is_not_asked_for_again() {
    let server = Fault::start(|hit, _| match length(hit) {
        length if length > HOUR_MS => status(422, "the query time range exceeds the limit (limit: 1h)"),
        _ => status(200, EMPTY),
    })
    .await;
    let client = server.client(Mode::Query);
    for round in 0..2 {
        for metric in ["a", "b", "c"] {
            let selector = podfit::prometheus::Selector::metric(metric);
            assert!(collect(client.samples(&selector, DAYS).await.unwrap()).await.1.is_none());
            assert!(collect(client.last(&selector, DAYS).await.unwrap()).await.1.is_none());
        }
        let refused = server.hits().iter().filter(|hit| length(hit) > HOUR_MS).count();
        assert!(refused <= 9, "{refused} in {round}");
    }
}

#[tokio::test]
async fn a_limit_on_samples_is_that_of_one_metric() {
    let server = Fault::start(|hit, _| {
        let dense = String::from_utf8_lossy(&hit.body).contains("query=dense");
        if dense && length(hit) > 24 * HOUR_MS { status(422, "too many samples") } else { status(200, EMPTY) }
    })
    .await;
    let client = server.client(Mode::Query);
    for metric in ["dense", "thin", "dense", "thin"] {
        let selector = podfit::prometheus::Selector::metric(metric);
        assert!(collect(client.samples(&selector, WEEKS).await.unwrap()).await.1.is_none());
    }
    let of = |metric: &str| {
        let mut lengths: Vec<u64> = server
            .hits()
            .iter()
            .filter(|hit| String::from_utf8_lossy(&hit.body).contains(&format!("query={metric}")))
            .map(length)
            .collect();
        lengths.sort_unstable();
        lengths.last().copied().unwrap()
    };
    assert!(of("thin") > 7 * 24 * HOUR_MS);
    let is_refused =
        |hit: &&Hit| String::from_utf8_lossy(&hit.body).contains("query=dense") && length(hit) > 24 * HOUR_MS;
    let refused = server.hits().iter().filter(is_refused).count();
    assert!(refused <= 4);
}

#[rstest]
#[case(500, "boom")]
#[case(422, "computer says no")]
#[case(429, "")]
#[tokio::test]
async fn what_is_not_understood_is_tried_with_half_once(#[case] code: u16, #[case] words: &'static str) {
    for helps in [true, false] {
        let server = Fault::start(move |hit, _| match length(hit) {
            length if length > 2 * HOUR_MS || !helps => status(code, words),
            _ => status(200, EMPTY),
        })
        .await;
        let client = Client::new(&Config { retries: 0, ..server.config(Mode::Query) }).unwrap();
        assert_eq!(run(&client).await.1.is_none(), helps);
        assert_eq!(server.hits().len(), if helps { 3 } else { 2 });
    }
}

#[tokio::test]
async fn a_rate_that_is_too_high_is_waited_for_and_not_cut() {
    let server = Fault::start(|_, before| match before {
        0..3 => (
            StatusCode::TOO_MANY_REQUESTS,
            [("retry-after", "0")],
            "the request has been rejected because the tenant exceeded the request rate limit, set to 10 requests/s",
        )
            .into_response(),
        _ => status(200, ONE),
    })
    .await;
    let client = server.client(Mode::Query);
    assert_eq!(run(&client).await.0["a"].len(), 2);
    assert!(server.hits().iter().all(|hit| length(hit) == server.hits().iter().map(length).max().unwrap()));
}

#[tokio::test]
async fn remote_read_too_is_asked_for_less() {
    let server = Fault::start(|hit, before| match (hit.path.contains("/read"), before) {
        (true, 1) => status(422, "the query exceeded the maximum number of chunks (err-mimir-max-chunks-per-query)"),
        (true, _) => streamed(vec![]),
        _ => status(200, r#"{"status":"success","data":{"resultType":"scalar","result":[1,"1"]}}"#),
    })
    .await;
    assert!(run(&server.client(Mode::RemoteRead)).await.1.is_none());
    // The probe, the whole that is refused, two halves.
    assert_eq!(server.hits().iter().filter(|hit| hit.path.contains("/read")).count(), 4);
}

/// A server that fails every other request for ever gets no end of tries.
#[tokio::test]
async fn tries_are_counted_over_the_whole_collection() {
    let server = Fault::start(|_, before| match before % 2 {
        0 => wait_nothing(),
        _ => status(200, EMPTY),
    })
    .await;
    let client = Client::new(&Config { retries: 1, ..server.config(Mode::Query) }).unwrap();
    for _ in 0..50 {
        assert!(run(&client).await.1.is_none());
    }
    assert_eq!(client.stats().retries, 50);
    let text = message(&client).await;
    assert!(
        text.contains("is overloaded or down (HTTP 503): wait; it asks to wait 0 s")
            && text.contains("50 requests of this collection were tried again before, which is enough"),
        "{text}"
    );
}

fn wait_nothing() -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", "0")], "wait").into_response()
}
