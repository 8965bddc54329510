//! How long a collection takes next to `curl` fetching the same JSON. Prints ratios; run it alone and in release:
//! `cargo test --release --test prometheus_wire -- --ignored --nocapture speed`.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use podfit::prometheus::{Client, Config, Mode, Selector, SeriesSource, TimeRange};

use crate::prometheus_server::{PrometheusServer, skipped};

const START_S: i64 = 1_700_000_000;
const DAYS: i64 = 14;
const SERIES: i64 = 7_000;

/// Lines of samples, `of` giving first second, step and count of each series.
fn history(out: &mut dyn Write, of: impl Fn(i64) -> (i64, i64, i64)) {
    writeln!(out, "# TYPE memory gauge").unwrap();
    let mut noise: u64 = 88_172_645_463_325_252;
    for i in 0..SERIES {
        let (first, step, count) = of(i);
        let labels = format!(
            "container=\"main\",id=\"/kubepods/burstable/pod{:032x}\",image=\"registry.example/etl:{}\",\
             instance=\"10.0.{}.{}:10250\",job=\"kubelet\",namespace=\"team-{}\",node=\"n{}\",pod=\"extract-{i}-{:x}\"",
            i * 7_919,
            i % 9,
            i % 7,
            i % 250,
            i % 12,
            i % 40,
            i * 104_729
        );
        for k in 0..count {
            noise ^= noise << 13;
            noise ^= noise >> 7;
            noise ^= noise << 17;
            let bytes = 400_000_000 + (noise % 20_000) * 4096;
            writeln!(out, "memory{{{labels}}} {bytes} {}", first + k * step).unwrap();
        }
    }
    writeln!(out, "# EOF").unwrap();
}

async fn measure(name: &str, of: impl Fn(i64) -> (i64, i64, i64)) {
    let made = PrometheusServer::start_with_writer(|out| history(out, of), &[]);
    let Some(server) = made else { return skipped(name, "prometheus or promtool is not on the PATH") };
    let range = TimeRange { start_ms: START_S * 1000, end_ms: (START_S + DAYS * 86_400) * 1000 };
    let curl = || {
        let started = Instant::now();
        let done = Command::new("curl")
            .args(["-sS", "-o", "/dev/null", "-w", "%{size_download}"])
            .args([
                "-d",
                &format!("query=memory[{}ms]", range.len_ms()),
                "-d",
                &format!("time={}", range.end_ms / 1000),
            ])
            .arg(format!("{}/api/v1/query", server.url()))
            .stderr(Stdio::inherit())
            .output();
        (started.elapsed(), done.map(|o| String::from_utf8_lossy(&o.stdout).into_owned()).unwrap_or_default())
    };
    let fetch = async |mode| {
        let client = Client::new(&Config { mode, ..Config::new(server.url()) }).unwrap();
        let started = Instant::now();
        let mut stream = client.samples(&Selector::metric("memory"), range).await.unwrap();
        let (mut samples, mut peak) = (0, 0.0_f64);
        while let Some(chunk) = stream.recv().await {
            let chunk = chunk.unwrap();
            samples += chunk.samples.len();
            peak = chunk.samples.iter().map(|s| s.value).fold(peak, f64::max);
        }
        assert!(samples > 0 && peak > 0.0);
        (started.elapsed(), samples, client.stats())
    };
    let mut best = [Duration::MAX; 3];
    for round in 0..4 {
        let (plain, size) = curl();
        let (query, _, query_stats) = fetch(Mode::Query).await;
        let (remote, samples, remote_stats) = fetch(Mode::RemoteRead).await;
        if round == 0 {
            eprintln!(
                "{name}: {samples} samples; JSON {size} B by curl, {} B in {} requests by query; {} B by remote read",
                query_stats.bytes, query_stats.requests, remote_stats.bytes
            );
        }
        for (best, now) in best.iter_mut().zip([plain, query, remote]) {
            *best = now.min(*best);
        }
    }
    let ratio = |of: Duration| of.as_secs_f64() / best[0].as_secs_f64();
    eprintln!(
        "{name}: curl {:?}, query API {:?} = {:.2} x curl, remote read {:?} = {:.2} x curl",
        best[0],
        best[1],
        ratio(best[1]),
        best[2],
        ratio(best[2])
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement of minutes"]
async fn speed_of_short_pods() {
    // 7,000 pods of 50 minutes, spread over two weeks, a sample every 30 s.
    measure("short pods", |i| (START_S + i * (DAYS * 86_400 - 3_000) / SERIES, 30, 100)).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement of minutes"]
async fn speed_of_long_series() {
    // 7,000 series over the whole two weeks, a sample every 15 minutes.
    measure("long series", |i| (START_S + i % 900, 900, DAYS * 96)).await;
}
