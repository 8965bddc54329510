//! Which series belong to what, and the same answer from every source: files, Prometheus 2 and 3, `VictoriaMetrics`,
//! remote read and query API, whole or bit by bit. Each history is small and made here.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail loudly in its helpers")]
#![allow(dead_code, reason = "what tells of pods is shared with other tests")]

#[path = "../telemetry/pods.rs"]
mod pods;
#[path = "../telemetry/series.rs"]
mod series;
#[path = "../support/mod.rs"]
mod support;

mod clusters;
mod in_steps;
mod same_answer;
mod scrapers;
mod thanos;

use std::path::Path;

use serde_json::Value;

use pods::{Asks, MIB, Pod, climbs, nights};
use series::{History, Labels};
use support::cli::{Ran, podfit};

/// Minutes that a run takes.
const RUN_S: i64 = 1800;

/// A nightly `CronJob` that needs up to `peak_mib`, with these labels on all of its series.
fn nightly(history: &mut History, name: &str, n: i64, hours_later: i64, peak_mib: f64, labels: &Labels) {
    for (night, start) in nights(n).enumerate() {
        let start = start + hours_later * pods::HOUR;
        let mut pod = Pod::of_cronjob("etl", name, start, start + RUN_S);
        pod.on_cadvisor = labels.clone();
        pod.on_objects = labels.clone();
        let peak = (peak_mib + night as f64) * MIB;
        pod.measure(history, ("main", 0), (start, start + RUN_S), climbs(peak, RUN_S), 1.0);
        pod.ran(history, "main", Asks::memory(8192.0 * MIB), "Completed");
    }
}

/// What `podfit recommend -o json` makes of a history.
fn recommend(history: &History, more: &[&str]) -> Ran {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("history.om");
    history.write(&file);
    recommend_file(&file, more)
}

fn recommend_file(file: &Path, more: &[&str]) -> Ran {
    let file = file.to_str().unwrap();
    podfit([&["recommend", "-o", "json", "--openmetrics", file], more].concat())
}

/// The JSON of an answer that must be there.
#[track_caller]
fn json(ran: &Ran) -> Value {
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    serde_json::from_str(&ran.stdout).unwrap()
}

/// Runs and highest peak in MiB of the only row.
#[track_caller]
fn only_row(answer: &Value) -> (u64, f64) {
    let rows = answer["workloads"].as_array().unwrap();
    assert_eq!(rows.len(), 1, "{answer:#}");
    let evidence = &rows[0]["evidence"];
    (evidence["runs"].as_u64().unwrap(), (evidence["peakMaxBytes"].as_f64().unwrap() / MIB).round())
}

/// What is said of the whole, without that there are no pod labels: none of these histories has any.
fn notes(answer: &Value) -> String {
    let notes = answer["notes"].as_array().unwrap().iter().map(|n| n.as_str().unwrap());
    notes.filter(|n| !n.starts_with("no pod labels")).collect::<Vec<_>>().join("\n")
}

/// Rows and notes, whatever was asked for by which flags.
#[track_caller]
fn said(ran: &Ran) -> (Value, String) {
    let answer = json(ran);
    (answer["workloads"].clone(), notes(&answer))
}
