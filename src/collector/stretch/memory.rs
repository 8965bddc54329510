//! Memory samples of one series, folded.
//!
//! Zero bytes are no measurement: a container that runs has memory. Such samples only tell that somebody scraped.

use serde::{Deserialize, Serialize};

use super::super::day::{MemoryDay, day_of};
use super::super::quiet::{self, Quiet};
use super::{LEAST_STILL_MS, OutOfRange, REPEATED, Stretch, parts};
use crate::prometheus::Sample;

/// Shorter gaps are not kept.
const LEAST_GAP_MS: i64 = 2 * 60_000;
/// No node has more memory than this: 64 TiB.
const MOST_BYTES: f64 = 70_368_744_177_664.0;

/// Memory samples of a stretch of instance.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MemoryStretch {
    /// First sample.
    pub first_ms: i64,
    /// Last sample.
    pub last_ms: i64,
    /// Number of samples above zero.
    pub samples: u32,
    /// Number of samples that were zero.
    pub zeros: u32,
    /// Last sample above zero.
    pub seen_ms: i64,
    /// Highest value in bytes.
    pub max_bytes: u64,
    /// Last value above zero, since when it did not change, and how often it was seen.
    pub still: (u64, i64, u32),
    /// The longest times without a sample above zero, and without another value, that are over.
    pub gaps: Vec<Quiet>,
    /// Likewise without another value.
    pub stills: Vec<Quiet>,
    /// The same day by day, ascending; of an instance that is not cut, those since the last collection's slice at most.
    pub days: Vec<MemoryDay>,
}

impl MemoryStretch {
    /// Times in which it repeated one value, the last one included.
    pub fn all_stills(&self) -> Vec<Quiet> {
        let (_, since_ms, samples) = self.still;
        let mut all = self.stills.clone();
        if samples >= REPEATED {
            all.push(Quiet { from_ms: since_ms, to_ms: self.seen_ms });
        }
        all
    }

    /// Mean time between two samples, the longest gaps left out; `None` with less than two.
    pub fn interval_ms(&self) -> Option<i64> {
        let number = i64::from(self.samples.checked_sub(1).filter(|n| *n > 0)?);
        let gaps = i64::try_from(self.gaps.len()).unwrap_or(0);
        if gaps >= number {
            return self.gaps.iter().map(|gap| gap.len_ms()).min();
        }
        let first_ms = self.first_ms.min(self.seen_ms);
        Some((self.seen_ms - first_ms - quiet::total_ms(&self.gaps, first_ms, self.seen_ms)) / (number - gaps))
    }

    fn note_gap(&mut self, to_ms: i64) {
        if self.samples > 0 && to_ms - self.seen_ms >= LEAST_GAP_MS {
            quiet::keep(&mut self.gaps, Quiet { from_ms: self.seen_ms, to_ms });
        }
    }

    fn end_still(&mut self) {
        let (_, since_ms, samples) = self.still;
        if samples >= REPEATED && self.seen_ms - since_ms >= LEAST_STILL_MS {
            quiet::keep(&mut self.stills, Quiet { from_ms: since_ms, to_ms: self.seen_ms });
        }
    }
}

impl Stretch for MemoryStretch {
    fn push(stretch: &mut Option<Self>, sample: Sample, is_one: bool) -> Result<Option<Self>, OutOfRange> {
        if !(0.0..=MOST_BYTES).contains(&sample.value) {
            return Err(OutOfRange);
        }
        let (bytes, at_ms) = (sample.value as u64, sample.at_ms);
        let done = match stretch {
            Some(s) if at_ms <= s.last_ms => return Ok(None),
            Some(s) if is_one || !parts(s.span(), s.samples + s.zeros, at_ms) => None,
            _ => stretch.replace(Self { first_ms: at_ms, ..Self::default() }),
        };
        let Some(s) = stretch else { return Ok(done) };
        s.last_ms = at_ms;
        let day = MemoryDay { day: day_of(at_ms), samples: u32::from(bytes > 0), max_bytes: bytes };
        MemoryDay::then(&mut s.days, &[day]);
        if bytes == 0 {
            s.zeros = s.zeros.saturating_add(1);
            return Ok(done);
        }
        s.note_gap(at_ms);
        if s.still.0 == bytes {
            s.still.2 = s.still.2.saturating_add(1);
        } else {
            s.end_still();
            s.still = (bytes, at_ms, 1);
        }
        s.samples = s.samples.saturating_add(1);
        s.seen_ms = at_ms;
        s.max_bytes = s.max_bytes.max(bytes);
        Ok(done)
    }

    fn then(&mut self, later: Self) {
        self.last_ms = self.last_ms.max(later.last_ms);
        self.zeros = self.zeros.saturating_add(later.zeros);
        MemoryDay::then(&mut self.days, &later.days);
        if later.samples == 0 {
            return;
        }
        // A zero may have come first; it was seen no earlier than the first sample.
        self.note_gap(later.first_ms.max(self.seen_ms));
        later.gaps.iter().for_each(|gap| quiet::keep(&mut self.gaps, *gap));
        self.end_still();
        later.stills.iter().for_each(|still| quiet::keep(&mut self.stills, *still));
        self.still = later.still;
        self.samples = self.samples.saturating_add(later.samples);
        self.seen_ms = later.seen_ms;
        self.max_bytes = self.max_bytes.max(later.max_bytes);
    }

    fn span(&self) -> (i64, i64) {
        (self.first_ms, self.last_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::folded;
    use super::*;

    #[test]
    fn zero_bytes_are_no_sample() {
        let memory = folded::<MemoryStretch>(&[(0, 0.0), (30, 5.0), (60, 0.0), (90, 7.0), (120, 0.0)], true);
        let one = &memory[0];
        assert_eq!((one.samples, one.zeros, one.max_bytes, one.seen_ms, one.last_ms), (2, 3, 7, 90_000, 120_000));
        let none = &folded::<MemoryStretch>(&[(0, 0.0), (30, 0.0)], true)[0];
        assert_eq!((none.samples, none.days[0].samples), (0, 0));
    }

    #[test]
    fn gaps_and_repeated_values_are_kept() {
        let at = |i: i64| (30 * i, if (50..90).contains(&i) { 9.0 } else { 100.0 + i as f64 });
        let samples: Vec<_> = (0..40).chain(48..100).map(at).collect();
        let one = folded::<MemoryStretch>(&samples, true).swap_remove(0);
        assert_eq!(one.gaps, [Quiet { from_ms: 39 * 30_000, to_ms: 48 * 30_000 }]);
        assert_eq!(one.all_stills(), [Quiet { from_ms: 1_500_000, to_ms: 2_670_000 }]);
        assert_eq!(one.interval_ms(), Some(30_000));
    }
}
