//! What kube-state-metrics says of pods, Jobs and ReplicaSets: labels, owners, requests, limits, how containers ended.
//! Series in, facts out; sends no query itself.
//!
//! The last sample of a series is enough where all series of a fact say the same. Where they do not, or where a
//! container was started again, the fact is contested: its samples are to be read, and the newest wins. So no answer
//! depends on the order in which series arrive, nor on a source that does not tell the time of a last sample.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::autoscalers::Autoscalers;
use super::fact_group::Group;
use super::gathered::{Agrees, Gathered, amount, newest, put, size_of, sizes};
use super::metrics::{AUTOSCALER, AUTOSCALER_TARGET};
use super::names::get;
use super::pod_object::{ContainerObject, PodObject};
use crate::prometheus::{Labels, Sample};

/// Namespace and pod name.
pub type Name = (String, String);

/// What a slice of time says of the objects of the selected namespaces.
#[derive(Debug, Default)]
pub struct Objects {
    /// By namespace and name; until they are settled.
    gathered: HashMap<String, HashMap<String, Vec<Gathered>>>,
    /// By namespace and name; once they are.
    pods: HashMap<String, HashMap<String, Vec<PodObject>>>,
    /// By the label that names the pod, renamed or not.
    contested: BTreeMap<(Group, &'static str), BTreeSet<Name>>,
    jobs: HashMap<Name, (String, String)>,
    /// How many pods of a Job did its work, by namespace and the Job's name.
    successes: HashMap<Name, u64>,
    replica_sets: HashMap<Name, (String, String)>,
    /// What is scaled, and on what.
    pub autoscalers: Autoscalers,
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
    fn pod(&mut self, labels: &Labels) -> Option<&mut Gathered> {
        let (namespace, name) = (get(labels, "namespace")?, get(labels, "pod")?);
        let uid = get(labels, "uid").filter(|uid| !uid.is_empty());
        let pods = slot(slot(&mut self.gathered, namespace)?, name)?;
        let at = pods.iter().position(|pod| pod.object.uid.as_deref() == uid).unwrap_or_else(|| {
            let object = PodObject { uid: uid.map(str::to_owned), ..PodObject::default() };
            pods.push(Gathered { object, ..Gathered::default() });
            pods.len() - 1
        });
        pods.get_mut(at)
    }

    /// Takes in the last sample of one series of `metric`; its time does not matter.
    pub fn take(&mut self, metric: &str, labels: &Labels, value: f64) {
        match metric {
            "kube_job_owner" | "kube_replicaset_owner" => self.take_owner_of_owner(metric, labels),
            "kube_job_status_succeeded" | "kube_job_complete" => self.take_success(labels, value),
            AUTOSCALER | AUTOSCALER_TARGET => self.autoscalers.take(metric, labels),
            _ => {
                if self.take_of_pod(metric, labels, value) == Some(Agrees::No) {
                    self.contest(metric, labels);
                }
            }
        }
    }

    /// Says that the samples of all series of the same fact are to be read.
    pub fn contest(&mut self, metric: &str, labels: &Labels) {
        if let (Some(group), Some(namespace), Some(pod)) =
            (Group::of(metric), get(labels, "namespace"), get(labels, "pod"))
        {
            let label = if labels.get("exported_pod").is_some() { "exported_pod" } else { "pod" };
            self.contested.entry((group, label)).or_default().insert((namespace.to_owned(), pod.to_owned()));
        }
    }

    /// What is contested: which facts, the label that names their pods, and the pods' names.
    pub fn contested(&self) -> Vec<(Group, &'static str, BTreeSet<String>)> {
        let names = |pods: &BTreeSet<Name>| pods.iter().map(|(_, pod)| pod.clone()).collect();
        self.contested.iter().map(|((group, label), pods)| (*group, *label, names(pods))).collect()
    }

    fn is_contested(&self, group: Group, namespace: &str, pod: &str) -> bool {
        let name = (namespace.to_owned(), pod.to_owned());
        ["pod", "exported_pod"]
            .iter()
            .any(|label| self.contested.get(&(group, *label)).is_some_and(|p| p.contains(&name)))
    }

    /// Takes in samples of one series of a contested fact; those of other pods are left out.
    pub fn take_samples(&mut self, metric: &str, labels: &Labels, samples: &[Sample]) {
        let (Some(group), Some(namespace), Some(pod)) =
            (Group::of(metric), get(labels, "namespace"), get(labels, "pod"))
        else {
            return;
        };
        if self.is_contested(group, namespace, pod) {
            self.take_dated(metric, group, labels, samples);
        }
    }

    fn take_dated(&mut self, metric: &str, group: Group, labels: &Labels, samples: &[Sample]) -> Option<()> {
        let last_ms = samples.last()?.at_ms;
        let pod = self.pod(labels)?;
        let object = &mut pod.object;
        match group {
            Group::Labels => {
                let said = prefixed(labels, "label_");
                newest(&mut object.labels, &mut object.said_ms[0], said, last_ms);
            }
            Group::Annotations => {
                let said = prefixed(labels, "annotation_");
                newest(&mut object.annotations, &mut object.said_ms[1], said, last_ms);
            }
            Group::Owner => {
                if let Some(said) = owner(labels) {
                    newest(&mut object.owner, &mut object.said_ms[2], Some(said), last_ms);
                }
            }
            Group::Sizes => {
                let (name, resource) = (get(labels, "container")?, get(labels, "resource")?);
                let which = size_of(resource, metric.ends_with("limits"))?;
                let sizes = &mut pod.asking.entry(name.to_owned()).or_default().sizes[which];
                for sample in samples {
                    if let Some(size) = amount(which, sample.value) {
                        sizes.say(sample.at_ms, size);
                    }
                }
            }
            Group::Ends => {
                let container = container(object, metric, labels)?;
                if metric.ends_with("exitcode") {
                    for sample in samples.iter().filter(|s| EXIT_CODES.contains(&s.value)) {
                        container.last_exit.say(sample.at_ms, sample.value as i32);
                    }
                    return Some(());
                }
                let reason = get(labels, "reason")?;
                let said =
                    if metric.contains("last_terminated") { &mut container.last_ended } else { &mut container.ended };
                for sample in samples.iter().filter(|s| s.value == 1.0) {
                    said.say(sample.at_ms, reason.to_owned());
                }
            }
        }
        Some(())
    }

    /// Settles every fact. `until_ms` is the end of the slice.
    pub fn settle(&mut self, until_ms: i64) {
        let mut of_job: HashMap<Name, u64> = HashMap::new();
        for (namespace, pods) in std::mem::take(&mut self.gathered) {
            let mut settled: HashMap<String, Vec<PodObject>> = HashMap::new();
            for (name, mut gathered) in pods {
                gathered.sort_by(|a, b| a.object.uid.cmp(&b.object.uid));
                let ends = self.is_contested(Group::Ends, &namespace, &name);
                let mut objects: Vec<PodObject> = gathered.into_iter().map(|pod| pod.settled(until_ms, ends)).collect();
                // It is in the place of what was gathered, which is larger.
                objects.shrink_to_fit();
                // What is said without a uid is of the only pod of that name; of several it cannot be told of which.
                if objects.len() == 2 && objects[0].uid.is_none() {
                    let said = objects.remove(0);
                    objects[0].complete_with(said);
                }
                if self.pods_with_owner == 0 {
                    for object in objects.iter_mut().filter(|object| object.owner.is_none()) {
                        object.owner = self.job_of(&namespace, &name);
                    }
                }
                for (kind, job) in objects.iter().filter_map(|object| object.owner.as_ref()) {
                    if kind == "Job" {
                        *of_job.entry((namespace.clone(), job.clone())).or_default() += 1;
                    }
                }
                settled.insert(name, objects);
            }
            for object in settled.values_mut().flatten() {
                let job = object.owner.as_ref().filter(|(kind, _)| kind == "Job");
                let job = job.map(|(_, job)| (namespace.clone(), job.clone()));
                object.succeeded |= job.is_some_and(|job| {
                    let (pods, successes) = (of_job.get(&job), self.successes.get(&job));
                    successes.is_some_and(|successes| pods <= Some(successes))
                });
            }
            self.pods.insert(namespace, settled);
        }
    }

    /// The Job whose name a pod's begins with, before the pod's own five characters and, in an indexed Job, its number:
    /// where nobody tells of pods' owners.
    fn job_of(&self, namespace: &str, pod: &str) -> Option<(String, String)> {
        let (stem, _) = pod.rsplit_once('-').filter(|(_, own)| own.len() == 5)?;
        let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        let without_index = stem.rsplit_once('-').filter(|(_, index)| is_number(index)).map(|(job, _)| job);
        let is_known = |job: &&str| self.jobs.contains_key(&(namespace.to_owned(), (*job).to_owned()));
        [Some(stem), without_index].into_iter().flatten().find(is_known).map(|job| ("Job".to_owned(), job.to_owned()))
    }

    /// A Job that is complete has one success at least.
    fn take_success(&mut self, labels: &Labels, value: f64) {
        let condition = labels.get("condition").is_none_or(|condition| condition == "true");
        if let (Some(namespace), Some(job), true, true) =
            (get(labels, "namespace"), labels.get("job_name"), condition, value >= 1.0)
        {
            let known = self.successes.entry((namespace.to_owned(), job.to_owned())).or_default();
            *known = (*known).max(value as u64);
        }
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

    fn take_of_pod(&mut self, metric: &str, labels: &Labels, value: f64) -> Option<Agrees> {
        let milliseconds = (value > 0.0 && value < 1e11).then_some((value * 1000.0) as i64);
        let pod = self.pod(labels)?;
        let object = &mut pod.object;
        let mut agrees = Agrees::Yes;
        match metric {
            "kube_pod_labels" => {
                let found = prefixed(labels, "label_");
                let any = !found.is_empty();
                agrees = put(&mut object.labels, found);
                self.pods_with_labels += u64::from(any);
            }
            "kube_pod_annotations" => agrees = put(&mut object.annotations, prefixed(labels, "annotation_")),
            "kube_pod_owner" => {
                if let Some(said) = owner(labels) {
                    agrees = put(&mut object.owner, Some(said));
                }
                self.pods_with_owner += 1;
            }
            "kube_pod_start_time" => object.started_ms = object.started_ms.max(milliseconds),
            "kube_pod_completion_time" => object.completed_ms = object.completed_ms.max(milliseconds),
            "kube_pod_status_phase" if value == 1.0 => match get(labels, "phase")? {
                "Succeeded" => object.succeeded = true,
                "Failed" => object.failed = true,
                _ => {}
            },
            "kube_pod_status_reason" if value == 1.0 => object.evicted |= get(labels, "reason")? == "Evicted",
            _ if metric.ends_with("_resource_requests") || metric.ends_with("_resource_limits") => {
                let which = size_of(get(labels, "resource")?, metric.ends_with("limits"))?;
                let size = amount(which, value)?;
                let resources = &mut container(object, metric, labels)?.resources;
                agrees = put(sizes(resources)[which], Some(size));
            }
            _ if metric.contains("_status_last_terminated_") => {
                container(object, metric, labels)?;
                agrees = if metric.ends_with("exitcode") || value == 1.0 { Agrees::No } else { Agrees::Yes };
            }
            _ if metric.ends_with("_status_terminated_reason") && value == 1.0 => {
                container(object, metric, labels)?;
                let (name, reason) = (get(labels, "container")?, get(labels, "reason")?);
                match pod.reasons.get_mut(name) {
                    Some(known) => agrees = if known == reason { Agrees::Yes } else { Agrees::No },
                    None => {
                        pod.reasons.insert(name.to_owned(), reason.to_owned());
                    }
                }
            }
            _ => {}
        }
        Some(agrees)
    }

    /// The pod of that name; with a uid the one of that uid, without one the one that lived at the time, from first to
    /// last sample in milliseconds.
    pub fn find(&self, namespace: &str, pod: &str, uid: Option<&str>, seen: (i64, i64)) -> Option<&PodObject> {
        let pods = self.pods.get(namespace)?.get(pod)?;
        match uid {
            Some(uid) => {
                pods.iter().find(|p| p.uid.as_deref() == Some(uid)).or_else(|| pods.iter().find(|p| p.uid.is_none()))
            }
            None => pods.iter().max_by_key(|p| (shared_ms(p, seen), p.started_ms)),
        }
    }

    /// When pods of that name started, as far as it was told.
    pub fn starts_of(&self, namespace: &str, pod: &str) -> Vec<i64> {
        let pods = self.pods.get(namespace).and_then(|pods| pods.get(pod));
        pods.into_iter().flatten().filter_map(|pod| pod.started_ms).collect()
    }

    /// When pods started, ascending, of names that several had; before they are settled.
    pub fn starts_of_several(&self) -> HashMap<Name, Vec<i64>> {
        let names = self.gathered.iter().flat_map(|(ns, pods)| pods.iter().map(move |(name, all)| (ns, name, all)));
        let of_name = |(namespace, name, all): (&String, &String, &Vec<Gathered>)| {
            let mut starts: Vec<i64> = all.iter().filter_map(|pod| pod.object.started_ms).collect();
            starts.sort_unstable();
            starts.dedup();
            (starts.len() > 1).then(|| ((namespace.clone(), name.clone()), starts))
        };
        names.filter_map(of_name).collect()
    }

    /// All pods: namespace, name, what is known.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str, &PodObject)> {
        self.pods.iter().flat_map(|(namespace, pods)| {
            pods.iter().flat_map(move |(name, objects)| {
                objects.iter().map(move |object| (namespace.as_str(), name.as_str(), object))
            })
        })
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
        let settled: usize = self.pods.values().flat_map(HashMap::values).map(Vec::len).sum();
        settled + self.gathered.values().flat_map(HashMap::values).map(Vec::len).sum::<usize>()
    }

    /// Whether no pod was seen.
    pub fn is_empty(&self) -> bool {
        self.pods.is_empty() && self.gathered.is_empty()
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

/// Exit codes that a container can have.
const EXIT_CODES: std::ops::RangeInclusive<f64> = -255.0..=255.0;

/// The container that the series is of.
fn container<'a>(object: &'a mut PodObject, metric: &str, labels: &Labels) -> Option<&'a mut ContainerObject> {
    let name = get(labels, "container")?;
    if !object.containers.contains_key(name) {
        object.containers.insert(name.to_owned(), Box::default());
    }
    let container = object.containers.get_mut(name)?;
    container.is_init |= metric.starts_with("kube_pod_init_container");
    Some(container)
}

/// For how long a pod lived between two times, in milliseconds, as far as it is known; at least 1 where it may have.
fn shared_ms(pod: &PodObject, (first_ms, last_ms): (i64, i64)) -> i64 {
    let started_ms = pod.started_ms.unwrap_or(first_ms);
    let ended_ms = pod.completed_ms.filter(|end| *end >= started_ms).unwrap_or(i64::MAX);
    ended_ms.min(last_ms.saturating_add(1)).saturating_sub(started_ms.max(first_ms)).max(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Series = (&'static str, Labels, Vec<Sample>);

    fn series(metric: &'static str, labels: &[(&str, &str)], samples: impl IntoIterator<Item = (i64, f64)>) -> Series {
        let pod = [("namespace", "etl"), ("pod", "db-0")];
        let labels = pod.iter().chain(labels).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let samples = samples.into_iter().map(|(minute, value)| Sample { at_ms: minute * 60_000, value }).collect();
        (metric, Labels::new(labels), samples)
    }

    /// A pod that was resized and relabelled while kube-state-metrics moved, and was killed before; another pod of its
    /// name; and what an exporter without uids says.
    fn all() -> Vec<Series> {
        const LIMIT: &str = "kube_pod_container_resource_limits";
        const LAST: &str = "kube_pod_container_status_last_terminated_reason";
        let every = |from: i64, until: i64, value: f64| (from..until).step_by(10).map(move |at| (at, value));
        let of = |uid: &'static str, by: &'static str| [("uid", uid), ("instance", by), ("container", "main")];
        let memory = |uid, by| [&of(uid, by)[..], &[("resource", "memory")]].concat();
        vec![
            series(LIMIT, &memory("a", "10.0.0.9"), every(0, 500, 2e9)),
            series(LIMIT, &memory("a", "10.0.0.10"), every(500, 900, 4e9).chain(every(900, 1000, 3e9))),
            series(LIMIT, &memory("a", "10.0.0.7"), every(5, 95, 1e9)),
            series(LIMIT, &memory("b", "10.0.0.10"), every(1100, 1200, 5e9)),
            series(LAST, &[&of("a", "10.0.0.9")[..], &[("reason", "OOMKilled")]].concat(), every(200, 400, 1.0)),
            series(LAST, &[&of("a", "10.0.0.9")[..], &[("reason", "Error")]].concat(), every(100, 190, 1.0)),
            series(LAST, &[&of("a", "10.0.0.10")[..], &[("reason", "OOMKilled")]].concat(), every(500, 1000, 1.0)),
            series("kube_pod_labels", &[("uid", "a"), ("label_app", "old")], every(0, 400, 1.0)),
            series("kube_pod_labels", &[("uid", "a"), ("label_app", "new")], every(400, 1000, 1.0)),
            series("kube_pod_start_time", &[("uid", "a"), ("instance", "10.0.0.9")], every(0, 500, 60.0)),
            series("kube_pod_start_time", &[("uid", "b")], every(1100, 1200, 66_000.0)),
            series("kube_pod_status_phase", &[("phase", "Succeeded")], every(1150, 1200, 1.0)),
            series(
                "kube_pod_owner",
                &[("uid", "a"), ("owner_kind", "StatefulSet"), ("owner_name", "db")],
                every(0, 9, 1.0),
            ),
        ]
    }

    fn settled(series: &[Series], piece: usize) -> Vec<PodObject> {
        let mut objects = Objects::default();
        for (metric, labels, samples) in series {
            objects.take(metric, labels, samples.last().unwrap().value);
        }
        for (metric, labels, samples) in series {
            for piece in samples.chunks(piece) {
                objects.take_samples(metric, labels, piece);
            }
        }
        objects.settle(72_000_000);
        objects.iter().map(|(_, _, object)| object.clone()).collect()
    }

    #[test]
    fn the_newest_wins_and_what_held_before_is_kept() {
        let pods = settled(&all(), usize::MAX);
        let main = &pods.iter().find(|p| p.uid.as_deref() == Some("a")).unwrap().containers["main"];
        assert_eq!(main.resources.memory_limit_bytes, Some(3_000_000_000));
        let held: Vec<_> = main
            .held
            .iter()
            .map(|h| (h.until_ms / 60_000, h.resources.memory_limit_bytes.unwrap() / 1_000_000_000))
            .collect();
        assert_eq!(held.last(), Some(&(900, 4)), "{held:?}");
        assert!(held.contains(&(500, 2)), "{held:?}");
        let reasons: Vec<_> = main.last_ended.iter().map(|said| (said.from_ms / 60_000, said.value.as_str())).collect();
        assert_eq!(reasons, [(100, "Error"), (200, "OOMKilled")]);
        assert_eq!(pods.iter().map(|p| p.labels.get("app").map(String::as_str)).max(), Some(Some("new")));
    }

    proptest! {
        #[test]
        fn the_order_of_series_and_their_parts_does_not_matter(
            shuffled in Just(all()).prop_shuffle(),
            piece in 1_usize..60,
        ) {
            prop_assert_eq!(settled(&shuffled, piece), settled(&all(), usize::MAX));
        }
    }
}
