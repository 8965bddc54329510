//! The loop that keeps recommendations up to date: learns from history every so often, takes in kills at once, follows
//! the policy. On every replica it remembers the pods that were seen; only the leader writes.
//! Must not hold admission up, nor forget a kill because a write failed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::writer::{Writer, whole_second};
use crate::collector::KnownPods;
use crate::policy::Policy;
use crate::recommendation::{Kill, KillSet};
use crate::workload::{Workload, WorkloadKey};

/// After a failure, until it is tried again; a cycle is not waited for.
const RETRY: Duration = Duration::from_secs(5);
/// How often it is looked whether the policy has changed.
const LOOK: Duration = Duration::from_millis(500);

/// Learns what is new into the store.
pub type Learn = Arc<dyn Fn(KnownPods) -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

/// What the loop works with.
#[derive(Clone)]
pub struct Recommender {
    /// What writes them.
    pub writer: Writer,
    /// Learns what is new into the store; `None` without a source of history: then only kills are taken in.
    pub learn: Option<Learn>,
    /// How often.
    pub every: Duration,
    /// Pods seen by the watch and not yet remembered.
    pub known: Arc<Mutex<KnownPods>>,
}

/// Kills that are not yet in an object, by workload and container.
type Pending = BTreeMap<Workload, BTreeMap<String, KillSet>>;

impl Recommender {
    /// Runs until stopped.
    pub async fn run(
        self,
        mut leads: watch::Receiver<bool>,
        mut kills: mpsc::UnboundedReceiver<(WorkloadKey, Kill)>,
        stop: CancellationToken,
    ) {
        let mut pending = Pending::new();
        let mut due = Instant::now();
        let mut retry = None;
        let mut policy_told: Option<Option<Arc<Policy>>> = None;
        let mut cycle: Option<tokio::task::JoinHandle<Result<(), String>>> = None;
        loop {
            let leading = *leads.borrow_and_update();
            self.writer.figures.leads(leading);
            if !leading {
                policy_told = None;
            }
            tokio::select! {
                () = stop.cancelled() => {
                    if let Some(cycle) = cycle {
                        cycle.abort();
                    }
                    return;
                }
                changed = leads.changed() => {
                    if changed.is_err() {
                        return stop.cancelled().await;
                    }
                    // A new leader begins at once with what it knows.
                    due = Instant::now();
                    retry = Some(Instant::now());
                }
                Some((WorkloadKey { workload, container }, kill)) = kills.recv() => {
                    pending.entry(workload).or_default().entry(container).or_default().add(kill);
                    if leading {
                        retry = self.take_in(&mut pending).await.err().map(|why| self.later(&why));
                    }
                }
                () = until(retry), if leading && !pending.is_empty() => {
                    retry = self.take_in(&mut pending).await.err().map(|why| self.later(&why));
                }
                done = finished(&mut cycle) => {
                    cycle = None;
                    due = Instant::now() + match done {
                        Ok(()) => self.every,
                        Err(why) => {
                            self.writer.figures.failed();
                            tracing::warn!("recommendations stay as they were: {why}");
                            RETRY.max(self.every / 10).min(self.every)
                        }
                    };
                }
                () = sleep_until(due), if cycle.is_none() => {
                    let this = self.clone();
                    cycle = Some(tokio::spawn(async move { this.cycle(leading).await }));
                }
                () = tokio::time::sleep(LOOK), if leading && cycle.is_none() => {
                    let policy = self.writer.shared.current().policy.clone();
                    if policy_told.as_ref() != Some(&policy) {
                        // What pods are given has changed, and the objects should say so. The first look only notes it:
                        // a new leader's first cycle has said it all.
                        let is_news = policy_told.is_some();
                        if !is_news || self.writer.restate_all().await.is_ok() {
                            policy_told = Some(policy);
                        }
                    }
                }
            }
        }
    }

    fn later(&self, why: &str) -> Instant {
        self.writer.figures.failed();
        tracing::warn!("a kill is not in its recommendation yet: {why}; it is tried again");
        Instant::now() + RETRY
    }

    /// Learns and writes. Who does not lead only remembers the pods that were seen.
    async fn cycle(&self, leading: bool) -> Result<(), String> {
        let known = std::mem::take(&mut *self.known.lock().unwrap_or_else(PoisonError::into_inner));
        let now = whole_second();
        let (store, seen) = (Arc::clone(&self.writer.store), known.to_remember(now.as_millisecond()));
        let remembered = tokio::task::spawn_blocking(move || store.remember_pods(seen)).await;
        remembered.map_err(|_| "a part of podfit failed".to_owned())?.map_err(|error| error.to_string())?;
        if !leading {
            return Ok(());
        }
        let Some(learn) = &self.learn else { return Ok(()) };
        learn(known).await?;
        let written = self.writer.write_all(now).await?;
        self.writer.figures.succeeded(now);
        tracing::info!(workloads = written.workloads, changed = written.changed, "recommendations are up to date");
        Ok(())
    }

    /// Takes kills into their objects. What could not be taken in stays pending, and stops no other.
    async fn take_in(&self, pending: &mut Pending) -> Result<(), String> {
        let now = whole_second();
        let mut failed = None;
        for (workload, kills) in std::mem::take(pending) {
            if let Err(why) = self.writer.take_in(&workload, &kills, now).await {
                failed = Some(why);
                pending.insert(workload, kills);
            }
        }
        failed.map_or(Ok(()), Err)
    }
}

async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => sleep_until(Instant::now() + RETRY).await,
    }
}

async fn finished(cycle: &mut Option<tokio::task::JoinHandle<Result<(), String>>>) -> Result<(), String> {
    match cycle {
        Some(cycle) => cycle.await.unwrap_or_else(|_| Err("a part of podfit failed".to_owned())),
        None => std::future::pending().await,
    }
}
