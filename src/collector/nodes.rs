//! What nodes can give to pods, as kube-state-metrics tells: no size that history asks for is larger.

use super::metrics::Scope;
use crate::fit::Allocatable;
use crate::prometheus::{Error, SeriesSource, TimeRange};
use crate::quantity::Quantity;

const ALLOCATABLE: &str = "kube_node_status_allocatable";

/// The largest of each resource in the window, be it on one node or on two.
///
/// # Errors
/// The source failed.
pub(super) async fn largest<S: SeriesSource>(
    source: &S,
    scope: &Scope,
    window: TimeRange,
) -> Result<Allocatable, Error> {
    // Nodes are of no namespace.
    let scope = Scope { namespaces: Vec::new(), ..scope.clone() };
    let mut nodes = Vec::new();
    let mut series = source.last(&scope.objects(ALLOCATABLE), window).await?;
    while let Some(chunk) = series.recv().await {
        let chunk = chunk?;
        let Some(value) = chunk.samples.last().map(|s| s.value).filter(|v| (0.001..9.0e15).contains(v)) else {
            continue;
        };
        nodes.push(match chunk.labels.get("resource") {
            Some("cpu") => Allocatable { cpu: Some(Quantity::from_millis((value * 1000.0) as u64)), memory: None },
            Some("memory") => Allocatable { cpu: None, memory: Some(Quantity::from_bytes(value as u64)) },
            _ => continue,
        });
    }
    Ok(Allocatable::largest(nodes))
}
