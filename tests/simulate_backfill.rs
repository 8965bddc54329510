//! What the simulator writes, given to the real promtool and read back from the real Prometheus.
//! Skipped, with a line that says so, where they are not on PATH.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail loudly in its helpers")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};
use podfit::research::simulate::platforms::{
    data_platform, five_hundred_cronjobs, nightly_counter_reset, nightly_ha_pair, nightly_lingering, nightly_three,
};
use podfit::research::simulate::{Metric, Platform, ScrapeOptions, Simulation};
use rstest::rstest;
use serde_json::Value;

/// 2026-11-22T12:00:00Z
const NOON: i64 = 1_795_348_800_000;

/// A Prometheus on loopback; ends with the value.
struct Prometheus {
    child: Child,
    port: u16,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Prometheus {
    /// Starts a server on the blocks in a directory; somebody else may take its port meanwhile, so it tries again.
    fn start(dir: &Path) -> Result<Self> {
        Self::try_start(dir).or_else(|_| Self::try_start(dir)).or_else(|_| Self::try_start(dir))
    }

    /// Starts a server once and waits until it says that it is ready.
    fn try_start(dir: &Path) -> Result<Self> {
        let config = dir.join("prometheus.yml");
        std::fs::write(&config, "global: {scrape_interval: 1h}\n")?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut child = Command::new("prometheus")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", dir.join("data").display()))
            .arg("--storage.tsdb.retention.time=100y")
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let log = child.stderr.take().context("no log")?;
        let server = Self { child, port };
        let mut log = BufReader::new(log).lines();
        let mut seen = String::new();
        loop {
            let line = log.next().with_context(|| format!("prometheus ended: {seen}"))??;
            if line.contains("ready to receive web requests") {
                break;
            }
            seen.push_str(&line);
            seen.push('\n');
        }
        // The log must be read on, or the server would block on a full pipe.
        std::thread::spawn(move || log.for_each(drop));
        Ok(server)
    }

    /// The result of an instant query at noon.
    fn query(&self, promql: &str) -> Result<Vec<Value>> {
        let mut encoded = String::new();
        for b in promql.bytes() {
            write!(encoded, "%{b:02X}")?;
        }
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        let path = format!("/api/v1/query?time={}&query={encoded}", NOON / 1000);
        write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").context("no body")?;
        ensure!(head.contains(" 200 "), "{promql}: {answer}");
        let body: Value = serde_json::from_str(body)?;
        Ok(body["data"]["result"].as_array().cloned().unwrap_or_default())
    }

    /// A query that answers with one number; 0 where it answers with nothing.
    fn number(&self, promql: &str) -> Result<f64> {
        let result = self.query(promql)?;
        let Some(first) = result.first() else { return Ok(0.0) };
        Ok(first["value"][1].as_str().context("no value")?.parse()?)
    }
}

/// Whether both programs can be run; says so on stderr where not.
fn available(test: &str) -> bool {
    for program in ["promtool", "prometheus"] {
        let found = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
        if !found {
            // Not eprintln: the test harness would keep it to itself.
            let _ = writeln!(std::io::stderr(), "podfit-test-skipped: {test}: {program} is not on PATH");
            return false;
        }
    }
    true
}

/// Writes the text, makes blocks of it and starts a server on them.
fn backfilled(sim: &Simulation, dir: &Path) -> Result<Prometheus> {
    let text = dir.join("history.om");
    let mut out = BufWriter::new(File::create(&text)?);
    sim.write_openmetrics(&mut out)?;
    out.flush()?;
    drop(out);
    let result = Command::new("promtool")
        .args(["tsdb", "create-blocks-from", "openmetrics", "--quiet", "--max-block-duration=2880h"])
        .arg(&text)
        .arg(dir.join("data"))
        .output()?;
    ensure!(result.status.success(), "promtool: {}", String::from_utf8_lossy(&result.stderr));
    std::fs::remove_file(&text)?;
    Prometheus::start(dir)
}

/// Series and samples per metric, as the simulator gives them in memory.
fn sizes(sim: &Simulation) -> BTreeMap<&'static str, (usize, usize)> {
    let mut sizes: BTreeMap<_, (usize, usize)> = BTreeMap::new();
    sim.for_each_series(|metric, _, samples| {
        let size = sizes.entry(metric).or_default();
        size.0 += 1;
        size.1 += samples.len();
    });
    sizes
}

/// The demo's metrics are many: a tenth of the samples shows as well that each is accepted.
fn seldom(scrape: &mut ScrapeOptions) {
    scrape.interval_ms = 300_000;
    scrape.state_interval_ms = 1_800_000;
}

#[rstest]
#[case::three("three", nightly_three())]
#[case::ha_pair("ha_pair", nightly_ha_pair())]
#[case::lingering("lingering", nightly_lingering())]
#[case::counter_reset("counter_reset", nightly_counter_reset())]
#[case::demo("demo", data_platform().scraped(seldom))]
#[case::five_hundred("five_hundred", five_hundred_cronjobs().scraped(|s| s.metrics = Some(vec![Metric::WorkingSet])))]
fn prometheus_holds_every_simulated_series_and_sample(#[case] name: &str, #[case] platform: Platform) -> Result<()> {
    if !available(&format!("prometheus_holds_every_simulated_series_and_sample::{name}")) {
        return Ok(());
    }
    let sim = platform.simulate(NOON, 1);
    let dir = tempfile::tempdir()?;
    let server = backfilled(&sim, dir.path())?;
    for (metric, (series, samples)) in sizes(&sim) {
        let counted = format!("count_over_time({metric}[22d])");
        assert_eq!(server.number(&format!("count({counted})"))?, series as f64, "series of {metric}");
        assert_eq!(server.number(&format!("sum({counted})"))?, samples as f64, "samples of {metric}");
    }
    Ok(())
}

#[test]
fn prometheus_shows_the_simulated_peaks_and_cores() -> Result<()> {
    if !available("prometheus_shows_the_simulated_peaks_and_cores") {
        return Ok(());
    }
    let sim = nightly_three().simulate(NOON, 1);
    let dir = tempfile::tempdir()?;
    let server = backfilled(&sim, dir.path())?;
    for run in sim.truth() {
        let of = format!("{{namespace=\"nightly\",pod=\"{}\",container=\"main\"}}[15d]", run.pod);
        let peak = server.number(&format!("max_over_time(container_memory_working_set_bytes{of})"))?;
        assert_eq!(Some(peak as u64), run.sampled_peak_bytes, "{run:?}");
        let cpu = server.number(&format!("last_over_time(container_cpu_usage_seconds_total{of})"))?;
        assert!(cpu <= run.cpu_seconds && run.cpu_seconds - cpu <= 0.9 * 30.0, "{cpu} of {run:?}");
    }
    // A pod that has ended is told of for as long as it exists, with its limit and its end.
    let ended =
        server.query("count_over_time(kube_pod_container_status_terminated_reason{reason=\"Completed\"}[15d])")?;
    assert_eq!(ended.len(), 42);
    Ok(())
}
