//! What a namespace's `LimitRanges` ask of containers and pods, merged to the tightest.
//! Must not guess at an object it cannot read: nothing is fitted then.

use serde_json::Value;

use super::{Pair, Resource};
use crate::policy::visitor::present;
use crate::quantity::Quantity;
use crate::text;

/// Bounds on one resource. `None` = not bounded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// Requests and limits are at least this.
    pub min: Option<Quantity>,
    /// Requests and limits are at most this, and a limit must be set.
    pub max: Option<Quantity>,
    /// A limit is at most so many times the request.
    pub max_ratio: Option<Quantity>,
    /// The limit that a container without one is given: `default`, else `max`.
    pub default_limit: Option<Quantity>,
    /// The request that a container without one is given: `defaultRequest`, else `default`, else `min`.
    pub default_request: Option<Quantity>,
}

impl Bounds {
    /// Which bound a value breaks.
    pub fn breach(&self, value: Quantity) -> Option<String> {
        match (self.min, self.max) {
            (Some(min), _) if value < min => Some(format!("{value} is below the LimitRange minimum {min}")),
            (_, Some(max)) if value > max => Some(format!("{value} is above the LimitRange maximum {max}")),
            _ => None,
        }
    }

    /// Which bound a request and limit break together; a missing one breaks none.
    pub fn pair_breach(&self, pair: Pair) -> Option<String> {
        let single = pair.request.into_iter().chain(pair.limit).find_map(|value| self.breach(value));
        single.or_else(|| {
            let (ratio, request, limit) = (self.max_ratio?, pair.request?, pair.limit?);
            let apart = !request.is_zero() && limit.divided_by(ratio) > request;
            apart.then(|| format!("limit {limit} is over {ratio} times the request {request} (LimitRange)"))
        })
    }

    fn tighten(&mut self, other: Self) {
        let least = |a: Option<Quantity>, b: Option<Quantity>| match (a, b) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        self.min = self.min.max(other.min);
        self.max = least(self.max, other.max);
        self.max_ratio = least(self.max_ratio, other.max_ratio);
        self.default_limit = least(self.default_limit, other.default_limit);
        self.default_request = least(self.default_request, other.default_request);
    }
}

/// The `LimitRanges` of a namespace. The default binds nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LimitRanges {
    container: [Bounds; 2],
    pod: [Bounds; 2],
    unreadable: Option<String>,
}

impl LimitRanges {
    /// Merges `LimitRange` objects as they came.
    pub fn of_objects<'a>(objects: impl IntoIterator<Item = &'a Value>) -> Self {
        let mut ranges = Self::default();
        for object in objects {
            if let Err(problem) = ranges.add(object) {
                let name = object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or("?");
                ranges.unreadable.get_or_insert(format!("{}: {problem}", text::name(name)));
            }
        }
        ranges
    }

    /// Of a namespace whose `LimitRanges` are not known, and why: nothing is fitted there.
    pub fn unknown(why: &str) -> Self {
        Self { unreadable: Some(text::clean(why)), ..Self::default() }
    }

    fn add(&mut self, object: &Value) -> Result<(), String> {
        let Some(limits) = object.get("spec").and_then(|spec| present(spec, "limits")) else { return Ok(()) };
        for item in limits.as_array().ok_or("/spec/limits should be a list")? {
            let target = match item.get("type").and_then(Value::as_str) {
                Some("Container") => &mut self.container,
                Some("Pod") => &mut self.pod,
                // Storage claims, and types yet to come, do not bind containers.
                _ => continue,
            };
            for resource in Resource::ALL {
                target[resource as usize].tighten(bounds(item, resource)?);
            }
        }
        Ok(())
    }

    /// Bounds on each container.
    pub const fn container(&self, resource: Resource) -> &Bounds {
        &self.container[resource as usize]
    }

    /// Bounds on the sum of a pod's containers.
    pub const fn pod(&self, resource: Resource) -> &Bounds {
        &self.pod[resource as usize]
    }

    /// The first object that could not be read, and why.
    pub fn unreadable(&self) -> Option<&str> {
        self.unreadable.as_deref()
    }
}

/// One item's bounds, with the API server's chain of defaults.
fn bounds(item: &Value, resource: Resource) -> Result<Bounds, String> {
    let read = |field: &str| -> Result<Option<Quantity>, String> {
        let value = present(item, field).and_then(|values| present(values, resource.as_str()));
        value.map(Quantity::from_json).transpose().map_err(|error| format!("{field} {resource}: {error}"))
    };
    let (min, max, max_ratio) = (read("min")?, read("max")?, read("maxLimitRequestRatio")?);
    let default_limit = read("default")?.or(max);
    let default_request = read("defaultRequest")?.or(default_limit).or(min);
    let of_container = item.get("type").and_then(Value::as_str) == Some("Container");
    let defaults = |value: Option<Quantity>| value.filter(|_| of_container);
    Ok(Bounds {
        min,
        max,
        max_ratio,
        default_limit: defaults(default_limit),
        default_request: defaults(default_request),
    })
}
