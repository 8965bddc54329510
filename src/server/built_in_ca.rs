//! The certificate from the built-in CA: waited for once, then looked after as long as the service runs.
//! Must not know how the CA is kept: looks come from [`crate::controller::built_in_ca`].

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::metrics::Metrics;
use crate::certs::pair::CertifiedPair;
use crate::certs::resolver::ServedPair;
use crate::controller::built_in_ca::BuiltInCa;

/// Looks at files for one look at the cluster: once a minute where files are looked at every five seconds.
const FILE_LOOKS: u32 = 12;

/// Looks, and what was said of them.
struct Looks {
    ca: BuiltInCa,
    metrics: Arc<Metrics>,
    has_pair: bool,
    said: Option<String>,
}

impl Looks {
    async fn next(&mut self) -> Option<Arc<CertifiedPair>> {
        let look = self.ca.look(Timestamp::now()).await;
        if let Some(pair) = &look.fresh {
            self.has_pair = true;
            self.metrics.certificate_ends(pair.expires_at().as_second() as f64);
            tracing::info!(until = %pair.expires_at(), "certificate of the built-in CA loaded");
        }
        let problem = look.problem.map(|problem| problem.to_string());
        if let Some(problem) = &problem {
            self.metrics.reloaded("certificate", false);
            if self.said.as_ref() != Some(problem) {
                let follows = if self.has_pair {
                    "the certificate that was loaded before is served on"
                } else {
                    "podfit is not ready before"
                };
                tracing::warn!("{problem}; {follows}");
            }
        } else {
            if look.fresh.is_some() || self.said.is_some() {
                self.metrics.reloaded("certificate", true);
            }
            if self.said.is_some() {
                tracing::info!("the built-in CA is as it should be again");
            }
        }
        self.said = problem;
        look.fresh
    }
}

/// Waits for the first pair; gives what serves it, and what keeps it fresh until `stop`.
pub(super) async fn begin(
    ca: BuiltInCa,
    metrics: Arc<Metrics>,
    every: Duration,
    stop: CancellationToken,
) -> (Arc<ServedPair>, impl Future<Output = ()> + Send) {
    let mut looks = Looks { ca, metrics, has_pair: false, said: None };
    let first = loop {
        if let Some(pair) = looks.next().await {
            break pair;
        }
        sleep(every).await;
    };
    let served = Arc::new(ServedPair::new(first));
    let serving = Arc::clone(&served);
    let follow = async move {
        while timeout(every * FILE_LOOKS, stop.cancelled()).await.is_err() {
            if let Some(pair) = looks.next().await {
                serving.swap(pair);
            }
        }
    };
    (served, follow)
}
