//! A run: one container's life in one pod, as far as it was seen.
//! Plain data; how it was observed is the collector's business.

use serde::{Deserialize, Serialize};

use super::observation::{Doubt, Doubts, Observation};
use super::resources::Resources;

/// How the memory peak of a run was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PeakSource {
    /// The highest of the scraped working-set samples: a lower bound, the true peak may fall between two samples.
    Sampled,
    /// The kernel's own high-water mark (`memory.peak`, `container_memory_max_usage_bytes`): an upper bound of need,
    /// because it counts page cache.
    Cgroup,
    /// Reported by the workload's owner (a CSV of runs): taken as exact.
    Reported,
}

/// Memory of one run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct MemoryUse {
    /// Highest use seen, in bytes.
    pub peak_bytes: u64,
    /// How the peak was seen.
    pub source: PeakSource,
    /// Number of samples behind the peak (1 for [`PeakSource::Reported`]).
    pub samples: u32,
}

/// CPU of one run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CpuUse {
    /// Mean cores over the run: CPU-seconds divided by run time.
    pub mean_cores: f64,
    /// Highest mean cores over one scrape interval, where at least two samples were seen.
    pub peak_cores: Option<f64>,
    /// Share of CFS periods in which the container was throttled, 0 to 1, where it has a CPU limit and was scraped.
    pub throttled_share: Option<f64>,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Exit code 0.
    Completed,
    /// Killed by the kernel for memory; the seen peak is only a lower bound of the need.
    OomKilled,
    /// Ended otherwise.
    Failed,
    /// Still running when it was last seen.
    Running,
    /// Ended, and nothing recorded how.
    Unknown,
    /// A day of a container that lives longer: the day is over, the container goes on. Its size was enough for that
    /// day.
    GoesOn,
}

/// What a JVM said of its own memory; the peaks are those since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct JvmUse {
    /// The heap that it was given (`-Xmx`), in bytes, where its pod said so.
    pub heap_bytes: Option<u64>,
    /// Heap in use at its peak, in bytes, garbage that was not collected yet included.
    pub heap_peak_bytes: Option<u64>,
    /// What the JVM used beside its heap at its peak, in bytes.
    pub non_heap_peak_bytes: Option<u64>,
    /// Resident memory of the JVM's process at its peak, in bytes; what was beside it was measured too where this is
    /// set.
    pub process_peak_bytes: Option<u64>,
    /// Resident memory of the processes beside the JVM (Python workers, others) at their peak, in bytes.
    pub others_peak_bytes: Option<u64>,
    /// Flink's managed memory (`RocksDB`, batch operators, Python) that a task manager was given, in bytes.
    pub managed_bytes: Option<u64>,
    /// Managed memory in use at its peak, in bytes; memory that is only set aside counts as used.
    pub managed_peak_bytes: Option<u64>,
    /// Flink's network buffers in use at their peak, in bytes.
    pub network_peak_bytes: Option<u64>,
    /// Share of the time spent on collecting garbage, 0 to 1: of the tasks' time in Spark, of the run's in Flink.
    pub gc_share: Option<f64>,
    /// It ended because its heap was full.
    pub heap_exhausted: bool,
}

/// Resources that an autoscaler scales on as a share of the request: another request would change when it scales.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScaledOn {
    /// On CPU.
    pub cpu: bool,
    /// On memory.
    pub memory: bool,
}

impl ScaledOn {
    /// On what either says.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self { cpu: self.cpu || other.cpu, memory: self.memory || other.memory }
    }
}

/// What is known of a day of a service, beside what every run tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Day {
    /// Mean cores over five minutes that 95 of 100 such slices of the day do not exceed; `None` when the samples do not
    /// tell.
    pub busy_cores: Option<f64>,
    /// What an autoscaler scales its workload on.
    pub scaled_on: ScaledOn,
}

/// One container's life in one pod; of a service, which lives for weeks, one day (UTC) of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Pod name; with `started_ms` it identifies the run inside its workload and container.
    pub pod: String,
    /// Pod uid, where it was seen.
    pub uid: Option<String>,
    /// Start, milliseconds since the epoch.
    pub started_ms: i64,
    /// End, or when it was last seen, milliseconds since the epoch.
    pub ended_ms: i64,
    /// Memory, `None` when no sample fell into the run.
    pub memory: Option<MemoryUse>,
    /// CPU, `None` when the samples do not tell.
    pub cpu: Option<CpuUse>,
    /// Requests and limits in force; where they changed while it ran, the last ones.
    pub resources: Resources,
    /// How it ended.
    pub outcome: Outcome,
    /// 1 for the first try of its unit of work, `None` where the engine does not tell.
    pub attempt: Option<u32>,
    /// Size of the input in bytes, where it was known before the run.
    pub input_bytes: Option<f64>,
    /// What its JVM said, where it is one and was asked. In a box: most runs have none.
    pub jvm: Option<Box<JvmUse>>,
    /// Set where this is a day, or a part of one, of a service's container. In a box as the other.
    pub day: Option<Box<Day>>,
    /// How it was observed, where there is more to say than its measurements. In a box as the others.
    pub observation: Option<Box<Observation>>,
}

impl Run {
    /// What its measurements leave open.
    pub fn doubts(&self) -> Doubts {
        self.observation.as_ref().map(|o| o.doubts).unwrap_or_default()
    }

    /// Adds what its measurements leave open.
    pub fn doubt(&mut self, doubt: Doubt) {
        self.observation.get_or_insert_default().doubts.add(doubt);
    }

    /// The sizes that held while it ran, as far as that lies between two times (milliseconds since the epoch): for how
    /// many seconds, and what. Their sum over time is what it reserved.
    pub fn held_between(&self, from_ms: i64, until_ms: i64) -> impl Iterator<Item = (f64, Resources)> {
        let before = self.observation.as_deref().map(|o| o.held.as_slice()).unwrap_or_default();
        let pieces = before.iter().map(|held| (held.until_ms, held.resources));
        let mut at = self.started_ms.max(from_ms);
        let end = self.ended_ms.min(until_ms);
        pieces.chain([(i64::MAX, self.resources)]).filter_map(move |(until, resources)| {
            let from = at;
            at = until.min(end).max(from);
            (at > from).then(|| (at.abs_diff(from) as f64 / 1000.0, resources))
        })
    }

    /// The same over all of its time.
    pub fn held(&self) -> impl Iterator<Item = (f64, Resources)> {
        self.held_between(i64::MIN, i64::MAX)
    }

    /// Whether the kernel killed it, or a process in it, for memory.
    pub fn was_killed(&self) -> bool {
        self.outcome == Outcome::OomKilled || self.observation.as_ref().is_some_and(|o| o.killed_children > 0)
    }

    /// Run time in seconds, never negative.
    pub fn seconds(&self) -> f64 {
        (self.ended_ms.saturating_sub(self.started_ms)).max(0) as f64 / 1000.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::HeldUntil;

    #[test]
    fn sizes_that_changed_in_place_each_count_for_their_time() {
        let minutes = |n: i64| n * 60_000;
        let sized = |gib: u64| Resources { memory_request_bytes: Some(gib << 30), ..Resources::default() };
        let held = vec![
            HeldUntil { until_ms: minutes(-5), resources: sized(2) },
            HeldUntil { until_ms: minutes(230), resources: sized(8) },
        ];
        let run = Run {
            pod: "p".to_owned(),
            uid: None,
            started_ms: 0,
            ended_ms: minutes(240),
            memory: None,
            cpu: None,
            resources: sized(1),
            outcome: Outcome::Completed,
            attempt: None,
            input_bytes: None,
            jvm: None,
            day: None,
            observation: Some(Box::new(Observation { held, ..Observation::default() })),
        };
        let of = |from, until| run.held_between(minutes(from), minutes(until)).collect::<Vec<_>>();
        assert_eq!(run.held().collect::<Vec<_>>(), [(13_800.0, sized(8)), (600.0, sized(1))]);
        assert_eq!(of(-10, 20), [(1200.0, sized(8))]);
        assert_eq!(of(229, 231), [(60.0, sized(8)), (60.0, sized(1))]);
        assert_eq!(of(235, 500), [(300.0, sized(1))]);
        assert_eq!(of(300, 400), []);
        assert_eq!(Run { observation: None, ended_ms: 0, ..run.clone() }.held().count(), 0);
    }
}
