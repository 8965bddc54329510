//! What one process of Flink told of its own memory, gauge by gauge. Knows no series and no instance.

use serde::{Deserialize, Serialize};

use crate::history::{JvmUse, Run};
use crate::workload::Kind;

/// What a gauge says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gauge {
    /// Heap in use, garbage included.
    HeapUsed,
    /// The largest heap that the JVM may have.
    HeapMax,
    /// Managed memory that is taken, or set aside for a state backend.
    ManagedUsed,
    /// Managed memory in all.
    ManagedTotal,
    /// Network buffers in use.
    NetworkUsed,
    /// Milliseconds spent on collecting garbage since the start, by all collectors.
    Collecting,
    /// The same of the young generation's collector.
    CollectingYoung,
    /// The same of the old generation's.
    CollectingOld,
}

const GAUGES: usize = 8;

/// Samples this near to each other are kept as one. A container that is started again within it takes over the peaks of
/// the one before: too much evidence of need, never too little.
pub(super) const BUCKET_MS: i64 = 5 * 60_000;
/// Peaks of an instance of which less than this share was scraped are not its peaks.
const COVERED: f64 = 0.9;

/// The highest of each gauge within some time.
pub(super) type Values = [Option<f64>; GAUGES];

/// What was seen of one instance, by gauge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    values: Values,
    /// Stretches of time in which its heap was scraped, and the last of them.
    scraped: u32,
    until: i64,
}

impl Seen {
    fn get(&self, gauge: Gauge) -> Option<f64> {
        self.values[gauge as usize]
    }

    /// The highest of both: within one instance the heap's size does not change, and times only grow.
    pub(super) fn join(&mut self, bucket: i64, values: &Values) {
        for (known, value) in self.values.iter_mut().zip(values) {
            *known = known.map_or(*value, |known| Some(value.map_or(known, |value| value.max(known))));
        }
        if values[Gauge::HeapUsed as usize].is_some() && (self.scraped == 0 || bucket > self.until) {
            (self.scraped, self.until) = (self.scraped.saturating_add(1), bucket);
        }
    }

    /// As the run of an instance with these first and last samples says it; `None` where nothing or too little was said of its heap, or the pod is none
    /// of Flink's.
    pub fn of_run(&self, kind: Kind, (first_ms, last_ms): (i64, i64), run: &Run) -> Option<JvmUse> {
        if !matches!(kind, Kind::FlinkJobmanager | Kind::FlinkTaskmanager) {
            return None;
        }
        let lasted = last_ms.div_euclid(BUCKET_MS) - first_ms.div_euclid(BUCKET_MS) + 1;
        // Its reporter listens a moment after the container has started.
        if f64::from(self.scraped) < COVERED * (lasted - 1) as f64 {
            return None;
        }
        let bytes = |gauge| self.get(gauge).map(|value| value as u64);
        let generations = || Some(self.get(Gauge::CollectingYoung)? + self.get(Gauge::CollectingOld).unwrap_or(0.0));
        let collecting = self.get(Gauge::Collecting).or_else(generations).map(|ms| ms / 1000.0);
        let gc_share = collecting.filter(|_| run.seconds() > 0.0).map(|seconds| (seconds / run.seconds()).min(1.0));
        Some(JvmUse {
            heap_bytes: bytes(Gauge::HeapMax).filter(|bytes| *bytes > 0),
            heap_peak_bytes: Some(bytes(Gauge::HeapUsed).filter(|bytes| *bytes > 0)?),
            managed_bytes: bytes(Gauge::ManagedTotal),
            managed_peak_bytes: bytes(Gauge::ManagedUsed),
            network_peak_bytes: bytes(Gauge::NetworkUsed),
            gc_share,
            ..JvmUse::default()
        })
    }
}
