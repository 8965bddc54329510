//! Folds the samples of one series into stretches of one container's instance, as small as possible.
//! Pure: samples in, stretches out; knows no labels and no pods. What was folded of one slice of time is folded on in
//! the next, so that it does not matter how time is cut.

mod cpu;
mod memory;

pub use cpu::CpuStretch;
pub use memory::MemoryStretch;

use super::quiet::SILENCE_MS;
use crate::prometheus::Sample;

/// From this many usual intervals on, and this long, a gap may part two instances.
const PARTING: (i64, i64) = (3, 90_000);
/// Shorter repetitions of one value are not kept.
const LEAST_STILL_MS: i64 = 5 * 60_000;
/// A value is repeated from this many samples on.
const REPEATED: u32 = 3;

/// A stretch of samples of one series.
pub trait Stretch: Sized {
    /// Takes in the next sample; gives back the finished stretch when this one begins another. With `is_one` all
    /// samples are known to be of one container, and none does. Values that the metric cannot have are not taken.
    fn push(stretch: &mut Option<Self>, sample: Sample, is_one: bool) -> Result<Option<Self>, OutOfRange>;

    /// What came after.
    fn then(&mut self, later: Self);

    /// First and last sample.
    fn span(&self) -> (i64, i64);
}

/// Whether a gap after samples of this span may part two instances.
fn parts((first_ms, last_ms): (i64, i64), samples: u32, at_ms: i64) -> bool {
    let gap_ms = at_ms - last_ms;
    gap_ms > SILENCE_MS
        || (samples > 1
            && gap_ms > PARTING.1
            && gap_ms > PARTING.0 * (last_ms - first_ms) / i64::from(samples - 1).max(1))
}

/// A value that the metric cannot have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfRange;

#[cfg(test)]
mod tests {
    use super::*;

    /// The stretches of samples at these seconds.
    pub(super) fn folded<T: Stretch>(samples: &[(i64, f64)], is_one: bool) -> Vec<T> {
        let mut open = None;
        let mut out = Vec::new();
        for &(s, value) in samples {
            out.extend(T::push(&mut open, Sample { at_ms: s * 1000, value }, is_one).ok().flatten());
        }
        out.extend(open);
        out
    }

    #[test]
    fn absurd_values_are_refused() {
        let mut memory = None;
        for value in [-1.0, 1e300, f64::INFINITY, f64::NAN] {
            assert_eq!(MemoryStretch::push(&mut memory, Sample { at_ms: 0, value }, true), Err(OutOfRange));
            assert_eq!(CpuStretch::push(&mut None, Sample { at_ms: 0, value }, true), Err(OutOfRange));
        }
        let mut counter = None;
        CpuStretch::push(&mut counter, Sample { at_ms: 0, value: 1.0 }, false).unwrap();
        assert_eq!(CpuStretch::push(&mut counter, Sample { at_ms: 1000, value: 1e9 }, false), Err(OutOfRange));
    }
}
