//! How long a slice of time may be: as many samples and series as fit in memory, in as few requests as that allows.
//! Holds no slice itself.

use super::day::DAY_MS;
use super::metrics::{MEMORY, Scope};
use crate::prometheus::{SeriesSource, TimeRange};

/// Length of the first slice of time where the source cannot count its samples; the next ones are as long as fits
/// [`SLICE_SAMPLES`], going by the one before.
const FIRST_MS: i64 = DAY_MS;
/// A slice shorter than this costs more in requests than it saves in memory.
pub(super) const SHORTEST_MS: i64 = DAY_MS / 24;
/// About how many samples a slice should hold: some tens of MB here, a second of work there.
const SLICE_SAMPLES: u64 = 1_500_000;
/// A series of a container counts as at least so many samples: what is kept of a pod while its slice is put together is
/// some KB, however short it lived. So a slice holds some 25,000 pods, each with a series of memory and one of CPU.
const SERIES_SAMPLES: u64 = 30;
/// A slice is at most this many times as long as the one before: every request costs the server the same look-up of
/// series, however short its time, and a quiet day says little of the next month.
const MOST_GROWTH: i64 = 16;
/// How long the first slice may be, from what the last day held: the least likely to have been deleted, and the likest
/// to the present.
pub(super) async fn first<S: SeriesSource>(source: &S, scope: &Scope, window: TimeRange) -> i64 {
    if window.len_ms() <= FIRST_MS.unsigned_abs() {
        return FIRST_MS;
    }
    let last_day = TimeRange { start_ms: window.end_ms - FIRST_MS + 1, ..window };
    match held(source, scope, last_day).await {
        Some(samples) if samples > 0 => fitting(FIRST_MS, samples),
        _ => FIRST_MS,
    }
}

/// How long the slice from `start_ms` on may be, after one that was to be `planned_ms` long and held so many samples,
/// series and pods; the window ends at `end_ms`. What came before says little of what comes after quiet days, so the
/// source is asked.
pub(super) async fn next<S: SeriesSource>(
    source: &S,
    scope: &Scope,
    start_ms: i64,
    planned_ms: i64,
    (samples, series, pods): (u64, u64, u64),
    end_ms: i64,
) -> i64 {
    // A pod that nobody sampled is kept like the others.
    let next_ms = fitting(planned_ms, samples.max(SERIES_SAMPLES * series.max(2 * pods)));
    let coming = TimeRange { start_ms, end_ms: start_ms.saturating_add(next_ms - 1).min(end_ms) };
    if coming.len_ms() <= SHORTEST_MS.unsigned_abs() {
        return next_ms;
    }
    match held(source, scope, coming).await {
        Some(samples) => next_ms.min(fitting(coming.end_ms - coming.start_ms + 1, samples)),
        None => next_ms,
    }
}

/// About how much there is of containers; `None` where the source cannot tell.
async fn held<S: SeriesSource>(source: &S, scope: &Scope, range: TimeRange) -> Option<u64> {
    // CPU has as many samples as memory.
    source.count(&scope.containers(MEMORY), range, SERIES_SAMPLES).await.map(|samples| samples.saturating_mul(2))
}

/// The length that fits, where a slice of this one held so many samples.
fn fitting(slice_ms: i64, samples: u64) -> i64 {
    let fits = slice_ms as f64 * SLICE_SAMPLES as f64 / samples.max(1) as f64;
    let most = slice_ms.saturating_mul(MOST_GROWTH);
    (fits.min(most as f64) as i64).max(SHORTEST_MS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prometheus::{Error, SampleStream, Selector};

    /// Has so many samples in each hour from a time on.
    struct Since(i64, u64);

    impl SeriesSource for Since {
        async fn samples(&self, _: &Selector, _: TimeRange) -> Result<SampleStream, Error> {
            unimplemented!("nothing is read")
        }
        async fn last(&self, _: &Selector, _: TimeRange) -> Result<SampleStream, Error> {
            unimplemented!("nothing is read")
        }
        async fn count(&self, _: &Selector, range: TimeRange, _: u64) -> Option<u64> {
            let hours = (range.end_ms + 1 - range.start_ms.max(self.0)) / SHORTEST_MS;
            Some(hours.max(0) as u64 * self.1)
        }
        fn describe(&self) -> String {
            String::new()
        }
    }

    /// The slices of 14 days, as (hours, samples).
    async fn slices(source: &Since) -> Vec<(i64, u64)> {
        let (scope, end_ms) = (Scope::default(), 14 * DAY_MS - 1);
        let mut planned_ms = first(source, &scope, TimeRange { start_ms: 0, end_ms }).await;
        let (mut start_ms, mut all) = (0, Vec::new());
        while start_ms <= end_ms {
            let range = TimeRange { start_ms, end_ms: (start_ms + planned_ms - 1).min(end_ms) };
            let samples = 2 * source.count(&scope.containers(MEMORY), range, 1).await.unwrap();
            all.push(((range.end_ms + 1 - range.start_ms) / SHORTEST_MS, samples));
            start_ms = range.end_ms + 1;
            planned_ms = next(source, &scope, start_ms, planned_ms, (samples, 0, 0), end_ms).await;
        }
        all
    }

    #[tokio::test]
    async fn no_slice_holds_much_more_than_fits_even_after_quiet_days() {
        for (quiet_days, samples_an_hour) in
            [(0, 5_000), (8, 5_000), (8, 60_000), (8, 100_000), (11, 20_000), (13, 700_000), (14, 1)]
        {
            let slices = slices(&Since(quiet_days * DAY_MS, samples_an_hour)).await;
            let most = slices.iter().map(|(_, samples)| *samples).max().unwrap();
            assert!(most <= 2 * SLICE_SAMPLES, "{quiet_days} {samples_an_hour}: {slices:?}");
            assert!(slices.len() <= 40, "{quiet_days} {samples_an_hour}: {} slices", slices.len());
        }
    }
}
