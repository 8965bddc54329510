//! The series that Flink's Prometheus reporter shows of a job manager's or task manager's JVM, as a scrape of the pod
//! finds them. Knows nothing of how a process size is divided; what the parts are and hold comes with the model.

use super::Simulation;
use super::instance::Instance;
use super::metric::Metric;
use super::model::FlinkJvm;
use super::pod::{Container, Pod};
use super::random::{below, mix, of_text};
use super::scrape::{Target, replica_label};
use crate::prometheus::{Labels, Sample};

/// From one collection of garbage to the next, in milliseconds.
const COLLECTED_MS: i64 = 600_000;
/// The share of the heap's peak that is left after one.
const LIVE_SHARE: f64 = 0.4;

/// Gives the series of a metric of one pod; none of a pod without such a JVM.
pub(super) fn of_pod(sim: &Simulation, metric: Metric, pod: &Pod, sink: &mut dyn FnMut(Labels, Vec<Sample>)) {
    for replica in 0..sim.scrape.replicas.max(1) {
        for container in &pod.containers {
            let Some(jvm) = container.flink.filter(|_| is_of(metric, container)) else { continue };
            let mut samples = Vec::new();
            for instance in &container.instances {
                let target = Target {
                    options: &sim.scrape,
                    key: mix(pod.key, of_text("flink reporter")),
                    replica,
                    interval_ms: sim.scrape.interval_ms,
                    end_ms: sim.end_ms,
                    lag_ms: 0,
                };
                samples.extend(
                    target.scrapes(instance.start_ms, instance.end_ms).map(|scrape| Sample {
                        at_ms: scrape.at_ms,
                        value: value(metric, jvm, instance, scrape.at_ms),
                    }),
                );
            }
            if !samples.is_empty() {
                sink(labels(sim, pod, container, replica), samples);
            }
        }
    }
}

/// Whether a component has the metric.
fn is_of(metric: Metric, container: &Container) -> bool {
    container.workload.starts_with("flink-taskmanager/") == metric.name().starts_with("flink_taskmanager_")
}

fn value(metric: Metric, jvm: FlinkJvm, instance: &Instance, at_ms: i64) -> f64 {
    let since = at_ms - instance.start_ms;
    match metric {
        Metric::TaskManagerHeapUsed | Metric::JobManagerHeapUsed => {
            // Garbage piles up until it is collected; no two JVMs are alike.
            let full = (since.rem_euclid(COLLECTED_MS)) as f64 / COLLECTED_MS as f64;
            let own = 1.0 - below(instance.start_ms as u64, 7) as f64 / 400.0;
            (jvm.heap_peak_bytes as f64 * own * (LIVE_SHARE + (1.0 - LIVE_SHARE) * full)).round()
        }
        Metric::TaskManagerHeapMax | Metric::JobManagerHeapMax => jvm.heap_bytes as f64,
        Metric::TaskManagerManagedUsed => jvm.managed_used_bytes as f64,
        Metric::TaskManagerManagedTotal => jvm.managed_bytes as f64,
        Metric::TaskManagerNetworkUsed => jvm.network_used_bytes as f64,
        _ => (jvm.gc_share * since as f64).round(),
    }
}

/// Labels of the scrape, and the reporter's own.
fn labels(sim: &Simulation, pod: &Pod, container: &Container, replica: u32) -> Labels {
    let host = format!("10.30.{}.{}", pod.key % 250, pod.key / 250 % 250);
    let mut labels: Vec<(String, String)> = [
        ("container", container.name.clone()),
        ("endpoint", "metrics".to_owned()),
        ("host", host.replace('.', "_")),
        ("instance", format!("{host}:9249")),
        ("job", format!("{}/flink", pod.namespace)),
        ("namespace", pod.namespace.clone()),
        ("pod", pod.name.clone()),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect();
    if container.workload.starts_with("flink-taskmanager/") {
        labels.push(("tm_id".to_owned(), pod.name.replace('-', "_")));
    }
    labels.extend(replica_label(&sim.scrape, replica));
    Labels::new(labels)
}
