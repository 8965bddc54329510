//! Kubeconfig and API server of `dry-run`. The API server is a stand-in on the loopback interface that answers with
//! the statuses of a real one; what a real one says is the business of the cluster tests.

use std::path::{Path, PathBuf};

use podfit::prometheus::SeriesStore;
use rstest::rstest;

use super::support::cli::{command, podfit, run};
use super::support::fault_server::{Answer, FaultServer, Hit, say, say_with};

const JSON: (&str, &str) = ("content-type", "application/json");

fn kubeconfig(dir: &Path, server: &str) -> PathBuf {
    let path = dir.join("config");
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: here\n\
         clusters: [{{name: c, cluster: {{server: \"{server}\"}}}}]\n\
         contexts: [{{name: here, context: {{cluster: c, user: u, namespace: jobs}}}}, {{name: there, context: {{cluster: d, user: u}}}}]\n\
         users: [{{name: u, user: {{token: hunter2}}}}]\n"
    );
    std::fs::write(&path, text).unwrap();
    path
}

/// With a source, so that only the cluster can be at fault.
fn dry_run(args: &[&str]) -> super::support::cli::Ran {
    podfit(["dry-run", "--prometheus-url", "http://127.0.0.1:1", "--prometheus-retries", "0"].iter().chain(args))
}

fn status(code: u16, reason: &str, message: &str) -> Option<Answer> {
    let body = format!(
        r#"{{"kind":"Status","apiVersion":"v1","metadata":{{}},"status":"Failure","message":"{message}","reason":"{reason}","code":{code}}}"#
    );
    say_with(code, &[JSON], body)
}

fn empty_list() -> Option<Answer> {
    say_with(200, &[JSON], r#"{"kind":"List","apiVersion":"v1","metadata":{},"items":[]}"#)
}

#[rstest]
#[case::unauthorized(|_: &Hit, _| status(401, "Unauthorized", "Unauthorized"), &["does not know you (401): log in again, or choose another --context"])]
#[case::forbidden_pods(
    |hit: &Hit, _| if hit.path.ends_with("/pods") { status(403, "Forbidden", "pods is forbidden") } else { empty_list() },
    &["you may not list pods in namespace jobs (403): ask for the right to list them, or choose another namespace with -n"]
)]
#[case::no_namespace(
    |_: &Hit, _| status(404, "NotFound", "namespaces \\\"jobs\\\" not found"),
    &["there is no namespace jobs in the cluster at http://127.0.0.1:", ": check -n and --context"]
)]
#[case::web_page(|_: &Hit, _| say_with(200, &[("content-type", "text/html")], "<html>Log in"), &["is not that of a Kubernetes API server"])]
#[case::internal(|_: &Hit, _| status(500, "InternalError", "etcd\\n is gone"), &["answered 500 to the request to read the namespace: etcd is gone; try again"])]
#[case::plain_text(|_: &Hit, _| say(503, "no endpoints\n\u{1b}[31m"), &["answered 503 to the request to read the namespace: "])]
#[case::redirect(|hit: &Hit, _| say_with(302, &[("location", &hit.path)], ""), &["http://127.0.0.1:"])]
fn an_api_server_that_refuses(#[case] answer: fn(&Hit, usize) -> Option<Answer>, #[case] words: &[&str]) {
    let server = FaultServer::start(SeriesStore::new("none"));
    server.script(answer);
    let dir = tempfile::tempdir().unwrap();
    let config = kubeconfig(dir.path(), &server.origin());
    let ran = dry_run(&["--kubeconfig", config.to_str().unwrap()]);
    ran.refused_with(words);
    assert!(server.hits().iter().all(|h| h.headers["authorization"] == "Bearer hunter2"));
}

#[test]
fn an_api_server_that_is_down() {
    let dir = tempfile::tempdir().unwrap();
    let config = kubeconfig(dir.path(), "http://me:hunter2@127.0.0.1:1");
    dry_run(&["--kubeconfig", config.to_str().unwrap()]).refused_with(&[
        "cannot reach the API server at http://127.0.0.1:1: Connection refused (os error 111); check the network",
    ]);
    let config = kubeconfig(dir.path(), "https://no-such-host.invalid:6443");
    dry_run(&["--kubeconfig", config.to_str().unwrap()])
        .refused_with(&["cannot reach the API server at https://no-such-host.invalid:6443: "]);
}

const NAME_IT: &str = "; name the right file with --kubeconfig or KUBECONFIG";

#[rstest]
#[case::garbage("token: [hunter2\n", &["no usable kubeconfig: ", "config is not one (line 1, column 8)", NAME_IT])]
#[case::another_document("hunter2", &["config is not one (line 1, column 1)", NAME_IT])]
#[case::users_are_text("users: hunter2\n", &["config is not one (line 1, column 8)", NAME_IT])]
#[case::empty("", &["config has no context", NAME_IT])]
#[case::no_current_context(
    "contexts: [{name: a, context: {cluster: c, user: u}}, {name: b, context: {cluster: c, user: u}}]",
    &["config says no current context, it has a, b; choose one with --context"]
)]
#[case::unknown_cluster(
    "current-context: a\ncontexts: [{name: a, context: {cluster: c, user: u}}]",
    &["config: failed to load the cluster of context: c; correct the cluster and the user of this context"]
)]
#[case::bad_address(
    "current-context: a\ncontexts: [{name: a, context: {cluster: c, user: u}}]\nclusters: [{name: c, cluster: {server: 'http://a b'}}]\nusers: [{name: u, user: {token: hunter2}}]",
    &["config: failed to parse cluster url: ", "correct the cluster and the user of this context"]
)]
#[case::missing_certificate(
    "current-context: a\ncontexts: [{name: a, context: {cluster: c, user: u}}]\nclusters: [{name: c, cluster: {server: 'https://a', certificate-authority: /nonexistent/ca}}]\nusers: [{name: u, user: {token: hunter2}}]",
    &["failed to read file /nonexistent/ca: No such file or directory (os error 2)"]
)]
#[case::missing_login_program(
    "current-context: a\ncontexts: [{name: a, context: {cluster: c, user: u}}]\nclusters: [{name: c, cluster: {server: 'http://127.0.0.1:1'}}]\nusers: [{name: u, user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: no-such-login, interactiveMode: Never}}}]",
    &["no-such-login"]
)]
fn a_kubeconfig_that_cannot_be_used(#[case] text: &str, #[case] words: &[&str]) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config");
    std::fs::write(&path, text).unwrap();
    dry_run(&["--kubeconfig", path.to_str().unwrap()]).refused_with(words);
    // The same by the environment.
    let mut by_environment = command();
    by_environment.args(["dry-run", "--prometheus-url", "http://127.0.0.1:1"]).env("KUBECONFIG", &path);
    run(&mut by_environment).refused_with(words);
}

#[test]
fn no_kubeconfig_at_all() {
    let home = tempfile::tempdir().unwrap();
    run(command().args(["dry-run", "--prometheus-url", "http://127.0.0.1:1"]).env("HOME", home.path())).refused_with(
        &["no usable kubeconfig: cannot read ", "/.kube/config: No such file or directory (os error 2)", NAME_IT],
    );
    run(command().args(["dry-run", "--prometheus-url", "http://127.0.0.1:1"]).env_remove("HOME"))
        .refused_with(&[NAME_IT]);
    dry_run(&["--kubeconfig", "/nonexistent/config"])
        .refused_with(&["no usable kubeconfig: cannot read /nonexistent/config: No such file or directory", NAME_IT]);
}

#[test]
fn a_context_that_is_not_there() {
    let dir = tempfile::tempdir().unwrap();
    let config = kubeconfig(dir.path(), "http://127.0.0.1:1");
    dry_run(&["--kubeconfig", config.to_str().unwrap(), "--context", "hera"])
        .refused_with(&["config has no context hera, it has here, there; choose one with --context"]);
}

#[test]
fn the_history_fails_after_the_cluster_answered() {
    let server = FaultServer::start(SeriesStore::new("none"));
    server.script(|_, _| empty_list());
    let dir = tempfile::tempdir().unwrap();
    let config = kubeconfig(dir.path(), &server.origin());
    dry_run(&["--kubeconfig", config.to_str().unwrap()])
        .refused_with(&["cannot reach http://127.0.0.1:1: Connection refused", "check address and port"]);
}

#[test]
fn no_source_is_said_before_the_cluster_is_asked() {
    podfit(["dry-run", "--kubeconfig", "/nonexistent/config"])
        .refused_with(&["where is the history? give --prometheus-url URL"]);
}
