//! What Spark's drivers tell of their executors' JVMs (`/metrics/executors/prometheus`), and whose run it is.
//! The series carry the driver's pod; an executor is found by its application's id and its number.
//! Source: Spark's documentation, "Monitoring and Instrumentation", executor metrics; all but the times are peaks.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::pod_object::PodObject;
use crate::history::JvmUse;
use crate::prometheus::Labels;
use crate::workload::{Kind, kube_state_metrics_name};

/// The series that are read; the last sample of each says all, since peaks and times only grow.
pub const OF_EXECUTORS: [&str; 9] = [
    "metrics_executor_JVMHeapMemory_bytes",
    "metrics_executor_JVMOffHeapMemory_bytes",
    "metrics_executor_DirectPoolMemory_bytes",
    "metrics_executor_ProcessTreeJVMRSSMemory_bytes",
    "metrics_executor_ProcessTreePythonRSSMemory_bytes",
    "metrics_executor_ProcessTreeOtherRSSMemory_bytes",
    "metrics_executor_totalGCTime_seconds_total",
    "metrics_executor_totalDuration_seconds_total",
    "metrics_executor_totalCores",
];
/// No value is larger: bytes of 64 TiB, seconds of two million years.
const MOST: f64 = 7e13;
/// `executor_id` of the driver.
const DRIVER: &str = "driver";

/// Namespace, application's id, executor's number.
type Key = (String, String, String);

/// What is known of each executor, and of each driver.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Executors(BTreeMap<Key, [Option<f64>; OF_EXECUTORS.len()]>);

impl Executors {
    /// Takes in the last sample of one series.
    pub fn take(&mut self, metric: &str, labels: &Labels, value: f64) {
        let Some(at) = OF_EXECUTORS.iter().position(|name| *name == metric) else { return };
        if !(0.0..=MOST).contains(&value) {
            return;
        }
        let get = |name: &str| labels.get(name).filter(|text| !text.is_empty()).map(str::to_owned);
        if let (Some(namespace), Some(application), Some(executor)) =
            (get("namespace"), get("application_id"), get("executor_id"))
        {
            let slot = &mut self.0.entry((namespace, application, executor)).or_default()[at];
            *slot = Some(slot.map_or(value, |known| known.max(value)));
        }
    }

    /// Adds what an earlier slice said of the executors of this one; of applications that are silent by now nothing
    /// is kept.
    pub fn carry_on(&mut self, earlier: Self) {
        let alive: BTreeSet<(String, String)> =
            self.0.keys().map(|(namespace, application, _)| (namespace.clone(), application.clone())).collect();
        for (key, values) in earlier.0 {
            if !alive.contains(&(key.0.clone(), key.1.clone())) {
                continue;
            }
            let known = self.0.entry(key).or_default();
            for (slot, value) in known.iter_mut().zip(values) {
                *slot = slot.map_or(value, |known| Some(value.map_or(known, |value| known.max(value))));
            }
        }
    }

    /// What the JVM of a pod said; `None` for a pod that is no Spark pod or of which nothing was said.
    pub fn of(&self, kind: Kind, namespace: &str, pod: &str, object: Option<&PodObject>) -> Option<JvmUse> {
        let [heap, non_heap, direct, jvm, python, other, collecting, working, _] =
            *self.values(kind, namespace, pod, object)?;
        let bytes = |value: Option<f64>| value.filter(|value| *value > 0.0).map(|value| value as u64);
        let sum = |values: [Option<f64>; 2]| values.into_iter().flatten().reduce(|a, b| a + b);
        let gc_share = match (collecting, working) {
            (Some(collecting), Some(working)) if working > 0.0 => Some((collecting / working).min(1.0)),
            _ => None,
        };
        Some(JvmUse {
            heap_peak_bytes: bytes(heap),
            non_heap_peak_bytes: bytes(sum([non_heap, direct])),
            // Where the process tree is not looked at, all of it is 0.
            process_peak_bytes: bytes(jvm),
            others_peak_bytes: bytes(jvm).map(|_| sum([python, other]).unwrap_or(0.0) as u64),
            gc_share,
            ..JvmUse::default()
        })
    }

    /// Whether an executor had fewer task slots than others of its application: after an OOM, Spark 4.2 and later go on
    /// with one task per executor in pods of the same size, whose peaks say nothing of the next run.
    pub fn is_recovering(&self, kind: Kind, namespace: &str, pod: &str, object: Option<&PodObject>) -> bool {
        let cores = |values: &[Option<f64>; OF_EXECUTORS.len()]| values[OF_EXECUTORS.len() - 1];
        if !matches!(kind, Kind::SparkExecutor | Kind::AirflowSparkExecutor)
            || self.values(kind, namespace, pod, object).and_then(cores) != Some(1.0)
        {
            return false;
        }
        let application = object.and_then(application);
        let asked = object.and_then(|o| o.containers.values().filter_map(|c| c.resources.cpu_request_millis).max());
        let widest = self
            .0
            .iter()
            .filter(|((there, id, executor), _)| there == namespace && Some(id) == application && executor != DRIVER)
            .filter_map(|(_, values)| cores(values))
            .fold(0.0, f64::max);
        widest > 1.0 && asked.is_some_and(|millis| millis as f64 >= widest * 1000.0)
    }

    fn values(
        &self,
        kind: Kind,
        namespace: &str,
        pod: &str,
        object: Option<&PodObject>,
    ) -> Option<&[Option<f64>; OF_EXECUTORS.len()]> {
        if self.0.is_empty() {
            return None;
        }
        let executor = match kind {
            Kind::SparkDriver | Kind::AirflowSparkDriver | Kind::SparkConnect => DRIVER.to_owned(),
            Kind::SparkExecutor | Kind::AirflowSparkExecutor => {
                let labelled = object.and_then(|o| o.labels.get(&kube_state_metrics_name("spark-exec-id")));
                labelled.cloned().or_else(|| Some(pod.rsplit_once("-exec-")?.1.to_owned()))?
            }
            _ => return None,
        };
        let application = object.and_then(application)?.clone();
        self.0.get(&(namespace.to_owned(), application, executor))
    }
}

fn application(object: &PodObject) -> Option<&String> {
    object.labels.get(&kube_state_metrics_name("spark-app-selector"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collector::pod_object::ContainerObject;
    use crate::history::Resources;

    fn executors(samples: &[(&str, &str, &str, f64)]) -> Executors {
        let mut all = Executors::default();
        for (application, executor, metric, value) in samples {
            let labels = [
                ("namespace", "ns"),
                ("application_id", *application),
                ("executor_id", *executor),
                ("pod", "the-driver"),
            ];
            let labels = Labels::new(labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())));
            all.take(&format!("metrics_executor_{metric}"), &labels, *value);
        }
        all
    }

    fn object(application: &str, cpu: u64) -> PodObject {
        let resources = Resources { cpu_request_millis: Some(cpu), ..Resources::default() };
        let container = ContainerObject { resources, ..ContainerObject::default() };
        PodObject {
            labels: [("spark_app_selector".to_owned(), application.to_owned())].into(),
            containers: [("c".to_owned(), Box::new(container))].into(),
            ..PodObject::default()
        }
    }

    #[test]
    fn an_executor_is_found_by_application_and_number() {
        let all = executors(&[
            ("spark-1", "3", "JVMHeapMemory_bytes", 2e9),
            ("spark-1", "3", "JVMOffHeapMemory_bytes", 1e8),
            ("spark-1", "3", "DirectPoolMemory_bytes", 5e7),
            ("spark-1", "3", "totalGCTime_seconds_total", 30.0),
            ("spark-1", "3", "totalDuration_seconds_total", 600.0),
            ("spark-1", "3", "ProcessTreeJVMRSSMemory_bytes", 0.0),
            ("spark-1", "3", "ProcessTreePythonRSSMemory_bytes", 0.0),
            ("spark-1", "driver", "JVMHeapMemory_bytes", 7e8),
            ("spark-1", "driver", "ProcessTreeJVMRSSMemory_bytes", 9e8),
            ("spark-1", "driver", "ProcessTreePythonRSSMemory_bytes", 3e8),
            ("spark-1", "driver", "ProcessTreeOtherRSSMemory_bytes", 1e8),
            ("spark-2", "3", "JVMHeapMemory_bytes", 9e9),
            ("spark-1", "4", "JVMHeapMemory_bytes", -1.0),
        ]);
        let object = object("spark-1", 2000);
        let found = all.of(Kind::SparkExecutor, "ns", "join-0123456789abcd-exec-3", Some(&object)).unwrap();
        assert_eq!((found.heap_peak_bytes, found.non_heap_peak_bytes), (Some(2_000_000_000), Some(150_000_000)));
        assert_eq!((found.process_peak_bytes, found.others_peak_bytes, found.gc_share), (None, None, Some(0.05)));
        let driver = all.of(Kind::SparkDriver, "ns", "join-driver", Some(&object)).unwrap();
        assert_eq!((driver.heap_peak_bytes, driver.process_peak_bytes), (Some(700_000_000), Some(900_000_000)));
        assert_eq!(driver.others_peak_bytes, Some(400_000_000));
        for (kind, namespace, pod) in [
            (Kind::SparkExecutor, "ns", "join-exec-4"),
            (Kind::SparkExecutor, "other", "join-exec-3"),
            (Kind::Cronjob, "ns", "join-exec-3"),
        ] {
            assert_eq!(all.of(kind, namespace, pod, Some(&object)), None);
        }
        assert_eq!(all.of(Kind::SparkExecutor, "ns", "join-exec-3", None), None, "no application, no executor");
    }

    #[test]
    fn an_executor_with_one_slot_of_many_is_recovering() {
        let all = executors(&[
            ("spark-1", "1", "totalCores", 4.0),
            ("spark-1", "2", "totalCores", 1.0),
            ("spark-2", "2", "totalCores", 1.0),
        ]);
        let is = |application: &str, pod: &str, cpu| {
            all.is_recovering(Kind::SparkExecutor, "ns", pod, Some(&object(application, cpu)))
        };
        assert!(is("spark-1", "a-exec-2", 4000));
        assert!(!is("spark-1", "a-exec-1", 4000));
        assert!(!is("spark-1", "a-exec-2", 1000), "a pod made for one task");
        assert!(!is("spark-2", "a-exec-2", 4000), "all have one");
    }

    #[test]
    fn peaks_are_carried_from_slice_to_slice_while_the_application_speaks() {
        let earlier =
            executors(&[("spark-1", "1", "JVMHeapMemory_bytes", 9e8), ("spark-2", "1", "JVMHeapMemory_bytes", 5e8)]);
        let mut now = executors(&[("spark-1", "2", "JVMHeapMemory_bytes", 1e8), ("spark-1", "1", "totalCores", 2.0)]);
        now.carry_on(earlier);
        let heap = |application: &str| {
            now.of(Kind::SparkExecutor, "ns", "a-exec-1", Some(&object(application, 1)))
                .and_then(|jvm| jvm.heap_peak_bytes)
        };
        assert_eq!((heap("spark-1"), heap("spark-2")), (Some(900_000_000), None));
    }
}
