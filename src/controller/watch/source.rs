//! What is watched, and how each thing is asked for: kinds, paths, the scope of a watch, objects as raw JSON.
//! Must not know what is made of the objects.

use std::borrow::Cow;
use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use kube::core::{ApiResource, DynamicResourceScope, GroupVersionKind};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::controller::crds;

/// A kind of object that is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// What containers and pods of a namespace may ask for.
    LimitRange,
    /// What is left of a namespace's quotas.
    ResourceQuota,
    /// How large a pod can be at all.
    Node,
    /// Which `CronJob` a Job belongs to.
    Job,
    /// Which Deployment a `ReplicaSet` belongs to.
    ReplicaSet,
    /// What may be done, and where.
    RightsizingPolicy,
    /// What workloads should ask for.
    Recommendation,
    /// Which pods there are, and which were killed for memory.
    Pod,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::LimitRange,
        Self::ResourceQuota,
        Self::Node,
        Self::Job,
        Self::ReplicaSet,
        Self::RightsizingPolicy,
        Self::Recommendation,
        Self::Pod,
    ];
    /// What a pod must fit into, and who made it.
    pub(super) const SURROUNDINGS: [Self; 5] =
        [Self::LimitRange, Self::ResourceQuota, Self::Node, Self::Job, Self::ReplicaSet];

    /// As in `kind:` of a manifest.
    pub const fn name(self) -> &'static str {
        match self {
            Self::LimitRange => "LimitRange",
            Self::ResourceQuota => "ResourceQuota",
            Self::Node => "Node",
            Self::Job => "Job",
            Self::ReplicaSet => "ReplicaSet",
            Self::RightsizingPolicy => "RightsizingPolicy",
            Self::Recommendation => "Recommendation",
            Self::Pod => "Pod",
        }
    }

    /// As in the rules of a Role.
    pub const fn plural(self) -> &'static str {
        match self {
            Self::LimitRange => "limitranges",
            Self::ResourceQuota => "resourcequotas",
            Self::Node => "nodes",
            Self::Job => "jobs",
            Self::ReplicaSet => "replicasets",
            Self::RightsizingPolicy => crds::POLICIES,
            Self::Recommendation => crds::RECOMMENDATIONS,
            Self::Pod => "pods",
        }
    }

    /// API group; empty for the core group.
    pub const fn group(self) -> &'static str {
        match self {
            Self::LimitRange | Self::ResourceQuota | Self::Node | Self::Pod => "",
            Self::Job => "batch",
            Self::ReplicaSet => "apps",
            Self::RightsizingPolicy | Self::Recommendation => crds::GROUP,
        }
    }

    const fn version(self) -> &'static str {
        if self.is_own() { crds::VERSION } else { "v1" }
    }

    /// Whether podfit itself defines it: its definition may not be in the cluster.
    pub(super) const fn is_own(self) -> bool {
        matches!(self, Self::RightsizingPolicy | Self::Recommendation)
    }

    /// Whether its objects belong to no namespace.
    pub(super) const fn is_of_the_cluster(self) -> bool {
        matches!(self, Self::Node | Self::RightsizingPolicy)
    }

    /// What follows from not knowing its objects.
    pub(super) const fn consequence(self) -> &'static str {
        match self {
            Self::LimitRange => "no pod is resized, since its new sizes might be refused",
            Self::ResourceQuota => "no size is raised, since quotas might not have room for it",
            Self::Node => "sizes are not checked against the largest node",
            Self::Job => "the names of Jobs stand in for their CronJobs",
            Self::ReplicaSet => "the names of ReplicaSets stand in for their Deployments",
            Self::RightsizingPolicy => "no pod is resized, and the rules hold in their default modes",
            Self::Recommendation => "no pod is resized",
            Self::Pod => "a run that is killed for memory is not seen before the next collection",
        }
    }

    /// Only who it is and who owns it is asked for, not its spec and status.
    pub(super) const fn metadata_only(self) -> bool {
        matches!(self, Self::Job | Self::ReplicaSet)
    }

    pub(super) fn api_resource(self) -> ApiResource {
        ApiResource::from_gvk_with_plural(
            &GroupVersionKind::gvk(self.group(), self.version(), self.name()),
            self.plural(),
        )
    }
}

/// One watch: a kind, in the whole cluster or in one namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Source {
    /// What is watched.
    pub kind: Kind,
    /// Where; `None` = in the whole cluster.
    pub namespace: Option<String>,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{} in namespace {namespace}", self.kind.plural()),
            None => write!(f, "{} in the cluster", self.kind.plural()),
        }
    }
}

/// Where to watch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// Names of the namespaces; empty = all. With names, rights in these namespaces are enough, but for nodes.
    pub namespaces: Vec<String>,
    /// The policy comes from the cluster, not from a file.
    pub policy: bool,
    /// Recommendations come from the cluster, not from a file.
    pub recommendations: bool,
    /// Pods are watched for kills.
    pub pods: bool,
}

impl Scope {
    /// The watches that this takes.
    pub fn sources(&self) -> Vec<Source> {
        let mut sources = Vec::new();
        let further = [
            (self.policy, Kind::RightsizingPolicy),
            (self.recommendations, Kind::Recommendation),
            (self.pods, Kind::Pod),
        ];
        let further = further.into_iter().filter_map(|(asked, kind)| asked.then_some(kind));
        for kind in Kind::SURROUNDINGS.into_iter().chain(further) {
            if kind.is_of_the_cluster() || self.namespaces.is_empty() {
                sources.push(Source { kind, namespace: None });
            } else {
                sources.extend(self.namespaces.iter().map(|name| Source { kind, namespace: Some(name.clone()) }));
            }
        }
        sources.sort();
        sources.dedup();
        sources
    }
}

/// An object as it came, without `managedFields`. Reading it never fails, so that no object can stall a watch: what is
/// made of it is another matter.
#[derive(Clone, Debug)]
pub(super) struct Raw {
    meta: ObjectMeta,
    pub(super) json: Value,
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut json = Value::deserialize(deserializer)?;
        if let Some(metadata) = json.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.remove("managedFields");
        }
        let text = |key: &str| json.pointer(&format!("/metadata/{key}")).and_then(Value::as_str).map(str::to_owned);
        let (name, namespace) = (text("name"), text("namespace"));
        let meta = ObjectMeta { name, namespace, resource_version: text("resourceVersion"), ..ObjectMeta::default() };
        Ok(Self { meta, json })
    }
}

impl Resource for Raw {
    type DynamicType = ApiResource;
    type Scope = DynamicResourceScope;

    fn kind(resource: &ApiResource) -> Cow<'_, str> {
        resource.kind.as_str().into()
    }

    fn group(resource: &ApiResource) -> Cow<'_, str> {
        resource.group.as_str().into()
    }

    fn version(resource: &ApiResource) -> Cow<'_, str> {
        resource.version.as_str().into()
    }

    fn plural(resource: &ApiResource) -> Cow<'_, str> {
        resource.plural.as_str().into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.meta
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.meta
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_namespaces_are_watched_one_by_one_and_nodes_in_the_cluster() {
        let all: Vec<_> = Scope::default().sources().iter().map(ToString::to_string).collect();
        assert_eq!(all, Kind::SURROUNDINGS.map(|kind| format!("{} in the cluster", kind.plural())));
        let whole = Scope { policy: true, recommendations: true, pods: true, ..Scope::default() };
        assert_eq!(whole.sources().len(), Kind::ALL.len());
        let names = ["jobs".to_owned(), "etl".to_owned(), "jobs".to_owned()];
        let named = Scope { namespaces: names.into(), policy: true, recommendations: true, pods: true };
        let named: Vec<_> = named.sources().iter().map(ToString::to_string).collect();
        assert_eq!(named.len(), 6 * 2 + 2, "{named:?}");
        assert!(named.contains(&"nodes in the cluster".to_owned()));
        assert!(named.contains(&"replicasets in namespace etl".to_owned()));
    }

    #[test]
    fn an_object_keeps_what_it_came_with() {
        let text =
            r#"{"metadata":{"name":"a","ownerReferences":7,"managedFields":[{}],"resourceVersion":"9"},"spec":1}"#;
        let raw: Raw = serde_json::from_str(text).unwrap();
        assert_eq!(raw.meta().name.as_deref(), Some("a"));
        assert_eq!(raw.meta().resource_version.as_deref(), Some("9"));
        let metadata = serde_json::json!({"name": "a", "ownerReferences": 7, "resourceVersion": "9"});
        assert_eq!(raw.json, serde_json::json!({"metadata": metadata, "spec": 1}));
        assert!(serde_json::from_str::<Raw>("[]").is_ok());
    }
}
