//! The samples of one slice of time, folded series by series, each from where it was at the end of the slice before.
//! Pure; knows labels of cAdvisor, no queries.

use std::collections::HashMap;
use std::sync::Arc;

use super::instance::{Instance, InstanceKey};
use super::sources::{BySource, Source};
use super::stretch::{CpuStretch, MemoryStretch, OutOfRange, Stretch};
use crate::prometheus::{Labels, SeriesChunk};

/// Instances as they were before a slice.
pub type Before = Arc<HashMap<InstanceKey, Instance>>;

/// When the pods of a name started, milliseconds since the epoch, ascending, by namespace and name: of names that more
/// than one pod had in a slice of time.
pub type Starts = Arc<HashMap<(String, String), Vec<i64>>>;

/// A sample this soon before a pod's start may be its own: clocks differ, and a start is told in whole seconds.
pub(super) const CLOCKS_DIFFER_MS: i64 = 10_000;

/// The samples of one slice of time.
#[derive(Debug, Default)]
pub struct Slice {
    before: Before,
    starts: Starts,
    memory: Series<MemoryStretch>,
    cpu: Series<CpuStretch>,
    /// Samples that were not taken because no such value can be.
    pub out_of_range: u64,
    /// Samples taken.
    pub samples: u64,
}

/// Boxed, since a table that grows is held twice.
type Series<T> = HashMap<Arc<Labels>, Option<Box<Folding<T>>>>;

/// A series of a container.
#[derive(Debug)]
struct Folding<T> {
    key: InstanceKey,
    source: Source,
    done: Vec<T>,
    open: Option<T>,
    /// Where other pods of the name started; empty where the series is of one container.
    starts: Vec<i64>,
}

/// Stretches of a container's instance by series, each in the order of time; only without a cgroup's name there may be
/// several of a series. The first begins where the series was before.
#[derive(Debug)]
pub struct Told {
    /// Memory.
    pub memory: Vec<(Source, Vec<MemoryStretch>)>,
    /// CPU.
    pub cpu: Vec<(Source, Vec<CpuStretch>)>,
}

impl Slice {
    /// A slice that follows these instances, in which pods started at these times.
    pub fn after(before: &Before, starts: &Starts) -> Self {
        Self { before: Arc::clone(before), starts: Arc::clone(starts), ..Self::default() }
    }

    /// Takes in samples of `container_memory_working_set_bytes`.
    pub fn memory(&mut self, chunk: &SeriesChunk) {
        let before = |key: &InstanceKey| self.before.get(key).map(|instance| &instance.memory);
        let (samples, out_of_range) = fold(&mut self.memory, chunk, before, &self.starts);
        self.samples += samples;
        self.out_of_range += out_of_range;
    }

    /// Takes in samples of `container_cpu_usage_seconds_total`.
    pub fn cpu(&mut self, chunk: &SeriesChunk) {
        let before = |key: &InstanceKey| self.before.get(key).map(|instance| &instance.cpu);
        let (samples, out_of_range) = fold(&mut self.cpu, chunk, before, &self.starts);
        self.samples += samples;
        self.out_of_range += out_of_range;
    }

    /// Adds what another slice of the same time saw (another metric, read side by side).
    pub fn join(&mut self, other: Self) {
        join(&mut self.memory, other.memory);
        join(&mut self.cpu, other.cpu);
        self.out_of_range += other.out_of_range;
        self.samples += other.samples;
    }

    /// Series taken.
    pub fn series(&self) -> u64 {
        (self.memory.len() + self.cpu.len()) as u64
    }

    /// By container.
    pub fn into_told(self) -> HashMap<InstanceKey, Told> {
        let mut all: HashMap<InstanceKey, Told> = HashMap::new();
        for folding in self.memory.into_values().flatten() {
            let Folding { key, source, mut done, open, .. } = *folding;
            done.extend(open);
            all.entry(key).or_insert_with(Told::nothing).memory.push((source, done));
        }
        for folding in self.cpu.into_values().flatten() {
            let Folding { key, source, mut done, open, .. } = *folding;
            done.extend(open);
            all.entry(key).or_insert_with(Told::nothing).cpu.push((source, done));
        }
        all
    }
}

/// Without a second table where one of them is empty.
fn join<T>(series: &mut Series<T>, more: Series<T>) {
    if series.is_empty() {
        *series = more;
    } else {
        series.extend(more);
    }
}

impl Told {
    const fn nothing() -> Self {
        Self { memory: Vec::new(), cpu: Vec::new() }
    }
}

/// Gives back how many samples were taken, and how many could not be.
fn fold<'a, T: Stretch + Clone + 'a>(
    series: &mut Series<T>,
    chunk: &SeriesChunk,
    before: impl Fn(&InstanceKey) -> Option<&'a BySource<T>>,
    starts: &Starts,
) -> (u64, u64) {
    let folding = series.entry(Arc::clone(&chunk.labels)).or_insert_with(|| {
        let (key, is_below) = InstanceKey::and_below(&chunk.labels)?;
        let source = Source::of(&chunk.labels, is_below);
        let open = before(&key).and_then(|all| all.iter().find(|(known, _)| *known == source));
        let open = open.map(|(_, stretch)| stretch.clone());
        let of_name = || starts.get(&(key.namespace.clone(), key.pod.clone())).cloned().unwrap_or_default();
        let starts = if key.is_one() || starts.is_empty() { Vec::new() } else { of_name() };
        Some(Box::new(Folding { key, source, done: Vec::new(), open, starts }))
    });
    let Some(folding) = folding else { return (chunk.samples.len() as u64, 0) };
    let is_one = folding.key.is_one();
    let mut out_of_range = 0;
    for sample in &chunk.samples {
        let is_anothers = |(first_ms, last_ms): (i64, i64)| {
            let after = folding.starts.partition_point(|start| *start <= last_ms);
            let next = folding.starts.get(after).filter(|start| **start <= sample.at_ms);
            next.is_some_and(|start| *start > first_ms + CLOCKS_DIFFER_MS)
        };
        if folding.open.as_ref().is_some_and(|open| is_anothers(open.span())) {
            folding.done.extend(folding.open.take());
        }
        match T::push(&mut folding.open, *sample, is_one) {
            Ok(done) => folding.done.extend(done),
            Err(OutOfRange) => out_of_range += 1,
        }
    }
    (chunk.samples.len() as u64 - out_of_range, out_of_range)
}
