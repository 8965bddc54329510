//! The one way to the API server but for watches: a request goes out, JSON or an [`ApiError`] comes back.
//!
//! Objects stay JSON: podfit reads a few fields of many kinds, and a typed struct would drop what it does not know when
//! an object is written back. Answers are parsed here and not by kube, which logs a body that it cannot read: a Secret's
//! would be a key. For the same reason an error's text never repeats what was sent or answered.

use std::time::Duration;

use http::header::CONTENT_TYPE;
use http::{Method, Request};
use serde_json::Value;

use super::error::{causes, innermost};
use crate::text;

/// Until an answer is there. The API server itself gives up after 60 s.
pub(super) const TIMEOUT: Duration = Duration::from_secs(30);
/// Objects asked for at a time.
const PAGE: usize = 500;
/// Longest reason that is repeated, in characters.
const MAX_REASON_CHARS: usize = 300;
const JSON: &str = "application/json";

/// Why a request has no object for an answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// The API server refused.
    #[error("the API server answered {status}")]
    Status {
        /// HTTP status.
        status: u16,
        /// Its words, which may quote the request: not for logs.
        message: String,
    },
    /// The answer is not from an API server. What a parser said of it, which may quote it: not for logs.
    #[error("the answer is not JSON")]
    NotJson(String),
    /// There was no answer.
    #[error("{0}")]
    Network(String),
}

impl ApiError {
    /// The HTTP status of a refusal; 0 where there was none.
    pub const fn status(&self) -> u16 {
        match self {
            Self::Status { status, .. } => *status,
            Self::NotJson(_) | Self::Network(_) => 0,
        }
    }
}

/// How a patch is meant, by its media type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatchKind {
    /// Server-side apply.
    Apply,
    /// RFC 6902.
    Json,
    /// RFC 7386.
    Merge,
}

/// The API server.
#[derive(Clone)]
pub struct Api {
    pub(super) client: kube::Client,
}

impl std::fmt::Debug for Api {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Api")
    }
}

impl Api {
    /// Give it a client without retries of its own, which would hide how long the API server has been silent.
    pub fn new(client: kube::Client) -> Self {
        Self { client }
    }

    /// One object; `None` where there is none.
    pub async fn get(&self, path: &str) -> Result<Option<Value>, ApiError> {
        match self.send(Method::GET, path, JSON, None).await {
            Ok(object) => Ok(Some(object)),
            Err(ApiError::Status { status: 404, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// All objects of a list, page by page; `keep` is applied to each as it comes, so that what is not wanted of them is
    /// never held for the whole list.
    pub async fn list(&self, path: &str, mut keep: impl FnMut(&mut Value)) -> Result<Vec<Value>, ApiError> {
        let mut all = Vec::new();
        let mut next = String::new();
        loop {
            let mut page = match self.send(Method::GET, &format!("{path}?limit={PAGE}{next}"), JSON, None).await {
                Ok(page) => page,
                // The list has changed too much to go on: from the beginning.
                Err(ApiError::Status { status: 410, .. }) if !next.is_empty() => {
                    (all, next) = (Vec::new(), String::new());
                    continue;
                }
                Err(error) => return Err(error),
            };
            if let Some(items) = page.get_mut("items").and_then(Value::as_array_mut) {
                for mut item in items.drain(..) {
                    if let Some(metadata) = item.get_mut("metadata").and_then(Value::as_object_mut) {
                        metadata.remove("managedFields");
                    }
                    keep(&mut item);
                    all.push(item);
                }
            }
            match page.pointer("/metadata/continue").and_then(Value::as_str).filter(|token| !token.is_empty()) {
                Some(token) => next = format!("&continue={}", text::percent_encoded(token, b"")),
                None => return Ok(all),
            }
        }
    }

    /// An answer that is no JSON, such as the API server's own metrics.
    pub async fn text(&self, path: &str) -> Result<String, ApiError> {
        let request = Request::get(path).body(Vec::new()).map_err(|error| ApiError::Network(error.to_string()))?;
        let answer = tokio::time::timeout(TIMEOUT, self.client.request_text(request)).await;
        match answer.map_err(|_| ApiError::Network(format!("no answer in {} s", TIMEOUT.as_secs())))? {
            Ok(text) => Ok(text),
            Err(kube::Error::Api(said)) => Err(ApiError::Status { status: said.code, message: said.message.clone() }),
            Err(error) => Err(ApiError::Network(text::clip(&text::clean(&innermost(&error)), MAX_REASON_CHARS))),
        }
    }

    /// Creates an object, or asks something that is asked by POST.
    pub async fn create(&self, path: &str, body: &Value) -> Result<Value, ApiError> {
        self.send(Method::POST, path, JSON, Some(body)).await
    }

    /// Replaces an object.
    pub async fn replace(&self, path: &str, body: &Value) -> Result<Value, ApiError> {
        self.send(Method::PUT, path, JSON, Some(body)).await
    }

    /// Patches an object.
    pub async fn patch(&self, path: &str, kind: PatchKind, body: &Value) -> Result<Value, ApiError> {
        let media_type = match kind {
            PatchKind::Apply => "application/apply-patch+yaml",
            PatchKind::Json => "application/json-patch+json",
            PatchKind::Merge => "application/merge-patch+json",
        };
        self.send(Method::PATCH, path, media_type, Some(body)).await
    }

    /// Deletes an object.
    pub async fn delete(&self, path: &str, options: &Value) -> Result<Value, ApiError> {
        self.send(Method::DELETE, path, JSON, Some(options)).await
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        media_type: &str,
        body: Option<&Value>,
    ) -> Result<Value, ApiError> {
        let body = body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
        let request = Request::builder().method(method).uri(path).header(CONTENT_TYPE, media_type).body(body);
        let request = request.map_err(|error| ApiError::Network(error.to_string()))?;
        let network = |why: &str| ApiError::Network(text::clip(&text::clean(why), MAX_REASON_CHARS));
        match tokio::time::timeout(TIMEOUT, self.client.request_text(request)).await {
            Err(_) => Err(ApiError::Network(format!("no answer in {} s", TIMEOUT.as_secs()))),
            Ok(Ok(text)) => serde_json::from_str(&text).map_err(|error| ApiError::NotJson(error.to_string())),
            Ok(Err(kube::Error::Api(said))) => {
                Err(ApiError::Status { status: said.code, message: said.message.clone() })
            }
            Ok(Err(error @ kube::Error::FromUtf8(_))) => Err(ApiError::NotJson(innermost(&error))),
            Ok(Err(error @ (kube::Error::Service(_) | kube::Error::HyperError(_)))) => Err(network(&innermost(&error))),
            Ok(Err(error)) => Err(network(&causes(&error))),
        }
    }
}
