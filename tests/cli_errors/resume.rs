//! A collection that was cut short goes on where it stopped, asks for nothing twice and ends with the report of one
//! that ran through.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use podfit::research::simulate::platforms::nightly_three;
use rstest::rstest;

use super::support::cli::{NOON, NOON_TEXT, run};
use super::support::fault_server::{FaultServer, Hit, say_with};
use super::support::prometheus_server::{PrometheusServer, skipped};
use super::{nightly, recommend, remember, undisturbed};

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;
const START: i64 = NOON - 14 * DAY_MS;

/// First millisecond of each question for samples or objects.
fn starts(server: &FaultServer) -> Vec<i64> {
    server.hits().iter().filter_map(Hit::range).map(|r| r.start_ms).collect()
}

#[test]
fn a_server_that_dies_after_the_first_slice() {
    let server = FaultServer::start(nightly());
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("history.redb");
    // Whatever is asked of the second day meets a server that is gone.
    let dead = AtomicBool::new(false);
    server.script(move |hit, _| {
        if hit.range().is_some_and(|r| r.start_ms >= START + DAY_MS) {
            dead.store(true, Ordering::Relaxed);
        }
        dead.load(Ordering::Relaxed).then(|| say_with(502, &[], "gone")).flatten()
    });
    run(remember(&server, NOON_TEXT, &store).args(["--prometheus-retries", "0"])).refused_with(&[
        "the history could not be read to its end: ",
        "is overloaded or down (HTTP 502): gone; run again later",
        "; all until 2026-11-09T11:59:59Z is kept, and the next time it goes on from there",
    ]);
    let first = starts(&server);
    assert_eq!(first.iter().min(), Some(&START));
    assert!(first.contains(&(START + DAY_MS)), "the second slice was asked for");

    server.heal();
    let report = run(&mut remember(&server, NOON_TEXT, &store)).report();
    let second = starts(&server);
    assert_eq!(second.iter().min(), Some(&(START + DAY_MS)), "it goes on at the watermark");
    assert_eq!(second.iter().filter(|s| **s == START + DAY_MS).count(), first.iter().filter(|s| **s == START).count());
    assert_eq!(report, *undisturbed());

    server.heal();
    let again = run(&mut remember(&server, NOON_TEXT, &store)).report();
    assert_eq!(starts(&server).iter().min(), Some(&(NOON - HOUR_MS + 1)), "only what may have come late");
    assert_eq!(again["workloads"], undisturbed()["workloads"]);
}

/// The same with a real Prometheus behind the one that dies, by each transport.
#[rstest]
fn a_real_prometheus_that_dies_after_the_first_slice(#[values("auto", "query")] transport: &str) {
    let real = PrometheusServer::start_with_writer(
        |mut out| nightly_three().simulate(NOON, 1).write_openmetrics(&mut out).unwrap(),
        &[],
    );
    let Some(real) = real else {
        return skipped("a_real_prometheus_that_dies_after_the_first_slice", "prometheus or promtool is not on PATH");
    };
    let server = FaultServer::before(real.url());
    let transport = ["--prometheus-read", transport, "--prometheus-retries", "0"];
    // Without a count, the first slice is a day; all of this history would fit into one.
    let uncounted = |hit: &Hit| hit.is_count().then(|| say_with(422, &[], "no")).flatten();
    server.script(move |hit, _| uncounted(hit));
    let at_once = run(recommend(&server, NOON_TEXT).args(transport)).report();
    let reads = server.hits().iter().filter(|h| h.path.ends_with("/read")).count();
    assert_eq!(reads > 3, transport[1] == "auto", "{reads} remote reads");

    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("history.redb");
    let dead = AtomicBool::new(false);
    server.script(move |hit, _| {
        if hit.range().is_some_and(|r| r.start_ms >= START + DAY_MS) {
            dead.store(true, Ordering::Relaxed);
        }
        uncounted(hit).or_else(|| dead.load(Ordering::Relaxed).then(|| say_with(502, &[], "gone")).flatten())
    });
    run(remember(&server, NOON_TEXT, &store).args(transport)).refused_with(&["is overloaded or down (HTTP 502): gone"]);

    server.heal();
    let report = run(remember(&server, NOON_TEXT, &store).args(transport)).report();
    assert_eq!(starts(&server).iter().min(), Some(&(START + DAY_MS)), "it goes on at the watermark");
    assert_eq!(report, at_once);
}

/// Every request in turn fails, so that each run gets a little further.
#[test]
fn a_server_that_fails_all_the_time() {
    let server = FaultServer::start(nightly());
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("history.redb");
    let mut furthest = i64::MIN;
    let mut failures = 0;
    let report = loop {
        // From the second slice of each run on, nothing is answered.
        let first = Mutex::new(None);
        server.script(move |hit, _| {
            let start = hit.range()?.start_ms;
            let first = *first.lock().unwrap().get_or_insert(start);
            (start >= first + DAY_MS).then(|| say_with(503, &[], "full")).flatten()
        });
        let ran = run(remember(&server, NOON_TEXT, &store).args(["--prometheus-retries", "0"]));
        if ran.code == Some(0) {
            break ran.report();
        }
        ran.refused();
        failures += 1;
        let start = starts(&server).into_iter().min().unwrap();
        assert!(start > furthest, "it did not get further");
        furthest = start;
    };
    // The last hour is a slice of its own.
    assert_eq!(failures, 13);
    assert_eq!(report, *undisturbed());
}
