//! What a further try gets after a run of its workload was killed for memory: the next step of the ladder, at once,
//! until the recommendation itself has taken the kill in. Must not know how kills are seen; only ever raises.

use std::collections::{BTreeMap, HashMap};

use super::knowledge::Recommended;
use crate::fit::{ContainerResources, Pair, Resource};
use crate::policy::PodSpec;
use crate::quantity::Quantity;
use crate::sizing::ladder::next_after;
use crate::workload::Workload;

/// A container that was killed for memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kill {
    /// The limit that killed it.
    pub limit: Quantity,
    /// What it had before podfit lowered it, where podfit had.
    pub lowered_from: Option<Quantity>,
    /// When, in milliseconds since the epoch.
    pub at_ms: i64,
}

/// The newest kills of a namespace that no recommendation has taken in yet: by workload and container.
pub type Kills = HashMap<Workload, BTreeMap<String, Kill>>;

/// What to give a container of which a run was killed at a limit: what is planned for any run where that is a step up
/// (it was killed at less, for its input's size), else the next step of the ladder, else twice as much; and never less
/// than what it had before podfit lowered it.
pub fn next_memory(kill: &Kill, planned: Option<Quantity>, ladder: &[Quantity]) -> Quantity {
    let steps: Vec<u64> = planned.iter().chain(ladder).map(|step| step.bytes_rounded_up()).collect();
    let step = Quantity::from_bytes_mib_rounded_up(next_after(&steps, kill.limit.bytes_rounded_up(), None));
    kill.lowered_from.map_or(step, |before| step.max(before))
}

/// Raises what is recommended for the containers of a pod that were killed. `attempt` is the number of its try where
/// its engine tells: a first try is another unit of work, and gets what is recommended. Gives back, by container, the
/// limits that killed and that are answered here.
pub fn raise(
    sizes: &mut BTreeMap<String, ContainerResources>,
    kills: Option<&BTreeMap<String, Kill>>,
    recommended: Option<&Recommended>,
    attempt: Option<u32>,
    pod: &PodSpec<'_>,
) -> BTreeMap<String, Quantity> {
    let mut raised = BTreeMap::new();
    if attempt == Some(1) {
        return raised;
    }
    for (name, kill) in kills.into_iter().flatten() {
        if recommended.is_some_and(|r| r.kills_until_ms >= kill.at_ms) {
            continue;
        }
        let Some(container) = pod.containers().find(|container| container.name == *name) else { continue };
        let Ok(asked) = ContainerResources::of_container(container.json) else { continue };
        let planned = sizes.get(name).and_then(|size| size.memory_limit.or(size.memory_request));
        let wanted = next_memory(kill, planned, recommended.map_or(&[], |r| r.ladder(name)));
        // Without a recommendation the pod's own size is what is planned.
        if planned.or(asked.memory_limit).is_some_and(|planned| planned >= wanted) {
            continue;
        }
        let size = sizes.entry(name.clone()).or_default();
        size.set(Resource::Memory, Pair { request: Some(wanted), limit: Some(wanted) });
        raised.insert(name.clone(), kill.limit);
    }
    raised
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn quantity(text: &str) -> Quantity {
        text.parse().unwrap()
    }

    #[rstest]
    #[case::next_step("2Gi", None, &["3Gi", "6Gi"], "3Gi")]
    #[case::less_than_is_planned("1Gi", None, &["3Gi", "6Gi"], "2Gi")]
    #[case::second_step("3Gi", None, &["3Gi", "6Gi"], "6Gi")]
    #[case::beyond_the_ladder("6Gi", None, &["3Gi", "6Gi"], "12Gi")]
    #[case::no_ladder("2500Mi", None, &[], "5000Mi")]
    #[case::a_shrink_of_ours_is_taken_back("2Gi", Some("8Gi"), &["3Gi"], "8Gi")]
    #[case::what_it_had_before_was_less("2Gi", Some("2500Mi"), &["3Gi"], "3Gi")]
    fn the_next_try_gets_more(
        #[case] limit: &str,
        #[case] before: Option<&str>,
        #[case] ladder: &[&str],
        #[case] next: &str,
    ) {
        let kill = Kill { limit: quantity(limit), lowered_from: before.map(quantity), at_ms: 7 };
        let ladder: Vec<_> = ladder.iter().map(|step| quantity(step)).collect();
        assert_eq!(next_memory(&kill, Some(quantity("2Gi")), &ladder), quantity(next));
    }

    #[rstest]
    #[case::second_try(Some(2), Some("2Gi"), "2Gi", 0, Some("4Gi"))]
    #[case::engine_does_not_say(None, Some("2Gi"), "2Gi", 0, Some("4Gi"))]
    #[case::first_try_of_other_work(Some(1), Some("2Gi"), "2Gi", 0, Some("2Gi"))]
    #[case::already_in_the_recommendation(Some(2), Some("3Gi"), "2Gi", 7, Some("3Gi"))]
    #[case::more_is_recommended(Some(2), Some("5Gi"), "2Gi", 0, Some("5Gi"))]
    #[case::nothing_recommended(None, None, "2Gi", 0, Some("4Gi"))]
    #[case::nothing_recommended_and_its_author_has_raised_it(None, None, "8Gi", 0, None)]
    fn whoever_may_be_the_next_try_is_raised(
        #[case] attempt: Option<u32>,
        #[case] size: Option<&str>,
        #[case] asked: &str,
        #[case] kills_until_ms: i64,
        #[case] memory: Option<&str>,
    ) {
        let limits = json!({"limits": {"memory": asked}});
        let pod = json!({"spec": {"containers": [{"name": "main", "resources": limits}, {"name": "other"}]}});
        let pod = PodSpec::of_pod(&pod).unwrap();
        let recommended = Recommended { kills_until_ms, ..Recommended::default() };
        let of = |memory: &str| ContainerResources { memory_limit: Some(quantity(memory)), ..Default::default() };
        let mut sizes: BTreeMap<_, _> = size.map(|memory| ("main".to_owned(), of(memory))).into_iter().collect();
        let kill = Kill { limit: quantity("2Gi"), lowered_from: None, at_ms: 7 };
        let kills = [("main".to_owned(), kill), ("gone".to_owned(), kill)].into();
        let raised = raise(&mut sizes, Some(&kills), Some(&recommended), attempt, &pod);
        assert_eq!(sizes.get("main").and_then(|size| size.memory_limit), memory.map(quantity));
        assert_eq!(raised.get("main").copied(), (memory == Some("4Gi")).then(|| quantity("2Gi")));
        assert!(!sizes.contains_key("gone"));
    }
}
