//! Starts everything that talks to the cluster: watches that keep the shared state, leader election, the recommend
//! loop. Must not decide anything itself.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{mpsc, watch as channel};
use tokio_util::sync::CancellationToken;

use super::lease::{self, LeaseName, Term};
use super::policy_status;
use super::recommend::{ControllerMetrics, Learn, PodEvents, Recommendations, Recommender, WAITING, Writer};
use super::watch::{self, Scope, Told, WatchStatus, Watched};
use super::weekly::{Deliverer, Delivery};
use crate::admission::SharedState;
use crate::cluster::Api;
use crate::collector::KnownPods;
use crate::history::Store;
use crate::sizing::SizingPolicy;
use crate::workload::IdentityRules;

/// How often it is asked whether everything in the cluster is known, until it is.
const READY_POLL: Duration = Duration::from_millis(20);

/// How recommendations are learned.
#[derive(Clone)]
pub struct Learning {
    /// What was learned.
    pub store: Arc<Store>,
    /// Learns what is new into the store; `None` without a source of history.
    pub learn: Option<Learn>,
    /// How often.
    pub every: Duration,
    /// What bounds sizes.
    pub sizing: SizingPolicy,
}

/// The service's part in its cluster.
pub struct InCluster {
    /// The API server; without a read time-out and without retries of its own.
    pub client: kube::Client,
    /// The Lease of the replica that makes recommendations.
    pub lease: LeaseName,
    /// Name of this replica.
    pub replica: String,
    /// What is watched.
    pub scope: Scope,
    /// The user's own say in identity.
    pub identity: Arc<IdentityRules>,
    /// How recommendations are learned.
    pub learning: Learning,
    /// The report that is delivered by schedule.
    pub delivery: Option<Delivery>,
    /// Where it is counted.
    pub figures: Arc<ControllerMetrics>,
}

impl InCluster {
    /// Keeps the shared state up to date until stopped; `loaded` is called once everything was read. With
    /// recommendations in the cluster, takes part in making them until it is to `leave`: then another replica may lead
    /// at once, while this one still answers.
    pub async fn run(
        self,
        shared: Arc<SharedState>,
        loaded: impl FnOnce() + Send,
        leave: CancellationToken,
        stop: CancellationToken,
    ) {
        let status = Arc::new(WatchStatus::default());
        let makes = self.scope.recommendations;
        let (news, heard) = mpsc::unbounded_channel();
        let known = Arc::new(Mutex::new(KnownPods::default()));
        let told = if makes { Told { news: Some(news), known: Some(Arc::clone(&known)) } } else { Told::default() };
        let watched = Watched { scope: self.scope.clone(), identity: Arc::clone(&self.identity), told };
        let api = Api::new(self.client.clone());
        let ready = async {
            while !status.is_ready() {
                tokio::select! {
                    () = tokio::time::sleep(READY_POLL) => {}
                    () = stop.cancelled() => return,
                }
            }
            loaded();
            if !makes {
                return stop.cancelled().await;
            }
            let (leads, leading) = channel::channel(false);
            let term = Term::default();
            let writer = Writer {
                recommendations: Recommendations::new(api.clone()),
                term: term.clone(),
                shared: Arc::clone(&shared),
                store: Arc::clone(&self.learning.store),
                sizing: self.learning.sizing,
                namespaces: self.scope.namespaces.clone(),
                me: self.replica.clone(),
                figures: Arc::clone(&self.figures),
            };
            let deliverer = Deliverer {
                api: api.clone(),
                lease: self.lease.clone(),
                me: self.replica.clone(),
                figures: Arc::clone(&self.figures),
            };
            let learn = self.learning.learn.clone();
            let (of_pods, told_of) = mpsc::channel(WAITING);
            let recommender = Recommender { writer, learn, every: self.learning.every, known, of_pods };
            let events = PodEvents {
                api: api.clone(),
                term: term.clone(),
                me: self.replica.clone(),
                figures: Arc::clone(&self.figures),
            };
            tokio::join!(
                lease::run(api.clone(), self.lease.clone(), self.replica.clone(), (leads, &term), leave.clone()),
                recommender.run(leading.clone(), heard, leave.clone()),
                deliverer.run(self.delivery, leading, leave.clone()),
                events.run(told_of, leave.clone()),
                policy_status::run(api.clone(), &term, leave.clone()),
            );
        };
        tokio::join!(
            watch::run(self.client.clone(), Arc::clone(&shared), Arc::clone(&status), stop.clone(), &watched),
            ready
        );
    }
}
