//! Several series that tell of one container, put together metric by metric: two scrapers, two kubelet endpoints, a
//! pair of Prometheus replicas, cgroups below the container's own.
//! Pure; the order in which they came does not matter.
//!
//! Memory is what any of them saw; what none saw is a gap. Of the CPU counter, which only grows, the one that got
//! furthest tells how much was used: a scraper that stopped, or sees a part of the container, lags behind. Among those
//! that got as far the one that saw most tells how it was used.

use std::borrow::Cow;
use std::hash::{Hash, Hasher};

use serde::{Deserialize, Serialize};

use super::day::{CpuDay, MemoryDay};
use super::quiet::{Quiet, both, either};
use super::stretch::{CpuStretch, MemoryStretch, Stretch};
use crate::prometheus::Labels;

/// Counters that got this far of the furthest one are of the whole container.
const AS_FAR: f64 = 0.9;
/// Series that saw the same time and differ by more contradict each other.
const ALIKE: f64 = 0.75;
/// Counters of about the same time; a shorter one may be of another phase of scraping.
const LEAST_COMPARED_MS: i64 = 3 * 60_000;

/// Which series: a number made of its labels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Source {
    labels: u64,
    /// It is of a cgroup below the container's own.
    pub is_below: bool,
}

impl Source {
    /// Of a series of these labels.
    pub fn of(labels: &Labels, is_below: bool) -> Self {
        let mut hash = Fnv(0xcbf2_9ce4_8422_2325);
        labels.iter().for_each(|pair| pair.hash(&mut hash));
        Self { labels: hash.finish(), is_below }
    }
}

/// FNV-1a: the same number on every machine and in every version, as it is kept between collections.
struct Fnv(u64);

impl Hasher for Fnv {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

/// What several series of one metric tell, by series.
pub type BySource<T> = Vec<(Source, T)>;

/// Puts what a series tells in the place of what it told before.
pub fn put<T>(all: &mut BySource<T>, source: Source, stretch: T) {
    match all.binary_search_by_key(&source, |(known, _)| *known) {
        Ok(at) => all[at].1 = stretch,
        Err(at) => insert(all, at, (source, stretch)),
    }
}

/// With room for no more, since most containers have one series; a vector would make room for four.
fn insert<T>(all: &mut BySource<T>, at: usize, told: (Source, T)) {
    all.reserve_exact(1);
    all.insert(at, told);
}

/// Adds what came after to what a series told before.
pub fn append<T: Stretch>(all: &mut BySource<T>, source: Source, later: T) {
    match all.binary_search_by_key(&source, |(known, _)| *known) {
        Ok(at) => all[at].1.then(later),
        Err(at) => insert(all, at, (source, later)),
    }
}

/// In the order of time: what is put together one by one is then the same, however it came.
fn in_order<T: Stretch>(mut told: Vec<(Source, &T)>) -> Vec<(Source, &T)> {
    told.sort_by_key(|(source, stretch)| (stretch.span(), *source));
    told
}

/// Memory as all series together tell it.
pub fn memory(all: &[(Source, MemoryStretch)]) -> Option<Cow<'_, MemoryStretch>> {
    if let [(_, one)] = all {
        return Some(Cow::Borrowed(one));
    }
    let has_any = all.iter().any(|(_, stretch)| stretch.samples > 0);
    let told = all.iter().filter(|(_, stretch)| stretch.samples > 0 || !has_any).map(|(source, s)| (*source, s));
    let mut told = in_order(told.collect()).into_iter();
    let mut joined = told.next()?.1.clone();
    told.for_each(|(_, other)| memory_beside(&mut joined, other));
    Some(Cow::Owned(joined))
}

fn memory_beside(joined: &mut MemoryStretch, other: &MemoryStretch) {
    let (from_ms, to_ms) = (joined.first_ms.min(other.first_ms), joined.seen_ms.max(other.seen_ms));
    let before_and_after =
        |s: &MemoryStretch| [Quiet { from_ms, to_ms: s.first_ms }, Quiet { from_ms: s.seen_ms, to_ms }];
    let unseen = |s: &MemoryStretch| either(&s.gaps, &before_and_after(s));
    let unmoved = |s: &MemoryStretch| either(&either(&s.all_stills(), &s.gaps), &before_and_after(s));
    let stills = both(&unmoved(joined), &unmoved(other));
    joined.gaps = both(&unseen(joined), &unseen(other));
    let (a, b) = (joined.still, other.still);
    joined.still = if (a.1, a.2, a.0) >= (b.1, b.2, b.0) { a } else { b };
    joined.stills = stills.into_iter().filter(|still| still.from_ms < joined.still.1).collect();
    joined.samples = if other.first_ms > joined.last_ms {
        joined.samples.saturating_add(other.samples)
    } else {
        joined.samples.max(other.samples)
    };
    joined.zeros = joined.zeros.max(other.zeros);
    joined.first_ms = from_ms;
    joined.last_ms = joined.last_ms.max(other.last_ms);
    joined.seen_ms = to_ms;
    joined.max_bytes = joined.max_bytes.max(other.max_bytes);
    MemoryDay::beside(&mut joined.days, &other.days);
}

/// CPU as all series together tell it.
pub fn cpu(all: &[(Source, CpuStretch)]) -> Option<Cow<'_, CpuStretch>> {
    if let [(_, one)] = all {
        return Some(Cow::Borrowed(one));
    }
    let furthest = all.iter().map(|(_, stretch)| stretch.total()).fold(0.0, f64::max);
    let seen = |s: &CpuStretch| s.last_ms - s.first_ms - s.stills.iter().map(|still| still.len_ms()).sum::<i64>();
    let base = all
        .iter()
        .filter(|(source, stretch)| !source.is_below && stretch.total() >= AS_FAR * furthest)
        .max_by_key(|(source, stretch)| (seen(stretch) / LEAST_COMPARED_MS, stretch.samples, stretch.last_ms, *source))
        .or_else(|| all.iter().max_by(|(a, x), (b, y)| x.total().total_cmp(&y.total()).then(a.cmp(b))))?;
    let mut joined = base.1.clone();
    let others = all.iter().filter(|(source, _)| *source != base.0 && !source.is_below).map(|(source, s)| (*source, s));
    for (_, other) in in_order(others.collect()) {
        cpu_beside(&mut joined, other);
    }
    Some(Cow::Owned(joined))
}

/// What another series saw before and after.
fn cpu_beside(joined: &mut CpuStretch, other: &CpuStretch) {
    let apart = other.last_ms < joined.first_ms || other.first_ms > joined.last_ms;
    if other.first_ms < joined.first_ms && other.first <= joined.first {
        joined.increase += joined.first - other.first;
        (joined.first, joined.first_ms) = (other.first, other.first_ms);
    }
    if other.last_ms > joined.last_ms && other.last >= joined.last {
        if other.last > joined.last {
            joined.changed_ms = other.changed_ms;
        }
        joined.increase += other.last - joined.last;
        (joined.last, joined.last_ms) = (other.last, other.last_ms);
    }
    if apart {
        joined.samples = joined.samples.saturating_add(other.samples);
        joined.max_cores = joined.max_cores.into_iter().chain(other.max_cores).reduce(f64::max);
        CpuDay::then(&mut joined.days, &other.days);
        joined.days.sort_unstable_by_key(|day| day.day);
    } else {
        CpuDay::beside(&mut joined.days, &other.days);
    }
}

/// Whether two series of the same container and about the same time say different things.
pub fn disagree(memory: &[(Source, MemoryStretch)], cpu: &[(Source, CpuStretch)]) -> bool {
    let far_apart = |low: f64, high: f64, by: f64| low < by * high;
    any_two(memory, |a, b| far_apart(a.max_bytes.min(b.max_bytes) as f64, a.max_bytes.max(b.max_bytes) as f64, ALIKE))
        || any_two(cpu, |a, b| far_apart(a.total().min(b.total()), a.total().max(b.total()), AS_FAR))
}

fn any_two<T: Stretch>(all: &[(Source, T)], differ: impl Fn(&T, &T) -> bool) -> bool {
    let whole: Vec<&T> = all.iter().filter(|(source, _)| !source.is_below).map(|(_, stretch)| stretch).collect();
    let of_one_time = |a: &T, b: &T| {
        let ((a_first, a_last), (b_first, b_last)) = (a.span(), b.span());
        let common = a_last.min(b_last) - a_first.max(b_first);
        common >= LEAST_COMPARED_MS && common as f64 >= AS_FAR * (a_last.max(b_last) - a_first.min(b_first)) as f64
    };
    whole.iter().enumerate().any(|(i, a)| whole[i + 1..].iter().any(|b| of_one_time(a, b) && differ(a, b)))
}
