//! Writes what is said of workloads: of all that something was learned of, of all after the policy has changed, of one
//! that was killed. Must not decide when, nor what is said; and never writes for a replica that does not lead any more.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::mpsc;

use super::metrics::ControllerMetrics;
use super::write::{Recommendations, Stored, Written};
use crate::admission::{SharedState, Snapshot};
use crate::controller::lease::Term;
use crate::fit::Constraints;
use crate::fit::spark::KnownHeaps;
use crate::history::Store;
use crate::pipeline;
use crate::recommendation::in_force::{Facts, Learned, Survivor, next, survivors};
use crate::recommendation::status::Status;
use crate::recommendation::{Kill, KillSet, Line};
use crate::sizing::SizingPolicy;
use crate::workload::Workload;

/// Writes at a time.
const CONCURRENCY: usize = 8;
/// How often a write is tried again because somebody else was quicker.
const ATTEMPTS: usize = 6;
/// An object whose workload has not run for so long is deleted: longer than a quarter, so that quarterly work is kept.
const FORGET_AFTER: SignedDuration = SignedDuration::from_hours(100 * 24);

/// A workload's lines with what answers kills.
type Lines = Vec<(Line, Vec<Survivor>)>;

/// What is written with.
#[derive(Clone)]
pub struct Writer {
    /// The objects.
    pub recommendations: Recommendations,
    /// Whether this replica leads, at every write.
    pub term: Term,
    /// Where the policy is, and which namespaces have recommendations.
    pub shared: Arc<SharedState>,
    /// What was learned.
    pub store: Arc<Store>,
    /// What bounds sizes.
    pub sizing: SizingPolicy,
    /// Only these namespaces; empty = all.
    pub namespaces: Vec<String>,
    /// Who this replica is, in Events.
    pub me: String,
    /// Where it is counted.
    pub figures: Arc<ControllerMetrics>,
}

impl Writer {
    /// Says of every workload of every namespace what is to be said now.
    pub(super) async fn write_all(&self, now: Timestamp) -> Result<Count, String> {
        let (sender, mut batches) = mpsc::channel::<(String, BTreeMap<Workload, Lines>)>(1);
        let (store, sizing, only) = (Arc::clone(&self.store), self.sizing, self.namespaces.clone());
        let known = self.shared.current();
        let reading = tokio::task::spawn_blocking(move || by_namespace(&store, &sizing, &only, &known, &sender));
        let (mut count, mut seen) = (Count::default(), BTreeSet::new());
        self.figures.begin();
        // One namespace that cannot be written, such as one that is being deleted, stops no other.
        let mut failed = None;
        let mut take = |namespace: &str, written: Result<Count, String>| match written {
            Ok(written) => count += written,
            Err(why) => {
                self.figures.failed();
                tracing::warn!(namespace, "recommendations stay as they were: {why}");
                failed = Some(why);
            }
        };
        while let Some((namespace, learned)) = batches.recv().await {
            take(&namespace, self.write_namespace(&namespace, &learned, now).await);
            seen.insert(namespace);
        }
        reading.await.map_err(|_| "a part of podfit failed".to_owned())??;
        for namespace in self.namespaces_with_objects().difference(&seen) {
            take(namespace, self.write_namespace(namespace, &BTreeMap::new(), now).await);
        }
        self.figures.end();
        match failed {
            Some(why) if count.workloads == 0 => Err(why),
            _ => Ok(count),
        }
    }

    /// After the policy has changed: the same numbers, another word on whether they are applied.
    pub(super) async fn restate_all(&self) -> Result<(), String> {
        self.figures.begin();
        for namespace in self.namespaces_with_objects() {
            let restated = self.restate(&namespace).await;
            if let Err(why) = &restated {
                tracing::warn!("{why}");
            }
            restated?;
        }
        self.figures.end();
        Ok(())
    }

    async fn restate(&self, namespace: &str) -> Result<(), String> {
        let now = whole_second();
        let stored = self.recommendations.list(namespace).await?;
        let jobs = stored.into_iter().map(|before| (before.recommendation.workload.clone(), Some(before), &[][..]));
        self.write_jobs(jobs.collect(), now).await.map(|_| ())
    }

    async fn write_jobs(&self, jobs: Vec<Job<'_>>, now: Timestamp) -> Result<Count, String> {
        let mut writes: Vec<BoxFuture<'_, Result<bool, String>>> = Vec::with_capacity(jobs.len());
        for (workload, before, lines) in jobs {
            writes.push(
                async move {
                    let learned: Vec<Learned<'_>> =
                        lines.iter().map(|(line, survivors)| Learned { line, survivors }).collect();
                    let outcome = self.write(&workload, before, &learned, &BTreeMap::new(), now).await?;
                    self.figures.recommended(&workload, &outcome.status);
                    Ok(outcome.changed)
                }
                .boxed(),
            );
        }
        let mut count = Count::default();
        let mut results = stream::iter(writes).buffer_unordered(CONCURRENCY);
        while let Some(changed) = results.next().await {
            count += Count { workloads: 1, changed: usize::from(changed?) };
        }
        Ok(count)
    }

    fn namespaces_with_objects(&self) -> BTreeSet<String> {
        let known = self.shared.current();
        let with = known.namespaces.iter().filter(|(_, namespace)| !namespace.recommendations.is_empty());
        with.map(|(name, _)| name.clone()).collect()
    }

    async fn write_namespace(
        &self,
        namespace: &str,
        learned: &BTreeMap<Workload, Lines>,
        now: Timestamp,
    ) -> Result<Count, String> {
        let stored = self.recommendations.list(namespace).await?;
        let mut before: HashMap<Workload, Stored> =
            stored.into_iter().map(|stored| (stored.recommendation.workload.clone(), stored)).collect();
        let mut jobs: Vec<Job<'_>> =
            learned.iter().map(|(workload, lines)| (workload.clone(), before.remove(workload), &lines[..])).collect();
        // Of these nothing was learned now: what was said stays, until they have not run for long.
        for (workload, stored) in before {
            let last = stored.recommendation.status.last_run;
            if last.is_some_and(|last| now.duration_since(last) > FORGET_AFTER) {
                self.leads()?;
                self.recommendations.delete(&stored).await?;
            } else {
                jobs.push((workload, Some(stored), &[]));
            }
        }
        self.write_jobs(jobs, now).await
    }

    /// Says of one workload what is to be said now, over what was read or is read again.
    async fn write(
        &self,
        workload: &Workload,
        mut before: Option<Stored>,
        learned: &[Learned<'_>],
        kills: &BTreeMap<String, Kill>,
        now: Timestamp,
    ) -> Result<Outcome, String> {
        let empty = Status::default();
        for _ in 0..ATTEMPTS {
            let known = self.shared.current();
            let status = next(&Facts {
                workload,
                previous: before.as_ref().map_or(&empty, |stored| &stored.recommendation.status),
                learned,
                kills,
                policy: known.policy.as_deref(),
                is_opted_out: before.as_ref().is_some_and(|stored| stored.recommendation.is_opted_out),
                now,
            });
            if before.as_ref().is_some_and(|stored| stored.recommendation.status == status) {
                return Ok(Outcome { status, changed: false, stored: before });
            }
            self.leads()?;
            match self.recommendations.write(workload, before.as_ref(), &status).await? {
                (Written::Stored, stored) => return Ok(Outcome { status, changed: true, stored }),
                // There is nobody left to tell, nor to size.
                (Written::NoNamespace, _) => return Ok(Outcome { status, changed: false, stored: None }),
                (Written::Overtaken, _) => before = self.recommendations.get(workload).await?,
            }
        }
        Err(format!("{}/{workload} changes too often to be written", workload.namespace))
    }

    /// Takes kills of a workload into its object, and tells.
    pub(super) async fn take_in(
        &self,
        workload: &Workload,
        kills: &BTreeMap<String, KillSet>,
        now: Timestamp,
    ) -> Result<(), String> {
        let before = self.recommendations.get(workload).await?;
        let until = before.as_ref().and_then(|stored| stored.recommendation.status.kills_until);
        let news: BTreeMap<String, Kill> =
            kills.iter().filter_map(|(container, kills)| Some((container.clone(), kills.after(until)?))).collect();
        if news.is_empty() {
            return Ok(());
        }
        let outcome = self.write(workload, before, &[], &news, now).await?;
        // By whoever takes it in, so that several replicas count it once.
        self.figures.killed(workload);
        self.tell(&outcome, &news, now).await;
        Ok(())
    }

    fn leads(&self) -> Result<(), String> {
        if self.term.holds() { Ok(()) } else { Err("this replica does not lead any more".to_owned()) }
    }

    async fn tell(&self, outcome: &Outcome, news: &BTreeMap<String, Kill>, now: Timestamp) {
        let Some(stored) = &outcome.stored else { return };
        for (container, kill) in news {
            let of = outcome.status.containers.iter().find(|c| c.name == *container);
            let then = of.and_then(|c| c.recommended.memory_limit);
            let then = then.map_or_else(|| "what it asks for".to_owned(), |memory| memory.to_string());
            let (reason, note) = match kill.lowered_from {
                Some(before) => (
                    "ShrinkTakenBack",
                    format!(
                        "{container} of pod {} was killed for memory at {}, to which podfit had lowered it from \
                         {before}: the next run gets {then}, and it is not lowered again for now",
                        kill.pod, kill.limit
                    ),
                ),
                None => (
                    "KilledForMemory",
                    format!(
                        "{container} of pod {} was killed for memory at {}: the next run gets {then}",
                        kill.pod, kill.limit
                    ),
                ),
            };
            if let Err(why) = self.recommendations.tell(stored, reason, &note, &self.me, now).await {
                tracing::warn!("{why}");
            }
        }
    }
}

/// A workload, its object as it was read, and what was learned of it.
type Job<'a> = (Workload, Option<Stored>, &'a [(Line, Vec<Survivor>)]);

/// What became of one workload's object.
struct Outcome {
    status: Status,
    changed: bool,
    stored: Option<Stored>,
}

/// How many workloads were looked at, and of how many something else is said now.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Count {
    pub(super) workloads: usize,
    pub(super) changed: usize,
}

impl std::ops::AddAssign for Count {
    fn add_assign(&mut self, other: Self) {
        self.workloads += other.workloads;
        self.changed += other.changed;
    }
}

/// Reads histories, sizes them, and hands them over a namespace at a time.
fn by_namespace(
    store: &Store,
    sizing: &SizingPolicy,
    only: &[String],
    known: &Snapshot,
    sender: &mpsc::Sender<(String, BTreeMap<Workload, Lines>)>,
) -> Result<(), String> {
    let mut batch: Option<(String, BTreeMap<Workload, Lines>)> = None;
    for entry in pipeline::histories(store, only).map_err(|error| error.to_string())? {
        let (key, history) = entry.map_err(|error| error.to_string())?;
        let namespace = &key.workload.namespace;
        if batch.as_ref().is_some_and(|(name, _)| name != namespace)
            && let Some(done) = batch.take()
            && sender.blocking_send(done).is_err()
        {
            return Ok(());
        }
        let heaps = KnownHeaps { of_sizes: known.heaps(&key), ..KnownHeaps::default() };
        let line = Line::of_history(&key, &history, sizing, &Constraints::default(), &heaps);
        let (_, workloads) = batch.get_or_insert_with(|| (namespace.clone(), BTreeMap::new()));
        workloads.entry(key.workload.clone()).or_default().push((line, survivors(&history)));
    }
    if let Some(done) = batch {
        let _ = sender.blocking_send(done);
    }
    Ok(())
}

/// Now, in whole seconds: what the API server keeps of a time.
pub(super) fn whole_second() -> Timestamp {
    Timestamp::from_second(Timestamp::now().as_second()).unwrap_or_default()
}
