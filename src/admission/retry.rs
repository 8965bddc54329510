//! What a further try gets after a run of its workload was killed for memory: the next step of the ladder, at once,
//! until the recommendation itself has taken the kill in. Must not know how kills are seen; only ever raises.

use std::collections::BTreeMap;

use super::snapshot::Recommended;
use crate::fit::{ContainerResources, Pair, Resource};
use crate::policy::PodSpec;
use crate::quantity::Quantity;
use crate::recommendation::Kill;

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
        if recommended.is_some_and(|r| r.kills_until_ms >= kill.at.as_millisecond()) {
            continue;
        }
        let Some(container) = pod.containers().find(|container| container.name == *name) else { continue };
        let Ok(asked) = ContainerResources::of_container(container.json) else { continue };
        let planned = sizes.get(name).and_then(|size| size.memory_limit.or(size.memory_request));
        let wanted = kill.next_memory(planned, recommended.map_or(&[], |r| r.ladder(name)));
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
        let at = jiff::Timestamp::from_millisecond(7).unwrap();
        let kill = Kill { limit: quantity("2Gi"), lowered_from: None, at, pod: String::new() };
        let kills = [("main".to_owned(), kill.clone()), ("gone".to_owned(), kill)].into();
        let raised = raise(&mut sizes, Some(&kills), Some(&recommended), attempt, &pod);
        assert_eq!(sizes.get("main").and_then(|size| size.memory_limit), memory.map(quantity));
        assert_eq!(raised.get("main").copied(), (memory == Some("4Gi")).then(|| quantity("2Gi")));
        assert!(!sizes.contains_key("gone"));
    }
}
