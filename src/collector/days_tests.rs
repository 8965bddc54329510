//! Instances of services cut at UTC midnights, through a whole collection, and that many small collections give the
//! history that one large one gives.

use proptest::prelude::*;
use rstest::rstest;

use super::day::DAY_MS;
use super::{Request, Who, collect};
use crate::collector::metrics::Scope;
use crate::history::{CpuUse, History, MemoryUse, Outcome, PeakSource, Resources, Run, ScaledOn, Store};
use crate::prometheus::{Labels, Sample, SeriesStore, TimeRange};

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
/// 2026-11-02T00:00:00Z, a Monday; times below count from here.
const MONDAY: i64 = 1_793_577_600_000;

/// One instance of a container: from, to, and what ended it.
#[derive(Clone, Copy, Debug)]
struct Lived {
    from: i64,
    to: i64,
    oom: bool,
}

/// Working set and cores at a moment.
type Use = fn(i64) -> (f64, f64);

fn steady(_: i64) -> (f64, f64) {
    (1e9, 0.5)
}

/// Each day more memory at noon, and two hours of 2 cores.
fn daily(at: i64) -> (f64, f64) {
    let (day, hour) = (at.div_euclid(DAY_MS), at.rem_euclid(DAY_MS) / HOUR);
    let busy = (12..14).contains(&hour);
    (if busy { 1.0 + day as f64 } else { 0.5 } * 1e9, if busy { 2.0 } else { 0.25 })
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    Labels::new(pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())))
}

/// The series of the instances of a pod of a Deployment, scraped every minute but in the gaps.
fn scraped(instances: &[Lived], gaps: &[(i64, i64)], of: Use, until: i64) -> SeriesStore {
    let mut store = SeriesStore::new("test");
    let pod = [("namespace", "airflow"), ("pod", "scheduler-7d9f-x"), ("container", "scheduler")];
    let with = |more: &[(&str, &str)]| labels(&[&pod[..], more].concat());
    let seen = |at: i64| at <= until && !gaps.iter().any(|(from, to)| (*from..*to).contains(&at));
    let sample = |at: i64, value: f64| Sample { at_ms: MONDAY + at, value };
    for (number, instance) in instances.iter().enumerate() {
        let id = format!("/kubepods/burstable/pod2f1d3c58-0d1e-4c8a-9a53-51c2a6f4b0aa/{number}");
        let (mut memory, mut cpu, mut start, mut used) = (Vec::new(), Vec::new(), Vec::new(), 0.0);
        for at in (instance.from..=instance.to).step_by(MINUTE as usize) {
            let (bytes, cores) = of(at);
            if at > instance.from {
                used += 60.0 * cores;
            }
            if seen(at) && at > instance.from {
                memory.push(sample(at, bytes));
                cpu.push(sample(at, used));
                start.push(sample(at, (MONDAY + instance.from) as f64 / 1000.0));
            }
        }
        store.insert("container_memory_working_set_bytes", with(&[("id", &id)]), memory);
        store.insert("container_cpu_usage_seconds_total", with(&[("id", &id)]), cpu);
        store.insert("container_start_time_seconds", with(&[("id", &id)]), start);
    }
    let (first, last) = (instances[0].from, instances[instances.len() - 1].to);
    let always = |from: i64, to: i64, value: f64| {
        (from..=to.min(until)).step_by(10 * MINUTE as usize).map(|at| sample(at, value)).collect::<Vec<_>>()
    };
    let owner = [("owner_kind", "ReplicaSet"), ("owner_name", "scheduler-7d9f")];
    store.insert("kube_pod_owner", with(&owner), always(first, last, 1.0));
    for (metric, value) in [("kube_pod_container_resource_requests", 4e9), ("kube_pod_container_resource_limits", 4e9)]
    {
        store.insert(metric, with(&[("resource", "memory")]), always(first, last, value));
    }
    for instance in instances.iter().filter(|instance| instance.oom) {
        let name = "kube_pod_container_status_last_terminated_reason";
        store.insert(name, with(&[("reason", "OOMKilled")]), always(instance.to, last, 1.0));
    }
    store
}

/// The history after collections that end at these moments.
async fn learned(source: &SeriesStore, ends: &[i64]) -> History {
    let store = Store::in_memory().unwrap();
    for end in ends {
        let window = TimeRange { start_ms: MONDAY, end_ms: MONDAY + end };
        let request = Request { scope: Scope::default(), window, late_ms: 0 };
        collect(source, &store, &request, &mut Who::default(), |_| {}).await.unwrap();
    }
    let mut all: Vec<_> = store.histories(None).unwrap().map(Result::unwrap).collect();
    assert_eq!(all.len(), 1, "{all:#?}");
    let (key, history) = all.remove(0);
    assert_eq!(key.to_string(), "airflow/deployment/scheduler:scheduler");
    history
}

/// Start and length in minutes, memory in GB, outcome.
fn told(history: &History) -> Vec<(i64, i64, Option<f64>, Outcome)> {
    let of = |run: &Run| {
        assert!(run.day.is_some(), "{run:?}");
        let minutes = |ms: i64| (ms as f64 / MINUTE as f64).round() as i64;
        let memory = run.memory.map(|m| m.peak_bytes as f64 / 1e9);
        (minutes(run.started_ms - MONDAY), minutes(run.ended_ms - run.started_ms), memory, run.outcome)
    };
    history.runs().map(of).collect()
}

const fn lived(from: i64, to: i64) -> Lived {
    Lived { from, to, oom: false }
}

#[rstest]
#[case::three_midnights(
    &[lived(18 * HOUR, 3 * DAY_MS + 6 * HOUR)], &[], daily, 3 * DAY_MS + 6 * HOUR,
    &[(1080, 360, Some(0.5), Outcome::GoesOn), (1440, 1440, Some(2.0), Outcome::GoesOn),
      (2880, 1440, Some(3.0), Outcome::GoesOn), (4320, 360, Some(0.5), Outcome::Running)],
)]
#[case::within_a_day(
    &[lived(2 * HOUR, 5 * HOUR)], &[], steady, DAY_MS - 1, &[(120, 180, Some(1.0), Outcome::Unknown)],
)]
#[case::restart_at_midnight(
    &[lived(0, DAY_MS), lived(DAY_MS + MINUTE, 2 * DAY_MS - HOUR)], &[], steady, 2 * DAY_MS - HOUR,
    &[(0, 1440, Some(1.0), Outcome::GoesOn), (1440, 0, Some(1.0), Outcome::Unknown),
      (1441, 1379, Some(1.0), Outcome::Running)],
)]
#[case::nobody_scraped_over_midnight(
    &[lived(12 * HOUR, DAY_MS + 12 * HOUR)], &[(20 * HOUR, DAY_MS + 4 * HOUR)], steady, DAY_MS + 12 * HOUR,
    &[(720, 720, Some(1.0), Outcome::GoesOn), (1440, 720, Some(1.0), Outcome::Running)],
)]
#[case::nobody_scraped_for_a_day(
    &[lived(12 * HOUR, 3 * DAY_MS)], &[(20 * HOUR, 2 * DAY_MS + 4 * HOUR)], steady, 3 * DAY_MS - HOUR,
    &[(720, 720, Some(1.0), Outcome::GoesOn), (1440, 1440, None, Outcome::GoesOn),
      (2880, 1380, Some(1.0), Outcome::Running)],
)]
#[case::killed_on_the_second_day(
    &[Lived { from: 12 * HOUR, to: DAY_MS + 6 * HOUR, oom: true }, lived(DAY_MS + 6 * HOUR + MINUTE, DAY_MS + 9 * HOUR)],
    &[], steady, DAY_MS + 9 * HOUR,
    &[(720, 720, Some(1.0), Outcome::GoesOn), (1440, 360, Some(1.0), Outcome::OomKilled),
      (1801, 179, Some(1.0), Outcome::Running)],
)]
#[tokio::test]
async fn a_life_is_cut_at_midnights(
    #[case] instances: &[Lived],
    #[case] gaps: &[(i64, i64)],
    #[case] of: Use,
    #[case] until: i64,
    #[case] expected: &[(i64, i64, Option<f64>, Outcome)],
) {
    let source = scraped(instances, gaps, of, until);
    assert_eq!(told(&learned(&source, &[until]).await), expected);
}

#[tokio::test]
async fn cpu_is_that_of_the_day_and_of_its_busy_time() {
    let until = 4 * DAY_MS;
    let mut source = scraped(&[lived(0, until)], &[], daily, until);
    // The counter of one scrape is below the one before: the container was started anew in its cgroup.
    let pod = [("namespace", "airflow"), ("pod", "other-5c-x"), ("container", "c"), ("id", "/a")];
    let reset: Vec<Sample> = (1..=2 * 24 * 60)
        .map(|minute| {
            let since = if minute > 2000 { minute - 2000 } else { minute };
            Sample { at_ms: MONDAY + minute * MINUTE, value: since as f64 * 30.0 }
        })
        .collect();
    source.insert("container_cpu_usage_seconds_total", labels(&pod), reset);
    source.insert(
        "kube_pod_owner",
        labels(&[&pod[..2], &[("owner_kind", "StatefulSet"), ("owner_name", "other")]].concat()),
        vec![Sample { at_ms: MONDAY + 3 * DAY_MS, value: 1.0 }],
    );
    let store = Store::in_memory().unwrap();
    let window = TimeRange { start_ms: MONDAY, end_ms: MONDAY + until };
    let request = Request { scope: Scope::default(), window, late_ms: 0 };
    collect(&source, &store, &request, &mut Who::default(), |_| {}).await.unwrap();
    let all: Vec<_> = store.histories(None).unwrap().map(Result::unwrap).collect();
    let of = |kind: &str| &all.iter().find(|(key, _)| key.workload.to_string() == kind).unwrap().1;
    for run in of("deployment/scheduler").finished() {
        let cpu = run.cpu.unwrap();
        assert!((cpu.mean_cores - (2.0 * 2.0 + 22.0 * 0.25) / 24.0).abs() < 0.01, "{run:?}");
        // Two hours are a twelfth of the day, more than the twentieth that may be busier.
        assert_eq!((cpu.peak_cores, run.day.as_ref().unwrap().busy_cores), (Some(2.0), Some(2.0)));
    }
    let means: Vec<f64> = of("statefulset/other").finished().map(|run| run.cpu.unwrap().mean_cores).collect();
    assert!(means.len() == 2 && means.iter().all(|m| (m - 0.5).abs() < 1e-3), "{means:?}");
}

#[tokio::test]
async fn a_long_run_of_an_earlier_release_is_no_longer_counted_beside_its_days() {
    let until = 3 * DAY_MS;
    let source = scraped(&[lived(-9 * DAY_MS, until)], &[], steady, until);
    let store = Store::in_memory().unwrap();
    let key: crate::workload::WorkloadKey = "airflow/deployment/scheduler:scheduler".parse().unwrap();
    let old = Run {
        pod: "scheduler-7d9f-x".to_owned(),
        uid: Some("2f1d3c58-0d1e-4c8a-9a53-51c2a6f4b0aa".to_owned()),
        started_ms: MONDAY - 9 * DAY_MS,
        ended_ms: MONDAY + DAY_MS + 6 * HOUR,
        memory: Some(MemoryUse { peak_bytes: 4_000_000_000, source: PeakSource::Cgroup, samples: 9000 }),
        cpu: Some(CpuUse { mean_cores: 0.5, peak_cores: None, throttled_share: None }),
        resources: Resources::default(),
        outcome: Outcome::Running,
        attempt: None,
        input_bytes: None,
        jvm: None,
        day: None,
        observation: None,
    };
    let id = "test all namespaces";
    // What the earlier release carried cannot be read any more, and is begun anew.
    store.commit(id, old.ended_ms, b"\x01\x07airflow", [(key.clone(), old)]).unwrap();
    let window = TimeRange { start_ms: MONDAY, end_ms: MONDAY + until };
    let request = Request { scope: Scope::default(), window, late_ms: 0 };
    collect(&source, &store, &request, &mut Who::default(), |_| {}).await.unwrap();
    let history = store.histories(None).unwrap().next().unwrap().unwrap().1;
    let hours: f64 = history.runs().map(Run::seconds).sum::<f64>() / 3600.0;
    assert!((hours - 12.0 * 24.0).abs() < 0.1, "{hours} h of 12 days: {history:#?}");
    assert!(history.runs().all(|run| run.memory.is_none_or(|m| m.peak_bytes == 1_000_000_000)), "{history:#?}");
}

#[tokio::test]
async fn an_autoscaler_on_a_share_of_the_request_is_seen() {
    let until = 2 * DAY_MS;
    let mut source = scraped(&[lived(0, until)], &[], steady, until);
    let hpa = [("namespace", "airflow"), ("horizontalpodautoscaler", "h")];
    let at = |day: i64| vec![Sample { at_ms: MONDAY + day * DAY_MS + HOUR, value: 1.0 }];
    let target = [("scaletargetref_kind", "Deployment"), ("scaletargetref_name", "scheduler")];
    source.insert("kube_horizontalpodautoscaler_info", labels(&[&hpa[..], &target].concat()), at(1));
    for (name, kind) in [("cpu", "utilization"), ("memory", "average"), ("requests_per_second", "value")] {
        let on = [("metric_name", name), ("metric_target_type", kind)];
        source.insert("kube_horizontalpodautoscaler_spec_target_metric", labels(&[&hpa[..], &on].concat()), at(1));
    }
    let history = learned(&source, &[until]).await;
    let newest = history.runs().last().unwrap();
    assert_eq!(newest.day.as_ref().unwrap().scaled_on, ScaledOn { cpu: true, memory: false });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever the moments at which it was collected, half-way through days and instances.
    #[test]
    fn many_collections_give_what_one_gives(
        begins in 0..2 * DAY_MS,
        lengths in proptest::collection::vec((30 * MINUTE..4 * DAY_MS, any::<bool>()), 1..4),
        ends in proptest::collection::vec(0..9 * DAY_MS, 0..12),
    ) {
        let mut instances = Vec::new();
        let mut from = begins / MINUTE * MINUTE;
        for (length, oom) in lengths {
            let to = from + length / MINUTE * MINUTE;
            instances.push(Lived { from, to, oom });
            from = to + 2 * MINUTE;
        }
        // A kill is told by the instance that follows it.
        instances.push(lived(from, from + DAY_MS / 2));
        // One reason stands for all kills of a pod: kube-state-metrics keeps the last.
        let killed = instances[0].oom;
        instances.iter_mut().rev().skip(1).for_each(|instance| instance.oom = killed);
        let until = 9 * DAY_MS;
        let source = scraped(&instances, &[], daily, until);
        let mut ends = ends;
        ends.push(until);
        ends.sort_unstable();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let first_seen = instances[0].from + MINUTE;
        ends.retain(|end| *end >= first_seen);
        let whole = runtime.block_on(learned(&source, &[until]));
        let by_parts = runtime.block_on(learned(&source, &ends));
        prop_assert_eq!(told(&by_parts), told(&whole));
        prop_assert_eq!(by_parts, whole);
    }
}
