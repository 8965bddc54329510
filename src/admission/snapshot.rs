//! What the webhook knows when a review comes in: policy, recommendations, what a namespace allows, who owns whom.
//! Must not know where that comes from; it is replaced as a whole, so that a decision reads it without a lock.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;

use super::owners::Owners;
use crate::fit::spark::Divided;
use crate::fit::{Constraints, ContainerResources};
use crate::policy::{
    Applications, Bounds, ExecutorHeaps, Modes, Policy, Resizing, Rollout, RolloutMode, Services, Settings,
};
use crate::quantity::Quantity;
use crate::recommendation::Kill;
use crate::sizing::InputSize;
use crate::workload::{IdentityRules, Workload, WorkloadKey};

/// What a workload's containers should ask for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recommended {
    /// Which recommendation, for the record on the pod.
    pub id: String,
    /// What the containers should ask for.
    pub containers: Sizes,
    /// What further tries get after a kill for memory, by container, rising.
    pub ladders: Vec<(Box<str>, Box<[Quantity]>)>,
    /// How the memory of Spark's containers is divided, by container.
    pub divided: Vec<(Box<str>, Divided)>,
    /// The containers of Flink's whose process size the JVMs have shown to be enough.
    pub proven_processes: Vec<Box<str>>,
    /// What is enough where a pod says how large its input is, by container.
    pub by_input: Vec<(Box<str>, Box<[InputSize]>)>,
    /// Its author or administrator has switched sizing off for the workload.
    pub is_opted_out: bool,
    /// It rests on days of a service, not on runs.
    pub is_service: bool,
    /// Runs that it rests on, or days of a service.
    pub runs: u64,
    /// Their highest memory peak; 0 = not known.
    pub peak_bytes: u64,
    /// Time of the newest kill for memory that it has taken in, in milliseconds since the epoch; 0 = of none.
    pub kills_until_ms: i64,
}

impl Recommended {
    /// What further tries of a container get; empty where nothing is known.
    pub fn ladder(&self, container: &str) -> &[Quantity] {
        self.ladders.iter().find(|(name, _)| **name == *container).map_or(&[], |(_, ladder)| ladder)
    }

    /// Memory of a container whose run has so large an input; `None` where that makes no difference.
    pub fn for_input(&self, container: &str, input_bytes: u64) -> Option<Quantity> {
        let (_, sizes) = self.by_input.iter().find(|(name, _)| **name == *container)?;
        let size = sizes.iter().find(|size| input_bytes <= size.up_to_input_bytes)?;
        Some(Quantity::from_bytes_mib_rounded_up(size.bytes))
    }

    /// Whether a process of Flink's may be made as small as it is recommended.
    pub fn is_proven_process(&self, container: &str) -> bool {
        self.proven_processes.iter().any(|name| **name == *container)
    }

    /// How the memory of a Spark container is divided, where that is known.
    pub fn divided(&self, container: &str) -> Option<Divided> {
        self.divided.iter().find(|(name, _)| **name == *container).map(|(_, divided)| *divided)
    }
}

/// Sizes by container name. A list, since most workloads have one container that counts: a map would take ten times
/// the memory, and there are many workloads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sizes(Vec<(Box<str>, ContainerResources)>);

impl Sizes {
    /// Adds a container; false, and nothing is changed, where it is there already.
    pub fn insert(&mut self, container: &str, size: ContainerResources) -> bool {
        match self.0.binary_search_by(|(name, _)| (**name).cmp(container)) {
            Ok(_) => false,
            Err(place) => {
                self.0.reserve_exact(1);
                self.0.insert(place, (container.into(), size));
                true
            }
        }
    }

    /// By name, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &ContainerResources)> {
        self.0.iter().map(|(name, size)| (&**name, size))
    }

    /// As a map, for looking up.
    pub fn to_map(&self) -> BTreeMap<String, ContainerResources> {
        self.iter().map(|(name, size)| (name.to_owned(), *size)).collect()
    }
}

impl FromIterator<(String, ContainerResources)> for Sizes {
    fn from_iter<I: IntoIterator<Item = (String, ContainerResources)>>(containers: I) -> Self {
        let mut sizes = Self::default();
        for (name, size) in containers {
            sizes.insert(&name, size);
        }
        sizes
    }
}

/// Recommendations of a namespace, by workload.
pub type Recommendations = HashMap<Workload, Arc<Recommended>>;

/// The kills of a namespace that no recommendation has taken in yet: by workload and container.
pub type Kills = HashMap<Workload, BTreeMap<String, Kill>>;

/// What is known of one namespace. Cheap to copy: each part is shared until it changes.
#[derive(Clone, Debug, Default)]
pub struct Namespace {
    /// What its pods must fit into.
    pub constraints: Arc<Constraints>,
    /// Who owns whom.
    pub owners: Arc<Owners>,
    /// What its workloads should ask for.
    pub recommendations: Arc<Recommendations>,
    /// Kills for memory that its recommendations may not have taken in yet.
    pub kills: Arc<Kills>,
}

impl Namespace {
    /// Whether there is nothing to size its pods by.
    pub fn has_no_recommendation(&self) -> bool {
        self.recommendations.is_empty() && self.kills.is_empty()
    }
}

/// The rules' settings, ready for use.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    settings: Settings,
    /// The modes of namespaces without settings of their own, which most are.
    elsewhere: Modes,
}

impl Rules {
    /// Prepares settings.
    pub fn new(settings: Settings) -> Self {
        let elsewhere = Settings { namespaces: Vec::new(), ..settings.clone() }.modes_for("");
        Self { settings, elsewhere }
    }

    /// The settings themselves.
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What a breach of each rule leads to in a namespace.
    pub fn modes(&self, namespace: &str) -> Cow<'_, Modes> {
        if self.settings.namespaces.is_empty() {
            Cow::Borrowed(&self.elsewhere)
        } else {
            Cow::Owned(self.settings.modes_for(namespace))
        }
    }
}

/// All that decisions are made from.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// The administrator's policy as a whole, where there is one; its parts, ready for use, are below.
    pub policy: Option<Arc<Policy>>,
    /// There is a newer one, which cannot be used.
    pub has_unusable_policy: bool,
    /// The rules as the administrator has set them.
    pub rules: Arc<Rules>,
    /// What no size may leave.
    pub bounds: Bounds,
    /// The user's own say in identity.
    pub identity: Arc<IdentityRules>,
    /// How far recommendations go.
    pub rollout: Arc<Rollout>,
    /// No pod is resized while this is set; rules hold all the same.
    pub resizing_stopped: bool,
    /// Whether applications are sized when they are created, not only their pods.
    pub applications: Applications,
    /// Whether executors of Spark get the heap that is recommended, where it is proven.
    pub executor_heaps: ExecutorHeaps,
    /// Whether services are sized, as jobs are.
    pub services: Services,
    /// What pods must fit into in a namespace that has no `LimitRange` and no quota of its own.
    pub elsewhere: Arc<Constraints>,
    /// By name. A namespace that is not here has no recommendations.
    pub namespaces: HashMap<String, Namespace>,
}

impl Snapshot {
    /// Puts a policy in force.
    pub fn set_policy(&mut self, policy: Policy) {
        self.resizing_stopped = policy.resizing == Resizing::Stopped;
        self.rollout = Arc::new(policy.rollout.clone());
        self.bounds = policy.bounds;
        self.applications = policy.applications;
        self.executor_heaps = policy.executor_heaps;
        self.services = policy.services;
        self.rules = Arc::new(Rules::new(policy.rules.clone()));
        self.policy = Some(Arc::new(policy));
    }

    /// No administrator has said anything: rules hold in their default modes, sizes are shown only.
    pub fn without_policy(&mut self) {
        self.set_policy(Policy::default());
        self.rollout = Arc::new(Rollout { mode: RolloutMode::Recommend, ..Rollout::default() });
        self.policy = None;
    }

    /// Which heap pods of a size have, as recommendations of a container were divided: totals and heaps, in MiB.
    pub fn heaps(&self, key: &WorkloadKey) -> Vec<(u64, u64)> {
        let recommended =
            self.namespaces.get(&key.workload.namespace).and_then(|n| n.recommendations.get(&key.workload));
        recommended.and_then(|r| r.divided(&key.container)).map(|divided| divided.sizes().to_vec()).unwrap_or_default()
    }

    /// A namespace to change, made where there is none.
    pub fn namespace_mut(&mut self, name: &str) -> &mut Namespace {
        // Looked up first: an owned key is only needed once.
        if !self.namespaces.contains_key(name) {
            let constraints = Arc::clone(&self.elsewhere);
            self.namespaces.insert(name.to_owned(), Namespace { constraints, ..Namespace::default() });
        }
        self.namespaces.entry(name.to_owned()).or_default()
    }
}

/// The place where the newest snapshot is found. Readers never wait; writers take turns.
#[derive(Debug, Default)]
pub struct SharedState {
    current: ArcSwap<Snapshot>,
    writing: Mutex<()>,
}

impl SharedState {
    /// Begins with this.
    pub fn new(snapshot: Snapshot) -> Self {
        Self { current: ArcSwap::from_pointee(snapshot), writing: Mutex::new(()) }
    }

    /// The newest.
    pub fn current(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// Publishes a changed copy. Gather changes and publish them together: a copy costs as much as there are
    /// namespaces.
    pub fn update(&self, change: impl FnOnce(&mut Snapshot)) {
        // Nothing is half-written when a writer panicked: the copy it made was never published.
        let _turn = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut snapshot = Snapshot::clone(&self.current.load());
        change(&mut snapshot);
        self.current.store(Arc::new(snapshot));
    }
}
