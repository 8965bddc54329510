//! The simulator held against itself: same seed, same bytes; truth and samples agree; faults are where they should be.
//! Whether a real Prometheus takes it is tested in `tests/simulate_backfill.rs`.

use std::collections::BTreeMap;

use super::*;

mod failures;
mod nightly;
mod parts;
mod platforms_large;

/// 2026-11-22T12:00:00Z, a Sunday.
const NOON: i64 = 1_795_348_800_000;

/// A writer that keeps a 64-bit FNV-1a hash and the length.
struct Digest(u64, usize);

impl Write for Digest {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = bytes.iter().fold(self.0, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3));
        self.1 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Digest {
    const fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325, 0)
    }
}

fn digest(sim: &Simulation) -> (u64, usize) {
    let mut out = Digest::new();
    sim.write_openmetrics(&mut out).unwrap();
    (out.0, out.1)
}

/// Series and samples per metric.
fn sizes(sim: &Simulation) -> BTreeMap<&'static str, (usize, usize)> {
    let mut sizes: BTreeMap<_, (usize, usize)> = BTreeMap::new();
    sim.for_each_series(|metric, _, samples| {
        let size = sizes.entry(metric).or_default();
        size.0 += 1;
        size.1 += samples.len();
    });
    sizes
}

/// The usage samples of every container life, by pod uid taken from the cgroup path, pod and container name.
fn container_series(sim: &Simulation, metric: Metric) -> Vec<(Labels, Vec<Sample>)> {
    let mut all = Vec::new();
    sim.for_each_series_of(metric, |labels, samples| {
        if labels.get("container").is_some() {
            all.push((labels, samples));
        }
    });
    all
}

/// Truth and samples must tell the same story, whatever the faults.
fn consistent(sim: &Simulation) {
    let truth = sim.truth();
    for metric in [Metric::WorkingSet, Metric::MaxUsage, Metric::CpuUsage] {
        let mut by_pod: BTreeMap<(String, String), Vec<Sample>> = BTreeMap::new();
        for (labels, samples) in container_series(sim, metric) {
            assert!(samples.windows(2).all(|w| w[0].at_ms < w[1].at_ms), "{labels:?}");
            assert!(samples.iter().all(|s| s.at_ms >= sim.start_ms() && s.at_ms <= sim.end_ms()));
            let key = (labels.get("pod").unwrap().to_owned(), labels.get("container").unwrap().to_owned());
            by_pod.entry(key).or_default().extend(samples);
        }
        for run in &truth {
            let Some(samples) = by_pod.get(&(run.pod.clone(), run.container.clone())) else {
                assert_eq!(run.samples, 0, "{run:?}");
                continue;
            };
            let inside = samples.iter().filter(|s| s.at_ms >= run.started_ms && s.at_ms <= run.ended_ms);
            let highest = inside.map(|s| s.value).fold(0.0, f64::max);
            match metric {
                Metric::WorkingSet => {
                    assert_eq!(highest, run.sampled_peak_bytes.unwrap_or(0) as f64, "{run:?}");
                    assert!(run.sampled_peak_bytes.unwrap_or(0) <= run.true_peak_bytes, "{run:?}");
                    assert!(run.true_peak_bytes <= run.needed_bytes, "{run:?}");
                    assert!(!run.oom || run.needed_bytes > run.true_peak_bytes, "{run:?}");
                }
                Metric::CpuUsage => {
                    assert!(highest <= run.cpu_seconds + 1e-6, "{run:?}");
                    let missing = run.cpu_seconds - highest;
                    // One interval, late or lagging, at the run's busiest.
                    let most = 60.0 * run.mean_cores * 3.0 + 0.01;
                    assert!(missing <= most || !sim.scrape.gaps.is_empty(), "{missing} of {run:?}");
                }
                _ => assert!(highest as u64 <= run.needed_bytes / 10 * 12, "{run:?}"),
            }
        }
    }
}
