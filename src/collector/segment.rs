//! Folds the samples of one series into stretches of one container's life, as small as possible.
//! Pure: samples in, stretches out; knows no labels and no pods.

use serde::{Deserialize, Serialize};

use super::days::{CpuDay, MemoryDay, day_of};
use crate::prometheus::Sample;

/// Longer silence than this ends a life unless the CPU counter goes on: five times the longest usual scrape interval
/// of a minute is Prometheus' own staleness, three times that leaves room for a restarted Prometheus.
pub const SILENCE_MS: i64 = 15 * 60_000;
/// No node has more memory than this: 64 TiB.
const MOST_BYTES: f64 = 70_368_744_177_664.0;
/// No container burns more than this: 4,096 cores.
const MOST_CORES: f64 = 4_096.0;
/// No counter of CPU-seconds gets further: 4,096 cores for ten years.
const MOST_CORE_SECONDS: f64 = 1.3e12;

/// Memory samples of a stretch of life.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MemoryStretch {
    /// First sample.
    pub first_ms: i64,
    /// Last sample.
    pub last_ms: i64,
    /// Number of samples.
    pub samples: u32,
    /// Highest value in bytes.
    pub max_bytes: u64,
    /// The same day by day, ascending; of a life that is not cut, those since the last collection's slice at most.
    pub days: Vec<MemoryDay>,
}

/// CPU counter samples of a stretch of life.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CpuStretch {
    /// First sample.
    pub first_ms: i64,
    /// Last sample.
    pub last_ms: i64,
    /// Last sample at which the counter had moved.
    pub changed_ms: i64,
    /// First value: CPU-seconds used before the first sample.
    pub first: f64,
    /// Last value.
    pub last: f64,
    /// CPU-seconds used between first and last sample, counter resets taken into account.
    pub increase: f64,
    /// Highest mean cores between two neighbouring samples.
    pub max_cores: Option<f64>,
    /// Number of samples.
    pub samples: u32,
    /// The last sample was further up than any container can get: its time and value. Within one slice only.
    #[serde(skip)]
    pub jumped: Option<(i64, f64)>,
    /// The same day by day, ascending, as [`MemoryStretch::days`].
    pub days: Vec<CpuDay>,
}

impl MemoryStretch {
    /// Takes in the next sample; gives back the finished stretch when this one begins another.
    /// Values that no memory can have are not taken.
    pub fn push(stretch: &mut Option<Self>, sample: Sample) -> Result<Option<Self>, Absurd> {
        if !(0.0..=MOST_BYTES).contains(&sample.value) {
            return Err(Absurd);
        }
        let bytes = sample.value as u64;
        match stretch {
            Some(s) if sample.at_ms <= s.last_ms => Ok(None),
            Some(s) if sample.at_ms - s.last_ms <= SILENCE_MS => {
                s.last_ms = sample.at_ms;
                s.samples = s.samples.saturating_add(1);
                s.max_bytes = s.max_bytes.max(bytes);
                MemoryDay::push(&mut s.days, sample.at_ms, bytes);
                Ok(None)
            }
            _ => Ok(stretch.replace(Self {
                first_ms: sample.at_ms,
                last_ms: sample.at_ms,
                samples: 1,
                max_bytes: bytes,
                days: vec![MemoryDay { day: day_of(sample.at_ms), samples: 1, max_bytes: bytes }],
            })),
        }
    }

    /// The same stretch seen by another scraper.
    pub fn beside(&mut self, other: &Self) {
        self.first_ms = self.first_ms.min(other.first_ms);
        self.last_ms = self.last_ms.max(other.last_ms);
        self.samples = self.samples.max(other.samples);
        self.max_bytes = self.max_bytes.max(other.max_bytes);
        MemoryDay::beside(&mut self.days, &other.days);
    }

    /// What came after.
    pub fn then(&mut self, later: &Self) {
        self.last_ms = self.last_ms.max(later.last_ms);
        self.samples = self.samples.saturating_add(later.samples);
        self.max_bytes = self.max_bytes.max(later.max_bytes);
        MemoryDay::then(&mut self.days, &later.days);
    }
}

impl CpuStretch {
    /// Takes in the next sample; gives back the finished stretch when this one begins another (the counter began anew
    /// after a long silence). Values that no CPU counter can have are not taken.
    pub fn push(stretch: &mut Option<Self>, sample: Sample) -> Result<Option<Self>, Absurd> {
        if !(0.0..=MOST_CORE_SECONDS).contains(&sample.value) {
            return Err(Absurd);
        }
        match stretch {
            Some(s) if sample.at_ms <= s.last_ms => Ok(None),
            Some(s) if sample.value >= s.last || sample.at_ms - s.last_ms <= SILENCE_MS => {
                let used = if sample.value >= s.last { sample.value - s.last } else { sample.value };
                let seconds = |from_ms: i64| (sample.at_ms - from_ms) as f64 / 1000.0;
                let (mut used, mut cores, mut from_ms) = (used, used / seconds(s.last_ms), s.last_ms);
                // A spike is over with the next sample; a counter that was moved up goes on from where it is now, and
                // what it was moved by is nobody's use.
                match s.jumped.replace((sample.at_ms, sample.value)) {
                    Some((at_ms, value))
                        if sample.value >= value && sample.value - value <= MOST_CORES * seconds(at_ms) =>
                    {
                        used = sample.value - value;
                        cores = used / seconds(at_ms);
                        from_ms = at_ms;
                    }
                    _ if cores > MOST_CORES => return Err(Absurd),
                    _ => {}
                }
                s.jumped = None;
                if used > 0.0 {
                    s.changed_ms = sample.at_ms;
                }
                s.max_cores = Some(s.max_cores.unwrap_or(0.0).max(cores));
                s.increase += used;
                CpuDay::spread(&mut s.days, from_ms, sample.at_ms, used);
                s.last = sample.value;
                s.last_ms = sample.at_ms;
                s.samples = s.samples.saturating_add(1);
                Ok(None)
            }
            _ => Ok(stretch.replace(Self {
                first_ms: sample.at_ms,
                last_ms: sample.at_ms,
                changed_ms: sample.at_ms,
                first: sample.value,
                last: sample.value,
                increase: 0.0,
                max_cores: None,
                samples: 1,
                jumped: None,
                days: Vec::new(),
            })),
        }
    }

    /// Whether `later` goes on where this one stopped.
    pub fn goes_on_in(&self, later: &Self) -> bool {
        later.first >= self.last || later.first_ms - self.last_ms <= SILENCE_MS
    }

    /// What came after. A counter that begins anew counts from zero.
    pub fn then(&mut self, later: &Self) {
        let seconds = (later.first_ms - self.last_ms) as f64 / 1000.0;
        let between = if later.first >= self.last { later.first - self.last } else { later.first };
        let between = if seconds > 0.0 && between > MOST_CORES * seconds { 0.0 } else { between };
        if seconds > 0.0 {
            self.max_cores = Some(self.max_cores.unwrap_or(0.0).max(between / seconds));
        }
        self.max_cores = self.max_cores.into_iter().chain(later.max_cores).reduce(f64::max);
        if later.increase > 0.0 {
            self.changed_ms = later.changed_ms;
        } else if between > 0.0 {
            self.changed_ms = later.first_ms;
        }
        CpuDay::spread(&mut self.days, self.last_ms, later.first_ms, between);
        CpuDay::then(&mut self.days, &later.days);
        self.increase += between + later.increase;
        self.last = later.last;
        self.last_ms = later.last_ms;
        self.samples = self.samples.saturating_add(later.samples);
    }

    /// The same stretch seen by another scraper: the one that saw more of it is kept whole, as two interleaved views
    /// of one counter do not add up.
    pub fn beside(&mut self, other: &Self) {
        let span = |s: &Self| (s.last_ms - s.first_ms, s.samples);
        let max_cores = self.max_cores.into_iter().chain(other.max_cores).reduce(f64::max);
        if span(other) > span(self) {
            *self = other.clone();
        }
        self.max_cores = max_cores;
    }

    /// Whether the two are of overlapping times.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.first_ms <= other.last_ms && other.first_ms <= self.last_ms
    }
}

/// A value that the metric cannot have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Absurd;

#[cfg(test)]
mod tests {
    use super::*;

    fn cpu(samples: &[(i64, f64)]) -> Vec<CpuStretch> {
        let mut open = None;
        let mut out = Vec::new();
        for &(s, value) in samples {
            out.extend(CpuStretch::push(&mut open, Sample { at_ms: s * 1000, value }).unwrap());
        }
        out.extend(open);
        out
    }

    #[test]
    fn cpu_seconds_are_the_counter_not_a_rate() {
        let one = cpu(&[(15, 13.5), (45, 40.5), (75, 67.5)]);
        assert_eq!(one.len(), 1);
        assert_eq!((one[0].first, one[0].increase), (13.5, 54.0));
        assert_eq!(one[0].max_cores, Some(0.9));
    }

    #[test]
    fn a_reset_in_place_counts_from_zero_and_a_late_one_is_another_life() {
        let reset = cpu(&[(0, 10.0), (30, 37.0), (60, 9.0)]);
        assert_eq!(reset.len(), 1);
        assert_eq!(reset[0].increase, 36.0);
        let lives = cpu(&[(0, 10.0), (30, 37.0), (86_400, 9.0)]);
        assert_eq!(lives.len(), 2);
        // A counter that goes on after a long gap is the same life: the scraper was away.
        assert_eq!(cpu(&[(0, 10.0), (7_200, 6_000.0)]).len(), 1);
    }

    #[test]
    fn lingering_samples_do_not_move_the_last_change() {
        let one = cpu(&[(0, 10.0), (30, 37.0), (60, 37.0), (90, 37.0)]);
        assert_eq!(one[0].changed_ms, 30_000);
    }

    #[test]
    fn absurd_values_are_refused() {
        let mut memory = None;
        for value in [-1.0, 1e300, f64::INFINITY] {
            assert_eq!(MemoryStretch::push(&mut memory, Sample { at_ms: 0, value }), Err(Absurd));
            assert_eq!(CpuStretch::push(&mut None, Sample { at_ms: 0, value }), Err(Absurd));
        }
        let mut counter = None;
        CpuStretch::push(&mut counter, Sample { at_ms: 0, value: 1.0 }).unwrap();
        assert_eq!(CpuStretch::push(&mut counter, Sample { at_ms: 1000, value: 1e9 }), Err(Absurd));
    }

    #[test]
    fn a_counter_that_jumps_adds_nothing() {
        let used = |jump: f64, until: i64| {
            let mut open = None;
            let mut absurd = 0;
            for i in 0..60 {
                let by = if (20..until).contains(&i) { jump } else { 0.0 };
                let sample = Sample { at_ms: i * 30_000, value: 27.0 * i as f64 + by };
                absurd += usize::from(CpuStretch::push(&mut open, sample).is_err());
            }
            let s = open.unwrap();
            (s.increase.round(), s.max_cores.unwrap().round(), absurd)
        };
        let plain = 27.0 * 59.0;
        // A spike of one sample, and a counter that is moved up for good: the first sample there cannot be judged.
        assert_eq!(used(1e9, 21), (plain, 1.0, 1));
        assert_eq!(used(1e9, 60), (plain - 27.0, 1.0, 1));
        assert_eq!(used(1e6, 60), (plain - 27.0, 1.0, 1));
    }

    #[test]
    fn two_slices_give_what_one_gives() {
        let all: Vec<(i64, f64)> = (0..40).map(|i| (i * 30, f64::from(u32::try_from(i).unwrap()) * 27.0)).collect();
        let whole = cpu(&all).swap_remove(0);
        let mut first = cpu(&all[..17]).swap_remove(0);
        first.then(&cpu(&all[17..])[0]);
        assert_eq!((first.increase, first.last, first.samples), (whole.increase, whole.last, whole.samples));
    }
}
