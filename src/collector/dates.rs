//! Reads when a thing was said, where the last word of each series does not settle it.
//! Puts nothing together.

use super::drain::drain;
use super::metrics::Scope;
use super::objects::Objects;
use crate::prometheus::{Error as SourceError, SeriesSource, TimeRange};

/// So many pods are named in one question; their names are its length.
const PODS_PER_QUESTION: usize = 200;
/// With more pods than this, all are asked for: naming them costs more than it saves.
const MOST_NAMED: usize = 2_000;

/// Reads the samples of every fact that is contested.
pub(super) async fn read_dates<S: SeriesSource>(
    source: &S,
    scope: &Scope,
    range: TimeRange,
    objects: &mut Objects,
) -> Result<(), SourceError> {
    for (group, label, pods) in objects.contested() {
        let pods: Vec<String> = pods.into_iter().collect();
        let questions: Vec<Option<&[String]>> =
            if pods.len() > MOST_NAMED { vec![None] } else { pods.chunks(PODS_PER_QUESTION).map(Some).collect() };
        for metric in group.metrics() {
            for named in &questions {
                let all = scope.objects(metric);
                let selector = named.map_or_else(|| all.clone(), |pods| all.clone().one_of(label, pods));
                let stream = source.samples(&selector, range).await?;
                drain(stream, |chunk| objects.take_samples(metric, &chunk.labels, &chunk.samples)).await?;
            }
        }
    }
    Ok(())
}
