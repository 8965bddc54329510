//! Labelled samples and where they come from, independent of the wire format.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::selector::{Matcher, Selector};

/// One sample. Stale markers never appear; NaN does not either.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// Milliseconds since the epoch.
    pub at_ms: i64,
    /// Value, finite or infinite, never NaN.
    pub value: f64,
}

/// The labels of a series, sorted by name, the metric name (`__name__`) left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Labels(Vec<(String, String)>);

impl Labels {
    /// From pairs in any order; a later duplicate wins; `__name__` and empty values are dropped, as an empty value
    /// means the same as an absent label.
    pub fn new(pairs: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut pairs: Vec<(String, String)> = pairs.into_iter().filter(|(name, _)| name != "__name__").collect();
        // Servers send labels in order and once; whoever does not is put right: of duplicates the last one counts.
        if !pairs.is_sorted_by(|a, b| a.0 < b.0) {
            pairs.reverse();
            pairs.sort_by(|a, b| a.0.cmp(&b.0));
            pairs.dedup_by(|later, first| later.0 == first.0);
        }
        pairs.retain(|(_, value)| !value.is_empty());
        Self(pairs)
    }

    /// From pairs that are most likely in order and without duplicates, as servers send them; the same rules as
    /// [`Labels::new`], without the work where there is nothing to do.
    pub(crate) fn from_pairs(mut pairs: Vec<(String, String)>) -> Self {
        if !pairs.is_sorted_by(|a, b| a.0 < b.0) {
            return Self::new(pairs);
        }
        pairs.retain(|(n, v)| n != "__name__" && !v.is_empty());
        Self(pairs)
    }

    /// The value of a label; `None` when absent.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.binary_search_by(|(n, _)| n.as_str().cmp(name)).ok().map(|i| self.0[i].1.as_str())
    }

    /// All pairs in order of name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(n, v)| (n.as_str(), v.as_str()))
    }
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

/// Some samples of one series, in time order.
#[derive(Clone, Debug, PartialEq)]
pub struct SeriesChunk {
    /// The labels of the series.
    pub labels: Arc<Labels>,
    /// Samples in time order, without duplicates of the same time inside one chunk.
    pub samples: Vec<Sample>,
}

/// Chunks as they arrive. The chunks of one series come in time order, chunks of different series in any order.
/// The channel is bounded, so a slow reader slows the server instead of filling memory.
pub type SampleStream = tokio::sync::mpsc::Receiver<Result<SeriesChunk, super::Error>>;

/// Something that answers with series: a Prometheus-compatible server, or a file.
pub trait SeriesSource: Send + Sync {
    /// Streams every sample of the selected series inside the range.
    fn samples(
        &self,
        selector: &Selector,
        range: TimeRange,
    ) -> impl Future<Output = Result<SampleStream, super::Error>> + Send;

    /// One sample per selected series: its last inside the range, with the sample's time where the source tells it
    /// and the end of the range otherwise.
    /// For series that say a thing about an object (owner, labels, limits), not a measurement.
    fn last(
        &self,
        selector: &Selector,
        range: TimeRange,
    ) -> impl Future<Output = Result<SampleStream, super::Error>> + Send;

    /// Which of these metrics have a series inside the range that passes the matchers; a server may count whole blocks
    /// of time around it.
    fn metric_names_present(
        &self,
        names: &[&str],
        range: TimeRange,
        matchers: &[Matcher],
    ) -> impl Future<Output = Result<BTreeSet<String>, super::Error>> + Send {
        async move {
            let mut present = BTreeSet::new();
            for name in names {
                let selector = Selector { metric: (*name).to_owned(), matchers: matchers.to_vec() };
                if let Some(first) = self.last(&selector, range).await?.recv().await {
                    first?;
                    present.insert((*name).to_owned());
                }
            }
            Ok(present)
        }
    }

    /// What to call this source in messages, without credentials.
    fn describe(&self) -> String;
}
