//! Cutting a range of time into slices that a server can answer: they grow while answers are small and shrink when the
//! server finds them too large. Knows nothing of the wire.

use std::time::Duration;

use super::error::Error;
use super::sample::TimeRange;

/// The smallest slice.
const FLOOR_MS: u64 = 5 * 60_000;
/// The largest slice.
const CEILING_MS: u64 = 32 * 86_400_000;
/// A slice grows at most by this factor from one request to the next.
pub(crate) const GROWTH: u64 = 4;

/// How often a slice is halved because no answer came.
pub(crate) const SILENT_TRIES: u32 = 2;

/// Slices of a range in order of time.
#[derive(Debug)]
pub(crate) struct Slices {
    rest: TimeRange,
    length_ms: u64,
    /// No slice may be longer.
    longest_ms: u64,
    target: u64,
    silent: u32,
}

impl Slices {
    /// Slices of a range, the first of the given length, each with about `target` samples.
    pub(crate) fn new(range: TimeRange, first: Duration, target: u64) -> Self {
        let length_ms = u64::try_from(first.as_millis()).unwrap_or(CEILING_MS).clamp(FLOOR_MS, CEILING_MS);
        Self { rest: range, length_ms, longest_ms: u64::MAX, target: target.max(1), silent: 0 }
    }

    /// One slice as long as the range, as long as nothing is known against it.
    pub(crate) fn whole(range: TimeRange) -> Self {
        Self { rest: range, length_ms: range.len_ms().max(1), longest_ms: u64::MAX, target: u64::MAX, silent: 0 }
    }

    /// From now on no slice is longer, however little it holds; but for the smallest.
    pub(crate) fn bound(&mut self, longest_ms: u64) {
        self.longest_ms = longest_ms.max(FLOOR_MS);
        self.length_ms = self.length_ms.min(self.longest_ms);
    }

    /// The slice to ask for now; `None` when all is done.
    pub(crate) fn current(&self) -> Option<TimeRange> {
        let rest = self.rest.len_ms();
        if rest == 0 {
            return None;
        }
        // A short rest joins the last slice: one request less.
        let joins = rest <= self.length_ms.saturating_add(self.length_ms / 4).min(self.longest_ms);
        let length = if joins { rest } else { self.length_ms };
        Some(TimeRange { start_ms: self.rest.start_ms, end_ms: self.rest.start_ms.saturating_add_unsigned(length - 1) })
    }

    /// The current slice is done and had this many samples.
    pub(crate) fn advance(&mut self, samples: u64) {
        let Some(slice) = self.current() else { return };
        self.rest.start_ms = slice.end_ms.saturating_add(1);
        if slice.end_ms == i64::MAX {
            self.rest.end_ms = i64::MIN;
        }
        let fitting = u128::from(slice.len_ms()) * u128::from(self.target) / u128::from(samples.max(1));
        let fitting = u64::try_from(fitting).unwrap_or(u64::MAX);
        let most = self.length_ms.saturating_mul(GROWTH);
        let ceiling = CEILING_MS.min(self.longest_ms);
        self.length_ms = fitting.clamp(self.length_ms / GROWTH, most).clamp(FLOOR_MS, ceiling);
    }

    /// The current slice is too large; false when it should not get smaller. A server that does not answer at all may
    /// be hung rather than busy, so silence shrinks a slice only a few times.
    pub(crate) fn halve(&mut self, because: &Error) -> bool {
        if is_silence(because) {
            self.silent += 1;
            if self.silent > SILENT_TRIES {
                return false;
            }
        }
        let length = self.current().map_or(0, |s| s.len_ms());
        if length <= FLOOR_MS {
            return false;
        }
        self.length_ms = length.div_ceil(2).max(FLOOR_MS);
        // What was too large once is likely so again.
        self.target = (self.target / 2).max(1);
        true
    }
}

/// True where no answer came, or none that ended.
pub(crate) fn is_silence(error: &Error) -> bool {
    matches!(error, Error::Timeout { .. } | Error::Slow { .. } | Error::Endless { .. })
}

/// What to report when even the smallest slice is too much.
pub(crate) fn too_much(error: Error, slice: TimeRange) -> Error {
    let slice = Duration::from_millis(slice.len_ms());
    match error {
        Error::Rejected { url, message, .. }
        | Error::Server { url, message, .. }
        | Error::Busy { url, message, .. } => Error::TooMuch { url, slice, message },
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 86_400_000;

    fn walk(mut slices: Slices, samples_per_day: u64) -> Vec<TimeRange> {
        let mut out = Vec::new();
        while let Some(slice) = slices.current() {
            out.push(slice);
            slices.advance(samples_per_day * slice.len_ms() / DAY);
        }
        out
    }

    #[test]
    fn slices_cover_the_range_without_gap_or_overlap() {
        let range = TimeRange { start_ms: 1_000, end_ms: 1_000 + 14 * DAY.cast_signed() };
        for per_day in [0, 1, 50_000, 5_000_000, 80_000_000] {
            let slices = walk(Slices::new(range, Duration::from_secs(86_400), 5_000_000), per_day);
            assert_eq!(slices[0].start_ms, range.start_ms);
            assert_eq!(slices.last().unwrap().end_ms, range.end_ms);
            assert!(slices.windows(2).all(|w| w[0].end_ms + 1 == w[1].start_ms), "{per_day}");
        }
    }

    #[test]
    fn small_answers_need_few_requests_and_large_ones_stay_bounded() {
        let range = TimeRange { start_ms: 0, end_ms: 14 * DAY.cast_signed() - 1 };
        assert!(walk(Slices::new(range, Duration::from_secs(86_400), 5_000_000), 40_000).len() <= 4);
        let dense = walk(Slices::new(range, Duration::from_secs(86_400), 5_000_000), 50_000_000);
        assert!(dense[3..].iter().all(|s| s.len_ms() <= DAY / 8), "{dense:?}");
    }

    #[test]
    fn halving_stops_at_the_floor() {
        let range = TimeRange { start_ms: 0, end_ms: DAY.cast_signed() };
        let mut slices = Slices::new(range, Duration::from_secs(86_400), 1);
        let mut halvings = 0;
        let refused = Error::Other(String::new());
        while slices.halve(&refused) {
            halvings += 1;
            assert!(halvings < 20);
        }
        assert!(slices.current().unwrap().len_ms() <= FLOOR_MS * 5 / 4);
    }

    #[test]
    fn no_slice_is_longer_than_what_was_refused() {
        let range = TimeRange { start_ms: 0, end_ms: 10 * DAY.cast_signed() };
        let mut slices = Slices::new(range, Duration::from_secs(86_400), 5_000_000);
        slices.bound(DAY / 3);
        assert!(walk(slices, 0).iter().all(|slice| slice.len_ms() <= DAY / 3));
        assert_eq!(walk(Slices::whole(range), 0), [range]);
    }

    #[test]
    fn an_instant_and_an_empty_range() {
        let at = |start_ms, end_ms| walk(Slices::new(TimeRange { start_ms, end_ms }, Duration::ZERO, 1), 1);
        assert_eq!(at(5, 5), [TimeRange { start_ms: 5, end_ms: 5 }]);
        assert_eq!(at(6, 5), []);
    }
}
