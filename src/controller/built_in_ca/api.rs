//! Reads and writes the Secret and the webhook configurations, and says what to do where that is refused.
//! Must not repeat what was sent or answered: both hold keys, and API servers quote what they cannot read.

use serde_json::Value;

use super::configuration::{self, KINDS};
use super::settings::Settings;
use super::step::Stored;
use crate::certs::bundle::Bundle;
use crate::controller::api::{self, ApiResponse};

/// How often a change is tried again because somebody else was quicker; replicas are few.
const ATTEMPTS: usize = 6;
const ADMISSION: &str = "/apis/admissionregistration.k8s.io/v1";
const MERGE_PATCH: &str = "application/merge-patch+json";
const JSON_PATCH: &str = "application/json-patch+json";

/// What the API server did not do.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ApiError {
    /// A right is missing.
    #[error("podfit may not {verb} {what} (403): grant its service account the verbs {verbs} on {resource}")]
    Forbidden {
        /// What was tried.
        verb: &'static str,
        /// On what.
        what: String,
        /// What is needed on it in all.
        verbs: &'static str,
        /// The resource, as in a Role.
        resource: String,
    },
    /// No namespace for the Secret.
    #[error("cannot create {what}: there is no namespace {namespace}; create it, or name another by --built-in-ca")]
    NoNamespace {
        /// What was tried.
        what: String,
        /// Its namespace.
        namespace: String,
    },
    /// Everything else.
    #[error("cannot {verb} {what}: {why}; it is tried again, see to the API server if this lasts")]
    Failed {
        /// What was tried.
        verb: &'static str,
        /// On what.
        what: String,
        /// A status or what the network said.
        why: String,
    },
}

/// What became of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// It is stored.
    Done,
    /// Somebody else was quicker: read again.
    Overtaken,
}

/// A resource: what it is called, and which rights it takes.
struct Target<'a> {
    resource: &'a str,
    group: &'a str,
    verbs: &'static str,
    what: String,
}

/// The API server, as far as the built-in CA needs it.
#[derive(Clone)]
pub(super) struct Api {
    api: api::Api,
}

impl Api {
    pub(super) fn new(client: kube::Client) -> Self {
        Self { api: api::Api::new(client) }
    }

    /// The Secret as it is now.
    pub(super) async fn secret(&self, settings: &Settings) -> Result<Stored, ApiError> {
        let path = format!("{}/{}", secrets(settings), settings.secret.name);
        Ok(self.get(&path, &secret_target(settings)).await?.as_ref().map(Stored::read).unwrap_or_default())
    }

    /// Stores a bundle, if the Secret is still as it was read.
    pub(super) async fn store(
        &self,
        stored: &Stored,
        bundle: &Bundle,
        settings: &Settings,
    ) -> Result<Change, ApiError> {
        let (path, target) = (secrets(settings), secret_target(settings));
        let body = stored.body(bundle, &settings.secret);
        if stored.exists() {
            let path = format!("{path}/{}", settings.secret.name);
            return match self.send("PATCH", &path, MERGE_PATCH, Some(&body), &target).await? {
                ApiResponse::Text(_) => Ok(Change::Done),
                ApiResponse::Status(404 | 409) => Ok(Change::Overtaken),
                ApiResponse::Status(status) => Err(refused("patch", &target, status)),
            };
        }
        match self.send("POST", &path, "application/json", Some(&body), &target).await? {
            ApiResponse::Text(_) => Ok(Change::Done),
            ApiResponse::Status(409) => Ok(Change::Overtaken),
            ApiResponse::Status(404) => {
                let namespace = settings.secret.namespace.clone();
                Err(ApiError::NoNamespace { what: target.what, namespace })
            }
            ApiResponse::Status(status) => Err(refused("create", &target, status)),
        }
    }

    /// Gives both webhook configurations the bundle, base64. One that is not there may come later and is no error. Both
    /// are tried; the first trouble is told.
    pub(super) async fn publish(&self, bundle: &str, settings: &Settings) -> Result<(), ApiError> {
        let (one, other) =
            (self.publish_in(KINDS[0], bundle, settings).await, self.publish_in(KINDS[1], bundle, settings).await);
        one.and(other)
    }

    async fn publish_in(&self, kind: &str, bundle: &str, settings: &Settings) -> Result<(), ApiError> {
        let path = format!("{ADMISSION}/{kind}/{}", settings.configuration);
        let what = format!("{kind} {}", settings.configuration);
        let target = Target { resource: kind, group: "admissionregistration.k8s.io", verbs: "get and patch", what };
        let mut last = 409;
        for _ in 0..ATTEMPTS {
            let Some(object) = self.get(&path, &target).await? else { return Ok(()) };
            let Some(patch) = configuration::patch(&object, settings, bundle) else { return Ok(()) };
            match self.send("PATCH", &path, JSON_PATCH, Some(&patch), &target).await? {
                ApiResponse::Text(_) => {
                    tracing::info!(configuration = %target.what, "caBundle written");
                    return Ok(());
                }
                // 422 is what a `test` that fails comes to.
                ApiResponse::Status(status @ (404 | 409 | 422)) => last = status,
                ApiResponse::Status(status) => return Err(refused("patch", &target, status)),
            }
        }
        Err(refused("patch", &target, last))
    }

    async fn get(&self, path: &str, target: &Target<'_>) -> Result<Option<Value>, ApiError> {
        match self.send("GET", path, "application/json", None, target).await? {
            // The position in a text that is no JSON helps nobody, and its words may be a key.
            ApiResponse::Text(text) => serde_json::from_str(&text).map(Some).map_err(|_| ApiError::Failed {
                verb: "get",
                what: target.what.clone(),
                why: "the answer is no JSON".to_owned(),
            }),
            ApiResponse::Status(404) => Ok(None),
            ApiResponse::Status(status) => Err(refused("get", target, status)),
        }
    }

    /// The answer as text: the client's own parsing logs what it cannot parse, and that may hold keys.
    async fn send(
        &self,
        method: &'static str,
        path: &str,
        kind: &'static str,
        body: Option<&Value>,
        target: &Target<'_>,
    ) -> Result<ApiResponse, ApiError> {
        let verb = match method {
            "GET" => "get",
            "POST" => "create",
            _ => "patch",
        };
        let sent = self.api.send(method, path, kind, body).await;
        sent.map_err(|why| ApiError::Failed { verb, what: target.what.clone(), why })
    }
}

fn secrets(settings: &Settings) -> String {
    format!("/api/v1/namespaces/{}/secrets", settings.secret.namespace)
}

fn secret_target(settings: &Settings) -> Target<'static> {
    let what = format!("Secret {}", settings.secret);
    Target { resource: "secrets", group: "core", verbs: "get, create and patch", what }
}

fn refused(verb: &'static str, target: &Target<'_>, status: u16) -> ApiError {
    let what = target.what.clone();
    if status == 403 {
        let resource = format!("{} ({})", target.resource, target.group);
        return ApiError::Forbidden { verb, what, verbs: target.verbs, resource };
    }
    ApiError::Failed { verb, what, why: format!("the API server answered {status}") }
}
