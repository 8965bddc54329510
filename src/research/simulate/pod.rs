//! The objects of the simulated cluster: pods with their containers' lives, and the Jobs and ReplicaSets above them.
//! Plain data; knows nothing of series or of how the objects came about.

use super::instance::Instance;
use super::model::{Asks, FlinkJvm};

/// A controller reference: kind and name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) kind: &'static str,
    pub(super) name: String,
}

/// Which kube-state-metrics family tells of a parent object's owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ParentKind {
    Job,
    ReplicaSet,
}

/// A Job or ReplicaSet between a pod and what the user wrote.
#[derive(Clone, Debug)]
pub(super) struct Parent {
    pub(super) kind: ParentKind,
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) owner: Option<Owner>,
    pub(super) created_ms: i64,
    /// When the last pod below it ended.
    pub(super) ended_ms: i64,
    pub(super) deleted_ms: Option<i64>,
}

/// One container of a pod with all its lives, in time order.
#[derive(Clone, Debug)]
pub(super) struct Container {
    pub(super) name: String,
    pub(super) image: String,
    pub(super) asks: Asks,
    /// The workload in its text form, without namespace.
    pub(super) workload: String,
    pub(super) instances: Vec<Instance>,
    pub(super) flink: Option<FlinkJvm>,
}

/// One pod. The first container is the one that does the work.
#[derive(Clone, Debug)]
pub(super) struct Pod {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) uid: String,
    pub(super) node: u32,
    /// Key of all random names of this pod.
    pub(super) key: u64,
    pub(super) created_ms: i64,
    /// `None` while it still exists at the end of the window.
    pub(super) deleted_ms: Option<i64>,
    pub(super) owner: Option<Owner>,
    pub(super) labels: Vec<(String, String)>,
    pub(super) annotations: Vec<(String, String)>,
    pub(super) containers: Vec<Container>,
    /// 1 for the first try of its unit of work.
    pub(super) attempt: u32,
    /// Which scheduled run of its model it belongs to.
    pub(super) unit: usize,
}

impl Pod {
    /// The last life of the working container.
    pub(super) fn last_instance(&self) -> Option<&Instance> {
        self.containers.first()?.instances.last()
    }

    /// When the last container ended.
    pub(super) fn end_ms(&self) -> i64 {
        self.containers.iter().filter_map(|c| c.instances.last()).map(|l| l.end_ms).max().unwrap_or(self.created_ms)
    }

    /// When the first container started.
    pub(super) fn start_ms(&self) -> i64 {
        self.containers.iter().filter_map(|c| c.instances.first()).map(|l| l.start_ms).min().unwrap_or(self.created_ms)
    }

    /// Ends the pod early because what it belongs to ended.
    pub(super) fn cut(&mut self, at_ms: i64) {
        for c in &mut self.containers {
            c.instances.retain(|l| l.start_ms < at_ms);
            if let Some(l) = c.instances.last_mut() {
                l.cut(at_ms);
            }
        }
    }
}
