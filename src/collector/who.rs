//! Whose life was it? Tries what is known of a pod in the order of trust.
//! Sends nothing: live pods and records are handed in.

use std::collections::{BTreeMap, HashMap};

use super::life::LifeKey;
use super::objects::{Objects, PodObject, pod_facts};
use crate::workload::known_names::KnownNames;
use crate::workload::{Identity, IdentityRules, PodFacts, Unidentified, identify};

/// Pods whose workload is known for certain: seen alive, or recorded when they were.
#[derive(Clone, Debug, Default)]
pub struct KnownPods {
    by_name: HashMap<(String, String), (Option<String>, Identity)>,
    names: KnownNames,
}

impl KnownPods {
    /// Adds a pod; one that cannot be identified is left out.
    pub fn add(&mut self, pod: &PodFacts, uid: Option<String>, rules: &IdentityRules) {
        let Ok(identity) = identify(pod, rules) else { return };
        self.names.learn(pod, &identity);
        if let Some(name) = &pod.name {
            self.by_name.insert((pod.namespace.clone(), name.clone()), (uid, identity));
        }
    }

    /// Adds the pods of another namespace.
    pub fn extend(&mut self, other: Self) {
        self.by_name.extend(other.by_name);
        self.names.extend(other.names);
    }

    fn find(&self, namespace: &str, pod: &str, uid: Option<&str>) -> Option<&Identity> {
        let (known_uid, identity) = self.by_name.get(&(namespace.to_owned(), pod.to_owned()))?;
        match (known_uid.as_deref(), uid) {
            (Some(a), Some(b)) if a != b => None,
            _ => Some(identity),
        }
    }
}

/// What identity needs besides the series.
#[derive(Clone, Debug, Default)]
pub struct Who {
    /// Pods known for certain.
    pub known: KnownPods,
    /// The user's own rules.
    pub rules: IdentityRules,
    unidentified: BTreeMap<(String, String), (u64, String)>,
    by_name: BTreeMap<String, u64>,
}

impl Who {
    /// With known pods and rules.
    pub fn new(known: KnownPods, rules: IdentityRules) -> Self {
        Self { known, rules, ..Self::default() }
    }

    /// The workload of a life: a known pod, then labels and owners from series, then the pod's name.
    pub fn identify(&mut self, key: &LifeKey, object: Option<&PodObject>, objects: &Objects) -> Option<Identity> {
        let uid = key.uid();
        if let Some(identity) = self.known.find(&key.namespace, &key.pod, uid.as_deref()) {
            return Some(identity.clone());
        }
        let owner_of_owner =
            object.and_then(|o| o.owner.as_ref()).and_then(|(kind, name)| objects.owner_of(&key.namespace, kind, name));
        let facts = pod_facts(&key.namespace, &key.pod, &key.container, object, owner_of_owner.as_ref());
        let found = identify(&facts, &self.rules)
            .map_err(|reason| self.known.names.identify(&key.namespace, &key.pod).ok_or(reason));
        match found {
            Ok(identity) => Some(identity),
            Err(Ok(identity)) => {
                *self.by_name.entry(key.namespace.clone()).or_default() += 1;
                Some(identity)
            }
            Err(Err(reason)) => {
                let reason = if object.is_none() { NO_OBJECT.to_owned() } else { reason_text(&reason, object) };
                let entry =
                    self.unidentified.entry((key.namespace.clone(), reason)).or_insert_with(|| (0, key.pod.clone()));
                entry.0 += 1;
                None
            }
        }
    }

    /// Lives that only their pod's name told of, by namespace.
    pub fn by_name(&self) -> &BTreeMap<String, u64> {
        &self.by_name
    }

    /// Lives without a workload: namespace, reason, how many, one pod as an example.
    pub fn unidentified(&self) -> impl Iterator<Item = (&str, &str, u64, &str)> {
        self.unidentified
            .iter()
            .map(|((namespace, reason), (n, pod))| (namespace.as_str(), reason.as_str(), *n, pod.as_str()))
    }
}

const NO_OBJECT: &str = "kube-state-metrics never saw the pod (no kube_pod_owner, no kube_pod_labels)";

fn reason_text(reason: &Unidentified, object: Option<&PodObject>) -> String {
    match (reason, object) {
        (Unidentified::Unowned, Some(o)) if o.labels.is_empty() => format!(
            "no controller, and no labels in Prometheus; {}",
            "let kube-state-metrics export pod labels (--metric-labels-allowlist=pods=[…])"
        ),
        _ => reason.to_string(),
    }
}
