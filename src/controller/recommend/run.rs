//! The loop that keeps recommendations up to date: learns from history every so often, takes in kills at once, follows
//! the policy, says again what was deleted. On every replica it remembers the pods that were seen; only the leader
//! writes. What fails is tried again, later each time.
//! Must not hold admission up, nor forget a kill because a write failed.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::backoff::Backoff;
use super::todo::Todo;
use super::writer::{Writer, whole_second};
use crate::collector::KnownPods;
use crate::controller::watch::{News, OfPod};
use crate::policy::Policy;
use crate::workload::Workload;

/// After a cycle that failed it is tried again within this, and within a tenth of the time between cycles.
const LEAST_LONGEST: Duration = Duration::from_secs(5);
/// Longest time until a change of the policy that could not be stated is tried again.
const LONGEST_TO_RESTATE: Duration = Duration::from_secs(60);
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
    /// Where what is to be told of pods goes.
    pub of_pods: mpsc::Sender<OfPod>,
}

/// What a cycle leaves to be written, because it was refused; `None` where it was not to write.
type Cycle = Result<Option<BTreeSet<Workload>>, String>;

impl Recommender {
    /// Runs until stopped.
    pub async fn run(
        self,
        mut leads: watch::Receiver<bool>,
        mut news: mpsc::UnboundedReceiver<News>,
        stop: CancellationToken,
    ) {
        let mut todo = Todo::new();
        let mut due = Instant::now();
        let mut waits = Backoff::up_to(LEAST_LONGEST.max(self.every / 10).min(self.every));
        let mut policy = PolicyTold::new();
        // Counts the changes of leadership: a cycle belongs to the role that it was begun in.
        let (mut role, mut led) = (0_u64, false);
        let mut cycle: Option<(u64, JoinHandle<Cycle>)> = None;
        loop {
            let leading = *leads.borrow_and_update();
            if leading != led {
                // Here, and not where the change is waited for: it may come while something else is done. A new leader
                // begins at once, with what it knows.
                (led, role, due) = (leading, role + 1, Instant::now());
                waits.worked();
                todo.begin();
                policy = PolicyTold::new();
            }
            self.writer.figures.leads(leading);
            tokio::select! {
                () = stop.cancelled() => {
                    if let Some((_, cycle)) = cycle {
                        cycle.abort();
                    }
                    return;
                }
                changed = leads.changed() => {
                    if changed.is_err() {
                        return stop.cancelled().await;
                    }
                }
                Some(first) = news.recv() => {
                    let mut next = Ok(first);
                    while let Ok(news_now) = next {
                        self.hear(news_now, &mut todo, leading);
                        next = news.try_recv();
                    }
                }
                () = until(todo.due()), if leading => {
                    tokio::select! {
                        () = self.catch_up(&mut todo) => {}
                        () = stop.cancelled() => {}
                    }
                }
                (begun_in, done) = finished(&mut cycle) => {
                    cycle = None;
                    if begun_in != role {
                        // Whatever it came to, it was not this role's.
                        due = Instant::now();
                        continue;
                    }
                    due = Instant::now() + match done {
                        Ok(refused) => {
                            waits.worked();
                            if let Some(refused) = refused {
                                policy.is_told();
                                todo.add(refused);
                            }
                            self.every
                        }
                        Err(why) => {
                            self.writer.figures.failed();
                            let wait = waits.failed();
                            tracing::warn!("recommendations stay as they were: {why}; it is tried again in {} s", wait.as_secs());
                            wait
                        }
                    };
                }
                () = sleep_until(due), if cycle.is_none() => {
                    policy.begins_to_be_told(self.writer.shared.current().policy.clone());
                    let this = self.clone();
                    cycle = Some((role, tokio::spawn(async move { this.cycle(leading).await })));
                }
                () = sleep_until(policy.next_look), if leading && cycle.is_none() => {
                    if let Some(refused) = self.follow_the_policy(&mut policy).await {
                        todo.add(refused);
                    }
                }
            }
        }
    }

    fn hear(&self, news: News, todo: &mut Todo, leading: bool) {
        match news {
            // Of too many at once not each is told; the objects say the same.
            News::OfPod(of) if leading => {
                if self.of_pods.try_send(of).is_err() {
                    self.writer.figures.told(false);
                }
            }
            news => todo.hear(news, leading),
        }
    }

    /// Learns and writes. Who does not lead only remembers the pods that were seen.
    async fn cycle(&self, leading: bool) -> Cycle {
        let known = std::mem::take(&mut *self.known.lock().unwrap_or_else(PoisonError::into_inner));
        let now = whole_second();
        let (store, seen) = (Arc::clone(&self.writer.store), known.to_remember(now.as_millisecond()));
        let remembered = tokio::task::spawn_blocking(move || store.remember_pods(seen)).await;
        remembered.map_err(|_| "a part of podfit failed".to_owned())?.map_err(|error| error.to_string())?;
        if !leading {
            return Ok(None);
        }
        let Some(learn) = &self.learn else { return Ok(None) };
        learn(known).await?;
        let written = self.writer.write_all(now).await?;
        if written.workloads == 0 && written.unread > 0 {
            return Err("no namespace's recommendations could be read".to_owned());
        }
        self.writer.figures.succeeded(now);
        self.writer.term.has_learned(now);
        tracing::info!(
            workloads = written.workloads,
            changed = written.changed,
            refused = written.left.len(),
            "recommendations are up to date"
        );
        Ok(Some(written.left))
    }

    /// Writes kills, and what is to be said again. What could not be written stays to be done.
    async fn catch_up(&self, todo: &mut Todo) {
        let now = whole_second();
        let mut held_up = self.writer.take_in(&mut todo.kills, now).await.err();
        if held_up.is_none() && !todo.again.is_empty() {
            match self.writer.say_again(&todo.again, now).await {
                Ok(said) => todo.again.retain(|workload, _| said.left.contains(workload)),
                Err(why) => held_up = Some(why),
            }
        }
        todo.tried(held_up.is_some());
        if let Some(why) = held_up {
            self.writer.figures.failed();
            let (kills, again) = (todo.kills.len(), todo.again.len());
            tracing::warn!(kills, again, "not in the recommendations yet: {why}; it is tried again");
        }
    }

    /// Where the policy has changed, what pods are given has too, and the objects should say so. What was refused, where
    /// something was written.
    async fn follow_the_policy(&self, told: &mut PolicyTold) -> Option<BTreeSet<Workload>> {
        told.next_look = Instant::now() + LOOK;
        let policy = Told::By(self.writer.shared.current().policy.clone());
        if told.policy == policy {
            return None;
        }
        match self.writer.restate_all().await {
            Ok(restated) => {
                told.policy = policy;
                told.waits.worked();
                Some(restated.left)
            }
            Err(why) => {
                self.writer.figures.failed();
                tracing::warn!("recommendations do not follow the policy yet: {why}; it is tried again");
                told.next_look = Instant::now() + told.waits.failed();
                None
            }
        }
    }
}

/// What the objects go by.
#[derive(PartialEq)]
enum Told {
    /// Nobody knows: of a new leader.
    Unknown,
    /// This policy, or that there is none.
    By(Option<Arc<Policy>>),
}

/// The policy by which the objects speak.
struct PolicyTold {
    policy: Told,
    /// That of when the newest cycle began.
    in_cycle: Option<Arc<Policy>>,
    next_look: Instant,
    waits: Backoff,
}

impl PolicyTold {
    fn new() -> Self {
        let waits = Backoff::up_to(LONGEST_TO_RESTATE);
        Self { policy: Told::Unknown, in_cycle: None, next_look: Instant::now() + LOOK, waits }
    }

    fn begins_to_be_told(&mut self, policy: Option<Arc<Policy>>) {
        self.in_cycle = policy;
    }

    /// A cycle has written all objects.
    fn is_told(&mut self) {
        self.policy = Told::By(self.in_cycle.take());
    }
}

async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

async fn finished(cycle: &mut Option<(u64, JoinHandle<Cycle>)>) -> (u64, Cycle) {
    match cycle {
        Some((role, cycle)) => (*role, cycle.await.unwrap_or_else(|_| Err("a part of podfit failed".to_owned()))),
        None => std::future::pending().await,
    }
}

#[cfg(test)]
#[path = "run_tests.rs"]
mod tests;
