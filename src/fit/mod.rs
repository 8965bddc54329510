//! Makes a size right for its constraints: engine, `LimitRange`, quota, `QoS` class, node.
//! Must not know where a size comes from, nor how it is applied; values in, values and reasons out.

mod constraints;
mod container;
mod engine;
pub mod flink;
mod heap;
pub mod limit_range;
mod pod;
pub mod quota;
mod resources;
pub mod spark;

pub use constraints::{Allocatable, Constraints};
pub use container::{Fitted, fit};
pub use engine::{EXECUTOR_HEAP, MemoryRule, SizeRules, spark_executor_heap};
pub use limit_range::{Bounds, LimitRanges};
pub use pod::{PodFitted, fit_pod};
pub use quota::{Quota, QuotaError};
pub use resources::{ContainerResources, Pair, QosClass, Resource, Totals, Unreadable};

use std::fmt;

use serde::Serialize;

/// One value that came out otherwise than wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adjustment {
    /// Which value.
    pub what: What,
    /// What stood in the way.
    pub cause: Cause,
    /// Why, in one line: `raised to the LimitRange minimum 64Mi`.
    pub why: String,
}

/// What stood in the way of a wanted value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// The pod's `QoS` class, which must stay.
    QosClass,
    /// The engine that makes the pod.
    Engine,
    /// The container's own request or limit, which must stay in order.
    OwnOrder,
    /// What the largest node can give.
    Node,
    /// A `LimitRange`.
    LimitRange,
    /// A `ResourceQuota`.
    Quota,
    /// Nothing of the pod can be changed.
    Skipped,
}

/// A value of a container's resources.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum What {
    /// A request.
    Request(Resource),
    /// A limit.
    Limit(Resource),
    /// Request and limit together.
    Both(Resource),
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request(resource) => write!(f, "{resource} request"),
            Self::Limit(resource) => write!(f, "{resource} limit"),
            Self::Both(resource) => write!(f, "{resource}"),
        }
    }
}

/// Why nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Skip {
    /// `spec.resources`: the sum of the containers is bounded by it.
    #[error("the pod sets resources at pod level")]
    PodLevelResources,
    /// A resource of the pod that is no quantity.
    #[error("{0}")]
    Unreadable(#[from] Unreadable),
    /// A `LimitRange` that cannot be read: what it asks for is not known.
    #[error("a LimitRange of the namespace cannot be read: {0}")]
    LimitRangeUnreadable(String),
    /// Fitting again and again gives other sizes each time.
    #[error("its demands contradict each other")]
    Unsettled,
    /// Two demands that no value meets.
    #[error("no {what} meets all bounds: {why}")]
    Conflict {
        /// Which value.
        what: What,
        /// Which demands.
        why: String,
    },
}

impl Skip {
    /// The reason in one word, for metrics.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::PodLevelResources => "pod-level-resources",
            Self::Unreadable(_) => "unreadable-resources",
            Self::LimitRangeUnreadable(_) => "unreadable-limit-range",
            Self::Unsettled => "unsettled",
            Self::Conflict { .. } => "conflicting-bounds",
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
