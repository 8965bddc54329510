//! The whole service from its first bound port to its last answer. States that cannot be mixed up: a [`Plan`] is bound,
//! what is [`Bound`] runs. Must not know the command line.

use std::future::Future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::built_in_ca;
use super::drain::Signals;
use super::health::{self, Condition, Readiness};
use super::limits::Limits;
use super::listener::Listener;
use super::metrics::Metrics;
use super::reload::{Followed, Input};
use super::report_page;
use super::review::Reviewer;
use super::tls::{TlsError, server_config};
use crate::admission::{Board, Knowledge, LoadedRecommendations};
use crate::certs::files::FilePair;
use crate::certs::pair::CertifiedPair;
use crate::certs::resolver::ServedPair;
use crate::controller::built_in_ca::BuiltInCa;
use crate::controller::recommend::Figures;
use crate::policy::{Policy, Resizing};
use crate::workload::IdentityRules;

/// What is to be served, and from what.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Address of the webhook.
    pub listen: SocketAddr,
    /// Address of health and metrics, plain HTTP.
    pub metrics_listen: SocketAddr,
    /// What is served with.
    pub certificate: Certificate,
    /// PEM file of the CA whose clients alone are served.
    pub client_ca: Option<PathBuf>,
    /// Policy, YAML.
    pub policy: Option<PathBuf>,
    /// Recommendations, JSON.
    pub recommendations: Option<PathBuf>,
    /// Page that is shown on the metrics' port: the newest report.
    pub report: Option<PathBuf>,
    /// The user's own say in identity.
    pub identity: IdentityRules,
    /// What the recommend loop counts, for the metrics' port.
    pub figures: Arc<Figures>,
    /// How often files are looked at again.
    pub reload_every: Duration,
    /// How long requests are still taken after the end was announced: until every API server has heard.
    pub drain: Duration,
    /// How long requests that have begun may take after that.
    pub grace: Duration,
    /// Bounds of the webhook's port.
    pub limits: Limits,
}

/// Where the serving certificate comes from.
#[derive(Clone, Debug)]
pub enum Certificate {
    /// PEM files that somebody else renews.
    Files {
        /// The certificate, the leaf first.
        certificate: PathBuf,
        /// Its key.
        key: PathBuf,
    },
    /// podfit's own CA, kept in the cluster.
    BuiltIn(Box<BuiltInCa>),
}

/// Why serving could not begin, or ended before it was told to.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// A port that cannot be had.
    #[error("cannot listen on {address}: {cause}; choose another address by {flag}")]
    Bind {
        /// Where.
        address: SocketAddr,
        /// What the system says.
        cause: std::io::Error,
        /// What sets it.
        flag: &'static str,
    },
    /// A file that cannot be used and has no older content to go on with.
    #[error("{flag} {problem}")]
    Input {
        /// What names the file.
        flag: &'static str,
        /// Which file and what is wrong with it.
        problem: String,
    },
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Signals cannot be caught.
    #[error("cannot catch signals: {0}")]
    Signals(std::io::Error),
    /// A part of the service ended by itself.
    #[error("the service cannot go on: {0} ended unexpectedly; it should be started again")]
    Ended(&'static str),
    /// A second signal came before all was answered.
    #[error("stopped at once by a second {0}: requests may have been left without an answer")]
    Aborted(&'static str),
}

/// A service whose ports are bound.
#[derive(Debug)]
pub struct Bound {
    plan: Plan,
    webhook: TcpListener,
    health: TcpListener,
}

/// Parts of the service, each running for as long as it does; the value is the part's name.
type Parts = JoinSet<&'static str>;

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
    /// `watch` is given the board, a condition to meet when everything was loaded once, and a token that ends it. It
    /// keeps on the board what the cluster says: bounds of namespaces, owners of owners.
    ///
    /// # Errors
    /// [`ServeError`].
    pub async fn run<W>(
        self,
        serving: impl FnOnce(),
        watch: impl FnOnce(Arc<Board>, Condition, CancellationToken) -> W,
    ) -> Result<(), ServeError>
    where
        W: Future<Output = ()> + Send + 'static,
    {
        let Self { plan, webhook, health } = self;
        let mut signals = Signals::new().map_err(ServeError::Signals)?;
        let (metrics, readiness) = (Arc::new(Metrics::with(&plan.figures)), Arc::new(Readiness::default()));
        let knowledge = Knowledge { identity: Arc::new(plan.identity.clone()), ..Knowledge::default() };
        let board = Arc::new(Board::new(knowledge));
        let begun = readiness.wait_for("certificate, policy and recommendations");
        let mut parts = Parts::new();
        // Not ended before the process: who watches it drain asks until then.
        parts.spawn(named("the metrics' port", health_port(health, plan.report.clone(), &readiness, &metrics)));

        let stop = CancellationToken::new();
        let inputs = Inputs { plan: &plan, board: &board, metrics: &metrics, stop: &stop };
        let starting = async {
            let served = inputs.certificate(&mut parts).await?;
            inputs.policy(&mut parts).await?;
            inputs.recommendations(&mut parts).await?;
            Ok::<_, ServeError>(served)
        };
        let served = tokio::select! {
            served = starting => served?,
            _ = signals.next() => return Ok(()),
        };
        let limits = Arc::new(plan.limits.clone());
        let client_ca = plan.client_ca.as_deref().map(read_client_ca).transpose()?;
        let reviewer = Reviewer::new(Arc::clone(&board), Arc::clone(&metrics), Arc::clone(&limits));
        let tls = server_config(served, client_ca.as_deref()).map_err(|error| match &plan.client_ca {
            Some(path) => ServeError::Input { flag: CLIENT_CA, problem: format!("{} {error}", path.display()) },
            None => ServeError::Tls(error),
        })?;
        let listener = Listener {
            socket: webhook,
            tls: Some(tls),
            router: super::router(Arc::new(reviewer), Arc::clone(&readiness)),
            limits,
            metrics: Some(Arc::clone(&metrics)),
        };
        let close = CancellationToken::new();
        let mut reviews = tokio::spawn(listener.serve(close.clone()));
        parts.spawn(named("the figures of what is known", figures_of(Arc::clone(&board), Arc::clone(&metrics))));
        parts.spawn(named("the watch of the cluster", watch(board, readiness.wait_for("the cluster"), stop.clone())));
        begun.met();
        serving();

        let signal = tokio::select! {
            signal = signals.next() => signal,
            ended = parts.join_next() => return Err(name_of(ended)),
            _ = &mut reviews => return Err(ServeError::Ended("the webhook's port")),
        };
        tracing::info!(signal, seconds = plan.drain.as_secs_f64(), "draining");
        readiness.drain();
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

/// Counts what is known, wherever it comes from: whether resizing is stopped, workloads with a recommendation.
async fn figures_of(board: Arc<Board>, metrics: Arc<Metrics>) {
    loop {
        let known = board.current();
        metrics.resizing_stopped.set(known.resizing_stopped.into());
        let workloads: usize = known.namespaces.values().map(|namespace| namespace.recommendations.len()).sum();
        metrics.recommended.set(i64::try_from(workloads).unwrap_or(i64::MAX));
        drop(known);
        sleep(COUNT_EVERY).await;
    }
}

const CLIENT_CA: &str = "--client-ca-file";

fn read_client_ca(path: &Path) -> Result<Vec<u8>, ServeError> {
    std::fs::read(path).map_err(|error| ServeError::Input {
        flag: CLIENT_CA,
        problem: format!("{}: cannot be read: {error}", path.display()),
    })
}

async fn named(name: &'static str, part: impl Future<Output = ()>) -> &'static str {
    part.await;
    name
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

/// What is read from files, once now and then again and again.
struct Inputs<'a> {
    plan: &'a Plan,
    board: &'a Arc<Board>,
    metrics: &'a Arc<Metrics>,
    stop: &'a CancellationToken,
}

impl Inputs<'_> {
    async fn certificate(&self, parts: &mut Parts) -> Result<Arc<ServedPair>, ServeError> {
        match &self.plan.certificate {
            Certificate::Files { certificate, key } => self.certificate_files(FilePair::new(certificate, key), parts),
            Certificate::BuiltIn(ca) => {
                let (metrics, stop) = (Arc::clone(self.metrics), self.stop.clone());
                let (served, follow) = built_in_ca::begin((**ca).clone(), metrics, self.plan.reload_every, stop).await;
                parts.spawn(named("the built-in CA", follow));
                Ok(served)
            }
        }
    }

    fn certificate_files(&self, mut files: FilePair, parts: &mut Parts) -> Result<Arc<ServedPair>, ServeError> {
        let pair = files.load(Timestamp::now()).map_err(|error| ServeError::Input {
            flag: "--tls-cert-file and --tls-key-file:",
            problem: error.to_string(),
        })?;
        let loaded = |metrics: &Metrics, pair: &CertifiedPair| {
            metrics.certificate_ends(pair.expires_at().as_second() as f64);
            metrics.reloaded("certificate", true);
        };
        loaded(self.metrics, &pair);
        let served = Arc::new(ServedPair::new(pair));
        let (serving, metrics, stop) = (Arc::clone(&served), Arc::clone(self.metrics), self.stop.clone());
        let every = self.plan.reload_every;
        parts.spawn(named("the certificate's reload", async move {
            while timeout(every, stop.cancelled()).await.is_err() {
                let was_bad = files.error().is_some();
                match files.poll(Timestamp::now()) {
                    Some(Ok(pair)) => {
                        loaded(&metrics, &pair);
                        tracing::info!(until = %pair.expires_at(), "certificate loaded anew");
                        serving.swap(pair);
                    }
                    Some(Err(error)) => {
                        metrics.reloaded("certificate", false);
                        tracing::warn!(%error, "the certificate that was loaded before is served on");
                    }
                    None if was_bad && files.error().is_none() => metrics.reloaded("certificate", true),
                    None => {}
                }
            }
        }));
        Ok(served)
    }

    async fn policy(&self, parts: &mut Parts) -> Result<(), ServeError> {
        let Some(path) = &self.plan.policy else { return Ok(()) };
        let (board, metrics) = (Arc::clone(self.board), Arc::clone(self.metrics));
        let input = Input {
            name: "policy",
            file: Followed::new(path.clone()),
            load: |reader| {
                let mut text = String::new();
                reader.read_to_string(&mut text).map_err(|error| error.to_string())?;
                Policy::from_yaml(&text).map_err(|error| error.to_string())
            },
            apply: Arc::new(move |policy: Policy| {
                // Counted at once, too: whoever waits for the reload looks at it.
                metrics.resizing_stopped.set((policy.resizing == Resizing::Stopped).into());
                board.update(|knowledge| knowledge.set_policy(policy));
            }),
            metrics: Arc::clone(self.metrics),
        };
        self.follow("--policy", "the policy's reload", input, parts).await
    }

    async fn recommendations(&self, parts: &mut Parts) -> Result<(), ServeError> {
        let Some(path) = &self.plan.recommendations else { return Ok(()) };
        let (board, metrics) = (Arc::clone(self.board), Arc::clone(self.metrics));
        let input = Input {
            name: "recommendations",
            file: Followed::new(path.clone()),
            load: |reader| LoadedRecommendations::read(reader).map_err(|error| error.to_string()),
            apply: Arc::new(move |recommendations: LoadedRecommendations| {
                metrics.recommended.set(i64::try_from(recommendations.workloads).unwrap_or(i64::MAX));
                let before = board.current();
                board.update(|knowledge| recommendations.replace_in(knowledge));
                free_last(before);
            }),
            metrics: Arc::clone(self.metrics),
        };
        self.follow("--recommendations", "the recommendations' reload", input, parts).await
    }

    async fn follow<T: Send + 'static>(
        &self,
        flag: &'static str,
        name: &'static str,
        input: Input<T>,
        parts: &mut Parts,
    ) -> Result<(), ServeError> {
        let input = input.first().await.map_err(|problem| ServeError::Input { flag, problem })?;
        parts.spawn(named(name, input.follow(self.plan.reload_every, self.stop.clone())));
        Ok(())
    }
}

/// Drops knowledge after the decisions that still look at it: freeing a hundred thousand recommendations takes longer
/// than a review should, and whoever holds the last reference has to do it.
fn free_last(knowledge: Arc<Knowledge>) {
    for _ in 0..100 {
        if Arc::strong_count(&knowledge) == 1 {
            break;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    drop(knowledge);
}
