//! How long `podfit recommend` takes for 500 CronJobs, 7,000 pods and 14 days on a real Prometheus, beside the time
//! that curl needs to fetch the same vectors from the same server. Run with `cargo bench --bench collection`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, dead_code, reason = "a bench may fail loudly")]

#[path = "../tests/support/prometheus_server.rs"]
mod prometheus_server;

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use podfit::collector::metrics::{CPU, LAST_OF_CONTAINERS, LAST_OF_OBJECTS, MEMORY, Scope};
use podfit::simulate::platforms::five_hundred_cronjobs;
use prometheus_server::PrometheusServer;

/// 2026-11-22T12:00:00Z
const NOON: i64 = 1_795_348_800;
const DAYS: i64 = 14;
const PAIRS: usize = 7;

fn main() {
    // `cargo test --benches` passes --test: nothing is measured then.
    if std::env::args().any(|a| a == "--test") {
        return;
    }
    eprintln!("writing 14 days of 7,000 pods …");
    let simulation = five_hundred_cronjobs().simulate(NOON * 1000, 1);
    let server = PrometheusServer::start_with_writer(
        |out| {
            let mut out = out;
            let _ = simulation.write_openmetrics(&mut out);
        },
        &[],
    );
    let Some(server) = server else {
        println!("podfit-test-skipped: collection: prometheus or promtool is not on PATH");
        return;
    };
    let url = server.url();
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
    for pair in 0..=PAIRS {
        let raw_time: Duration = raw.iter().map(|q| curl(&url, q)).sum();
        let last_time: Duration = last.iter().map(|q| curl(&url, q)).sum();
        let (time, kib) = podfit(&url, &[]);
        let store = dir.with_extension(format!("{pair}.redb"));
        let path = store.to_string_lossy().into_owned();
        let (first_time, _) = podfit(&url, &["--store", &path]);
        let (again_time, _) = podfit(&url, &["--store", &path]);
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
    println!("median of {PAIRS} pairs, 500 CronJobs, 7,000 pods, 14 days");
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
