//! What one UTC day of one container saw, while it is put together: pieces are joined in any order.
//! Knows no run and no container.

use serde::{Deserialize, Serialize};

use super::quiet::SILENCE_MS;
use crate::history::CpuUse;

/// A day in milliseconds.
pub(super) const DAY_MS: i64 = 86_400_000;
/// Width of the slices whose mean use is told apart.
const SLOT_MS: i64 = 300_000;
/// Share of a day's slices that the busy use covers.
const BUSY: f64 = 0.95;
/// A slice that was seen for less than this tells nothing.
const LEAST_OF_A_SLOT_MS: i64 = 30_000;

/// The UTC day of a moment, counted from the epoch.
pub(super) const fn day_of(at_ms: i64) -> i64 {
    at_ms.div_euclid(DAY_MS)
}

/// Memory samples of one day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryDay {
    /// The day, counted from the epoch.
    pub day: i64,
    /// Number of samples above zero.
    pub samples: u32,
    /// Highest value in bytes.
    pub max_bytes: u64,
}

/// CPU of one day, from the counter's differences.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CpuDay {
    /// The day, counted from the epoch.
    pub day: i64,
    /// CPU-seconds.
    pub used: f64,
    /// Time that this was used in, in milliseconds.
    pub seen_ms: i64,
    /// Highest mean cores between two neighbouring samples.
    pub max_cores: f64,
    /// Of five minutes each: their number in the day, the time seen in milliseconds, and CPU-seconds.
    slots: Vec<(u16, u32, f64)>,
}

impl MemoryDay {
    /// What came after.
    pub(super) fn then(days: &mut Vec<Self>, later: &[Self]) {
        for new in later {
            match days.iter_mut().rev().find(|known| known.day == new.day) {
                Some(known) => {
                    known.samples = known.samples.saturating_add(new.samples);
                    known.max_bytes = known.max_bytes.max(new.max_bytes);
                }
                None => days.push(*new),
            }
        }
    }

    /// The same time seen by another scraper.
    pub(super) fn beside(days: &mut Vec<Self>, other: &[Self]) {
        for new in other {
            match days.iter_mut().find(|known| known.day == new.day) {
                Some(known) => {
                    known.samples = known.samples.max(new.samples);
                    known.max_bytes = known.max_bytes.max(new.max_bytes);
                }
                None => days.push(*new),
            }
        }
        days.sort_unstable_by_key(|known| known.day);
    }
}

impl CpuDay {
    /// Takes in what was used between two samples, evenly, and the cores that it tells of at their highest.
    pub(super) fn spread(days: &mut Vec<Self>, from_ms: i64, to_ms: i64, used: f64, peak_cores: f64) {
        let seconds = (to_ms - from_ms) as f64 / 1000.0;
        if seconds <= 0.0 {
            return;
        }
        let cores = used / seconds;
        let tells_slots = to_ms - from_ms <= SILENCE_MS;
        let width_ms = if tells_slots { SLOT_MS } else { DAY_MS };
        let mut at_ms = from_ms;
        while at_ms < to_ms {
            let end_ms = ((at_ms.div_euclid(width_ms) + 1) * width_ms).min(to_ms);
            let part_ms = end_ms - at_ms;
            let part = cores * part_ms as f64 / 1000.0;
            let day = Self::slot_of(days, day_of(at_ms));
            day.used += part;
            day.seen_ms += part_ms;
            day.max_cores = day.max_cores.max(peak_cores);
            if tells_slots {
                day.add(((at_ms.rem_euclid(DAY_MS)) / SLOT_MS) as u16, part_ms as u32, part);
            }
            at_ms = end_ms;
        }
    }

    fn slot_of(days: &mut Vec<Self>, day: i64) -> &mut Self {
        // Nearly always the last.
        let at = days.iter().rposition(|known| known.day == day).unwrap_or_else(|| {
            days.push(Self { day, ..Self::default() });
            days.len() - 1
        });
        &mut days[at]
    }

    fn add(&mut self, slot: u16, seen_ms: u32, used: f64) {
        match self.slots.last_mut() {
            Some((last, seen, sum)) if *last == slot => {
                *seen += seen_ms;
                *sum += used;
            }
            _ => self.slots.push((slot, seen_ms, used)),
        }
    }

    /// What came after.
    pub(super) fn then(days: &mut Vec<Self>, later: &[Self]) {
        for new in later {
            let day = Self::slot_of(days, new.day);
            day.used += new.used;
            day.seen_ms += new.seen_ms;
            day.max_cores = day.max_cores.max(new.max_cores);
            for (slot, seen_ms, used) in &new.slots {
                day.add(*slot, *seen_ms, *used);
            }
        }
    }

    /// The same time seen by another scraper: of each day what was seen of most of it.
    pub(super) fn beside(days: &mut Vec<Self>, other: &[Self]) {
        for new in other {
            match days.iter_mut().find(|known| known.day == new.day) {
                Some(known) if (new.seen_ms, new.used) > (known.seen_ms, known.used) => *known = new.clone(),
                Some(_) => {}
                None => days.push(new.clone()),
            }
        }
        days.sort_unstable_by_key(|known| known.day);
    }

    /// What the slices of the day do not exceed, but for one of twenty.
    pub(super) fn busy_cores(&self) -> Option<f64> {
        let told = self.slots.iter().filter(|(_, seen_ms, _)| i64::from(*seen_ms) >= LEAST_OF_A_SLOT_MS);
        let mut cores: Vec<f64> = told.map(|(_, seen_ms, used)| used * 1000.0 / f64::from(*seen_ms)).collect();
        cores.sort_by(f64::total_cmp);
        let rank = ((cores.len() as f64 * BUSY).ceil() as usize).max(1);
        cores.get(rank - 1).copied().map(rounded)
    }

    pub(super) fn cpu_use(&self, throttled_share: Option<f64>) -> Option<CpuUse> {
        (self.seen_ms >= 1000).then(|| CpuUse {
            mean_cores: rounded(self.used * 1000.0 / self.seen_ms as f64),
            peak_cores: Some(rounded(self.max_cores)),
            throttled_share,
        })
    }
}

/// To millionths of a core: sums that were made in another order are the same number.
fn rounded(cores: f64) -> f64 {
    (cores * 1e6).round() / 1e6
}
