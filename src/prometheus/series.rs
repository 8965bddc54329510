//! Where labelled samples come from, independent of the wire format.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::selector::{Matcher, Selector};
use super::sink::SampleStream;

pub use super::labels::Labels;
pub use super::sample::{Sample, SeriesChunk, TimeRange};

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

    /// Whether all samples cost little more than the last ones: where that is so, whether a value changed is seen in them,
    /// and [`Self::changed`] is a question too many.
    fn streams_samples(&self) -> impl Future<Output = bool> + Send {
        std::future::ready(true)
    }

    /// The labels of the selected series whose value is not the same all over the range.
    fn changed(
        &self,
        selector: &Selector,
        range: TimeRange,
    ) -> impl Future<Output = Result<Vec<Arc<Labels>>, super::Error>> + Send {
        async move { changed_among(self.samples(selector, range).await?).await }
    }

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

    /// The names of the labels of the selected series inside the range; a server may look at whole blocks of time
    /// around it.
    fn label_names(
        &self,
        selector: &Selector,
        range: TimeRange,
    ) -> impl Future<Output = Result<BTreeSet<String>, super::Error>> + Send {
        names_by_last(self, selector, range)
    }

    /// The values of a label among the selected series inside the range, by the same rules; those without it give none.
    fn label_values(
        &self,
        label: &str,
        selector: &Selector,
        range: TimeRange,
    ) -> impl Future<Output = Result<BTreeSet<String>, super::Error>> + Send {
        values_by_last(self, label, selector, range)
    }

    /// How many samples the selected series have inside the range, each series counted as at least `least`, stale and NaN
    /// ones perhaps among them; `None` where the source cannot tell without sending them all.
    fn count(&self, _selector: &Selector, _range: TimeRange, _least: u64) -> impl Future<Output = Option<u64>> + Send {
        std::future::ready(None)
    }

    /// Takes what the source said, since the last call, of answers that it gave although something was missing in them;
    /// empty when all were whole.
    fn take_incomplete(&self) -> Vec<String> {
        Vec::new()
    }

    /// What to call this source in messages, without credentials.
    fn describe(&self) -> String;
}

/// The labels of the series in a stream whose value is not the same in all of it.
pub(crate) async fn changed_among(mut stream: SampleStream) -> Result<Vec<Arc<Labels>>, super::Error> {
    let mut series: HashMap<Arc<Labels>, (f64, bool)> = HashMap::new();
    while let Some(chunk) = stream.recv().await {
        let chunk = chunk?;
        for sample in &chunk.samples {
            let (first, changed) = series.entry(Arc::clone(&chunk.labels)).or_insert((sample.value, false));
            *changed |= *first != sample.value;
        }
    }
    Ok(series.into_iter().filter(|(_, (_, changed))| *changed).map(|(labels, _)| labels).collect())
}

/// The names of the labels of series, from the series themselves.
pub(crate) async fn names_by_last<S: SeriesSource + ?Sized>(
    source: &S,
    selector: &Selector,
    range: TimeRange,
) -> Result<BTreeSet<String>, super::Error> {
    let mut names = BTreeSet::new();
    let mut series = source.last(selector, range).await?;
    while let Some(chunk) = series.recv().await {
        for (name, _) in chunk?.labels.iter() {
            if !names.contains(name) {
                names.insert(name.to_owned());
            }
        }
    }
    Ok(names)
}

/// The values of a label among series, from the series themselves.
pub(crate) async fn values_by_last<S: SeriesSource + ?Sized>(
    source: &S,
    label: &str,
    selector: &Selector,
    range: TimeRange,
) -> Result<BTreeSet<String>, super::Error> {
    let mut values = BTreeSet::new();
    let mut series = source.last(selector, range).await?;
    while let Some(chunk) = series.recv().await {
        if let Some(value) = chunk?.labels.get(label)
            && !values.contains(value)
        {
            values.insert(value.to_owned());
        }
    }
    Ok(values)
}
