//! Reports on their way: what arrives, what is tried again, what one failure leaves undone, and that no secret is said.

use std::path::{Path, PathBuf};

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::cli::{Ran, command, run};
use super::sinks::{HttpSink, MailSink, ok};

pub const SECRET: &str = super::cli::SECRET;
const PASSWORD: &str = "correct horse";

/// A folder with the delivery's file and its secrets.
pub struct Setup {
    dir: tempfile::TempDir,
    destinations: String,
}

impl Setup {
    pub fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), destinations: "destinations:\n".to_owned() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    /// A destination of a kind that is an address in a file.
    fn to(mut self, kind: &str, name: &str, url: &str) -> Self {
        let secret = self.file(&format!("{name}.url"), &format!("{url}\n"));
        self.destinations.push_str(&format!("- name: {name}\n  {kind}: {{url: {{file: {}}}}}\n", secret.display()));
        self
    }

    pub fn with(mut self, yaml: &str) -> Self {
        self.destinations.push_str(yaml);
        self
    }

    pub fn send(&self, more: &[&str]) -> Ran {
        let plan = self.file("deliver.yaml", &self.destinations);
        let mut command = command();
        command.args(["report", "--demo", "--deliver"]).arg(plan).args(more).env("TOKEN", format!("Bearer {SECRET}"));
        let ran = run(&mut command);
        ran.lines();
        for said in [&ran.stdout, &ran.stderr] {
            assert!(!said.contains(SECRET) && !said.contains(PASSWORD), "a secret is in: {said}");
        }
        ran
    }
}

fn status(code: StatusCode) -> Option<Response> {
    Some((code, "not now").into_response())
}

#[test]
fn every_destination_gets_its_own_form() {
    let sink = HttpSink::start(|_, _| ok());
    let setup = Setup::new();
    let folder = setup.path("reports");
    let hook = setup.file("hook.url", &sink.url(&format!("/hook/{SECRET}")));
    let setup = setup
        .to("slack", "chat", &sink.url(&format!("/services/{SECRET}")))
        .to("teams", "team", &sink.url("/teams"))
        .with(&format!("- file: {{folder: {}, forms: [html, csv]}}\n", folder.display()))
        .with(&format!(
            "- webhook:\n    url: {{file: {}}}\n    headers: {{Authorization: {{env: TOKEN}}}}\n",
            hook.display()
        ));
    let ran = setup.send(&[]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(ran.stdout.lines().count(), 4, "{}", ran.stdout);

    let slack = sink.hits(&format!("/services/{SECRET}"))[0].json();
    assert!(slack["text"].as_str().unwrap().contains("could have been saved"));
    assert_eq!(slack["blocks"][0]["text"]["text"], "podfit: Week to 2026-11-22 06:00 UTC");
    let card = sink.hits("/teams")[0].json();
    assert_eq!(card["attachments"][0]["contentType"], "application/vnd.microsoft.card.adaptive");
    let hook = &sink.hits(&format!("/hook/{SECRET}"))[0];
    assert_eq!(hook.headers["authorization"], format!("Bearer {SECRET}"));
    assert_eq!(hook.headers["content-type"], "application/json");
    assert!(hook.json()["workloads"].as_array().unwrap().len() > 15);
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|f| f.unwrap().file_name()).collect();
    files.sort();
    assert_eq!(files, ["podfit-report-2026-11-22.csv", "podfit-report-2026-11-22.html"]);
}

#[test]
fn a_dry_run_sends_nothing_and_finds_missing_secrets() {
    let sink = HttpSink::start(|_, _| ok());
    let setup = Setup::new();
    let folder = setup.path("reports");
    let setup = setup
        .to("slack", "chat", &sink.url(&format!("/services/{SECRET}")))
        .with(&format!("- file: {{folder: {}}}\n", folder.display()))
        .with("- name: gone\n  teams: {url: {file: /nonexistent/secret}}\n");
    let ran = setup.send(&["--dry-run"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.stdout.contains("chat: would send") && ran.stdout.contains("podfit-report-2026-11-22.html"));
    assert!(ran.stderr.contains("gone: not sent: the secret in /nonexistent/secret cannot be read"), "{}", ran.stderr);
    assert!(sink.hits(&format!("/services/{SECRET}")).is_empty());
    assert!(!folder.exists());
}

#[test]
fn what_passes_is_tried_again_and_one_failure_stops_no_other() {
    let sink = HttpSink::start(|path, before| match (path, before) {
        ("/busy", 0) => Some((StatusCode::TOO_MANY_REQUESTS, [("retry-after", "0")], "").into_response()),
        ("/broken", _) => status(StatusCode::INTERNAL_SERVER_ERROR),
        ("/forbidden", _) => status(StatusCode::FORBIDDEN),
        ("/silent", _) => None,
        _ => ok(),
    });
    // A port that was free a moment ago, and that nobody listens on.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let setup = Setup::new()
        .to("webhook", "busy", &sink.url("/busy"))
        .to("slack", "broken", &sink.url("/broken"))
        .to("teams", "forbidden", &sink.url("/forbidden"))
        .to("webhook", "silent", &sink.url("/silent"))
        .to("webhook", "refused", &format!("http://127.0.0.1:{nobody}/{SECRET}"))
        .to("webhook", "nonsense", SECRET)
        .to("webhook", "fine", &sink.url("/fine"));
    let ran = setup.send(&["--deliver-retries", "1", "--deliver-timeout", "1"]);
    assert_eq!(ran.code, Some(2));
    let sent: Vec<&str> = ran.stdout.lines().filter_map(|l| l.split(':').next()).collect();
    assert_eq!(sent, ["busy", "fine"], "{}", ran.stdout);
    for piece in [
        "broken: not sent: it answered 500: not now",
        "forbidden: not sent: it answered 403: not now; check the secret",
        "silent: not sent: no answer came in time",
        "refused: not sent: nobody took it",
        "nonsense: not sent: what its secret holds is no http or https address",
        "5 of 7 destinations did not get the report",
    ] {
        assert!(ran.stderr.contains(piece), "{piece:?} is not in {}", ran.stderr);
    }
    let tries = ["/busy", "/broken", "/forbidden", "/silent", "/fine"].map(|path| sink.hits(path).len());
    assert_eq!(tries, [2, 2, 1, 2, 1], "what may pass is tried once more, a refusal is not");
}

#[test]
fn a_plan_that_makes_no_sense_is_one_line() {
    let setup = Setup::new().with(&format!("- slack: {{url: https://hooks.example/{SECRET}}}\n"));
    setup.send(&[]).refused_with(&["deliver.yaml"]);
    Setup::new().send(&[]).refused_with(&["no destination"]);
}

/// A certificate for `localhost` that is its own authority.
fn certificate(dir: &Path) -> (PathBuf, PathBuf) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (certificate, key) = (dir.join("tls.crt"), dir.join("tls.key"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    (certificate, key)
}

fn mail(name: &str, port: u16, more: &str) -> String {
    format!(
        "- name: {name}\n  mail:\n    host: localhost\n    port: {port}\n    from: podfit@example.com\n    to: \
         [data@example.com, 'Ops <ops@example.com>']\n    attach: [html, csv]\n{more}"
    )
}

#[test]
fn mail_goes_by_starttls_with_text_page_and_table() {
    let setup = Setup::new();
    let (certificate, key) = certificate(setup.dir.path());
    let server = match MailSink::start(&certificate, &key, &["busy"]) {
        Ok(server) => server,
        Err(reason) => return eprintln!("podfit-test-skipped: mail: {reason}"),
    };
    let right = setup.file("right", PASSWORD);
    let wrong = setup.file("wrong", SECRET);
    let login = |file: &Path, ca: &Path| {
        let ca = ca.display();
        format!("    caFile: {ca}\n    user: podfit\n    password: {{file: {}}}\n", file.display())
    };
    let plain = MailSink::start(Path::new("--"), Path::new("--"), &[]).unwrap();
    let setup = setup
        .with(&mail("team", server.port, &login(&right, &certificate)))
        .with(&mail("stranger", server.port, &login(&wrong, &certificate)))
        .with(&mail(
            "unknown-ca",
            server.port,
            &format!("    user: podfit\n    password: {{file: {}}}\n", right.display()),
        ))
        .with(&mail("no-tls", plain.port, &login(&right, &certificate)));
    let ran = setup.send(&["--deliver-retries", "2"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.stdout.starts_with("team: sent a mail of "), "{}{}", ran.stdout, ran.stderr);
    for piece in
        ["stranger: not sent: ", "check user and password", "unknown-ca: not sent: ", "no-tls: not sent: ", "3 of 4"]
    {
        assert!(ran.stderr.contains(piece), "{piece:?} is not in {}", ran.stderr);
    }
    let came = server.mail();
    assert_eq!((&came["tls"], &came["from"]), (&true.into(), &"podfit@example.com".into()));
    assert_eq!(came["to"], serde_json::json!(["data@example.com", "ops@example.com"]));
    let data = came["data"].as_str().unwrap();
    for piece in [
        "Subject: podfit: Week to 2026-11-22",
        "multipart/alternative",
        "Content-Type: text/plain",
        "Content-Type: text/html",
        "filename=\"podfit-report-2026-11-22.html\"",
        "filename=\"podfit-report-2026-11-22.csv\"",
    ] {
        assert!(data.contains(piece), "{piece:?} is not in the mail");
    }
}
