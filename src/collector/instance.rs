//! One container's instance while it is being put together from slices of series.
//! Pure; knows labels of cAdvisor, no queries and no engines.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::cgroup;
use super::day::day_of;
use super::flink_memory::Seen;
use super::names::of_container;
use super::sources::{self, BySource};
use super::stretch::{CpuStretch, MemoryStretch, Stretch};
use crate::prometheus::Labels;

/// A start this much later than the first sample is none: clocks differ.
const LATE_START_MS: i64 = 1_000;
/// More different starts of one container are not kept.
const MOST_STARTS: usize = 4;

/// Which container's instance a series belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct InstanceKey {
    /// Namespace.
    pub namespace: String,
    /// Pod name.
    pub pod: String,
    /// Container name.
    pub container: String,
    /// The container's cgroup in short ([`cgroup::container_of`]), which no two instances share; empty where it was
    /// dropped.
    pub cgroup: String,
}

impl InstanceKey {
    /// From the labels of a cAdvisor series; `None` for the series of whole pods, of pause containers and of nodes.
    pub fn of(labels: &Labels) -> Option<Self> {
        Some(Self::and_below(labels)?.0)
    }

    /// The same, and whether the series is of a cgroup below the container's own.
    pub fn and_below(labels: &Labels) -> Option<(Self, bool)> {
        let [namespace, pod, container] = of_container(labels)?;
        let (cgroup, is_below) = cgroup::container_of(labels.get("id").unwrap_or_default());
        let key =
            Self { namespace: namespace.to_owned(), pod: pod.to_owned(), container: container.to_owned(), cgroup };
        Some((key, is_below))
    }

    /// Whether its series say which container they are of, so that all of them are of one.
    pub fn is_one(&self) -> bool {
        !self.cgroup.is_empty()
    }

    /// Namespace, pod and container.
    pub fn name(&self) -> (&str, &str, &str) {
        (&self.namespace, &self.pod, &self.container)
    }

    /// The pod's uid, which both cgroup drivers write into the path: `…/pod<uid>/…` or `…-pod<uid with _>.slice/…`.
    pub fn uid(&self) -> Option<String> {
        let mut rest = self.cgroup.as_str();
        while let Some(at) = rest.find("pod") {
            rest = &rest[at + 3..];
            let candidate = rest.get(..36)?;
            let dashed = candidate.replace('_', "-");
            let is_uid = dashed.bytes().enumerate().all(|(i, b)| match i {
                8 | 13 | 18 | 23 => b == b'-',
                _ => b.is_ascii_hexdigit(),
            });
            if is_uid {
                return Some(dashed);
            }
        }
        None
    }
}

/// What was seen of an instance so far.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "each says another thing, and none rules another out")]
pub struct Instance {
    /// Memory samples, by series.
    pub memory: BySource<MemoryStretch>,
    /// CPU samples, by series.
    pub cpu: BySource<CpuStretch>,
    /// The kernel's high-water mark of memory in bytes.
    pub cgroup_peak_bytes: Option<u64>,
    /// The most page cache that was seen at the end of a slice of time, in bytes.
    pub cache_bytes: Option<u64>,
    /// CFS periods: all, and throttled.
    pub periods: Option<(f64, f64)>,
    /// The container's starts as cAdvisor's series have it, milliseconds since the epoch, none after the first sample.
    pub starts_ms: Vec<i64>,
    /// cAdvisor said that it started after its first sample.
    pub is_start_too_late: bool,
    /// Since when somebody looked for it, milliseconds since the epoch.
    pub watched_from_ms: Option<i64>,
    /// Memory kills in it that the kernel counted while it lived, by the UTC day on which they were first seen.
    pub oom_days: Vec<(i64, u32)>,
    /// The memory limit that the kernel held it to when it was last seen, in bytes; 0 = none.
    pub limit_in_force_bytes: Option<u64>,
    /// What its JVM said, where it is one of Flink's and was asked.
    pub flink: Option<Box<Seen>>,
    /// The start that was reported of this instance; kept, so that every later view is of the same run.
    pub reported_start_ms: Option<i64>,
    /// Days of it were reported, and are no longer here.
    pub is_cut: bool,
    /// It was reported as one that ended, because nothing was heard of it for long; it may be the scraper that was
    /// away.
    pub is_silent: bool,
    /// Its series do not say which container they are of, and others that do tell of the same: nothing is told of it.
    pub is_double: bool,
    /// More than one pod had its name while it lasted.
    pub is_of_several_pods: bool,
}

/// What the last samples of a slice of time say of a container.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LastSaid {
    peak_bytes: Option<f64>,
    starts: Vec<f64>,
    periods: Option<f64>,
    throttled: Option<f64>,
    oom_events: Option<f64>,
    limit_bytes: Option<f64>,
    cache_bytes: Option<f64>,
}

impl LastSaid {
    /// Takes in a sample of the n-th of [`super::metrics::LAST_OF_CONTAINERS`].
    pub fn take(&mut self, metric: usize, value: f64, is_below: bool) {
        let highest = |known: Option<f64>| Some(known.map_or(value, |known| known.max(value)));
        match metric {
            0 => self.peak_bytes = highest(self.peak_bytes),
            // A cgroup below it was made later.
            1 if !is_below => self.starts.push(value),
            2 => self.periods = highest(self.periods),
            3 => self.throttled = highest(self.throttled),
            4 => self.oom_events = highest(self.oom_events),
            5 if !is_below => self.limit_bytes = highest(self.limit_bytes),
            6 => self.cache_bytes = highest(self.cache_bytes),
            _ => {}
        }
    }
}

impl Instance {
    /// Of a single series of each metric.
    #[cfg(test)]
    pub fn of(memory: Option<MemoryStretch>, cpu: Option<CpuStretch>) -> Self {
        let of_one = sources::Source::default();
        Self {
            memory: memory.into_iter().map(|m| (of_one, m)).collect(),
            cpu: cpu.into_iter().map(|c| (of_one, c)).collect(),
            ..Self::default()
        }
    }

    /// Memory, as all series together tell it.
    pub fn memory(&self) -> Option<Cow<'_, MemoryStretch>> {
        sources::memory(&self.memory)
    }

    /// CPU, as all series together tell it.
    pub fn cpu(&self) -> Option<Cow<'_, CpuStretch>> {
        sources::cpu(&self.cpu)
    }

    /// Whether its CPU counter began anew while it lasted: more than one container, where its series do not say which.
    pub fn restarted_in_place(&self) -> bool {
        self.cpu.iter().any(|(_, cpu)| cpu.resets > 0)
    }

    fn spans(&self) -> impl Iterator<Item = (i64, i64)> {
        let memory = self.memory.iter().map(|(_, m)| m.span());
        memory.chain(self.cpu.iter().map(|(_, c)| c.span()))
    }

    /// Memory kills in it that the kernel counted, all days together.
    pub fn oom_events(&self) -> u32 {
        self.oom_days.iter().map(|(_, kills)| kills).sum()
    }

    /// Takes in how many there were so far.
    pub(super) fn saw_oom_events(&mut self, so_far: u32) {
        let new = so_far.saturating_sub(self.oom_events());
        if new > 0 {
            let day = self.last_sampled_day().unwrap_or_default();
            self.oom_days.push((day, new));
        }
    }

    /// First sample of any kind.
    pub fn first_ms(&self) -> Option<i64> {
        self.spans().map(|(first, _)| first).min()
    }

    /// Last sample of any kind.
    pub fn last_ms(&self) -> Option<i64> {
        self.spans().map(|(_, last)| last).max()
    }

    /// Takes in what the last samples of a slice say.
    pub fn note(&mut self, said: &LastSaid) {
        if let Some(peak) = said.peak_bytes.filter(|p| (0.0..7e13).contains(p)) {
            self.cgroup_peak_bytes = Some((peak as u64).max(self.cgroup_peak_bytes.unwrap_or(0)));
        }
        if let Some(cache) = said.cache_bytes.filter(|c| (0.0..7e13).contains(c)) {
            self.cache_bytes = Some((cache as u64).max(self.cache_bytes.unwrap_or(0)));
        }
        let first_ms = self.first_ms();
        for start in said.starts.iter().filter(|s| (1.0..1e11).contains(*s)) {
            let start_ms = (start * 1000.0) as i64;
            if first_ms.is_some_and(|first| start_ms > first + LATE_START_MS) {
                self.is_start_too_late = true;
            } else if self.starts_ms.len() < MOST_STARTS && !self.starts_ms.contains(&start_ms) {
                self.starts_ms.push(start_ms);
                self.starts_ms.sort_unstable();
            }
        }
        if let (Some(all), Some(throttled)) = (said.periods, said.throttled) {
            self.periods = Some((all, throttled));
        }
        if let Some(kills) = said.oom_events.filter(|kills| (0.0..1e6).contains(kills)) {
            self.saw_oom_events(kills as u32);
        }
        if let Some(limit) = said.limit_bytes.filter(|limit| *limit >= 0.0) {
            self.limit_in_force_bytes = Some(limit as u64);
        }
    }

    /// The day of its last sample; `None` where no day is kept.
    pub(super) fn last_sampled_day(&self) -> Option<i64> {
        self.last_ms().map(day_of)
    }

    /// Whether it has seen a midnight since it was last cut.
    pub(super) fn has_past_days(&self) -> bool {
        let last = self.last_sampled_day();
        let first = self.memory.iter().filter_map(|(_, m)| m.days.first()).map(|d| d.day);
        let first = first.chain(self.cpu.iter().filter_map(|(_, c)| c.days.first()).map(|d| d.day));
        first.into_iter().any(|day| Some(day) < last)
    }

    /// Forgets the days before its last sample's: they were reported.
    pub(super) fn forget_past_days(&mut self) {
        let Some(last) = self.last_sampled_day() else { return };
        self.is_cut |= self.has_past_days();
        self.memory.iter_mut().for_each(|(_, memory)| memory.days.retain(|d| d.day >= last));
        self.cpu.iter_mut().for_each(|(_, cpu)| cpu.days.retain(|d| d.day >= last));
    }

    /// Forgets all days: it is one run, however long.
    pub(super) fn forget_days(&mut self) {
        self.memory.iter_mut().for_each(|(_, memory)| memory.days = Vec::new());
        self.cpu.iter_mut().for_each(|(_, cpu)| cpu.days = Vec::new());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uid_from_both_cgroup_drivers() {
        let key = |id: &str| {
            let pairs = [("namespace", "ns"), ("pod", "p"), ("container", "c"), ("id", id)];
            InstanceKey::of(&Labels::new(pairs.map(|(k, v)| (k.to_owned(), v.to_owned())))).unwrap()
        };
        let uid = "2f1d3c58-0d1e-4c8a-9a53-51c2a6f4b0aa";
        assert_eq!(key(&format!("/kubepods/burstable/pod{uid}/0123abcd")).uid().as_deref(), Some(uid));
        let systemd = format!("/kubepods.slice/kubepods-burstable-pod{}.slice/x.scope", uid.replace('-', "_"));
        assert_eq!(key(&systemd).uid().as_deref(), Some(uid));
        assert_eq!(key("/kubepods/other").uid(), None);
        assert_eq!(key("").uid(), None);
    }

    #[test]
    fn a_start_after_the_first_sample_is_none() {
        let memory = MemoryStretch { first_ms: 60_000, last_ms: 90_000, ..MemoryStretch::default() };
        let mut instance = Instance::of(Some(memory), None);
        for start in [30.0, 60.5, 75.0] {
            let mut said = LastSaid::default();
            said.take(1, start, false);
            said.take(1, 10.0, true);
            instance.note(&said);
        }
        assert_eq!((instance.starts_ms.as_slice(), instance.is_start_too_late), (&[30_000, 60_500][..], true));
    }
}
