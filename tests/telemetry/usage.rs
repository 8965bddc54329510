//! What cAdvisor says of memory and CPU: put together right, and doubted where it cannot be.

use std::collections::BTreeMap;

use rstest::rstest;

use super::answer::{Answer, Row, recommend};
use super::pods::{Asks, BEGIN, GIB, HOUR, MIB, Pod, climbs, nights};
use super::series::{History, Labels, labels, with};

const MEMORY: &str = "container_memory_working_set_bytes";
const CPU: &str = "container_cpu_usage_seconds_total";
const START: &str = "container_start_time_seconds";
const RUNS: i64 = 13;

type Samples = BTreeMap<i64, f64>;

/// A CronJob of 2 GiB and some cores, as it should be seen.
struct Nightly {
    seconds: i64,
    interval: usize,
    cores: f64,
    has_id: bool,
}

impl Default for Nightly {
    fn default() -> Self {
        Self { seconds: 1800, interval: 30, cores: 2.0, has_id: true }
    }
}

impl Nightly {
    #[expect(clippy::unused_self, reason = "read as a property of the job")]
    fn peak(&self) -> f64 {
        800.0 * MIB
    }

    fn history(&self) -> History {
        let mut history = History::default();
        for start in nights(RUNS) {
            let mut pod = Pod::of_cronjob("etl", "nightly", start, start + self.seconds);
            (pod.interval, pod.has_id) = (self.interval, self.has_id);
            let times = (pod.start, pod.end);
            pod.measure(&mut history, ("main", 0), times, climbs(self.peak(), self.seconds), self.cores);
            let asks = Asks { cpu: Some(self.cores), ..Asks::memory(2.0 * GIB) };
            pod.ran(&mut history, "main", asks, "Completed");
        }
        history
    }
}

/// Changes the samples of every series of a metric, given its first time, less the seven seconds until it is scraped.
fn change(history: &mut History, metric: &str, mut how: impl FnMut(i64, &mut Samples)) {
    for samples in history.metrics.get_mut(metric).unwrap().values_mut() {
        let start = samples.keys().next().unwrap() - 7;
        how(start, samples);
    }
}

/// Tells every series of cAdvisor once more under other labels, changed.
fn repeat(history: &mut History, relabel: impl Fn(&mut Labels), how: impl Fn(&str, i64, &Samples) -> Samples) {
    for metric in [MEMORY, CPU, START] {
        let series = history.metrics.get_mut(metric).unwrap();
        for (mut labels, samples) in series.clone() {
            relabel(&mut labels);
            let start = samples.keys().next().unwrap() - 7;
            series.insert(labels, how(metric, start, &samples));
        }
    }
}

fn same(_: &str, _: i64, samples: &Samples) -> Samples {
    samples.clone()
}

/// In how many runs something is in doubt.
fn doubts(row: Row<'_>, doubt: &str) -> i64 {
    let all = row.0["evidence"]["doubts"].as_array();
    let found = all.into_iter().flatten().find(|d| d["doubt"] == doubt);
    found.map_or(0, |d| d["runs"].as_i64().unwrap())
}

/// What a run used and how sure that is, as it is without any fault.
fn is_right(answer: &Answer, nightly: &Nightly) {
    let row = answer.row("main");
    assert_eq!((row.runs(), row.kills()), (RUNS as u64, 0), "{:#}", answer.json);
    let (peak, cores) = (row.evidence("peakMaxBytes"), row.evidence("coresMedian"));
    assert!((peak - nightly.peak()).abs() <= 0.02 * nightly.peak(), "{} MiB: {:#}", peak / MIB, answer.json);
    assert!((cores - nightly.cores).abs() <= 0.03 * nightly.cores, "{cores} cores: {:#}", answer.json);
}

fn is_sized(answer: &Answer, nightly: &Nightly) {
    is_right(answer, nightly);
    let limit = answer.row("main").recommended("memoryLimit");
    assert!(limit.is_some_and(|limit| (nightly.peak()..2.0 * GIB).contains(&limit)), "{:#}", answer.json);
}

fn keeps_memory(answer: &Answer) {
    let limit = answer.row("main").recommended("memoryLimit");
    assert!(limit.is_none_or(|limit| limit >= 2.0 * GIB), "{:#}", answer.json);
}

#[rstest]
#[case::both(&[MEMORY, CPU])]
#[case::memory(&[MEMORY])]
#[case::cpu(&[CPU])]
fn zero_is_no_measurement(#[case] metrics: &[&str]) {
    let mut history = Nightly::default().history();
    for metric in metrics {
        change(&mut history, metric, |_, samples| samples.values_mut().for_each(|value| *value = 0.0));
    }
    let answer = recommend(&history, &[]);
    let row = answer.row("main");
    let of = |metric| if metrics.contains(&metric) { RUNS } else { 0 };
    assert_eq!((doubts(row, "zero-memory"), doubts(row, "zero-cpu")), (of(MEMORY), of(CPU)), "{:#}", answer.json);
    if metrics.contains(&MEMORY) {
        keeps_memory(&answer);
    }
    assert!(row.recommended("cpuRequest").is_none_or(|cores| cores >= 1.9), "{:#}", answer.json);
}

/// A value that is not true, every some samples.
#[rstest]
#[case::hundredths(CPU, 50, |samples: &Samples, at: i64| samples[&(at - 30)] - 0.02)]
#[case::a_second(CPU, 20, |samples: &Samples, at: i64| samples[&(at - 30)] - 1.0)]
#[case::an_old_value(CPU, 20, |samples: &Samples, _: i64| *samples.values().nth(3).unwrap())]
#[case::zero_of_cpu(CPU, 25, |_: &Samples, _: i64| 0.0)]
#[case::far_up(CPU, 30, |_: &Samples, _: i64| 1.73e9)]
#[case::up(CPU, 30, |samples: &Samples, at: i64| samples[&at] + 12_000.0)]
#[case::zero_of_memory(MEMORY, 10, |_: &Samples, _: i64| 0.0)]
#[case::far_up_of_memory(MEMORY, 20, |_: &Samples, _: i64| 9.2e18)]
fn single_samples_out_of_place_change_nothing(
    #[case] metric: &str,
    #[case] every: usize,
    #[case] wrong: fn(&Samples, i64) -> f64,
    #[values(true, false)] has_id: bool,
) {
    let nightly = Nightly { has_id, ..Nightly::default() };
    let mut history = nightly.history();
    change(&mut history, metric, |_, samples| {
        let times: Vec<i64> = samples.keys().skip(every).step_by(every).copied().collect();
        let wrong: Vec<(i64, f64)> = times.iter().map(|at| (*at, wrong(samples, *at))).collect();
        samples.extend(wrong);
    });
    let answer = recommend(&history, &[]);
    is_sized(&answer, &nightly);
    let is_told = doubts(answer.row("main"), "counter-went-back") == RUNS;
    assert!(
        is_told || metric == MEMORY || answer.text().contains("counter-went-back") || every == 30,
        "{:#}",
        answer.json
    );
}

#[rstest]
fn an_older_replica_between_the_samples_changes_nothing(#[values(true, false)] has_id: bool) {
    let nightly = Nightly { has_id, cores: 5.0, ..Nightly::default() };
    let mut history = nightly.history();
    change(&mut history, CPU, |_, samples| {
        let late: Vec<(i64, f64)> = samples.iter().skip(1).map(|(at, value)| (at + 1, value - 1.0)).collect();
        samples.extend(late);
    });
    let answer = recommend(&history, &[]);
    is_sized(&answer, &nightly);
    assert_eq!(doubts(answer.row("main"), "counter-went-back"), RUNS);
}

#[rstest]
#[case::too_early(|start: i64, _: i64| start - 10 * HOUR)]
#[case::moves(|_: i64, at: i64| at - 3)]
#[case::in_the_future(|start: i64, _: i64| start + 5 * HOUR)]
#[case::epoch(|_: i64, _: i64| 1)]
fn a_start_that_cannot_be_is_not_used(#[case] said: fn(i64, i64) -> i64, #[values(true, false)] knows_pods: bool) {
    let nightly = Nightly::default();
    let mut history = nightly.history();
    change(&mut history, START, |start, samples| {
        for (at, value) in samples.iter_mut() {
            *value = said(start, *at) as f64;
        }
    });
    if !knows_pods {
        history.metrics.remove("kube_pod_start_time");
    }
    let answer = recommend(&history, &[]);
    is_sized(&answer, &nightly);
    // Without the pod's start nobody watched before the first run.
    let known = RUNS - i64::from(!knows_pods);
    assert!(doubts(answer.row("main"), "start-contradicted") >= known, "{:#}", answer.json);
}

/// When the values of a run of half an hour stand still.
#[rstest]
#[case::to_the_end(200, 1800)]
#[case::in_the_middle(300, 1500)]
#[case::the_last_third(1200, 1800)]
fn a_scraper_that_stopped_is_not_believed(#[case] from: i64, #[case] to: i64) {
    let mut history = Nightly::default().history();
    for metric in [MEMORY, CPU] {
        change(&mut history, metric, |start, samples| {
            let stuck = *samples.range(start + from..).next().unwrap().1;
            samples.range_mut(start + from..start + to).for_each(|(_, value)| *value = stuck);
        });
    }
    let answer = recommend(&history, &[]);
    let row = answer.row("main");
    assert_eq!(doubts(row, "frozen"), RUNS, "{:#}", answer.json);
    keeps_memory(&answer);
    let cores = row.evidence("coresMedian");
    assert!((cores - 2.0).abs() < 0.1, "{cores} cores");
}

#[rstest]
#[case::idle_but_alive(0.0005, 0.01)]
#[case::asleep(0.0, 0.3)]
fn an_idle_container_is_not_frozen(#[case] cores: f64, #[case] at_its_start: f64) {
    let mut history = Nightly::default().history();
    change(&mut history, MEMORY, |_, samples| samples.values_mut().for_each(|value| *value = 800.0 * MIB));
    change(&mut history, CPU, |start, samples| {
        for (at, value) in samples.iter_mut() {
            *value = at_its_start + cores * (at - start) as f64;
        }
    });
    let answer = recommend(&history, &[]);
    let row = answer.row("main");
    assert_eq!((doubts(row, "frozen"), doubts(row, "zero-cpu")), (0, 0), "{:#}", answer.json);
    assert!(row.recommended("memoryLimit").is_some_and(|limit| limit < 2.0 * GIB));
}

#[rstest]
#[case::runtime_in_itself(|id: &str| format!("{id}{id}"), 1.0)]
#[case::node_in_a_container(|id: &str| format!("/docker/{:064x}{id}", 7), 1.0)]
#[case::scope_below(|id: &str| format!("{id}/init"), 0.02)]
#[case::container_in_it(|id: &str| format!("{id}/docker/{:064x}", 9), 0.4)]
fn cgroups_of_one_container_are_one_container(#[case] path: fn(&str) -> String, #[case] part: f64) {
    let nightly = Nightly::default();
    let mut history = nightly.history();
    let rename = |labels: &mut Labels| {
        let id = path(&labels["id"]);
        labels.insert("id".to_owned(), id);
    };
    repeat(&mut history, rename, |metric, _, samples| {
        samples.iter().map(|(at, value)| (*at, if metric == START { *value } else { value * part })).collect()
    });
    let answer = recommend(&history, &[]);
    is_sized(&answer, &nightly);
    assert_eq!(doubts(answer.row("main"), "sources-disagree"), 0);
}

fn other_replica(labels: &mut Labels) {
    labels.insert("prometheus_replica".to_owned(), "z".to_owned());
}

fn other_endpoint(labels: &mut Labels) {
    labels.remove("id");
    labels.remove("image");
    labels.insert("metrics_path".to_owned(), "/metrics/resource".to_owned());
}

/// How another series of the same container differs; whether that is told.
#[rstest]
#[case::the_same(same, false)]
#[case::later_and_away(
    |_: &str, start: i64, samples: &Samples| {
        let here = samples.iter().filter(|(at, _)| !(start + 600..start + 1200).contains(*at));
        here.map(|(at, value)| (at + 12, *value)).collect()
    },
    false
)]
#[case::stopped(
    |metric: &str, _: i64, samples: &Samples| {
        let stuck = *samples.values().nth(6).unwrap();
        samples.iter().map(|(at, value)| (*at, if metric == START { *value } else { value.min(stuck) })).collect()
    },
    true
)]
#[case::zero(
    |metric: &str, _: i64, samples: &Samples| {
        samples.iter().map(|(at, value)| (*at, if metric == START { *value } else { 0.0 })).collect()
    },
    true
)]
fn doubles_are_one_container(
    #[case] how: fn(&str, i64, &Samples) -> Samples,
    #[case] is_told: bool,
    #[values(other_replica, other_endpoint)] relabel: fn(&mut Labels),
    #[values(false, true)] swapped: bool,
) {
    let nightly = Nightly::default();
    let mut history = nightly.history();
    repeat(&mut history, relabel, how);
    if swapped {
        // The other one is the one that differs.
        for metric in [MEMORY, CPU, START] {
            let series = history.metrics.get_mut(metric).unwrap();
            for (labels, samples) in series.clone() {
                let mut other = labels.clone();
                relabel(&mut other);
                if other != labels {
                    let right = series.insert(labels, series[&other].clone());
                    series.insert(other, right.unwrap_or(samples));
                }
            }
        }
    }
    let answer = recommend(&history, &[]);
    is_sized(&answer, &nightly);
    let told = doubts(answer.row("main"), "sources-disagree");
    assert_eq!(told, if is_told { RUNS } else { 0 }, "{:#}", answer.json);
}

#[test]
fn pods_and_pause_containers_are_no_containers() {
    let nightly = Nightly::default();
    let mut history = nightly.history();
    for container in ["POD", ""] {
        let relabel = |labels: &mut Labels| {
            labels.insert("container".to_owned(), container.to_owned());
            labels.insert("id".to_owned(), format!("{}/{container}", labels["id"].rsplit_once('/').unwrap().0));
        };
        let of_main: History = {
            let mut only = history.clone();
            for series in only.metrics.values_mut() {
                series.retain(|labels, _| labels.get("container").is_some_and(|name| name == "main"));
            }
            only
        };
        for metric in [MEMORY, CPU] {
            for (mut labels, samples) in of_main.metrics[metric].clone() {
                relabel(&mut labels);
                let more = samples.into_iter().map(|(at, value)| (at, value * 4.0));
                history.metrics.get_mut(metric).unwrap().insert(labels, more.collect());
            }
        }
    }
    is_sized(&recommend(&history, &[]), &nightly);
}

#[test]
fn a_dead_container_that_is_still_told_of_is_no_run_time() {
    let nightly = Nightly::default();
    let mut history = nightly.history();
    for metric in [MEMORY, CPU, START] {
        change(&mut history, metric, |_, samples| {
            let (last, value) = samples.iter().next_back().map(|(at, value)| (*at, *value)).unwrap();
            samples.extend((1..9).map(|i| (last + 30 * i, value)));
        });
    }
    let answer = recommend(&history, &[]);
    is_sized(&answer, &nightly);
    assert_eq!(doubts(answer.row("main"), "samples-after-end"), RUNS);
}

#[rstest]
#[case::every_five_minutes(1320, 300)]
#[case::down_sampled_to_an_hour(8 * HOUR, 3600)]
fn rare_samples_see_a_long_run_to_its_end(
    #[case] seconds: i64,
    #[case] interval: usize,
    #[values(true, false)] has_id: bool,
) {
    let nightly = Nightly { seconds, interval, has_id, ..Nightly::default() };
    let answer = recommend(&nightly.history(), &[]);
    is_right(&answer, &nightly);
    assert_eq!(doubts(answer.row("main"), "end-unseen"), 0, "{:#}", answer.json);
}

#[test]
fn a_gap_of_hours_is_one_run_whose_peak_may_be_higher() {
    let nightly = Nightly { seconds: 8 * HOUR, interval: 60, ..Nightly::default() };
    let mut history = nightly.history();
    for metric in [MEMORY, CPU, START] {
        change(&mut history, metric, |start, samples| {
            samples.retain(|at, _| !(start + 3 * HOUR..start + 6 * HOUR).contains(at));
        });
    }
    let answer = recommend(&history, &[]);
    is_right(&answer, &nightly);
    assert_eq!(doubts(answer.row("main"), "long-gap"), RUNS);
}

/// The need of the last two seconds of a short run, which no sample shows, nor the kernel's mark.
#[rstest]
#[case::short_run(52, 5, 52)]
#[case::samples_stop(1800, 30, 300)]
fn what_came_after_the_last_sample_was_not_seen(#[case] seconds: i64, #[case] interval: usize, #[case] until: i64) {
    let nightly = Nightly { seconds, interval, ..Nightly::default() };
    let mut history = nightly.history();
    for metric in [MEMORY, CPU, START] {
        change(&mut history, metric, |start, samples| {
            samples.retain(|at, value| {
                if metric == MEMORY {
                    *value = 41.0 * MIB + (at - start) as f64;
                }
                *at < start + until
            });
        });
    }
    let marks = history.metrics[MEMORY].clone();
    history.metrics.insert("container_memory_max_usage_bytes".to_owned(), marks);
    let answer = recommend(&history, &[]);
    assert_eq!(doubts(answer.row("main"), "end-unseen"), RUNS, "{:#}", answer.json);
    keeps_memory(&answer);
}

/// Runs of 45 s. A sample at the end is as old as cAdvisor's refresh: it takes many such runs to trust them. Samples that
/// stop ten seconds before tell nothing of the end, however many runs there are.
#[rstest]
#[case::many(25, 0, "end-near", true)]
#[case::few(19, 0, "end-near", false)]
#[case::many_that_stop_early(60, 10, "end-unseen", false)]
fn short_runs_tell_where_many_were_sampled_at_their_end(
    #[case] runs: i64,
    #[case] stop: i64,
    #[case] doubt: &str,
    #[case] is_lowered: bool,
) {
    let mut history = History::default();
    for start in (0..runs).map(|hour| BEGIN + hour * HOUR) {
        let mut pod = Pod::of_cronjob("etl", "quick", start, start + 45);
        pod.interval = 3;
        let own = pod.measure(&mut history, ("main", 0), (start, start + 45 - stop), |_| 64.0 * MIB, 0.3);
        history.say_all("container_memory_max_usage_bytes", &own, (start + 7, start + 45 - stop, 3), 65.0 * MIB);
        pod.ran(&mut history, "main", Asks::memory(512.0 * MIB), "Completed");
    }
    let answer = recommend(&history, &[]);
    let row = answer.row("main");
    assert_eq!((row.runs().cast_signed(), doubts(row, doubt)), (runs, runs), "{:#}", answer.json);
    let limit = row.recommended("memoryLimit").unwrap();
    if is_lowered {
        assert!((65.0 * MIB..128.0 * MIB).contains(&limit), "{:#}", answer.json);
        assert_eq!(row.evidence("counted") as i64, runs);
    } else {
        assert_eq!(limit, 512.0 * MIB, "{:#}", answer.json);
        assert!(row.notes().contains("memory held"), "{:#}", answer.json);
    }
}

/// Where the page cache itself is measured, that decides: files that explain a mark raise nothing, however few samples
/// there are, and a mark that they do not explain is a peak between two samples.
#[rstest]
#[case::files(300, 1500.0, 760.0, "page-cache-seen", 800.0)]
#[case::a_peak_between_samples(1800, 1500.0, 20.0, "", 1500.0)]
#[case::at_the_limit(1800, 2040.0, 20.0, "page-cache", 800.0)]
fn page_cache_that_was_measured_decides(
    #[case] seconds: i64,
    #[case] mark: f64,
    #[case] cache: f64,
    #[case] doubt: &str,
    #[case] peak: f64,
) {
    let mut history = Nightly { seconds, ..Nightly::default() }.history();
    for (metric, mib) in [("container_memory_max_usage_bytes", mark), ("container_memory_cache", cache)] {
        let mut series = history.metrics[MEMORY].clone();
        series.values_mut().flat_map(|samples| samples.values_mut()).for_each(|value| *value = mib * MIB);
        history.metrics.insert(metric.to_owned(), series);
    }
    let answer = recommend(&history, &[]);
    let row = answer.row("main");
    assert!((row.evidence("peakMaxBytes") - peak * MIB).abs() < 2.0 * MIB, "{:#}", answer.json);
    for known in ["page-cache", "page-cache-seen"] {
        assert_eq!(doubts(row, known), if known == doubt { RUNS } else { 0 }, "{known}: {:#}", answer.json);
    }
}

#[test]
fn page_cache_is_no_need() {
    let nightly = Nightly::default();
    let mut history = nightly.history();
    let mut marks = history.metrics[MEMORY].clone();
    for value in marks.values_mut().flat_map(|samples| samples.values_mut()) {
        *value = 1.99 * GIB;
    }
    history.metrics.insert("container_memory_max_usage_bytes".to_owned(), marks);
    let answer = recommend(&history, &[]);
    is_sized(&answer, &nightly);
    assert_eq!(doubts(answer.row("main"), "page-cache"), RUNS);
}

/// A driver whose pod has the same name every hour; ten minutes lie between two of them, and nothing in the series
/// tells them apart.
#[test]
fn pods_of_one_name_are_as_many_runs() {
    let mut history = History::default();
    for night in nights(3) {
        for hour in 0..20 {
            let start = night + hour * HOUR;
            let mut pod = Pod::new("etl", "pi-driver", start, start + 3000);
            pod.has_id = false;
            pod.owner = ("SparkApplication".to_owned(), "pi".to_owned());
            pod.measure(&mut history, ("main", 0), (start, pod.end), |_| (500.0 + hour as f64) * MIB, 1.0);
            pod.ran(&mut history, "main", Asks::memory(2.0 * GIB), "Completed");
            let more = labels([("label_spark_role", "driver"), ("label_spark_app_name", "pi")]);
            let mut own = with(&pod.object(), []);
            own.extend(more);
            history.say_all("kube_pod_labels", &own, (start + 11, pod.end + 300, 30), 1.0);
        }
    }
    let answer = recommend(&history, &[]);
    let rows = answer.rows();
    assert_eq!(rows.len(), 1, "{:#}", answer.json);
    assert_eq!(rows[0].runs(), 60, "{:#}", answer.json);
    assert!((rows[0].evidence("coresMedian") - 1.0).abs() < 0.02);
    assert_eq!(doubts(rows[0], "lives-merged"), 0);
}
