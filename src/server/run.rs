//! The whole service from its first bound port to its last answer. States that cannot be mixed up: a [`Plan`] is bound,
//! what is [`Bound`] runs. Must not know the command line.

use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinError;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::drain::Signals;
use super::health::{self, Condition, Readiness};
use super::inputs::Inputs;
use super::limits::Limits;
use super::listener::Listener;
use super::metrics::Metrics;
use super::plan::{Parts, Plan, ServeError, named};
use super::report_page;
use super::review::Reviewer;
use crate::admission::{SharedState, Snapshot};

/// A service whose ports are bound.
#[derive(Debug)]
pub struct Bound {
    plan: Plan,
    webhook: TcpListener,
    health: TcpListener,
}

/// What ends the watch of the cluster, in two steps.
#[derive(Clone, Debug)]
pub struct Ends {
    /// Others should do what one replica does for all: the end was announced. What is asked is answered as before.
    pub leave: CancellationToken,
    /// Everything is over.
    pub stop: CancellationToken,
}

/// The part of the service that may have something to say in the end.
const WATCH: &str = "the watch of the cluster";
/// How long that may take.
const FAREWELL: Duration = Duration::from_secs(3);

impl Plan {
    /// Binds both ports.
    ///
    /// # Errors
    /// One of them cannot be had.
    pub async fn bind(self) -> Result<Bound, ServeError> {
        let webhook = bind(self.listen, "--listen").await?;
        let health = bind(self.metrics_listen, "--metrics-listen").await?;
        Ok(Bound { plan: self, webhook, health })
    }
}

async fn bind(address: SocketAddr, flag: &'static str) -> Result<TcpListener, ServeError> {
    TcpListener::bind(address).await.map_err(|cause| ServeError::Bind { address, cause, flag })
}

impl Bound {
    /// Addresses of the webhook, and of health and metrics.
    pub fn addresses(&self) -> (SocketAddr, SocketAddr) {
        let of = |socket: &TcpListener, asked| socket.local_addr().unwrap_or(asked);
        (of(&self.webhook, self.plan.listen), of(&self.health, self.plan.metrics_listen))
    }

    /// Serves until SIGTERM or SIGINT and all that began has been answered.
    ///
    /// `serving` is called when it takes reviews: certificate and files have been read by then.
    ///
    /// `watch` is given the shared state, a condition to meet when everything was loaded once, and the tokens that end
    /// it. It keeps on the shared state what the cluster says: bounds of namespaces, owners of owners.
    ///
    /// # Errors
    /// [`ServeError`].
    pub async fn run<W>(
        self,
        serving: impl FnOnce(),
        watch: impl FnOnce(Arc<SharedState>, Condition, Ends) -> W,
    ) -> Result<(), ServeError>
    where
        W: Future<Output = ()> + Send + 'static,
    {
        let Self { plan, webhook, health } = self;
        let mut signals = Signals::new().map_err(ServeError::Signals)?;
        let (metrics, readiness) = (Arc::new(Metrics::with(&plan.figures)), Arc::new(Readiness::default()));
        let snapshot = Snapshot { identity: Arc::new(plan.identity.clone()), ..Snapshot::default() };
        let shared = Arc::new(SharedState::new(snapshot));
        let begun = readiness.wait_for("certificate, policy and recommendations");
        let mut parts = Parts::new();
        // Not ended before the process: who watches it drain asks until then.
        parts.spawn(named("the metrics' port", health_port(health, plan.report.clone(), &readiness, &metrics)));

        let stop = CancellationToken::new();
        let inputs = Inputs { plan: &plan, shared: &shared, metrics: &metrics, stop: &stop };
        let starting = async {
            let served = inputs.certificate(&mut parts).await?;
            let tls = inputs.tls(served, &mut parts).await?;
            inputs.policy(&mut parts).await?;
            inputs.recommendations(&mut parts).await?;
            Ok::<_, ServeError>(tls)
        };
        let tls = tokio::select! {
            tls = starting => tls?,
            _ = signals.next() => return Ok(()),
        };
        let limits = Arc::new(plan.limits.clone());
        let reviewer = Reviewer::new(Arc::clone(&shared), Arc::clone(&metrics), Arc::clone(&limits));
        let listener = Listener {
            socket: webhook,
            tls: Some(tls),
            router: super::router(Arc::new(reviewer), Arc::clone(&readiness)),
            limits,
            metrics: Some(Arc::clone(&metrics)),
        };
        let close = CancellationToken::new();
        let mut reviews = tokio::spawn(listener.serve(close.clone()));
        parts.spawn(named(
            "the figures of what is known",
            figures_of(Arc::clone(&shared), Arc::clone(&metrics), plan.policy.is_some()),
        ));
        let ends = Ends { leave: CancellationToken::new(), stop: stop.clone() };
        parts.spawn(named(WATCH, watch(shared, readiness.wait_for("the cluster"), ends.clone())));
        begun.met();
        serving();

        let signal = tokio::select! {
            signal = signals.next() => signal,
            ended = parts.join_next() => return Err(name_of(ended)),
            _ = &mut reviews => return Err(ServeError::Ended("the webhook's port")),
        };
        tracing::info!(signal, seconds = plan.drain.as_secs_f64(), "draining");
        readiness.drain();
        ends.leave.cancel();
        tokio::select! {
            () = sleep(plan.drain) => {}
            signal = signals.next() => return Err(ServeError::Aborted(signal)),
            ended = parts.join_next() => return Err(name_of(ended)),
        }
        close.cancel();
        let cut_off = tokio::select! {
            ended = timeout(plan.grace, reviews) => ended.is_err(),
            signal = signals.next() => return Err(ServeError::Aborted(signal)),
        };
        stop.cancel();
        let farewell = async { while !matches!(parts.join_next().await, None | Some(Ok(WATCH))) {} };
        if timeout(FAREWELL, farewell).await.is_err() {
            tracing::warn!("the cluster was not told in time that another replica may lead: it will find out");
        }
        if cut_off {
            tracing::warn!(open = metrics.connections.get(), "connections that did not end in time are cut off");
        } else {
            tracing::info!("all requests were answered");
        }
        Ok(())
    }
}

/// How often what is known is counted.
const COUNT_EVERY: Duration = Duration::from_millis(500);

/// Counts what is known, wherever it comes from: whether resizing is stopped, workloads with a recommendation; of a
/// policy of the cluster, whether it could be loaded.
async fn figures_of(shared: Arc<SharedState>, metrics: Arc<Metrics>, is_policy_a_file: bool) {
    let mut counted = None;
    loop {
        let known = shared.current();
        let policy = (known.policy.clone(), known.has_unusable_policy);
        let is_counted = counted.as_ref().map_or(policy == (None, false), |counted| *counted == policy);
        if !is_policy_a_file && !is_counted {
            metrics.reloaded("policy", !known.has_unusable_policy);
        }
        counted = Some(policy);
        metrics.resizing_stopped.set(known.resizing_stopped.into());
        let workloads: usize = known.namespaces.values().map(|namespace| namespace.recommendations.len()).sum();
        metrics.recommended.set(i64::try_from(workloads).unwrap_or(i64::MAX));
        drop(known);
        sleep(COUNT_EVERY).await;
    }
}

fn name_of(ended: Option<Result<&'static str, JoinError>>) -> ServeError {
    ServeError::Ended(ended.and_then(Result::ok).unwrap_or("a part of it"))
}

fn health_port(
    socket: TcpListener,
    report: Option<PathBuf>,
    readiness: &Arc<Readiness>,
    metrics: &Arc<Metrics>,
) -> impl Future<Output = ()> + use<> {
    let mut router = health::router(Arc::clone(readiness), Arc::clone(metrics));
    if let Some(file) = report {
        router = router.merge(report_page::router(file));
    }
    let limits = Arc::new(Limits::for_metrics());
    Listener { socket, tls: None, router, limits, metrics: None }.serve(CancellationToken::new())
}
