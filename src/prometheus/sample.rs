//! Labelled samples in time.

use std::sync::Arc;

use super::labels::Labels;

/// One sample. Stale markers never appear; NaN does not either.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// Milliseconds since the epoch.
    pub at_ms: i64,
    /// Value, finite or infinite, never NaN.
    pub value: f64,
}

/// Milliseconds since the epoch, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeRange {
    /// First millisecond.
    pub start_ms: i64,
    /// Last millisecond.
    pub end_ms: i64,
}

impl TimeRange {
    /// True when the time is inside, both ends included.
    pub fn contains(&self, at_ms: i64) -> bool {
        self.start_ms <= at_ms && at_ms <= self.end_ms
    }

    /// Milliseconds inside, both ends included; 0 when the end is before the start.
    pub fn len_ms(&self) -> u64 {
        if self.end_ms < self.start_ms { 0 } else { self.end_ms.abs_diff(self.start_ms).saturating_add(1) }
    }
}

/// About how many samples a chunk holds that is made here.
pub(crate) const PIECE: usize = 4096;

/// Some samples of one series, in time order.
#[derive(Clone, Debug, PartialEq)]
pub struct SeriesChunk {
    /// The labels of the series.
    pub labels: Arc<Labels>,
    /// Samples in time order, without duplicates of the same time inside one chunk.
    pub samples: Vec<Sample>,
}
