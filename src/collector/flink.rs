//! What Flink's processes tell of their own memory through Flink's Prometheus reporter, and whose instance it is of.
//! The series carry the scraped pod; a pod's name is used again, and a container is started again in its pod, so that
//! each sample belongs to the container that lived at its time.
//! Source: Flink's documentation, "Metrics", system metrics; all are gauges, so that peaks are those of the scrapes.

use std::collections::{BTreeMap, HashMap};

use super::flink_memory::{BUCKET_MS, Gauge, Values};
use super::instance::{Instance, InstanceKey};
use crate::prometheus::SeriesChunk;

/// Where none of these is there, nobody scrapes Flink's processes, and the others are not asked for.
pub const HEAPS: [(&str, Gauge); 2] = [
    ("flink_taskmanager_Status_JVM_Memory_Heap_Used", Gauge::HeapUsed),
    ("flink_jobmanager_Status_JVM_Memory_Heap_Used", Gauge::HeapUsed),
];
/// What is read beside them.
pub const OTHERS: [(&str, Gauge); 7] = [
    ("flink_taskmanager_Status_JVM_Memory_Heap_Max", Gauge::HeapMax),
    ("flink_jobmanager_Status_JVM_Memory_Heap_Max", Gauge::HeapMax),
    ("flink_taskmanager_Status_Flink_Memory_Managed_Used", Gauge::ManagedUsed),
    ("flink_taskmanager_Status_Flink_Memory_Managed_Total", Gauge::ManagedTotal),
    ("flink_taskmanager_Status_Shuffle_Netty_UsedMemory", Gauge::NetworkUsed),
    ("flink_taskmanager_Status_JVM_GarbageCollector_All_Time", Gauge::Collecting),
    ("flink_jobmanager_Status_JVM_GarbageCollector_All_Time", Gauge::Collecting),
];
/// Read where the sum over all collectors is not there: it came with Flink 1.19. A JVM has one collector of each
/// generation, after which the series are named.
pub const COLLECTORS: [(&str, Gauge); 12] = [
    ("flink_taskmanager_Status_JVM_GarbageCollector_G1_Young_Generation_Time", Gauge::CollectingYoung),
    ("flink_taskmanager_Status_JVM_GarbageCollector_G1_Old_Generation_Time", Gauge::CollectingOld),
    ("flink_taskmanager_Status_JVM_GarbageCollector_Copy_Time", Gauge::CollectingYoung),
    ("flink_taskmanager_Status_JVM_GarbageCollector_MarkSweepCompact_Time", Gauge::CollectingOld),
    ("flink_taskmanager_Status_JVM_GarbageCollector_PS_Scavenge_Time", Gauge::CollectingYoung),
    ("flink_taskmanager_Status_JVM_GarbageCollector_PS_MarkSweep_Time", Gauge::CollectingOld),
    ("flink_jobmanager_Status_JVM_GarbageCollector_G1_Young_Generation_Time", Gauge::CollectingYoung),
    ("flink_jobmanager_Status_JVM_GarbageCollector_G1_Old_Generation_Time", Gauge::CollectingOld),
    ("flink_jobmanager_Status_JVM_GarbageCollector_Copy_Time", Gauge::CollectingYoung),
    ("flink_jobmanager_Status_JVM_GarbageCollector_MarkSweepCompact_Time", Gauge::CollectingOld),
    ("flink_jobmanager_Status_JVM_GarbageCollector_PS_Scavenge_Time", Gauge::CollectingYoung),
    ("flink_jobmanager_Status_JVM_GarbageCollector_PS_MarkSweep_Time", Gauge::CollectingOld),
];

/// No value is larger: bytes of 64 TiB, milliseconds of two thousand years.
const MOST: f64 = 7e13;

/// What a slice of time says of the processes, by namespace and pod, and by time.
#[derive(Debug, Default)]
pub struct Processes(HashMap<(String, String), BTreeMap<i64, Values>>);

impl Processes {
    /// Takes in samples of one series.
    pub fn take(&mut self, gauge: Gauge, chunk: &SeriesChunk) {
        let get = |name: &str| chunk.labels.get(name).filter(|text| !text.is_empty()).map(str::to_owned);
        let (Some(namespace), Some(pod)) = (get("namespace"), get("pod")) else { return };
        let buckets = self.0.entry((namespace, pod)).or_default();
        for sample in &chunk.samples {
            if !(0.0..=MOST).contains(&sample.value) {
                continue;
            }
            let seen = buckets.entry(sample.at_ms.div_euclid(BUCKET_MS)).or_default();
            let slot = &mut seen[gauge as usize];
            *slot = match (gauge, *slot) {
                (Gauge::HeapUsed | Gauge::ManagedUsed | Gauge::NetworkUsed, Some(known)) => {
                    Some(known.max(sample.value))
                }
                // Of what only a restart lowers, the latest counts.
                _ => Some(sample.value),
            };
        }
    }

    /// Whether nothing was said at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds to an instance what was said of its pod while it lasted.
    pub fn note(&self, key: &InstanceKey, instance: &mut Instance) {
        let (false, Some(first), Some(last)) = (self.is_empty(), instance.first_ms(), instance.last_ms()) else {
            return;
        };
        let Some(buckets) = self.0.get(&(key.namespace.clone(), key.pod.clone())) else { return };
        let first = instance.starts_ms.last().map_or(first, |started| first.min(*started));
        for (bucket, values) in buckets.range(first.div_euclid(BUCKET_MS)..=last.div_euclid(BUCKET_MS)) {
            instance.flink.get_or_insert_default().join(*bucket, values);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::collector::stretch::MemoryStretch;
    use crate::history::{JvmUse, Run};
    use crate::history::{Outcome, Resources};
    use crate::prometheus::{Labels, Sample};
    use crate::workload::Kind;

    const MINUTE: i64 = 60_000;

    /// Pod, gauge, and samples by the minute.
    type Series<'a> = (&'a str, Gauge, &'a [(i64, f64)]);

    fn processes(series: &[Series<'_>]) -> Processes {
        let mut processes = Processes::default();
        for (pod, gauge, samples) in series {
            let labels = [("namespace", "ns"), ("pod", *pod), ("tm_id", "tm"), ("host", "10_1_2_3")];
            let labels = Labels::new(labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())));
            let samples = samples.iter().map(|(minute, value)| Sample { at_ms: minute * MINUTE, value: *value });
            processes.take(*gauge, &SeriesChunk { labels: Arc::new(labels), samples: samples.collect() });
        }
        processes
    }

    /// What an instance of so many minutes said.
    fn said(processes: &Processes, pod: &str, kind: Kind, (from, to): (i64, i64)) -> Option<JvmUse> {
        let memory = MemoryStretch { first_ms: from * MINUTE, last_ms: to * MINUTE, ..MemoryStretch::default() };
        let mut instance = Instance::of(Some(memory), None);
        let key = InstanceKey { namespace: "ns".into(), pod: pod.into(), container: "c".into(), cgroup: String::new() };
        processes.note(&key, &mut instance);
        instance.flink.as_ref()?.of_run(kind, (instance.first_ms()?, instance.last_ms()?), &run(to - from))
    }

    fn run(minutes: i64) -> Run {
        Run {
            pod: "a".to_owned(),
            uid: None,
            started_ms: 0,
            ended_ms: minutes * MINUTE,
            memory: None,
            cpu: None,
            resources: Resources::default(),
            outcome: Outcome::Completed,
            attempt: None,
            input_bytes: None,
            jvm: None,
            day: None,
            observation: None,
        }
    }

    #[test]
    fn the_highest_sample_of_a_life_is_its_peak() {
        let all = processes(&[
            ("tm", Gauge::HeapUsed, &[(1, 5e8), (2, 9e8), (8, 4e8), (30, 2e9)]),
            ("tm", Gauge::HeapMax, &[(1, 3e9), (30, 6e9)]),
            ("tm", Gauge::ManagedUsed, &[(2, 0.0)]),
            ("tm", Gauge::ManagedTotal, &[(2, 2e9)]),
            ("tm", Gauge::NetworkUsed, &[(2, 1e7), (3, -1.0), (4, f64::NAN)]),
            ("tm", Gauge::Collecting, &[(2, 3_000.0), (9, 60_000.0), (30, 1.0)]),
            ("other", Gauge::HeapUsed, &[(2, 7e9)]),
        ]);
        let first = said(&all, "tm", Kind::FlinkTaskmanager, (0, 10)).unwrap();
        assert_eq!((first.heap_peak_bytes, first.heap_bytes), (Some(900_000_000), Some(3_000_000_000)));
        assert_eq!((first.managed_peak_bytes, first.managed_bytes), (Some(0), Some(2_000_000_000)));
        assert_eq!((first.network_peak_bytes, first.gc_share), (Some(10_000_000), Some(0.1)));
        // The name of a task manager's pod is used again.
        let next = said(&all, "tm", Kind::FlinkTaskmanager, (29, 34)).unwrap();
        assert_eq!((next.heap_peak_bytes, next.heap_bytes), (Some(2_000_000_000), Some(6_000_000_000)));
        assert_eq!(said(&all, "tm", Kind::FlinkTaskmanager, (100, 110)), None);
        assert_eq!(said(&all, "jm", Kind::FlinkJobmanager, (0, 10)), None);
        assert_eq!(said(&all, "tm", Kind::Deployment, (0, 10)), None, "somebody else's series");
        assert_eq!(said(&all, "tm", Kind::FlinkTaskmanager, (0, 28)), None, "peaks of a part of it are not its peaks");
    }

    #[test]
    fn collectors_of_both_generations_are_added_up_where_there_is_no_sum() {
        let all = processes(&[
            ("jm", Gauge::HeapUsed, &[(1, 5e8), (6, 5e8)]),
            ("jm", Gauge::CollectingYoung, &[(1, 30_000.0)]),
            ("jm", Gauge::CollectingOld, &[(1, 30_000.0)]),
        ]);
        assert_eq!(said(&all, "jm", Kind::FlinkJobmanager, (0, 10)).unwrap().gc_share, Some(0.1));
        let without_heap = processes(&[("jm", Gauge::Collecting, &[(1, 5e8), (6, 5e8)])]);
        assert_eq!(said(&without_heap, "jm", Kind::FlinkJobmanager, (0, 10)), None);
    }
}
