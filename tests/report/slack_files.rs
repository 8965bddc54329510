//! Files for a channel of Slack: the API is a sink on loopback that follows Slack's own answers.

use std::sync::{Arc, OnceLock};

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::delivery::{SECRET, Setup};
use super::sinks::{HttpSink, ok};

fn said(body: Value) -> Option<Response> {
    Some(Json(body).into_response())
}

/// Slack, as the first part of the path says it behaves.
fn slack() -> HttpSink {
    let port: Arc<OnceLock<u16>> = Arc::default();
    let known = Arc::clone(&port);
    let sink = HttpSink::start(move |path, before| {
        let (case, method) = path.trim_start_matches('/').split_once('/').unwrap_or((path, ""));
        let busy = || Some((StatusCode::TOO_MANY_REQUESTS, [("retry-after", "0")], "ratelimited").into_response());
        let broken = || Some((StatusCode::INTERNAL_SERVER_ERROR, "not now").into_response());
        match (case, method) {
            ("busy", "files.getUploadURLExternal") if before == 0 => busy(),
            ("no-place", "files.getUploadURLExternal") | ("half", "put") => broken(),
            ("wrong-token", _) => said(json!({"ok": false, "error": "invalid_auth"})),
            ("elsewhere", "files.getUploadURLExternal") => {
                said(json!({"ok": true, "file_id": "F1", "upload_url": "http://files.example/put"}))
            }
            ("odd", "files.getUploadURLExternal") => ok(),
            (_, "files.getUploadURLExternal") => {
                let place = format!("http://127.0.0.1:{}/{case}/put", known.get().unwrap());
                said(json!({"ok": true, "file_id": format!("F{before}"), "upload_url": place}))
            }
            ("silent", "files.completeUploadExternal") => None,
            ("stranger", "files.completeUploadExternal") => said(json!({"ok": false, "error": "not_in_channel"})),
            (_, "files.completeUploadExternal") => said(json!({"ok": true, "files": []})),
            _ => ok(),
        }
    });
    port.set(sink.port).unwrap();
    sink
}

fn destination(setup: &Setup, case: &str, api: &str) -> String {
    let token = setup.file("token", &format!("{SECRET}\n"));
    format!(
        "- name: {case}\n  slackFiles: {{token: {{file: {}}}, channel: C0123456789, forms: [html, csv], api: '{api}'}}\n",
        token.display()
    )
}

#[test]
fn files_are_put_where_slack_says_and_shared_in_one_message() {
    let sink = slack();
    let setup = Setup::new();
    let to = destination(&setup, "right", &sink.url("/right"));
    let setup = setup.with(&to);
    let ran = setup.send(&[]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(
        ran.stdout.trim(),
        "right: sent podfit-report-2026-11-22.html, podfit-report-2026-11-22.csv to channel C0123456789"
    );
    let asked = sink.hits("/right/files.getUploadURLExternal");
    let put = sink.hits("/right/put");
    let shared = sink.hits("/right/files.completeUploadExternal");
    assert_eq!((asked.len(), put.len(), shared.len()), (2, 2, 1));
    for hit in asked.iter().chain(&shared) {
        assert_eq!(hit.headers["authorization"], format!("Bearer {SECRET}"));
    }
    assert_eq!(asked[0].headers["content-type"], "application/x-www-form-urlencoded");
    let expected = format!("filename=podfit-report-2026-11-22.html&length={}", put[0].body.len());
    assert_eq!(asked[0].body, expected.as_bytes());
    assert!(put[0].body.starts_with(b"<!doctype html>") && put[1].body.starts_with(b"period_start,"));
    assert!(put.iter().all(|hit| !hit.headers.contains_key("authorization")), "the token is for the API alone");
    let shared = shared[0].json();
    assert_eq!(shared["channel_id"], "C0123456789");
    let files = json!([{"id": "F0", "title": "podfit-report-2026-11-22.html"},
        {"id": "F1", "title": "podfit-report-2026-11-22.csv"}]);
    assert_eq!(shared["files"], files);
    assert!(shared["initial_comment"].as_str().unwrap().contains("could have been saved"));
}

#[test]
fn what_slack_refuses_is_said_and_shared_never_twice() {
    let sink = slack();
    let mut setup = Setup::new();
    for case in ["busy", "no-place", "wrong-token", "elsewhere", "odd", "half", "silent", "stranger"] {
        let to = destination(&setup, case, &sink.url(&format!("/{case}")));
        setup = setup.with(&to);
    }
    let to = destination(&setup, "plain", "http://slack.example/api");
    let setup = setup.with(&to).with("- name: no-token\n  slackFiles: {token: {env: NOT_SET}, channel: C0}\n");
    let ran = setup.send(&["--deliver-retries", "1", "--deliver-timeout", "1"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.stdout.starts_with("busy: sent ") && ran.stdout.lines().count() == 1, "{}", ran.stdout);
    for piece in [
        "no-place: not sent: it answered 500: not now",
        "wrong-token: not sent: Slack says invalid_auth; check the token",
        "elsewhere: not sent: a secret would be sent without TLS",
        "odd: not sent: Slack answered something that is no JSON",
        "half: not sent: it answered 500: not now",
        "silent: not sent: no answer came in time",
        "stranger: not sent: Slack says not_in_channel; invite its app to the channel",
        "plain: not sent: a secret would be sent without TLS",
        "no-token: not sent: the variable NOT_SET of the environment is not set",
    ] {
        assert!(ran.stderr.contains(piece), "{piece:?} is not in {}", ran.stderr);
    }
    let hits = |path: &str| sink.hits(path).len();
    assert_eq!(hits("/busy/files.getUploadURLExternal"), 3, "one more than files");
    assert_eq!(hits("/half/put"), 2, "what may pass is tried once more");
    assert_eq!(hits("/half/files.completeUploadExternal"), 0, "half of a report is not shared");
    assert_eq!(hits("/silent/files.completeUploadExternal"), 1, "after silence it may have been shared");
}
