//! The settings of the server and the errors of starting it. Opens nothing.

use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::limits::Limits;
use super::tls::TlsError;
use crate::controller::built_in_ca::BuiltInCa;
use crate::controller::recommend::ControllerMetrics;
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
    pub figures: Arc<ControllerMetrics>,
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

/// Parts of the service, each running for as long as it does; the value is the part's name.
pub(super) type Parts = JoinSet<&'static str>;

/// A part that says its name when it ends.
pub(super) async fn named(name: &'static str, part: impl Future<Output = ()>) -> &'static str {
    part.await;
    name
}
