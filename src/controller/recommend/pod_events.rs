//! Events on pods and on who made them: what podfit did, where a data engineer looks first. Only the leader tells, each
//! thing once, and no more than so many in a second: of a thousand pods at once not each is told of.
//! Must not hold anything else up.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::metrics::ControllerMetrics;
use super::write::{NOTE_CHARS, REPORTER};
use crate::cluster::{Api, ApiError};
use crate::controller::lease::Term;
use crate::controller::watch::{OfPod, Regarded};
use crate::fnv::fnv1a;
use crate::text;

/// Most that wait to be told.
pub(in crate::controller) const WAITING: usize = 500;
/// Between two Events: twenty a second.
const PAUSE: Duration = Duration::from_millis(50);
/// Older pods were told of by whoever led before.
const YOUNG: SignedDuration = SignedDuration::from_mins(10);
/// Longest beginning of an Event's name that is the pod's.
const NAME_CHARS: usize = 200;

/// What Events are told with.
pub(in crate::controller) struct PodEvents {
    pub(in crate::controller) api: Api,
    pub(in crate::controller) term: Term,
    pub(in crate::controller) me: String,
    pub(in crate::controller) figures: std::sync::Arc<ControllerMetrics>,
}

impl PodEvents {
    /// Tells until stopped.
    pub(in crate::controller) async fn run(self, mut news: mpsc::Receiver<OfPod>, stop: CancellationToken) {
        let mut reported = None;
        loop {
            let of = tokio::select! {
                () = stop.cancelled() => return,
                Some(of) = news.recv() => of,
            };
            let now = Timestamp::now();
            if !self.term.holds() || (!of.is_warning && now.duration_since(of.created) > YOUNG) {
                continue;
            }
            for regarded in std::iter::once(&of.pod).chain(&of.owner) {
                let problem = self.tell(regarded, &of, now).await.err();
                self.figures.told(problem.is_none());
                if let Some(problem) = problem.as_ref().filter(|problem| reported.as_ref() != Some(*problem)) {
                    tracing::warn!("{problem}");
                }
                reported = problem;
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(PAUSE) => {}
                }
            }
        }
    }

    async fn tell(&self, regarded: &Regarded, of: &OfPod, now: Timestamp) -> Result<(), String> {
        let path = format!("/apis/events.k8s.io/v1/namespaces/{}/events", regarded.namespace);
        match self.api.create(&path, &event(regarded, of, &self.me, now)).await {
            // It was told before, or there is nobody left to tell.
            Ok(_) | Err(ApiError::Status { status: 404 | 409, .. }) => Ok(()),
            Err(ApiError::Status { message, .. }) if message.contains("because it is being terminated") => Ok(()),
            Err(ApiError::Status { status: 403, .. }) => Err("podfit may not create events (403): grant its service \
                account the verb create on events (events.k8s.io)"
                .to_owned()),
            Err(error) => Err(format!("cannot create an Event: {error}")),
        }
    }
}

/// Its name is the same whoever tells it and however often, so that the API server takes it once.
fn event(regarded: &Regarded, of: &OfPod, me: &str, now: Timestamp) -> Value {
    let seed = format!("{} {} {} {}", regarded.uid, of.pod.uid, of.reason, of.note);
    let name: String = regarded.name.chars().take(NAME_CHARS).collect();
    let pod = of.pod.reference();
    json!({
        "apiVersion": "events.k8s.io/v1", "kind": "Event",
        "metadata": {
            "name": format!("{}.{:016x}", name.trim_end_matches(['.', '-']), fnv1a(seed.as_bytes())),
            "namespace": regarded.namespace,
        },
        "eventTime": now.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string(),
        "action": "Resize", "reason": of.reason, "type": if of.is_warning { "Warning" } else { "Normal" },
        "note": text::clip(&text::clean(&of.note), NOTE_CHARS),
        "reportingController": REPORTER, "reportingInstance": text::clip(me, 128),
        "regarding": regarded.reference(), "related": pod,
    })
}

impl Regarded {
    fn reference(&self) -> Value {
        json!({"apiVersion": self.api_version, "kind": self.kind, "name": self.name, "namespace": self.namespace,
            "uid": self.uid})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_news_have_the_same_name() {
        let pod = |uid: &str| Regarded {
            api_version: "v1".to_owned(),
            kind: "Pod".to_owned(),
            namespace: "etl".to_owned(),
            name: "a".repeat(253),
            uid: uid.to_owned(),
        };
        let of = |uid: &str| OfPod {
            pod: pod(uid),
            owner: None,
            created: Timestamp::UNIX_EPOCH,
            reason: "Resized",
            is_warning: false,
            note: "podfit: main: memory 2Gi → 480Mi".to_owned(),
        };
        let name = |uid: &str, me: &str, second: i64| {
            let of = of(uid);
            let event = event(&of.pod, &of, me, Timestamp::from_second(second).unwrap());
            event["metadata"]["name"].as_str().unwrap().to_owned()
        };
        assert_eq!(name("u", "a", 1), name("u", "b", 2));
        assert_ne!(name("u", "a", 1), name("v", "a", 1));
        assert!(name("u", "a", 1).len() <= 253);
    }
}
