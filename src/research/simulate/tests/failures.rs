//! What follows when something dies: each engine's own way, and what the series show of it.
//! Workloads are taken from the demo and given a limit that is too small.

use super::*;
use crate::research::simulate::platforms::data_platform;

/// One workload of the demo, with the memory limit of one part changed.
fn only(name: &str, part: usize, limit_mib: u64) -> Simulation {
    let mut platform = data_platform();
    platform.models.retain(|m| m.name == name);
    platform.models[0].parts[part].asks.memory_limit_bytes = Some(limit_mib * MIB);
    platform.simulate(NOON, 1)
}

/// The values of a label among the series of a metric, counted.
fn values(sim: &Simulation, metric: Metric, label: &str) -> BTreeMap<String, usize> {
    let mut values = BTreeMap::new();
    sim.for_each_series_of(metric, |labels, _| {
        *values.entry(labels.get(label).unwrap_or_default().to_owned()).or_default() += 1;
    });
    values
}

#[test]
fn a_killed_deployment_restarts_in_its_pod() {
    let sim = only("orders-api", 0, 540);
    consistent(&sim);
    let truth = sim.truth();
    assert!(truth.iter().any(|r| r.oom) && truth.iter().any(|r| r.attempt > 1));
    assert!(truth.len() > sim.pods(), "more instances than pods");
    assert!(values(&sim, Metric::LastTerminatedReason, "reason")["OOMKilled"] >= 1);
    sim.for_each_series_of(Metric::LastTerminatedExitcode, |_, samples| {
        assert!(samples.iter().all(|s| s.value == 137.0));
    });
    let mut restarts = 0.0_f64;
    sim.for_each_series_of(Metric::Restarts, |_, s| restarts = restarts.max(s.last().unwrap().value));
    assert!(restarts >= 1.0);
}

#[test]
fn a_killed_task_manager_is_replaced_by_one_with_the_next_index() {
    let sim = only("clickstream-sessions", 1, 3100);
    consistent(&sim);
    let truth = sim.truth();
    assert!(truth.iter().any(|r| r.oom));
    assert!(truth.iter().any(|r| r.pod.ends_with("-taskmanager-1-3")), "two at the start, then a third");
    assert!(values(&sim, Metric::LastTerminatedReason, "reason").is_empty());
}

#[test]
fn a_killed_driver_takes_its_executors_along_and_is_submitted_again() {
    let sim = only("price-elasticity", 0, 1100);
    consistent(&sim);
    let truth = sim.truth();
    let driver = truth.iter().find(|r| r.oom && r.workload.starts_with("spark-driver") && r.attempt == 1).unwrap();
    let cut: Vec<_> = truth.iter().filter(|r| r.end == End::Stopped && r.ended_ms == driver.ended_ms).collect();
    assert_eq!(cut.len(), 4);
    assert!(cut.iter().all(|r| r.workload.starts_with("spark-executor")));
    let again = truth.iter().find(|r| r.pod == driver.pod && r.uid != driver.uid).unwrap();
    assert!(again.attempt == 2 && again.started_ms > driver.ended_ms, "the driver's pod name is used again");
}

#[test]
fn a_failed_cron_job_pod_shows_why_until_its_job_is_deleted() {
    let sim = only("stock-snapshot", 0, 215);
    consistent(&sim);
    let reasons = values(&sim, Metric::TerminatedReason, "reason");
    assert!(reasons["OOMKilled"] > 10 && reasons["Completed"] > 500, "{reasons:?}");
    let truth = sim.truth();
    let killed = truth.iter().find(|r| r.oom && r.attempt == 1).unwrap();
    let job = killed.pod.rsplit_once('-').unwrap().0;
    let retry = truth.iter().find(|r| r.attempt == 2 && r.pod.starts_with(job));
    assert!(retry.is_some_and(|r| r.started_ms > killed.ended_ms), "a new pod of the same Job");
    let existing = values(&sim, Metric::PodOwner, "pod").len();
    assert_eq!(existing, sim.pods());
    let mut at_end = 0;
    sim.for_each_series_of(Metric::JobOwner, |_, s| {
        at_end += usize::from(s.last().is_some_and(|s| s.at_ms > NOON - 300_000));
    });
    assert!((3..=5).contains(&at_end), "three successes and one failure are kept: {at_end}");
}

#[test]
fn a_run_in_flight_at_the_end_is_seen_so_far() {
    // 03:30: half of the hour-long job.
    let end = NOON - 8 * 3_600_000 - 1_800_000;
    let sim = platforms::nightly_three().simulate(end, 1);
    consistent(&sim);
    let truth = sim.truth();
    let running: Vec<_> = truth.iter().filter(|r| r.running).collect();
    assert_eq!(running.len(), 1);
    assert_eq!((running[0].ended_ms, running[0].true_peak_bytes), (end, 1024 * MIB));
    for ending in [7_777_777, 80_000_001] {
        consistent(&data_platform().simulate(NOON + ending, ending.unsigned_abs()));
    }
}
