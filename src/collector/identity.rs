//! Whose instance was it? Tries what is known of a pod in the order of trust.
//! Sends nothing: live pods and records are handed in.

use std::collections::{BTreeMap, HashMap};

use super::instance::InstanceKey;
use super::objects::Objects;
use super::pod_object::PodObject;
use crate::history::{JvmSeen, PodSeen};
use crate::workload::known_names::KnownNames;
use crate::workload::{ContainerFacts, Identity, IdentityRules, Keys, Owner, PodFacts, Unidentified, identify};

/// Pods whose workload is known for certain: seen alive, or recorded when they were.
#[derive(Clone, Debug, Default)]
pub struct KnownPods {
    by_name: HashMap<(String, String), Known>,
    names: KnownNames,
}

#[derive(Clone, Debug)]
struct Known {
    uid: Option<String>,
    identity: Identity,
    jvm: JvmSeen,
}

impl KnownPods {
    /// Adds a pod; one that cannot be identified is left out.
    pub fn add(&mut self, pod: &PodFacts, uid: Option<String>, rules: &IdentityRules) {
        let Ok(identity) = identify(pod, rules) else { return };
        self.names.learn(pod, &identity);
        if let Some(name) = &pod.name {
            self.put(&pod.namespace, name, uid, identity);
        }
    }

    /// Adds a pod that is identified already. Its own name is all that is learned: past pods of other names are not
    /// matched by it.
    pub fn add_identified(&mut self, namespace: &str, pod: &str, uid: Option<String>, identity: Identity) {
        self.put(namespace, pod, uid, identity);
    }

    fn put(&mut self, namespace: &str, pod: &str, uid: Option<String>, identity: Identity) {
        let name = (namespace.to_owned(), pod.to_owned());
        let before = self.by_name.get(&name).filter(|known| known.uid == uid).map(|known| known.jvm);
        self.by_name.insert(name, Known { uid, identity, jvm: before.unwrap_or_default() });
    }

    /// What a pod that was added tells of its JVM.
    pub fn tell(&mut self, namespace: &str, pod: &str, jvm: JvmSeen) {
        if jvm != JvmSeen::default()
            && let Some(known) = self.by_name.get_mut(&(namespace.to_owned(), pod.to_owned()))
        {
            known.jvm = jvm.after(known.jvm);
        }
    }

    /// Adds the pods of another namespace.
    pub fn extend(&mut self, other: Self) {
        self.by_name.extend(other.by_name);
        self.names.extend(other.names);
    }

    /// What a store should remember of them, for when they are gone; pods without a uid are not told apart later.
    pub fn to_remember(&self, now_ms: i64) -> Vec<PodSeen> {
        self.by_name
            .iter()
            .filter_map(|((_, pod), known)| {
                Some(PodSeen {
                    pod: pod.clone(),
                    uid: known.uid.clone()?,
                    workload: known.identity.workload.clone(),
                    attempt: known.identity.attempt,
                    last_seen_ms: now_ms,
                    jvm: known.jvm,
                })
            })
            .collect()
    }

    fn find(&self, namespace: &str, pod: &str, uid: Option<&str>) -> Option<&Known> {
        let known = self.by_name.get(&(namespace.to_owned(), pod.to_owned()))?;
        match (known.uid.as_deref(), uid) {
            (Some(a), Some(b)) if a != b => None,
            _ => Some(known),
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

    /// The workload of an instance: a known pod, then labels and owners from series, then what `recorded` remembers of
    /// pods of that namespace and name, then the pod's name.
    pub fn identify(
        &mut self,
        key: &InstanceKey,
        object: Option<&PodObject>,
        objects: &Objects,
        recorded: impl Fn(&str, &str) -> Vec<PodSeen>,
    ) -> Option<Identity> {
        match self.look_up(key, object, objects, recorded) {
            Ok((identity, by_name)) => {
                if by_name {
                    *self.by_name.entry(key.namespace.clone()).or_default() += 1;
                }
                Some(identity)
            }
            Err(reason) => {
                let reason = if object.is_none() { NO_OBJECT.to_owned() } else { reason_text(&reason, object) };
                let entry =
                    self.unidentified.entry((key.namespace.clone(), reason)).or_insert_with(|| (0, key.pod.clone()));
                entry.0 += 1;
                None
            }
        }
    }

    /// The same, and whether the pod's name alone told; counts nothing.
    pub(super) fn look_up(
        &self,
        key: &InstanceKey,
        object: Option<&PodObject>,
        objects: &Objects,
        recorded: impl Fn(&str, &str) -> Vec<PodSeen>,
    ) -> Result<(Identity, bool), Unidentified> {
        let uid = key.uid();
        if let Some(known) = self.known.find(&key.namespace, &key.pod, uid.as_deref()) {
            return Ok((known.identity.clone(), false));
        }
        let owner_of_owner =
            object.and_then(|o| o.owner.as_ref()).and_then(|(kind, name)| objects.owner_of(&key.namespace, kind, name));
        let facts = pod_facts(&key.namespace, &key.pod, &key.container, object, owner_of_owner.as_ref());
        identify(&facts, &self.rules)
            .or_else(|reason| remembered(&recorded(&key.namespace, &key.pod), uid.as_deref()).ok_or(reason))
            .map(|identity| (identity, false))
            .or_else(|reason| {
                let by_name = self.known.names.identify(&key.namespace, &key.pod);
                by_name.map(|identity| (identity, true)).ok_or(reason)
            })
    }

    /// What the pod itself told of its JVM while it was there.
    pub fn jvm(&self, key: &InstanceKey, recorded: impl Fn(&str, &str) -> Vec<PodSeen>) -> JvmSeen {
        let uid = key.uid();
        let known = self.known.find(&key.namespace, &key.pod, uid.as_deref()).map(|known| known.jvm);
        let recorded = recorded(&key.namespace, &key.pod);
        let before = one_of(&recorded, uid.as_deref()).map(|pod| pod.jvm).unwrap_or_default();
        known.unwrap_or_default().after(before)
    }

    /// Instances that only their pod's name told of, by namespace.
    pub fn by_name(&self) -> &BTreeMap<String, u64> {
        &self.by_name
    }

    /// Instances without a workload: namespace, reason, how many, one pod as an example.
    pub fn unidentified(&self) -> impl Iterator<Item = (&str, &str, u64, &str)> {
        self.unidentified
            .iter()
            .map(|((namespace, reason), (n, pod))| (namespace.as_str(), reason.as_str(), *n, pod.as_str()))
    }
}

/// The pod of that uid; without a uid the only one of that name.
fn one_of<'a>(pods: &'a [PodSeen], uid: Option<&str>) -> Option<&'a PodSeen> {
    match uid {
        Some(uid) => pods.iter().find(|p| p.uid == uid),
        None => match pods {
            [one] => Some(one),
            _ => None,
        },
    }
}

fn remembered(pods: &[PodSeen], uid: Option<&str>) -> Option<Identity> {
    let pod = one_of(pods, uid)?;
    Some(Identity { workload: pod.workload.clone(), attempt: pod.attempt, unit: None, main_container: None })
}

/// What identity needs, from series.
fn pod_facts(
    namespace: &str,
    name: &str,
    container: &str,
    object: Option<&PodObject>,
    owner_of_owner: Option<&(String, String)>,
) -> PodFacts {
    let mut containers: Vec<ContainerFacts> = object
        .into_iter()
        .flat_map(|o| &o.containers)
        .filter(|(_, c)| !c.is_init)
        .map(|(name, c)| ContainerFacts {
            name: name.clone(),
            env: BTreeMap::new(),
            cpu_request_millis: c.resources.cpu_request_millis,
            memory_request_bytes: c.resources.memory_request_bytes,
        })
        .collect();
    let is_init = object.and_then(|o| o.containers.get(container)).is_some_and(|c| c.is_init);
    if !is_init && !containers.iter().any(|c| c.name == container) {
        containers.push(ContainerFacts { name: container.to_owned(), ..ContainerFacts::default() });
    }
    let owner = |(kind, name): &(String, String)| Owner::new(kind.clone(), name.clone());
    PodFacts {
        namespace: namespace.to_owned(),
        name: Some(name.to_owned()),
        generate_name: None,
        labels: Keys::from_kube_state_metrics(object.map(|o| o.labels.clone()).unwrap_or_default()),
        annotations: Keys::from_kube_state_metrics(object.map(|o| o.annotations.clone()).unwrap_or_default()),
        owner: object.and_then(|o| o.owner.as_ref()).map(owner),
        owner_group: None,
        owner_of_owner: owner_of_owner.map(owner),
        containers,
        init_containers: Vec::new(),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::{Kind, Workload};

    fn instance(cgroup: &str) -> InstanceKey {
        InstanceKey {
            namespace: "etl".into(),
            pod: "sales-load-x1y2z3a4".into(),
            container: "base".into(),
            cgroup: cgroup.into(),
        }
    }

    #[test]
    fn a_pod_that_is_gone_is_known_from_when_it_was_seen() {
        let uid = "2f1d3c58-0d1e-4c8a-9a53-51c2a6f4b0aa";
        let labels = [("dag_id", "sales"), ("task_id", "load"), ("kubernetes_executor", "True")];
        let pod = PodFacts {
            namespace: "etl".into(),
            name: Some("sales-load-x1y2z3a4".into()),
            labels: Keys::exact(labels.map(|(k, v)| (k.to_owned(), v.to_owned())).into()),
            ..PodFacts::default()
        };
        let mut alive = KnownPods::default();
        alive.add(&pod, Some(uid.to_owned()), &IdentityRules::default());
        let records = alive.to_remember(1);
        let expected = Workload::new("etl", Kind::AirflowTask, ["sales", "load"]);
        assert_eq!(records[0].workload, expected);

        let mut later = Who::default();
        let objects = Objects::default();
        let mut ask = |cgroup: &str, records: &[PodSeen]| {
            later.identify(&instance(cgroup), None, &objects, |_, _| records.to_vec()).map(|i| i.workload)
        };
        assert_eq!(ask(&format!("/kubepods/pod{uid}/c"), &records), Some(expected.clone()));
        assert_eq!(ask("", &records), Some(expected));
        assert_eq!(
            ask("/kubepods/pod00000000-0d1e-4c8a-9a53-51c2a6f4b0aa/c", &records),
            None,
            "another pod of that name"
        );
        assert_eq!(ask("", &[]), None);
    }
}
