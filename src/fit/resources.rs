//! What a container asks for, read from raw JSON, and what a pod's containers ask for together.
//! Must not touch other resources than cpu and memory: GPUs, hugepages and storage pass by unseen.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::policy::visitor::present;
use crate::policy::{Container, PodSpec, Range, Slot};
use crate::quantity::Quantity;
use crate::text;

/// The two resources that are sized.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Resource {
    /// Cores.
    Cpu,
    /// Bytes.
    Memory,
}

impl Resource {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Cpu, Self::Memory];

    /// Its key in `requests` and `limits`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Memory => "memory",
        }
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Request and limit of one resource.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pair {
    /// The request.
    pub request: Option<Quantity>,
    /// The limit.
    pub limit: Option<Quantity>,
}

impl Pair {
    /// The request in force: where only a limit is set, the API server copies it.
    pub fn effective_request(self) -> Option<Quantity> {
        self.request.or(self.limit)
    }

    /// Held within a range, of a container that has `current`. Where one of the two alone is set, either stands in for
    /// the other, so that they stay in order.
    #[must_use]
    pub fn within(self, range: &Range, current: Self) -> Self {
        let hold = |wanted: Option<Quantity>, current| wanted.map(|wanted| range.hold(wanted, current));
        Self {
            request: hold(self.request, current.effective_request()),
            limit: hold(self.limit, current.limit.or(current.request)),
        }
    }
}

/// Requests and limits of a container. `None` in what a container has = not set; in what is wanted = leave as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ContainerResources {
    /// CPU request, in cores.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_request: Option<Quantity>,
    /// CPU limit, in cores.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_limit: Option<Quantity>,
    /// Memory request, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_request: Option<Quantity>,
    /// Memory limit, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_limit: Option<Quantity>,
}

/// A resource of a container that is no quantity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path} cannot be read: {why}")]
pub struct Unreadable {
    /// JSON pointer inside the container.
    pub path: String,
    /// What is wrong.
    pub why: String,
}

impl ContainerResources {
    /// Reads `resources` of a container as it came.
    ///
    /// # Errors
    /// A cpu or memory value that is no quantity, or a section that is no object.
    pub fn of_container(container: &Value) -> Result<Self, Unreadable> {
        let mut read = Self::default();
        let Some(resources) = present(container, "resources") else { return Ok(read) };
        let odd = |path: String, why: &str| Unreadable { path: text::clean(&path), why: why.to_owned() };
        if !resources.is_object() {
            return Err(odd("/resources".to_owned(), "it should be an object"));
        }
        for section in ["requests", "limits"] {
            let Some(values) = present(resources, section) else { continue };
            if !values.is_object() {
                return Err(odd(format!("/resources/{section}"), "it should be an object"));
            }
            for resource in Resource::ALL {
                let Some(value) = present(values, resource.as_str()) else { continue };
                let quantity = Quantity::from_json(value)
                    .map_err(|error| odd(format!("/resources/{section}/{resource}"), &error.to_string()))?;
                *read.slot(resource, section == "limits") = Some(quantity);
            }
        }
        Ok(read)
    }

    /// Whether it says nothing at all.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    const fn slot(&mut self, resource: Resource, limit: bool) -> &mut Option<Quantity> {
        match (resource, limit) {
            (Resource::Cpu, false) => &mut self.cpu_request,
            (Resource::Cpu, true) => &mut self.cpu_limit,
            (Resource::Memory, false) => &mut self.memory_request,
            (Resource::Memory, true) => &mut self.memory_limit,
        }
    }

    /// Request and limit of one resource.
    pub const fn pair(&self, resource: Resource) -> Pair {
        match resource {
            Resource::Cpu => Pair { request: self.cpu_request, limit: self.cpu_limit },
            Resource::Memory => Pair { request: self.memory_request, limit: self.memory_limit },
        }
    }

    /// Sets request and limit of one resource.
    pub const fn set(&mut self, resource: Resource, pair: Pair) {
        *self.slot(resource, false) = pair.request;
        *self.slot(resource, true) = pair.limit;
    }

    /// Whether cpu and memory both have a limit, and requests are equal to it: what Guaranteed asks of a container.
    pub fn is_guaranteed(&self) -> bool {
        Resource::ALL.into_iter().all(|resource| {
            let pair = self.pair(resource);
            pair.limit.is_some_and(|limit| !limit.is_zero() && pair.effective_request() == Some(limit))
        })
    }

    fn is_best_effort(&self) -> bool {
        let set = |quantity: Option<Quantity>| quantity.is_some_and(|quantity| !quantity.is_zero());
        Resource::ALL.into_iter().all(|resource| {
            let pair = self.pair(resource);
            !set(pair.request) && !set(pair.limit)
        })
    }
}

/// The quality-of-service class of a pod, fixed for its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QosClass {
    /// Every container has limits equal to its requests.
    Guaranteed,
    /// Something is set.
    Burstable,
    /// Nothing is set.
    BestEffort,
}

impl QosClass {
    /// The class of a pod with these containers, init containers included.
    pub fn of<'a>(containers: impl IntoIterator<Item = &'a ContainerResources> + Clone) -> Self {
        if containers.clone().into_iter().all(ContainerResources::is_best_effort) {
            Self::BestEffort
        } else if containers.into_iter().all(ContainerResources::is_guaranteed) {
            Self::Guaranteed
        } else {
            Self::Burstable
        }
    }
}

impl fmt::Display for QosClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Guaranteed => "Guaranteed",
            Self::Burstable => "Burstable",
            Self::BestEffort => "BestEffort",
        })
    }
}

/// How a container counts in its pod's sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Runs alone before the others.
    Init,
    /// A native sidecar: an init container that keeps running.
    Sidecar,
    Main,
}

impl Part {
    /// `None` for ephemeral containers, which have no resources.
    pub(super) fn of(container: &Container<'_>) -> Option<Self> {
        match container.slot {
            Slot::Main => Some(Self::Main),
            Slot::Ephemeral => None,
            Slot::Init if container.json.get("restartPolicy").and_then(Value::as_str) == Some("Always") => {
                Some(Self::Sidecar)
            }
            Slot::Init => Some(Self::Init),
        }
    }
}

/// What a pod asks for as a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// CPU: requests and limits of its containers together; a container without one counts 0.
    pub cpu: Pair,
    /// Memory likewise.
    pub memory: Pair,
}

impl Totals {
    /// Request and limit of one resource.
    pub const fn pair(&self, resource: Resource) -> Pair {
        match resource {
            Resource::Cpu => self.cpu,
            Resource::Memory => self.memory,
        }
    }

    /// The larger of what runs together at any time: each plain init container with the sidecars started before it, or
    /// all sidecars and containers; plus the pod's overhead.
    pub(super) fn of(pod: &PodSpec<'_>, containers: &[(Part, ContainerResources)]) -> Result<Self, Unreadable> {
        let overhead = pod.json().get("overhead").unwrap_or(&Value::Null);
        let total = |resource: Resource| -> Result<Pair, Unreadable> {
            let extra = match present(overhead, resource.as_str()) {
                None => Quantity::ZERO,
                Some(value) => Quantity::from_json(value)
                    .map_err(|e| Unreadable { path: format!("/overhead/{resource}"), why: e.to_string() })?,
            };
            let request = together(containers, |c| c.pair(resource).effective_request());
            let limit = together(containers, |c| c.pair(resource).limit);
            // Overhead counts as a limit only where there is one.
            Ok(Pair {
                request: request.or((!extra.is_zero()).then_some(Quantity::ZERO)).map(|q| q.plus(extra)),
                limit: limit.map(|q| q.plus(extra)),
            })
        };
        Ok(Self { cpu: total(Resource::Cpu)?, memory: total(Resource::Memory)? })
    }
}

fn together(
    containers: &[(Part, ContainerResources)],
    value: impl Fn(&ContainerResources) -> Option<Quantity>,
) -> Option<Quantity> {
    let add = |sum: Option<Quantity>, more: Option<Quantity>| match (sum, more) {
        (Some(sum), Some(more)) => Some(sum.plus(more)),
        (sum, more) => sum.or(more),
    };
    let (mut running, mut starting) = (None, None);
    for (part, resources) in containers {
        let more = add(running, value(resources));
        match part {
            Part::Init => starting = starting.max(more),
            Part::Sidecar | Part::Main => running = more,
        }
    }
    running.max(starting)
}
