//! The same answer in steps with a store as at once, from real servers, also where a step was told only a part.

use crate::pods::{BEGIN, DAY, HOUR};
use crate::same_answer::{AT, DAYS, ask, from_file, histories, killed, same};
use crate::series::History;
use crate::support::cli::Ran;
use crate::support::fault_server::{Answer, FaultServer};
use crate::support::prometheus_server::{PrometheusServer, skipped};
use crate::support::tools::tool;
use crate::support::victoria_metrics::VictoriaMetrics;
use crate::{json, notes};

/// Steps this long, in hours, end at all times of the day.
const STEP_HOURS: i64 = 13;

/// The ends of steps, before the last one at [`AT`].
fn steps(hours: i64) -> impl Iterator<Item = String> {
    (BEGIN + HOUR..BEGIN + DAYS * DAY)
        .step_by((hours * HOUR) as usize)
        .map(|at| jiff::Timestamp::from_second(at).unwrap().to_string())
}

/// Collects in steps, then at the end, and checks that this is what the file says. `before` is called before each step
/// with its number and tells whether the server is going to answer in part.
#[track_caller]
fn in_steps(what: &str, expected: &Ran, source: &[&str], hours: i64, before: impl Fn(usize) -> bool) {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store");
    let store = ["--store", store.to_str().unwrap()];
    let mut steps_told = 0;
    for (number, at) in steps(hours).enumerate() {
        let is_partial = before(number);
        let ran = ask(source, &at, &store);
        // Before anything has ended there is nothing to say.
        if ran.code == Some(0) {
            steps_told += 1;
            assert_eq!(notes(&json(&ran)).contains("not complete"), is_partial, "{what}, {at}: {}", notes(&json(&ran)));
        } else {
            assert_eq!(steps_told, 0, "{what}, {at}: {ran:?}");
        }
    }
    assert!(steps_told > 0, "{what}");
    before(usize::MAX);
    same(expected, &ask(source, AT, &store), what);
}

#[track_caller]
fn server_in_steps(name: &str, expected: &Ran, url: &str, ways: &[&str], hours: i64) {
    for way in ways {
        let source = ["--prometheus-url", url, "--prometheus-read", way];
        in_steps(&format!("{name}, {way}, steps of {hours} h"), expected, &source, hours, |_| false);
    }
}

#[test]
fn prometheus_2() {
    for (name, history) in histories() {
        let Some(server) = PrometheusServer::start_with(&history.text()) else {
            return skipped("in_steps::prometheus_2", "prometheus or promtool is not on the PATH");
        };
        server_in_steps(name, &from_file(&history), &server.url(), &["query", "remote-read"], STEP_HOURS);
    }
}

#[test]
fn prometheus_3() {
    let program = match tool("prometheus-3", true) {
        Ok(program) => program,
        Err(reason) => return skipped("in_steps::prometheus_3", &reason),
    };
    for (name, history) in histories() {
        let Some(server) = PrometheusServer::start_program(&program, &history.text(), &[]) else {
            return skipped("in_steps::prometheus_3", "promtool, which makes its blocks, is not on the PATH");
        };
        server_in_steps(name, &from_file(&history), &server.url(), &["query", "remote-read"], STEP_HOURS);
    }
}

#[test]
fn victoria_metrics() {
    let program = match tool("victoria-metrics", true) {
        Ok(program) => program,
        Err(reason) => return skipped("in_steps::victoria_metrics", &reason),
    };
    for (name, history) in histories() {
        let server = VictoriaMetrics::start_with(&program, std::io::Cursor::new(history.text()));
        server_in_steps(name, &from_file(&history), &server.url(), &["query"], STEP_HOURS);
    }
}

/// As `podfit serve` does it.
#[test]
fn every_hour() {
    let history = killed();
    let Some(server) = PrometheusServer::start_with(&history.text()) else {
        return skipped("in_steps::every_hour", "prometheus or promtool is not on the PATH");
    };
    server_in_steps("killed", &from_file(&history), &server.url(), &["auto"], 1);
}

/// For some steps a store is away: half of the pods are not there, and the server says so in its answers.
#[test]
fn a_part_is_read_again_when_the_server_is_whole() {
    const WORDS: &str = "No StoreAPIs matched for this query";
    for (name, history) in histories() {
        let servers = [history.text(), halves(&history).0].map(|text| PrometheusServer::start_with(&text));
        let [Some(whole), Some(half)] = servers else {
            return skipped(
                "in_steps::a_part_is_read_again_when_the_server_is_whole",
                "prometheus or promtool is not on the PATH",
            );
        };
        let between = FaultServer::before(whole.url());
        let half = half.url();
        let before = |number: usize| {
            let is_partial = (4..7).contains(&number) || number == 9;
            if is_partial {
                let half = half.clone();
                between.script(move |_, _| Some(Answer::PartOf(half.clone(), WORDS)));
            } else {
                between.heal();
            }
            is_partial
        };
        let source = ["--prometheus-url", &between.url(), "--prometheus-read", "query"];
        in_steps(&format!("{name}, in part"), &from_file(&history), &source, STEP_HOURS, before);
    }
}

/// Every other pod, and the rest; what is of no pod is in both.
pub fn halves(history: &History) -> (String, String) {
    let text = history.text();
    let of = |half: u32| {
        let is_kept = |line: &&str| {
            let pod = line.split_once("pod=\"").and_then(|(_, rest)| rest.split('"').next());
            pod.is_none_or(|pod| pod.bytes().map(u32::from).sum::<u32>() % 2 == half)
        };
        text.lines().filter(is_kept).map(|line| format!("{line}\n")).collect()
    };
    (of(0), of(1))
}
