//! Samples of one series of a CPU counter, folded.
//!
//! - A counter that goes back a little is one that was read late, or by another replica: what counts is the highest so
//!   far. One that begins anew near zero and grows was reset: a restart, or within one cgroup a fault of its source.
//! - A jump further than anything before is believed when the next sample confirms it.
//! - Rates are taken over ten seconds at least: cAdvisor refreshes a container every 10 to 15 s, and what it counted
//!   since then shows up within one sample.

use serde::{Deserialize, Serialize};

use super::super::day::CpuDay;
use super::super::quiet::{self, Quiet, SILENCE_MS};
use super::{LEAST_STILL_MS, OutOfRange, REPEATED, Stretch, parts};
use crate::prometheus::Sample;

/// No container burns more than this: 1,024 cores.
const MOST_CORES: f64 = 1_024.0;
/// No counter of CPU-seconds gets further: 4,096 cores for ten years.
const MOST_CORE_SECONDS: f64 = 1.3e12;
/// A rate so many times the highest so far, or so many cores if that is more, waits for the next sample.
const OUTLYING: f64 = 16.0;
/// Rates over less time are not told: cAdvisor's own interval.
const LEAST_RATE_MS: i64 = 10_000;

/// CPU counter samples of a stretch of instance.
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
    /// Where the counter is: its highest value, since its reset where it had one.
    pub last: f64,
    /// CPU-seconds used between first and last sample, counter resets taken into account.
    pub increase: f64,
    /// Highest mean cores between two samples.
    pub max_cores: Option<f64>,
    /// Number of samples.
    pub samples: u32,
    /// Times at which it began anew.
    pub resets: u32,
    /// It was seen further down than before.
    pub went_back: bool,
    /// The longest times at one value, after which it caught up with what was used meanwhile: faster than ever else.
    pub stills: Vec<Quiet>,
    /// The same day by day, ascending, as [`MemoryStretch::days`].
    pub days: Vec<CpuDay>,
    /// Last sample that counted.
    counted_ms: i64,
    /// Samples since the counter moved.
    repeats: u32,
    /// Where the next rate begins: time, and what was used since the first sample.
    rate_from: (i64, f64),
    /// Where it stood still until the last sample, and how fast it went on: frozen, if it does not go on as fast.
    caught_up: Option<(Quiet, f64)>,
    /// The last sample was further up than to be believed alone: its time and value.
    held: Option<(i64, f64)>,
    /// Samples below the highest so far.
    low: Option<Low>,
}

/// Samples of a counter below its highest, growing.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Low {
    first: f64,
    first_ms: i64,
    last: f64,
    last_ms: i64,
    samples: u32,
    /// So little that it may have been used since the sample before.
    from_zero: bool,
}

fn seconds(from_ms: i64, to_ms: i64) -> f64 {
    (to_ms - from_ms) as f64 / 1000.0
}

impl CpuStretch {
    fn begin(at_ms: i64, value: f64) -> Self {
        Self {
            first_ms: at_ms,
            last_ms: at_ms,
            changed_ms: at_ms,
            first: value,
            last: value,
            samples: 1,
            counted_ms: at_ms,
            repeats: 1,
            rate_from: (at_ms, 0.0),
            ..Self::default()
        }
    }

    /// Whether the counter of `later` goes on where this one stopped.
    pub fn goes_on_in(&self, later: &Self) -> bool {
        later.first >= self.last
    }

    /// Whether it stands still at its end, for three samples at least.
    pub fn is_still(&self) -> bool {
        self.repeats >= REPEATED
    }

    /// CPU-seconds in all.
    pub fn total(&self) -> f64 {
        self.first + self.increase
    }

    /// What was used until a sample that counts.
    fn count(&mut self, at_ms: i64, value: f64) {
        let used = value - self.last;
        let from_ms = self.counted_ms;
        self.increase += used;
        self.last = value;
        self.counted_ms = at_ms;
        let mut peak = 0.0;
        if at_ms - self.rate_from.0 >= LEAST_RATE_MS {
            let rate = (self.increase - self.rate_from.1) / seconds(self.rate_from.0, at_ms);
            let stood_ms = from_ms - self.changed_ms;
            let stood = self.is_still() && stood_ms >= LEAST_STILL_MS;
            match self.caught_up.take() {
                Some((still, fast)) if rate <= fast / 2.0 => quiet::keep(&mut self.stills, still),
                Some((_, fast)) => peak = fast,
                None => {}
            }
            // Faster than ever after standing still for long: it may catch up, and then this rate is none.
            peak = if stood && rate > 2.0 * self.max_cores.unwrap_or(0.0) {
                self.caught_up = Some((Quiet { from_ms: self.changed_ms, to_ms: from_ms }, rate));
                used / seconds(self.changed_ms, at_ms)
            } else {
                rate.max(peak)
            };
            self.max_cores = Some(self.max_cores.unwrap_or(0.0).max(peak));
            self.rate_from = (at_ms, self.increase);
        }
        if used > 0.0 {
            self.changed_ms = at_ms;
            self.repeats = 1;
        } else {
            self.repeats = self.repeats.saturating_add(1);
        }
        CpuDay::spread(&mut self.days, from_ms, at_ms, used, peak);
    }

    /// A sample at the highest so far or above it. Gives back whether it can be.
    fn above(&mut self, at_ms: i64, value: f64) -> Result<(), OutOfRange> {
        let rate = |from_ms: i64, from: f64| (value - from) / seconds(from_ms, at_ms);
        let since_ms = if self.is_still() { self.changed_ms } else { self.counted_ms };
        let cores = rate(since_ms, self.last);
        match self.held.take() {
            // It was a spike if this one is below it, else a burst, or a counter that was moved up: what it was moved
            // by is nobody's use.
            Some((held_ms, held)) if value >= held => {
                if rate(held_ms, held) > MOST_CORES {
                    self.held = Some((at_ms, value));
                    return Err(OutOfRange);
                }
                if (held - self.last) / seconds(since_ms, held_ms) > MOST_CORES {
                    self.last = held;
                    self.counted_ms = held_ms;
                    self.rate_from = (held_ms, self.increase);
                    self.went_back = true;
                } else {
                    self.count(held_ms, held);
                }
            }
            Some(_) => self.went_back = true,
            None if cores > MOST_CORES => {
                self.held = Some((at_ms, value));
                return Err(OutOfRange);
            }
            None => {
                let most = self.max_cores.filter(|_| self.samples > 2);
                if most.is_some_and(|most| cores > OUTLYING * most.max(1.0)) {
                    self.held = Some((at_ms, value));
                    return Ok(());
                }
            }
        }
        self.count(at_ms, value);
        Ok(())
    }

    /// A sample below the highest so far: late, of another replica, or of a counter that began anew.
    fn below(&mut self, at_ms: i64, value: f64, before_ms: i64, is_one: bool) {
        let cores = self.max_cores.unwrap_or(1.0).max(1.0);
        let low = match self.low {
            Some(low) if value >= low.last => Low { last: value, last_ms: at_ms, samples: low.samples + 1, ..low },
            _ => Low {
                first: value,
                first_ms: at_ms,
                last: value,
                last_ms: at_ms,
                samples: 1,
                from_zero: value <= 2.0 * cores * seconds(before_ms, at_ms),
            },
        };
        self.low = Some(low);
        let grows = low.last > 0.0 && (low.samples >= REPEATED || (low.samples > 1 && low.last > low.first));
        // No replica is later than that.
        let moved_down = low.samples >= REPEATED && self.last - low.last > cores * SILENCE_MS as f64 / 1000.0;
        if !(grows && low.from_zero || moved_down) {
            return;
        }
        self.low = None;
        if self.samples <= low.samples + 1 && self.increase == 0.0 {
            // The only sample before was the one that could not be.
            let samples = self.samples;
            *self = Self { samples, went_back: true, ..Self::begin(low.first_ms, low.first) };
        } else if low.from_zero {
            self.resets += 1;
            self.went_back |= is_one;
            self.last = 0.0;
            self.count(low.first_ms, low.first);
        } else {
            self.went_back = true;
            self.last = low.first;
            self.counted_ms = low.first_ms;
        }
        self.count(low.last_ms, low.last);
    }
}

impl Stretch for CpuStretch {
    fn push(stretch: &mut Option<Self>, sample: Sample, is_one: bool) -> Result<Option<Self>, OutOfRange> {
        let (at_ms, value) = (sample.at_ms, sample.value);
        if !(0.0..=MOST_CORE_SECONDS).contains(&value) {
            return Err(OutOfRange);
        }
        match stretch {
            Some(s) if at_ms <= s.last_ms => Ok(None),
            Some(s) if is_one || !parts(s.span(), s.samples, at_ms) => {
                if value >= s.last {
                    s.above(at_ms, value)?;
                    s.went_back |= s.low.take().is_some();
                } else {
                    s.below(at_ms, value, s.last_ms, is_one);
                }
                s.last_ms = at_ms;
                s.samples = s.samples.saturating_add(1);
                Ok(None)
            }
            _ => Ok(stretch.replace(Self::begin(at_ms, value))),
        }
    }

    /// A counter that began anew counts from zero.
    fn then(&mut self, later: Self) {
        if !self.goes_on_in(&later) {
            self.resets += 1;
            self.last = 0.0;
        }
        let could_be = later.first - self.last <= MOST_CORES * seconds(self.counted_ms, later.first_ms);
        if !could_be {
            self.last = later.first;
        }
        self.count(later.first_ms, later.first);
        let Self { first_ms: _, first: _, last_ms, changed_ms, last, increase, max_cores, samples, resets, .. } = later;
        if increase > 0.0 {
            (self.changed_ms, self.repeats) = (changed_ms, later.repeats);
        } else {
            self.repeats = self.repeats.saturating_add(later.repeats - 1);
        }
        self.rate_from = (later.rate_from.0, later.rate_from.1 + self.increase);
        self.increase += increase;
        (self.last, self.last_ms, self.counted_ms) = (last, last_ms, later.counted_ms);
        self.max_cores = self.max_cores.into_iter().chain(max_cores).reduce(f64::max);
        self.samples = self.samples.saturating_add(samples);
        self.resets += resets;
        self.went_back |= later.went_back;
        later.stills.iter().for_each(|still| quiet::keep(&mut self.stills, *still));
        CpuDay::then(&mut self.days, &later.days);
        (self.held, self.low, self.caught_up) = (later.held, later.low, later.caught_up);
    }

    fn span(&self) -> (i64, i64) {
        (self.first_ms, self.last_ms)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::super::tests::folded;
    use super::*;

    fn cpu(samples: &[(i64, f64)]) -> Vec<CpuStretch> {
        folded(samples, false)
    }

    /// A counter at these cores every 30 s, but for changed samples by their number.
    fn counter(cores: f64, samples: i64, changed: &[(i64, f64)]) -> Vec<(i64, f64)> {
        let of = |i: i64| changed.iter().find(|(at, _)| *at == i).map_or(30.0 * cores * i as f64, |(_, value)| *value);
        (0..samples).map(|i| (30 * i, of(i))).collect()
    }

    #[test]
    fn cpu_seconds_are_the_counter_not_a_rate() {
        let one = cpu(&[(15, 13.5), (45, 40.5), (75, 67.5)]);
        assert_eq!(one.len(), 1);
        assert_eq!((one[0].first, one[0].increase), (13.5, 54.0));
        assert_eq!(one[0].max_cores, Some(0.9));
    }

    #[rstest]
    #[case::hundredths_of_a_second(&[(50, 49.0 * 120.0 - 0.02)])]
    #[case::an_older_value_again(&[(20, 600.0), (40, 4500.0)])]
    #[case::zero(&[(20, 0.0), (40, 0.0), (41, 0.0)])]
    #[case::at_the_end(&[(59, 58.0 * 120.0 - 1.0)])]
    #[case::a_spike(&[(30, 1.7e9)])]
    #[case::a_spike_that_could_be(&[(30, 24_000.0)])]
    #[case::a_first_sample_far_up(&[(0, 1.7e9)])]
    fn a_sample_out_of_place_changes_nothing(#[case] changed: &[(i64, f64)], #[values(true, false)] is_one: bool) {
        let all: Vec<CpuStretch> = folded(&counter(4.0, 60, changed), is_one);
        assert_eq!(all.len(), 1, "{all:#?}");
        let total = all[0].total();
        assert!((total - 59.0 * 120.0).abs() <= 121.0, "{total}: {all:#?}");
        assert!((all[0].max_cores.unwrap() - 4.0).abs() < 0.01, "{all:#?}");
        assert_eq!(all[0].resets, 0);
    }

    #[test]
    fn an_older_replica_between_the_samples_adds_nothing() {
        // Every second sample is a second behind the one just before it.
        let pairs = (1..200).flat_map(|i| [(30 * i, 150.0 * i as f64), (30 * i + 1, 150.0 * i as f64 - 1.0)]);
        let one: Vec<CpuStretch> = folded(&pairs.collect::<Vec<_>>(), true);
        assert!((one[0].increase - 198.0 * 150.0).abs() < 1.0 && one[0].went_back, "{one:#?}");
        assert!((one[0].max_cores.unwrap() - 5.0).abs() < 0.01, "{one:#?}");
        // Every second sample is of a scraper that stopped long ago.
        let frozen = (1..200).flat_map(|i| [(30 * i, 150.0 * i as f64), (30 * i + 15, 90.0)]);
        let one: Vec<CpuStretch> = folded(&frozen.collect::<Vec<_>>(), true);
        assert!((one[0].increase - 198.0 * 150.0).abs() < 1.0, "{one:#?}");
    }

    #[rstest]
    fn a_reset_in_place_counts_from_zero(#[values(true, false)] is_one: bool) {
        let reset: Vec<CpuStretch> = folded(&[(0, 10.0), (30, 37.0), (60, 9.0), (90, 36.0), (120, 63.0)], is_one);
        assert_eq!((reset.len(), reset[0].increase, reset[0].resets), (1, 90.0, 1));
        assert_eq!(reset[0].went_back, is_one);
    }

    #[test]
    fn a_gap_parts_lives_that_nothing_tells_apart() {
        let instances = cpu(&[(0, 10.0), (30, 37.0), (86_400, 9.0)]);
        assert_eq!(instances.len(), 2);
        assert!(!instances[0].goes_on_in(&instances[1]));
        // Ten minutes without a sample after one each half-minute.
        let pod = |from: i64| (0..100).map(move |i| (from + 30 * i, 30.0 * i as f64));
        let instances = cpu(&pod(0).chain(pod(3600)).collect::<Vec<_>>());
        assert_eq!(instances.iter().map(|l| l.increase).collect::<Vec<_>>(), [2970.0, 2970.0]);
        // One sample that is missing does not; nor does any gap within one cgroup.
        assert_eq!(cpu(&[(0, 1.0), (30, 2.0), (60, 3.0), (120, 4.0)]).len(), 1);
        assert_eq!(folded::<CpuStretch>(&[(0, 10.0), (30, 37.0), (86_400, 90.0)], true).len(), 1);
    }

    #[test]
    fn lingering_samples_do_not_move_the_last_change() {
        let one = cpu(&[(0, 10.0), (30, 37.0), (60, 37.0), (90, 37.0)]);
        assert_eq!((one[0].changed_ms, one[0].is_still()), (30_000, true));
    }

    #[test]
    fn a_counter_that_catches_up_was_frozen_and_a_sleeper_was_not() {
        let at = |i: i64| 60.0 * i as f64;
        let frozen: Vec<_> = (0..120).map(|i| (30 * i, if (20..80).contains(&i) { at(20) } else { at(i) })).collect();
        let one = cpu(&frozen).swap_remove(0);
        assert_eq!(one.stills, [Quiet { from_ms: 600_000, to_ms: 2_370_000 }]);
        assert!((one.max_cores.unwrap() - 2.0).abs() < 0.1, "{one:#?}");
        let slept: Vec<_> = (0..120).map(|i| (30 * i, at(i.min(20) + (i - 80).max(0)))).collect();
        assert_eq!(cpu(&slept)[0].stills, []);
    }

    #[test]
    fn a_counter_that_jumps_adds_nothing() {
        let used = |jump: f64, until: i64| {
            let mut open = None;
            let mut out_of_range = 0;
            for i in 0..60 {
                let by = if (20..until).contains(&i) { jump } else { 0.0 };
                let sample = Sample { at_ms: i * 30_000, value: 27.0 * i as f64 + by };
                out_of_range += usize::from(CpuStretch::push(&mut open, sample, true).is_err());
            }
            let s = open.unwrap();
            (s.increase.round(), s.max_cores.unwrap().round(), out_of_range)
        };
        let plain = 27.0 * 59.0;
        // A spike of one sample, and a counter that is moved up for good: the first sample there cannot be judged.
        assert_eq!(used(1e9, 21), (plain, 1.0, 1));
        assert_eq!(used(1e9, 60), (plain - 27.0, 1.0, 1));
        assert_eq!(used(1e5, 60), (plain - 27.0, 1.0, 1));
    }

    #[test]
    fn a_burst_is_believed_when_it_goes_on() {
        let burst: Vec<_> = (0..40).map(|i| (30 * i, 0.3 * i as f64 + 960.0 * (i - 30).max(0) as f64)).collect();
        let one = cpu(&burst).swap_remove(0);
        assert!((one.max_cores.unwrap() - 32.0).abs() < 0.1 && one.increase > 9.0 * 960.0, "{one:#?}");
    }
}
