//! Watches on the API server that keep [`Snapshot`](crate::admission::Snapshot) up to date: what namespaces allow,
//! how large nodes are, which Jobs and `ReplicaSets` belong to whom.
//! Must not stop for anything the API server does: what was known last stays, and each watch comes back by itself.
//!
//! A quota is known as the API server counted it. It counts a pod before it stores it, so what is known lags by the
//! watch and one batch: some tens of milliseconds. Pods that are raised within that time may together take more than
//! is left, and the last of them be refused where it would have run; its Job creates it again, and then it is left as
//! it came. To count what was answered would not help: it is not known here which of those pods came to be, what dry
//! runs were, and what other replicas have answered.

mod contact;
mod event;
mod index;
mod kills;
mod limits;
mod news;
mod own;
mod pods;
mod source;
mod status;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::stream::{BoxStream, SelectAll};
use futures::{Stream, StreamExt};
use kube::Api;
use kube::runtime::{WatchStreamExt, watcher};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

pub use event::{Event, Unreadable};
pub use index::Index;
pub use kills::killed_by_status;
pub use news::{News, OfPod, Regarded};
pub use own::policy_of;
pub use source::{Kind, Scope, Source};
pub use status::{WatchCounts, WatchStatus};

use crate::admission::SharedState;
use crate::cluster::innermost;
use crate::collector::KnownPods;
use crate::text;
use crate::workload::IdentityRules;
use source::Raw;

/// Shortest time between two publications. The first change after a pause is published at once.
const BATCH: Duration = Duration::from_millis(50);
/// Objects asked for at a time: a page is taken apart whole, and there may be ten thousand recommendations.
const PAGE: u32 = 100;
/// Longest reason of the API server that is repeated, in characters.
const MAX_REASON_CHARS: usize = 200;

type WatchResult = Result<watcher::Event<Raw>, watcher::Error>;

/// What is watched, how pods are identified, and where what is seen of them goes.
#[derive(Clone, Debug, Default)]
pub struct Watched {
    /// Which objects, where.
    pub scope: Scope,
    /// The user's own say in identity.
    pub identity: Arc<IdentityRules>,
    /// Who is told of what is seen.
    pub told: Told,
}

/// Who is told of what is seen of pods and recommendations.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// Whoever writes recommendations.
    pub news: Option<mpsc::UnboundedSender<News>>,
    /// Pods seen and not yet taken from here; `None` where nobody takes them.
    pub known: Option<Arc<Mutex<KnownPods>>>,
}

impl Told {
    fn tell(&self, index: &mut Index) {
        for news in index.take_news() {
            if let News::Killed(key, kill) = &news {
                tracing::info!(
                    namespace = key.workload.namespace, workload = %key.workload, container = key.container,
                    limit = %kill.limit, "a run was killed for memory: the next try gets more"
                );
            }
            if let Some(to) = &self.news {
                // Whoever listened has ended: so will this.
                let _ = to.send(news);
            }
        }
        let pods = index.take_pods();
        if let Some(known) = &self.known {
            known.lock().unwrap_or_else(PoisonError::into_inner).extend(pods);
        }
    }
}

/// Watches until stopped. Never fails: what is wrong is said once, and in `status`.
///
/// Give it a client without a read time-out, which would cut watches off, and without retries of its own, which would
/// hide how long the API server has been silent.
pub async fn run(
    client: kube::Client,
    shared: Arc<SharedState>,
    status: Arc<WatchStatus>,
    stop: CancellationToken,
    watched: &Watched,
) {
    let sources = watched.scope.sources();
    // A pod is known by the owners of its owner, so those come first.
    let (mut pods, others): (Vec<&Source>, Vec<&Source>) = sources.iter().partition(|source| source.kind == Kind::Pod);
    let mut answers: SelectAll<BoxStream<'static, (Source, WatchResult)>> =
        others.iter().map(|source| open(&client, source, &status).boxed()).collect();
    let mut index = Index::new(Arc::clone(&watched.identity));
    let mut due = Instant::now();
    loop {
        if others.iter().all(|source| index.is_answered(source)) {
            answers.extend(pods.drain(..).map(|source| open(&client, source, &status).boxed()));
        }
        let publication = async {
            if index.is_changed() {
                sleep_until(due).await;
            } else {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = publication => {
                shared.update(|snapshot| index.publish(snapshot));
                status.was_published();
                due = Instant::now() + BATCH;
            }
            answer = answers.next() => match answer {
                Some((source, answer)) => {
                    take_in(&mut index, &source, answer, &status);
                    if matches!(source.kind, Kind::Pod | Kind::Recommendation) {
                        watched.told.tell(&mut index);
                    }
                }
                // Watches do not end; if they did, there would be nothing left to wait for.
                None => stop.cancelled().await,
            }
        }
        if !index.is_changed() && !status.is_ready() && sources.iter().all(|source| index.is_answered(source)) {
            status.set_ready();
            tracing::info!("everything that admission depends on in the cluster is known");
        }
    }
}

/// Lists page by page and then watches, for ever. Streaming lists would spare the API server memory, but not all
/// clusters have them, and pages are small.
fn open(
    client: &kube::Client,
    source: &Source,
    status: &Arc<WatchStatus>,
) -> impl Stream<Item = (Source, WatchResult)> + Send + use<> {
    let client = contact::attentive(client.clone(), source.clone(), Arc::clone(status));
    let resource = source.kind.api_resource();
    let api: Api<Raw> = match &source.namespace {
        Some(namespace) => Api::namespaced_with(client, namespace, &resource),
        None => Api::all_with(client, &resource),
    };
    let source = source.clone();
    // Its back-off goes from 0.8 s to 30 s, with jitter.
    watcher(api, watcher::Config::default().page_size(PAGE))
        .default_backoff()
        .map(move |answer| (source.clone(), answer))
}

fn take_in(index: &mut Index, source: &Source, answer: WatchResult, status: &WatchStatus) {
    let event = match answer {
        Ok(watcher::Event::Init) => Event::Restarted,
        Ok(watcher::Event::InitApply(object) | watcher::Event::Apply(object)) => Event::Applied(object.json),
        Ok(watcher::Event::Delete(object)) => Event::Deleted(object.json),
        Ok(watcher::Event::InitDone) => Event::Listed,
        // Nothing is wrong: it was away for so long that everything is listed anew.
        Err(watcher::Error::WatchError(said)) if said.code == 410 => return,
        Err(error) => {
            let (refused, problem) = problem(source, &error, index.is_listed(source));
            if status.failed(source, &problem) {
                tracing::warn!("{problem}");
            }
            if !refused {
                return;
            }
            Event::Refused
        }
    };
    match event {
        Event::Applied(_) | Event::Deleted(_) => status.event(source.kind),
        Event::Listed => status.listed(source.kind),
        Event::Restarted | Event::Refused => {}
    }
    if let Err(unreadable) = index.apply(source, event) {
        status.unreadable(source.kind);
        if unreadable.news {
            tracing::warn!("{unreadable}");
        }
    }
}

/// Whether it is a right that is missing, and what to say.
fn problem(source: &Source, error: &watcher::Error, listed: bool) -> (bool, String) {
    use watcher::Error::{InitialListFailed, NoResourceVersion, WatchError, WatchFailed, WatchStartFailed};
    let verb = if matches!(error, InitialListFailed(_)) { "list" } else { "watch" };
    let code = match error {
        InitialListFailed(kube::Error::Api(said))
        | WatchStartFailed(kube::Error::Api(said))
        | WatchFailed(kube::Error::Api(said))
        | WatchError(said) => said.code,
        InitialListFailed(_) | WatchStartFailed(_) | WatchFailed(_) | NoResourceVersion => 0,
    };
    let follows = if listed { "what was read before stays in use" } else { source.kind.consequence() };
    if code == 403 {
        let group = if source.kind.group().is_empty() { "core" } else { source.kind.group() };
        let grant = format!("grant its service account the verbs list and watch on {} ({group})", source.kind.plural());
        return (true, format!("podfit may not {verb} {source} (403): {grant}; until then {follows}"));
    }
    if code == 404 && source.kind.is_own() {
        let what = source.kind.plural();
        let how = "`podfit crds | kubectl apply -f -` does that";
        return (
            true,
            format!("the cluster does not know {what}: apply their definition ({how}); until then {follows}"),
        );
    }
    let why = text::clip(&text::clean(&innermost(error)), MAX_REASON_CHARS);
    (false, format!("cannot {verb} {source}: {why}; until it works again {follows}"))
}

#[cfg(test)]
mod tests;
