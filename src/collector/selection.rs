//! Asks a source for the series of namespaces, whichever of two labels names them.
//! Reads no sample.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::metrics::{CPU, LAST_OF_CONTAINERS, LAST_OF_OBJECTS, MEMORY, Scope};
use super::names::{EXPORTED_NAMESPACE, NAMESPACE};
use crate::prometheus::{Error, Labels, Matcher, SampleStream, Selector, SeriesSource, TimeRange};

/// A source in which a selector of namespaces also finds the series whose namespace was renamed (see
/// [`super::names`]).
pub(super) struct Selection<'a, S> {
    source: &'a S,
    /// Whether there may be such series; each of them costs a question more.
    has_renamed: bool,
}

impl<'a, S: SeriesSource> Selection<'a, S> {
    /// For this scope and window.
    pub(super) async fn new(source: &'a S, scope: &Scope, window: TimeRange) -> Self {
        let mut has_renamed = !scope.namespaces.is_empty();
        if has_renamed {
            let metrics: Vec<&str> =
                [MEMORY, CPU].into_iter().chain(LAST_OF_CONTAINERS).chain(LAST_OF_OBJECTS).collect();
            let matchers = renamed(&scope.anything(MEMORY)).map(|selector| selector.matchers).unwrap_or_default();
            let found = source.metric_names_present(&metrics, window, &matchers).await;
            // A server that does not answer this is asked for them all the same.
            has_renamed = !found.is_ok_and(|names| names.is_empty());
        }
        Self { source, has_renamed }
    }

    fn both(&self, selector: &Selector) -> Option<(Selector, Selector)> {
        let renamed = renamed(selector).filter(|_| self.has_renamed)?;
        Some((selector.clone().equal(EXPORTED_NAMESPACE, ""), renamed))
    }
}

/// The selector of the same namespaces where they were renamed; `None` where it selects all namespaces.
fn renamed(selector: &Selector) -> Option<Selector> {
    let mut renamed = selector.clone();
    let label = renamed.matchers.iter_mut().find(|m| m.label == NAMESPACE)?;
    EXPORTED_NAMESPACE.clone_into(&mut label.label);
    Some(renamed)
}

impl<S: SeriesSource> SeriesSource for Selection<'_, S> {
    async fn samples(&self, selector: &Selector, range: TimeRange) -> Result<SampleStream, Error> {
        let Some((plain, renamed)) = self.both(selector) else { return self.source.samples(selector, range).await };
        let first = self.source.samples(&plain, range).await?;
        Ok(first.followed_by(self.source.samples(&renamed, range).await?))
    }

    async fn last(&self, selector: &Selector, range: TimeRange) -> Result<SampleStream, Error> {
        let Some((plain, renamed)) = self.both(selector) else { return self.source.last(selector, range).await };
        let first = self.source.last(&plain, range).await?;
        Ok(first.followed_by(self.source.last(&renamed, range).await?))
    }

    async fn streams_samples(&self) -> bool {
        self.source.streams_samples().await
    }

    async fn changed(&self, selector: &Selector, range: TimeRange) -> Result<Vec<Arc<Labels>>, Error> {
        let Some((plain, renamed)) = self.both(selector) else { return self.source.changed(selector, range).await };
        let mut changed = self.source.changed(&plain, range).await?;
        changed.extend(self.source.changed(&renamed, range).await?);
        Ok(changed)
    }

    async fn metric_names_present(
        &self,
        names: &[&str],
        range: TimeRange,
        matchers: &[Matcher],
    ) -> Result<BTreeSet<String>, Error> {
        self.source.metric_names_present(names, range, matchers).await
    }

    async fn label_names(&self, selector: &Selector, range: TimeRange) -> Result<BTreeSet<String>, Error> {
        let Some((plain, renamed)) = self.both(selector) else { return self.source.label_names(selector, range).await };
        let mut all = self.source.label_names(&plain, range).await?;
        all.extend(self.source.label_names(&renamed, range).await?);
        Ok(all)
    }

    async fn label_values(
        &self,
        label: &str,
        selector: &Selector,
        range: TimeRange,
    ) -> Result<BTreeSet<String>, Error> {
        let Some((plain, renamed)) = self.both(selector) else {
            return self.source.label_values(label, selector, range).await;
        };
        let mut all = self.source.label_values(label, &plain, range).await?;
        all.extend(self.source.label_values(label, &renamed, range).await?);
        Ok(all)
    }

    async fn count(&self, selector: &Selector, range: TimeRange, least: u64) -> Option<u64> {
        let Some((plain, renamed)) = self.both(selector) else {
            return self.source.count(selector, range, least).await;
        };
        match (self.source.count(&plain, range, least).await, self.source.count(&renamed, range, least).await) {
            (None, None) => None,
            (plain, renamed) => Some(plain.unwrap_or(0).saturating_add(renamed.unwrap_or(0))),
        }
    }

    fn take_incomplete(&self) -> Vec<String> {
        self.source.take_incomplete()
    }

    fn describe(&self) -> String {
        self.source.describe()
    }
}
