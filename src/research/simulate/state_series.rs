//! The series that kube-state-metrics shows of pods, Jobs and ReplicaSets, from creation to deletion.
//! Knows nothing of engines or usage.

use super::Simulation;
use super::instance::End;
use super::metric::Metric;
use super::pod::{Container, Owner, Parent, ParentKind, Pod};
use super::random::{mix, of_text};
use super::scrape::{Allowlist, Scrape, Target, replica_label};
use crate::prometheus::{Labels, Sample};

type Pairs = Vec<(String, String)>;

/// Gives every series of a state metric of one pod, series without samples left out.
pub(super) fn of_pod(sim: &Simulation, metric: Metric, pod: &Pod, sink: &mut dyn FnMut(Labels, Vec<Sample>)) {
    for replica in 0..sim.scrape.replicas.max(1) {
        State { sim, pod, target: target(sim, replica), replica }.emit(metric, sink);
    }
}

/// Gives the owner series of one Job or ReplicaSet.
pub(super) fn of_parent(sim: &Simulation, metric: Metric, parent: &Parent, sink: &mut dyn FnMut(Labels, Vec<Sample>)) {
    let name_label = match (metric, parent.kind) {
        (Metric::JobOwner, ParentKind::Job) => "job_name",
        (Metric::ReplicasetOwner, ParentKind::ReplicaSet) => "replicaset",
        _ => return,
    };
    for replica in 0..sim.scrape.replicas.max(1) {
        let mut labels = exporter(sim, replica);
        labels.extend(owner_labels(parent.owner.as_ref()));
        labels.extend([pair("namespace", &parent.namespace), pair(name_label, &parent.name)]);
        let until = parent.deleted_ms.unwrap_or(i64::MAX);
        let scrapes = target(sim, replica).scrapes(parent.created_ms, until);
        give(
            labels,
            scrapes.filter(|s| s.at_ms <= parent.ended_ms || kept(sim, *s)).map(|s| sample(s, 1.0)).collect(),
            sink,
        );
    }
}

fn target(sim: &Simulation, replica: u32) -> Target<'_> {
    Target {
        options: &sim.scrape,
        key: mix(sim.seed, of_text("kube-state-metrics")),
        replica,
        interval_ms: sim.scrape.state_interval_ms,
        end_ms: sim.end_ms,
        lag_ms: 0,
    }
}

fn kept(sim: &Simulation, scrape: Scrape) -> bool {
    scrape.number.rem_euclid(i64::from(sim.scrape.finished_every.max(1))) == 0
}

const fn sample(scrape: Scrape, value: f64) -> Sample {
    Sample { at_ms: scrape.at_ms, value }
}

fn pair(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

fn give(labels: Pairs, samples: Vec<Sample>, sink: &mut dyn FnMut(Labels, Vec<Sample>)) {
    if !samples.is_empty() {
        sink(Labels::new(labels), samples);
    }
}

/// The labels of the exporter itself; with `honorLabels` they show wherever the metric has no such label of its own.
fn exporter(sim: &Simulation, replica: u32) -> Pairs {
    let mut labels = vec![
        pair("container", "kube-state-metrics"),
        pair("endpoint", "http"),
        pair("instance", "10.20.8.4:8080"),
        pair("job", "kube-state-metrics"),
        pair("pod", "kube-state-metrics-6d4b7c9f8-x2kqv"),
    ];
    labels.extend(replica_label(&sim.scrape, replica));
    labels
}

/// Empty without an owner, which is the same as absent.
fn owner_labels(owner: Option<&Owner>) -> Pairs {
    owner.map_or_else(Vec::new, |o| {
        vec![pair("owner_kind", o.kind), pair("owner_name", &o.name), pair("owner_is_controller", "true")]
    })
}

/// The key as kube-state-metrics writes it: other characters become `_`, camel case becomes snake case.
fn sanitised(prefix: &str, key: &str) -> String {
    let mut out = String::from(prefix);
    let mut before = '_';
    for c in key.chars() {
        if c.is_ascii_uppercase() && (before.is_ascii_lowercase() || before.is_ascii_digit()) {
            out.push('_');
        }
        out.push(if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' });
        before = c;
    }
    out
}

struct State<'a> {
    sim: &'a Simulation,
    pod: &'a Pod,
    target: Target<'a>,
    replica: u32,
}

impl State<'_> {
    fn emit(&self, metric: Metric, sink: &mut dyn FnMut(Labels, Vec<Sample>)) {
        let pod = self.pod;
        let created = pod.created_ms;
        match metric {
            Metric::PodInfo => {
                let (kind, name) = pod.owner.as_ref().map_or(("", ""), |o| (o.kind, o.name.as_str()));
                let ip = format!("10.42.{}.{}", pod.node, pod.key % 250 + 2);
                let host = format!("10.20.0.{}", pod.node + 10);
                let own = [
                    pair("created_by_kind", kind),
                    pair("created_by_name", name),
                    pair("host_ip", &host),
                    pair("host_network", "false"),
                    pair("node", &super::node_name(pod.node)),
                    pair("pod_ip", &ip),
                ];
                self.constant(own, created, 1.0, sink);
            }
            Metric::PodOwner => self.constant(owner_labels(pod.owner.as_ref()), created, 1.0, sink),
            Metric::PodLabels => self.shown("label_", &self.sim.scrape.pod_labels, &pod.labels, sink),
            Metric::PodAnnotations => {
                self.shown("annotation_", &self.sim.scrape.pod_annotations, &pod.annotations, sink);
            }
            Metric::PodCreated | Metric::PodStartTime => self.constant([], created, (created / 1000) as f64, sink),
            Metric::PodCompletionTime => {
                self.constant([], pod.end_ms(), (pod.end_ms() / 1000) as f64, sink);
            }
            Metric::Requests => self.amounts(sink, |c| (c.asks.cpu_request_millis, c.asks.memory_request_bytes)),
            Metric::Limits => self.amounts(sink, |c| (c.asks.cpu_limit_millis, c.asks.memory_limit_bytes)),
            Metric::TerminatedReason => self.each(|c| self.terminated(c, sink)),
            Metric::LastTerminatedReason => self.each(|c| self.last_terminated(c, sink)),
            Metric::LastTerminatedExitcode => self.each(|c| {
                let windows = c.instances.windows(2).enumerate();
                let codes = windows.map(|(i, w)| (w[1].start_ms, after(c, i + 2), f64::from(w[0].end.exit_code())));
                self.over([pair("container", &c.name)], codes, sink);
            }),
            Metric::Restarts => self.each(|c| {
                let instances = c.instances.iter().enumerate();
                let counts = instances.map(|(i, l)| (l.start_ms, after(c, i + 1), i as f64));
                self.over([pair("container", &c.name)], counts, sink);
            }),
            Metric::Phase => self.phases(sink),
            _ => {}
        }
    }

    fn each(&self, mut f: impl FnMut(&Container)) {
        self.pod.containers.iter().for_each(&mut f);
    }

    fn labels(&self, own: impl IntoIterator<Item = (String, String)>) -> Pairs {
        let mut labels = exporter(self.sim, self.replica);
        labels.extend([
            pair("namespace", &self.pod.namespace),
            pair("pod", &self.pod.name),
            pair("uid", &self.pod.uid),
        ]);
        labels.extend(own);
        labels
    }

    /// The scrapes inside a time of the pod's existence.
    fn scrapes(&self, from_ms: i64, to_ms: i64) -> impl Iterator<Item = Scrape> {
        let ended = self.pod.end_ms();
        let until = to_ms.min(self.pod.deleted_ms.unwrap_or(i64::MAX));
        self.target.scrapes(from_ms, until).filter(move |s| s.at_ms <= ended || kept(self.sim, *s))
    }

    /// One series of several stretches, each from, to (exclusive), value.
    fn over(
        &self,
        own: impl IntoIterator<Item = (String, String)>,
        stretches: impl IntoIterator<Item = (i64, i64, f64)>,
        sink: &mut dyn FnMut(Labels, Vec<Sample>),
    ) {
        let samples =
            stretches.into_iter().flat_map(|(from, to, v)| self.scrapes(from, to - 1).map(move |s| sample(s, v)));
        give(self.labels(own), samples.collect(), sink);
    }

    fn constant(
        &self,
        own: impl IntoIterator<Item = (String, String)>,
        from_ms: i64,
        value: f64,
        sink: &mut dyn FnMut(Labels, Vec<Sample>),
    ) {
        self.over(own, [(from_ms, i64::MAX, value)], sink);
    }

    fn shown(&self, prefix: &str, allowed: &Allowlist, all: &Pairs, sink: &mut dyn FnMut(Labels, Vec<Sample>)) {
        let allow = |key: &str| match allowed {
            Allowlist::Nothing => false,
            Allowlist::Everything => true,
            Allowlist::Keys(keys) => keys.iter().any(|k| k == key),
        };
        if *allowed != Allowlist::Nothing {
            let own = all.iter().filter(|(k, _)| allow(k)).map(|(k, v)| (sanitised(prefix, k), v.clone()));
            self.constant(own, self.pod.created_ms, 1.0, sink);
        }
    }

    fn amounts(
        &self,
        sink: &mut dyn FnMut(Labels, Vec<Sample>),
        of: impl Fn(&Container) -> (Option<u64>, Option<u64>),
    ) {
        self.each(|c| {
            let (cpu, memory) = of(c);
            let values =
                [("cpu", "core", cpu.map(|m| m as f64 / 1000.0)), ("memory", "byte", memory.map(|b| b as f64))];
            for (resource, unit, value) in values {
                if let Some(value) = value {
                    let node = super::node_name(self.pod.node);
                    let own = [
                        pair("container", &c.name),
                        pair("node", &node),
                        pair("resource", resource),
                        pair("unit", unit),
                    ];
                    self.constant(own, self.pod.created_ms, value, sink);
                }
            }
        });
    }

    /// The present state is terminated from the end of a life to the start of the next.
    fn terminated(&self, c: &Container, sink: &mut dyn FnMut(Labels, Vec<Sample>)) {
        for reason in REASONS {
            let own = [pair("container", &c.name), pair("reason", reason)];
            let instances = c.instances.iter().enumerate().filter(|(_, l)| l.end.reason() == reason);
            self.over(own, instances.map(|(i, l)| (l.end_ms, after(c, i + 1), 1.0)), sink);
        }
    }

    /// The state before the present one, once the container was restarted in its pod.
    fn last_terminated(&self, c: &Container, sink: &mut dyn FnMut(Labels, Vec<Sample>)) {
        for reason in REASONS {
            let own = [pair("container", &c.name), pair("reason", reason)];
            let windows = c.instances.windows(2).enumerate().filter(|(_, w)| w[0].end.reason() == reason);
            self.over(own, windows.map(|(i, w)| (w[1].start_ms, after(c, i + 2), 1.0)), sink);
        }
    }

    fn phases(&self, sink: &mut dyn FnMut(Labels, Vec<Sample>)) {
        let (start, end) = (self.pod.start_ms(), self.pod.end_ms());
        let well = self.pod.last_instance().is_some_and(|l| l.end == End::Completed);
        for phase in ["Pending", "Running", "Succeeded", "Failed", "Unknown"] {
            let flag = |is: bool| if is { 1.0 } else { 0.0 };
            let stretches = [
                (self.pod.created_ms, start, flag(phase == "Pending")),
                (start, end, flag(phase == "Running")),
                (end, i64::MAX, flag(phase == if well { "Succeeded" } else { "Failed" })),
            ];
            self.over([pair("phase", phase)], stretches, sink);
        }
    }
}

const REASONS: [&str; 3] = ["Completed", "Error", "OOMKilled"];

/// When the n-th life of a container starts; never, where there is none.
fn after(c: &Container, n: usize) -> i64 {
    c.instances.get(n).map_or(i64::MAX, |l| l.start_ms)
}
