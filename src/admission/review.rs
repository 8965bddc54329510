//! `AdmissionReview` (`admission.k8s.io/v1`) on the wire: the question with its objects left raw, and the answer.
//! Must not know what is decided; and must echo the uid even where the object inside cannot be read.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use base64::Engine;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::object::{PodToSize, place_of};
use super::patch::Op;

const API_VERSION: &str = "admission.k8s.io/v1";
const KIND: &str = "AdmissionReview";

/// What is about to happen to the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// It is new.
    Create,
    /// It is changed.
    Update,
    /// It goes; there is no object in the review.
    Delete,
    /// Somebody connects to it: `exec`, `proxy`.
    Connect,
}

impl Operation {
    fn named(name: &str) -> Option<Self> {
        match name {
            "CREATE" => Some(Self::Create),
            "UPDATE" => Some(Self::Update),
            "DELETE" => Some(Self::Delete),
            "CONNECT" => Some(Self::Connect),
            _ => None,
        }
    }
}

/// What an API server asks.
#[derive(Clone, Debug)]
pub struct Review<'a> {
    /// To be echoed.
    pub uid: Cow<'a, str>,
    /// API group of the resource; empty for the core group.
    pub group: Cow<'a, str>,
    /// Plural name of the resource: `pods`.
    pub resource: Cow<'a, str>,
    /// `ephemeralcontainers`, `resize`, `status`; empty for the resource itself.
    pub sub_resource: Cow<'a, str>,
    /// The object's namespace; empty for what has none. The object's own may be empty on creation.
    pub namespace: Cow<'a, str>,
    /// What is done.
    pub operation: Operation,
    /// Who asks.
    pub user: Cow<'a, str>,
    /// The groups of who asks.
    pub groups: Vec<Cow<'a, str>>,
    /// The object as it is to be; `None` for what has none, and where it was read as `pod`.
    pub object: Option<&'a RawValue>,
    /// The pod as far as its size can depend on it, where it was read at once.
    pub pod: Option<Value>,
    /// The object as it is.
    pub old_object: Option<&'a RawValue>,
}

/// A body that is no review. There is no uid to echo: the API server counts a failed call.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadReview {
    /// It is no JSON, or has not the form.
    #[error("the body is no AdmissionReview: {0}")]
    Unreadable(String),
    /// Of another version or kind.
    #[error("the body should be an AdmissionReview of admission.k8s.io/v1")]
    OtherKind,
    /// An answer, or half a question.
    #[error("the AdmissionReview has no request with a uid")]
    NoRequest,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[serde(bound(deserialize = "O: Deserialize<'de>"))]
struct Envelope<'a, O> {
    #[serde(borrow)]
    api_version: Cow<'a, str>,
    #[serde(borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    request: Option<Question<'a, O>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[serde(bound(deserialize = "O: Deserialize<'de>"))]
struct Question<'a, O> {
    #[serde(borrow, default)]
    uid: Cow<'a, str>,
    #[serde(borrow, default)]
    resource: Resource<'a>,
    #[serde(borrow, default)]
    sub_resource: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    namespace: Option<Cow<'a, str>>,
    #[serde(borrow)]
    operation: Cow<'a, str>,
    #[serde(borrow, default)]
    user_info: User<'a>,
    #[serde(default = "Option::default")]
    object: Option<O>,
    #[serde(borrow, default)]
    old_object: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
struct Resource<'a> {
    #[serde(borrow, default)]
    group: Cow<'a, str>,
    #[serde(borrow, default)]
    resource: Cow<'a, str>,
}

#[derive(Default, Deserialize)]
struct User<'a> {
    #[serde(borrow, default)]
    username: Cow<'a, str>,
    #[serde(borrow, default)]
    groups: Option<Vec<Cow<'a, str>>>,
}

impl<'a> Review<'a> {
    /// Reads the envelope; the objects are only skipped over.
    ///
    /// # Errors
    /// [`BadReview`].
    pub fn read(body: &'a [u8]) -> Result<Self, BadReview> {
        let (mut review, object) = Self::read_as::<&'a RawValue>(body)?;
        review.object = object.filter(|raw| raw.get() != "null");
        Ok(review)
    }

    /// The same; a pod is read on the way, as far as its size can depend on it. It is most of the bytes, and to skip
    /// over it first takes as long as to read it so.
    ///
    /// # Errors
    /// [`BadReview`].
    pub fn read_to_size(body: &'a [u8]) -> Result<Self, BadReview> {
        match Self::read_as::<PodToSize>(body) {
            Ok((review, Some(PodToSize(pod @ Value::Object(_))))) if review.is_pod() => {
                Ok(Self { pod: Some(pod), ..review })
            }
            // Of another kind or shape: what is to be said of it needs the whole.
            _ => Self::read(body),
        }
    }

    /// What a review says before its objects, of a body that may end early: enough to answer one that cannot be looked
    /// at. API servers write the uid first and the objects last. `None` where even that is not there.
    pub fn read_head(beginning: &'a [u8]) -> Option<Self> {
        let mut head = Head::default();
        // Where it ends does not matter: what came before has been taken.
        let _ = HeadOfReview(&mut head).deserialize(&mut serde_json::Deserializer::from_slice(beginning));
        let question = head.request;
        let operation = Operation::named(question.operation.as_deref()?)?;
        let is_review = head.api_version.as_deref() == Some(API_VERSION) && head.kind.as_deref() == Some(KIND);
        let uid = question.uid.filter(|uid| is_review && !uid.is_empty())?;
        let resource = question.resource.unwrap_or_default();
        Some(Self {
            uid,
            group: resource.group,
            resource: resource.resource,
            sub_resource: question.sub_resource.unwrap_or_default(),
            namespace: question.namespace.unwrap_or_default(),
            operation,
            user: question.user_info.username,
            groups: question.user_info.groups.unwrap_or_default(),
            object: None,
            pod: None,
            old_object: None,
        })
    }

    fn read_as<O: Deserialize<'a>>(body: &'a [u8]) -> Result<(Self, Option<O>), BadReview> {
        let envelope: Envelope<'a, O> =
            serde_json::from_slice(body).map_err(|error| BadReview::Unreadable(place_of(&error)))?;
        if envelope.api_version != API_VERSION || envelope.kind != KIND {
            return Err(BadReview::OtherKind);
        }
        let question = envelope.request.filter(|q| !q.uid.is_empty()).ok_or(BadReview::NoRequest)?;
        let operation = Operation::named(&question.operation)
            .ok_or_else(|| BadReview::Unreadable("its operation is not known".to_owned()))?;
        let there = |raw: Option<&'a RawValue>| raw.filter(|raw| raw.get() != "null");
        let review = Self {
            uid: question.uid,
            group: question.resource.group,
            resource: question.resource.resource,
            sub_resource: question.sub_resource.unwrap_or_default(),
            namespace: question.namespace.unwrap_or_default(),
            operation,
            user: question.user_info.username,
            groups: question.user_info.groups.unwrap_or_default(),
            object: None,
            pod: None,
            old_object: there(question.old_object),
        };
        Ok((review, question.object))
    }

    /// Whether it is about pods themselves, not a subresource.
    pub fn is_pod(&self) -> bool {
        self.is_of_pods() && self.sub_resource.is_empty()
    }

    /// Whether it is about pods or one of their subresources.
    pub fn is_of_pods(&self) -> bool {
        self.group.is_empty() && self.resource == "pods"
    }

    /// Whether an update leaves a pod's spec as it is, letter by letter: what the rules say of it is then nothing new.
    /// API servers write both objects in the same way.
    pub fn leaves_the_spec(&self) -> bool {
        #[derive(Deserialize)]
        struct Spec<'a> {
            #[serde(borrow)]
            spec: &'a RawValue,
        }
        let spec = |raw: &'a RawValue| serde_json::from_str::<Spec<'a>>(raw.get()).ok().map(|object| object.spec.get());
        let (Some(object), Some(old)) = (self.object.and_then(spec), self.old_object.and_then(spec)) else {
            return false;
        };
        self.operation == Operation::Update && object == old
    }

    /// Whether a kubelet asks, by the name and group that only node credentials carry.
    pub fn is_from_kubelet(&self) -> bool {
        self.user.starts_with("system:node:") && self.groups.iter().any(|g| g == "system:nodes")
    }
}

/// What is known of a review whose end has not been read.
#[derive(Default)]
struct Head<'a> {
    api_version: Option<Cow<'a, str>>,
    kind: Option<Cow<'a, str>>,
    request: HeadQuestion<'a>,
}

#[derive(Default)]
struct HeadQuestion<'a> {
    uid: Option<Cow<'a, str>>,
    resource: Option<Resource<'a>>,
    sub_resource: Option<Cow<'a, str>>,
    namespace: Option<Cow<'a, str>>,
    operation: Option<Cow<'a, str>>,
    user_info: User<'a>,
}

/// A text, borrowed where it has no escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// Takes what it finds as it comes to it, so that an early end takes nothing back.
struct HeadOfReview<'h, 'a>(&'h mut Head<'a>);

impl<'a> DeserializeSeed<'a> for HeadOfReview<'_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'a> Visitor<'a> for HeadOfReview<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an AdmissionReview")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut members: A) -> Result<(), A::Error> {
        while let Some(Text(key)) = members.next_key()? {
            match key.as_ref() {
                "apiVersion" => self.0.api_version = Some(members.next_value::<Text<'a>>()?.0),
                "kind" => self.0.kind = Some(members.next_value::<Text<'a>>()?.0),
                "request" => members.next_value_seed(HeadOfQuestion(&mut self.0.request))?,
                _ => drop(members.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

struct HeadOfQuestion<'h, 'a>(&'h mut HeadQuestion<'a>);

impl<'a> DeserializeSeed<'a> for HeadOfQuestion<'_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'a> Visitor<'a> for HeadOfQuestion<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a request")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut members: A) -> Result<(), A::Error> {
        while let Some(Text(key)) = members.next_key()? {
            match key.as_ref() {
                "uid" => self.0.uid = Some(members.next_value::<Text<'a>>()?.0),
                "resource" => self.0.resource = Some(members.next_value()?),
                "subResource" => self.0.sub_resource = Some(members.next_value::<Text<'a>>()?.0),
                "namespace" => self.0.namespace = Some(members.next_value::<Text<'a>>()?.0),
                "operation" => self.0.operation = Some(members.next_value::<Text<'a>>()?.0),
                "userInfo" => self.0.user_info = members.next_value()?,
                _ => drop(members.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

/// What is answered.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReviewOutcome {
    /// Why the object is turned away; `None` when it is not.
    pub denial: Option<String>,
    /// What to change; empty = nothing, and no patch is sent.
    pub ops: Vec<Op>,
    /// Shown to who asked; one line each.
    pub warnings: Vec<String>,
    /// For the API server's audit log.
    pub audit_annotations: BTreeMap<String, String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Reviewed<'a> {
    api_version: &'static str,
    kind: &'static str,
    response: Response<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Response<'a> {
    uid: &'a str,
    allowed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Status<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch: Option<String>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    warnings: &'a [String],
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    audit_annotations: &'a BTreeMap<String, String>,
}

#[derive(Serialize)]
struct Status<'a> {
    code: u16,
    reason: &'static str,
    message: &'a str,
}

impl ReviewOutcome {
    /// The body of the response to the review of that uid.
    pub fn to_json(&self, uid: &str) -> Vec<u8> {
        let patch = (!self.ops.is_empty() && self.denial.is_none())
            .then(|| serde_json::to_vec(&self.ops).ok())
            .flatten()
            .map(|ops| base64::engine::general_purpose::STANDARD.encode(ops));
        let response = Response {
            uid,
            allowed: self.denial.is_none(),
            status: self.denial.as_deref().map(|message| Status { code: 403, reason: "Forbidden", message }),
            patch_type: patch.is_some().then_some("JSONPatch"),
            patch,
            warnings: &self.warnings,
            audit_annotations: &self.audit_annotations,
        };
        // Texts and numbers only: there is nothing that could fail to be written.
        serde_json::to_vec(&Reviewed { api_version: API_VERSION, kind: KIND, response }).unwrap_or_default()
    }
}
