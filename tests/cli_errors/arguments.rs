//! Arguments that cannot be meant, workloads that are not there, manifests that are none: one line that says what is
//! possible instead.

use std::path::Path;

use rstest::rstest;

use super::nightly;
use super::support::cli::{NOON_TEXT, command, podfit, run};
use super::support::fault_server::FaultServer;

const URL: [&str; 2] = ["--prometheus-url", "http://127.0.0.1:1"];

#[rstest]
#[case::no_source(&["recommend"], "where is the history? give --prometheus-url URL (or PODFIT_PROMETHEUS_URL), --openmetrics FILE or --runs FILE")]
#[case::no_history(&["recommend", "--history", "0d"], "invalid value '0d' for '--history <TIME>': from one minute to 400 days; --help says more")]
#[case::no_unit(&["recommend", "--history", "14"], "invalid value '14' for '--history <TIME>': a number and a unit: m, h, d or w, such as 14d")]
#[case::half_a_letter(&["recommend", "--history", "1ü"], "invalid value '1ü' for '--history <TIME>': a number and a unit")]
#[case::no_time(&["recommend", "--at", "garbage"], "invalid value 'garbage' for '--at <TIME>': a time in RFC 3339, such as 2026-11-22T12:00:00Z")]
#[case::control_characters(&["recommend", "--at", "a\n\u{1b}[31mb"], "for '--at <TIME>': a time in RFC 3339")]
#[case::bad_namespace(&["dry-run", "-n", "Bad_Name"], "invalid value 'Bad_Name' for '--namespace <NAMESPACE>': a namespace has 1 to 63 lower-case letters, digits and inner hyphens")]
#[case::injection(&["recommend", "-n", "a\"} or up{a=\""], "a namespace has 1 to 63 lower-case letters")]
#[case::header(&["recommend", "--prometheus-header", "Bearer hunter2"], "invalid value '…' for '--prometheus-header <NAME: VALUE>': a name, a colon and a value")]
#[case::parameter(&["recommend", "--prometheus-param", "hunter2"], "invalid value '…' for '--prometheus-param <NAME=VALUE>': a name, an equals sign and a value")]
#[case::no_such_option(&["recommend", "--prometheus-password", "hunter2"], "unexpected argument '--prometheus-password' found; a similar argument exists: '--prometheus-password-file'")]
#[case::no_such_command(&["recomend"], "unrecognized subcommand 'recomend'; a similar subcommand exists: 'recommend'")]
#[case::two_sources(&["recommend", "--prometheus-url", "http://me:hunter2@h", "--openmetrics", "f"], "'--prometheus-url <URL>' cannot be used with '--openmetrics <FILE>'")]
#[case::user_without_password(&["recommend", "--prometheus-user", "me"], "the following required arguments were not provided: --prometheus-password-file <FILE>")]
#[case::format(&["recommend", "-o", "xml"], "invalid value 'xml' for '--output <OUTPUT>' [possible values: table, wide, json, yaml, csv, markdown]")]
#[case::nothing_to_explain(&["explain"], "the following required arguments were not provided: <WORKLOAD>")]
#[case::timeout(&["recommend", "--prometheus-timeout", "0"], "invalid value '0' for '--prometheus-timeout <SECONDS>': 0 is not in 1..=3600")]
fn arguments(#[case] args: &[&str], #[case] words: &str) {
    podfit(args).refused_with(&[words]);
}

#[test]
fn no_store_is_begun_for_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("history.redb");
    podfit(["recommend", "--store", store.to_str().unwrap()]).refused_with(&["where is the history?"]);
    assert!(!store.exists());
}

#[test]
fn help_does_not_show_the_address_that_the_environment_holds() {
    let mut command = command();
    command.args(["recommend", "--help"]).env("PODFIT_PROMETHEUS_URL", "http://me:hunter2@h");
    let ran = run(&mut command);
    assert_eq!(ran.code, Some(0));
    assert!(ran.stdout.contains("PODFIT_PROMETHEUS_URL") && !ran.stdout.contains("hunter2"), "{}", ran.stdout);
}

#[rstest]
#[case::typo(
    "cronjob/nightly-06m",
    "no history of \"cronjob/nightly-06m\"; there is cronjob/nightly-05m, cronjob/nightly-10m, cronjob/nightly-60m"
)]
#[case::only_the_name("nightly-05m", "no history of \"nightly-05m\"; there is cronjob/nightly-05m, ")]
#[case::other_kind("job/nightly-05m", "; there is cronjob/nightly-05m, ")]
#[case::nothing_near("zzz", "no history of \"zzz\": 3 workloads were found, `podfit recommend` lists them")]
#[case::other_container("cronjob/nightly-05m:sidecar", "; there is cronjob/nightly-05m")]
#[case::control_characters("a\n\u{1b}[31mb", "no history of ")]
fn a_workload_that_is_not_there(#[case] workload: &str, #[case] words: &str) {
    let server = FaultServer::start(nightly());
    podfit(["explain", workload, "--prometheus-url", &server.url(), "--at", NOON_TEXT]).refused_with(&[words]);
}

#[rstest]
#[case::missing(None, "cannot read ", "pod.yaml: No such file or directory (os error 2); check the path")]
#[case::empty(Some("".as_bytes()), "pod.yaml holds nothing", "such as `kubectl get pod NAME -o yaml` prints")]
#[case::another_kind(Some(b"kind: Deployment\nmetadata: {name: a}\n".as_slice()), "pod.yaml holds a Deployment, not a Pod", "kubectl get pod NAME -o yaml")]
#[case::text(Some(b"hello world\n".as_slice()), "pod.yaml: not a Pod: it has no metadata", "kubectl get pod NAME -o yaml")]
#[case::no_containers(Some(b"kind: Pod\nmetadata: {name: a}\nspec: {}\n".as_slice()), "not a Pod: it has no spec.containers", "kubectl get pod NAME -o yaml")]
#[case::broken_yaml(Some(b"env:\n- name: PASSWORD\n  value: hunter2\n- [1\n".as_slice()), "pod.yaml is neither JSON nor YAML: ", "line ")]
#[case::binary(Some(b"\xff\xfe\x00".as_slice()), "cannot read ", "pod.yaml: stream did not contain valid UTF-8; it must be text in UTF-8")]
#[case::second_is_none(
    Some(b"kind: Pod\nmetadata: {name: a}\nspec: {containers: [{name: main}]}\n---\nkind: Service\nmetadata: {name: b}\n".as_slice()),
    "pod.yaml holds a Service, not a Pod",
    "kubectl get pod NAME -o yaml"
)]
fn a_manifest_that_is_none(#[case] content: Option<&[u8]>, #[case] what: &str, #[case] remedy: &str) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("pod.yaml");
    if let Some(content) = content {
        std::fs::write(&file, content).unwrap();
    }
    identify(&file).refused_with(&[what, remedy]);
}

fn identify(file: &Path) -> super::support::cli::Ran {
    run(command().arg("identify").arg(file))
}

#[test]
fn verbose_failures_hold_no_secret() {
    let server = FaultServer::start(nightly());
    let ran =
        run(command().args(["recommend", "-vv", "--at", "1990-01-01T00:00:00Z", "--prometheus-url", &server.url()]));
    assert_eq!(ran.code, Some(2));
    assert!(!ran.stderr.contains("hunter2") && ran.stdout.is_empty(), "{}", ran.stderr);
    let ran = podfit(["recommend", "--prometheus-retries", "0"].iter().chain(&URL));
    ran.refused_with(&["cannot reach http://127.0.0.1:1"]);
}
