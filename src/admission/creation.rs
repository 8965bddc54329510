//! What comes of a pod's creation: both entries of the webhook, asked as an API server asks them, one after the other,
//! and their answers read back. For who says beforehand what admission would do. Must not decide anything by itself.

use base64::Engine;
use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::{Entry, Outcome, Reply, answer};
use super::patch::{Op, apply};
use super::snapshot::Snapshot;
use crate::policy::Finding;

/// What the webhook answers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Creation {
    /// Why the pod may not be created.
    pub denial: Option<String>,
    /// The patch; empty = no change.
    pub ops: Vec<Op>,
    /// Of both answers, one line each.
    pub warnings: Vec<String>,
    /// Everything that the rules found in the patched pod.
    pub findings: Vec<Finding>,
    /// Why it was not resized, in one word, where there is a recommendation.
    pub skipped: Option<&'static str>,
}

/// Asks for a pod that nobody in particular creates in a namespace.
pub fn create(pod: &Value, namespace: &str, known: &Snapshot) -> Creation {
    let (mutated, sized) = ask(Entry::Mutate, pod, namespace, known);
    let ops: Vec<Op> = sized
        .patch
        .and_then(|patch| base64::engine::general_purpose::STANDARD.decode(patch).ok())
        .and_then(|patch| serde_json::from_slice(&patch).ok())
        .unwrap_or_default();
    let mut patched = pod.clone();
    let is_patched = apply(&mut patched, &ops).is_ok();
    let (validated, judged) = ask(Entry::Validate, if is_patched { &patched } else { pod }, namespace, known);
    Creation {
        denial: judged.status.map(|status| status.message).filter(|_| !judged.allowed),
        ops: if is_patched { ops } else { Vec::new() },
        warnings: sized.warnings.into_iter().chain(judged.warnings).collect(),
        findings: validated.findings,
        skipped: match mutated.seen.outcome {
            Outcome::Skipped(why) => Some(why),
            _ => None,
        },
    }
}

fn ask(entry: Entry, pod: &Value, namespace: &str, known: &Snapshot) -> (Reply, Response) {
    let review = json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "beforehand",
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "namespace": namespace,
            "operation": "CREATE",
            "userInfo": {"username": ""},
            "object": pod,
        },
    });
    let reply = answer(entry, review.to_string().as_bytes(), known);
    let said = serde_json::from_slice::<Reviewed>(&reply.body).map(|reviewed| reviewed.response).unwrap_or_default();
    (reply, said)
}

#[derive(Deserialize)]
struct Reviewed {
    response: Response,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Response {
    allowed: bool,
    patch: Option<String>,
    warnings: Vec<String>,
    status: Option<Status>,
}

#[derive(Deserialize)]
struct Status {
    message: String,
}
