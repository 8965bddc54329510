//! How long `podfit recommend` takes for 14 days of CronJobs on real servers, beside the time that curl needs to fetch
//! the same vectors from the same server. `cargo bench --bench collection` measures all, a word after `--` one of them:
//! `prometheus` (7,000 pods), `large` (70,000 pods), `victoria-metrics` (7,000 pods).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, dead_code, reason = "a bench may fail loudly")]

#[path = "../tests/support/prometheus_server.rs"]
mod prometheus_server;
#[path = "../tests/support/tools.rs"]
mod tools;
#[path = "../tests/support/victoria_metrics.rs"]
mod victoria_metrics;

use std::fs::File;
use std::io::{BufWriter, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use podfit::collector::metrics::{CPU, LAST_OF_CONTAINERS, LAST_OF_OBJECTS, MEMORY, Scope};
use podfit::research::simulate::platforms::cronjobs;
use prometheus_server::PrometheusServer;
use victoria_metrics::VictoriaMetrics;

/// 2026-11-22T12:00:00Z
const NOON: i64 = 1_795_348_800;
const DAYS: i64 = 14;

fn main() {
    // `cargo test --benches` passes --test: nothing is measured then.
    if std::env::args().any(|a| a == "--test") {
        return;
    }
    let chosen: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let wanted = |name: &str| chosen.is_empty() || chosen.iter().any(|c| c == name);
    if wanted("prometheus") {
        on_prometheus(500, 7);
    }
    if wanted("large") {
        on_prometheus(5_000, 3);
    }
    if wanted("victoria-metrics") {
        on_victoria_metrics(500, 7);
    }
}

fn on_prometheus(count: u64, pairs: usize) {
    let pods = 14 * count;
    eprintln!("writing 14 days of {pods} pods …");
    let simulation = cronjobs(count).simulate(NOON * 1000, 1);
    let server = PrometheusServer::start_with_writer(
        |out| {
            let mut out = out;
            let _ = simulation.write_openmetrics(&mut out);
        },
        &["--query.max-samples=500000000"],
    );
    drop(simulation);
    let Some(server) = server else {
        println!("podfit-test-skipped: collection: prometheus or promtool is not on PATH");
        return;
    };
    measure(&format!("Prometheus, {count} CronJobs, {pods} pods, 14 days"), &server.url(), pairs);
}

fn on_victoria_metrics(count: u64, pairs: usize) {
    let program = match tools::tool("victoria-metrics", true) {
        Ok(program) => program,
        Err(reason) => {
            println!("podfit-test-skipped: collection: {reason}");
            return;
        }
    };
    let pods = 14 * count;
    eprintln!("writing 14 days of {pods} pods …");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("history.om");
    let mut out = BufWriter::new(File::create(&file).unwrap());
    cronjobs(count).simulate(NOON * 1000, 1).write_openmetrics(&mut out).unwrap();
    out.flush().unwrap();
    let server = VictoriaMetrics::start_with(&program, File::open(&file).unwrap());
    measure(&format!("VictoriaMetrics, {count} CronJobs, {pods} pods, 14 days"), &server.url(), pairs);
}

fn measure(what: &str, url: &str, pairs: usize) {
    let scope = Scope::default();
    let raw = [scope.containers(MEMORY), scope.containers(CPU)].map(|s| format!("{s}[{DAYS}d]"));
    let last: Vec<String> = LAST_OF_CONTAINERS
        .iter()
        .map(|m| scope.containers(m))
        .chain(LAST_OF_OBJECTS.iter().map(|m| scope.objects(m)))
        .map(|s| format!("last_over_time({s}[{DAYS}d])"))
        .collect();
    let mut ours = Vec::new();
    let mut first = Vec::new();
    let mut again = Vec::new();
    let mut curl_raw = Vec::new();
    let mut curl_all = Vec::new();
    let mut peak_kib = 0;
    let dir = std::env::temp_dir().join(format!("podfit-bench-{}", std::process::id()));
    for pair in 0..=pairs {
        let raw_time: Duration = raw.iter().map(|q| curl(url, q)).sum();
        let last_time: Duration = last.iter().map(|q| curl(url, q)).sum();
        let (time, kib) = podfit(url, &[]);
        let store = dir.with_extension(format!("{pair}.redb"));
        let path = store.to_string_lossy().into_owned();
        let (first_time, _) = podfit(url, &["--store", &path]);
        let (again_time, _) = podfit(url, &["--store", &path]);
        let _ = std::fs::remove_file(&store);
        if pair == 0 {
            continue; // caches are cold
        }
        ours.push(time);
        first.push(first_time);
        again.push(again_time);
        curl_raw.push(raw_time);
        curl_all.push(raw_time + last_time);
        peak_kib = peak_kib.max(kib);
    }
    let ratio = |a: &[Duration], b: &[Duration]| {
        let mut r: Vec<f64> = a.iter().zip(b).map(|(a, b)| a.as_secs_f64() / b.as_secs_f64()).collect();
        r.sort_by(f64::total_cmp);
        r[r.len() / 2]
    };
    println!("median of {pairs} pairs, {what}");
    println!("  podfit recommend                      {:>8.3} s, peak memory {} MiB", median(&ours), peak_kib / 1024);
    println!("  curl, the same vectors                {:>8.3} s", median(&curl_all));
    println!("  curl, memory and CPU samples only     {:>8.3} s", median(&curl_raw));
    println!("  podfit / curl, the same vectors       {:>8.2}", ratio(&ours, &curl_all));
    println!("  podfit / curl, samples only           {:>8.2}", ratio(&ours, &curl_raw));
    println!("  with --store, first time              {:>8.3} s", median(&first));
    println!("  with --store, nothing new             {:>8.3} s", median(&again));
}

fn median(times: &[Duration]) -> f64 {
    let mut seconds: Vec<f64> = times.iter().map(Duration::as_secs_f64).collect();
    seconds.sort_by(f64::total_cmp);
    seconds[seconds.len() / 2]
}

fn curl(url: &str, query: &str) -> Duration {
    let started = Instant::now();
    let status = Command::new("curl")
        .args(["-sS", "-o", "/dev/null", "-f", "--data-urlencode", &format!("query={query}")])
        .args(["-d", &format!("time={NOON}"), &format!("{url}/api/v1/query")])
        .status();
    assert!(status.is_ok_and(|s| s.success()), "curl {query}");
    started.elapsed()
}

/// Wall time, and peak memory in KiB as the kernel has it while the process runs.
fn podfit(url: &str, more: &[&str]) -> (Duration, u64) {
    let started = Instant::now();
    let mut child = Command::new(env!("CARGO_BIN_EXE_podfit"))
        .args(["recommend", "--prometheus-url", url, "--at", "2026-11-22T12:00:00Z", "-o", "csv"])
        .args(more)
        .stdout(Stdio::null())
        .spawn()
        .expect("podfit starts");
    let mut kib = 0;
    let status = loop {
        let high_water = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let line = high_water.lines().find_map(|l| l.strip_prefix("VmHWM:"));
        kib = kib.max(line.and_then(|l| l.split_whitespace().next()?.parse().ok()).unwrap_or(0));
        if let Some(status) = child.try_wait().expect("podfit can be waited for") {
            break status;
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    assert!(status.success(), "podfit {status}");
    (started.elapsed(), kib)
}
