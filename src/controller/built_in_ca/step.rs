//! One look at the Secret of the built-in CA: what it holds, what to do next, and the request that does it.
//! Must not know how it is sent, nor read the clock.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::settings::SecretName;
use crate::certs::authority::AuthorityError;
use crate::certs::bundle::{
    Bundle, CA_CERTIFICATES, CA_KEY, NEXT_CERTIFICATE, NEXT_KEY, NEXT_PUBLISHED, PREVIOUS_UNTIL, SecretData,
    TLS_CERTIFICATE, TLS_KEY,
};
use crate::certs::names::ServerNames;
use crate::certs::rotation::{Lifetimes, Step, plan};

/// Everything of the Secret that is podfit's; other keys are left alone.
const OURS: [&str; 8] =
    [CA_CERTIFICATES, CA_KEY, NEXT_CERTIFICATE, NEXT_KEY, NEXT_PUBLISHED, PREVIOUS_UNTIL, TLS_CERTIFICATE, TLS_KEY];

/// The Secret as the API server gave it. Holds keys, and so has no `Debug`.
#[derive(Default)]
pub(super) struct Stored {
    data: SecretData,
    /// What a change has to name, so that it is refused where somebody else was quicker; `None` where there is none.
    version: Option<String>,
}

/// What follows from it.
pub(super) enum Todo {
    /// It is as it should be: serve its leaf.
    Serve(Bundle),
    /// Store this.
    Store(Bundle),
    /// Write its CAs into the webhook configurations, and only then store it.
    Publish(Bundle),
}

impl Stored {
    /// Reads the Secret. What is not base64 is taken as not there.
    pub(super) fn read(object: &Value) -> Self {
        let decoded = |value: &Value| STANDARD.decode(value.as_str()?).ok();
        let data = object["data"].as_object().into_iter().flatten();
        Self {
            data: data.filter_map(|(key, value)| Some((key.clone(), decoded(value)?))).collect(),
            version: object["metadata"]["resourceVersion"].as_str().map(str::to_owned),
        }
    }

    /// Whether there is a Secret at all.
    pub(super) fn exists(&self) -> bool {
        self.version.is_some()
    }

    /// The one thing to do at `now`.
    ///
    /// # Errors
    /// A CA or leaf that cannot be made.
    pub(super) fn todo(
        &self,
        names: &ServerNames,
        lifetimes: &Lifetimes,
        now: Timestamp,
    ) -> Result<Todo, AuthorityError> {
        let mut bundle = Bundle::read(&self.data);
        match plan(&bundle.state(), names, lifetimes, now) {
            Step::Keep { .. } => Ok(Todo::Serve(bundle)),
            Step::Publish => {
                bundle.published(now);
                Ok(Todo::Publish(bundle))
            }
            step => {
                bundle.take(step, names, lifetimes, now)?;
                Ok(Todo::Store(bundle))
            }
        }
    }

    /// The body that stores a bundle: a Secret to create, else a merge patch that counts for this version alone.
    pub(super) fn body(&self, bundle: &Bundle, name: &SecretName) -> Value {
        let fresh = bundle.write();
        let encoded = fresh.iter().map(|(key, value)| (key.clone(), Value::from(STANDARD.encode(value))));
        let mut data: Map<String, Value> = encoded.collect();
        let Some(version) = &self.version else {
            return json!({
                "apiVersion": "v1",
                "kind": "Secret",
                "type": "kubernetes.io/tls",
                "metadata": {
                    "name": name.name,
                    "namespace": name.namespace,
                    "labels": {"app.kubernetes.io/managed-by": "podfit"},
                },
                "data": data,
            });
        };
        for gone in OURS.iter().filter(|key| self.data.contains_key(**key) && !fresh.contains_key(**key)) {
            data.insert((*gone).to_owned(), Value::Null);
        }
        json!({"metadata": {"resourceVersion": version}, "data": data})
    }
}

#[cfg(test)]
#[path = "step_tests.rs"]
mod tests;
