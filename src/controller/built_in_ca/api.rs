//! Reads and writes the Secret and the webhook configurations, and says what to do where that is refused.
//! Must not repeat what was sent or answered: both hold keys, and API servers quote what they cannot read.

use super::configuration::{self, KINDS};
use super::settings::Settings;
use super::step::Stored;
use crate::certs::bundle::Bundle;
use crate::cluster::{self, PatchKind};

/// How often a change is tried again because somebody else was quicker; replicas are few.
const ATTEMPTS: usize = 6;
const ADMISSION: &str = "/apis/admissionregistration.k8s.io/v1";

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
    api: cluster::Api,
}

impl Api {
    pub(super) fn new(client: kube::Client) -> Self {
        Self { api: cluster::Api::new(client) }
    }

    /// The Secret as it is now.
    pub(super) async fn secret(&self, settings: &Settings) -> Result<Stored, ApiError> {
        let path = format!("{}/{}", secrets(settings), settings.secret.name);
        let object = self.api.get(&path).await.map_err(|error| failed("get", &secret_target(settings), &error))?;
        Ok(object.as_ref().map(Stored::read).unwrap_or_default())
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
            return match self.api.patch(&path, PatchKind::Merge, &body).await {
                Ok(_) => Ok(Change::Done),
                Err(error) if [404, 409].contains(&error.status()) => Ok(Change::Overtaken),
                Err(error) => Err(failed("patch", &target, &error)),
            };
        }
        match self.api.create(&path, &body).await {
            Ok(_) => Ok(Change::Done),
            Err(error) if error.status() == 409 => Ok(Change::Overtaken),
            Err(error) if error.status() == 404 => {
                let namespace = settings.secret.namespace.clone();
                Err(ApiError::NoNamespace { what: target.what, namespace })
            }
            Err(error) => Err(failed("create", &target, &error)),
        }
    }

    /// Gives both webhook configurations the bundle, base64. One that is not there may come later and is no error. Both
    /// are tried; the first error is returned.
    pub(super) async fn publish(&self, bundle: &str, settings: &Settings) -> Result<(), ApiError> {
        let (one, other) =
            (self.publish_in(KINDS[0], bundle, settings).await, self.publish_in(KINDS[1], bundle, settings).await);
        one.and(other)
    }

    async fn publish_in(&self, kind: &str, bundle: &str, settings: &Settings) -> Result<(), ApiError> {
        let path = format!("{ADMISSION}/{kind}/{}", settings.configuration);
        let what = format!("{kind} {}", settings.configuration);
        let target = Target { resource: kind, group: "admissionregistration.k8s.io", verbs: "get and patch", what };
        let mut last = None;
        for _ in 0..ATTEMPTS {
            let object = self.api.get(&path).await.map_err(|error| failed("get", &target, &error))?;
            let Some(object) = object else { return Ok(()) };
            let Some(patch) = configuration::patch(&object, settings, bundle) else { return Ok(()) };
            match self.api.patch(&path, PatchKind::Json, &patch).await {
                Ok(_) => {
                    tracing::info!(configuration = %target.what, "caBundle written");
                    return Ok(());
                }
                // 422 is what a `test` that fails comes to.
                Err(error) if [404, 409, 422].contains(&error.status()) => last = Some(error),
                Err(error) => return Err(failed("patch", &target, &error)),
            }
        }
        last.map_or(Ok(()), |error| Err(failed("patch", &target, &error)))
    }
}

fn secrets(settings: &Settings) -> String {
    format!("/api/v1/namespaces/{}/secrets", settings.secret.namespace)
}

fn secret_target(settings: &Settings) -> Target<'static> {
    let what = format!("Secret {}", settings.secret);
    Target { resource: "secrets", group: "core", verbs: "get, create and patch", what }
}

fn failed(verb: &'static str, target: &Target<'_>, error: &cluster::ApiError) -> ApiError {
    let what = target.what.clone();
    if error.status() == 403 {
        let resource = format!("{} ({})", target.resource, target.group);
        return ApiError::Forbidden { verb, what, verbs: target.verbs, resource };
    }
    ApiError::Failed { verb, what, why: error.to_string() }
}
