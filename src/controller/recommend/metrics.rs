//! Metrics of recommendations. Per workload there is only what joins and dashboards need, and only the leader exports it.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;

use jiff::Timestamp;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use crate::admission::label_value;
use crate::fit::ContainerResources;
use crate::quantity::Quantity;
use crate::recommendation::status::{ContainerStatus, Status};
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
    info: Family<Labels<4>, Gauge>,
    recommended_memory: Gauges<3>,
    recommended_cpu: Gauges<3>,
    requested_memory: Gauges<3>,
    requested_cpu: Gauges<3>,
    /// What a cycle has said so far; put in place of the one before at its end, so that nothing is missing in between.
    next: Mutex<Vec<(Workload, Vec<Sizes>)>>,
}

#[derive(Debug)]
struct Sizes {
    container: String,
    current: ContainerResources,
    recommended: ContainerResources,
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
        let help = "Memory request that is recommended";
        r.register_with_unit("recommended_memory", help, Unit::Bytes, self.recommended_memory.clone());
        r.register("recommended_cpu_cores", "CPU request that is recommended", self.recommended_cpu.clone());
        let help = "Memory request of the newest run";
        r.register_with_unit("requested_memory", help, Unit::Bytes, self.requested_memory.clone());
        r.register("requested_cpu_cores", "CPU request of the newest run", self.requested_cpu.clone());
    }

    pub(super) fn leads(&self, leading: bool) {
        self.leader.set(leading.into());
    }

    pub(super) fn failed(&self) {
        self.failures.inc();
    }

    pub(super) fn killed(&self, workload: &Workload) {
        self.kills
            .get_or_create(&[("namespace", workload.namespace.clone()), ("workload", workload.to_string())])
            .inc();
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

    /// A report reached a destination, or did not.
    pub(in crate::controller) fn delivered(&self, sent: bool) {
        self.deliveries.get_or_create(&[("result", if sent { "sent" } else { "failed" })]).inc();
    }

    /// A cycle begins.
    pub(super) fn begin(&self) {
        self.next.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// What is said of a workload in this cycle.
    pub(super) fn recommended(&self, workload: &Workload, status: &Status) {
        let of =
            |c: &ContainerStatus| Sizes { container: c.name.clone(), current: c.current, recommended: c.recommended };
        let sizes = status.containers.iter().map(of).collect();
        self.next.lock().unwrap_or_else(PoisonError::into_inner).push((workload.clone(), sizes));
    }

    /// The cycle ended: what it said takes the place of what the one before did.
    pub(super) fn end(&self) {
        let said = std::mem::take(&mut *self.next.lock().unwrap_or_else(PoisonError::into_inner));
        self.info.clear();
        for family in [&self.recommended_memory, &self.recommended_cpu, &self.requested_memory, &self.requested_cpu] {
            family.clear();
        }
        for (workload, containers) in said {
            let (namespace, text) = (workload.namespace.clone(), workload.to_string());
            // At zero before the first kill, so that it shows as an increase.
            let _ = self.kills.get_or_create(&[("namespace", namespace.clone()), ("workload", text.clone())]);
            let label = label_value(&text);
            let info = [
                ("namespace", namespace.clone()),
                ("workload", text.clone()),
                ("engine", workload.kind.engine().to_owned()),
                ("label", label),
            ];
            self.info.get_or_create(&info).set(1);
            for of in containers {
                let labels =
                    [("namespace", namespace.clone()), ("workload", text.clone()), ("container", of.container)];
                let bytes = |q: Quantity| q.bytes_rounded_up() as f64;
                let cores = |q: Quantity| q.millis_rounded_up() as f64 / 1000.0;
                set(&self.recommended_memory, &labels, of.recommended.memory_request.map(bytes));
                set(&self.recommended_cpu, &labels, of.recommended.cpu_request.map(cores));
                set(&self.requested_memory, &labels, of.current.memory_request.map(bytes));
                set(&self.requested_cpu, &labels, of.current.cpu_request.map(cores));
            }
        }
    }
}

#[cfg(test)]
impl ControllerMetrics {
    /// Each of them counted once.
    pub(crate) fn example() -> Self {
        let (figures, status) = (
            Self::default(),
            r#"{"containers": [{"name": "main",
            "current": {"cpuRequest": "2", "memoryRequest": "4Gi"},
            "recommended": {"cpuRequest": "1", "memoryRequest": "1Gi"}}]}"#,
        );
        let workload = Workload::new("etl", crate::workload::Kind::Cronjob, ["nightly"]);
        figures.begin();
        figures.recommended(&workload, &serde_json::from_str(status).unwrap_or_default());
        figures.end();
        figures
    }
}

fn set(family: &Gauges<3>, labels: &Labels<3>, value: Option<f64>) {
    if let Some(value) = value {
        family.get_or_create(labels).set(value);
    }
}
