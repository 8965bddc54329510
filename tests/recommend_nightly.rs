//! What a data engineer gets from two weeks of a real Prometheus: no memory below the highest peak that was seen, CPU
//! as it truly was, one line per workload, whatever the scraping was like. Histories are simulated and backfilled by
//! promtool; `podfit recommend` runs as its user runs it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail loudly in its helpers")]

mod support;

use std::collections::BTreeMap;
use std::process::Command;

use podfit::simulate::platforms::{
    forty_seconds, nightly_counter_reset, nightly_ha_pair, nightly_lingering, nightly_three, nightly_unlabelled,
    weekly_short,
};
use podfit::simulate::{Platform, Simulation};
use rstest::rstest;
use serde_json::Value;
use support::prometheus_server::PrometheusServer;

/// 2026-11-22T12:00:00Z
const NOON: i64 = 1_795_348_800_000;
const NOON_TEXT: &str = "2026-11-22T12:00:00Z";
const MIB: u64 = 1 << 20;

/// The highest sampled peak, true cores and number of runs of every workload, by its text form.
fn truth(simulation: &Simulation) -> BTreeMap<String, (u64, f64, usize)> {
    let mut by_workload: BTreeMap<String, (u64, f64, usize)> = BTreeMap::new();
    for run in simulation.truth() {
        let entry = by_workload.entry(run.workload.clone()).or_insert((0, 0.0, 0));
        entry.0 = entry.0.max(run.sampled_peak_bytes.unwrap_or(0));
        entry.1 = entry.1.max(run.mean_cores);
        entry.2 += 1;
    }
    by_workload
}

fn recommend(url: &str, more: &[&str]) -> Vec<Value> {
    let output = Command::new(env!("CARGO_BIN_EXE_podfit"))
        .args(["recommend", "--prometheus-url", url, "--at", NOON_TEXT, "-o", "json"])
        .args(more)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    report["workloads"].as_array().unwrap().clone()
}

fn bytes(line: &Value) -> u64 {
    let text = line["recommended"]["memoryLimit"].as_str().unwrap();
    text.parse::<podfit::quantity::Quantity>().unwrap().bytes_rounded_up()
}

fn cores(line: &Value) -> f64 {
    let text = line["recommended"]["cpuRequest"].as_str().unwrap();
    text.parse::<podfit::quantity::Quantity>().unwrap().millis_rounded_up() as f64 / 1000.0
}

fn served(platform: Platform, test: &str) -> Option<(PrometheusServer, Simulation)> {
    let simulation = platform.simulate(NOON, 1);
    let server = PrometheusServer::start_with_writer(
        |out| {
            let mut out = out;
            simulation.write_openmetrics(&mut out).unwrap();
        },
        &[],
    );
    if server.is_none() {
        support::prometheus_server::skipped(test, "prometheus or promtool is not on PATH");
    }
    Some((server?, simulation))
}

#[rstest]
#[case::plain("plain", nightly_three())]
#[case::ha_pair("ha_pair", nightly_ha_pair())]
#[case::lingering("lingering", nightly_lingering())]
#[case::no_pod_labels("no_pod_labels", nightly_unlabelled())]
#[case::counter_reset("counter_reset", nightly_counter_reset())]
#[case::every_ten_minutes("every_ten_minutes", forty_seconds())]
fn never_below_a_seen_peak_and_cpu_as_it_was(
    #[case] name: &str,
    #[case] platform: Platform,
    #[values("remote-read", "query")] transport: &str,
) {
    let Some((server, simulation)) = served(platform, name) else { return };
    let lines = recommend(&server.url(), &["--prometheus-read", transport]);
    let truth = truth(&simulation);
    let found: Vec<&str> = lines.iter().map(|l| l["workload"].as_str().unwrap()).collect();
    assert_eq!(found.len(), truth.len(), "{found:?} of {:?}", truth.keys());
    for line in &lines {
        let workload = line["workload"].as_str().unwrap();
        let (peak, cores_truly, runs) = truth[workload];
        eprintln!(
            "{name} {transport} {workload}: runs {}/{runs}, memory {} MiB (sampled peak {} MiB), cpu {} (truly {cores_truly:.3})",
            line["evidence"]["runs"],
            bytes(line) / MIB,
            peak / MIB,
            cores(line)
        );
        assert!(bytes(line) >= peak, "{workload}: {} MiB for a peak of {} MiB", bytes(line) / MIB, peak / MIB);
        assert!(
            (cores(line) - cores_truly).abs() <= 0.1 * cores_truly,
            "{workload}: {} cores for {cores_truly}",
            cores(line)
        );
    }
}

#[test]
fn too_few_runs_are_unknown() {
    let Some((server, _)) = served(weekly_short(), "too_few_runs_are_unknown") else { return };
    let lines = recommend(&server.url(), &["--history", "7d"]);
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0]["verdict"]["memory"], "unknown");
    assert_eq!(lines[0]["recommended"].get("memoryLimit"), None);
    assert!(lines[0]["notes"][0].as_str().unwrap().contains("3 are needed"), "{}", lines[0]["notes"]);
}
