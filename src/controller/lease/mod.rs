//! Leader election on a Lease of `coordination.k8s.io`: only one of several replicas writes. Writes nothing but the
//! Lease. A replica that cannot reach the API server stops leading before another can start.

mod election;
mod term;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::built_in_ca::SecretName;
use crate::cluster::{Api, ApiError};
use crate::doctor::work::LEARNED;
pub use term::Term;

use election::{LEASE, Observer, RETRY, Record, Step};

/// A Lease's namespace and name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseName {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl LeaseName {
    /// The Lease that podfit takes part in where none is named.
    pub fn beside(namespace: &str) -> Self {
        Self { namespace: namespace.to_owned(), name: "podfit".to_owned() }
    }
}

impl FromStr for LeaseName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let SecretName { namespace, name } = text.parse().map_err(|why: String| {
            if text.contains('/') { why } else { "give NAMESPACE/LEASE, such as podfit/podfit".to_owned() }
        })?;
        Ok(Self { namespace, name })
    }
}

impl fmt::Display for LeaseName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// Takes part in the election until stopped, and says in `leads` whether this replica leads, and in its term until when
/// without another word. Gives the lease up at the end, so that another need not wait.
pub async fn run(
    api: Api,
    name: LeaseName,
    me: String,
    (leads, term): (watch::Sender<bool>, &Term),
    stop: CancellationToken,
) {
    let begun = term.begun();
    let mut observer = Observer::default();
    let mut reported = None;
    loop {
        let turn = tokio::time::timeout(RETRY * 2, take_turn(&api, &name, &me, &mut observer, term)).await;
        let problem = match turn {
            Ok(Ok(())) => None,
            Ok(Err(problem)) => Some(problem),
            Err(_) => Some(format!("no answer about lease {name} in {} s", (RETRY * 2).as_secs())),
        };
        if let Some(problem) = problem.as_ref().filter(|problem| reported.as_ref() != Some(*problem)) {
            tracing::warn!("{problem}; without it no replica makes recommendations");
        }
        reported = problem;
        term.lasts_until(observer.leads_until());
        let now = term.holds();
        let changed = leads.send_if_modified(|leading| std::mem::replace(leading, now) != now);
        if changed {
            tracing::info!(lease = %name, "this replica {}", if now { "leads" } else { "does not lead any more" });
        }
        tokio::select! {
            () = tokio::time::sleep(jittered(&me, begun.elapsed())) => {}
            () = stop.cancelled() => break,
        }
    }
    term.lasts_until(None);
    let led = leads.send_replace(false);
    if led {
        let _ = tokio::time::timeout(RETRY, give_up(&api, &name, &me)).await;
    }
}

/// Replicas that start together should not look together for ever.
fn jittered(me: &str, now: Duration) -> Duration {
    let text = format!("{me} {}", now.as_nanos());
    RETRY.mul_f64(0.75 + (crate::fnv::fnv1a(text.as_bytes()) % 1_000) as f64 / 2_000.0)
}

async fn take_turn(api: &Api, name: &LeaseName, me: &str, observer: &mut Observer, term: &Term) -> Result<(), String> {
    let stored = get(api, name).await?.map(Record::of);
    let now = term.begun().elapsed();
    let taking = match observer.look(stored.as_ref(), me, now) {
        Step::Wait => {
            observer.lost();
            return Ok(());
        }
        Step::Create => None,
        Step::Write { taking } => Some(taking),
    };
    let transitions = stored.as_ref().map_or(0, |s| s.transitions) + i64::from(taking == Some(true));
    let mut body = body(name, me, transitions, stored.map(|s| s.metadata));
    if let Some(learned) = term.learned() {
        body["metadata"]["annotations"][LEARNED] = json!(learned);
    }
    match store(api, name, &body, taking.is_some()).await? {
        Some(_) => observer.wrote(now),
        None => observer.lost(),
    }
    Ok(())
}

async fn give_up(api: &Api, name: &LeaseName, me: &str) -> Result<(), String> {
    let stored = get(api, name).await?.map(Record::of).filter(|stored| stored.holder == me);
    let Some(stored) = stored else { return Ok(()) };
    store(api, name, &body(name, "", stored.transitions, Some(stored.metadata)), true).await.map(|_| ())
}

impl Record {
    fn of(mut lease: Value) -> Self {
        let text = |key: &str| lease["spec"][key].as_str().unwrap_or_default().to_owned();
        Self {
            holder: text("holderIdentity"),
            renewed: text("renewTime"),
            transitions: lease["spec"]["leaseTransitions"].as_i64().unwrap_or(0),
            metadata: lease.get_mut("metadata").map(Value::take).unwrap_or_default(),
        }
    }
}

/// The Lease as it is stored; `None` where there is none.
pub(super) async fn get(api: &Api, name: &LeaseName) -> Result<Option<Value>, String> {
    api.get(&path(name)).await.map_err(|error| failed("get", name, &error))
}

/// Writes the Lease over the version that `body` names, or creates it; what was stored, `None` where somebody else was
/// quicker.
pub(super) async fn store(api: &Api, name: &LeaseName, body: &Value, exists: bool) -> Result<Option<Value>, String> {
    let stored = if exists { api.replace(&path(name), body).await } else { api.create(&leases(name), body).await };
    match stored {
        Ok(stored) => Ok(Some(stored)),
        Err(ApiError::Status { status: 409, .. }) => Ok(None),
        Err(error) => Err(failed(if exists { "update" } else { "create" }, name, &error)),
    }
}

fn body(name: &LeaseName, holder: &str, transitions: i64, metadata: Option<Value>) -> Value {
    // Six digits of a second, as the field's type has it.
    let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string();
    let labels = json!({"app.kubernetes.io/name": "podfit"});
    let fresh = || json!({"name": name.name, "namespace": name.namespace, "labels": labels});
    json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        // One that came with an installation keeps what says so.
        "metadata": metadata.unwrap_or_else(fresh),
        "spec": {
            "holderIdentity": holder, "leaseDurationSeconds": LEASE.as_secs(), "leaseTransitions": transitions,
            "renewTime": now,
        },
    })
}

fn failed(verb: &str, name: &LeaseName, error: &ApiError) -> String {
    match error.status() {
        403 => format!(
            "podfit may not {verb} lease {name} (403): grant its service account the verbs get, create and update on \
             leases (coordination.k8s.io)"
        ),
        404 => format!("cannot {verb} lease {name}: there is no namespace {}; name another by --lease", name.namespace),
        _ => format!("cannot {verb} lease {name}: {error}"),
    }
}

fn leases(name: &LeaseName) -> String {
    format!("/apis/coordination.k8s.io/v1/namespaces/{}/leases", name.namespace)
}

fn path(name: &LeaseName) -> String {
    format!("{}/{}", leases(name), name.name)
}
