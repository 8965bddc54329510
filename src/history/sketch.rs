//! A quantile sketch of fixed relative error: weighted counts in logarithmic buckets, exact minimum and maximum beside.
//! Knows nothing of what it measures, of time, or of where its bytes are kept.
//!
//! The idea is that of `DDSketch` (Masson, Rim, Lee: "a fast and fully-mergeable quantile sketch with relative-error
//! guarantees", VLDB 2019): with bucket edges in geometric progression of ratio γ, any value of a bucket
//! is within a fixed share of the bucket's middle. Two things differ. Weights are kept as whole multiples of 2⁻²⁴, so
//! that addition is exact and the order of additions and merges cannot change the result. And edges are made by
//! repeated multiplication, not by logarithms, so that every machine puts a value into the same bucket.

use std::sync::LazyLock;

/// Ratio of a bucket's upper edge to its lower edge.
pub const GAMMA: f64 = 1.01;

/// Largest relative error of [`LogHistogram::quantile`] for values from [`MIN_VALUE`] to [`MAX_VALUE`]: (γ − 1) / 2.
pub const RELATIVE_ERROR: f64 = (GAMMA - 1.0) / 2.0;

/// Values below this count as zero: a thousandth of a millicore, far less than a byte's worth of anything.
pub const MIN_VALUE: f64 = 1e-6;

/// Values above this share the highest bucket; it is the largest number of bytes that Kubernetes can express, twice.
pub const MAX_VALUE: f64 = 18_446_744_073_709_551_616.0;

/// One unit of weight: weights are rounded to multiples of 1 / 2²⁴. The total is held at 2⁴⁰ (about 10¹²).
const UNITS: f64 = 16_777_216.0;

/// Lower edges of the buckets, and after the last of them its upper edge. About 5,850 buckets: this bounds the size of
/// every sketch, without any bucket ever being collapsed.
static EDGES: LazyLock<Vec<f64>> = LazyLock::new(|| {
    let mut edges = vec![MIN_VALUE];
    let mut edge = MIN_VALUE;
    while edge <= MAX_VALUE {
        edge *= GAMMA;
        edges.push(edge);
    }
    edges
});

/// A bucket of a [`LogHistogram`]: `lower <= value < upper`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bucket {
    /// Lower edge, included.
    pub lower: f64,
    /// Upper edge, excluded.
    pub upper: f64,
    /// Weight of the values inside.
    pub weight: f64,
}

/// A mergeable weighted histogram of non-negative numbers, for quantiles within [`RELATIVE_ERROR`].
///
/// Size: 16 bytes per bucket in use. The peaks of one workload fill some tens of buckets, values spread over three
/// decimal orders of magnitude at most 695, and no values whatever more than about 5,850.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LogHistogram {
    /// (bucket, weight in units), ascending by bucket, no weight zero.
    pub(super) buckets: Vec<(u16, u64)>,
    /// Weight, in units, of values below [`MIN_VALUE`].
    pub(super) zero: u64,
    /// Smallest and largest value seen.
    pub(super) range: Option<(f64, f64)>,
    /// Values turned away.
    pub(super) rejected: u64,
}

impl LogHistogram {
    /// An empty sketch.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds `value` with `weight`. Returns `false`, and counts it in [`Self::rejected`], when the value is negative or
    /// not finite, or the weight is not positive, not finite, or rounds to nothing (below 2⁻²⁵).
    pub fn add(&mut self, value: f64, weight: f64) -> bool {
        let units = (weight * UNITS).round();
        if !(value.is_finite() && value >= 0.0 && weight.is_finite() && units >= 1.0) {
            self.rejected = self.rejected.saturating_add(1);
            return false;
        }
        // A float beyond u64 becomes u64::MAX.
        self.add_units(bucket_of(value), units as u64);
        // `+ 0.0` makes -0.0 the same zero as 0.0.
        self.widen(value + 0.0, value + 0.0);
        true
    }

    /// Adds all of `other`. Exact: any order of additions and merges of the same values gives equal sketches.
    pub fn merge(&mut self, other: &Self) {
        for &(bucket, units) in &other.buckets {
            self.add_units(Some(bucket), units);
        }
        self.add_units(None, other.zero);
        if let Some((min, max)) = other.range {
            self.widen(min, max);
        }
        self.rejected = self.rejected.saturating_add(other.rejected);
    }

    fn add_units(&mut self, bucket: Option<u16>, units: u64) {
        match bucket {
            None => self.zero = self.zero.saturating_add(units),
            Some(bucket) => match self.buckets.binary_search_by_key(&bucket, |b| b.0) {
                Ok(at) => self.buckets[at].1 = self.buckets[at].1.saturating_add(units),
                Err(at) => self.buckets.insert(at, (bucket, units)),
            },
        }
    }

    fn widen(&mut self, min: f64, max: f64) {
        self.range = Some(self.range.map_or((min, max), |(low, high)| (low.min(min), high.max(max))));
    }

    /// Whether nothing was added.
    pub fn is_empty(&self) -> bool {
        self.range.is_none()
    }

    /// Smallest value added, exact.
    pub fn min(&self) -> Option<f64> {
        self.range.map(|r| r.0)
    }

    /// Largest value added, exact.
    pub fn max(&self) -> Option<f64> {
        self.range.map(|r| r.1)
    }

    /// Sum of all weights.
    pub fn total_weight(&self) -> f64 {
        self.total_units() as f64 / UNITS
    }

    /// Number of values turned away by [`Self::add`].
    pub fn rejected(&self) -> u64 {
        self.rejected
    }

    fn total_units(&self) -> u128 {
        self.buckets.iter().map(|b| u128::from(b.1)).sum::<u128>() + u128::from(self.zero)
    }

    /// The smallest value that has at least the share `q` of the weight at or below it (for equal weights the
    /// ⌈q·n⌉-th smallest), within [`RELATIVE_ERROR`]; exact at `q` = 0 (minimum) and `q` = 1 (maximum).
    /// `None` when empty or when `q` is not in 0 to 1.
    pub fn quantile(&self, q: f64) -> Option<f64> {
        let (min, max) = self.range?;
        if !(0.0..=1.0).contains(&q) {
            return None;
        }
        if q == 0.0 {
            return Some(min);
        }
        if q == 1.0 {
            return Some(max);
        }
        // Half a unit of slack keeps a rounding of `q` from asking for the next value.
        let wanted = q * self.total_units() as f64 - 0.5;
        let mut seen = u128::from(self.zero);
        if seen as f64 >= wanted {
            return Some(min);
        }
        for &(bucket, units) in &self.buckets {
            seen += u128::from(units);
            if seen as f64 >= wanted {
                let (lower, upper) = edges(bucket);
                return Some(f64::midpoint(lower, upper).clamp(min, max));
            }
        }
        Some(max)
    }

    /// Share of the weight above `x`, 0 to 1; 0 when empty. Exact outside the range seen; inside, the whole bucket that
    /// holds `x` counts as above, so the answer errs on the high side only, by at most that bucket's share.
    pub fn share_above(&self, x: f64) -> f64 {
        let Some((min, max)) = self.range else { return 0.0 };
        if x >= max || x.is_nan() {
            return 0.0;
        }
        if x < min {
            return 1.0;
        }
        let from = bucket_of(x);
        let above: u128 = self.buckets.iter().filter(|b| Some(b.0) >= from).map(|b| u128::from(b.1)).sum();
        let zero = if from.is_none() { u128::from(self.zero) } else { 0 };
        (above + zero) as f64 / self.total_units() as f64
    }

    /// The buckets in use, ascending; values below [`MIN_VALUE`] are a bucket from 0 to [`MIN_VALUE`].
    pub fn buckets(&self) -> impl Iterator<Item = Bucket> + '_ {
        let weight = |units: u64| units as f64 / UNITS;
        let zero = (self.zero > 0).then(|| Bucket { lower: 0.0, upper: MIN_VALUE, weight: weight(self.zero) });
        zero.into_iter().chain(self.buckets.iter().map(move |&(bucket, units)| {
            let (lower, upper) = edges(bucket);
            Bucket { lower, upper, weight: weight(units) }
        }))
    }
}

/// Number of buckets above the zero bucket.
pub(super) fn bucket_count() -> usize {
    EDGES.len() - 1
}

fn edges(bucket: u16) -> (f64, f64) {
    let at = usize::from(bucket).min(bucket_count() - 1);
    (EDGES[at], EDGES[at + 1])
}

/// The bucket of a non-negative value, `None` = zero.
pub(super) fn bucket_of(value: f64) -> Option<u16> {
    if value < MIN_VALUE {
        return None;
    }
    // The logarithm is only a guess (its last digit may differ between machines); the edges decide.
    let last = bucket_count() - 1;
    let mut at = (((value / MIN_VALUE).ln() / GAMMA.ln()) as usize).min(last);
    while at > 0 && EDGES[at] > value {
        at -= 1;
    }
    while at < last && EDGES[at + 1] <= value {
        at += 1;
    }
    u16::try_from(at).ok()
}
