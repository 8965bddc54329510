//! Pods of services at admission: sized where the policy says so, and in no other case.

use std::sync::Arc;

use rstest::rstest;
use serde_json::json;

use super::answer::{Entry, Outcome};
use super::answer_tests::{JOB_UID, create, known, ops, pod, replied, warnings};
use super::snapshot::Recommended;
use crate::policy::Services;
use crate::recommendation::Kill;
use crate::workload::{Kind, Workload};

/// A pod of a service is sized where the policy says so, and in no other case: not by its recommendation, not for a
/// kill.
#[rstest]
#[case::a_deployment(Kind::Deployment, false, Services::RecommendedOnly, false)]
#[case::a_deployment_by_policy(Kind::Deployment, false, Services::Sized, true)]
#[case::a_stateful_set(Kind::Statefulset, false, Services::RecommendedOnly, false)]
#[case::a_stateful_set_by_policy(Kind::Statefulset, false, Services::Sized, true)]
#[case::of_a_kind_that_nobody_knows_with_runs(Kind::Custom, false, Services::RecommendedOnly, true)]
#[case::of_a_kind_that_nobody_knows_with_days(Kind::Custom, true, Services::RecommendedOnly, false)]
#[case::that_by_policy(Kind::Custom, true, Services::Sized, true)]
fn services_are_sized_where_the_policy_says_so(
    #[case] kind: Kind,
    #[case] is_service: bool,
    #[case] services: Services,
    #[case] sized: bool,
    #[values(false, true)] was_killed: bool,
) {
    let (owner, names): (_, &[&str]) = match kind {
        Kind::Deployment => ("ReplicaSet", &["api"]),
        Kind::Statefulset => ("StatefulSet", &["api-5d"]),
        _ => ("Rollout", &["rollout", "api-5d"]),
    };
    let mut pod = pod();
    pod["metadata"]["ownerReferences"] =
        json!([{"apiVersion": "apps/v1", "kind": owner, "name": "api-5d", "uid": JOB_UID, "controller": true}]);
    let mut known = known();
    known.services = services;
    let namespace = known.namespace_mut("sales");
    let size = serde_json::from_value(json!({"memoryRequest": "1Gi", "memoryLimit": "1Gi"})).unwrap();
    let containers = [("main".to_owned(), size)].into_iter().collect();
    let recommended = Recommended { id: "r9".to_owned(), containers, is_service, ..Recommended::default() };
    let workload = Workload::new("sales", kind, names);
    Arc::make_mut(&mut namespace.recommendations).insert(workload.clone(), Arc::new(recommended));
    if was_killed {
        let at = jiff::Timestamp::from_millisecond(1).unwrap();
        let kill = Kill { limit: "4Gi".parse().unwrap(), lowered_from: None, at, pod: String::new() };
        Arc::make_mut(&mut namespace.kills).insert(workload, [("main".to_owned(), kill)].into());
    }
    let (response, seen) = replied(Entry::Mutate, create(&pod), &known);
    if sized {
        assert_eq!(seen.outcome, Outcome::Resized);
        let memory = if was_killed { "8Gi" } else { "1Gi" };
        assert!(warnings(&response)[0].contains(&format!("memory 4Gi → {memory}")), "{response}");
        let set: Vec<String> = ops(&response).iter().map(|op| serde_json::to_string(op).unwrap()).collect();
        assert!(set.iter().any(|op| op.contains("podfit.dev/resized")), "{set:?}");
    } else {
        assert_eq!(seen.outcome, Outcome::Skipped("services-recommended-only"));
        let set = ops(&response).iter().map(|op| serde_json::to_string(op).unwrap()).collect::<String>();
        assert!(!set.contains("resources"), "{set}");
    }
}
