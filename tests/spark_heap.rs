//! What becomes of a Spark application's heap and overhead: with its JVMs' own metrics, without them, after a container
//! was killed, after a JVM ran out of heap. Histories are simulated; `podfit` runs as its user runs it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail loudly in its helpers")]

mod support;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use podfit::collector::{Request, Who, collect, metrics::Scope};
use podfit::controller::watch::{Event, Index, Source};
use podfit::fit::Constraints;
use podfit::fit::spark::KnownHeaps;
use podfit::history::Store;
use podfit::prometheus::{OpenMetricsFile, TimeRange};
use podfit::quantity::Quantity;
use podfit::recommendation::Line;
use podfit::research::simulate::{
    Asks, Engine, MIB, Metric, Part, Platform, Schedule, ScrapeOptions, Simulation, Usage, WorkloadModel,
};
use podfit::sizing::SizingPolicy;
use podfit::workload::Kind;
use serde_json::{Value, json};
use support::cli::{NOON, NOON_TEXT, podfit};

/// 4 GiB of heap and Spark's default overhead.
const TOTAL_MIB: u64 = 4505;
const HEAP_MIB: u64 = 4096;
const OVERHEAD_MIB: u64 = TOTAL_MIB - HEAP_MIB;

/// Two executors a night for two weeks, whose containers hold this much at their peak.
fn nightly(peak_mib: u64, spread: f64) -> Simulation {
    let asks = |mib: u64| Asks {
        cpu_request_millis: Some(2000),
        memory_request_bytes: Some(mib * MIB),
        memory_limit_bytes: Some(mib * MIB),
        ..Asks::default()
    };
    let mut executor = Usage::flat(1200.0, 1.5, peak_mib * 2 / 3 * MIB, peak_mib * MIB);
    executor.memory.spread = spread;
    let parts = vec![
        Part::new("driver", "spark", Usage::flat(1200.0, 0.3, 700 * MIB, 900 * MIB), asks(1408)),
        Part::new("executor", "spark", executor, asks(TOTAL_MIB)).times(2),
    ];
    let schedule = Schedule::Nightly { hour: 2, minute: 0 };
    let models = vec![WorkloadModel::new("jobs", "basket", Engine::SparkNative, schedule, parts)];
    Platform { days: 14, nodes: 2, models, scrape: ScrapeOptions::default() }.simulate(NOON, 7)
}

/// The simulation's series, and what the drivers tell of their executors where `heap` says how much of it they used,
/// and whether processes were looked at.
fn history(simulation: &Simulation, heap: Option<(u64, bool)>) -> (tempfile::TempDir, PathBuf) {
    let mut text = Vec::new();
    simulation.write_openmetrics(&mut text).unwrap();
    let mut text = String::from_utf8(text).unwrap();
    if let Some((heap_mib, process_tree)) = heap {
        text.truncate(text.len() - "# EOF\n".len());
        text.push_str(&of_executors(simulation, heap_mib, process_tree));
        text.push_str("# EOF\n");
    }
    written(&text)
}

fn written(text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("history.om");
    std::fs::write(&file, text).unwrap();
    (folder, file)
}

fn of_executors(simulation: &Simulation, heap_mib: u64, process_tree: bool) -> String {
    let mut applications = BTreeMap::new();
    simulation.for_each_series_of(Metric::PodLabels, |labels, _| {
        let get = |name: &str| labels.get(name).map(str::to_owned);
        applications.insert(get("pod").unwrap(), get("label_spark_app_selector"));
    });
    let runs: Vec<_> =
        simulation.truth().into_iter().filter(|run| run.workload.starts_with("spark-executor/")).collect();
    let mut text = String::new();
    for (metric, kind, at_end) in [
        ("JVMHeapMemory_bytes", "gauge", (heap_mib * MIB) as f64),
        ("JVMOffHeapMemory_bytes", "gauge", 120e6),
        ("ProcessTreeJVMRSSMemory_bytes", "gauge", if process_tree { 4.4e9 } else { 0.0 }),
        ("ProcessTreePythonRSSMemory_bytes", "gauge", 0.0),
        ("totalGCTime_seconds_total", "counter", 40.0),
        ("totalDuration_seconds_total", "counter", 1800.0),
    ] {
        let _ = writeln!(text, "# TYPE metrics_executor_{} {kind}", metric.trim_end_matches("_total"));
        for (number, run) in runs.iter().enumerate() {
            let application = applications[&run.pod].as_ref().unwrap();
            let executor = run.pod.rsplit_once("-exec-").unwrap().1;
            // No two JVMs are alike; peaks only grow.
            let most = at_end * (1.0 - (number % 7) as f64 / 400.0);
            for tenth in 1..=10_i64 {
                let seconds = (run.started_ms + (run.ended_ms - run.started_ms) * tenth / 11) / 1000;
                let value = most * tenth as f64 / 10.0;
                let _ = writeln!(
                    text,
                    "metrics_executor_{metric}{{namespace=\"jobs\",pod=\"the-driver\",application_id=\"{application}\",\
                     application_name=\"basket\",executor_id=\"{executor}\"}} {value} {seconds}"
                );
            }
        }
    }
    text
}

/// The executors' line of the report.
fn executors(file: &Path) -> Value {
    let file = file.to_str().unwrap();
    let report = podfit(["recommend", "--openmetrics", file, "--at", NOON_TEXT, "-o", "json"]).report();
    let lines = report["workloads"].as_array().unwrap();
    lines.iter().find(|line| line["workload"].as_str().unwrap().starts_with("spark-executor/")).unwrap().clone()
}

fn mib(line: &Value, field: &str) -> u64 {
    line["spark"][field].as_u64().unwrap() / MIB
}

fn total(line: &Value) -> u64 {
    let text = line["recommended"]["memoryLimit"].as_str().unwrap();
    text.parse::<Quantity>().unwrap().bytes_rounded_up() / MIB
}

#[test]
fn a_heap_that_is_used_to_two_fifths_is_lowered_where_the_jvms_say_so() {
    let simulation = nightly(4300, 0.01);
    let used = HEAP_MIB * 2 / 5;
    let (_folder, file) = history(&simulation, Some((used, true)));
    let line = executors(&file);
    let heap = mib(&line, "heapBytes");
    assert!((used..used * 5 / 4).contains(&heap), "{heap}: {line:#}");
    assert_eq!((mib(&line, "overheadBytes"), total(&line)), (OVERHEAD_MIB, heap + OVERHEAD_MIB));
    assert_eq!(line["verdict"]["memory"], "lower");

    let ran = podfit(["export", "--openmetrics", file.to_str().unwrap(), "--at", NOON_TEXT, "--format", "spark-conf"]);
    for expected in [
        format!("spark.executor.memory {heap}m\n"),
        format!("spark.executor.memoryOverhead {OVERHEAD_MIB}m\n"),
        "never held more than 1638m of its 4096m\n".to_owned(),
    ] {
        assert!(ran.stdout.contains(&expected), "{expected}: {}", ran.stdout);
    }
}

#[test]
fn without_the_jvms_own_word_the_heap_stays() {
    let simulation = nightly(4300, 0.01);
    for (heap, said) in
        [(None, "whose default overhead"), (Some((HEAP_MIB * 2 / 5, false)), "processTreeMetrics.enabled")]
    {
        let (_folder, file) = history(&simulation, heap);
        let line = executors(&file);
        assert_eq!((mib(&line, "heapBytes"), total(&line)), (HEAP_MIB, TOTAL_MIB), "{line:#}");
        assert!(line["notes"].to_string().contains(said), "{line:#}");
    }
}

#[test]
fn a_killed_container_gets_overhead_and_keeps_its_heap() {
    let simulation = nightly(4380, 0.03);
    let killed = simulation.truth().iter().filter(|run| run.oom).count();
    assert!(killed > 0, "the simulation kills some");
    for heap in [None, Some((HEAP_MIB * 2 / 5, true))] {
        let (_folder, file) = history(&simulation, heap);
        let line = executors(&file);
        assert_eq!(mib(&line, "heapBytes"), HEAP_MIB, "{line:#}");
        assert!(mib(&line, "overheadBytes") > OVERHEAD_MIB && total(&line) > TOTAL_MIB, "{line:#}");
        assert_eq!(line["verdict"]["memory"], "raise");
    }
}

/// An executor's pod as the API server has it when its container has ended.
fn ended(run: &podfit::research::simulate::TrueRun, uid: Option<&str>, heap: &str, code: i64) -> Value {
    let at = jiff::Timestamp::from_millisecond(run.ended_ms).unwrap().to_string();
    let (_, number) = run.pod.rsplit_once("-exec-").unwrap();
    let memory = json!({"memory": format!("{TOTAL_MIB}Mi")});
    json!({
        "metadata": {"name": run.pod, "namespace": "jobs", "uid": uid, "labels": {"spark-role": "executor",
            "spark-app-name": "basket", "spark-app-selector": "spark-1", "spark-exec-id": number}},
        "spec": {"containers": [{"name": "spark-kubernetes-executor",
            "env": [{"name": "SPARK_EXECUTOR_MEMORY", "value": heap}],
            "resources": {"requests": memory, "limits": memory}}]},
        "status": {"phase": "Failed", "containerStatuses": [{"name": "spark-kubernetes-executor",
            "state": {"terminated": {"exitCode": code, "reason": "Error", "finishedAt": at}}}]},
    })
}

/// The executors' line where the controller's watch has seen each pod end, and podfit was restarted since.
fn watched(simulation: &Simulation, heap: &str, code: impl Fn(usize) -> i64) -> Line {
    let mut uids = BTreeMap::new();
    simulation.for_each_series_of(Metric::PodLabels, |labels, _| {
        uids.insert(labels.get("pod").unwrap().to_owned(), labels.get("uid").map(str::to_owned));
    });
    let mut index = Index::new(Arc::default());
    let source = Source { kind: podfit::controller::watch::Kind::Pod, namespace: None };
    let runs = simulation.truth().into_iter().filter(|run| run.workload.starts_with("spark-executor/"));
    for (number, run) in runs.enumerate() {
        let pod = ended(&run, uids[&run.pod].as_deref(), heap, code(number));
        index.apply(&source, Event::Applied(pod)).unwrap();
    }
    let store = Store::in_memory().unwrap();
    store.remember_pods(index.take_pods().to_remember(NOON)).unwrap();
    let mut text = Vec::new();
    simulation.write_openmetrics(&mut text).unwrap();
    let file = OpenMetricsFile::read(text.as_slice(), "history").unwrap();
    let window = TimeRange { start_ms: simulation.start_ms(), end_ms: simulation.end_ms() };
    let request = Request { scope: Scope::default(), window, late_ms: 0 };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(collect(&file, &store, &request, &mut Who::default(), |_| {})).unwrap();
    let histories = store.histories(None).unwrap().map(Result::unwrap);
    let (key, history) = histories.into_iter().find(|(key, _)| key.workload.kind == Kind::SparkExecutor).unwrap();
    Line::of_history(&key, &history, &SizingPolicy::default(), &Constraints::default(), &KnownHeaps::default())
}

/// Pods that are not started again: what they ended with is only in the pods themselves, which the controller watches.
#[test]
fn exit_code_52_of_pods_that_were_watched_lets_the_heap_grow() {
    let simulation = nightly(4300, 0.01);
    let last_night = simulation.truth().iter().filter(|run| run.workload.starts_with("spark-executor/")).count() - 4;
    let line = watched(&simulation, "4g", |number| if number >= last_night { 52 } else { 0 });
    let spark = line.spark.as_ref().unwrap();
    assert_eq!(spark.heap_now_bytes / MIB, HEAP_MIB);
    assert!(spark.heap_bytes / MIB > HEAP_MIB, "{line:#?}");
    assert!(line.notes.iter().any(|note| note.starts_with("4 ended with exit code 52")), "{:?}", line.notes);
    assert!(spark.overhead_bytes / MIB >= OVERHEAD_MIB, "{line:#?}");

    let other = watched(&simulation, "4g", |_| 1);
    assert_eq!(other.spark.unwrap().heap_bytes / MIB, HEAP_MIB, "any other failure says nothing of the heap");
}

/// What a pod says of its heap is believed; its size alone would make it another.
#[test]
fn the_heap_is_the_one_that_the_pods_say() {
    let line = watched(&nightly(1500, 0.01), "2g", |_| 0);
    let spark = line.spark.as_ref().unwrap();
    assert_eq!((spark.heap_now_bytes / MIB, spark.heap_bytes / MIB), (2048, 2048), "{line:#?}");
    let total = line.recommended.memory_limit.unwrap().bytes_rounded_up() / MIB;
    assert!(
        (2048 + 1500..TOTAL_MIB).contains(&total),
        "no more is beside the heap than the whole ever held: {line:#?}"
    );
    assert!(!line.notes.iter().any(|note| note.contains("taken to be")), "{:?}", line.notes);
}

/// Executors that their StatefulSet started again after exit code 52, and that run since.
#[test]
fn a_jvm_that_ran_out_of_heap_gets_heap() {
    let mut families: BTreeMap<&str, String> = BTreeMap::new();
    let end = NOON / 1000;
    for pod in 0..4 {
        let name = format!("spark-s-spark-0-{pod}");
        let base = format!("namespace=\"jobs\",pod=\"{name}\"");
        let container = format!("{base},container=\"spark-kubernetes-executor\"");
        let mut put = |metric: &'static str, labels: &str, from: i64, to: i64, value: f64| {
            let out = families.entry(metric).or_default();
            let mut at = from;
            while at <= to {
                let _ = writeln!(out, "{metric}{{{labels}}} {value} {at}");
                at += 60;
            }
        };
        let (start, died) = (end - 7200, end - 3600);
        for (life, (from, to)) in [(start, died), (died + 20, end)].into_iter().enumerate() {
            let labels = format!("{container},id=\"/kubepods/{name}/{life}\"");
            put("container_memory_working_set_bytes", &labels, from, to, (4400 * MIB) as f64);
        }
        let labels =
            "label_spark_role=\"executor\",label_spark_app_name=\"basket\",label_spark_app_selector=\"spark-1\"";
        put("kube_pod_labels", &format!("{base},{labels}"), start, end, 1.0);
        for metric in ["kube_pod_container_resource_requests", "kube_pod_container_resource_limits"] {
            let value = (TOTAL_MIB * MIB) as f64;
            put(metric, &format!("{container},resource=\"memory\",unit=\"byte\""), start, end, value);
        }
        put(
            "kube_pod_container_status_last_terminated_reason",
            &format!("{container},reason=\"Error\""),
            died,
            end,
            1.0,
        );
        put("kube_pod_container_status_last_terminated_exitcode", &container, died, end, 52.0);
    }
    let mut text = String::new();
    for (metric, lines) in families {
        let _ = write!(text, "# TYPE {metric} gauge\n{lines}");
    }
    text.push_str("# EOF\n");
    let (_folder, file) = written(&text);
    let file = file.to_str().unwrap();
    let ran = podfit(["recommend", "--openmetrics", file, "--at", NOON_TEXT, "-o", "json"]).report_with_lines();
    let line = &ran["workloads"][0];
    assert_eq!(mib(line, "heapBytes"), 2 * HEAP_MIB, "{ran:#}");
    assert_eq!(total(line), 2 * HEAP_MIB + (2 * HEAP_MIB).div_ceil(10), "{ran:#}");
    assert!(line["notes"].to_string().contains("4 ended with exit code 52: a heap of 4096m was full"), "{line:#}");
}
