//! Fits one container: wanted values, bent as little as its engine, its pod's class and its namespace demand.
//! Must not look at the other containers; sums and quotas are the pod's business.

use super::{Adjustment, Cause, Constraints, ContainerResources, LimitRanges, Pair, Resource, SizeRules, Skip, What};
use crate::quantity::Quantity;

/// A size made right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fitted {
    /// What the container should have; its present values where nothing was wanted or nothing fits.
    pub resources: ContainerResources,
    /// Where and why that is not what was wanted.
    pub adjustments: Vec<Adjustment>,
    /// Why the container is left as it is.
    pub skipped: Option<Skip>,
}

impl Fitted {
    /// The container as it is.
    pub const fn unchanged(current: ContainerResources, skipped: Option<Skip>) -> Self {
        Self { resources: current, adjustments: Vec::new(), skipped }
    }
}

/// Fits `wanted` (`None` = leave as it is) into the constraints. Fitting what came out again changes nothing.
pub fn fit(
    current: &ContainerResources,
    wanted: &ContainerResources,
    place: &SizeRules,
    constraints: &Constraints,
) -> Fitted {
    if let Some(problem) = constraints.limit_ranges.unreadable() {
        return Fitted::unchanged(*current, Some(Skip::LimitRangeUnreadable(problem.to_owned())));
    }
    let mut fitted = Fitted::unchanged(*current, None);
    for resource in Resource::ALL {
        let mut fitting = Fitting::new(resource, current.pair(resource), wanted.pair(resource));
        match fitting.run(place, constraints) {
            Ok(()) => fitted.resources.set(resource, fitting.pair),
            Err(skip) => return Fitted::unchanged(*current, Some(skip)),
        }
        fitted.adjustments.append(&mut fitting.adjustments);
    }
    fitted
}

/// One resource under way.
struct Fitting {
    resource: Resource,
    current: Pair,
    wanted: Pair,
    pair: Pair,
    adjustments: Vec<Adjustment>,
}

impl Fitting {
    fn new(resource: Resource, current: Pair, wanted: Pair) -> Self {
        // Nobody can want less than nothing, and a limit of 0 is none.
        let request = wanted.request.filter(|request| !request.is_negative());
        let limit = wanted.limit.filter(|limit| *limit > Quantity::ZERO);
        let wanted =
            Pair { request: request.map(|q| rounded(resource, q)), limit: limit.map(|q| rounded(resource, q)) };
        Self { resource, current, wanted, pair: current, adjustments: Vec::new() }
    }

    fn run(&mut self, place: &SizeRules, constraints: &Constraints) -> Result<(), Skip> {
        if self.wanted == Pair::default() {
            return Ok(());
        }
        let limit = self.wanted.limit.or(self.current.limit);
        // Both or neither: a limit alone would become the request too.
        self.pair = Pair { request: self.wanted.request.or(self.current.request).or(limit), limit };
        if place.guaranteed {
            self.keep_guaranteed();
        }
        self.keep_engine(place);
        self.order();
        self.keep_node(constraints, place.guaranteed);
        self.keep_limit_range(&constraints.limit_ranges)?;
        if place.guaranteed {
            self.both_to_the_larger();
        }
        self.prove(place, constraints)
    }

    fn say(&mut self, what: What, cause: Cause, why: impl Into<String>) {
        self.adjustments.push(Adjustment { what, cause, why: why.into() });
    }

    fn set_request(&mut self, request: Quantity, cause: Cause, why: impl Into<String>) {
        if self.pair.request != Some(request) {
            self.pair.request = Some(request);
            self.say(What::Request(self.resource), cause, why);
        }
    }

    fn set_limit(&mut self, limit: Quantity, cause: Cause, why: impl Into<String>) {
        if self.pair.limit != Some(limit) {
            self.pair.limit = Some(limit);
            self.say(What::Limit(self.resource), cause, why);
        }
    }

    /// Request and limit stay equal; whole CPUs, which may be pinned to cores, stay whole.
    fn keep_guaranteed(&mut self) {
        let Pair { request, limit } = self.pair;
        let both = match self.wanted.limit {
            // An unmentioned CPU limit holds: lower would throttle. An unmentioned memory limit follows its request.
            None if self.resource == Resource::Cpu => limit,
            None => request,
            Some(_) => request.max(limit),
        };
        let Some(mut both) = both else { return };
        if self.resource == Resource::Cpu && self.current.limit.is_some_and(Quantity::is_whole) {
            both = both.rounded_up_to_units();
        }
        self.set_request(both, Cause::QosClass, "the pod is Guaranteed: the request stays equal to the limit");
        self.set_limit(both, Cause::QosClass, "the pod is Guaranteed: the limit stays equal to the request");
    }

    fn both_to_the_larger(&mut self) {
        if let Some(both) = self.pair.request.max(self.pair.limit) {
            self.set_request(both, Cause::QosClass, "the pod is Guaranteed: the request stays equal to the limit");
            self.set_limit(both, Cause::QosClass, "the pod is Guaranteed: the limit stays equal to the request");
        }
    }

    fn keep_engine(&mut self, place: &SizeRules) {
        let resource = self.resource;
        if resource == Resource::Cpu {
            if let (true, Some(had), Some(limit)) = (place.keep_cpu_limit, self.current.limit, self.pair.limit)
                && limit < had
            {
                self.set_limit(had, Cause::Engine, format!("kept at {had}: this engine's CPU limit is not lowered"));
            }
            return;
        }
        if self.current.limit.is_none() && self.pair.limit.is_some() && !place.memory.allows_new_limit() {
            self.pair.limit = None;
            self.say(What::Limit(resource), Cause::Engine, "none is set where there was none: the need is not known");
        }
        if let (Some(limit), Some((least, why))) = (self.pair.limit, place.memory.least(resource, self.current.limit)) {
            self.set_limit(limit.max(least), Cause::Engine, format!("kept at {least}: {why}"));
        }
        if let (Some(request), Some((least, why))) =
            (self.pair.request, place.memory.least(resource, self.current.effective_request()))
        {
            self.set_request(request.max(least), Cause::Engine, format!("kept at {least}: {why}"));
        }
    }

    /// The request is never above the limit: memory raises its limit, a CPU limit that was not to change holds.
    fn order(&mut self) {
        let (Some(request), Some(limit)) = (self.pair.request, self.pair.limit) else { return };
        if request <= limit {
            return;
        }
        if self.resource == Resource::Cpu && self.wanted.limit.is_none() {
            self.set_request(limit, Cause::OwnOrder, format!("held at the cpu limit {limit}"));
        } else {
            self.set_limit(request, Cause::OwnOrder, format!("raised to the {} request {request}", self.resource));
        }
    }

    /// No node can hold more; what the container already asks for stays.
    fn keep_node(&mut self, constraints: &Constraints, guaranteed: bool) {
        let (Some(most), Some(request)) = (constraints.largest_node(self.resource), self.pair.request) else { return };
        let most = most.max(self.current.effective_request().unwrap_or(most));
        if request <= most {
            return;
        }
        self.set_request(most, Cause::Node, format!("held at {most}, what the largest node can give"));
        // Where request and limit were to be one number, they stay so.
        let together = self.wanted.request.is_some() && self.wanted.request == self.wanted.limit;
        if self.pair.limit.is_some_and(|limit| limit == request) && (together || guaranteed) {
            self.set_limit(most, Cause::Node, format!("held at {most}, what the largest node can give"));
        }
    }

    fn keep_limit_range(&mut self, ranges: &LimitRanges) -> Result<(), Skip> {
        let bounds = ranges.container(self.resource);
        if let (Some(min), Some(max)) = (bounds.min, bounds.max)
            && min > max
        {
            let why = format!("LimitRange minimum {min} is above maximum {max}");
            return Err(Skip::Conflict { what: What::Both(self.resource), why });
        }
        if let (None, Some(default)) = (self.pair.limit, bounds.default_limit) {
            let limit = self.pair.request.map_or(default, |request| request.max(default));
            self.set_limit(limit, Cause::LimitRange, "set because a LimitRange would set a default");
        }
        if let Some(max) = bounds.max {
            for limit in [false, true] {
                self.bend(limit, |value| value.min(max), &format!("lowered to the LimitRange maximum {max}"));
            }
        }
        if let Some(min) = bounds.min {
            for limit in [false, true] {
                self.bend(limit, |value| value.max(min), &format!("raised to the LimitRange minimum {min}"));
            }
        }
        if let (Some(ratio), Some(limit), Some(request)) = (bounds.max_ratio, self.pair.limit, self.pair.request) {
            let least = rounded(self.resource, limit.divided_by(ratio)).min(limit);
            if request < least {
                self.set_request(
                    least,
                    Cause::LimitRange,
                    format!("raised: LimitRange allows a limit of {ratio} times the request"),
                );
            }
        }
        Ok(())
    }

    fn bend(&mut self, limit: bool, to: impl Fn(Quantity) -> Quantity, why: &str) {
        if limit {
            if let Some(value) = self.pair.limit {
                self.set_limit(to(value), Cause::LimitRange, why);
            }
        } else if let Some(value) = self.pair.request {
            self.set_request(to(value), Cause::LimitRange, why);
        }
    }

    /// What came out meets every demand, or nothing is changed.
    fn prove(&self, place: &SizeRules, constraints: &Constraints) -> Result<(), Skip> {
        let conflict = |what, why: String| Err(Skip::Conflict { what, why });
        let Pair { request, limit } = self.pair;
        if let (Some(request), Some(limit)) = (request, limit)
            && request > limit
        {
            return conflict(What::Both(self.resource), format!("request {request} would be above limit {limit}"));
        }
        let cases = [
            (What::Request(self.resource), request, self.current.effective_request()),
            (What::Limit(self.resource), limit, self.current.limit),
        ];
        for (what, value, current) in cases {
            let Some(value) = value else { continue };
            if let Some((least, why)) = place.memory.least(self.resource, current)
                && value < least
            {
                return conflict(what, format!("{value} is below {least}: {why}"));
            }
            let bounds = constraints.limit_ranges.container(self.resource);
            if let Some(why) = bounds.breach(value) {
                return conflict(what, why);
            }
        }
        Ok(())
    }
}

/// As Kubernetes stores it: CPU in thousandths; memory in MiB, unless it came in whole bytes as it is.
pub(super) fn rounded(resource: Resource, quantity: Quantity) -> Quantity {
    match resource {
        Resource::Cpu => quantity.rounded_up_to_millis(),
        Resource::Memory if quantity.is_whole() => quantity,
        Resource::Memory => Quantity::from_bytes_mib_rounded_up(quantity.bytes_rounded_up()),
    }
}
