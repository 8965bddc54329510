//! What kube-state-metrics says of pods, Jobs and ReplicaSets: labels, owners, requests, limits, how containers ended.
//! Series in, facts out; sends no query itself.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use super::metrics::{AUTOSCALER, AUTOSCALER_TARGET};
use super::names::get;
use crate::history::{Resources, ScaledOn};
use crate::prometheus::Labels;
use crate::workload::recurring_name::recurring_name;
use crate::workload::{ContainerFacts, Keys, Kind, Owner, PodFacts, Workload};

/// One container of a pod.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ContainerObject {
    /// Requests and limits.
    pub resources: Resources,
    /// Why it ended, while the pod was still there (`OOMKilled`, `Completed`, `Error` …).
    pub terminated_reason: Option<String>,
    /// Why the life before the present one ended.
    pub last_terminated_reason: Option<String>,
    /// The exit code of the life before the present one.
    pub last_exit_code: Option<i32>,
}

/// One pod.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PodObject {
    /// Its uid, where the series carry it.
    pub uid: Option<String>,
    /// Labels as kube-state-metrics writes them.
    pub labels: BTreeMap<String, String>,
    /// Annotations as kube-state-metrics writes them.
    pub annotations: BTreeMap<String, String>,
    /// Kind and name of the controller.
    pub owner: Option<(String, String)>,
    /// Start time of the pod, milliseconds since the epoch.
    pub started_ms: Option<i64>,
    /// When its last container finished, milliseconds since the epoch.
    pub completed_ms: Option<i64>,
    /// Containers by name.
    pub containers: BTreeMap<String, ContainerObject>,
}

impl PodObject {
    /// Adds what a later slice says.
    pub fn update(&mut self, later: Self) {
        let Self { uid, labels, annotations, owner, started_ms, completed_ms, containers } = later;
        self.uid = uid.or_else(|| self.uid.take());
        self.labels.extend(labels);
        self.annotations.extend(annotations);
        self.owner = owner.or_else(|| self.owner.take());
        self.started_ms = started_ms.or(self.started_ms);
        self.completed_ms = completed_ms.or(self.completed_ms);
        for (name, container) in containers {
            let known = self.containers.entry(name).or_default();
            let keep = |new: Option<u64>, old: Option<u64>| new.or(old);
            known.resources = Resources {
                cpu_request_millis: keep(container.resources.cpu_request_millis, known.resources.cpu_request_millis),
                cpu_limit_millis: keep(container.resources.cpu_limit_millis, known.resources.cpu_limit_millis),
                memory_request_bytes: keep(
                    container.resources.memory_request_bytes,
                    known.resources.memory_request_bytes,
                ),
                memory_limit_bytes: keep(container.resources.memory_limit_bytes, known.resources.memory_limit_bytes),
            };
            known.terminated_reason = container.terminated_reason.or(known.terminated_reason.take());
            known.last_terminated_reason = container.last_terminated_reason.or(known.last_terminated_reason.take());
            known.last_exit_code = container.last_exit_code.or(known.last_exit_code);
        }
    }
}

impl PodObject {
    /// The container that the series is of.
    fn container(&mut self, labels: &Labels) -> Option<&mut ContainerObject> {
        let name = get(labels, "container")?;
        if !self.containers.contains_key(name) {
            self.containers.insert(name.to_owned(), ContainerObject::default());
        }
        self.containers.get_mut(name)
    }
}

/// A `HorizontalPodAutoscaler`.
#[derive(Debug, Default)]
struct Autoscaler {
    target: Option<(String, String)>,
    scaled_on: ScaledOn,
}

/// What a slice of time says of the objects of the selected namespaces.
#[derive(Debug, Default)]
pub struct Objects {
    /// By namespace and name.
    pods: HashMap<String, HashMap<String, Vec<PodObject>>>,
    jobs: HashMap<(String, String), (String, String)>,
    replica_sets: HashMap<(String, String), (String, String)>,
    /// By namespace and name: what is scaled, and on what.
    autoscalers: HashMap<(String, String), Autoscaler>,
    /// Pods with at least one exported label.
    pub pods_with_labels: u64,
    /// Pods with an owner series.
    pub pods_with_owner: u64,
}

/// What a map has under a name, made where it has nothing; the name is copied only then. Never `None`.
fn slot<'a, V: Default>(map: &'a mut HashMap<String, V>, name: &str) -> Option<&'a mut V> {
    if !map.contains_key(name) {
        map.insert(name.to_owned(), V::default());
    }
    map.get_mut(name)
}

impl Objects {
    fn pod(&mut self, labels: &Labels) -> Option<&mut PodObject> {
        let (namespace, name) = (get(labels, "namespace")?, get(labels, "pod")?);
        let uid = get(labels, "uid");
        let pods = slot(slot(&mut self.pods, namespace)?, name)?;
        let at = if let Some(at) = pods.iter().position(|p| p.uid.as_deref() == uid || p.uid.is_none() || uid.is_none())
        {
            at
        } else {
            pods.push(PodObject::default());
            pods.len() - 1
        };
        let pod = pods.get_mut(at)?;
        if pod.uid.is_none() {
            pod.uid = uid.map(str::to_owned);
        }
        Some(pod)
    }

    /// Takes in the last sample of one series of `metric`.
    pub fn take(&mut self, metric: &str, labels: &Labels, value: f64) {
        match metric {
            "kube_job_owner" | "kube_replicaset_owner" => self.take_owner_of_owner(metric, labels),
            AUTOSCALER | AUTOSCALER_TARGET => {
                self.take_of_autoscaler(metric, labels);
            }
            _ => {
                self.take_of_pod(metric, labels, value);
            }
        }
    }

    /// An autoscaler that scales on an average value, not on a share of the request, does not mind another request.
    fn take_of_autoscaler(&mut self, metric: &str, labels: &Labels) -> Option<()> {
        let key = (get(labels, "namespace")?.to_owned(), get(labels, "horizontalpodautoscaler")?.to_owned());
        let autoscaler = self.autoscalers.entry(key).or_default();
        if metric == AUTOSCALER {
            let (kind, name) = (labels.get("scaletargetref_kind")?, labels.get("scaletargetref_name")?);
            autoscaler.target = Some((kind.to_owned(), name.to_owned()));
        } else if labels.get("metric_target_type")? == "utilization" {
            match labels.get("metric_name")? {
                "cpu" => autoscaler.scaled_on.cpu = true,
                "memory" => autoscaler.scaled_on.memory = true,
                _ => {}
            }
        }
        Some(())
    }

    /// What an autoscaler scales a workload on as a share of its requests.
    pub fn scaled_on(&self, workload: &Workload) -> ScaledOn {
        let scales = |((namespace, _), autoscaler): &(&(String, String), &Autoscaler)| {
            *namespace == workload.namespace
                && autoscaler.target.as_ref().is_some_and(|(kind, name)| is_scaled(workload, kind, name))
        };
        self.autoscalers.iter().filter(scales).fold(ScaledOn::default(), |all, (_, one)| all.or(one.scaled_on))
    }

    fn take_owner_of_owner(&mut self, metric: &str, labels: &Labels) {
        let (name, owners) = match metric {
            "kube_job_owner" => ("job_name", &mut self.jobs),
            _ => ("replicaset", &mut self.replica_sets),
        };
        if let (Some(namespace), Some(name), Some((kind, owner))) =
            (get(labels, "namespace"), get(labels, name), owner(labels))
        {
            owners.insert((namespace.to_owned(), name.to_owned()), (kind, owner));
        }
    }

    fn take_of_pod(&mut self, metric: &str, labels: &Labels, value: f64) -> Option<()> {
        let milliseconds = (value > 0.0 && value < 1e11).then_some((value * 1000.0) as i64);
        let pod = self.pod(labels)?;
        match metric {
            "kube_pod_labels" => {
                let found = prefixed(labels, "label_");
                let any = !found.is_empty();
                pod.labels.extend(found);
                self.pods_with_labels += u64::from(any);
            }
            "kube_pod_annotations" => pod.annotations.extend(prefixed(labels, "annotation_")),
            "kube_pod_owner" => {
                pod.owner = owner(labels).or_else(|| pod.owner.take());
                self.pods_with_owner += 1;
            }
            "kube_pod_start_time" => pod.started_ms = milliseconds,
            "kube_pod_completion_time" => pod.completed_ms = milliseconds,
            "kube_pod_container_resource_requests" | "kube_pod_container_resource_limits" => {
                let is_limit = metric.ends_with("limits");
                set_resource(&mut pod.container(labels)?.resources, get(labels, "resource")?, is_limit, value);
            }
            "kube_pod_container_status_terminated_reason" if value == 1.0 => {
                pod.container(labels)?.terminated_reason = get(labels, "reason").map(str::to_owned);
            }
            "kube_pod_container_status_last_terminated_reason" if value == 1.0 => {
                pod.container(labels)?.last_terminated_reason = get(labels, "reason").map(str::to_owned);
            }
            "kube_pod_container_status_last_terminated_exitcode" if (-255.0..=255.0).contains(&value) => {
                pod.container(labels)?.last_exit_code = Some(value as i32);
            }
            _ => {}
        }
        Some(())
    }

    /// The pod of that name; with a uid the one of that uid, without one the latest started.
    pub fn find(&self, namespace: &str, pod: &str, uid: Option<&str>) -> Option<&PodObject> {
        let pods = self.pods.get(namespace)?.get(pod)?;
        match uid {
            Some(uid) => {
                pods.iter().find(|p| p.uid.as_deref() == Some(uid)).or_else(|| pods.iter().find(|p| p.uid.is_none()))
            }
            None => pods.iter().max_by_key(|p| p.started_ms),
        }
    }

    /// When pods of that name started, as far as it was told.
    pub fn starts_of(&self, namespace: &str, pod: &str) -> Vec<i64> {
        let pods = self.pods.get(namespace).and_then(|pods| pods.get(pod));
        pods.into_iter().flatten().filter_map(|pod| pod.started_ms).collect()
    }

    /// The controller of a Job or ReplicaSet.
    pub fn owner_of(&self, namespace: &str, kind: &str, name: &str) -> Option<(String, String)> {
        let key = (namespace.to_owned(), name.to_owned());
        match kind {
            "Job" => self.jobs.get(&key).cloned(),
            "ReplicaSet" => self.replica_sets.get(&key).cloned(),
            _ => None,
        }
    }

    /// Number of pods seen.
    pub fn len(&self) -> usize {
        self.pods.values().flat_map(HashMap::values).map(Vec::len).sum()
    }

    /// Whether no pod was seen.
    pub fn is_empty(&self) -> bool {
        self.pods.is_empty()
    }
}

/// Whether an autoscaler's target is this workload.
pub fn is_scaled(workload: &Workload, kind: &str, name: &str) -> bool {
    match (workload.kind, workload.names.as_slice()) {
        (Kind::Deployment, [own]) => kind == "Deployment" && own == name,
        (Kind::Statefulset, [own]) => kind == "StatefulSet" && own == name,
        (Kind::Custom, [own_kind, own]) => kind.to_lowercase() == *own_kind && recurring_name(name) == *own,
        _ => false,
    }
}

/// Kind and name of an owner; kube-state-metrics writes `<none>` or nothing where there is none.
fn owner(labels: &Labels) -> Option<(String, String)> {
    let kind = labels.get("owner_kind").filter(|k| *k != "<none>")?;
    let name = labels.get("owner_name").filter(|n| *n != "<none>")?;
    Some((kind.to_owned(), name.to_owned()))
}

fn prefixed(labels: &Labels, prefix: &str) -> BTreeMap<String, String> {
    labels.iter().filter_map(|(name, value)| Some((name.strip_prefix(prefix)?.to_owned(), value.to_owned()))).collect()
}

fn set_resource(resources: &mut Resources, resource: &str, is_limit: bool, value: f64) {
    const MOST: f64 = 9.0e15;
    if !(0.0..=MOST).contains(&value) {
        return;
    }
    let millis = (value * 1000.0).ceil() as u64;
    let bytes = value.ceil() as u64;
    match (resource, is_limit) {
        ("cpu", false) => resources.cpu_request_millis = Some(millis),
        ("cpu", true) => resources.cpu_limit_millis = Some(millis),
        ("memory", false) => resources.memory_request_bytes = Some(bytes),
        ("memory", true) => resources.memory_limit_bytes = Some(bytes),
        _ => {}
    }
}

/// What identity needs, from series.
pub fn pod_facts(
    namespace: &str,
    name: &str,
    container: &str,
    object: Option<&PodObject>,
    owner_of_owner: Option<&(String, String)>,
) -> PodFacts {
    let mut containers: Vec<ContainerFacts> = object
        .into_iter()
        .flat_map(|o| &o.containers)
        .map(|(name, c)| ContainerFacts {
            name: name.clone(),
            env: BTreeMap::new(),
            cpu_request_millis: c.resources.cpu_request_millis,
            memory_request_bytes: c.resources.memory_request_bytes,
        })
        .collect();
    if !containers.iter().any(|c| c.name == container) {
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
