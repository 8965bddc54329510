//! Bad input gets a clear error and loses nothing: whatever is wrong with server, file, store, cluster or arguments,
//! the user reads one line that says what, where and what to do, and the history that was there goes on.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail loudly in its helpers too")]

mod access;
mod arguments;
mod cluster;
mod empty;
mod files;
mod resume;
mod server;
mod signatures;
mod store;
#[path = "../support/mod.rs"]
mod support;
mod values;

use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use podfit::prometheus::SeriesStore;
use podfit::research::simulate::platforms::nightly_three;
use serde_json::Value;
use support::cli::{NOON, NOON_TEXT, Ran, command, run};
use support::fault_server::FaultServer;

/// Three days before the end of the history, at noon.
const BEFORE_TEXT: &str = "2026-11-19T12:00:00Z";

/// Two weeks of three nightly jobs that end at noon.
fn nightly() -> SeriesStore {
    static STORE: OnceLock<SeriesStore> = OnceLock::new();
    STORE.get_or_init(|| series_of(NOON)).clone()
}

fn series_of(end_ms: i64) -> SeriesStore {
    let mut store = SeriesStore::new("nightly");
    nightly_three()
        .simulate(end_ms, 1)
        .for_each_series(|metric, labels, samples| store.insert(metric, labels, samples));
    store
}

/// `podfit recommend` of a server until a time, and more arguments.
fn recommend(server: &FaultServer, at: &str) -> Command {
    let mut command = command();
    command.args(["recommend", "-o", "json", "--prometheus-url", &server.url(), "--at", at]);
    command
}

/// The same with a store.
fn remember(server: &FaultServer, at: &str, store: &Path) -> Command {
    let mut command = recommend(server, at);
    command.arg("--store").arg(store);
    command
}

/// The report of a run in which nothing went wrong.
fn undisturbed() -> &'static Value {
    static REPORT: OnceLock<Value> = OnceLock::new();
    REPORT.get_or_init(|| {
        let report = run(&mut recommend(&FaultServer::start(nightly()), NOON_TEXT)).report();
        assert_eq!(report["workloads"].as_array().unwrap().len(), 3, "{report}");
        report
    })
}

/// The workloads of a report: what is said of them, notes on the collection aside.
fn workloads(ran: &Ran) -> Value {
    ran.report_with_lines()["workloads"].clone()
}
