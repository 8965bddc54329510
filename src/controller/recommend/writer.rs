//! Writes what is said of workloads: of all that something was learned of, of all after the policy has changed, of
//! those that were killed, and of those whose objects are gone. Must not decide when, nor what is said; and never writes for a replica that does not lead any more.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::mpsc;

use super::metrics::ControllerMetrics;
use super::problem::Problem;
use super::todo::{Again, Pending};
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
    ///
    /// # Errors
    /// Why none can be written. What was refused for a reason of its own is counted.
    pub(super) async fn write_all(&self, now: Timestamp) -> Result<Count, String> {
        let (sender, mut batches) = mpsc::channel::<(String, BTreeMap<Workload, Lines>)>(1);
        let (store, sizing, only) = (Arc::clone(&self.store), self.sizing, self.namespaces.clone());
        let known = self.shared.current();
        let reading = tokio::task::spawn_blocking(move || by_namespace(&store, &sizing, &only, None, &known, &sender));
        let (mut count, mut seen) = (Count::default(), BTreeSet::new());
        self.figures.begin();
        while let Some((namespace, learned)) = batches.recv().await {
            count += self.write_namespace(&namespace, &learned, now).await?;
            seen.insert(namespace);
        }
        reading.await.map_err(|_| "a part of podfit failed".to_owned())??;
        for namespace in self.namespaces_with_objects().difference(&seen) {
            count += self.write_namespace(namespace, &BTreeMap::new(), now).await?;
        }
        if count.left.is_empty() && count.unread == 0 {
            self.figures.end();
        }
        Ok(count)
    }

    /// After the policy has changed: the same numbers, another word on whether they are applied.
    ///
    /// # Errors
    /// Why none can be written.
    pub(super) async fn restate_all(&self) -> Result<Count, String> {
        let mut count = Count::default();
        for namespace in self.namespaces_with_objects() {
            let stored = match self.recommendations.list(&namespace).await {
                Ok(stored) => stored,
                Err(problem) => {
                    count += self.unread(&namespace, problem)?;
                    continue;
                }
            };
            let job_of = |stored: Stored| {
                let workload = stored.recommendation.workload.clone();
                Job { before: Some(stored), ..Job::of(&workload) }
            };
            let jobs = stored.into_iter().map(job_of);
            count += self.write_jobs(&namespace, jobs.collect(), whole_second()).await?;
        }
        Ok(count)
    }

    /// Says again of some workloads what is to be said, with what their histories tell: their objects were deleted or
    /// refused, or what their owners say on them has changed.
    ///
    /// # Errors
    /// Why none can be written.
    pub(super) async fn say_again(&self, again: &Again, now: Timestamp) -> Result<Count, String> {
        let mut by_space: BTreeMap<&str, BTreeMap<&Workload, &BTreeMap<String, Kill>>> = BTreeMap::new();
        for (workload, kills) in again {
            by_space.entry(&workload.namespace).or_default().insert(workload, kills);
        }
        let mut count = Count::default();
        for (namespace, wanted) in by_space {
            let before = match self.before(namespace, &wanted).await {
                Ok(before) => before,
                Err(problem) => {
                    let mut unread = self.unread(namespace, problem)?;
                    unread.left.extend(wanted.into_keys().cloned());
                    count += unread;
                    continue;
                }
            };
            let (sender, mut batches) = mpsc::channel(1);
            let (store, sizing, only) = (Arc::clone(&self.store), self.sizing, vec![namespace.to_owned()]);
            let (known, names) = (self.shared.current(), wanted.keys().map(|w| (*w).clone()).collect::<BTreeSet<_>>());
            let reading = tokio::task::spawn_blocking(move || {
                by_namespace(&store, &sizing, &only, Some(&names), &known, &sender)
            });
            let learned = batches.recv().await.map(|(_, learned)| learned).unwrap_or_default();
            reading.await.map_err(|_| "a part of podfit failed".to_owned())??;
            let mut before = before;
            let jobs = wanted.into_iter().map(|(workload, kills)| {
                let before = before.remove(workload);
                let lines = learned.get(workload).map(Vec::as_slice).unwrap_or_default();
                Job { before, lines, kills: kills.clone(), ..Job::of(workload) }
            });
            // Of what was never seen there is nothing to say.
            let jobs = jobs.filter(|job| job.before.is_some() || !job.lines.is_empty() || has_young(&job.kills, now));
            count += self.write_jobs(namespace, jobs.collect(), now).await?;
        }
        Ok(count)
    }

    /// The objects of some workloads of a namespace.
    async fn before(
        &self,
        namespace: &str,
        wanted: &BTreeMap<&Workload, &BTreeMap<String, Kill>>,
    ) -> Result<HashMap<Workload, Stored>, Problem> {
        if wanted.len() > CONCURRENCY {
            return Ok(by_workload(self.recommendations.list(namespace).await?));
        }
        let mut found = Vec::new();
        for workload in wanted.keys() {
            found.extend(self.recommendations.get(workload).await?);
        }
        Ok(by_workload(found))
    }

    /// A namespace whose objects cannot be read stops no other; `Err` where none can be.
    fn unread(&self, namespace: &str, problem: Problem) -> Result<Count, String> {
        match problem {
            Problem::OfAll(why) => Err(why),
            Problem::OfOne(why) => {
                self.figures.failed();
                tracing::warn!(namespace, "recommendations stay as they were: {why}");
                Ok(Count { unread: 1, ..Count::default() })
            }
        }
    }

    /// Writes what is to be said. One that is refused stops no other, and is told with all of its kind.
    async fn write_jobs(&self, namespace: &str, jobs: Vec<Job<'_>>, now: Timestamp) -> Result<Count, String> {
        let all = jobs.len();
        let mut writes: Vec<BoxFuture<'_, (Workload, Result<bool, Problem>)>> = Vec::with_capacity(all);
        for job in jobs {
            writes.push(async move { (job.workload.clone(), self.write_job(&job, now).await) }.boxed());
        }
        let mut count = Count::default();
        let mut first = None;
        let mut results = stream::iter(writes).buffer_unordered(CONCURRENCY);
        while let Some((workload, result)) = results.next().await {
            match result {
                Ok(changed) => count += Count { workloads: 1, changed: usize::from(changed), ..Count::default() },
                Err(Problem::OfAll(why)) => return Err(why),
                Err(Problem::OfOne(why)) => {
                    first.get_or_insert_with(|| format!("{workload} among them: {why}"));
                    count.left.insert(workload);
                }
            }
        }
        if let Some(why) = first {
            self.figures.failed();
            tracing::warn!(namespace, "{} of {all} recommendations stay as they were, {why}", count.left.len());
        }
        Ok(count)
    }

    async fn write_job(&self, job: &Job<'_>, now: Timestamp) -> Result<bool, Problem> {
        let learned: Vec<Learned<'_>> = job.lines.iter().map(|(line, survivors)| Learned { line, survivors }).collect();
        let until = job.before.as_ref().and_then(|stored| stored.recommendation.status.kills_until);
        let mut kills = job.kills.clone();
        kills.retain(|_, kill| until.is_none_or(|until| kill.at > until));
        let outcome = self.write(&job.workload, job.before.clone(), &learned, &kills, now).await?;
        Ok(outcome.changed)
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
        let mut before = match self.recommendations.list(namespace).await {
            Ok(stored) => by_workload(stored),
            Err(problem) => return self.unread(namespace, problem),
        };
        let mut jobs: Vec<Job<'_>> = learned
            .iter()
            .map(|(workload, lines)| Job { before: before.remove(workload), lines, ..Job::of(workload) })
            .collect();
        // Of these nothing was learned now: what was said stays, until they have not run for long.
        for (workload, stored) in before {
            let status = &stored.recommendation.status;
            if status.last_run.max(status.kills_until).is_some_and(|last| now.duration_since(last) > FORGET_AFTER) {
                self.leads().map_err(|problem| problem.to_string())?;
                if let Err(problem) = self.recommendations.delete(&stored).await {
                    self.unread(namespace, problem)?;
                }
            } else {
                jobs.push(Job { before: Some(stored), ..Job::of(&workload) });
            }
        }
        self.write_jobs(namespace, jobs, now).await
    }

    /// Says of one workload what is to be said now, over what was read or is read again.
    async fn write(
        &self,
        workload: &Workload,
        mut before: Option<Stored>,
        learned: &[Learned<'_>],
        kills: &BTreeMap<String, Kill>,
        now: Timestamp,
    ) -> Result<Outcome, Problem> {
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
                self.figures.recommended(workload, &status);
                return Ok(Outcome { status, changed: false, stored: before });
            }
            self.leads()?;
            match self.recommendations.write(workload, before.as_ref(), &status).await? {
                (Written::Stored, stored) => {
                    self.figures.recommended(workload, &status);
                    return Ok(Outcome { status, changed: true, stored });
                }
                // There is nobody left to tell, nor to size.
                (Written::NoNamespace, _) => return Ok(Outcome { status, changed: false, stored: None }),
                (Written::Overtaken, _) => before = self.recommendations.get(workload).await?,
            }
        }
        Err(Problem::OfOne("it changes too often to be written".to_owned()))
    }

    /// Takes kills into the objects of their workloads, and tells. What was taken in is no longer in `pending`; one that
    /// was refused stops no other.
    ///
    /// # Errors
    /// Why none can be written.
    pub(super) async fn take_in(&self, pending: &mut Pending, now: Timestamp) -> Result<(), String> {
        let tries: Vec<_> = std::mem::take(pending).into_iter().collect();
        let mut writes: Vec<BoxFuture<'_, (usize, Result<(), Problem>)>> = Vec::with_capacity(tries.len());
        for (n, (workload, kills)) in tries.iter().enumerate() {
            writes.push(async move { (n, self.take_in_one(workload, kills, now).await) }.boxed());
        }
        let mut taken_in = BTreeSet::new();
        let mut results = stream::iter(writes).buffer_unordered(CONCURRENCY);
        let mut held_up = None;
        while let Some((n, result)) = results.next().await {
            match result {
                Ok(()) => {
                    taken_in.insert(n);
                }
                Err(Problem::OfOne(why)) => {
                    self.figures.failed();
                    let (workload, _) = &tries[n];
                    let namespace = &workload.namespace;
                    tracing::warn!(namespace, %workload, "a kill is not in its recommendation yet: {why}");
                }
                Err(Problem::OfAll(why)) => {
                    held_up = Some(why);
                    break;
                }
            }
        }
        drop(results);
        let left = tries.into_iter().enumerate().filter(|(n, _)| !taken_in.contains(n));
        pending.extend(left.map(|(_, (workload, kills))| (workload, kills)));
        held_up.map_or(Ok(()), Err)
    }

    async fn take_in_one(
        &self,
        workload: &Workload,
        kills: &BTreeMap<String, KillSet>,
        now: Timestamp,
    ) -> Result<(), Problem> {
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

    fn leads(&self) -> Result<(), Problem> {
        if self.term.holds() { Ok(()) } else { Err(Problem::OfAll("this replica does not lead any more".to_owned())) }
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

/// A workload of which something is to be said.
struct Job<'a> {
    workload: Workload,
    /// Its object as it was read.
    before: Option<Stored>,
    /// What was learned of it now.
    lines: &'a [(Line, Vec<Survivor>)],
    /// Kills that its object had taken in before it was deleted.
    kills: BTreeMap<String, Kill>,
}

impl Job<'_> {
    fn of(workload: &Workload) -> Self {
        Self { workload: workload.clone(), before: None, lines: &[], kills: BTreeMap::new() }
    }
}

/// What became of one workload's object.
struct Outcome {
    status: Status,
    changed: bool,
    stored: Option<Stored>,
}

/// How many workloads were looked at, and of how many something else is said now.
#[derive(Clone, Debug, Default)]
pub(super) struct Count {
    pub(super) workloads: usize,
    pub(super) changed: usize,
    /// Those that were refused.
    pub(super) left: BTreeSet<Workload>,
    /// Namespaces whose objects could not be read.
    pub(super) unread: usize,
}

impl std::ops::AddAssign for Count {
    fn add_assign(&mut self, other: Self) {
        self.workloads += other.workloads;
        self.changed += other.changed;
        self.left.extend(other.left);
        self.unread += other.unread;
    }
}

fn by_workload(stored: Vec<Stored>) -> HashMap<Workload, Stored> {
    stored.into_iter().map(|stored| (stored.recommendation.workload.clone(), stored)).collect()
}

/// Whether any of them is so young that it is not to be forgotten.
fn has_young(kills: &BTreeMap<String, Kill>, now: Timestamp) -> bool {
    kills.values().any(|kill| now.duration_since(kill.at) <= FORGET_AFTER)
}

/// Reads histories, sizes them, and hands them over a namespace at a time; of `wanted` workloads alone where some are
/// named.
fn by_namespace(
    store: &Store,
    sizing: &SizingPolicy,
    only: &[String],
    wanted: Option<&BTreeSet<Workload>>,
    known: &Snapshot,
    sender: &mpsc::Sender<(String, BTreeMap<Workload, Lines>)>,
) -> Result<(), String> {
    let mut batch: Option<(String, BTreeMap<Workload, Lines>)> = None;
    for entry in pipeline::histories(store, only).map_err(|error| error.to_string())? {
        let (key, history) = entry.map_err(|error| error.to_string())?;
        if wanted.is_some_and(|wanted| !wanted.contains(&key.workload)) {
            continue;
        }
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
