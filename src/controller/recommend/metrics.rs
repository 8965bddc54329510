//! Metrics of recommendations. Per workload there is only what joins and dashboards need, and only the leader exports it.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use crate::admission::label_value;
use crate::quantity::Quantity;
use crate::recommendation::status::Status;
use crate::workload::Workload;

type Labels<const N: usize> = [(&'static str, String); N];
type Gauges<const N: usize> = Family<Labels<N>, Gauge<f64, AtomicU64>>;

/// The metrics of the recommend loop.
#[derive(Debug, Default)]
pub struct ControllerMetrics {
    leader: Gauge,
    last_success: Gauge<f64, AtomicU64>,
    failures: Counter,
    kills: Family<Labels<2>, Counter>,
    report_due: Gauge<f64, AtomicU64>,
    deliveries: Family<[(&'static str, &'static str); 1], Counter>,
    pod_events: Family<[(&'static str, &'static str); 1], Counter>,
    info: Family<Labels<4>, Gauge>,
    recommended_memory: Gauges<3>,
    recommended_cpu: Gauges<3>,
    requested_memory: Gauges<3>,
    requested_cpu: Gauges<3>,
    said: Mutex<Said>,
}

/// Of which workloads something is said now.
#[derive(Debug, Default)]
struct Said {
    /// Counts the cycles.
    cycle: u64,
    /// By workload, the cycle in which it was said last, and its containers.
    workloads: BTreeMap<Workload, (u64, Vec<String>)>,
}

impl ControllerMetrics {
    /// Adds them to a registry, which puts its own prefix before their names.
    pub fn register(&self, r: &mut Registry) {
        r.register("leader", "1 on the replica that makes recommendations", self.leader.clone());
        let help = "When recommendations were last brought up to date";
        r.register_with_unit("recommend_last_success_timestamp", help, Unit::Seconds, self.last_success.clone());
        r.register("recommend_failures", "Times that recommendations could not be written", self.failures.clone());
        r.register("oom_kills", "Runs that were killed for memory, as seen live", self.kills.clone());
        let help = "Which workload the pod label podfit.dev/workload names";
        r.register("workload_info", help, self.info.clone());
        let help = "Due time of the newest report that was dealt with";
        r.register_with_unit("report_due_timestamp", help, Unit::Seconds, self.report_due.clone());
        let help = "Destinations that a report was sent to, or was not";
        r.register("report_deliveries", help, self.deliveries.clone());
        for result in ["sent", "failed"] {
            let _ = self.deliveries.get_or_create_owned(&[("result", result)]);
        }
        let help = "Events about pods that were told, or were not: failed, or too many at once";
        r.register("pod_events", help, self.pod_events.clone());
        for result in ["told", "untold"] {
            let _ = self.pod_events.get_or_create_owned(&[("result", result)]);
        }
        let help = "Memory request that is recommended";
        r.register_with_unit("recommended_memory", help, Unit::Bytes, self.recommended_memory.clone());
        r.register("recommended_cpu_cores", "CPU request that is recommended", self.recommended_cpu.clone());
        let help = "Memory request of the newest run";
        r.register_with_unit("requested_memory", help, Unit::Bytes, self.requested_memory.clone());
        r.register("requested_cpu_cores", "CPU request of the newest run", self.requested_cpu.clone());
    }

    /// Whether this replica leads. Who does not says nothing of workloads: the leader does.
    pub(super) fn leads(&self, leading: bool) {
        self.leader.set(leading.into());
        if !leading {
            let mut said = self.said();
            let all: Vec<Workload> = said.workloads.keys().cloned().collect();
            for workload in &all {
                self.forget(&mut said, workload);
            }
        }
    }

    pub(super) fn failed(&self) {
        self.failures.inc();
    }

    pub(super) fn killed(&self, workload: &Workload) {
        self.kills.get_or_create(&of_workload(workload)).inc();
    }

    pub(super) fn succeeded(&self, now: Timestamp) {
        self.last_success.set(now.as_second() as f64);
    }

    /// Whether recommendations were ever brought up to date by this replica.
    pub(in crate::controller) fn have_succeeded(&self) -> bool {
        self.last_success.get() > 0.0
    }

    /// The report of a due time was dealt with, by this replica or another.
    pub(in crate::controller) fn reported(&self, due: Timestamp) {
        self.report_due.set(due.as_second() as f64);
    }

    /// An Event about a pod was told, or was not.
    pub(super) fn told(&self, told: bool) {
        self.pod_events.get_or_create(&[("result", if told { "told" } else { "untold" })]).inc();
    }

    /// A report reached a destination, or did not.
    pub(in crate::controller) fn delivered(&self, sent: bool) {
        self.deliveries.get_or_create(&[("result", if sent { "sent" } else { "failed" })]).inc();
    }

    /// A cycle begins.
    pub(super) fn begin(&self) {
        self.said().cycle += 1;
    }

    /// What is said of a workload now.
    pub(super) fn recommended(&self, workload: &Workload, status: &Status) {
        let mut said = self.said();
        let containers: Vec<String> = status.containers.iter().map(|of| of.name.clone()).collect();
        let cycle = said.cycle;
        if let Some((_, before)) = said.workloads.insert(workload.clone(), (cycle, containers.clone())) {
            before
                .iter()
                .filter(|name| !containers.contains(name))
                .for_each(|name| self.forget_container(workload, name));
        }
        // At zero before the first kill, so that it shows as an increase.
        let _ = self.kills.get_or_create(&of_workload(workload));
        self.info.get_or_create(&info_of(workload)).set(1);
        for of in &status.containers {
            let labels = of_container(workload, &of.name);
            let bytes = |q: Quantity| q.bytes_rounded_up() as f64;
            let cores = |q: Quantity| q.millis_rounded_up() as f64 / 1000.0;
            set(&self.recommended_memory, &labels, of.in_force.memory_request.map(bytes));
            set(&self.recommended_cpu, &labels, of.in_force.cpu_request.map(cores));
            set(&self.requested_memory, &labels, of.current.memory_request.map(bytes));
            set(&self.requested_cpu, &labels, of.current.cpu_request.map(cores));
        }
    }

    /// The cycle ended, and all workloads were looked at: of which it said nothing, nothing is said any more.
    pub(super) fn end(&self) {
        let mut said = self.said();
        let cycle = said.cycle;
        let gone = said.workloads.iter().filter(|(_, (at, _))| *at < cycle);
        let gone: Vec<Workload> = gone.map(|(workload, _)| workload.clone()).collect();
        for workload in &gone {
            self.forget(&mut said, workload);
        }
    }

    fn said(&self) -> MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn forget(&self, said: &mut Said, workload: &Workload) {
        let Some((_, containers)) = said.workloads.remove(workload) else { return };
        self.info.remove(&info_of(workload));
        for name in &containers {
            self.forget_container(workload, name);
        }
    }

    fn forget_container(&self, workload: &Workload, name: &str) {
        let labels = of_container(workload, name);
        for family in [&self.recommended_memory, &self.recommended_cpu, &self.requested_memory, &self.requested_cpu] {
            family.remove(&labels);
        }
    }
}

fn of_workload(workload: &Workload) -> Labels<2> {
    [("namespace", workload.namespace.clone()), ("workload", workload.to_string())]
}

fn of_container(workload: &Workload, container: &str) -> Labels<3> {
    let [namespace, name] = of_workload(workload);
    [namespace, name, ("container", container.to_owned())]
}

fn info_of(workload: &Workload) -> Labels<4> {
    let [namespace, name] = of_workload(workload);
    let label = label_value(&name.1);
    [namespace, name, ("engine", workload.kind.engine().to_owned()), ("label", label)]
}

#[cfg(test)]
impl ControllerMetrics {
    pub(super) fn is_leader(&self) -> bool {
        self.leader.get() == 1
    }

    /// Each of them counted once.
    pub(crate) fn example() -> Self {
        let (figures, status) = (
            Self::default(),
            r#"{"containers": [{"name": "main",
            "current": {"cpuRequest": "2", "memoryRequest": "4Gi"},
            "inForce": {"cpuRequest": "1", "memoryRequest": "1Gi"}}]}"#,
        );
        let workload = Workload::new("etl", crate::workload::Kind::Cronjob, ["nightly"]);
        figures.begin();
        figures.recommended(&workload, &serde_json::from_str(status).unwrap_or_default());
        figures.end();
        figures
    }
}

fn set(family: &Gauges<3>, labels: &Labels<3>, value: Option<f64>) {
    match value {
        Some(value) => {
            family.get_or_create(labels).set(value);
        }
        None => {
            family.remove(labels);
        }
    }
}
