//! The series that the kubelet's cAdvisor shows of a pod's containers.
//! Knows nothing of engines; what a container used comes from its life.

use super::Simulation;
use super::instance::Instance;
use super::metric::Metric;
use super::pod::{Container, Pod};
use super::random::{Names, mix, of_text};
use super::scrape::{HighWater, Scrape, Target, replica_label};
use crate::prometheus::{Labels, Sample};

/// Gives every series of a usage metric of one pod, series without samples left out.
pub(super) fn of_pod(sim: &Simulation, metric: Metric, pod: &Pod, sink: &mut dyn FnMut(Labels, Vec<Sample>)) {
    let options = &sim.scrape;
    if metric == Metric::MaxUsage && options.high_water == HighWater::Absent {
        return;
    }
    for replica in 0..options.replicas.max(1) {
        let target = target(sim, pod.node, replica);
        let series = Series { sim, metric, pod, target, replica };
        if options.pod_level {
            series.pod_level(sink);
        }
        for container in &pod.containers {
            if metric.is_quota() && container.asks.cpu_limit_millis.is_none() {
                continue;
            }
            series.container(container, sink);
        }
    }
}

/// The kubelet of a node as one replica scrapes it.
pub(super) fn target(sim: &Simulation, node: u32, replica: u32) -> Target<'_> {
    Target {
        options: &sim.scrape,
        key: mix(sim.seed, of_text("kubelet") ^ u64::from(node)),
        replica,
        interval_ms: sim.scrape.interval_ms,
        end_ms: sim.end_ms,
        lag_ms: sim.scrape.lag_ms,
    }
}

impl Metric {
    const fn is_quota(self) -> bool {
        matches!(self, Self::CfsPeriods | Self::CfsThrottledPeriods)
    }
}

struct Series<'a> {
    sim: &'a Simulation,
    metric: Metric,
    pod: &'a Pod,
    target: Target<'a>,
    replica: u32,
}

impl Series<'_> {
    fn container(&self, container: &Container, sink: &mut dyn FnMut(Labels, Vec<Sample>)) {
        let ids = self.sim.scrape.container_ids;
        let mut samples = Vec::new();
        for (number, instance) in container.instances.iter().enumerate() {
            let until = container.instances.get(number + 1).map_or(i64::MAX, |l| l.start_ms - 1);
            self.of_instance(instance, until, &mut samples);
            if ids && !samples.is_empty() {
                sink(self.labels(container, Some(number)), std::mem::take(&mut samples));
            }
        }
        if !ids && !samples.is_empty() {
            sink(self.labels(container, None), samples.clone());
        }
        if self.sim.scrape.resource_endpoint
            && matches!(self.metric, Metric::CpuUsage | Metric::WorkingSet | Metric::StartTime)
        {
            samples.clear();
            for (number, instance) in container.instances.iter().enumerate() {
                let until = container.instances.get(number + 1).map_or(i64::MAX, |l| l.start_ms - 1);
                self.of_instance(instance, until, &mut samples);
            }
            if !samples.is_empty() {
                sink(self.resource_labels(container), samples);
            }
        }
    }

    /// Samples of one life, and what lingers after it.
    fn of_instance(&self, instance: &Instance, until_ms: i64, samples: &mut Vec<Sample>) {
        let linger_to = instance.end_ms.saturating_add(self.sim.scrape.linger_ms).min(until_ms);
        let mut last = None;
        for scrape in self.target.scrapes(instance.start_ms, linger_to) {
            let value = if scrape.at_ms <= instance.end_ms {
                last = Some(self.value(instance, scrape.measured_ms));
                last
            } else {
                last
            };
            let Some(value) = value else { break };
            self.push(samples, scrape, instance, value);
        }
    }

    fn push(&self, samples: &mut Vec<Sample>, scrape: Scrape, instance: &Instance, value: f64) {
        // What lingers was not measured any more.
        let at_ms = if scrape.at_ms <= instance.end_ms { self.stamp(scrape) } else { scrape.at_ms };
        // A second scrape of the same measurement adds nothing.
        if at_ms >= instance.start_ms && samples.last().is_none_or(|s| s.at_ms < at_ms) {
            samples.push(Sample { at_ms, value });
        }
    }

    /// The time of a sample; what a container is, as opposed to what it uses, never carries a time of its own.
    fn stamp(&self, scrape: Scrape) -> i64 {
        if self.metric == Metric::StartTime { scrape.at_ms } else { self.sim.scrape.stamp(scrape) }
    }

    fn value(&self, instance: &Instance, at_ms: i64) -> f64 {
        match self.metric {
            Metric::CpuUsage => instance.cpu_seconds(at_ms),
            Metric::WorkingSet => instance.working_set(at_ms) as f64,
            Metric::Rss => (instance.working_set(at_ms) / 10 * 9) as f64,
            Metric::MaxUsage if self.sim.scrape.high_water == HighWater::Zero => 0.0,
            Metric::MaxUsage => instance.high_water(at_ms) as f64,
            Metric::CfsPeriods => instance.periods(at_ms),
            Metric::CfsThrottledPeriods => instance.throttled_periods(at_ms),
            // cAdvisor tells whole seconds.
            _ => (instance.start_ms / 1000) as f64,
        }
    }

    /// The pod's own cgroup: the sum over its containers, all lives included.
    fn pod_level(&self, sink: &mut dyn FnMut(Labels, Vec<Sample>)) {
        let pod = self.pod;
        if self.metric.is_quota() && pod.containers.iter().any(|c| c.asks.cpu_limit_millis.is_none()) {
            return;
        }
        let mut samples: Vec<Sample> = Vec::new();
        for scrape in self.target.scrapes(pod.start_ms(), pod.end_ms()) {
            let at = scrape.measured_ms;
            let value = match self.metric {
                Metric::StartTime => (pod.start_ms() / 1000) as f64,
                // Gauges show the lives that are going on, counters also what earlier ones left.
                Metric::WorkingSet | Metric::Rss => {
                    self.sum(|l| if l.start_ms <= at && at <= l.end_ms { self.value(l, at) } else { 0.0 })
                }
                Metric::MaxUsage => pod
                    .containers
                    .iter()
                    .map(|c| {
                        let started = c.instances.iter().filter(|l| l.start_ms <= at);
                        started.map(|l| self.value(l, at)).fold(0.0, f64::max)
                    })
                    .sum(),
                _ => (self.sum(|l| if l.start_ms <= at { self.value(l, at) } else { 0.0 }) * 1e6).round() / 1e6,
            };
            let at_ms = self.stamp(scrape);
            if at_ms >= pod.start_ms() && samples.last().is_none_or(|s| s.at_ms < at_ms) {
                samples.push(Sample { at_ms, value });
            }
        }
        if !samples.is_empty() {
            let mut labels = self.common("/metrics/cadvisor");
            if self.sim.scrape.container_ids {
                labels.push(("id".to_owned(), self.pod_cgroup()));
            }
            sink(Labels::new(labels), samples);
        }
    }

    fn sum(&self, value: impl Fn(&Instance) -> f64) -> f64 {
        self.pod.containers.iter().flat_map(|c| &c.instances).map(value).sum()
    }

    fn labels(&self, container: &Container, instance: Option<usize>) -> Labels {
        let mut labels = self.common("/metrics/cadvisor");
        labels.push(("container".to_owned(), container.name.clone()));
        labels.push(("image".to_owned(), container.image.clone()));
        if let Some(number) = instance {
            let id = Names(self.pod.key).hex(&format!("container {} {number}", container.name), 64);
            labels.push(("id".to_owned(), format!("{}/cri-containerd-{id}.scope", self.pod_cgroup())));
            labels.push(("name".to_owned(), id));
        }
        Labels::new(labels)
    }

    fn resource_labels(&self, container: &Container) -> Labels {
        let mut labels = self.common("/metrics/resource");
        labels.push(("container".to_owned(), container.name.clone()));
        Labels::new(labels)
    }

    fn pod_cgroup(&self) -> String {
        let asks = self.pod.containers.iter().map(|c| c.asks);
        let guaranteed = asks.clone().all(|a| {
            a.cpu_limit_millis.is_some()
                && a.memory_limit_bytes.is_some()
                && a.cpu_limit_millis == a.cpu_request_millis
                && a.memory_limit_bytes == a.memory_request_bytes
        });
        let mut asks = asks;
        let best_effort = asks.all(|a| a == super::model::Asks::default());
        let class = if guaranteed {
            ""
        } else if best_effort {
            "besteffort-"
        } else {
            "burstable-"
        };
        let slice = class.trim_end_matches('-');
        let parent = if slice.is_empty() { String::new() } else { format!("/kubepods-{slice}.slice") };
        format!("/kubepods.slice{parent}/kubepods-{class}pod{}.slice", self.pod.uid.replace('-', "_"))
    }

    fn common(&self, path: &str) -> Vec<(String, String)> {
        let node = self.pod.node;
        let mut labels: Vec<(String, String)> = [
            ("endpoint", "https-metrics".to_owned()),
            ("instance", format!("10.20.0.{}:10250", node + 10)),
            ("job", "kubelet".to_owned()),
            ("metrics_path", path.to_owned()),
            ("namespace", self.pod.namespace.clone()),
            ("node", super::node_name(node)),
            ("pod", self.pod.name.clone()),
        ]
        .into_iter()
        .map(|(k, v)| (k.to_owned(), v))
        .collect();
        if self.metric == Metric::CpuUsage && path == "/metrics/cadvisor" {
            labels.push(("cpu".to_owned(), "total".to_owned()));
        }
        labels.extend(replica_label(&self.sim.scrape, self.replica));
        labels
    }
}
