//! Samples that arrive late, answers that are not whole, and what is forgotten: collections in steps end with the
//! history of one that saw everything.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::metrics::Scope;
use super::{Request, Summary, Who, collect};
use crate::history::{History, Outcome, PodSeen, Store};
use crate::prometheus::{Error, Labels, Matcher, Sample, SampleStream, Selector, SeriesSource, SeriesStore, TimeRange};
use crate::workload::{Workload, WorkloadKey};

const MINUTE: i64 = 60_000;
/// 2026-11-16T00:00:00Z.
const START: i64 = 1_794_787_200_000;
const LATE_MS: i64 = 60 * MINUTE;
const END: i64 = START + 9 * 60 * MINUTE;

/// One series, each sample with the time at which the server has it.
struct Arriving {
    metric: &'static str,
    labels: Labels,
    samples: Vec<(Sample, i64)>,
}

/// Pods of a CronJob, one every 25 minutes, that run for 3 to 75 minutes; some are killed, some go on at the end.
/// `delay` tells how late a part of a series is, by the number of the part.
fn pods(mut delay: impl FnMut(u64) -> i64) -> Vec<Arriving> {
    let mut all = Vec::new();
    let mut part = 0;
    for n in 0..20_i64 {
        let (pod, job) = (format!("etl-{}-x7k2p", 29_399_880 + n), format!("etl-{}", 29_399_880 + n));
        let from = START + (7 + n * 25) * MINUTE;
        let to = (from + (3 + n * 37 % 72) * MINUTE).min(END);
        let id = format!("/kubepods/burstable/pod00000000-0000-0000-0000-{n:012}/c");
        let of = |more: &[(&str, &str)]| {
            let base = [("namespace", "jobs"), ("pod", pod.as_str())];
            Labels::new(base.iter().chain(more).map(|(k, v)| ((*k).to_owned(), (*v).to_owned())))
        };
        let mut series = |metric, labels, value: &dyn Fn(i64) -> f64, from: i64, to: i64| {
            let mut samples: Vec<(Sample, i64)> = Vec::new();
            let mut late = 0;
            for (i, at_ms) in (from..=to).step_by(30_000).enumerate() {
                if i % 12 == 0 {
                    part += 1;
                    late = delay(part);
                }
                samples.push((Sample { at_ms, value: value(at_ms) }, at_ms + late));
            }
            all.push(Arriving { metric, labels, samples });
        };
        let container = [("container", "main"), ("id", id.as_str())];
        let bytes = move |at: i64| 1e9 + ((at - from) / 30_000 * 7919 % 97) as f64 * 1e6 + n as f64 * 1e7;
        series("container_memory_working_set_bytes", of(&container), &bytes, from + 11_000, to);
        series(
            "container_cpu_usage_seconds_total",
            of(&container),
            &|at| (at - from) as f64 / 2000.0,
            from + 11_000,
            to,
        );
        series("container_start_time_seconds", of(&container), &|_| from as f64 / 1000.0, from + 11_000, to);
        let stays = (to + 20 * MINUTE).min(END);
        series("kube_pod_owner", of(&[("owner_kind", "Job"), ("owner_name", &job)]), &|_| 1.0, from, stays);
        let of_job = [("job_name", job.as_str()), ("owner_kind", "CronJob"), ("owner_name", "etl")];
        series("kube_job_owner", of(&of_job), &|_| 1.0, from, stays);
        let limit = [("container", "main"), ("resource", "memory")];
        series("kube_pod_container_resource_limits", of(&limit), &|_| 4e9, from, stays);
        if to < END {
            let reason = if n % 5 == 3 { "OOMKilled" } else { "Completed" };
            let ended = [("container", "main"), ("reason", reason)];
            series("kube_pod_container_status_terminated_reason", of(&ended), &|_| 1.0, to, stays);
        }
    }
    all
}

/// What the server has at a moment; where it is not whole, nothing of some pods, and a word of warning.
struct Server {
    series: SeriesStore,
    words: &'static str,
}

impl Server {
    fn at(all: &[Arriving], now_ms: i64) -> Self {
        Self::with(all, now_ms, |_| true, "")
    }

    fn with(all: &[Arriving], now_ms: i64, has: impl Fn(&Labels) -> bool, words: &'static str) -> Self {
        let mut series = SeriesStore::new("late");
        for one in all.iter().filter(|one| has(&one.labels)) {
            let arrived = one.samples.iter().filter(|(_, at_ms)| *at_ms <= now_ms).map(|(sample, _)| *sample).collect();
            series.insert(one.metric, one.labels.clone(), arrived);
        }
        Self { series, words }
    }
}

impl SeriesSource for Server {
    async fn samples(&self, selector: &Selector, range: TimeRange) -> Result<SampleStream, Error> {
        self.series.samples(selector, range).await
    }

    async fn last(&self, selector: &Selector, range: TimeRange) -> Result<SampleStream, Error> {
        self.series.last(selector, range).await
    }

    async fn metric_names_present(
        &self,
        names: &[&str],
        range: TimeRange,
        matchers: &[Matcher],
    ) -> Result<BTreeSet<String>, Error> {
        self.series.metric_names_present(names, range, matchers).await
    }

    fn take_incomplete(&self) -> Vec<String> {
        if self.words.is_empty() { Vec::new() } else { vec![self.words.to_owned()] }
    }

    fn describe(&self) -> String {
        self.series.describe()
    }
}

async fn read(server: &Server, store: &Store, end_ms: i64, late_ms: i64) -> Summary {
    let window = TimeRange { start_ms: START, end_ms };
    let request = Request { scope: Scope::default(), window, late_ms };
    collect(server, store, &request, &mut Who::default(), |_| {}).await.unwrap()
}

fn histories(store: &Store) -> BTreeMap<WorkloadKey, History> {
    store.histories(None).unwrap().map(Result::unwrap).collect()
}

async fn at_once(all: &[Arriving], end_ms: i64) -> BTreeMap<WorkloadKey, History> {
    let store = Store::in_memory().unwrap();
    read(&Server::at(all, i64::MAX), &store, end_ms, 0).await;
    histories(&store)
}

/// A number that looks random, from a seed and a place.
fn mixed(seed: u64, place: u64) -> u64 {
    let mut x = seed ^ place.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

fn in_time<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(work)
}

#[test]
fn the_history_has_what_the_cluster_had() {
    let all = pods(|_| 0);
    let found = in_time(at_once(&all, END));
    assert_eq!(found.len(), 1, "{found:#?}");
    let (key, history) = found.first_key_value().unwrap();
    assert_eq!(key.to_string(), "jobs/cronjob/etl:main");
    assert_eq!(history.runs().len(), 20);
    let ended = |outcome| history.runs().filter(|run| run.outcome == outcome).count();
    assert_eq!((ended(Outcome::OomKilled), ended(Outcome::Running) > 0), (4, true));
    assert!(history.runs().all(|run| (run.cpu.unwrap().mean_cores - 0.5).abs() < 1e-9), "{history:#?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// However late the parts of the series arrive, within the time that is read again, and whenever it was read.
    #[test]
    fn late_samples_are_as_good_as_prompt_ones(seed: u64, step in 5_i64..180) {
        let delay = |part| match mixed(seed, part) % 3 {
            0 => (mixed(seed, part + 1_000_000) % LATE_MS.unsigned_abs()).cast_signed(),
            _ => 0,
        };
        let all = pods(delay);
        let end_ms = END + LATE_MS;
        let (stepwise, once) = in_time(async {
            let store = Store::in_memory().unwrap();
            let mut now_ms = START;
            while now_ms < end_ms {
                now_ms = (now_ms + step * MINUTE).min(end_ms);
                read(&Server::at(&all, now_ms), &store, now_ms, LATE_MS).await;
            }
            (histories(&store), at_once(&all, end_ms).await)
        });
        prop_assert_eq!(stepwise, once);
    }
}

#[test]
fn without_an_overlap_late_samples_are_lost() {
    let all = pods(|part| if part % 2 == 0 { 50 * MINUTE } else { 0 });
    in_time(async {
        let store = Store::in_memory().unwrap();
        for hour in 1..=10 {
            let now_ms = START + hour * 60 * MINUTE;
            read(&Server::at(&all, now_ms), &store, now_ms, 0).await;
        }
        assert_ne!(histories(&store), at_once(&all, END + 60 * MINUTE).await, "the test would notice");
    });
}

/// A store of Thanos is away for an hour: half of the pods are not there, and the server says so.
#[test]
fn a_time_of_which_the_server_said_that_it_was_not_whole_is_read_again() {
    let all = pods(|_| 0);
    in_time(async {
        let store = Store::in_memory().unwrap();
        // Every other pod, by the last digit of its Job's number.
        let some = |labels: &Labels| labels.get("pod").is_none_or(|pod| pod.as_bytes()[11] % 2 == 0);
        let first = END - 4 * 60 * MINUTE;
        read(&Server::at(&all, first), &store, first, LATE_MS).await;

        let part = Server::with(&all, END, some, "No StoreAPIs matched for this query");
        let summary = read(&part, &store, END, LATE_MS).await;
        let notes: Vec<&String> = summary.gaps.iter().filter(|gap| gap.contains("complete")).collect();
        let [note] = notes[..] else { panic!("{:?}", summary.gaps) };
        assert!(note.contains("2026-11-16T04:00:00Z to 2026-11-16T09:00:00Z are not complete"), "{note}");
        assert!(note.contains("«No StoreAPIs matched for this query»"), "{note}");
        let shown = histories(&store);
        assert!(shown != at_once(&all, END).await);
        assert!(shown.values().map(|h| h.runs().len()).sum::<usize>() > 12, "what was read is shown");

        // Hours later all is well, and the same time is read again, although it is long past.
        let end_ms = END + 3 * LATE_MS;
        let summary = read(&Server::at(&all, end_ms), &store, end_ms, LATE_MS).await;
        assert!(!summary.gaps.iter().any(|gap| gap.contains("complete")), "{:?}", summary.gaps);
        assert_eq!(histories(&store), at_once(&all, end_ms).await);
    });
}

/// What was seen whole is not undone by an answer that is not.
#[test]
fn an_answer_that_is_not_whole_takes_nothing_away() {
    let all = pods(|_| 0);
    in_time(async {
        let store = Store::in_memory().unwrap();
        read(&Server::at(&all, END), &store, END, LATE_MS).await;
        let whole = histories(&store);
        read(&Server::with(&all, END, |_| false, "store down"), &store, END, LATE_MS).await;
        assert_eq!(histories(&store), whole);
        read(&Server::at(&all, END), &store, END, LATE_MS).await;
        assert_eq!(histories(&store), whole);
    });
}

#[test]
fn pods_that_no_series_will_be_asked_for_again_are_forgotten() {
    let day = 24 * 60 * MINUTE;
    let all = pods(|_| 0);
    let seen = |pod: &str, last_seen_ms| PodSeen {
        pod: pod.to_owned(),
        uid: "u".to_owned(),
        workload: Workload::parse("jobs", "cronjob/etl").unwrap(),
        attempt: None,
        last_seen_ms,
        jvm: crate::history::JvmSeen::default(),
    };
    in_time(async {
        let store = Store::in_memory().unwrap();
        store.remember_pods([seen("old", START - 8 * day), seen("new", START - 6 * day)]).unwrap();
        let left = || ["old", "new"].map(|pod| store.pods_named("jobs", pod).unwrap().len());
        read(&Server::at(&all, END), &store, END, LATE_MS).await;
        assert_eq!(left(), [1, 1], "not within a day");
        read(&Server::at(&all, END + day), &store, END + day, LATE_MS).await;
        assert_eq!(left(), [0, 1]);
    });
}
