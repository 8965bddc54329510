//! The small platforms: known figures, and each variant's one difficulty.
//! Numbers are spelled out here, not taken from the platforms.

use super::*;
use crate::research::simulate::platforms::*;

#[test]
fn the_same_seed_gives_the_same_bytes_on_every_machine() {
    let bytes = digest(&nightly_three().simulate(NOON, 7));
    assert_eq!(bytes, digest(&nightly_three().simulate(NOON, 7)));
    assert_ne!(bytes.0, digest(&nightly_three().simulate(NOON, 8)).0);
    assert_eq!(
        bytes,
        (16_713_201_475_697_289_593, 24_317_072),
        "a changed digest changes every stored expectation: do it on purpose"
    );
}

#[test]
fn three_nightly_jobs_have_the_published_peaks_and_cores() {
    let sim = nightly_three().simulate(NOON, 1);
    consistent(&sim);
    let truth = sim.truth();
    assert_eq!(sim.pods(), 42);
    assert_eq!(truth.len(), 42);
    for (name, seconds, sampled) in
        [("nightly-05m", 300, 1024 * MIB), ("nightly-10m", 600, 2048 * MIB), ("nightly-60m", 3600, 2048 * MIB)]
    {
        let runs: Vec<_> = truth.iter().filter(|r| r.workload == format!("cronjob/{name}")).collect();
        assert_eq!(runs.len(), 14, "{name}");
        for r in runs {
            assert_eq!(r.ended_ms - r.started_ms, seconds * 1000);
            assert_eq!((r.true_peak_bytes, r.sampled_peak_bytes), (2048 * MIB, Some(sampled)), "{name}");
            assert!((r.mean_cores - 0.9).abs() < 1e-6 && r.end == End::Completed && r.attempt == 1);
        }
    }
}

#[test]
fn every_pod_has_an_owner_and_every_job_its_cron_job() {
    let sim = nightly_three().simulate(NOON, 1);
    let mut jobs = BTreeMap::new();
    sim.for_each_series_of(Metric::JobOwner, |labels, _| {
        assert_eq!(labels.get("owner_kind"), Some("CronJob"));
        jobs.insert(labels.get("job_name").unwrap().to_owned(), labels.get("owner_name").unwrap().to_owned());
    });
    let mut pods = 0;
    sim.for_each_series_of(Metric::PodOwner, |labels, _| {
        let job = labels.get("owner_name").unwrap();
        assert!(labels.get("pod").unwrap().starts_with(job) && job.starts_with(jobs[job].as_str()), "{labels:?}");
        pods += 1;
    });
    assert_eq!((jobs.len(), pods), (42, 42));
}

#[test]
fn an_ha_pair_scrapes_the_same_runs_at_other_moments() {
    let sim = nightly_ha_pair().simulate(NOON, 1);
    consistent(&sim);
    let mut times: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for (labels, samples) in container_series(&sim, Metric::WorkingSet) {
        let replica = labels.get("prometheus_replica").unwrap().to_owned();
        times.entry(replica).or_default().extend(samples.iter().map(|s| s.at_ms));
    }
    assert_eq!(times.keys().map(String::as_str).collect::<Vec<_>>(), ["a", "b"]);
    assert!(times["a"].iter().all(|t| !times["b"].contains(t)));
    assert!(times["b"].len() < times["a"].len(), "the second replica was down for a while");
}

#[test]
fn the_last_value_lingers_for_five_minutes() {
    let sim = nightly_lingering().simulate(NOON, 1);
    consistent(&sim);
    let truth = sim.truth();
    for (labels, samples) in container_series(&sim, Metric::WorkingSet) {
        let run = truth.iter().find(|r| labels.get("pod") == Some(&r.pod)).unwrap();
        let (inside, after): (Vec<&Sample>, Vec<&Sample>) = samples.iter().partition(|s| s.at_ms <= run.ended_ms);
        assert_eq!(after.len(), 10);
        assert!(after.iter().all(|s| s.value == inside.last().unwrap().value && s.at_ms <= run.ended_ms + 300_000));
    }
}

#[test]
fn without_labels_there_are_no_label_series() {
    let sizes = sizes(&nightly_unlabelled().simulate(NOON, 1));
    for gone in ["kube_pod_labels", "kube_pod_annotations", "container_memory_max_usage_bytes"] {
        assert_eq!(sizes.get(gone), None, "{gone}");
    }
    assert_eq!(sizes["kube_pod_owner"].0, 42);
}

#[test]
fn a_restart_in_place_resets_the_counter_inside_one_series() {
    let sim = nightly_counter_reset().simulate(NOON, 1);
    consistent(&sim);
    let restarted = sim.truth().iter().filter(|r| r.attempt > 1).count();
    let series = container_series(&sim, Metric::CpuUsage);
    let resets: usize = series.iter().map(|(_, s)| s.windows(2).filter(|w| w[1].value < w[0].value).count()).sum();
    assert_eq!((series.len(), resets), (14, restarted));
    assert!(restarted >= 3, "{restarted}");
    let sizes = sizes(&sim);
    assert!(sizes["kube_pod_container_status_last_terminated_reason"].0 >= 1);
    assert!(sizes["kube_pod_container_status_last_terminated_exitcode"].0 >= 1);
}

#[test]
fn a_forty_second_task_is_seen_once_or_twice() {
    let sim = forty_seconds().simulate(NOON, 1);
    consistent(&sim);
    let truth = sim.truth();
    // The one that is created at the very end has not started yet.
    assert_eq!((sim.pods(), truth.len()), (288, 287));
    assert!(truth.iter().all(|r| (1..=2).contains(&r.samples)));
    let unseen = truth.iter().filter(|r| r.sampled_peak_bytes < Some(r.true_peak_bytes)).count();
    assert!(unseen > 200, "the 3-second peak is rarely sampled: {unseen}");
}

#[test]
fn a_weekly_job_runs_four_times_in_four_weeks() {
    let sim = weekly_short().simulate(NOON, 1);
    consistent(&sim);
    assert_eq!(sim.truth().len(), 4);
}
