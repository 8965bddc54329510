//! Stretches of time in which nothing new was seen of a container: gaps between samples, and samples that repeat a
//! value. Times only; knows no values.

use serde::{Deserialize, Serialize};

/// Longer silence than this ends an instance of which nothing tells it apart, unless the CPU counter goes on: five
/// times the longest usual scrape interval of a minute is Prometheus' own staleness, three times that leaves room for a
/// restarted Prometheus.
pub const SILENCE_MS: i64 = 15 * 60_000;
/// How many are kept, the longest.
const MOST: usize = 12;

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Quiet {
    /// The last moment before it, milliseconds since the epoch.
    pub from_ms: i64,
    /// The first moment after it, milliseconds since the epoch.
    pub to_ms: i64,
}

impl Quiet {
    /// How long it lasted.
    pub const fn len_ms(self) -> i64 {
        self.to_ms - self.from_ms
    }

    /// How much of it lies between two moments.
    pub fn within_ms(self, from_ms: i64, to_ms: i64) -> i64 {
        (self.to_ms.min(to_ms) - self.from_ms.max(from_ms)).max(0)
    }
}

/// Adds a later one; of too many the shortest, the earliest of equals, is dropped.
pub fn keep(known: &mut Vec<Quiet>, new: Quiet) {
    if known.len() == MOST {
        let Some((at, shortest)) = known.iter().enumerate().min_by_key(|(_, quiet)| quiet.len_ms()) else { return };
        if new.len_ms() <= shortest.len_ms() {
            return;
        }
        known.remove(at);
    }
    known.push(new);
}

/// How much of them, which are apart from each other, lies between two moments.
pub fn total_ms(all: &[Quiet], from_ms: i64, to_ms: i64) -> i64 {
    all.iter().map(|quiet| quiet.within_ms(from_ms, to_ms)).sum()
}

/// All time that lies in one of them at least, in the order of time.
pub fn either(a: &[Quiet], b: &[Quiet]) -> Vec<Quiet> {
    let mut all: Vec<Quiet> = a.iter().chain(b).copied().filter(|quiet| quiet.len_ms() > 0).collect();
    all.sort_unstable();
    let mut joined: Vec<Quiet> = Vec::with_capacity(all.len());
    for quiet in all {
        match joined.last_mut() {
            Some(last) if quiet.from_ms <= last.to_ms => last.to_ms = last.to_ms.max(quiet.to_ms),
            _ => joined.push(quiet),
        }
    }
    joined
}

/// All time that lies in one of each.
pub fn both(a: &[Quiet], b: &[Quiet]) -> Vec<Quiet> {
    let (a, b) = (either(a, &[]), either(b, &[]));
    let parts = a
        .iter()
        .flat_map(|x| b.iter().map(move |y| Quiet { from_ms: x.from_ms.max(y.from_ms), to_ms: x.to_ms.min(y.to_ms) }));
    parts.filter(|quiet| quiet.len_ms() > 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quiet(pairs: &[(i64, i64)]) -> Vec<Quiet> {
        pairs.iter().map(|&(from_ms, to_ms)| Quiet { from_ms, to_ms }).collect()
    }

    #[test]
    fn sets_of_time() {
        let (a, b) = (quiet(&[(0, 10), (20, 30)]), quiet(&[(5, 22), (40, 50)]));
        assert_eq!(either(&a, &b), quiet(&[(0, 30), (40, 50)]));
        assert_eq!(both(&a, &b), quiet(&[(5, 10), (20, 22)]));
        assert_eq!(total_ms(&a, 5, 25), 10);
    }

    #[test]
    fn the_longest_are_kept_in_the_order_of_time() {
        let mut known = Vec::new();
        for i in 0..100 {
            keep(&mut known, Quiet { from_ms: i * 1000, to_ms: i * 1000 + i % 50 });
        }
        assert_eq!(known.len(), MOST);
        assert!(known.is_sorted() && known.iter().all(|quiet| quiet.len_ms() >= 44), "{known:?}");
    }
}
