//! One history, one answer: whichever server holds it, however it is read, in whatever order its series come.

use std::io::Cursor;

use crate::pods::{Asks, BEGIN, DAY, GIB, HOUR, MIB, Pod, climbs, nights};
use crate::series::{History, Labels, labels};
use crate::support::cli::{Ran, podfit};
use crate::support::prometheus_server::{PrometheusServer, skipped};
use crate::support::tools::tool;
use crate::support::victoria_metrics::VictoriaMetrics;
use crate::{RUN_S, json, nightly};

pub const DAYS: i64 = 6;
/// The end of all histories.
pub const AT: &str = "2026-11-22T12:00:00Z";

/// Histories of several kinds, by name.
pub fn histories() -> Vec<(&'static str, History)> {
    let mut plain = History::default();
    nightly(&mut plain, "nightly", DAYS, 0, 800.0, &Labels::new());

    let mut renamed = plain.clone();
    renamed.relabel("kube_", |labels, _| {
        let own = labels.insert("namespace".to_owned(), "monitoring".to_owned());
        labels.insert("exported_namespace".to_owned(), own.unwrap());
    });

    let mut replicas = History::default();
    for replica in ["a", "b"] {
        nightly(&mut replicas, "nightly", DAYS, 0, 800.0, &labels([("prometheus_replica", replica)]));
    }

    vec![
        ("plain", plain),
        ("renamed", renamed),
        ("replicas", replicas),
        ("killed", killed()),
        ("service", service()),
        ("resized", resized()),
    ]
}

/// A run that is killed at its limit, and starts again in the same pod.
pub fn killed() -> History {
    let mut history = History::default();
    for start in nights(DAYS) {
        let (again, end) = (start + 620, start + 620 + RUN_S);
        let pod = Pod::of_cronjob("etl", "nightly", start, end);
        pod.measure(&mut history, ("main", 0), (start, start + 600), climbs(1023.0 * MIB, 600), 0.7);
        pod.measure(&mut history, ("main", 1), (again, end), climbs(300.0 * MIB, RUN_S), 0.7);
        pod.ran(&mut history, "main", Asks::memory(GIB), "Completed");
        pod.last_ended(&mut history, "main", "OOMKilled", (again + 11, end + pod.stays));
    }
    history
}

/// Two replicas that live on, with a sidecar.
fn service() -> History {
    let mut history = History::default();
    for replica in 0..2 {
        let mut pod = Pod::new("etl", &format!("worker-{replica}"), BEGIN, BEGIN + DAYS * DAY);
        pod.owner = ("StatefulSet".to_owned(), "worker".to_owned());
        pod.interval = 120;
        let memory = |lived: i64| (1.0 + 0.1 * ((lived / HOUR) % 24) as f64) * GIB;
        for (container, cores) in [("worker", 0.37), ("log-shipper", 0.013)] {
            pod.measure(&mut history, (container, 0), (pod.start, pod.end), memory, cores);
            pod.asks(&mut history, container, Asks::memory(4.0 * GIB), (pod.start, pod.end));
        }
        pod.exists(&mut history);
    }
    history
}

/// A service that is given more memory where it is.
fn resized() -> History {
    let mut history = History::default();
    let (start, middle, end) = (BEGIN, BEGIN + 3 * DAY, BEGIN + DAYS * DAY);
    let mut pod = Pod::new("etl", "db-0", start, end);
    pod.owner = ("StatefulSet".to_owned(), "db".to_owned());
    pod.interval = 120;
    pod.measure(&mut history, ("main", 0), (start, end), |_| 1.5 * GIB, 0.5);
    pod.exists(&mut history);
    pod.asks(&mut history, "main", Asks::memory(2.0 * GIB), (start, middle));
    pod.asks(&mut history, "main", Asks::memory(4.0 * GIB), (middle, end));
    history
}

/// The lines of a history with its series in another order, each still in order of time.
fn shuffled(history: &History) -> String {
    let text = history.text();
    let mut blocks: Vec<Vec<&str>> = Vec::new();
    for line in text.lines().filter(|l| !l.starts_with('#')) {
        let series = line.rsplitn(3, ' ').nth(2);
        match blocks.last_mut() {
            Some(block) if block[0].rsplitn(3, ' ').nth(2) == series => block.push(line),
            _ => blocks.push(vec![line]),
        }
    }
    let n = blocks.len();
    // Every place once: the step has no divisor in common with the number.
    let step = (n / 3..=n + 1).find(|step| gcd(*step, n) == 1).unwrap();
    let order = (0..n).map(|i| (i * step + 7) % n);
    let lines: Vec<&str> = order.flat_map(|at| blocks[at].iter().copied()).collect();
    lines.join("\n") + "\n# EOF\n"
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

pub fn ask(source: &[&str], at: &str, more: &[&str]) -> Ran {
    podfit([&["recommend", "-o", "json", "-n", "etl", "--at", at], source, more].concat())
}

#[track_caller]
pub fn same(expected: &Ran, got: &Ran, what: &str) {
    json(got);
    assert_eq!(expected.stdout, got.stdout, "{what}");
}

/// From a file: in any order, and at once or in steps of some hours with a store.
#[test]
fn files_in_any_order_and_in_steps() {
    for (name, history) in histories() {
        let folder = tempfile::tempdir().unwrap();
        let path = |file: &str| folder.path().join(file).to_str().unwrap().to_owned();
        std::fs::write(path("plain.om"), history.text()).unwrap();
        std::fs::write(path("shuffled.om"), shuffled(&history)).unwrap();
        let expected = ask(&["--openmetrics", &path("plain.om")], AT, &[]);
        assert!(!json(&expected)["workloads"].as_array().unwrap().is_empty(), "{name}");
        same(&expected, &ask(&["--openmetrics", &path("shuffled.om")], AT, &[]), name);
        for at in (BEGIN..BEGIN + DAYS * DAY).step_by(7 * 3600) {
            let at = jiff::Timestamp::from_second(at).unwrap().to_string();
            // Before anything has ended there is nothing to say.
            ask(&["--openmetrics", &path("plain.om")], &at, &["--store", &path("store")]);
        }
        let last = ask(&["--openmetrics", &path("plain.om")], AT, &["--store", &path("store")]);
        same(&expected, &last, &format!("{name}, in steps"));
    }
}

/// From a server by every way of reading that it has, with its series as they are and in another order.
#[track_caller]
fn from_server(name: &str, expected: &Ran, url: &str, ways: &[&str]) {
    for way in ways {
        let got = ask(&["--prometheus-url", url, "--prometheus-read", way], AT, &[]);
        same(expected, &got, &format!("{name}, {way}"));
    }
}

pub fn from_file(history: &History) -> Ran {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("history.om");
    history.write(&file);
    ask(&["--openmetrics", file.to_str().unwrap()], AT, &[])
}

#[test]
fn prometheus_2() {
    for (name, history) in histories() {
        let Some(server) = PrometheusServer::start_with(&history.text()) else {
            return skipped("prometheus_2", "prometheus or promtool is not on the PATH");
        };
        from_server(name, &from_file(&history), &server.url(), &["auto", "query", "remote-read"]);
    }
}

#[test]
fn prometheus_3() {
    let program = match tool("prometheus-3", true) {
        Ok(program) => program,
        Err(reason) => return skipped("prometheus_3", &reason),
    };
    for (name, history) in histories() {
        let Some(server) = PrometheusServer::start_program(&program, &history.text(), &[]) else {
            return skipped("prometheus_3", "promtool, which makes its blocks, is not on the PATH");
        };
        from_server(name, &from_file(&history), &server.url(), &["auto", "query", "remote-read"]);
    }
}

#[test]
fn victoria_metrics() {
    let program = match tool("victoria-metrics", true) {
        Ok(program) => program,
        Err(reason) => return skipped("victoria_metrics", &reason),
    };
    for (name, history) in histories() {
        let expected = from_file(&history);
        for text in [history.text(), shuffled(&history)] {
            let server = VictoriaMetrics::start_with(&program, Cursor::new(text));
            from_server(name, &expected, &server.url(), &["auto", "query"]);
        }
    }
}
