//! What the server reads from files: each once before anyone is served, then again whenever it has changed.
//! Must not know when that is looked at, nor what a bad file looks like.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::built_in_ca;
use super::metrics::Metrics;
use super::plan::{Certificate, Parts, Plan, ServeError, named};
use super::reload::{Followed, Input};
use super::tls::{Tls, clients_of, server_config};
use crate::admission::{LoadedRecommendations, SharedState, Snapshot};
use crate::certs::files::FilePair;
use crate::certs::pair::CertifiedPair;
use crate::certs::resolver::ServedPair;
use crate::policy::{Policy, Resizing};

/// What is read from files, once now and then again and again.
pub(super) struct Inputs<'a> {
    pub plan: &'a Plan,
    pub shared: &'a Arc<SharedState>,
    pub metrics: &'a Arc<Metrics>,
    pub stop: &'a CancellationToken,
}

impl Inputs<'_> {
    pub async fn certificate(&self, parts: &mut Parts) -> Result<Arc<ServedPair>, ServeError> {
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

    /// With this certificate, for everyone or for clients of the given CA alone.
    pub async fn tls(&self, served: Arc<ServedPair>, parts: &mut Parts) -> Result<Tls, ServeError> {
        let config = server_config(Arc::clone(&served) as _, None).map_err(ServeError::Tls)?;
        let tls = Tls::from(config);
        let Some(path) = &self.plan.client_ca else { return Ok(tls) };
        let serving = tls.clone();
        let input = Input {
            name: "client-ca",
            file: Followed::new(path.clone()),
            load: |reader| {
                let mut pem = Vec::new();
                reader.read_to_end(&mut pem).map_err(|error| error.to_string())?;
                clients_of(&pem).map_err(|error| error.to_string())
            },
            apply: Arc::new(move |clients| match server_config(Arc::clone(&served) as _, Some(clients)) {
                Ok(config) => serving.replace(config),
                Err(error) => tracing::error!(%error, "the CA of clients is not put in force"),
            }),
            metrics: Arc::clone(self.metrics),
        };
        // Read before anyone is served: nobody gets in while it is not known who may.
        self.follow("--client-ca-file", "the reload of the clients' CA", input, parts).await?;
        Ok(tls)
    }

    pub async fn policy(&self, parts: &mut Parts) -> Result<(), ServeError> {
        let Some(path) = &self.plan.policy else { return Ok(()) };
        let (shared, metrics) = (Arc::clone(self.shared), Arc::clone(self.metrics));
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
                shared.update(|snapshot| snapshot.set_policy(policy));
            }),
            metrics: Arc::clone(self.metrics),
        };
        self.follow("--policy", "the policy's reload", input, parts).await
    }

    pub async fn recommendations(&self, parts: &mut Parts) -> Result<(), ServeError> {
        let Some(path) = &self.plan.recommendations else { return Ok(()) };
        let (shared, metrics) = (Arc::clone(self.shared), Arc::clone(self.metrics));
        let input = Input {
            name: "recommendations",
            file: Followed::new(path.clone()),
            load: |reader| LoadedRecommendations::read(reader).map_err(|error| error.to_string()),
            apply: Arc::new(move |recommendations: LoadedRecommendations| {
                metrics.recommended.set(i64::try_from(recommendations.workloads).unwrap_or(i64::MAX));
                let before = shared.current();
                shared.update(|snapshot| recommendations.replace_in(snapshot));
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

/// Drops a snapshot after the decisions that still look at it: freeing a hundred thousand recommendations takes longer
/// than a review should, and whoever holds the last reference has to do it.
fn free_last(snapshot: Arc<Snapshot>) {
    for _ in 0..100 {
        if Arc::strong_count(&snapshot) == 1 {
            break;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    drop(snapshot);
}
