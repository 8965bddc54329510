//! What the watches have seen of podfit's own objects and of pods: the policy, recommendations, kills for memory.
//! Must not know a server or a clock: events in, snapshot out.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use super::news::News;
use super::pods::Told;
use crate::admission::{Kills, Recommended, Sizes, Snapshot, id_of};
use crate::controller::crds::IN_FORCE;
use crate::controller::recommend::object::Recommendation;
use crate::fit::ContainerResources;
use crate::policy::Policy;
use crate::quantity::Quantity;
use crate::recommendation::status::{ContainerStatus, InputMemory};
use crate::recommendation::{Kill, KillSet};
use crate::sizing::InputSize;
use crate::workload::{Workload, WorkloadKey};

/// Most kills that are kept while no recommendation takes them in; the oldest go first.
const MAX_KILLS: usize = 10_000;

/// Policy, recommendations and kills, as seen so far.
#[derive(Debug, Default)]
pub(super) struct Own {
    policy: PolicySeen,
    has_unusable_policy: bool,
    recommendations: HashMap<String, BTreeMap<String, (Workload, Arc<Recommended>)>>,
    kills: HashMap<Workload, BTreeMap<String, KillSet>>,
    /// Kills that wait in objects for an answer: an object that is deleted must not take them along.
    in_objects: HashMap<Workload, BTreeMap<String, Kill>>,
    news: Vec<News>,
    told: Told,
    changed: HashSet<String>,
    changed_policy: bool,
}

#[derive(Debug, Default)]
enum PolicySeen {
    /// Nobody watches it: it comes from a file.
    #[default]
    Elsewhere,
    /// There is none.
    Missing,
    /// The one in force.
    Known(Box<Policy>),
}

/// What a `RightsizingPolicy` says.
///
/// # Errors
/// Why it cannot be used.
pub fn policy_of(object: &Value) -> Result<Policy, String> {
    let spec = object.get("spec").cloned().unwrap_or_default();
    let policy = Policy::deserialize(spec).map_err(|error| error.to_string())?;
    policy.validate().map_err(|error| error.to_string())?;
    Ok(policy)
}

impl Own {
    pub(super) fn is_changed(&self) -> bool {
        self.changed_policy || !self.changed.is_empty()
    }

    /// What was to be told since this was last called.
    pub(super) fn take_news(&mut self) -> Vec<News> {
        std::mem::take(&mut self.news)
    }

    /// All recommendations were listed.
    pub(super) fn recommendations_listed(&mut self) {
        self.news.push(News::Listed);
    }

    /// Namespaces in which something is known.
    pub(super) fn has(&self, namespace: &str) -> bool {
        self.recommendations.contains_key(namespace)
    }

    /// The policy is watched, and what there is of it has been listed.
    pub(super) fn policy_listed(&mut self) {
        if matches!(self.policy, PolicySeen::Elsewhere) {
            self.policy = PolicySeen::Missing;
            self.changed_policy = true;
        }
    }

    /// Takes in a policy; one that cannot be used leaves the one before in force, and says why not.
    pub(super) fn put_policy(&mut self, name: &str, object: &Value) -> Option<(String, &'static str)> {
        if name != IN_FORCE {
            return Some((format!("only the one named {IN_FORCE} is read"), "it is passed over"));
        }
        let policy = policy_of(object);
        self.policy_is_unusable(policy.is_err());
        match policy {
            Ok(policy) => {
                let same = matches!(&self.policy, PolicySeen::Known(known) if **known == policy);
                if !same {
                    self.policy = PolicySeen::Known(Box::new(policy));
                    self.changed_policy = true;
                }
                None
            }
            Err(why) => Some((why, "the policy before it stays in force")),
        }
    }

    pub(super) fn remove_policy(&mut self, name: &str) {
        if name == IN_FORCE {
            self.policy_is_unusable(false);
            self.policy = PolicySeen::Missing;
            self.changed_policy = true;
        }
    }

    fn policy_is_unusable(&mut self, is: bool) {
        self.changed_policy |= std::mem::replace(&mut self.has_unusable_policy, is) != is;
    }

    pub(super) fn policy_names(&self) -> Vec<String> {
        if matches!(self.policy, PolicySeen::Known(_)) { vec![IN_FORCE.to_owned()] } else { Vec::new() }
    }

    pub(super) fn put_recommendation(
        &mut self,
        namespace: &str,
        name: &str,
        object: &Value,
    ) -> Option<(String, &'static str)> {
        let read = match Recommendation::read(object) {
            Ok(read) => read,
            Err(why) => {
                self.remove_recommendation(namespace, name);
                return Some((why.to_string(), "it is passed over"));
            }
        };
        let recommended = packed(&read);
        // What it has taken in needs no answer of its own any more.
        if let (Some(kills), Some(until)) = (self.kills.get_mut(&read.workload), read.status.kills_until) {
            kills.retain(|_, kills| {
                kills.forget_until(until);
                !kills.is_empty()
            });
            if kills.is_empty() {
                self.kills.remove(&read.workload);
            }
            self.news.push(News::TakenIn(read.workload.clone(), until));
            self.changed.insert(namespace.to_owned());
        }
        self.note_kills_of(&read);
        let known = self.recommendations.entry(namespace.to_owned()).or_default();
        let before = known.get(name).filter(|(workload, _)| *workload == read.workload);
        if before.is_some_and(|(_, before)| before.is_opted_out != recommended.is_opted_out) {
            self.news.push(News::ToSayAgain(read.workload.clone(), BTreeMap::new()));
        }
        if known.get(name).is_none_or(|(workload, before)| (workload, &**before) != (&read.workload, &recommended)) {
            known.insert(name.to_owned(), (read.workload, Arc::new(recommended)));
            self.changed.insert(namespace.to_owned());
        }
        None
    }

    fn note_kills_of(&mut self, read: &Recommendation) {
        let kills = read.status.containers.iter().filter_map(|c| Some((c.name.clone(), c.kill.clone()?)));
        let kills: BTreeMap<String, Kill> = kills.collect();
        if kills.is_empty() {
            self.in_objects.remove(&read.workload);
        } else {
            self.in_objects.insert(read.workload.clone(), kills);
        }
    }

    /// Its kills go on waiting for an answer: here until another object has them.
    pub(super) fn remove_recommendation(&mut self, namespace: &str, name: &str) {
        let Some(known) = self.recommendations.get_mut(namespace) else { return };
        let removed = known.remove(name);
        if known.is_empty() {
            self.recommendations.remove(namespace);
        }
        let Some((workload, _)) = removed else { return };
        self.changed.insert(namespace.to_owned());
        let kills = self.in_objects.remove(&workload).unwrap_or_default();
        for (container, kill) in &kills {
            self.put_kill(&WorkloadKey { workload: workload.clone(), container: container.clone() }, kill);
        }
        self.news.push(News::ToSayAgain(workload, kills));
    }

    pub(super) fn recommendation_keys(&self) -> Vec<(String, String)> {
        let of = |(space, known): (&String, &BTreeMap<String, _>)| {
            known.keys().map(|name| (space.clone(), name.clone())).collect::<Vec<_>>()
        };
        self.recommendations.iter().flat_map(of).collect()
    }

    /// Takes in a kill that was seen on a pod, and tells of it where it is news.
    pub(super) fn see_kill(&mut self, key: WorkloadKey, kill: Kill, pod: &Value) {
        if !self.put_kill(&key, &kill) {
            return;
        }
        let of_pod = super::pods::killed(pod, &key, &kill, self.recommended(&key.workload));
        self.news.extend(of_pod.map(News::OfPod));
        self.news.push(News::Killed(key, kill));
    }

    /// Tells how a pod was resized, the first time that it is seen.
    pub(super) fn see_pod(&mut self, pod: &Value, workload: &Workload) {
        if self.told.knows(pod) {
            return;
        }
        let of_pod = super::pods::resized(pod, workload, self.recommended(workload));
        if let Some(of_pod) = of_pod {
            self.told.add(&of_pod);
            self.news.push(News::OfPod(of_pod));
        }
    }

    fn recommended(&self, workload: &Workload) -> Option<&Recommended> {
        let known = self.recommendations.get(&workload.namespace)?;
        known.values().find_map(|(of, recommended)| (of == workload).then_some(&**recommended))
    }

    fn put_kill(&mut self, key: &WorkloadKey, kill: &Kill) -> bool {
        let of = |(workload, r): &(Workload, Arc<Recommended>)| (*workload == key.workload).then_some(r.kills_until_ms);
        let recommended = self.recommendations.get(&key.workload.namespace);
        let until = recommended.and_then(|known| known.values().find_map(of));
        if until.is_some_and(|until| until >= kill.at.as_millisecond()) {
            return false;
        }
        let known = self.kills.entry(key.workload.clone()).or_default();
        if !known.entry(key.container.clone()).or_default().add(kill.clone()) {
            return false;
        }
        self.changed.insert(key.workload.namespace.clone());
        self.forget_oldest();
        true
    }

    fn forget_oldest(&mut self) {
        if self.kills.len() <= MAX_KILLS {
            return;
        }
        let newest = |kills: &BTreeMap<String, KillSet>| kills.values().filter_map(KillSet::newest).max();
        let oldest =
            self.kills.iter().min_by_key(|(workload, kills)| (newest(kills), *workload)).map(|(w, _)| w.clone());
        if let Some(workload) = oldest {
            self.kills.remove(&workload);
            self.changed.insert(workload.namespace);
        }
    }

    /// Brings the snapshot up to date.
    pub(super) fn publish(&mut self, snapshot: &mut Snapshot) {
        if std::mem::take(&mut self.changed_policy) {
            snapshot.has_unusable_policy = self.has_unusable_policy;
            match &self.policy {
                PolicySeen::Elsewhere => {}
                PolicySeen::Missing => snapshot.without_policy(),
                PolicySeen::Known(policy) => snapshot.set_policy((**policy).clone()),
            }
        }
        let changed: BTreeSet<String> = std::mem::take(&mut self.changed).into_iter().collect();
        for name in changed {
            let recommendations = self.recommendations.get(&name);
            let waiting = |(workload, kills): (&Workload, &BTreeMap<String, KillSet>)| {
                let by_container =
                    kills.iter().filter_map(|(container, set)| Some((container.clone(), set.after(None)?)));
                (workload.clone(), by_container.collect())
            };
            let kills: Kills = self.kills.iter().filter(|(w, _)| w.namespace == name).map(waiting).collect();
            let namespace = snapshot.namespace_mut(&name);
            if recommendations.is_some() || !namespace.recommendations.is_empty() {
                let map = recommendations.into_iter().flat_map(BTreeMap::values).cloned().collect();
                namespace.recommendations = Arc::new(map);
            }
            namespace.kills = Arc::new(kills);
        }
    }
}

/// What admission looks up.
fn packed(read: &Recommendation) -> Recommended {
    let sized = |c: &&ContainerStatus| c.recommended != ContainerResources::default();
    let containers: Sizes =
        read.status.containers.iter().filter(sized).map(|c| (c.name.clone(), c.recommended)).collect();
    let ladders = read.status.containers.iter().filter(|c| !c.memory_ladder.is_empty());
    let divided = |c: &ContainerStatus| Some((c.name.as_str().into(), c.spark?.divided()?));
    let divided: Vec<_> = read.status.containers.iter().filter_map(divided).collect();
    let proven = read.status.containers.iter().filter(|c| c.flink.is_some_and(|flink| flink.process_is_proven));
    let evidence = || read.status.containers.iter().filter_map(|c| c.evidence.as_ref());
    let by_input = |c: &ContainerStatus| {
        let size = |size: &InputMemory| InputSize {
            up_to_input_bytes: size.up_to_input.bytes_rounded_up(),
            bytes: size.memory.bytes_rounded_up(),
        };
        let sizes: Box<[InputSize]> = c.memory_by_input.iter().map(size).collect();
        (!sizes.is_empty()).then(|| (c.name.as_str().into(), sizes))
    };
    Recommended {
        by_input: read.status.containers.iter().filter_map(by_input).collect(),
        id: id_of(&containers, &divided),
        divided,
        proven_processes: proven.map(|c| c.name.as_str().into()).collect(),
        ladders: ladders.map(|c| (c.name.as_str().into(), c.memory_ladder.as_slice().into())).collect(),
        containers,
        is_opted_out: read.is_opted_out,
        is_service: read.status.containers.iter().any(|c| c.evidence.as_ref().is_some_and(|e| e.days.is_some())),
        runs: evidence().map(|e| e.days.unwrap_or(e.runs)).max().unwrap_or(0),
        peak_bytes: evidence().filter_map(|e| e.peak_max).max().map_or(0, Quantity::bytes_rounded_up),
        kills_until_ms: read.status.kills_until.map_or(0, jiff::Timestamp::as_millisecond),
    }
}
