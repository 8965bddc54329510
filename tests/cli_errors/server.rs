//! A Prometheus that is away, refuses, breaks off, is silent or is something else, at the first question or later:
//! one line, and a store that goes on as if nothing had been.

use axum::body::Bytes;
use rstest::rstest;

use super::support::cli::{NOON_TEXT, podfit, run};
use super::support::fault_server::{Answer, FaultServer, Hit, break_off, say, say_with};
use super::{BEFORE_TEXT, nightly, recommend, remember, undisturbed};

type Fault = fn(&Hit, usize) -> Option<Answer>;

const STREAMED: &[u8] = include_bytes!("../prometheus_wire/streamed-2.42.bin");
const STREAM: &str = "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse";
const HALF: &str = r#"{"status":"success","data":{"resultType":"matrix","res"#;

#[rstest]
#[case::unauthorized(|_: &Hit, _| say(401, "no\n\u{1b}[31mway"), "refuses the credentials (HTTP 401): no [31mway; give a user and password (--prometheus-user")]
#[case::forbidden(|_: &Hit, _| say(403, ""), "refuses the credentials (HTTP 403); give a user and password (--prometheus-user")]
#[case::not_found(
    |_: &Hit, _| say(404, "<html><title>Grafana</title>"),
    "is not a Prometheus API (HTTP 404 «Grafana»); is it Grafana or a proxy? give the address that serves /api/v1/query"
)]
#[case::web_page(
    |_: &Hit, _| say_with(200, &[("content-type", "text/html")], "<html>Log in"),
    "is not a Prometheus API (it answers with a web page); is it Grafana"
)]
#[case::status_error(
    |_: &Hit, _| say(200, r#"{"status":"error","errorType":"internal","error":"no\tdisk"}"#),
    "answered with an error (internal): no disk; run again"
)]
#[case::redirect_loop(
    |hit: &Hit, _| say_with(302, &[("location", &format!("{}?token=hunter2", hit.path))], ""),
    "/prom/api/v1/query; give the address that serves /api/v1/query itself"
)]
#[case::overload(
    |_: &Hit, _| say_with(503, &[("retry-after", "0")], "full"),
    "is overloaded or down (HTTP 503): full; it asks to wait 0 s; run again then"
)]
#[case::silence(|_: &Hit, _| Some(Answer::Silence), "gave no answer for 1 s; raise the timeout (--prometheus-timeout)")]
fn a_server_that_fails(#[case] fault: Fault, #[case] words: &str, #[values(false, true)] later: bool) {
    a_fault_loses_nothing(
        move |hit: &Hit, before| if later && hit.is_probe() { None } else { fault(hit, before) },
        "query",
        words,
    );
}

#[rstest]
#[case::too_many_samples(
    |hit: &Hit, _| if hit.is_probe() { None } else { say(422, r#"{"status":"error","errorType":"execution","error":"query processing would load too many samples into memory"}"#) },
    "query",
    "raise its sample limit (--query.max-samples of Prometheus), or ask for fewer namespaces with -n"
)]
#[case::cut_json(
    |hit: &Hit, _| if hit.is_probe() { None } else { say(200, HALF) },
    "query",
    "broke off after 54 bytes: the JSON stops in the middle; run again"
)]
#[case::cut_at_the_first_question(
    |_: &Hit, _| say(200, HALF),
    "query",
    "its answer is not that of the query API"
)]
#[case::broken_connection(
    |hit: &Hit, _| if hit.is_probe() { None } else { break_off("application/json", HALF.as_bytes()) },
    "query",
    "broke off after 54 bytes: "
)]
#[case::not_json(
    |hit: &Hit, _| if hit.is_probe() { None } else { say(200, "hello ") },
    "query",
    "is not valid at byte 5: an object was expected; look for a proxy"
)]
#[case::no_remote_read(
    |hit: &Hit, _| if hit.path.ends_with("/read") { say(404, "404 page not found") } else { None },
    "remote-read",
    "offers no remote read (it does not answer at /api/v1/read); use the query API instead (--prometheus-read query)"
)]
#[case::damaged_frame(
    |hit: &Hit, before| remote(hit, before, || say_with(200, &[("content-type", STREAM)], flipped())),
    "remote-read",
    "is damaged (CRC-32C "
)]
#[case::cut_stream(
    |hit: &Hit, before| remote(hit, before, || break_off(STREAM, &STREAMED[..2_000])),
    "remote-read",
    "broke off after 2000 bytes: "
)]
#[case::cut_frame(
    |hit: &Hit, before| remote(hit, before, || say_with(200, &[("content-type", STREAM)], &STREAMED[..STREAMED.len() - 1])),
    "remote-read",
    "the last frame is not whole"
)]
fn an_answer_that_is_broken(#[case] fault: Fault, #[case] transport: &str, #[case] words: &str) {
    a_fault_loses_nothing(fault, transport, words);
}

/// Remote read that is on offer and then fails.
fn remote(hit: &Hit, before: usize, fault: impl Fn() -> Option<Answer>) -> Option<Answer> {
    match (hit.path.ends_with("/read"), before) {
        (true, 0) => say_with(200, &[("content-type", STREAM)], ""),
        (true, _) => fault(),
        (false, _) => None,
    }
}

/// The recorded stream with one bit changed inside its first frame.
fn flipped() -> Bytes {
    let mut bytes = STREAMED.to_vec();
    bytes[40] ^= 0x10;
    bytes.into()
}

/// A good run into a store, a run that the fault ends, a good run that ends with what one run alone says.
#[track_caller]
fn a_fault_loses_nothing(
    fault: impl Fn(&Hit, usize) -> Option<Answer> + Send + Sync + 'static,
    transport: &str,
    words: &str,
) {
    let server = FaultServer::start(nightly());
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("history.redb");
    run(&mut remember(&server, BEFORE_TEXT, &store)).report();
    let read = server.hits().len();

    server.script(fault);
    let failed = run(remember(&server, NOON_TEXT, &store).args([
        "--prometheus-read",
        transport,
        "--prometheus-retries",
        "1",
        "--prometheus-timeout",
        "1",
    ]));
    failed.refused_with(&[words, &server.shown()]);

    server.heal();
    let after = run(&mut remember(&server, NOON_TEXT, &store)).report();
    assert_eq!(after["workloads"], undisturbed()["workloads"]);
    assert!(server.hits().len() < read, "it asked for what it had");
}

#[test]
fn a_server_that_is_overloaded_for_a_while() {
    let server = FaultServer::start(nightly());
    server.script(|hit, before| {
        let busy = hit.path.ends_with("/query") && matches!(before, 0 | 1 | 5);
        busy.then(|| say_with(503, &[("retry-after", "0")], "full")).flatten()
    });
    assert_eq!(run(&mut recommend(&server, NOON_TEXT)).report(), *undisturbed());
}

#[test]
fn tries_are_counted() {
    let server = FaultServer::start(nightly());
    for retries in [0, 2] {
        server.script(|_, _| say_with(503, &[("retry-after", "0")], "full"));
        run(recommend(&server, NOON_TEXT).args(["--prometheus-retries", &retries.to_string()])).refused();
        assert_eq!(server.hits().len(), retries + 1);
    }
    server.script(|_, _| say_with(429, &[("retry-after", "7")], "slowly"));
    run(recommend(&server, NOON_TEXT).args(["--prometheus-retries", "0"]))
        .refused_with(&["(HTTP 429): slowly; it asks to wait 7 s; run again then"]);
}

#[rstest]
#[case::refused("http://me:hunter2@127.0.0.1:1", &["cannot reach http://127.0.0.1:1: Connection refused", "kubectl port-forward"])]
#[case::unknown_host("http://me:hunter2@no-such-host.invalid", &["cannot reach http://no-such-host.invalid: ", "check the host name"])]
#[case::scheme("ftp://me:hunter2@prometheus", &["--prometheus-url: only http:// and https:// addresses can be used"])]
#[case::port("http://me:hunter2@prometheus:99999", &["--prometheus-url: not an address; write it like http://prometheus:9090"])]
#[case::nothing("", &["--prometheus-url: not an address; write it like http://prometheus:9090"])]
#[case::spaces("http://me:hunter2@pro metheus", &["--prometheus-url: not an address"])]
fn an_address_where_no_server_is(#[case] url: &str, #[case] words: &[&str]) {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("history.redb");
    let server = FaultServer::start(nightly());
    let before = run(&mut remember(&server, NOON_TEXT, &store)).report();
    podfit(["recommend", "--prometheus-retries", "0", "--prometheus-url", url, "--store", store.to_str().unwrap()])
        .refused_with(words);
    let after = run(&mut remember(&server, NOON_TEXT, &store)).report();
    assert_eq!(after["workloads"], before["workloads"]);
}

#[test]
fn plain_http_where_tls_was_asked_for() {
    let server = FaultServer::start(nightly());
    let url = server.url().replace("http://", "https://");
    podfit(["recommend", "--prometheus-retries", "0", "--prometheus-url", &url]).refused_with(&[
        "cannot reach https://127.0.0.1:",
        "it does not speak TLS there; write http:// or give the port that does",
    ]);
}

#[test]
fn secrets_in_files_and_headers_stay_there() {
    let server = FaultServer::start(nightly());
    server.script(|hit, _| say(401, format!("no {}", hit.headers.contains_key("x-key"))));
    let dir = tempfile::tempdir().unwrap();
    let token = dir.path().join("token");
    std::fs::write(&token, "hunter2\n").unwrap();
    let url = format!("{}/prom?key=hunter2", server.origin());
    podfit([
        "recommend",
        "-v",
        "--prometheus-url",
        &url,
        "--prometheus-token-file",
        token.to_str().unwrap(),
        "--prometheus-header",
        "X-Key: hunter2",
        "--org-id",
        "hunter2",
        "--prometheus-param",
        "a=hunter2",
    ])
    .refused_with(&["(HTTP 401): no true; give a user and password"]);
    std::fs::write(&token, "hunter2\nhunter2").unwrap();
    podfit(["recommend", "--prometheus-url", &url, "--prometheus-token-file", token.to_str().unwrap()])
        .refused_with(&["--prometheus-token-file: the token holds a line break"]);
    std::fs::write(&token, " ").unwrap();
    podfit(["recommend", "--prometheus-url", &url, "--prometheus-token-file", token.to_str().unwrap()])
        .refused_with(&["it is empty, a secret was expected"]);
    podfit(["recommend", "--prometheus-url", &url, "--prometheus-token-file", "/nonexistent/token"])
        .refused_with(&["cannot read /nonexistent/token: No such file or directory (os error 2); check the path"]);
    podfit(["recommend", "--prometheus-url", &url, "--prometheus-header", "X-Key: \u{1}hunter2"])
        .refused_with(&["--prometheus-header: X-Key cannot be sent; only visible ASCII characters can"]);
}
