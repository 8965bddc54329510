//! What the watches have seen so far, as admission wants to know it; which namespaces have changed since it was last
//! published. Must not know a server or a clock: events in, snapshot out.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use serde_json::Value;

use super::event::{Event, Unreadable};
use super::kills::killed;
use super::limits::Limits;
use super::news::News;
use super::own::Own;
use super::source::{Kind, Source};
use crate::admission::identity::identity_of;
use crate::admission::{Namespace, Owned, Owners, Snapshot, provenance};
use crate::collector::{KnownPods, jvm};
use crate::fit::{Allocatable, Constraints, LimitRanges, Quota, QuotaError};
use crate::text;
use crate::workload::{IdentityRules, Owner, WorkloadKey, controller_of};

/// Namespace and name; a Node's namespace is empty.
type Key = (String, String);

/// What is kept of the objects that are there.
#[derive(Debug, Default)]
pub struct Index {
    limit_ranges: HashMap<String, BTreeMap<String, Value>>,
    quotas: HashMap<String, BTreeMap<String, Quota>>,
    owners: HashMap<String, Owners>,
    nodes: HashMap<String, Allocatable>,
    largest_node: Allocatable,
    /// What a list that is not done has brought.
    seen: HashMap<Source, HashSet<Key>>,
    listed: HashSet<Source>,
    refused: HashSet<Source>,
    unreadable: HashSet<(Kind, Key)>,
    changed: HashSet<String>,
    changed_nodes: bool,
    changed_everywhere: bool,
    elsewhere: Arc<Constraints>,
    own: Own,
    identity: Arc<IdentityRules>,
    limits: Limits,
    pods: KnownPods,
}

impl Index {
    /// Knows nothing yet, which is to be published too: nothing is resized where bounds are not known. Pods are
    /// identified by `identity`.
    pub fn new(identity: Arc<IdentityRules>) -> Self {
        Self { changed_everywhere: true, identity, ..Self::default() }
    }

    /// What was to be told since this was last called.
    pub fn take_news(&mut self) -> Vec<News> {
        self.own.take_news()
    }

    /// The pods that were seen since this was last called, and whose they are.
    pub fn take_pods(&mut self) -> KnownPods {
        std::mem::take(&mut self.pods)
    }

    /// Takes in what a watch says.
    ///
    /// # Errors
    /// [`Unreadable`], an object that is counted as if it forbade all that it might forbid, or as not there where it
    /// forbids nothing.
    pub fn apply(&mut self, source: &Source, event: Event) -> Result<(), Unreadable> {
        match event {
            Event::Restarted => {
                self.seen.insert(source.clone(), HashSet::new());
            }
            Event::Applied(object) => return self.put(source, &object),
            Event::Deleted(object) => {
                // A pod's last words come with its end, where it is deleted at once.
                if source.kind == Kind::Pod {
                    self.put(source, &object)?;
                }
                if let Some((namespace, name)) = key(source.kind, &object) {
                    self.remove(source.kind, &namespace, &name);
                }
            }
            Event::Listed => {
                let seen = self.seen.remove(source).unwrap_or_default();
                for (namespace, name) in self.keys(source) {
                    if !seen.contains(&(namespace.clone(), name.clone())) {
                        self.remove(source.kind, &namespace, &name);
                    }
                }
                if self.listed.insert(source.clone()) | self.refused.remove(source) {
                    self.changes(source);
                }
                match source.kind {
                    Kind::RightsizingPolicy => self.own.policy_listed(),
                    Kind::Recommendation => self.own.recommendations_listed(),
                    _ => {}
                }
            }
            Event::Refused => {
                self.seen.remove(source);
                if source.kind == Kind::RightsizingPolicy {
                    self.own.policy_listed();
                }
                // What was listed before stays: it is the best that is known.
                if self.refused.insert(source.clone()) && !self.listed.contains(source) {
                    self.changes(source);
                }
            }
        }
        Ok(())
    }

    /// Whether anything is to be published.
    pub fn is_changed(&self) -> bool {
        self.changed_everywhere || self.changed_nodes || !self.changed.is_empty() || self.own.is_changed()
    }

    /// Whether a source has been listed.
    pub fn is_listed(&self, source: &Source) -> bool {
        self.listed.contains(source)
    }

    /// Whether a source has been listed, or refused.
    pub fn is_answered(&self, source: &Source) -> bool {
        self.listed.contains(source) || self.refused.contains(source)
    }

    /// Brings the snapshot up to date with everything since this was last called.
    pub fn publish(&mut self, snapshot: &mut Snapshot) {
        let mut changed = std::mem::take(&mut self.changed);
        if std::mem::take(&mut self.changed_nodes) {
            let largest = Allocatable::largest(self.nodes.values().copied());
            self.changed_everywhere |= largest != self.largest_node;
            self.largest_node = largest;
        }
        if std::mem::take(&mut self.changed_everywhere) {
            self.elsewhere = Arc::new(self.constraints(""));
            changed.extend(snapshot.namespaces.keys().cloned());
            changed.extend(self.limit_ranges.keys().chain(self.quotas.keys()).cloned());
            changed.extend(self.listed.iter().chain(&self.refused).filter_map(|source| source.namespace.clone()));
        }
        snapshot.elsewhere = Arc::clone(&self.elsewhere);
        self.own.publish(snapshot);
        for name in changed {
            let own = self.has_own_bounds(&name).then(|| self.constraints(&name));
            let owners = self.owners.get(&name).filter(|owners| !owners.is_empty());
            let known = snapshot.namespaces.get(&name);
            if own.is_none() && owners.is_none() && known.is_none_or(Namespace::has_no_recommendation) {
                // Nothing is known of it, as of a namespace that is gone.
                snapshot.namespaces.remove(&name);
                continue;
            }
            let namespace = snapshot.namespace_mut(&name);
            namespace.constraints = own.map_or_else(|| Arc::clone(&self.elsewhere), Arc::new);
            namespace.owners = owners.cloned().map(Arc::new).unwrap_or_default();
        }
    }

    /// What holds in a namespace; in one with an empty name, what holds where there are no bounds of its own.
    fn constraints(&self, namespace: &str) -> Constraints {
        let limit_ranges = match self.unknown(Kind::LimitRange, namespace) {
            Some(why) => LimitRanges::unknown(why),
            None => LimitRanges::of_objects(self.limit_ranges.get(namespace).into_iter().flat_map(BTreeMap::values)),
        };
        let quotas = match self.unknown(Kind::ResourceQuota, namespace) {
            Some(why) => vec![Quota::unknown(why)],
            None => self.quotas.get(namespace).into_iter().flat_map(BTreeMap::values).cloned().collect(),
        };
        Constraints { limit_ranges, quotas, ..Constraints::default() }.with_largest_node(self.largest_node)
    }

    fn has_own_bounds(&self, namespace: &str) -> bool {
        let own = |source: &Source| source.namespace.as_deref() == Some(namespace);
        self.limit_ranges.contains_key(namespace)
            || self.quotas.contains_key(namespace)
            || self.listed.iter().chain(&self.refused).any(own)
    }

    /// Why a kind's objects in a namespace are not known; `None` where they are.
    fn unknown(&self, kind: Kind, namespace: &str) -> Option<&'static str> {
        let of = |set: &HashSet<Source>| {
            let source = |namespace| Source { kind, namespace };
            set.contains(&source(None)) || set.contains(&source(Some(namespace.to_owned())))
        };
        match (of(&self.listed), of(&self.refused)) {
            (true, _) => None,
            (false, true) => Some("podfit may not list them"),
            (false, false) => Some("they are not read yet"),
        }
    }

    fn put(&mut self, source: &Source, object: &Value) -> Result<(), Unreadable> {
        let kind = source.kind;
        let Some((namespace, name)) = key(kind, object) else {
            return Err(self.unreadable(kind, Key::default(), "it has no name", "it is passed over"));
        };
        if let Some(seen) = self.seen.get_mut(source) {
            seen.insert((namespace.clone(), name.clone()));
        }
        let problem = match kind {
            Kind::LimitRange => self.put_limit_range(&namespace, &name, object),
            Kind::ResourceQuota => self.put_quota(&namespace, &name, object),
            Kind::Node => self.put_node(&name, object),
            Kind::Job | Kind::ReplicaSet => self.put_owner(kind, &namespace, &name, object),
            Kind::RightsizingPolicy => self.own.put_policy(&name, object),
            Kind::Recommendation => self.own.put_recommendation(&namespace, &name, object),
            Kind::Pod => {
                self.put_pod(&namespace, &name, object);
                None
            }
        };
        if let Some((why, consequence)) = problem {
            return Err(self.unreadable(kind, (namespace, name), &why, consequence));
        }
        self.unreadable.remove(&(kind, (namespace, name)));
        Ok(())
    }

    fn put_limit_range(&mut self, namespace: &str, name: &str, object: &Value) -> Option<(String, &'static str)> {
        let kept = serde_json::json!({"metadata": {"name": name}, "spec": object.get("spec")});
        let unreadable = LimitRanges::of_objects([&kept]).unreadable().map(str::to_owned);
        let known = self.limit_ranges.entry(namespace.to_owned()).or_default();
        if known.get(name) != Some(&kept) {
            known.insert(name.to_owned(), kept);
            self.changed.insert(namespace.to_owned());
        }
        unreadable.map(|why| (why, "no pod of the namespace is resized"))
    }

    fn put_quota(&mut self, namespace: &str, name: &str, object: &Value) -> Option<(String, &'static str)> {
        let (quota, problem) = match Quota::of_object(object) {
            Ok(quota) => (quota, None),
            Err(QuotaError { why, .. }) => (Quota::unknown(name), Some((why, "no size is raised in the namespace"))),
        };
        let known = self.quotas.entry(namespace.to_owned()).or_default();
        if known.get(name) != Some(&quota) {
            known.insert(name.to_owned(), quota);
            self.changed.insert(namespace.to_owned());
        }
        problem
    }

    fn put_node(&mut self, name: &str, object: &Value) -> Option<(String, &'static str)> {
        let node = Allocatable::of_node(object);
        self.changed_nodes |= self.nodes.insert(name.to_owned(), node) != Some(node);
        let there = |resource: &str| object.pointer("/status/allocatable").and_then(|of| of.get(resource)).is_some();
        let odd = (there("cpu") && node.cpu.is_none()) || (there("memory") && node.memory.is_none());
        odd.then(|| ("its allocatable cpu or memory is no quantity".to_owned(), "it is passed over"))
    }

    fn put_owner(&mut self, kind: Kind, namespace: &str, name: &str, object: &Value) -> Option<(String, &'static str)> {
        let of = Owner::new(kind.name(), name);
        let uid = object.pointer("/metadata/uid").and_then(Value::as_str).filter(|uid| !uid.is_empty());
        let (changed, problem) = match (controller_of(object), uid) {
            (Some(by), Some(uid)) => {
                let owners = self.owners.entry(namespace.to_owned()).or_default();
                (owners.insert(of, Owned { uid: uid.to_owned(), by }), None)
            }
            (owner, _) => {
                let changed = self.owners.get_mut(namespace).is_some_and(|owners| owners.remove(&of));
                (changed, owner.map(|_| ("it has no uid".to_owned(), "it is passed over")))
            }
        };
        if changed {
            self.changed.insert(namespace.to_owned());
        }
        problem
    }

    /// Remembers whose it is, and what its status says of kills. A pod of no known workload is nobody's run.
    fn put_pod(&mut self, namespace: &str, name: &str, object: &Value) {
        let nobody = Owners::default();
        let owners = self.owners.get(namespace).unwrap_or(&nobody);
        let Some(identity) = identity_of(object, namespace, owners, &self.identity) else { return };
        let uid = object.pointer("/metadata/uid").and_then(Value::as_str);
        let mut limits = self.limits.take(namespace, name, uid.unwrap_or_default());
        let kills = killed(object, &limits);
        limits.see(object, &kills);
        self.limits.put(namespace, name, uid.unwrap_or_default(), limits);
        for (container, kill) in kills {
            let key = WorkloadKey { workload: identity.workload.clone(), container };
            self.own.see_kill(key, kill, object);
        }
        if provenance::annotation(object, provenance::RESIZED).is_some() {
            self.own.see_pod(object, &identity.workload);
        }
        let jvm = jvm::seen(object, &identity);
        self.pods.add_identified(namespace, name, uid.map(str::to_owned), identity);
        self.pods.tell(namespace, name, jvm);
    }

    fn remove(&mut self, kind: Kind, namespace: &str, name: &str) {
        self.unreadable.remove(&(kind, (namespace.to_owned(), name.to_owned())));
        let changed = match kind {
            Kind::LimitRange => remove_from(&mut self.limit_ranges, namespace, name),
            Kind::ResourceQuota => remove_from(&mut self.quotas, namespace, name),
            Kind::Node => {
                self.changed_nodes |= self.nodes.remove(name).is_some();
                false
            }
            Kind::Job | Kind::ReplicaSet => {
                let owners = self.owners.get_mut(namespace);
                let removed = owners.is_some_and(|owners| owners.remove(&Owner::new(kind.name(), name)));
                if self.owners.get(namespace).is_some_and(Owners::is_empty) {
                    self.owners.remove(namespace);
                }
                removed
            }
            Kind::RightsizingPolicy => {
                self.own.remove_policy(name);
                false
            }
            Kind::Recommendation => {
                self.own.remove_recommendation(namespace, name);
                // Whether the namespace is still worth an entry is seen to with its bounds.
                !self.own.has(namespace)
            }
            // Whose it was, and its kills, outlive it.
            Kind::Pod => {
                self.limits.remove(namespace, name);
                false
            }
        };
        if changed {
            self.changed.insert(namespace.to_owned());
        }
    }

    /// What is known of a source's objects.
    fn keys(&self, source: &Source) -> Vec<Key> {
        fn of<T>(known: &HashMap<String, BTreeMap<String, T>>) -> Vec<Key> {
            known.iter().flat_map(|(space, of)| of.keys().map(|name| (space.clone(), name.clone()))).collect()
        }
        let mut keys = match source.kind {
            Kind::LimitRange => of(&self.limit_ranges),
            Kind::ResourceQuota => of(&self.quotas),
            Kind::Node => self.nodes.keys().map(|name| (String::new(), name.clone())).collect(),
            Kind::Job | Kind::ReplicaSet => {
                let of_kind = |(space, owners): (&String, &Owners)| {
                    let names = owners.iter().filter(|(of, _)| of.kind == source.kind.name());
                    names.map(|(of, _)| (space.clone(), of.name.clone())).collect::<Vec<_>>()
                };
                self.owners.iter().flat_map(of_kind).collect()
            }
            Kind::RightsizingPolicy => self.own.policy_names().into_iter().map(|name| (String::new(), name)).collect(),
            Kind::Recommendation => self.own.recommendation_keys(),
            Kind::Pod => self.limits.keys().cloned().collect(),
        };
        keys.retain(|(namespace, _)| source.namespace.as_ref().is_none_or(|own| own == namespace));
        keys
    }

    /// What follows from whether a source is known has changed.
    fn changes(&mut self, source: &Source) {
        if !matches!(source.kind, Kind::LimitRange | Kind::ResourceQuota) {
            return;
        }
        match &source.namespace {
            Some(namespace) => {
                self.changed.insert(namespace.clone());
            }
            None => self.changed_everywhere = true,
        }
    }

    fn unreadable(&mut self, kind: Kind, key: Key, why: &str, consequence: &'static str) -> Unreadable {
        let (namespace, name) = (text::name(&key.0), text::name(&key.1));
        let news = self.unreadable.insert((kind, key));
        Unreadable { kind: kind.name(), namespace, name, why: text::clean(why), consequence, news }
    }
}

fn key(kind: Kind, object: &Value) -> Option<Key> {
    let text = |key: &str| object.get("metadata")?.get(key)?.as_str().filter(|text| !text.is_empty());
    let namespace = if kind.is_of_the_cluster() { "" } else { text("namespace")? };
    Some((namespace.to_owned(), text("name")?.to_owned()))
}

fn remove_from<T>(known: &mut HashMap<String, BTreeMap<String, T>>, namespace: &str, name: &str) -> bool {
    let Some(objects) = known.get_mut(namespace) else { return false };
    let removed = objects.remove(name).is_some();
    if objects.is_empty() {
        known.remove(namespace);
    }
    removed
}
