//! Fits the containers of one pod together: its `QoS` class, the `LimitRange` on its sum, the namespace's quotas.
//! Must not turn a pod that would run into one that would be refused: what does not fit stays as it was.

use std::collections::BTreeMap;

use super::resources::Part;
use super::{
    Adjustment, Cause, Constraints, ContainerResources, Fitted, Pair, QosClass, Resource, SizeRules, Skip, Totals, What,
};
use super::{container, quota};
use crate::policy::PodSpec;
use crate::policy::visitor::present;
use crate::quantity::Quantity;
use crate::workload::Kind;

/// Rounds of fitting after which a pod is left as it came.
const MAX_ROUNDS: usize = 4;

/// The sizes of a pod made right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodFitted {
    /// By name: every container for which something was wanted.
    pub containers: BTreeMap<String, Fitted>,
    /// Why the whole pod is left as it is.
    pub skipped: Option<Skip>,
    /// The class before.
    pub class_before: QosClass,
    /// The class with the sizes above.
    pub class_after: QosClass,
}

/// Fits what is wanted, by container name, into a pod as it came. Names that the pod has not are left out.
pub fn fit_pod(
    pod: &PodSpec<'_>,
    kind: Option<Kind>,
    wanted: &BTreeMap<String, ContainerResources>,
    constraints: &Constraints,
) -> PodFitted {
    let nothing = |skip| PodFitted {
        containers: BTreeMap::new(),
        skipped: Some(skip),
        class_before: QosClass::Burstable,
        class_after: QosClass::Burstable,
    };
    if present(pod.json(), "resources").is_some_and(|own| own.as_object().is_none_or(|own| !own.is_empty())) {
        return nothing(Skip::PodLevelResources);
    }
    settle(pod, kind, wanted, constraints).unwrap_or_else(nothing)
}

/// Fits until fitting again changes nothing: a new size may be of another class, for which other rules hold, and the
/// webhook may be asked again about its own answer.
fn settle(
    pod: &PodSpec<'_>,
    kind: Option<Kind>,
    wanted: &BTreeMap<String, ContainerResources>,
    constraints: &Constraints,
) -> Result<PodFitted, Skip> {
    let whole = Whole::read(pod, &BTreeMap::new())?;
    let original = whole.members.iter().map(|m| (m.name.to_owned(), m.current)).collect::<BTreeMap<_, _>>();
    let class_before = whole.class(false);
    let mut settled = whole.fit(kind, wanted, constraints)?;
    for _ in 0..MAX_ROUNDS {
        let again = Whole::read(pod, &settled.containers)?.fit(kind, wanted, constraints)?;
        let same = settled
            .containers
            .iter()
            .all(|(name, fitted)| again.containers.get(name).is_some_and(|again| again.resources == fitted.resources));
        if same {
            return Ok(PodFitted { class_before, ..settled });
        }
        settled = again;
    }
    let unchanged = |(name, _)| {
        let current = original.get(&name).copied().unwrap_or_default();
        (name, Fitted::unchanged(current, Some(Skip::Unsettled)))
    };
    let containers = settled.containers.into_iter().map(unchanged).collect();
    Ok(PodFitted { containers, skipped: None, class_before, class_after: class_before })
}

/// One container that can have resources.
struct Member<'a> {
    name: &'a str,
    json: &'a serde_json::Value,
    part: Part,
    current: ContainerResources,
    place: SizeRules,
    /// What is wanted and what came out.
    change: Option<(ContainerResources, Fitted)>,
}

impl Member<'_> {
    fn resources(&self) -> ContainerResources {
        self.change.as_ref().map_or(self.current, |(_, fitted)| fitted.resources)
    }

    /// Takes one resource back to what it was.
    fn revert(&mut self, resource: Resource, obstacle: &Obstacle) {
        let before = self.current.pair(resource);
        if let Some((_, fitted)) = &mut self.change
            && fitted.resources.pair(resource) != before
        {
            fitted.resources.set(resource, before);
            fitted.adjustments.push(Adjustment {
                what: What::Both(resource),
                cause: obstacle.cause,
                why: format!("left as it was: {}", obstacle.why),
            });
        }
    }
}

struct Whole<'a> {
    pod: PodSpec<'a>,
    members: Vec<Member<'a>>,
}

/// Why a pod as a whole may not have what its containers were given.
struct Obstacle {
    /// The most that the sum may be, where that helps.
    most: Option<Quantity>,
    cause: Cause,
    limit: bool,
    why: String,
}

impl<'a> Whole<'a> {
    /// The pod's containers; those that were fitted before, as they came out then.
    fn read(pod: &PodSpec<'a>, fitted: &BTreeMap<String, Fitted>) -> Result<Self, Skip> {
        let mut members = Vec::new();
        for container in pod.containers() {
            let Some(part) = Part::of(&container) else { continue };
            let current = ContainerResources::of_container(container.json).map_err(|mut unreadable| {
                unreadable.path.insert_str(0, &crate::text::clean(&container.path));
                unreadable
            })?;
            let (name, json) = (container.name, container.json);
            let current = fitted.get(name).map_or(current, |fitted| fitted.resources);
            members.push(Member { name, json, part, current, place: SizeRules::default(), change: None });
        }
        Ok(Self { pod: *pod, members })
    }

    fn fit(
        mut self,
        kind: Option<Kind>,
        wanted: &BTreeMap<String, ContainerResources>,
        constraints: &Constraints,
    ) -> Result<PodFitted, Skip> {
        let class_before = self.class(false);
        for member in &mut self.members {
            let Some(wanted) = wanted.get(member.name) else { continue };
            member.place = SizeRules::of(kind, member.json, class_before == QosClass::Guaranteed);
            let fitted = container::fit(&member.current, wanted, &member.place, constraints);
            member.change = Some((*wanted, fitted));
        }
        for resource in Resource::ALL {
            if let Some(obstacle) = self.obstacle(resource, class_before, constraints)? {
                let done = self.cap_the_only_growth(resource, &obstacle, constraints);
                if !done || self.obstacle(resource, class_before, constraints)?.is_some() {
                    self.members.iter_mut().for_each(|member| member.revert(resource, &obstacle));
                }
            }
        }
        let class_after = self.class(true);
        let containers = self.members.into_iter().filter_map(|m| Some((m.name.to_owned(), m.change?.1))).collect();
        Ok(PodFitted { containers, skipped: None, class_before, class_after })
    }

    fn class(&self, after: bool) -> QosClass {
        let sizes: Vec<_> = self.members.iter().map(|m| if after { m.resources() } else { m.current }).collect();
        QosClass::of(&sizes)
    }

    fn totals(&self, after: bool) -> Result<Totals, Skip> {
        let sizes: Vec<_> =
            self.members.iter().map(|m| (m.part, if after { m.resources() } else { m.current })).collect();
        Ok(Totals::of(&self.pod, &sizes)?)
    }

    fn obstacle(
        &self,
        resource: Resource,
        class_before: QosClass,
        constraints: &Constraints,
    ) -> Result<Option<Obstacle>, Skip> {
        let (before, after) = (self.totals(false)?, self.totals(true)?);
        if before.pair(resource) == after.pair(resource) {
            return Ok(None);
        }
        let bounds = constraints.limit_ranges.pod(resource);
        if let Some(why) = bounds.pair_breach(after.pair(resource)) {
            let limit = after.pair(resource).limit > bounds.max;
            return Ok(Some(Obstacle {
                most: bounds.max,
                limit,
                cause: Cause::LimitRange,
                why: format!("the pod as a whole: {why}"),
            }));
        }
        let after = (&after, self.class(true));
        let shortage = quota::shortage(&constraints.quotas, &self.pod, resource, (&before, class_before), after);
        Ok(shortage.map(|s| Obstacle { most: s.most, limit: s.limit, cause: Cause::Quota, why: s.why }))
    }

    /// Where one container alone grows, it takes what is left rather than nothing.
    fn cap_the_only_growth(&mut self, resource: Resource, obstacle: &Obstacle, constraints: &Constraints) -> bool {
        let Ok(totals) = self.totals(true) else { return false };
        let side = |pair: Pair| if obstacle.limit { pair.limit } else { pair.request };
        let (Some(most), Some(sum)) = (obstacle.most, side(totals.pair(resource))) else { return false };
        let excess = sum.minus(most);
        let mut growing =
            self.members.iter_mut().filter(|m| side(m.resources().pair(resource)) > side(m.current.pair(resource)));
        let (Some(member), None) = (growing.next(), growing.next()) else { return false };
        let Some((wanted, fitted)) = &mut member.change else { return false };
        let Some(target) = side(fitted.resources.pair(resource)).map(|value| floored(resource, value.minus(excess)))
        else {
            return false;
        };
        let before = member.current.pair(resource);
        if excess.is_zero() || side(before).is_some_and(|before| target <= before) || target.is_zero() {
            return false;
        }
        let pair = fitted.resources.pair(resource);
        // A request may stay under a lowered limit; a lowered request takes an equal limit with it.
        let limit = pair.limit.map(|limit| if obstacle.limit || pair.request == pair.limit { target } else { limit });
        let request = if obstacle.limit { pair.request.map(|request| request.min(target)) } else { Some(target) };
        let mut less = *wanted;
        less.set(resource, Pair { request, limit });
        let mut again = container::fit(&member.current, &less, &member.place, constraints);
        if again.skipped.is_some() {
            return false;
        }
        again.adjustments.push(Adjustment {
            what: What::Both(resource),
            cause: obstacle.cause,
            why: format!("held back: {}", obstacle.why),
        });
        *fitted = again;
        true
    }
}

/// Rounded down to what is handed out: whole MiB, thousandths of a CPU.
fn floored(resource: Resource, quantity: Quantity) -> Quantity {
    match resource {
        Resource::Cpu => Quantity::from_millis(
            quantity
                .millis_rounded_up()
                .saturating_sub(u64::from(Quantity::from_millis(quantity.millis_rounded_up()) > quantity)),
        ),
        Resource::Memory => Quantity::from_bytes_mib_rounded_up((quantity.bytes_rounded_up() >> 20) << 20),
    }
}
