//! Reads and writes `Recommendation` objects: server-side apply, and only over what was read, so that a kill taken in
//! meanwhile is never overwritten. Must not decide what is said in them.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::object::{Recommendation, identity, name_of, with_status};
use super::problem::Problem;
use crate::cluster::{Api, ApiError, PatchKind};
use crate::controller::crds::{GROUP, RECOMMENDATIONS, VERSION};
use crate::recommendation::status::Status;
use crate::text;
use crate::workload::Workload;

/// Who podfit is among the writers of an object's fields.
const FIELD_MANAGER: &str = "podfit";
/// Longest note of an Event (`events.k8s.io/v1`) that fits its 1,024 bytes whatever the characters, in characters.
pub(super) const NOTE_CHARS: usize = 256;
/// Who tells Events.
pub(super) const REPORTER: &str = "podfit.dev/controller";

/// An object with the version that it was read in.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored {
    /// What it says.
    pub recommendation: Recommendation,
    version: String,
    uid: String,
}

/// What became of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// It is stored.
    Stored,
    /// Somebody else was quicker: read again.
    Overtaken,
    /// Its namespace is gone, and it with it.
    NoNamespace,
}

/// What became of a patch.
enum Applied {
    Stored(Value),
    NoNamespace,
    NotThere,
    Conflict,
}

/// The recommendations of a cluster.
#[derive(Clone, Debug)]
pub struct Recommendations {
    api: Api,
}

impl Recommendations {
    /// Through this API server.
    pub fn new(api: Api) -> Self {
        Self { api }
    }

    /// The object of a workload; `None` where there is none.
    ///
    /// # Errors
    /// What the API server did not do, and what to do about it.
    pub async fn get(&self, workload: &Workload) -> Result<Option<Stored>, Problem> {
        let path = format!("{}/{}", collection(&workload.namespace), name_of(workload));
        Ok(self.api.get(&path).await.map_err(|error| Problem::of("get", &error))?.as_ref().and_then(stored))
    }

    /// All of a namespace. Objects that cannot be read are passed over: they are written anew or left alone.
    ///
    /// # Errors
    /// What the API server did not do, and what to do about it.
    pub async fn list(&self, namespace: &str) -> Result<Vec<Stored>, Problem> {
        let objects = self.api.list(&collection(namespace), |_| {}).await;
        Ok(objects.map_err(|error| Problem::of("list", &error))?.iter().filter_map(stored).collect())
    }

    /// Writes a workload's status over what was read, creating the object where there was none.
    ///
    /// # Errors
    /// What the API server did not do, and what to do about it.
    pub async fn write(
        &self,
        workload: &Workload,
        before: Option<&Stored>,
        status: &Status,
    ) -> Result<(Written, Option<Stored>), Problem> {
        let path = format!("{}/{}", collection(&workload.namespace), name_of(workload));
        let query = format!("?fieldManager={FIELD_MANAGER}&force=true");
        let created;
        let before = match before {
            Some(before) => before,
            None => match self.apply(&format!("{path}{query}"), &identity(workload)).await? {
                Applied::NoNamespace => return Ok((Written::NoNamespace, None)),
                Applied::NotThere | Applied::Conflict => return Ok((Written::Overtaken, None)),
                Applied::Stored(object) => {
                    let other = || Problem::OfOne("it came back as something else".to_owned());
                    created = stored(&object).ok_or_else(other)?;
                    // Somebody else's words: read them first.
                    if created.recommendation.status != Status::default() {
                        return Ok((Written::Overtaken, None));
                    }
                    &created
                }
            },
        };
        let mut body = with_status(workload, status);
        body["metadata"]["resourceVersion"] = json!(before.version);
        let answer = self.apply(&format!("{path}/status{query}"), &body).await?;
        Ok(match answer {
            Applied::Stored(object) => (Written::Stored, stored(&object)),
            Applied::NoNamespace => (Written::NoNamespace, None),
            Applied::NotThere | Applied::Conflict => (Written::Overtaken, None),
        })
    }

    /// Deletes an object, if it is still as it was read.
    ///
    /// # Errors
    /// What the API server did not do, and what to do about it.
    pub async fn delete(&self, before: &Stored) -> Result<(), Problem> {
        let workload = &before.recommendation.workload;
        let path = format!("{}/{}", collection(&workload.namespace), before.recommendation.name);
        let body = json!({"preconditions": {"uid": before.uid, "resourceVersion": before.version}});
        match self.api.delete(&path, &body).await {
            Ok(_) | Err(ApiError::Status { status: 404 | 409, .. }) => Ok(()),
            Err(error) => Err(Problem::of("delete", &error)),
        }
    }

    /// Tells whoever looks at the object, as an Event.
    ///
    /// # Errors
    /// What the API server did not do, and what to do about it.
    pub async fn tell(
        &self,
        about: &Stored,
        reason: &str,
        note: &str,
        who: &str,
        now: Timestamp,
    ) -> Result<(), String> {
        let namespace = &about.recommendation.workload.namespace;
        let time = now.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string();
        let event = json!({
            "apiVersion": "events.k8s.io/v1", "kind": "Event",
            "metadata": {"generateName": format!("{}-", about.recommendation.name), "namespace": namespace},
            "eventTime": time, "action": "Resize", "reason": reason, "type": "Warning",
            "note": text::clip(&text::clean(note), NOTE_CHARS),
            "reportingController": REPORTER, "reportingInstance": text::clip(who, 128),
            "regarding": {
                "apiVersion": format!("{GROUP}/{VERSION}"), "kind": "Recommendation",
                "name": about.recommendation.name, "namespace": namespace, "uid": about.uid,
            },
        });
        let path = format!("/apis/events.k8s.io/v1/namespaces/{namespace}/events");
        match self.api.create(&path, &event).await {
            Ok(_) => Ok(()),
            Err(ApiError::Status { status: 403, .. }) => Err("podfit may not create events (403): grant its service \
                account the verb create on events (events.k8s.io)"
                .to_owned()),
            Err(error) => Err(format!("cannot create an Event: {error}")),
        }
    }

    async fn apply(&self, path: &str, body: &Value) -> Result<Applied, Problem> {
        match self.api.patch(path, PatchKind::Apply, body).await {
            Ok(object) => Ok(Applied::Stored(object)),
            Err(ApiError::Status { status: 403 | 404, message }) if is_of_a_namespace_that_goes(&message) => {
                Ok(Applied::NoNamespace)
            }
            // A status of an object that is gone meanwhile. Of its definition it is said in other words.
            Err(ApiError::Status { status: 404, message }) if message.contains(GROUP) => Ok(Applied::NotThere),
            Err(ApiError::Status { status: 409, .. }) => Ok(Applied::Conflict),
            Err(error) => Err(Problem::of("patch", &error)),
        }
    }
}

fn stored(object: &Value) -> Option<Stored> {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (version, uid) = (text("/metadata/resourceVersion"), text("/metadata/uid"));
    Some(Stored { recommendation: Recommendation::read(object).ok()?, version, uid })
}

fn collection(namespace: &str) -> String {
    format!("/apis/{GROUP}/{VERSION}/namespaces/{namespace}/{RECOMMENDATIONS}")
}

/// Whether the namespace is what is not there, or not for long: its objects go with it.
fn is_of_a_namespace_that_goes(message: &str) -> bool {
    message.starts_with("namespaces \"") || message.contains("because it is being terminated")
}
