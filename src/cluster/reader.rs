//! Reads the cluster for a command: through the user's kubeconfig, with errors that tell the user what to do.

use jiff::Timestamp;
use serde_json::Value;

use super::ClusterError;
use super::api::{Api, ApiError, TIMEOUT};
use super::error::one_line;
use super::kubeconfig::{self, Access};

const AGENT: &str = concat!("podfit/", env!("CARGO_PKG_VERSION"));

/// A connection to one API server.
#[derive(Clone)]
pub struct Reader {
    api: Api,
    server: String,
    namespace: String,
}

impl Reader {
    /// Reads the kubeconfig; sends nothing yet.
    ///
    /// # Errors
    /// [`ClusterError::Kubeconfig`].
    pub async fn connect(access: &Access) -> Result<Self, ClusterError> {
        let mut config = settings(access).await?;
        config.read_timeout = Some(TIMEOUT);
        let server = shown(&config.cluster_url);
        let namespace = config.default_namespace.clone();
        Ok(Self { api: Api::new(client(config)?), server, namespace })
    }

    /// The context's namespace.
    pub fn default_namespace(&self) -> &str {
        &self.namespace
    }

    /// The API server's address.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// One object, `None` when there is none.
    ///
    /// # Errors
    /// [`ClusterError`], saying `what` was tried.
    pub async fn get(&self, path: &str, what: &str) -> Result<Option<Value>, ClusterError> {
        self.api.get(path).await.map_err(|error| self.failed(error, what))
    }

    /// All objects of a list, `keep` applied to each as it comes so that pages need not be held whole.
    ///
    /// # Errors
    /// [`ClusterError`], saying `what` was tried.
    pub async fn list(&self, path: &str, what: &str, keep: impl FnMut(&mut Value)) -> Result<Vec<Value>, ClusterError> {
        self.api.list(path, keep).await.map_err(|error| self.failed(error, what))
    }

    /// A text, such as the API server's own metrics.
    ///
    /// # Errors
    /// [`ClusterError`], saying `what` was tried.
    pub async fn text(&self, path: &str, what: &str) -> Result<String, ClusterError> {
        self.api.text(path).await.map_err(|error| self.failed(error, what))
    }

    /// The answer to a question that is asked by POST, such as an access review. Nothing is stored by it.
    ///
    /// # Errors
    /// [`ClusterError`], saying `what` was tried.
    pub async fn ask(&self, path: &str, question: &Value, what: &str) -> Result<Value, ClusterError> {
        self.api.create(path, question).await.map_err(|error| self.failed(error, what))
    }

    /// The API server's version, and by how many milliseconds its clock is ahead of this machine's, to a second; `None`
    /// where it does not tell.
    ///
    /// # Errors
    /// [`ClusterError`].
    pub async fn version(&self) -> Result<(String, Option<i64>), ClusterError> {
        let what = "read the version";
        let not_there = || self.failed(ApiError::Status { status: 404, message: "no version".to_owned() }, what);
        let version = self.get("/version", what).await?.ok_or_else(not_there)?;
        let version = one_line(version["gitVersion"].as_str().unwrap_or("of an unknown version"));
        let Ok(request) = http::Request::get("/version").body(kube::client::Body::empty()) else {
            return Ok((version, None));
        };
        let before = Timestamp::now().as_millisecond();
        let answer = tokio::time::timeout(TIMEOUT, self.api.client.send(request)).await;
        let between = i64::midpoint(before, Timestamp::now().as_millisecond());
        let date = answer.ok().and_then(Result::ok).and_then(|answer| {
            let text = answer.headers().get(http::header::DATE)?.to_str().ok()?.to_owned();
            Some(jiff::fmt::rfc2822::parse(&text).ok()?.timestamp().as_millisecond())
        });
        // Half a second on the average is cut off.
        Ok((version, date.map(|date| date + 500 - between)))
    }

    fn failed(&self, error: ApiError, what: &str) -> ClusterError {
        let server = self.server.clone();
        match error {
            ApiError::Status { status: 401, .. } => ClusterError::Unauthorized { server },
            ApiError::Status { status: 403, .. } => ClusterError::Forbidden { what: what.to_owned() },
            ApiError::Status { status, message } => {
                ClusterError::Refused { server, status, what: what.to_owned(), message: one_line(&message) }
            }
            ApiError::NotJson(why) => ClusterError::NotKubernetes { server, why: one_line(&why) },
            ApiError::Network(why) => ClusterError::Unreachable { server, why },
        }
    }
}

/// A client for watches, which may be silent for minutes; it leaves retries to them. Sends nothing yet.
///
/// # Errors
/// [`ClusterError::Kubeconfig`].
pub async fn watch_client(access: &Access) -> Result<kube::Client, ClusterError> {
    let mut config = settings(access).await?;
    config.read_timeout = None;
    client(config)
}

async fn settings(access: &Access) -> Result<kube::Config, ClusterError> {
    let mut config = kubeconfig::load(access).await?;
    config.connect_timeout = Some(TIMEOUT);
    config.default_retry = false;
    // Who it was, for the API server's audit log.
    config.headers.push((http::header::USER_AGENT, http::HeaderValue::from_static(AGENT)));
    Ok(config)
}

fn client(config: kube::Config) -> Result<kube::Client, ClusterError> {
    let login = config.auth_info.exec.as_ref().and_then(|e| e.command.clone());
    kube::Client::try_from(config).map_err(|e| kubeconfig::unusable(&e, login.as_deref()))
}

/// The address without the user and password that it may hold.
fn shown(url: &http::Uri) -> String {
    let host = url.authority().map_or("", |a| a.as_str().rsplit('@').next().unwrap_or_default());
    format!("{}://{host}{}", url.scheme_str().unwrap_or("https"), url.path()).trim_end_matches('/').to_owned()
}
