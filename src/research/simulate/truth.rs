//! What really happened in a simulated run, to hold against what was learned from the series.
//! Computed from the same lives and the same scrapes as the series.

use super::Simulation;
use super::instance::End;
use super::pod::{Container, Pod};
use super::usage_series::target;

/// One life of one container, as it really was.
#[derive(Clone, Debug, PartialEq)]
pub struct TrueRun {
    /// Namespace of the pod.
    pub namespace: String,
    /// The workload in its text form, without namespace.
    pub workload: String,
    /// Pod name.
    pub pod: String,
    /// Pod uid.
    pub uid: String,
    /// Container name.
    pub container: String,
    /// Start, milliseconds since the epoch.
    pub started_ms: i64,
    /// End, or the end of the window where it was still running, milliseconds since the epoch.
    pub ended_ms: i64,
    /// Whether it was still running at the end of the window.
    pub running: bool,
    /// The highest working set that it reached, in bytes.
    pub true_peak_bytes: u64,
    /// What the whole run would have needed, in bytes; more than the peak where it was killed or cut short.
    pub needed_bytes: u64,
    /// The highest working set among the samples, in bytes; `None` when no sample fell into the run.
    pub sampled_peak_bytes: Option<u64>,
    /// Samples of one metric that fell into the run, over all replicas.
    pub samples: usize,
    /// CPU-seconds divided by run time.
    pub mean_cores: f64,
    /// CPU-seconds used.
    pub cpu_seconds: f64,
    /// How it ended, or would end after the window.
    pub end: End,
    /// Whether the kernel killed it for memory inside the window.
    pub oom: bool,
    /// 1 for the first try of its unit of work; a restart in place counts.
    pub attempt: u32,
}

/// All runs, model by model, in order of time inside a model.
pub(super) fn all(sim: &Simulation) -> Vec<TrueRun> {
    sim.pods
        .iter()
        .flat_map(|p| p.containers.iter().map(move |c| (p, c)))
        .flat_map(|(p, c)| (0..c.instances.len()).filter_map(move |n| of_instance(sim, p, c, n)))
        .collect()
}

fn of_instance(sim: &Simulation, pod: &Pod, container: &Container, number: usize) -> Option<TrueRun> {
    let instance = container.instances.get(number).filter(|l| l.start_ms <= sim.end_ms)?;
    let ended_ms = instance.end_ms.min(sim.end_ms);
    let (mut peak, mut samples) = (None, 0);
    for replica in 0..sim.scrape.replicas.max(1) {
        let mut last = i64::MIN;
        for scrape in target(sim, pod.node, replica).scrapes(instance.start_ms, ended_ms) {
            let at = sim.scrape.stamp(scrape);
            if at >= instance.start_ms && at > last {
                peak = peak.max(Some(instance.working_set(scrape.measured_ms)));
                samples += 1;
                last = at;
            }
        }
    }
    let cpu_seconds = instance.cpu_seconds(ended_ms);
    let seconds = (ended_ms - instance.start_ms) as f64 / 1000.0;
    Some(TrueRun {
        namespace: pod.namespace.clone(),
        workload: container.workload.clone(),
        pod: pod.name.clone(),
        uid: pod.uid.clone(),
        container: container.name.clone(),
        started_ms: instance.start_ms,
        ended_ms,
        running: instance.end_ms > sim.end_ms,
        true_peak_bytes: instance.peak_until(ended_ms),
        needed_bytes: instance.needed_bytes,
        sampled_peak_bytes: peak,
        samples,
        mean_cores: if seconds > 0.0 { cpu_seconds / seconds } else { 0.0 },
        cpu_seconds,
        end: instance.end,
        oom: instance.end == End::OomKilled && instance.end_ms <= sim.end_ms,
        attempt: pod.attempt + number as u32,
    })
}
