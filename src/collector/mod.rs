//! From series to runs: asks for what is new, slice by slice, puts instances together, joins them with what is known of
//! their pods, and hands runs to the store. Memory is bounded by what lives in one slice, not by the window.

mod advance;
mod autoscalers;
mod bound;
mod carried;
mod cgroup;
mod clusters;
mod dated;
mod dates;
pub mod day;
mod days;
#[cfg(test)]
mod days_tests;
mod drain;
pub mod executors;
mod fact_group;
pub mod finish;
pub mod flink;
mod flink_memory;
mod gaps;
mod gathered;
pub mod identity;
mod incomplete;
pub mod instance;
pub mod jvm;
#[cfg(test)]
mod late_tests;
pub mod metrics;
mod names;
mod nodes;
pub mod objects;
mod open_instances;
mod outcome;
mod plausible;
mod pod_object;
mod quiet;
mod read;
pub mod runs_csv;
mod scrapers;
mod selection;
mod slice;
mod slicing;
mod sources;
pub mod stretch;
mod unsampled;

use std::collections::{BTreeMap, BTreeSet, HashSet};

use serde::Serialize;

use crate::fit::Allocatable;
use crate::history::{Store, StoreError};
use crate::prometheus::{Error as SourceError, SeriesSource, TimeRange};
use crate::workload::WorkloadKey;
use advance::advance;
use bound::Bound;
use carried::{CARRIED, Carried};
use clusters::Clusters;
use day::DAY_MS;
use gaps::Counts;
use incomplete::Incomplete;
use metrics::Scope;
use read::Read;
use selection::Selection;

pub use autoscalers::is_scaled;
pub use identity::{KnownPods, Who};

/// What to collect.
#[derive(Clone, Debug)]
pub struct Request {
    /// Which series.
    pub scope: Scope,
    /// The time to learn from; only what is newer than the store's watermark is asked for.
    pub window: TimeRange,
    /// How long before the end of the window samples may still arrive, in milliseconds: the watermark stays behind that
    /// time, so that the next collection reads it again. 0 where there is no next one.
    pub late_ms: i64,
}

/// Slices that are tried once more, shorter, after their answers broke off: of the whole collection.
const TRIES_OF_SLICES: usize = 3;
/// How long before the window the pods are kept that were seen then: a longer `--history` may be asked for next time.
const PODS_KEPT_MS: i64 = 7 * DAY_MS;

/// How far a collection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Time read, in milliseconds.
    pub done_ms: i64,
    /// Time to be read, in milliseconds.
    pub total_ms: i64,
    /// Runs found so far.
    pub runs: u64,
}

/// What a collection found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Time slices read.
    pub slices: usize,
    /// Samples read.
    pub samples: u64,
    /// Runs found, each counted once.
    pub runs: u64,
    /// Workloads (with container) that the runs belong to.
    pub workloads: u64,
    /// Samples that no metric can have (negative, beyond any machine) and that were left out.
    pub samples_out_of_range: u64,
    /// Instances of containers that no workload could be named for: namespace, reason, how many, an example.
    pub unidentified: Vec<Unidentified>,
    /// Instances that only their pod's name told of, by namespace.
    pub by_name: BTreeMap<String, u64>,
    /// What was missing and what to do about it.
    pub gaps: Vec<String>,
    /// What the largest node that kube-state-metrics told of can give to pods.
    #[serde(skip)]
    pub largest_node: Allocatable,
}

/// Instances without a workload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unidentified {
    /// Their namespace.
    pub namespace: String,
    /// Why.
    pub reason: String,
    /// How many.
    pub instances: u64,
    /// One pod of them.
    pub example: String,
}

/// Why a collection stopped. What was read before is kept; the next one goes on from there.
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    /// The source failed.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The source failed after a part was read.
    #[error("{error}; all until {until} is kept, and the next time it goes on from there")]
    Partway {
        /// Why it failed.
        error: SourceError,
        /// Up to where all was read and put into the store.
        until: jiff::Timestamp,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Series of several clusters would become the same workloads.
    #[error("{0}")]
    Clusters(String),
    /// The store was filled with other series labels.
    #[error(
        "what {path} remembers was read {had}, and is not mixed with what is read {wanted}: give another --store, or the \
         same --series-label and jobs"
    )]
    OtherSeries {
        /// The store.
        path: String,
        /// With which matchers it was filled.
        had: String,
        /// With which it should be filled now.
        wanted: String,
    },
}

impl Summary {
    /// Whose instances could not be named, and which were by their names alone.
    fn say_who(&mut self, who: &Who) {
        self.unidentified = who
            .unidentified()
            .map(|(namespace, reason, instances, example)| Unidentified {
                namespace: namespace.to_owned(),
                reason: reason.to_owned(),
                instances,
                example: example.to_owned(),
            })
            .collect();
        self.by_name.clone_from(who.by_name());
    }
}

/// Collects what is new and commits it slice by slice.
///
/// # Errors
/// [`CollectError`]; slices done before are kept, and the next call goes on after them.
pub async fn collect<S: SeriesSource>(
    source: &S,
    store: &Store,
    request: &Request,
    who: &mut Who,
    mut progress: impl FnMut(Step),
) -> Result<Summary, CollectError> {
    let id = format!("{} {}", source.describe(), request.scope.describe());
    same_series(store, &request.scope)?;
    let (mut carried, from_ms) = resume(store, &id, request)?;
    let alive = who.known.to_remember(request.window.end_ms);
    if !alive.is_empty() {
        store.remember_pods(alive)?;
    }
    let end_ms = request.window.end_ms;
    let settled = settled_until(request, from_ms);
    let mut summary = Summary::default();
    let mut bound = Bound::new(store.workloads()?);
    let mut found: HashSet<WorkloadKey> = HashSet::new();
    let mut metrics_seen: BTreeSet<&'static str> = BTreeSet::new();
    let mut counts = Counts::default();
    let source = &Selection::new(source, &request.scope, request.window).await;
    let mut incomplete = Incomplete::default();
    let in_turn = match clusters::look(source, &request.scope, request.window).await? {
        Clusters::One => None,
        Clusters::InTurn(note) => Some(note),
        Clusters::Several(problem) => return Err(CollectError::Clusters(problem)),
    };
    let (mut of_containers, mut of_pods) = (scrapers::Found::default(), scrapers::Found::default());
    let mut slice_ms = slicing::first(source, &request.scope, TimeRange { start_ms: from_ms, end_ms }).await;
    let mut start_ms = from_ms;
    let mut again = TRIES_OF_SLICES;
    // What came before the slices was about nobody's samples.
    source.take_incomplete();
    let total_ms = (end_ms - from_ms).max(0);
    progress(Step { done_ms: 0, total_ms, runs: 0 });
    while start_ms <= end_ms {
        // What is settled and what is not are never in one slice.
        let last_ms = if start_ms <= settled { settled } else { end_ms };
        let range = TimeRange { start_ms, end_ms: start_ms.saturating_add(slice_ms - 1).min(last_ms) };
        let mut read = match Read::slice(source, &request.scope, range, &carried.instances.before()).await {
            Ok(read) => read,
            Err(error) if again > 0 && error.broke_off() && slice_ms > slicing::SHORTEST_MS => {
                again -= 1;
                slice_ms = (slice_ms.min(range.end_ms - start_ms + 1) / 2).max(slicing::SHORTEST_MS);
                source.take_incomplete();
                continue;
            }
            Err(error) => return Err(stopped(error, store, &id, from_ms)),
        };
        let missing = source.take_incomplete();
        let is_whole = missing.is_empty();
        incomplete.add(range, missing);
        carried.watched_from_ms.get_or_insert(range.start_ms);
        summary.samples_out_of_range += read.slice.out_of_range;
        summary.samples += read.slice.samples;
        metrics_seen.append(&mut read.metrics_seen);
        of_containers.join(std::mem::take(&mut read.containers));
        of_pods.join(std::mem::take(&mut read.pods));
        counts.pods += read.objects.len() as u64;
        counts.with_labels += read.objects.pods_with_labels;
        let held = (read.slice.samples, read.slice.series(), read.objects.len() as u64);
        let mut runs = advance(&mut carried, read, range, range.end_ms == end_ms, who, |ns, pod| {
            store.pods_named(ns, pod).unwrap_or_default()
        });
        runs.retain(|(key, _)| bound.takes(key));
        found.extend(runs.iter().map(|(key, _)| key.clone()));
        let committed = if range.end_ms <= settled && incomplete.is_empty() {
            let open = postcard::to_extend(&carried, CARRIED.to_vec()).unwrap_or_default();
            store.commit(&id, range.end_ms, &open, runs)?
        } else {
            store.commit_provisionally(&id, is_whole, runs)?
        };
        summary.runs += committed.new as u64;
        summary.slices += 1;
        start_ms = range.end_ms.saturating_add(1);
        progress(Step { done_ms: start_ms - from_ms, total_ms, runs: summary.runs });
        slice_ms = slicing::next(source, &request.scope, start_ms, slice_ms, held, end_ms).await;
    }
    prune_pods(store, from_ms, request.window)?;
    summary.workloads = found.len() as u64;
    summary.say_who(who);
    // A moment without data says nothing of what is missing.
    if request.window.end_ms - request.window.start_ms >= slicing::SHORTEST_MS {
        if from_ms > request.window.start_ms {
            gaps::look_back(source, &request.scope, request.window, &mut metrics_seen, &mut counts).await?;
        }
        summary.gaps = match gaps::of(&metrics_seen, &counts, &request.scope) {
            Some(gaps) => gaps,
            None => vec![gaps::nothing(source, &request.scope, request.window).await],
        };
    }
    if let Some(unnamed) = of_containers.unnamed() {
        // Where no series names its pod, nothing else is to blame.
        if !of_containers.has_named() {
            summary.gaps.clear();
        }
        summary.gaps.push(unnamed);
    }
    summary.gaps.extend(incomplete.note());
    summary.gaps.extend(of_containers.doubles("containers", "--cadvisor-job"));
    summary.gaps.extend(of_pods.doubles("pods", "--kube-state-metrics-job"));
    summary.gaps.extend(in_turn);
    summary.gaps.extend(bound.notes());
    summary.largest_node = nodes::largest(source, &request.scope, request.window).await?;
    Ok(summary)
}

/// Up to where what is read now is read for good: all but the time in which samples may still arrive. A settled part
/// that is shorter than that time is left for later, or every collection would ask twice for little.
fn settled_until(request: &Request, from_ms: i64) -> i64 {
    let late_ms = request.late_ms.max(0);
    let settled = request.window.end_ms.saturating_sub(late_ms);
    if settled.saturating_sub(from_ms) >= late_ms { settled } else { from_ms.saturating_sub(1) }
}

/// A failure, with what is kept of what came before it where that outlives this process.
fn stopped(error: SourceError, store: &Store, id: &str, from_ms: i64) -> CollectError {
    let kept = store.progress(id).ok().flatten().filter(|_| store.is_on_disk()).map(|progress| progress.watermark_ms);
    match kept.filter(|kept| *kept >= from_ms).and_then(|kept| jiff::Timestamp::from_second(kept / 1000).ok()) {
        Some(until) => CollectError::Partway { error, until },
        None => error.into(),
    }
}

/// Forgets the pods that were gone well before the window: no series of them will be asked for any more. Once a day, at
/// the first collection of the day.
fn prune_pods(store: &Store, from_ms: i64, window: TimeRange) -> Result<(), StoreError> {
    if day::day_of(from_ms) < day::day_of(window.end_ms) {
        store.prune_pods(window.start_ms.saturating_sub(PODS_KEPT_MS))?;
    }
    Ok(())
}

/// What is in a store is not to be mixed with what other labels select.
fn same_series(store: &Store, scope: &Scope) -> Result<(), CollectError> {
    let wanted = scope.labels_in_words();
    for id in store.sources()? {
        let had = Scope::labels_of(&id);
        if had != wanted {
            let path = store.path().display().to_string();
            let told = |words: &str| if words.is_empty() { "without labels".to_owned() } else { words.to_owned() };
            return Err(CollectError::OtherSeries { path, had: told(had), wanted: told(&wanted) });
        }
    }
    Ok(())
}

fn resume(store: &Store, id: &str, request: &Request) -> Result<(Carried, i64), StoreError> {
    let Some(progress) = store.progress(id)? else { return Ok((Carried::default(), request.window.start_ms)) };
    // Instances that cannot be read back are begun anew; what they were reported as so far stays in the history.
    let carried = progress.open.strip_prefix(CARRIED);
    let carried = carried.and_then(|bytes| postcard::from_bytes(bytes).ok()).unwrap_or_default();
    if progress.watermark_ms < request.window.start_ms {
        return Ok((Carried::default(), request.window.start_ms));
    }
    Ok((carried, progress.watermark_ms.saturating_add(1)))
}
