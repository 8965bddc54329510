//! One namespace as it is now: its pods and CronJobs by workload, its LimitRanges, quotas, and the largest node.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Value, json};

use super::{ClusterError, Reader};
use crate::collector::{KnownPods, is_scaled, jvm};
use crate::fit::{Allocatable, Constraints, LimitRanges, Quota};
use crate::history::ScaledOn;
use crate::workload::{Identity, IdentityRules, Owner, PodFacts, Workload, controller_of, identify, pod_facts};

/// A workload as the cluster has it now.
#[derive(Clone, Debug)]
pub struct LiveWorkload {
    /// Pods of it that have not ended.
    pub pods: usize,
    /// Its newest pod, ended or not; of a CronJob without pods, the pod its template would make.
    pub newest: Value,
    /// What `newest` was identified as.
    pub identity: Identity,
    /// The controller above the controller of `newest`, where there is one.
    pub owner_of_owner: Option<Owner>,
}

/// One namespace as it is now.
#[derive(Debug, Default)]
pub struct ClusterSnapshot {
    /// Workloads by key.
    pub workloads: BTreeMap<Workload, LiveWorkload>,
    /// Every identified pod, for the collector.
    pub known: KnownPods,
    /// What sizes must fit into.
    pub constraints: Constraints,
    /// What horizontal autoscalers scale on as a share of the request, by the workload that they scale.
    pub scaled_on: BTreeMap<Workload, ScaledOn>,
    /// Pods that belong to no workload: name, reason.
    pub unidentified: Vec<(String, String)>,
    /// What could not be read and what that means.
    pub notes: Vec<String>,
}

impl ClusterSnapshot {
    /// Reads a namespace.
    ///
    /// # Errors
    /// [`ClusterError`] when pods cannot be listed or there is no such namespace. What may be missing without harm is
    /// noted instead.
    pub async fn read(reader: &Reader, namespace: &str, rules: &IdentityRules) -> Result<Self, ClusterError> {
        let mut snapshot = Self::default();
        match reader.get(&format!("/api/v1/namespaces/{namespace}"), "read the namespace").await {
            Ok(None) => {
                let server = reader.server().to_owned();
                return Err(ClusterError::NoNamespace { namespace: namespace.to_owned(), server });
            }
            // Whoever may list pods of a namespace need not be allowed to read the namespace itself.
            Ok(Some(_)) | Err(ClusterError::Forbidden { .. }) => {}
            Err(error) => return Err(error),
        }
        let owners = Owners::read(reader, namespace, &mut snapshot.notes).await?;
        let pods = reader
            .list(
                &format!("/api/v1/namespaces/{namespace}/pods"),
                &format!("list pods in namespace {namespace}"),
                |pod| {
                    // Of the status only the phase and how containers ended tell anything here.
                    if let Some(status) = pod.get_mut("status").and_then(Value::as_object_mut) {
                        status.retain(|key, _| key == "phase" || key == "containerStatuses");
                    }
                },
            )
            .await?;
        for pod in pods {
            snapshot.add_pod(pod, namespace, &owners, rules);
        }
        for cronjob in &owners.cronjobs {
            snapshot.add_cronjob(cronjob, namespace, rules);
        }
        snapshot.read_surroundings(reader, namespace).await?;
        snapshot.read_autoscalers(reader, namespace).await?;
        Ok(snapshot)
    }

    fn add_pod(&mut self, mut pod: Value, namespace: &str, owners: &Owners, rules: &IdentityRules) {
        let Ok(mut facts) = pod_facts(&pod, namespace) else { return };
        facts.owner_of_owner = facts.owner.as_ref().and_then(|o| owners.of(&o.kind, &o.name));
        let uid = pod.pointer("/metadata/uid").and_then(Value::as_str).map(str::to_owned);
        self.known.add(&facts, uid, rules);
        if let Some(name) = &facts.name
            && let Ok(identity) = identify(&facts, rules)
        {
            self.known.tell(namespace, name, jvm::seen(&pod, &identity));
        }
        let status = pod.as_object_mut().and_then(|p| p.remove("status"));
        let phase = status.as_ref().and_then(|s| s.get("phase")).and_then(Value::as_str);
        let live = !matches!(phase, Some("Succeeded" | "Failed"));
        self.add(pod, &facts, rules, Some(live));
    }

    fn add_cronjob(&mut self, cronjob: &Value, namespace: &str, rules: &IdentityRules) {
        let (Some(name), Some(template)) = (
            cronjob.pointer("/metadata/name").and_then(Value::as_str),
            cronjob.pointer("/spec/jobTemplate/spec/template"),
        ) else {
            return;
        };
        let mut pod = template.clone();
        if let Some(object) = pod.as_object_mut() {
            let metadata = object.entry("metadata").or_insert_with(|| json!({}));
            // The Job controller gives its pods labels, whether the template has some or not.
            if let Some(metadata) = metadata.as_object_mut() {
                metadata.entry("labels").or_insert_with(|| json!({}));
                let job = json!([{"apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": "of-the-next-run",
                    "controller": true}]);
                metadata.insert("ownerReferences".to_owned(), job);
            }
            object.insert("apiVersion".to_owned(), json!("v1"));
            object.insert("kind".to_owned(), json!("Pod"));
        }
        let Ok(mut facts) = pod_facts(&pod, namespace) else { return };
        facts.owner_of_owner = Some(Owner::new("CronJob", name));
        self.add(pod, &facts, rules, None);
    }

    /// `live` says of a pod whether it has not ended; a template has none.
    fn add(&mut self, pod: Value, facts: &PodFacts, rules: &IdentityRules, live: Option<bool>) {
        let identity = match identify(facts, rules) {
            Ok(identity) => identity,
            Err(reason) => {
                self.unidentified.push((facts.name_or_prefix().unwrap_or_default().to_owned(), reason.to_string()));
                return;
            }
        };
        let created =
            |pod: &Value| pod.pointer("/metadata/creationTimestamp").and_then(Value::as_str).map(str::to_owned);
        let pods = usize::from(live == Some(true));
        if let Some(known) = self.workloads.get_mut(&identity.workload) {
            known.pods += pods;
            if live.is_some() && created(&pod) >= created(&known.newest) {
                known.newest = pod;
                known.identity = identity;
                known.owner_of_owner.clone_from(&facts.owner_of_owner);
            }
        } else {
            let owner_of_owner = facts.owner_of_owner.clone();
            let live = LiveWorkload { pods, newest: pod, identity, owner_of_owner };
            self.workloads.insert(live.identity.workload.clone(), live);
        }
    }

    async fn read_surroundings(&mut self, reader: &Reader, namespace: &str) -> Result<(), ClusterError> {
        let ranges =
            self.optional(reader, namespace, "limitranges", "LimitRanges", "sizes may be outside of them").await?;
        self.constraints.limit_ranges = LimitRanges::of_objects(&ranges);
        for quota in
            self.optional(reader, namespace, "resourcequotas", "ResourceQuotas", "sizes may not fit into them").await?
        {
            match Quota::of_object(&quota) {
                Ok(quota) => self.constraints.quotas.push(quota),
                Err(error) => {
                    self.notes.push(error.to_string());
                    self.constraints.quotas.push(Quota::unknown(&error.name));
                }
            }
        }
        match reader.list("/api/v1/nodes", "list nodes", |_| {}).await {
            Ok(nodes) => {
                let largest = Allocatable::largest(nodes.iter().map(Allocatable::of_node));
                self.constraints = std::mem::take(&mut self.constraints).with_largest_node(largest);
            }
            Err(ClusterError::Forbidden { .. }) => {
                self.notes.push("you may not list nodes: sizes are not checked against the largest node".to_owned());
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    async fn read_autoscalers(&mut self, reader: &Reader, namespace: &str) -> Result<(), ClusterError> {
        let (group, plural) = ("apis/autoscaling/v2", "horizontalpodautoscalers");
        let consequence = "what they scale on may be sized all the same";
        let objects =
            self.optional_of(reader, namespace, group, plural, "HorizontalPodAutoscalers", consequence).await?;
        for object in &objects {
            let text = |path: &str| object.pointer(path).and_then(Value::as_str).unwrap_or_default();
            let (kind, name) = (text("/spec/scaleTargetRef/kind"), text("/spec/scaleTargetRef/name"));
            let on = scaled_on(object);
            for workload in self.workloads.keys().filter(|workload| is_scaled(workload, kind, name)) {
                let known = self.scaled_on.entry(workload.clone()).or_default();
                *known = known.or(on);
            }
        }
        Ok(())
    }

    async fn optional(
        &mut self,
        reader: &Reader,
        namespace: &str,
        plural: &str,
        name: &str,
        consequence: &str,
    ) -> Result<Vec<Value>, ClusterError> {
        self.optional_of(reader, namespace, "api/v1", plural, name, consequence).await
    }

    async fn optional_of(
        &mut self,
        reader: &Reader,
        namespace: &str,
        group: &str,
        plural: &str,
        name: &str,
        consequence: &str,
    ) -> Result<Vec<Value>, ClusterError> {
        let path = format!("/{group}/namespaces/{namespace}/{plural}");
        match reader.list(&path, &format!("list {name}"), |_| {}).await {
            Ok(objects) => Ok(objects),
            Err(ClusterError::Forbidden { .. }) => {
                self.notes.push(format!("you may not list {name} in {namespace}: {consequence}"));
                Ok(Vec::new())
            }
            Err(error) => Err(error),
        }
    }
}

/// What a `HorizontalPodAutoscaler` scales on as a share of the request, of the pod or of a container.
fn scaled_on(autoscaler: &Value) -> ScaledOn {
    let metrics = autoscaler.pointer("/spec/metrics").and_then(Value::as_array);
    let shares = metrics.into_iter().flatten().filter_map(|metric| {
        let source = metric.get("resource").or_else(|| metric.get("containerResource"))?;
        source.pointer("/target/averageUtilization")?;
        source.get("name")?.as_str()
    });
    shares.fold(ScaledOn::default(), |on, name| ScaledOn {
        cpu: on.cpu || name == "cpu",
        memory: on.memory || name == "memory",
    })
}

/// The controllers above Jobs and ReplicaSets.
#[derive(Default)]
struct Owners {
    of: HashMap<(String, String), Owner>,
    cronjobs: Vec<Value>,
}

impl Owners {
    async fn read(reader: &Reader, namespace: &str, notes: &mut Vec<String>) -> Result<Self, ClusterError> {
        let mut owners = Self::default();
        for (kind, group, plural) in [("Job", "batch", "jobs"), ("ReplicaSet", "apps", "replicasets")] {
            let path = format!("/apis/{group}/v1/namespaces/{namespace}/{plural}");
            let strip = |object: &mut Value| {
                if let Some(o) = object.as_object_mut() {
                    o.retain(|key, _| key == "metadata");
                }
            };
            match reader.list(&path, &format!("list {plural}"), strip).await {
                Ok(objects) => owners.add(kind, &objects),
                Err(ClusterError::Forbidden { .. }) => {
                    notes.push(format!("you may not list {plural} in {namespace}: names stand in for their owners"));
                }
                Err(error) => return Err(error),
            }
        }
        let path = format!("/apis/batch/v1/namespaces/{namespace}/cronjobs");
        match reader.list(&path, "list cronjobs", |_| {}).await {
            Ok(cronjobs) => owners.cronjobs = cronjobs,
            Err(ClusterError::Forbidden { .. }) => {
                notes.push(format!("you may not list cronjobs in {namespace}: only those with pods are seen"));
            }
            Err(error) => return Err(error),
        }
        Ok(owners)
    }

    fn add(&mut self, kind: &str, objects: &[Value]) {
        for object in objects {
            let name = object.pointer("/metadata/name").and_then(Value::as_str);
            let owner = controller_of(object);
            if let (Some(name), Some(owner)) = (name, owner) {
                self.of.insert((kind.to_owned(), name.to_owned()), owner);
            }
        }
    }

    fn of(&self, kind: &str, name: &str) -> Option<Owner> {
        self.of.get(&(kind.to_owned(), name.to_owned())).cloned()
    }
}
