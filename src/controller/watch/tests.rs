//! The index without a server: what is known after which events, and what is said.
#![allow(clippy::needless_pass_by_value)] // rstest hands its cases over

use std::sync::Arc;

use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::admission::{Recommended, Snapshot};
use crate::fit::Resource;
use crate::quantity::Quantity;
use crate::workload::Owner;

/// An index beside what it has published.
struct Watched {
    index: Index,
    known: Snapshot,
}

fn everywhere(kind: Kind) -> Source {
    Source { kind, namespace: None }
}

impl Watched {
    /// Everything has been listed, and there is nothing.
    fn empty() -> Self {
        let mut watched = Self { index: Index::new(Arc::default()), known: Snapshot::default() };
        for kind in Kind::SURROUNDINGS {
            watched.list(kind, []);
        }
        watched
    }

    fn list(&mut self, kind: Kind, objects: impl IntoIterator<Item = Value>) {
        let source = everywhere(kind);
        self.index.apply(&source, Event::Restarted).unwrap();
        for object in objects {
            let _ = self.index.apply(&source, Event::Applied(object));
        }
        self.index.apply(&source, Event::Listed).unwrap();
        self.publish();
    }

    fn put(&mut self, kind: Kind, object: Value) -> Option<String> {
        self.take(kind, Event::Applied(object))
    }

    fn take(&mut self, kind: Kind, event: Event) -> Option<String> {
        let unreadable = self.index.apply(&everywhere(kind), event).err().filter(|problem| problem.news);
        self.publish();
        unreadable.map(|problem| problem.to_string())
    }

    fn publish(&mut self) {
        self.index.publish(&mut self.known);
        assert!(!self.index.is_changed());
    }

    fn most(&self, namespace: &str) -> Option<Quantity> {
        self.known.namespaces.get(namespace)?.constraints.limit_ranges.container(Resource::Memory).max
    }

    fn uid_of(&self, job: &str) -> Option<&str> {
        let owners = &self.known.namespaces.get("etl")?.owners;
        owners.get(&Owner::new("Job", job)).map(|owned| owned.uid.as_str())
    }
}

fn limit_range(namespace: &str, name: &str, max: Value) -> Value {
    let limits = json!([{"type": "Container", "max": {"memory": max}}]);
    json!({"metadata": {"namespace": namespace, "name": name}, "spec": {"limits": limits}})
}

fn job(name: &str, uid: &str) -> Value {
    let owner = json!({"kind": "CronJob", "name": "nightly", "uid": "c", "controller": true});
    json!({"metadata": {"namespace": "etl", "name": name, "uid": uid, "ownerReferences": [owner]}})
}

fn node(name: &str, memory: &str) -> Value {
    json!({"metadata": {"name": name}, "status": {"allocatable": {"memory": memory, "cpu": "4"}, "images": []}})
}

fn quantity(text: &str) -> Option<Quantity> {
    text.parse().ok()
}

#[test]
fn limit_ranges_come_change_and_go() {
    let mut watched = Watched::empty();
    watched.put(Kind::LimitRange, limit_range("etl", "a", json!("8Gi")));
    assert_eq!(watched.most("etl"), quantity("8Gi"));
    watched.put(Kind::LimitRange, limit_range("etl", "b", json!("4Gi")));
    assert_eq!(watched.most("etl"), quantity("4Gi"), "the tightest of both");
    watched.put(Kind::LimitRange, limit_range("etl", "b", json!("6Gi")));
    assert_eq!(watched.most("etl"), quantity("6Gi"));
    watched.take(Kind::LimitRange, Event::Deleted(limit_range("etl", "b", json!("6Gi"))));
    assert_eq!(watched.most("etl"), quantity("8Gi"));
    watched.take(Kind::LimitRange, Event::Deleted(limit_range("etl", "a", json!("8Gi"))));
    assert!(watched.known.namespaces.is_empty(), "of a namespace without anything nothing is kept");
}

#[test]
fn what_vanished_while_nobody_watched_is_gone_after_the_next_list() {
    let mut watched = Watched::empty();
    watched.list(Kind::LimitRange, ["a", "b"].map(|name| limit_range("etl", name, json!("8Gi"))));
    watched.list(Kind::Job, [job("nightly-1", "u1"), job("nightly-2", "u2")]);
    watched.put(Kind::ReplicaSet, job("nightly-1", "replica-set"));
    watched.list(Kind::Node, [node("small", "8Gi"), node("large", "64Gi")]);
    assert_eq!(watched.known.elsewhere.largest_node_memory, quantity("64Gi"));

    watched.list(Kind::LimitRange, []);
    watched.list(Kind::Job, [job("nightly-2", "u2-again"), job("nightly-3", "u3")]);
    watched.list(Kind::Node, [node("small", "8Gi")]);
    assert_eq!(watched.most("etl"), None);
    assert_eq!(
        ["nightly-1", "nightly-2", "nightly-3"].map(|job| watched.uid_of(job)),
        [None, Some("u2-again"), Some("u3")]
    );
    let replica_set = Owner::new("ReplicaSet", "nightly-1");
    assert!(
        watched.known.namespaces["etl"].owners.get(&replica_set).is_some(),
        "another kind's list says nothing of it"
    );
    assert_eq!(watched.known.elsewhere.largest_node_memory, quantity("8Gi"));
}

#[test]
fn a_list_that_breaks_off_takes_nothing_away() {
    let mut watched = Watched::empty();
    watched.list(Kind::LimitRange, ["a", "b"].map(|name| limit_range(name, name, json!("8Gi"))));
    watched.take(Kind::LimitRange, Event::Restarted);
    watched.put(Kind::LimitRange, limit_range("a", "a", json!("4Gi")));
    // The connection breaks, and the next list is complete.
    assert_eq!([watched.most("a"), watched.most("b")], [quantity("4Gi"), quantity("8Gi")]);
    watched.list(Kind::LimitRange, [limit_range("b", "b", json!("8Gi"))]);
    assert_eq!([watched.most("a"), watched.most("b")], [None, quantity("8Gi")]);
}

#[test]
fn nothing_is_fitted_before_limit_ranges_are_known_and_nothing_raised_before_quotas_are() {
    let mut watched = Watched { index: Index::new(Arc::default()), known: Snapshot::default() };
    watched.publish();
    let bounds = |watched: &Watched| {
        let elsewhere = &watched.known.elsewhere;
        (elsewhere.limit_ranges.unreadable().map(str::to_owned), elsewhere.quotas.len())
    };
    assert_eq!(bounds(&watched), (Some("they are not read yet".to_owned()), 1));
    watched.take(Kind::LimitRange, Event::Refused);
    watched.list(Kind::ResourceQuota, []);
    assert_eq!(bounds(&watched), (Some("podfit may not list them".to_owned()), 0));
    watched.list(Kind::LimitRange, []);
    assert_eq!(bounds(&watched), (None, 0));
    watched.take(Kind::LimitRange, Event::Refused);
    assert_eq!(bounds(&watched), (None, 0), "what was read before stays in use");
}

#[test]
fn a_namespace_that_others_have_put_there_gets_what_holds_everywhere() {
    let mut watched = Watched::empty();
    let recommendations = &mut watched.known.namespace_mut("ml").recommendations;
    let workload = crate::workload::Workload::new("ml", crate::workload::Kind::Cronjob, ["train"]);
    Arc::make_mut(recommendations).insert(workload, Arc::new(Recommended::default()));
    watched.put(Kind::Node, node("n", "64Gi"));
    let ml = |watched: &Watched| watched.known.namespaces["ml"].constraints.largest_node_memory;
    assert_eq!(ml(&watched), quantity("64Gi"));
    watched.put(Kind::LimitRange, limit_range("ml", "a", json!("8Gi")));
    assert_eq!((ml(&watched), watched.most("ml")), (quantity("64Gi"), quantity("8Gi")));
    watched.take(Kind::LimitRange, Event::Deleted(limit_range("ml", "a", json!("8Gi"))));
    assert_eq!((ml(&watched), watched.most("ml")), (quantity("64Gi"), None));
    assert_eq!(watched.known.namespaces["ml"].recommendations.len(), 1, "what others know is left alone");
    assert_eq!(watched.known.namespace_mut("new").constraints.largest_node_memory, quantity("64Gi"));
}

#[test]
fn a_namespace_watched_by_name_is_known_by_itself() {
    let mut watched = Watched { index: Index::new(Arc::default()), known: Snapshot::default() };
    let source = |kind| Source { kind, namespace: Some("etl".to_owned()) };
    for kind in [Kind::LimitRange, Kind::ResourceQuota] {
        watched.index.apply(&source(kind), Event::Restarted).unwrap();
        watched.index.apply(&source(kind), Event::Listed).unwrap();
    }
    watched.publish();
    assert_eq!(watched.known.namespaces["etl"].constraints.limit_ranges.unreadable(), None);
    assert!(watched.known.elsewhere.limit_ranges.unreadable().is_some(), "nobody looks there");
    let job_elsewhere = Event::Applied(job("nightly-1", "u"));
    watched.index.apply(&Source { kind: Kind::Job, namespace: Some("other".to_owned()) }, job_elsewhere).unwrap();
    watched.index.apply(&source(Kind::Job), Event::Listed).unwrap();
    watched.publish();
    assert_eq!(watched.uid_of("nightly-1"), None, "the list of its namespace did not bring it");
}

#[rstest]
#[case(Kind::LimitRange, limit_range("etl", "odd", json!("lots")),
    "LimitRange odd of namespace \"etl\" cannot be read: odd: max memory: ")]
#[case(Kind::ResourceQuota, json!({"metadata": {"namespace": "etl", "name": "odd"}, "spec": {"hard": {"memory": "lots"}}}),
    "ResourceQuota odd of namespace \"etl\" cannot be read: memory: ")]
#[case(
    Kind::Node,
    node("odd", "lots"),
    "Node odd of namespace \"\" cannot be read: its allocatable cpu or memory is no quantity"
)]
#[case(Kind::Job, job("odd", ""), "Job odd of namespace \"etl\" cannot be read: it has no uid")]
#[case(Kind::Job, json!([]), "Job  of namespace \"\" cannot be read: it has no name")]
fn an_object_that_cannot_be_read_is_said_once_and_stops_nothing(
    #[case] kind: Kind,
    #[case] bad: Value,
    #[case] said: &str,
) {
    let mut watched = Watched::empty();
    let message = watched.put(kind, bad.clone()).unwrap();
    assert!(message.starts_with(said), "{message}");
    assert_eq!(watched.put(kind, bad), None, "it was said");
    watched.put(Kind::LimitRange, limit_range("etl", "good", json!("8Gi")));
    watched.put(Kind::Job, job("nightly-1", "u1"));
    watched.put(Kind::Node, node("good", "64Gi"));
    let etl = &watched.known.namespaces["etl"];
    assert_eq!((watched.uid_of("nightly-1"), etl.constraints.largest_node_memory), (Some("u1"), quantity("64Gi")));
    assert_eq!(etl.constraints.limit_ranges.unreadable().is_some(), kind == Kind::LimitRange);
    assert_eq!(etl.constraints.quotas.len(), usize::from(kind == Kind::ResourceQuota), "one that has no room");
}

#[test]
fn an_unreadable_limit_range_that_is_put_right_binds_again() {
    let mut watched = Watched::empty();
    watched.put(Kind::LimitRange, limit_range("etl", "a", json!("lots")));
    assert_eq!(watched.put(Kind::LimitRange, limit_range("etl", "a", json!("8Gi"))), None);
    assert_eq!(watched.known.namespaces["etl"].constraints.limit_ranges.unreadable(), None);
    assert!(watched.put(Kind::LimitRange, limit_range("etl", "a", json!("lots"))).is_some(), "it is news again");
}

#[test]
fn an_event_that_changes_nothing_that_counts_publishes_nothing() {
    let mut watched = Watched::empty();
    let objects = [
        (Kind::LimitRange, limit_range("etl", "a", json!("8Gi"))),
        (Kind::Node, node("n", "64Gi")),
        (Kind::Job, job("nightly-1", "u1")),
    ];
    for (kind, object) in objects {
        watched.put(kind, object.clone());
        let mut touched = object;
        touched["metadata"]["resourceVersion"] = json!("2");
        touched["metadata"]["annotations"] = json!({"a": "b"});
        watched.index.apply(&everywhere(kind), Event::Applied(touched)).unwrap();
        assert!(!watched.index.is_changed(), "{kind:?}");
    }
    let mut bare = job("bare", "u2");
    bare["metadata"].as_object_mut().unwrap().remove("ownerReferences");
    watched.index.apply(&everywhere(Kind::Job), Event::Applied(bare)).unwrap();
    assert!(!watched.index.is_changed(), "a Job that nobody owns");
}

#[test]
fn a_job_that_loses_its_owner_is_nobodys() {
    let mut watched = Watched::empty();
    watched.put(Kind::Job, job("nightly-1", "u1"));
    let mut orphan = job("nightly-1", "u1");
    orphan["metadata"]["ownerReferences"] = json!([]);
    watched.put(Kind::Job, orphan);
    assert_eq!(watched.uid_of("nightly-1"), None);
}

fn refusal(code: u16) -> kube::Error {
    let status = kube::core::Status { code, message: "nodes is forbidden".to_owned(), ..Default::default() };
    kube::Error::Api(Box::new(status))
}

#[test]
fn a_missing_right_is_said_with_what_to_grant_and_what_follows() {
    let nodes = everywhere(Kind::Node);
    let (refused, said) = problem(&nodes, &watcher::Error::InitialListFailed(refusal(403)), false);
    assert!(refused);
    assert_eq!(
        said,
        "podfit may not list nodes in the cluster (403): grant its service account the verbs list and watch on nodes \
         (core); until then sizes are not checked against the largest node"
    );
    let jobs = Source { kind: Kind::Job, namespace: Some("etl".to_owned()) };
    let (refused, said) = problem(&jobs, &watcher::Error::WatchStartFailed(refusal(403)), true);
    assert!(refused);
    assert_eq!(
        said,
        "podfit may not watch jobs in namespace etl (403): grant its service account the verbs list and watch on jobs \
         (batch); until then what was read before stays in use"
    );
    let (refused, said) = problem(&nodes, &watcher::Error::InitialListFailed(refusal(500)), false);
    assert!(!refused && said.starts_with("cannot list nodes in the cluster: "), "{said}");
}
