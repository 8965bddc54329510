//! What becomes of a Flink cluster's process sizes: with its JVMs' own metrics, without them, where managed memory is
//! used in full, after a container was killed. Histories are simulated; `podfit` runs as its user runs it, on a file
//! and on a real Prometheus that promtool has filled.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail loudly in its helpers")]

mod support;

use std::path::{Path, PathBuf};

use base64::Engine as _;
use podfit::admission::patch::{Op, apply};
use podfit::admission::{Entry, LoadedRecommendations, Snapshot, answer};
use podfit::policy::Applications;
use podfit::quantity::Quantity;
use podfit::research::simulate::{
    Asks, Engine, FlinkJvm, MIB, Metric, Part, Platform, Schedule, ScrapeOptions, Simulation, Usage, WorkloadModel,
};
use serde_json::{Value, json};
use support::cli::{NOON, NOON_TEXT, podfit};
use support::prometheus_server::{PrometheusServer, skipped};

/// A task manager of 4096m, as Flink's documentation divides it: metaspace 256m, JVM overhead 409m, of the other 3431m
/// 0.4 managed, 0.1 for the network, 128m for the framework's direct memory, the rest heap.
const WORKER_MIB: u64 = 4096;
const WORKER_HEAP_MIB: u64 = 1588;
const WORKER_MANAGED_MIB: u64 = 1372;
/// A job manager of 1600m, which has a heap of 1024m.
const JOB_MANAGER_MIB: u64 = 1600;
const JOB_MANAGER_HEAP_MIB: u64 = 1024;

/// A cluster that is looked at for nine days.
struct Cluster {
    /// Of the task managers' containers.
    peak_mib: u64,
    spread: f64,
    managed_used_mib: u64,
    /// Days that it lives: with one it is deployed anew every night, else once.
    lives: u32,
}

const USUAL: Cluster = Cluster { peak_mib: 1700, spread: 0.01, managed_used_mib: 0, lives: 1 };

impl Cluster {
    fn simulate(&self) -> Simulation {
        let asks = |mib: u64| Asks {
            cpu_request_millis: Some(1000),
            cpu_limit_millis: Some(1000),
            memory_request_bytes: Some(mib * MIB),
            memory_limit_bytes: Some(mib * MIB),
        };
        let two_fifths = |heap_mib: u64| FlinkJvm {
            heap_bytes: heap_mib * MIB,
            heap_peak_bytes: heap_mib * MIB * 2 / 5,
            network_used_bytes: 30 * MIB,
            gc_share: 0.01,
            ..FlinkJvm::default()
        };
        let worker = FlinkJvm {
            managed_bytes: WORKER_MANAGED_MIB * MIB,
            managed_used_bytes: self.managed_used_mib * MIB,
            ..two_fifths(WORKER_HEAP_MIB)
        };
        let life = 86_400.0 * f64::from(self.lives);
        let mut usage = Usage::flat(life, 0.5, self.peak_mib * 4 / 5 * MIB, self.peak_mib * MIB);
        usage.memory.spread = self.spread;
        let job_manager = Usage::flat(life, 0.1, 600 * MIB, 700 * MIB);
        let parts = vec![
            Part::new("jobmanager", "flink", job_manager, asks(JOB_MANAGER_MIB))
                .telling(two_fifths(JOB_MANAGER_HEAP_MIB)),
            Part::new("taskmanager", "flink", usage, asks(WORKER_MIB)).times(2).telling(worker),
        ];
        let schedule =
            if self.lives == 1 { Schedule::Nightly { hour: 3, minute: 0 } } else { Schedule::Once { minutes: 60 } };
        let models = vec![WorkloadModel::new("streams", "clicks", Engine::Flink, schedule, parts)];
        // What podfit does not read only takes time.
        let unread = [Metric::Rss, Metric::PodInfo, Metric::PodCreated, Metric::Restarts, Metric::Phase];
        let metrics = Metric::ALL.into_iter().filter(|metric| !unread.contains(metric)).collect();
        let scrape = ScrapeOptions { interval_ms: 240_000, metrics: Some(metrics), ..ScrapeOptions::default() };
        Platform { days: 9, nodes: 2, models, scrape }.simulate(NOON, 7)
    }
}

/// The simulation's series in a file; without those of Flink's reporter where it is not scraped.
fn history(simulation: &Simulation, is_scraped: bool) -> (tempfile::TempDir, PathBuf) {
    let mut text = Vec::new();
    simulation.write_openmetrics(&mut text).unwrap();
    let mut text = String::from_utf8(text).unwrap();
    if !is_scraped {
        text = text.lines().filter(|line| !line.contains("flink_")).map(|line| format!("{line}\n")).collect();
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("history.om");
    std::fs::write(&file, text).unwrap();
    (folder, file)
}

fn report(source: &[&str]) -> Value {
    podfit([&["recommend"], source, &["--at", NOON_TEXT, "-o", "json"]].concat()).report()
}

fn of_file(file: &Path) -> Value {
    report(&["--openmetrics", file.to_str().unwrap()])
}

fn line<'a>(report: &'a Value, workload: &str) -> &'a Value {
    let lines = report["workloads"].as_array().unwrap();
    lines.iter().find(|line| line["workload"] == workload).unwrap_or_else(|| panic!("{workload}: {report:#}"))
}

fn worker(report: &Value) -> &Value {
    line(report, "flink-taskmanager/clicks")
}

fn total(line: &Value) -> u64 {
    let text = line["recommended"]["memoryLimit"].as_str().unwrap();
    text.parse::<Quantity>().unwrap().bytes_rounded_up() / MIB
}

/// The smallest sizes that a heap used to two fifths, with headroom, fits in.
fn is_lowered(report: &Value) {
    let worker = worker(report);
    let heap = worker["flink"]["heapBytes"].as_u64().unwrap() / MIB;
    let used = WORKER_HEAP_MIB * 2 / 5;
    assert!((used * 11 / 10..used * 13 / 10).contains(&heap), "{heap}: {worker:#}");
    let process = total(worker);
    assert!((2000..2500).contains(&process), "{process}: {worker:#}");
    assert_eq!((&worker["verdict"]["memory"], &worker["flink"]["processIsProven"]), (&json!("lower"), &json!(true)));
    let job_manager = line(report, "flink-jobmanager/clicks");
    assert!(total(job_manager) < JOB_MANAGER_MIB && job_manager["flink"]["processIsProven"] == true, "{job_manager:#}");
}

#[test]
fn processes_whose_heaps_are_used_to_two_fifths_are_lowered_where_the_jvms_say_so() {
    let (_folder, file) = history(&USUAL.simulate(), true);
    let report = of_file(&file);
    is_lowered(&report);
    let (process, job_manager) = (total(worker(&report)), total(line(&report, "flink-jobmanager/clicks")));
    for (form, expected) in [
        ("flink-deployment", [format!("      memory: {process}m\n"), format!("      memory: {job_manager}m\n")]),
        (
            "flink-configuration",
            [
                format!("taskmanager.memory.process.size: {process}m\n"),
                format!("jobmanager.memory.process.size: {job_manager}m\n"),
            ],
        ),
    ] {
        let from = ["export", "--openmetrics", file.to_str().unwrap(), "--at", NOON_TEXT, "--format", form];
        let ran = podfit(from);
        for expected in expected {
            assert!(ran.stdout.contains(&expected), "{expected}: {}", ran.stdout);
        }
        assert!(ran.stdout.contains("m of its 1588m, managed memory 0m of 1372m"), "{}", ran.stdout);
    }
}

/// A job that streams for weeks has no run that ended: its days are the evidence.
#[test]
fn a_cluster_that_goes_on_is_sized_by_its_days() {
    let simulation = Cluster { lives: 400, ..USUAL }.simulate();
    assert!(simulation.truth().iter().all(|run| run.running), "{:?}", simulation.truth());
    let (_folder, file) = history(&simulation, true);
    let report = of_file(&file);
    let worker = worker(&report);
    assert_eq!(worker["flink"]["processIsProven"], true, "{worker:#}");
    assert!((2000..2500).contains(&total(worker)), "{worker:#}");
    assert!(worker["evidence"]["days"].as_u64().unwrap() >= 7, "{worker:#}");
}

#[test]
fn the_gauges_of_a_real_prometheus_say_the_same() {
    let simulation = USUAL.simulate();
    let server = PrometheusServer::start_with_writer(|mut out| simulation.write_openmetrics(&mut out).unwrap(), &[]);
    let Some(server) = server else {
        return skipped("the_gauges_of_a_real_prometheus_say_the_same", "prometheus or promtool is not on PATH");
    };
    is_lowered(&report(&["--prometheus-url", &server.url()]));
}

#[test]
fn without_the_jvms_own_word_a_process_stays() {
    let (_folder, file) = history(&USUAL.simulate(), false);
    let report = of_file(&file);
    let worker = worker(&report);
    assert_eq!((total(worker), &worker["flink"]), (WORKER_MIB, &Value::Null), "{worker:#}");
    assert_eq!(total(line(&report, "flink-jobmanager/clicks")), JOB_MANAGER_MIB);
}

#[test]
fn managed_memory_that_is_used_in_full_keeps_its_process() {
    let (_folder, file) = history(&Cluster { managed_used_mib: WORKER_MANAGED_MIB, ..USUAL }.simulate(), true);
    let report = of_file(&file);
    let worker = worker(&report);
    assert_eq!((total(worker), &worker["flink"]["processIsProven"]), (WORKER_MIB, &json!(false)));
    assert!(worker["notes"].to_string().contains("a state backend such as RocksDB"), "{worker:#}");
    let job_manager = line(&report, "flink-jobmanager/clicks");
    assert!(total(job_manager) < JOB_MANAGER_MIB, "it has none: {job_manager:#}");
}

#[test]
fn a_killed_process_grows() {
    let simulation = Cluster { peak_mib: WORKER_MIB * 98 / 100, spread: 0.03, ..USUAL }.simulate();
    assert!(simulation.truth().iter().any(|run| run.oom), "the simulation kills some");
    for is_scraped in [true, false] {
        let (_folder, file) = history(&simulation, is_scraped);
        let report = of_file(&file);
        let worker = worker(&report);
        assert!(total(worker) > WORKER_MIB && worker["verdict"]["memory"] == "raise", "{worker:#}");
    }
}

/// A deployment as its author keeps it.
fn deployment() -> Value {
    let resource = |cpu: f64, mib: u64| json!({"resource": {"cpu": cpu, "memory": format!("{mib}m")}});
    json!({"apiVersion": "flink.apache.org/v1beta1", "kind": "FlinkDeployment",
        "metadata": {"name": "clicks", "namespace": "streams"},
        "spec": {"flinkVersion": "v2_0", "jobManager": resource(1.0, JOB_MANAGER_MIB),
            "taskManager": resource(1.0, WORKER_MIB)}})
}

/// The deployment as it is stored, where admission knows these recommendations.
fn created(report: &Value) -> Value {
    let mut known = Snapshot { applications: Applications::SizedAtCreation, ..Snapshot::default() };
    LoadedRecommendations::read(report.to_string().as_bytes()).unwrap().replace_in(&mut known);
    let resource = json!({"group": "flink.apache.org", "version": "v1beta1", "resource": "flinkdeployments"});
    let kind = json!({"group": "flink.apache.org", "version": "v1beta1", "kind": "FlinkDeployment"});
    let review = json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": {
        "uid": "705ab4f5-6393-11e8-b7cc-42010a800002", "kind": kind, "resource": resource, "namespace": "streams",
        "operation": "CREATE", "userInfo": {"username": "ada"}, "object": deployment()}});
    let reply = answer(Entry::Mutate, review.to_string().as_bytes(), &known);
    let response: Value = serde_json::from_slice(&reply.body).unwrap();
    let mut object = deployment();
    if let Some(patch) = response["response"]["patch"].as_str() {
        let bytes = base64::engine::general_purpose::STANDARD.decode(patch).unwrap();
        let ops: Vec<Op> = serde_json::from_slice(&bytes).unwrap();
        apply(&mut object, &ops).unwrap();
    }
    object
}

#[test]
fn a_deployment_that_is_created_is_lowered_to_what_is_proven_and_else_stays() {
    let simulation = USUAL.simulate();
    let memory = |object: &Value, component: &str| object["spec"][component]["resource"]["memory"].clone();
    let (_folder, file) = history(&simulation, true);
    let report = of_file(&file);
    let object = created(&report);
    assert_eq!(memory(&object, "taskManager"), format!("{}m", total(worker(&report))));
    assert_eq!(memory(&object, "jobManager"), format!("{}m", total(line(&report, "flink-jobmanager/clicks"))));

    let (_folder, file) = history(&simulation, false);
    let object = created(&of_file(&file));
    assert_eq!(memory(&object, "taskManager"), format!("{WORKER_MIB}m"));
    assert_eq!(memory(&object, "jobManager"), format!("{JOB_MANAGER_MIB}m"));
}
