//! What a data engineer gets from two weeks of a real Prometheus: no memory below the highest peak that was seen, CPU
//! as it truly was, one line per workload, whatever the scraping was like. Histories are simulated and backfilled by
//! promtool; `podfit recommend` runs as its user runs it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail loudly in its helpers")]

mod support;

use std::collections::BTreeMap;
use std::process::Command;

use podfit::quantity::MIB;
use podfit::research::simulate::platforms::{
    forty_seconds, nightly_counter_reset, nightly_ha_pair, nightly_lingering, nightly_three, nightly_unlabelled,
    services, weekly_short,
};
use podfit::research::simulate::{Platform, Simulation};
use rstest::rstest;
use serde_json::Value;
use support::prometheus_server::PrometheusServer;

/// 2026-11-22T12:00:00Z
const NOON: i64 = 1_795_348_800_000;
const NOON_TEXT: &str = "2026-11-22T12:00:00Z";

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

fn line<'a>(lines: &'a [Value], workload: &str) -> &'a Value {
    lines.iter().find(|l| l["workload"] == workload).unwrap_or_else(|| panic!("no {workload} in {lines:#?}"))
}

/// Two weeks of two replicas that never ended, and a database: known need, so known sizes; learned at once, and by a
/// store in steps that end at any time of a day.
#[rstest]
fn services_are_sized_by_their_days(#[values("remote-read", "query")] transport: &str) {
    let Some((server, _)) = served(services(), "services_are_sized_by_their_days") else { return };
    let at_once = recommend(&server.url(), &["--prometheus-read", transport]);
    for (workload, replicas) in [("deployment/scheduler", 2), ("statefulset/database", 1)] {
        let line = line(&at_once, workload);
        // Half of the first day, 13 days, and the morning of today, which is under way.
        let evidence = &line["evidence"];
        assert_eq!((evidence["days"].as_u64(), evidence["replicas"].as_u64()), (Some(14), Some(replicas)), "{line:#}");
        assert_eq!((evidence["runs"].as_u64(), evidence["running"].as_u64()), (Some(14 * replicas), Some(replicas)));
        // The highest peak and 15 %.
        assert!((1766..=1800).contains(&(bytes(line) / MIB)), "{line:#}");
        assert!((cores(line) - 0.4).abs() <= 0.01, "{line:#}");
        assert_eq!((&line["verdict"]["memory"], &line["verdict"]["cpu"]), (&"lower".into(), &"lower".into()));
        // Of 4 GiB for every hour of the week, of each replica, in a window of two weeks less half an hour.
        let hours = 168.0 * replicas as f64 * (4.0 - bytes(line) as f64 / (1_u64 << 30) as f64);
        let saved = line["effect"]["memoryGibHoursPerWeek"].as_f64().unwrap();
        assert!((saved - hours).abs() < 0.01 * hours, "{saved} of {hours}");
    }
    let job = line(&at_once, "cronjob/nightly-10m");
    assert_eq!((job["evidence"]["runs"].as_u64(), job["evidence"].get("days")), (Some(14), None));

    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("history.redb");
    let mut by_steps = Vec::new();
    for at in
        ["2026-11-09T03:10:00Z", "2026-11-09T21:40:00Z", "2026-11-15T23:59:59Z", "2026-11-21T00:00:30Z", NOON_TEXT]
    {
        let output = Command::new(env!("CARGO_BIN_EXE_podfit"))
            .args(["recommend", "--prometheus-url", &server.url(), "--at", at, "-o", "json", "--store"])
            .arg(&store)
            .args(["--prometheus-read", transport])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        by_steps = report["workloads"].as_array().unwrap().clone();
    }
    for workload in ["deployment/scheduler", "statefulset/database"] {
        assert_eq!(line(&by_steps, workload), line(&at_once, workload));
    }
}

/// Less is recommended after a week only; that more is needed is said after three days.
#[rstest]
#[case::two_days("2d", "unknown", "unknown")]
#[case::four_days("4d", "keep", "keep")]
#[case::eight_days("8d", "lower", "lower")]
fn few_days_lower_nothing(#[case] history: &str, #[case] memory: &str, #[case] cpu: &str) {
    let Some((server, _)) = served(services(), "few_days_lower_nothing") else { return };
    let lines = recommend(&server.url(), &["--history", history]);
    let line = line(&lines, "deployment/scheduler");
    assert_eq!((&line["verdict"]["memory"], &line["verdict"]["cpu"]), (&memory.into(), &cpu.into()), "{line:#}");
    let notes = line["notes"].to_string();
    match memory {
        "unknown" => assert!(notes.contains("finished days seen, 3 are needed"), "{notes}"),
        "keep" => assert!(notes.contains("days were seen: a size is lowered after 7"), "{notes}"),
        _ => assert!(!notes.contains("days"), "{notes}"),
    }
}

/// What an autoscaler scales on is not sized; what kube-state-metrics says of it is in the same Prometheus.
#[test]
fn what_an_autoscaler_scales_on_is_left_alone() {
    let test = "what_an_autoscaler_scales_on_is_left_alone";
    let mut text = Vec::new();
    services().simulate(NOON, 1).write_openmetrics(&mut text).unwrap();
    let mut text = String::from_utf8(text).unwrap().trim_end().trim_end_matches("# EOF").to_owned();
    let of = "namespace=\"nightly\",horizontalpodautoscaler=\"scheduler\",job=\"kube-state-metrics\"";
    let series = [
        ("info", "scaletargetref_kind=\"Deployment\",scaletargetref_name=\"scheduler\""),
        ("spec_target_metric", "metric_name=\"cpu\",metric_target_type=\"utilization\""),
        ("spec_target_metric", "metric_name=\"memory\",metric_target_type=\"average\""),
    ];
    for name in ["info", "spec_target_metric"] {
        text.push_str(&format!("# TYPE kube_horizontalpodautoscaler_{name} gauge\n"));
        for (_, labels) in series.iter().filter(|(of, _)| *of == name) {
            for minutes in 0..60 {
                let at = (NOON / 1000) - 60 * minutes - 600;
                text.push_str(&format!("kube_horizontalpodautoscaler_{name}{{{of},{labels}}} 1 {at}\n"));
            }
        }
    }
    text.push_str("# EOF\n");
    let Some(server) = PrometheusServer::start_with_writer(|out| out.write_all(text.as_bytes()).unwrap(), &[]) else {
        return support::prometheus_server::skipped(test, "prometheus or promtool is not on PATH");
    };
    let lines = recommend(&server.url(), &[]);
    let (scheduler, database) = (line(&lines, "deployment/scheduler"), line(&lines, "statefulset/database"));
    assert_eq!(scheduler["recommended"].get("cpuRequest"), None, "{scheduler:#}");
    let notes = scheduler["notes"].to_string();
    assert!(
        notes.contains("CPU left as it is: a HorizontalPodAutoscaler scales on its share of the request"),
        "{notes}"
    );
    assert!((1766..=1800).contains(&(bytes(scheduler) / MIB)), "another one on an average value changes nothing");
    assert!((cores(database) - 0.4).abs() <= 0.01, "and the database has none");
}
