//! Lists and gets raw objects through the user's kubeconfig, page by page.
//! Objects stay JSON: typed structs would drop fields they do not know.

use std::time::Duration;

use serde_json::Value;

use super::ClusterError;
use super::error::{causes, innermost, one_line};
use super::kubeconfig::{self, Access};
use crate::text;

/// Objects asked for at a time.
const PAGE: usize = 500;
/// A CLI that hangs is worse than one that says so.
const TIMEOUT: Duration = Duration::from_secs(30);
const AGENT: &str = concat!("podfit/", env!("CARGO_PKG_VERSION"));

/// A connection to one API server.
#[derive(Clone)]
pub struct Reader {
    client: kube::Client,
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
        Ok(Self { client: client(config)?, server, namespace })
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
        match self.request(path, what).await {
            Ok(object) => Ok(Some(object)),
            Err(ClusterError::Refused { status: 404, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// All objects of a list, `keep` applied to each as it comes so that pages need not be held whole.
    ///
    /// # Errors
    /// [`ClusterError`], saying `what` was tried.
    pub async fn list(
        &self,
        path: &str,
        what: &str,
        mut keep: impl FnMut(&mut Value),
    ) -> Result<Vec<Value>, ClusterError> {
        let mut out = Vec::new();
        let mut next = String::new();
        loop {
            let mut page = self.request(&format!("{path}?limit={PAGE}{next}"), what).await?;
            if let Some(items) = page.get_mut("items").and_then(Value::as_array_mut) {
                for mut item in items.drain(..) {
                    if let Some(metadata) = item.get_mut("metadata").and_then(Value::as_object_mut) {
                        metadata.remove("managedFields");
                    }
                    keep(&mut item);
                    out.push(item);
                }
            }
            match page.pointer("/metadata/continue").and_then(Value::as_str).filter(|c| !c.is_empty()) {
                Some(token) => next = format!("&continue={}", text::percent_encoded(token, b"")),
                None => return Ok(out),
            }
        }
    }

    /// The answer to a question that is asked by POST, such as an access review. Nothing is stored by it.
    ///
    /// # Errors
    /// [`ClusterError`], saying `what` was tried.
    pub async fn ask(&self, path: &str, question: &Value, what: &str) -> Result<Value, ClusterError> {
        let request = http::Request::post(path).header(http::header::CONTENT_TYPE, "application/json");
        self.answer(request.body(question.to_string().into_bytes()), what).await
    }

    /// The API server's version, and by how many milliseconds its clock is ahead of this machine's, to a second; `None`
    /// where it does not tell.
    ///
    /// # Errors
    /// [`ClusterError`].
    pub async fn version(&self) -> Result<(String, Option<i64>), ClusterError> {
        let version = self.request("/version", "read the version").await?;
        let version = one_line(version["gitVersion"].as_str().unwrap_or("of an unknown version"));
        let Ok(request) = http::Request::get("/version").body(kube::client::Body::empty()) else {
            return Ok((version, None));
        };
        let before = jiff::Timestamp::now().as_millisecond();
        let answer = tokio::time::timeout(TIMEOUT, self.client.send(request)).await;
        let between = i64::midpoint(before, jiff::Timestamp::now().as_millisecond());
        let date = answer.ok().and_then(Result::ok).and_then(|answer| {
            let text = answer.headers().get(http::header::DATE)?.to_str().ok()?.to_owned();
            Some(jiff::fmt::rfc2822::parse(&text).ok()?.timestamp().as_millisecond())
        });
        // Half a second on the average is cut off.
        Ok((version, date.map(|date| date + 500 - between)))
    }

    async fn request(&self, path: &str, what: &str) -> Result<Value, ClusterError> {
        self.answer(http::Request::get(path).body(Vec::new()), what).await
    }

    async fn answer(
        &self,
        request: Result<http::Request<Vec<u8>>, http::Error>,
        what: &str,
    ) -> Result<Value, ClusterError> {
        let server = self.server.clone();
        let refused = |status: u16, message: String| match status {
            401 => ClusterError::Unauthorized { server: self.server.clone() },
            403 => ClusterError::Forbidden { what: what.to_owned() },
            _ => ClusterError::Refused { server: self.server.clone(), status, what: what.to_owned(), message },
        };
        let request = request.map_err(|e| refused(0, one_line(&e.to_string())))?;
        match tokio::time::timeout(TIMEOUT, self.client.request::<Value>(request)).await {
            Err(_) => Err(ClusterError::Unreachable { server, why: format!("no answer in {} s", TIMEOUT.as_secs()) }),
            Ok(Ok(value)) => Ok(value),
            Ok(Err(kube::Error::Api(status))) => Err(refused(status.code, one_line(&status.message))),
            Ok(Err(error @ (kube::Error::SerdeError(_) | kube::Error::FromUtf8(_)))) => {
                Err(ClusterError::NotKubernetes { server, why: innermost(&error) })
            }
            Ok(Err(error @ (kube::Error::Service(_) | kube::Error::HyperError(_)))) => {
                Err(ClusterError::Unreachable { server, why: innermost(&error) })
            }
            Ok(Err(error)) => Err(ClusterError::Unreachable { server, why: causes(&error) }),
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
