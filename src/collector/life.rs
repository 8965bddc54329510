//! One container's life while it is being put together from slices of series.
//! Pure; knows labels of cAdvisor, no queries and no engines.

use std::collections::HashMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::days::day_of;
use super::flink::Seen;
use super::names::of_container;
use super::segment::{CpuStretch, MemoryStretch, SILENCE_MS};
use crate::prometheus::{Labels, Sample, SeriesChunk};

/// Which container's life a series belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LifeKey {
    /// Namespace.
    pub namespace: String,
    /// Pod name.
    pub pod: String,
    /// Container name.
    pub container: String,
    /// The container's cgroup (cAdvisor's label `id`), which no two lives share; empty where it was dropped.
    pub cgroup: String,
}

impl LifeKey {
    /// From the labels of a cAdvisor series; `None` for the series of whole pods, of pause containers and of nodes.
    pub fn of(labels: &Labels) -> Option<Self> {
        let [namespace, pod, container] = of_container(labels)?;
        Some(Self {
            namespace: namespace.to_owned(),
            pod: pod.to_owned(),
            container: container.to_owned(),
            cgroup: labels.get("id").unwrap_or_default().to_owned(),
        })
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

/// What was seen of a life so far.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Life {
    /// Memory samples.
    pub memory: Option<MemoryStretch>,
    /// CPU samples.
    pub cpu: Option<CpuStretch>,
    /// The kernel's high-water mark of memory in bytes.
    pub cgroup_peak_bytes: Option<u64>,
    /// CFS periods: all, and throttled.
    pub periods: Option<(f64, f64)>,
    /// The container's start as cAdvisor has it, milliseconds since the epoch.
    pub started_ms: Option<i64>,
    /// What its JVM said, where it is one of Flink's and was asked.
    pub flink: Option<Box<Seen>>,
    /// The start that was reported of this life; kept, so that every later view is of the same run.
    pub reported_start_ms: Option<i64>,
    /// Days of it were reported, and are no longer here.
    pub is_cut: bool,
    /// It was reported as one that ended, because nothing was heard of it for long; it may be the scraper that was away.
    pub is_silent: bool,
}

impl Life {
    /// First sample of any kind.
    pub fn first_ms(&self) -> Option<i64> {
        self.memory.iter().map(|m| m.first_ms).chain(self.cpu.iter().map(|c| c.first_ms)).min()
    }

    /// Last sample of any kind.
    pub fn last_ms(&self) -> Option<i64> {
        self.memory.iter().map(|m| m.last_ms).chain(self.cpu.iter().map(|c| c.last_ms)).max()
    }

    pub(super) fn goes_on_in(&self, later: &Self) -> bool {
        match (&self.cpu, &later.cpu) {
            (Some(a), Some(b)) => a.goes_on_in(b),
            _ => match (self.last_ms(), later.first_ms()) {
                (Some(last), Some(first)) => first - last <= SILENCE_MS,
                _ => true,
            },
        }
    }

    /// What the next slice saw of the same life.
    pub(super) fn then(&mut self, later: Self) {
        self.is_silent = false;
        match (&mut self.memory, later.memory) {
            (Some(m), Some(l)) => m.then(&l),
            (m, l) => *m = m.take().or(l),
        }
        match (&mut self.cpu, later.cpu) {
            (Some(c), Some(l)) => c.then(&l),
            (c, l) => *c = c.take().or(l),
        }
    }

    /// The day of its last sample; `None` where no day is kept.
    pub(super) fn last_sampled_day(&self) -> Option<i64> {
        self.last_ms().map(day_of)
    }

    /// Whether it has seen a midnight since it was last cut.
    pub(super) fn has_past_days(&self) -> bool {
        let last = self.last_sampled_day();
        let first = self.memory.iter().filter_map(|m| m.days.first()).map(|d| d.day);
        first.chain(self.cpu.iter().filter_map(|c| c.days.first()).map(|d| d.day)).any(|day| Some(day) < last)
    }

    /// Forgets the days before its last sample's: they were reported.
    pub(super) fn forget_past_days(&mut self) {
        let Some(last) = self.last_sampled_day() else { return };
        self.is_cut |= self.has_past_days();
        if let Some(memory) = &mut self.memory {
            memory.days.retain(|d| d.day >= last);
        }
        if let Some(cpu) = &mut self.cpu {
            cpu.days.retain(|d| d.day >= last);
        }
    }

    /// Forgets all days: it is one run, however long.
    pub(super) fn forget_days(&mut self) {
        if let Some(memory) = &mut self.memory {
            memory.days = Vec::new();
        }
        if let Some(cpu) = &mut self.cpu {
            cpu.days = Vec::new();
        }
    }
}

/// The samples of one slice of time, folded series by series.
#[derive(Debug, Default)]
pub struct Slice {
    memory: HashMap<Arc<Labels>, Folding<MemoryStretch>>,
    cpu: HashMap<Arc<Labels>, Folding<CpuStretch>>,
    /// Samples that were not taken because no such value can be.
    pub absurd: u64,
    /// Samples taken.
    pub samples: u64,
}

#[derive(Debug)]
struct Folding<T> {
    done: Vec<T>,
    open: Option<T>,
}

impl<T> Default for Folding<T> {
    fn default() -> Self {
        Self { done: Vec::new(), open: None }
    }
}

impl Slice {
    /// Takes in samples of `container_memory_working_set_bytes`.
    pub fn memory(&mut self, chunk: &SeriesChunk) {
        Self::fold(&mut self.memory, chunk, MemoryStretch::push, &mut self.absurd, &mut self.samples);
    }

    /// Takes in samples of `container_cpu_usage_seconds_total`.
    pub fn cpu(&mut self, chunk: &SeriesChunk) {
        Self::fold(&mut self.cpu, chunk, CpuStretch::push, &mut self.absurd, &mut self.samples);
    }

    fn fold<T>(
        series: &mut HashMap<Arc<Labels>, Folding<T>>,
        chunk: &SeriesChunk,
        push: fn(&mut Option<T>, Sample) -> Result<Option<T>, super::segment::Absurd>,
        absurd: &mut u64,
        samples: &mut u64,
    ) {
        let folding = series.entry(Arc::clone(&chunk.labels)).or_default();
        for sample in &chunk.samples {
            match push(&mut folding.open, *sample) {
                Ok(done) => {
                    folding.done.extend(done);
                    *samples += 1;
                }
                Err(super::segment::Absurd) => *absurd += 1,
            }
        }
    }

    /// Adds what another slice of the same time saw (another metric, read side by side).
    pub fn join(&mut self, other: Self) {
        self.memory.extend(other.memory);
        self.cpu.extend(other.cpu);
        self.absurd += other.absurd;
        self.samples += other.samples;
    }

    /// The lives of this slice, in time order per container.
    pub fn into_lives(self) -> HashMap<LifeKey, Vec<Life>> {
        let mut cpu: HashMap<LifeKey, Vec<CpuStretch>> = HashMap::new();
        for (labels, folding) in self.cpu {
            let Some(key) = LifeKey::of(&labels) else { continue };
            let known = cpu.entry(key).or_default();
            for stretch in folding.done.into_iter().chain(folding.open) {
                match known.iter_mut().find(|k| k.overlaps(&stretch)) {
                    Some(same) => same.beside(&stretch),
                    None => known.push(stretch),
                }
            }
        }
        let mut lives: HashMap<LifeKey, Vec<Life>> = cpu
            .into_iter()
            .map(|(key, mut stretches)| {
                stretches.sort_by_key(|s| s.first_ms);
                (key, stretches.into_iter().map(|s| Life { cpu: Some(s), ..Life::default() }).collect())
            })
            .collect();
        let mut memory: Vec<(LifeKey, MemoryStretch)> = Vec::new();
        for (labels, folding) in self.memory {
            if let Some(key) = LifeKey::of(&labels) {
                memory.extend(folding.done.into_iter().chain(folding.open).map(|s| (key.clone(), s)));
            }
        }
        memory.sort_by_key(|(_, s)| s.first_ms);
        for (key, stretch) in memory {
            attach(lives.entry(key).or_default(), stretch);
        }
        drop_doubles(&mut lives);
        lives
    }
}

/// Puts memory to the life of its time. Two scrapers' views lie beside each other, a scraper's pause is bridged where
/// the CPU counter went on.
fn attach(lives: &mut Vec<Life>, stretch: MemoryStretch) {
    let near = |life: &&mut Life| {
        life.first_ms().is_some_and(|f| stretch.last_ms >= f - SILENCE_MS)
            && life.last_ms().is_some_and(|l| stretch.first_ms <= l + SILENCE_MS)
    };
    if let Some(life) = lives.iter_mut().find(near) {
        match &mut life.memory {
            Some(known) if known.last_ms < stretch.first_ms => known.then(&stretch),
            Some(known) => known.beside(&stretch),
            none => *none = Some(stretch),
        }
    } else {
        lives.push(Life { memory: Some(stretch), ..Life::default() });
        lives.sort_by_key(Life::first_ms);
    }
}

/// A kubelet that is scraped at both of its endpoints gives the same container twice, once without a cgroup.
fn drop_doubles(lives: &mut HashMap<LifeKey, Vec<Life>>) {
    let named: std::collections::HashSet<(String, String, String)> = lives
        .keys()
        .filter(|k| !k.cgroup.is_empty())
        .map(|k| (k.namespace.clone(), k.pod.clone(), k.container.clone()))
        .collect();
    lives.retain(|k, _| {
        !k.cgroup.is_empty() || !named.contains(&(k.namespace.clone(), k.pod.clone(), k.container.clone()))
    });
}

#[cfg(test)]
mod tests {
    use super::super::open_lives::OpenLives;
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Arc<Labels> {
        Arc::new(Labels::new(pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))))
    }

    fn chunk(extra: &[(&str, &str)], samples: &[(i64, f64)]) -> SeriesChunk {
        let mut all = vec![("namespace", "ns"), ("pod", "p"), ("container", "c")];
        all.extend(extra);
        SeriesChunk {
            labels: labels(&all),
            samples: samples.iter().map(|&(s, value)| Sample { at_ms: s * 1000, value }).collect(),
        }
    }

    #[test]
    fn uid_from_both_cgroup_drivers() {
        let key = |id: &str| LifeKey::of(&chunk(&[("id", id)], &[]).labels).unwrap();
        let uid = "2f1d3c58-0d1e-4c8a-9a53-51c2a6f4b0aa";
        assert_eq!(key(&format!("/kubepods/burstable/pod{uid}/0123abcd")).uid().as_deref(), Some(uid));
        let systemd = format!("/kubepods.slice/kubepods-burstable-pod{}.slice/x.scope", uid.replace('-', "_"));
        assert_eq!(key(&systemd).uid().as_deref(), Some(uid));
        assert_eq!(key("/kubepods/other").uid(), None);
        assert_eq!(key("").uid(), None);
    }

    #[test]
    fn two_scrapers_see_one_life() {
        let mut slice = Slice::default();
        slice.memory(&chunk(&[("id", "/a"), ("prometheus_replica", "a")], &[(0, 5.0), (30, 7.0)]));
        slice.memory(&chunk(&[("id", "/a"), ("prometheus_replica", "b")], &[(10, 6.0), (40, 9.0)]));
        slice.cpu(&chunk(&[("id", "/a"), ("prometheus_replica", "a")], &[(0, 5.0), (30, 35.0)]));
        slice.cpu(&chunk(&[("id", "/a"), ("prometheus_replica", "b")], &[(10, 15.0), (40, 45.0)]));
        let lives = slice.into_lives();
        assert_eq!(lives.len(), 1);
        let life = &lives.values().next().unwrap()[0];
        assert_eq!(life.memory.as_ref().unwrap().max_bytes, 9);
        assert_eq!(life.memory.as_ref().unwrap().samples, 2);
        assert_eq!(life.cpu.as_ref().unwrap().increase, 30.0);
    }

    #[test]
    fn both_kubelet_endpoints_are_one_container() {
        let mut slice = Slice::default();
        slice.memory(&chunk(&[("id", "/a")], &[(0, 5.0)]));
        slice.memory(&chunk(&[], &[(0, 5.0)]));
        assert_eq!(slice.into_lives().len(), 1);
    }

    #[test]
    fn a_reused_pod_name_is_another_life() {
        let day = 86_400;
        let mut slice = Slice::default();
        slice.cpu(&chunk(&[], &[(0, 5.0), (30, 35.0), (day, 4.0), (day + 30, 34.0)]));
        slice.memory(&chunk(&[], &[(0, 5.0), (30, 9.0), (day, 4.0), (day + 30, 3.0)]));
        let lives = slice.into_lives();
        let lives = lives.values().next().unwrap();
        assert_eq!(lives.len(), 2);
        assert_eq!(lives.iter().map(|l| l.memory.as_ref().unwrap().max_bytes).collect::<Vec<_>>(), [9, 4]);
        let mut open = OpenLives::default();
        let ended = open.take([(LifeKey::of(&chunk(&[], &[]).labels).unwrap(), lives.clone())].into());
        assert_eq!((ended.len(), open.0.len()), (1, 1));
        assert_eq!(open.ended_at((day + 30) * 1000 + SILENCE_MS + 1).len(), 1);
    }

    #[test]
    fn a_life_across_slices_is_one() {
        let mut open = OpenLives::default();
        for part in 0..3_i64 {
            let mut slice = Slice::default();
            let samples: Vec<(i64, f64)> = (0..10).map(|i| (part * 300 + i * 30, (part * 10 + i) as f64)).collect();
            slice.cpu(&chunk(&[("id", "/a")], &samples));
            slice.memory(&chunk(&[("id", "/a")], &samples));
            assert_eq!(open.take(slice.into_lives()), []);
        }
        assert_eq!(open.0.len(), 1);
        let life = &open.0[0].1;
        assert_eq!((life.cpu.as_ref().unwrap().increase, life.memory.as_ref().unwrap().samples), (29.0, 30));
    }
}
