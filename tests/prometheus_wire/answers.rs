//! Answers that are not what was asked for: compressed, without an end, not whole, by another method only.

use std::io::Write;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use podfit::prometheus::{Client, Config, Mode, SeriesSource};
use rstest::rstest;

use crate::faults::{Fault, ONE, message, run, status};

#[rstest]
#[case(403, "forbidden by policy")]
#[case(404, "404 page not found")]
#[case(405, "method not allowed")]
#[case(501, "not implemented")]
#[tokio::test]
async fn where_post_is_refused_get_is_used_from_then_on(#[case] code: u16, #[case] words: &'static str) {
    let server =
        Fault::start(move |hit, _| if hit.body.is_empty() { status(200, ONE) } else { status(code, words) }).await;
    let client = server.client(Mode::Query);
    for _ in 0..3 {
        assert_eq!(run(&client).await.0["a"].len(), 2);
    }
    let hits = server.hits();
    assert_eq!((hits.len(), hits.iter().filter(|hit| !hit.body.is_empty()).count()), (4, 1));
    assert!(hits[1].path.starts_with("/prom/api/v1/query?query=wire%5B11000001ms%5D&time=1700010000.000"));
    assert!(hits[1].path.contains("&dedup=true") && hits[1].path.contains("&key=hunter2"));
    assert_eq!(hits[1].headers["authorization"], "Basic bWU6aHVudGVyMg==");
}

#[tokio::test]
async fn an_answer_that_is_compressed_unasked_is_unpacked() {
    let server = Fault::start(|_, _| {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        packed.write_all(ONE.as_bytes()).unwrap();
        ([("content-encoding", "gzip")], packed.finish().unwrap()).into_response()
    })
    .await;
    let (got, error) = run(&server.client(Mode::Query)).await;
    assert!(error.is_none(), "{error:?}");
    assert_eq!(got["a"].len(), 2);
    assert_eq!(server.hits()[0].headers["accept-encoding"], "identity", "it is not asked for");
}

/// A body that goes on for ever, a piece at a time.
fn for_ever(piece: &'static [u8], pause: Duration) -> Response {
    let head = futures::stream::iter([Bytes::from_static(&ONE.as_bytes()[..ONE.len() - 1])]);
    let rest = futures::stream::repeat(Bytes::from_static(piece)).then(move |piece| async move {
        tokio::time::sleep(pause).await;
        piece
    });
    Body::from_stream(head.chain(rest).map(Ok::<_, std::io::Error>)).into_response()
}

#[tokio::test]
async fn an_answer_that_drips_has_an_end() {
    let server = Fault::start(|_, _| for_ever(b" ", Duration::from_millis(10))).await;
    let config = Config { whole_answer: Duration::from_millis(200), retries: 0, ..server.config(Mode::Query) };
    let text = message(&Client::new(&config).unwrap()).await;
    assert!(text.contains("was not whole after 0 s (") && text.contains("raise the timeout"), "{text}");
}

#[tokio::test]
async fn an_answer_without_an_end_has_one() {
    let server = Fault::start(|_, _| for_ever(&[b' '; 16_384], Duration::ZERO)).await;
    let config = Config { max_answer_bytes: 1 << 20, retries: 0, ..server.config(Mode::Query) };
    let text = message(&Client::new(&config).unwrap()).await;
    assert!(text.contains("is longer than 1048576 bytes; ask for fewer namespaces"), "{text}");
}

/// What unpacks to more than it is counts as what it unpacks to.
#[tokio::test]
async fn a_compressed_answer_without_an_end_has_one() {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(&ONE.as_bytes()[..ONE.len() - 1]).unwrap();
    packed.write_all(&vec![b' '; 4 << 20]).unwrap();
    let packed = packed.finish().unwrap();
    assert!(packed.len() < 1 << 20);
    let server = Fault::start(move |_, _| ([("content-encoding", "gzip")], packed.clone()).into_response()).await;
    let config = Config { max_answer_bytes: 1 << 20, retries: 0, ..server.config(Mode::Query) };
    let text = message(&Client::new(&config).unwrap()).await;
    assert!(text.contains("is longer than 1048576 bytes"), "{text}");
}

const MATRIX: &str = r#""data":{"resultType":"matrix","result":[]}"#;

#[rstest]
#[case::thanos(r#""warnings":["No StoreAPIs matched for this query"]"#, &["No StoreAPIs matched for this query"], &[])]
#[case::prometheus_cut(r#""warnings":["results truncated due to limit"]"#, &["results truncated due to limit"], &[])]
#[case::victoria(r#""isPartial":true"#, &["isPartial: true"], &[])]
#[case::victoria_whole(r#""isPartial":false"#, &[], &[])]
#[case::remark(r#""infos":["PromQL info: metric might not be a counter"]"#, &[], &[])]
#[case::older_remark(
    r#""warnings":["PromQL info: metric might not be a counter", "PromQL warning: mixed classic and native"]"#,
    &[],
    &["PromQL info: metric might not be a counter", "PromQL warning: mixed classic and native"]
)]
#[case::secret(
    r#""warnings":["GET http://store/?key=hunter2 for tenant hunter2: Basic bWU6aHVudGVyMg==\u001b[0m: down"]"#,
    &["GET http://store/?key=*** for tenant ***: Basic *** [0m: down"],
    &[]
)]
#[tokio::test]
async fn what_is_not_whole_is_told_from_remarks(
    #[case] more: &'static str,
    #[case] incomplete: &[&str],
    #[case] warnings: &[&str],
) {
    let server = Fault::start(move |_, _| format!(r#"{{"status":"success",{more},{MATRIX}}}"#).into_response()).await;
    let client = server.client(Mode::Query);
    for _ in 0..2 {
        assert!(run(&client).await.1.is_none());
        assert_eq!(client.take_incomplete(), incomplete);
        assert_eq!(client.take_incomplete(), Vec::<String>::new());
    }
    assert_eq!(client.warnings(), warnings);
}

#[tokio::test]
async fn a_warning_of_any_length_is_bounded() {
    let server = Fault::start(move |_, _| {
        let words = "x".repeat(100_000);
        format!(r#"{{"status":"success","warnings":["{words}"],{MATRIX}}}"#).into_response()
    })
    .await;
    let client = server.client(Mode::Query);
    assert!(run(&client).await.1.is_none());
    assert_eq!(client.take_incomplete()[0].chars().count(), 301);
}

#[tokio::test]
async fn a_refusal_repeats_no_secret() {
    let server = Fault::start(|_, _| status(422, "boom at /api/v1/query?key=hunter2")).await;
    let client = Client::new(&Config { retries: 0, ..server.config(Mode::Query) }).unwrap();
    let text = message(&client).await;
    assert!(text.contains("boom at /api/v1/query?key=***"), "{text}");
}
