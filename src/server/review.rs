//! One review from its bytes to its answer: where it is decided, what happens when there is no place, no time or a
//! fault of ours, and what is counted and logged. Must not know HTTP beyond a status.
//!
//! `/mutate` lets a pod pass as it came whenever it cannot do its work: an unsized pod runs. `/validate` turns a pod
//! away that it could not judge where a rule enforces ([`admission::undecided`]): what its author can bring about must
//! not be a way past a rule. Only where not even the uid of a review is known does it fail, and the webhook's
//! `failurePolicy` decides.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use axum::body::Bytes;
use axum::http::StatusCode;
use tokio::time::{Instant, timeout_at};

use super::limiter::{ByteBudget, Limiter, Permit, Shed};
use super::limits::Limits;
use super::metrics::{Ending, Metrics};
use crate::admission::{self, Entry, Outcome, Reply, Seen, SharedState, Snapshot};
use crate::policy::Mode;
use crate::text;

/// What decides: [`admission::answer`], or what a test puts in its place.
pub type Decide = Arc<dyn Fn(Entry, &[u8], &Snapshot) -> Reply + Send + Sync>;

/// Answers reviews.
pub struct Reviewer {
    shared: Arc<SharedState>,
    metrics: Arc<Metrics>,
    limits: Arc<Limits>,
    limiter: Limiter,
    decide: Decide,
}

/// A status and a body: an `AdmissionReview` where it is 200, else a line of text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// HTTP status.
    pub status: u16,
    /// Body.
    pub body: Bytes,
}

impl Answered {
    fn text(status: u16, why: &str) -> Self {
        Self { status, body: format!("podfit: {why}\n").into() }
    }
}

/// Why there is no decision.
#[derive(Clone, Copy)]
enum Undecided {
    Shed,
    TooLarge,
    TooSlow,
    Panicked,
    Overdue,
}

impl Undecided {
    const fn ending(self) -> Ending {
        match self {
            Self::Shed => Ending::Shed,
            Self::TooLarge => Ending::Failed,
            Self::Panicked => Ending::Panicked,
            Self::Overdue | Self::TooSlow => Ending::Overdue,
        }
    }

    /// Status where there is no uid to answer to, and what is said.
    const fn told(self) -> (u16, &'static str) {
        match self {
            Self::Shed => (503, "too many reviews at once"),
            Self::TooLarge => (413, "the body is too large"),
            Self::TooSlow => (408, "the body did not arrive in time"),
            Self::Panicked => (500, "a fault of podfit itself"),
            Self::Overdue => (503, "not decided in time"),
        }
    }
}

impl Reviewer {
    /// Decides from what is on the shared state.
    pub fn new(shared: Arc<SharedState>, metrics: Arc<Metrics>, limits: Arc<Limits>) -> Self {
        let limiter = Limiter::new(&limits);
        Self { shared, metrics, limits, limiter, decide: Arc::new(admission::answer) }
    }

    /// The same with another decision.
    #[must_use]
    pub fn deciding(self, decide: Decide) -> Self {
        Self { decide, ..self }
    }

    /// What it counts.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// What bounds it.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// A place for a review that is coming in.
    ///
    /// # Errors
    /// There is none.
    pub fn enter(&self, entry: Entry) -> Result<Permit, Shed> {
        self.limiter.acquire().inspect_err(|cause| self.metrics.shed(entry, *cause))
    }

    /// Room for its body.
    pub fn room(&self) -> ByteBudget {
        self.limiter.budget()
    }

    /// The answer to a review that was not taken on; of its body this much has been read.
    pub fn shed(&self, entry: Entry, cause: Shed, beginning: &[u8], started: Instant) -> Answered {
        if cause != Shed::InFlight {
            self.metrics.shed(entry, cause);
        }
        self.metrics.answered(entry, Ending::Shed, started.elapsed());
        let answered = self.undecided(entry, Undecided::Shed, beginning);
        answered.unwrap_or_else(|| Answered::text(503, Undecided::Shed.told().1))
    }

    /// The answer to a review whose body was not read to its end: too large (413), or not there in time (408). `None`
    /// where its beginning is none of a review.
    pub fn unread(&self, entry: Entry, status: StatusCode, beginning: &[u8], started: Instant) -> Option<Answered> {
        let (undecided, label) = match status {
            StatusCode::PAYLOAD_TOO_LARGE => (Undecided::TooLarge, "413"),
            _ => (Undecided::TooSlow, "408"),
        };
        let answered = self.undecided(entry, undecided, beginning)?;
        self.metrics.refused(label);
        self.metrics.answered(entry, undecided.ending(), started.elapsed());
        Some(answered)
    }

    /// The answer to a review, until then.
    pub async fn review(
        &self,
        entry: Entry,
        body: Bytes,
        places: (Permit, ByteBudget),
        started: Instant,
        deadline: Instant,
    ) -> Answered {
        let (answered, ending) = match self.decide(entry, body.clone(), places, deadline).await {
            Ok(reply) => {
                let ending = Ending::from(reply.seen.outcome);
                self.metrics.seen(entry, &reply.seen);
                log(entry, ending, &reply.seen);
                (Answered { status: reply.status, body: reply.body.into() }, ending)
            }
            Err(undecided) => {
                let answered = self.undecided(entry, undecided, &body);
                (answered.unwrap_or_else(|| Answered::text(400, "the body is no AdmissionReview")), undecided.ending())
            }
        };
        self.metrics.answered(entry, ending, started.elapsed());
        answered
    }

    async fn decide(
        &self,
        entry: Entry,
        body: Bytes,
        places: (Permit, ByteBudget),
        deadline: Instant,
    ) -> Result<Reply, Undecided> {
        let known = self.shared.current();
        let decide = Arc::clone(&self.decide);
        if body.len() <= self.limits.large_bytes {
            return catch(|| decide(entry, &body, &known)).ok_or(Undecided::Panicked);
        }
        let large = self.limiter.acquire_large(deadline).await.map_err(|cause| {
            self.metrics.shed(entry, cause);
            Undecided::Overdue
        })?;
        let (tell, told) = tokio::sync::oneshot::channel();
        let work = move || {
            let _places = (places, large);
            give_way();
            let _ = tell.send(catch(|| decide(entry, &body, &known)));
        };
        // Where the system has no thread to give, there is no place either.
        std::thread::Builder::new().name("large-review".to_owned()).spawn(work).map_err(|_| Undecided::Shed)?;
        let decided = timeout_at(deadline, told).await.map_err(|_| Undecided::Overdue)?;
        decided.ok().flatten().ok_or(Undecided::Panicked)
    }

    /// What is answered when there is no decision; `None` where the body, or as much as was read of it, is no review.
    fn undecided(&self, entry: Entry, undecided: Undecided, body: &[u8]) -> Option<Answered> {
        let (status, why) = undecided.told();
        match catch(|| admission::undecided(entry, body, &self.shared.current(), why)) {
            Some(answer) => answer.map(|body| Answered { status: 200, body: body.into() }),
            None => Some(Answered::text(status, why)),
        }
    }
}

/// Has this thread run when no other of the service wants the core: a large review takes a thousand times as long as a
/// usual one, whose author should not wait for it.
fn give_way() {
    const NICE: i32 = 10;
    // On Linux this is of the thread that calls; elsewhere it would be of the whole process.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::setpriority_process(None, NICE);
}

/// `None` where it panicked. Nothing is left half-written: a decision only reads.
fn catch<T>(work: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(work)).ok()
}

/// Each rule once, with how often it found something: `latest-tag=3,run-as-root=1`.
fn counts(findings: &BTreeMap<(&'static str, Mode), usize>) -> String {
    let mut counts = BTreeMap::<_, usize>::new();
    for ((rule, _), count) in findings {
        *counts.entry(*rule).or_default() += count;
    }
    counts.iter().map(|(rule, count)| format!("{rule}={count}")).collect::<Vec<_>>().join(",")
}

/// A line of the log: who and what, never what an object holds. Names come from a cluster and are made printable.
fn log(entry: Entry, ending: Ending, seen: &Seen) {
    let line = || {
        let shown = |value: &str| text::clip(&text::clean(value), text::LINE_CHARS);
        let rules = counts(&seen.findings);
        let workload = seen.workload.as_deref().map(shown).unwrap_or_default();
        (shown(&seen.uid), shown(&seen.namespace), workload, rules)
    };
    let outcome = ending.as_str();
    match seen.outcome {
        Outcome::Denied => {
            let (uid, namespace, workload, rules) = line();
            tracing::info!(target: "podfit::admission", %uid, %namespace, %workload, outcome, %rules);
        }
        // A body that is no review may come from anyone who reaches the port: it must not fill the log.
        Outcome::Failed(reason) if reason != "bad-review" => {
            let (uid, namespace, workload, _) = line();
            tracing::warn!(target: "podfit::admission", %uid, %namespace, %workload, outcome, reason);
        }
        _ if tracing::enabled!(target: "podfit::admission", tracing::Level::DEBUG) => {
            let (uid, namespace, workload, rules) = line();
            tracing::debug!(target: "podfit::admission", ?entry, %uid, %namespace, %workload, outcome, %rules);
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_each_rule_once() {
        let findings =
            [(("latest-tag", Mode::Enforce), 300), (("latest-tag", Mode::Audit), 2), (("run-as-root", Mode::Warn), 1)];
        assert_eq!(counts(&findings.into()), "latest-tag=302,run-as-root=1");
    }
}
