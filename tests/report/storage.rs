//! Reports in object stores: moto's S3, and endpoints that only say what they were sent.

use axum::http::StatusCode;
use axum::response::IntoResponse;

use super::delivery::Setup;
use super::sinks::{HttpSink, S3Sink};

const PAGE: &str = "podfit-report-2026-11-22.html";

fn bucket(name: &str, url: &str, endpoint: &str, more: &str, secrets: &str) -> String {
    format!(
        "- name: {name}\n  objectStore:\n    url: {url}\n    forms: [html, json]\n    options: {{endpoint: '{endpoint}', \
         allow_http: 'true'{more}}}\n    secrets: {{{secrets}}}\n"
    )
}

#[test]
fn s3_keeps_the_page_as_a_page() {
    let mut server = match S3Sink::start() {
        Ok(server) => server,
        Err(reason) => return eprintln!("podfit-test-skipped: s3: {reason}"),
    };
    let setup = Setup::new();
    let key = setup.file("key", "podfit");
    let secrets = format!("secret_access_key: {{file: {0}}}, access_key_id: {{file: {0}}}", key.display());
    let endpoint = format!("http://127.0.0.1:{}", server.port);
    let setup = setup
        .with(&bucket("right", "'s3://reports/weekly'", &endpoint, ", region: us-east-1", &secrets))
        .with(&bucket("no-such", "'s3://elsewhere/weekly'", &endpoint, ", region: us-east-1", &secrets));
    let ran = setup.send(&["--deliver-retries", "1"]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.stdout.contains("right: sent podfit-report-2026-11-22.html"), "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stderr.contains("no-such: not sent: "), "{}", ran.stderr);
    let (kind, page) = server.object(&format!("weekly/{PAGE}"));
    assert_eq!(kind, "text/html; charset=utf-8");
    assert!(page.starts_with("<!doctype html>") && page.contains("<h1>Week to 2026-11-22"));
}

#[test]
fn azure_is_spoken_and_refusals_are_said() {
    let sink = HttpSink::start(|path, _| {
        let status = if path.starts_with("/closed") { StatusCode::FORBIDDEN } else { StatusCode::CREATED };
        Some((status, [("etag", "\"1\""), ("last-modified", "Sun, 22 Nov 2026 06:00:00 GMT")], "").into_response())
    });
    let setup = Setup::new();
    let key = setup.file("key", "aHVudGVyMg==");
    let azure = format!("account_key: {{file: {}}}", key.display());
    let s3 = format!("secret_access_key: {{file: {0}}}, access_key_id: {{file: {0}}}", key.display());
    let setup = setup
        .with(&bucket("azure", "'az://reports/weekly'", &sink.url("/account"), ", account_name: account", &azure))
        .with(&bucket("closed", "'s3://closed/weekly'", &sink.url(""), ", region: us-east-1", &s3))
        .with(&bucket("odd", "'s3://odd'", &sink.url(""), ", colour: blue", &s3))
        .with(&bucket("ftp", "'ftp://odd'", &sink.url(""), "", &s3));
    let ran = setup.send(&["--deliver-retries", "1"]);
    assert!(ran.stdout.contains("azure: sent"), "{}{}", ran.stdout, ran.stderr);
    let came = sink.hits(&format!("/account/reports/weekly/{PAGE}"));
    assert_eq!(came.len(), 1);
    assert!(came[0].body.starts_with(b"<!doctype html>"));
    for piece in
        ["closed: not sent: it did not let us in", "odd: not sent: ", "has no option colour", "ftp: not sent: "]
    {
        assert!(ran.stderr.contains(piece), "{piece:?} is not in {}", ran.stderr);
    }
}

#[test]
fn google_is_spoken_and_refusals_are_said() {
    let sink = HttpSink::start(|path, before| {
        let status = match path {
            path if path.starts_with("/closed") => StatusCode::FORBIDDEN,
            path if path.starts_with("/strange") => StatusCode::UNAUTHORIZED,
            path if path.starts_with("/gone") => StatusCode::NOT_FOUND,
            path if path.starts_with("/busy") && before == 0 => StatusCode::SERVICE_UNAVAILABLE,
            path if path.starts_with("/broken") => StatusCode::INTERNAL_SERVER_ERROR,
            path if path.starts_with("/silent") => return None,
            _ => StatusCode::OK,
        };
        Some((status, [("etag", "\"1\"")], "").into_response())
    });
    let mut setup = Setup::new();
    // Without an account's key the machine's own would be asked for at an address of the cloud.
    let key = serde_json::json!({"private_key": "", "private_key_id": "", "client_email": "", "disable_oauth": true});
    let key = setup.file("account.json", &key.to_string());
    for name in ["google", "closed", "strange", "gone", "busy", "broken", "silent"] {
        setup = setup.with(&format!(
            "- name: {name}\n  objectStore:\n    url: gs://{name}/weekly\n    forms: [html]\n    options: {{base_url: \
             '{}', allow_http: 'true'}}\n    secrets: {{service_account_key: {{file: {}}}}}\n",
            sink.url(""),
            key.display()
        ));
    }
    let key = setup.file("nonsense.json", "hunter2");
    setup = setup.with(&format!(
        "- name: no-key\n  objectStore: {{url: 'gs://google/weekly', secrets: {{service_account_key: {{file: {}}}}}}}\n",
        key.display()
    ));
    let ran = setup.send(&["--deliver-retries", "1", "--deliver-timeout", "1"]);
    assert_eq!(ran.code, Some(2));
    // Google's client writes everything but letters and digits by its number.
    let escaped: String = format!("weekly/{PAGE}")
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c.to_string() } else { format!("%{:02X}", u32::from(c)) })
        .collect();
    for name in ["google", "busy"] {
        let sent = format!("{name}: sent {PAGE} to gs://{name}/weekly");
        assert!(ran.stdout.contains(&sent), "{sent}: {}{}", ran.stdout, ran.stderr);
        let came = sink.hits(&format!("/{name}/{escaped}"));
        let last = came.last().unwrap();
        assert!(last.body.starts_with(b"<!doctype html>"));
        assert_eq!(last.headers["content-type"], "text/html; charset=utf-8");
    }
    for piece in [
        "closed: not sent: it did not let us in",
        "strange: not sent: it did not let us in",
        "gone: not sent: there is no such bucket",
        "broken: not sent: ",
        "silent: not sent: ",
        "no-key: not sent: ",
    ] {
        assert!(ran.stderr.contains(piece), "{piece:?} is not in {}", ran.stderr);
    }
    assert_eq!(sink.hits(&format!("/broken/{escaped}")).len(), 2, "what may pass is tried once more");
}
