//! Series in memory, as a source: for files, demonstrations and tests.
//! Knows no file format and no network.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::error::Error;
use super::matching::Matchers;
use super::remote_read::put_in_order;
use super::selector::{Matcher, Selector};
use super::series::{Labels, Sample, SeriesChunk, SeriesSource, TimeRange};
use super::sink::{SampleStream, Sink};

/// Series by metric and labels, each with its samples in order of time.
#[derive(Clone, Debug, Default)]
pub struct SeriesStore {
    name: String,
    metrics: HashMap<String, Metric>,
}

#[derive(Clone, Debug, Default)]
struct Metric {
    places: HashMap<Arc<Labels>, usize>,
    /// In order of insertion.
    series: Vec<Arc<Series>>,
}

#[derive(Clone, Debug)]
struct Series {
    labels: Arc<Labels>,
    samples: Vec<Sample>,
}

impl Series {
    /// The samples inside a range.
    fn inside(&self, range: TimeRange) -> &[Sample] {
        let from = self.samples.partition_point(|s| s.at_ms < range.start_ms);
        let to = self.samples.partition_point(|s| s.at_ms <= range.end_ms);
        self.samples.get(from..to).unwrap_or_default()
    }
}

impl SeriesStore {
    /// An empty store; the name is what [`SeriesSource::describe`] says.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), metrics: HashMap::new() }
    }

    /// Adds samples of a series, in any order. NaN is dropped; of two samples of the same time the first one stays.
    pub fn insert(&mut self, metric: impl Into<String>, labels: Labels, mut samples: Vec<Sample>) {
        samples.retain(|s| !s.value.is_nan());
        if samples.is_empty() {
            return;
        }
        put_in_order(&mut samples);
        let metric = self.metrics.entry(metric.into()).or_default();
        if let Some(place) = metric.places.get(&labels) {
            let known = &mut Arc::make_mut(&mut metric.series[*place]).samples;
            known.append(&mut samples);
            put_in_order(known);
        } else {
            let labels = Arc::new(labels);
            metric.places.insert(labels.clone(), metric.series.len());
            metric.series.push(Arc::new(Series { labels, samples }));
        }
    }

    /// Series in the store.
    pub fn series_count(&self) -> usize {
        self.metrics.values().map(|m| m.series.len()).sum()
    }

    /// Samples in the store.
    pub fn sample_count(&self) -> usize {
        self.metrics.values().flat_map(|m| &m.series).map(|s| s.samples.len()).sum()
    }

    /// From the first to the last sample; `None` when there is none.
    pub fn time_range(&self) -> Option<TimeRange> {
        let all = || self.metrics.values().flat_map(|m| &m.series);
        let start_ms = all().filter_map(|s| s.samples.first()).map(|s| s.at_ms).min()?;
        let end_ms = all().filter_map(|s| s.samples.last()).map(|s| s.at_ms).max()?;
        Some(TimeRange { start_ms, end_ms })
    }

    /// The selected series that have samples inside the range.
    fn select(&self, selector: &Selector, range: TimeRange) -> Result<Vec<Arc<Series>>, Error> {
        let matchers = Matchers::new(selector)?;
        let Some(metric) = self.metrics.get(&selector.metric) else { return Ok(Vec::new()) };
        let wanted = |s: &&Arc<Series>| matchers.accept(&selector.metric, &s.labels) && !s.inside(range).is_empty();
        Ok(metric.series.iter().filter(wanted).cloned().collect())
    }

    /// Starts a task that sends what `pick` takes of each selected series.
    fn stream(
        &self,
        selector: &Selector,
        range: TimeRange,
        pick: fn(&[Sample]) -> &[Sample],
    ) -> Result<SampleStream, Error> {
        let selected = self.select(selector, range)?;
        let (sink, stream) = Sink::new();
        tokio::spawn(async move {
            for series in selected {
                let samples = pick(series.inside(range)).to_vec();
                if sink.send(SeriesChunk { labels: series.labels.clone(), samples }).await.is_err() {
                    return;
                }
            }
            let _ = sink.flush().await;
        });
        Ok(stream)
    }
}

impl SeriesSource for SeriesStore {
    async fn samples(&self, selector: &Selector, range: TimeRange) -> Result<SampleStream, Error> {
        self.stream(selector, range, |samples| samples)
    }

    async fn last(&self, selector: &Selector, range: TimeRange) -> Result<SampleStream, Error> {
        self.stream(selector, range, |samples| &samples[samples.len().saturating_sub(1)..])
    }

    async fn metric_names_present(
        &self,
        names: &[&str],
        range: TimeRange,
        matchers: &[Matcher],
    ) -> Result<BTreeSet<String>, Error> {
        let mut present = BTreeSet::new();
        for name in names {
            let selector = Selector { metric: (*name).to_owned(), matchers: matchers.to_vec() };
            if !self.select(&selector, range)?.is_empty() {
                present.insert((*name).to_owned());
            }
        }
        Ok(present)
    }

    fn describe(&self) -> String {
        if self.name.is_empty() { "memory".to_owned() } else { self.name.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prometheus::MatchOp;

    fn labels(pod: &str) -> Labels {
        Labels::new([("pod".to_owned(), pod.to_owned())])
    }

    fn sample(at_ms: i64, value: f64) -> Sample {
        Sample { at_ms, value }
    }

    async fn all(mut stream: SampleStream) -> Vec<(String, Vec<(i64, f64)>)> {
        let mut out = Vec::new();
        while let Some(chunk) = stream.recv().await {
            let chunk = chunk.unwrap();
            let samples = chunk.samples.iter().map(|s| (s.at_ms, s.value)).collect();
            out.push((chunk.labels.get("pod").unwrap_or("").to_owned(), samples));
        }
        out
    }

    #[tokio::test]
    async fn what_goes_in_comes_out_in_order() {
        let mut store = SeriesStore::new("");
        store.insert("m", labels("a"), vec![sample(30, 3.0), sample(10, 1.0), sample(20, f64::NAN)]);
        store.insert("m", labels("b"), vec![sample(10, 7.0)]);
        store.insert("m", labels("a"), vec![sample(5, 0.5), sample(10, 9.0)]);
        store.insert("n", labels("a"), vec![sample(10, f64::NAN)]);
        assert_eq!((store.series_count(), store.sample_count()), (2, 4));
        assert_eq!(store.time_range(), Some(TimeRange { start_ms: 5, end_ms: 30 }));

        let range = TimeRange { start_ms: 10, end_ms: 30 };
        let m = Selector::metric("m");
        assert_eq!(
            all(store.samples(&m, range).await.unwrap()).await,
            [("a".to_owned(), vec![(10, 1.0), (30, 3.0)]), ("b".to_owned(), vec![(10, 7.0)])]
        );
        let not_b = m.clone().with("pod", MatchOp::NotEqual, "b");
        assert_eq!(all(store.last(&not_b, range).await.unwrap()).await, [("a".to_owned(), vec![(30, 3.0)])]);
        let none = TimeRange { start_ms: 31, end_ms: 9 };
        assert_eq!(all(store.samples(&m, none).await.unwrap()).await, []);
        let names = store.metric_names_present(&["m", "n", "o"], range, &[]).await.unwrap();
        assert_eq!(names.into_iter().collect::<Vec<_>>(), ["m"]);
        assert_eq!(store.describe(), "memory");
    }

    #[tokio::test]
    async fn long_series_come_in_bounded_pieces() {
        let mut store = SeriesStore::new("long");
        store.insert("m", labels("a"), (0..10_000).map(|i| sample(i, 1.0)).collect());
        let range = TimeRange { start_ms: 0, end_ms: 9_999 };
        let pieces = all(store.samples(&Selector::metric("m"), range).await.unwrap()).await;
        assert_eq!(pieces.iter().map(|p| p.1.len()).collect::<Vec<_>>(), [4096, 4096, 1808]);
        assert!(pieces.concat_times().is_sorted());
    }

    trait Times {
        fn concat_times(&self) -> Vec<i64>;
    }

    impl Times for Vec<(String, Vec<(i64, f64)>)> {
        fn concat_times(&self) -> Vec<i64> {
            self.iter().flat_map(|p| p.1.iter().map(|s| s.0)).collect()
        }
    }
}
