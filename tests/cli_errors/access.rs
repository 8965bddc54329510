//! The way to a server: proxies, certificates that are not checked, answers that are not whole.

use super::support::cli::{NOON_TEXT, command, run};
use super::support::fault_server::{FaultServer, say};
use super::{nightly, recommend, remember, undisturbed, workloads};

/// A port on which nobody listens.
fn nobody() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn a_proxy_that_is_down_is_named() {
    let port = nobody();
    for (variable, scheme) in [("HTTP_PROXY", "http"), ("https_proxy", "https"), ("ALL_PROXY", "http")] {
        let url = format!("{scheme}://prometheus.example:9090");
        let mut command = command();
        command.args(["recommend", "--prometheus-retries", "0", "--prometheus-url", &url]);
        command.env(variable, format!("http://me:hunter2@127.0.0.1:{port}"));
        run(&mut command).refused_with(&[
            &format!("cannot reach {url}: Connection refused (os error 111); "),
            &format!("the way there is the proxy 127.0.0.1:{port} ({variable}): check that it runs"),
            "NO_PROXY",
        ]);
    }
}

#[test]
fn a_proxy_that_asks_for_credentials_is_named() {
    let proxy = FaultServer::start(nightly());
    proxy.script(|_, _| say(407, "who are you"));
    let mut command = command();
    command.args(["recommend", "--prometheus-retries", "0", "--prometheus-url", "http://prometheus.example"]);
    command.env("HTTP_PROXY", proxy.origin());
    run(&mut command).refused_with(&["credentials on the way (HTTP 407) «who are you»", "(HTTP_PROXY)"]);
}

#[test]
fn a_host_that_needs_no_proxy_is_reached() {
    let server = FaultServer::start(nightly());
    let mut command = recommend(&server, NOON_TEXT);
    command.env("HTTP_PROXY", format!("http://127.0.0.1:{}", nobody())).env("NO_PROXY", "127.0.0.1");
    assert_eq!(run(&mut command).report(), *undisturbed());
}

#[test]
fn a_certificate_that_is_not_checked_is_said_at_every_run() {
    let server = FaultServer::start(nightly());
    for _ in 0..2 {
        let ran = run(recommend(&server, NOON_TEXT).arg("--prometheus-insecure-skip-verify"));
        assert_eq!(workloads(&ran), undisturbed()["workloads"]);
        let [line] = ran.lines()[..] else { panic!("{}", ran.stderr) };
        assert!(line.contains("the certificate of Prometheus is not verified (--prometheus-insecure-skip-verify)"));
    }
}

/// One of the answers of the whole collection says that something is missing.
#[test]
fn an_answer_that_is_not_whole_is_told_and_read_again() {
    let server = FaultServer::start(nightly());
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("history.redb");
    server.script(|hit, _| {
        let asked = hit.params.get("query").is_some_and(|q| q.contains("kube_pod_labels"));
        let empty = r#"{"status":"success","isPartial":false,"warnings":["store for hunter2 is away"],
            "data":{"resultType":"vector","result":[]}}"#;
        asked.then(|| say(200, empty)).flatten()
    });
    let secret = ["--prometheus-header", "X-Key: hunter2"];
    let report = run(remember(&server, NOON_TEXT, &store).args(secret)).report();
    let notes = report["notes"].to_string();
    assert!(notes.contains("are not complete, it says «store for *** is away»"), "{notes}");
    assert!(notes.contains("the next collection reads this time again"), "{notes}");

    server.heal();
    let again = run(&mut remember(&server, NOON_TEXT, &store)).report();
    assert_eq!(again["workloads"], undisturbed()["workloads"]);
    assert!(!again["notes"].to_string().contains("complete"), "{again}");
}
