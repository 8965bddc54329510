//! What admission knows of a real cluster while it changes: a real API server, a real controller-manager.
//! Everything is looked for until it is there; nothing waits for a time.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail loudly in its helpers too")]

#[path = "support/mod.rs"]
mod support;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use podfit::admission::{Namespace as Known, Owned, SharedState};
use podfit::cluster::{Access, watch_client};
use podfit::controller::watch::{self, Kind, Scope, WatchStatus, Watched};
use podfit::fit::{LimitRanges, Quota, Resource};
use podfit::quantity::Quantity;
use podfit::workload::Owner;
use serde_json::{Value, json};
use support::cluster::{Namespace, cluster, until};
use tokio_util::sync::CancellationToken;

const CORE: &str = "/api/v1";
const BATCH: &str = "/apis/batch/v1";

/// Watches that run until this is dropped.
struct Watching {
    board: Arc<SharedState>,
    status: Arc<WatchStatus>,
    stop: CancellationToken,
    runtime: tokio::runtime::Runtime,
}

impl Watching {
    fn begin(kubeconfig: &Path, scope: Scope) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let access = Access { kubeconfig: Some(kubeconfig.to_owned()), context: None };
        let client = runtime.block_on(watch_client(&access)).unwrap();
        let (board, status) = (Arc::<SharedState>::default(), Arc::<WatchStatus>::default());
        let stop = CancellationToken::new();
        assert!(!status.is_ready());
        let (to, of, end) = (Arc::clone(&board), Arc::clone(&status), stop.clone());
        runtime.spawn(async move { watch::run(client, to, of, end, &Watched { scope, ..Watched::default() }).await });
        let watching = Self { board, status, stop, runtime };
        until("readiness", || watching.status.is_ready().then_some(()));
        watching
    }

    fn of(&self, namespace: &Namespace) -> Known {
        self.board.current().namespaces.get(&namespace.name).cloned().unwrap_or_default()
    }

    fn most(&self, namespace: &Namespace) -> Option<Quantity> {
        self.of(namespace).constraints.limit_ranges.container(Resource::Memory).max
    }

    fn until_most(&self, namespace: &Namespace, memory: Option<&str>) {
        let wanted = memory.map(|text| text.parse().unwrap());
        until(&format!("a LimitRange of {memory:?}"), || (self.most(namespace) == wanted).then_some(()));
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Rights to watch everything that admission wants to know.
fn watcher_rules() -> Value {
    let rule = |group: &str, resources: &[&str]| json!({"apiGroups": [group], "resources": resources, "verbs": ["list", "watch"]});
    json!([
        rule("", &["limitranges", "resourcequotas", "nodes"]),
        rule("batch", &["jobs"]),
        rule("apps", &["replicasets"]),
    ])
}

fn watcher(namespace: &Namespace, files: &Path) -> PathBuf {
    namespace.account("watcher", &json!([]), &watcher_rules(), files)
}

fn limit_range(max: &str) -> Value {
    json!({"metadata": {"name": "bounds"}, "spec": {"limits": [{"type": "Container", "max": {"memory": max}}]}})
}

fn change(namespace: &Namespace, method: &str, api: &str, rest: &str, body: Option<&Value>) {
    let path = format!("{api}/namespaces/{}/{rest}", namespace.name);
    namespace.cluster.request(method, &path, body).unwrap();
}

#[test]
fn a_limit_range_is_known_as_it_comes_changes_and_goes() {
    let Some(cluster) = cluster("a_limit_range_is_known_as_it_comes_changes_and_goes") else { return };
    let (namespace, files) = (cluster.namespace("watch"), tempfile::tempdir().unwrap());
    let watching = Watching::begin(&watcher(&namespace, files.path()), Scope::default());
    assert!(watching.status.problems().is_empty(), "{:?}", watching.status.problems());
    let memory = watching.board.current().elsewhere.largest_node_memory;
    assert!(memory >= "256Gi".parse().ok(), "kwok's node has 256Gi: {memory:?}");

    namespace.create(CORE, "limitranges", &limit_range("4Gi"));
    watching.until_most(&namespace, Some("4Gi"));
    assert_eq!(watching.of(&namespace).constraints.largest_node_memory, memory);
    change(&namespace, "PATCH", CORE, "limitranges/bounds", Some(&limit_range("2Gi")));
    watching.until_most(&namespace, Some("2Gi"));
    let stored = namespace.find(CORE, "limitranges/bounds").unwrap();
    assert_eq!(watching.of(&namespace).constraints.limit_ranges, LimitRanges::of_objects([&stored]));
    change(&namespace, "DELETE", CORE, "limitranges/bounds", None);
    watching.until_most(&namespace, None);
    let figures = watching.status.of(Kind::LimitRange);
    assert_eq!((figures.failures, figures.unreadable), (0, 0));
    assert!(figures.events >= 3 && figures.lists == 1, "{figures:?}");
}

#[test]
fn a_quota_is_known_as_pods_use_it_up() {
    let Some(cluster) = cluster("a_quota_is_known_as_pods_use_it_up") else { return };
    let (namespace, files) = (cluster.namespace("watch"), tempfile::tempdir().unwrap());
    let watching = Watching::begin(&watcher(&namespace, files.path()), Scope::default());
    let quota = json!({"metadata": {"name": "team"}, "spec": {"hard": {"requests.memory": "10Gi"}}});
    namespace.create(CORE, "resourcequotas", &quota);
    let until_used = |used: &str| {
        until(&format!("{used} of the quota used"), || {
            let stored = namespace.find(CORE, "resourcequotas/team")?;
            let counted = stored.pointer("/status/used")?.get("requests.memory")? == used;
            let known = watching.of(&namespace).constraints.quotas == [Quota::of_object(&stored).unwrap()];
            (counted && known).then_some(())
        });
    };
    until_used("0");
    for (name, used) in [("a", "1Gi"), ("b", "2Gi")] {
        let container = json!({"name": "main", "image": "a:1", "resources": {"requests": {"memory": "1Gi"}}});
        namespace.create(CORE, "pods", &json!({"metadata": {"name": name}, "spec": {"containers": [container]}}));
        until_used(used);
    }
    change(&namespace, "DELETE", CORE, "resourcequotas/team", None);
    until("no quota", || watching.of(&namespace).constraints.quotas.is_empty().then_some(()));
}

#[test]
fn the_job_that_a_cronjob_starts_is_known_by_uid_until_it_is_gone() {
    let Some(cluster) = cluster("the_job_that_a_cronjob_starts_is_known_by_uid_until_it_is_gone") else { return };
    let (namespace, files) = (cluster.namespace("watch"), tempfile::tempdir().unwrap());
    let watching = Watching::begin(&watcher(&namespace, files.path()), Scope::default());
    let template = json!({"spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "a:1"}]}});
    let spec = json!({"schedule": "0 * * * *", "suspend": true, "jobTemplate": {"spec": {"template": template}}});
    namespace.create(BATCH, "cronjobs", &json!({"metadata": {"name": "hourly"}, "spec": spec}));
    // It ran last long ago: the controller starts what it has missed at once, and nothing more within this hour.
    let status = json!({"status": {"lastScheduleTime": "2026-01-01T00:00:00Z"}});
    change(&namespace, "PATCH", BATCH, "cronjobs/hourly/status", Some(&status));
    change(&namespace, "PATCH", BATCH, "cronjobs/hourly", Some(&json!({"spec": {"suspend": false}})));
    let job = until("a Job of the CronJob", || namespace.list(BATCH, "jobs").pop());
    change(&namespace, "PATCH", BATCH, "cronjobs/hourly", Some(&json!({"spec": {"suspend": true}})));
    let name = job["metadata"]["name"].as_str().unwrap();
    let of = Owner::new("Job", name);
    let uid = job["metadata"]["uid"].as_str().unwrap().to_owned();
    let owned = until("the Job's owner", || watching.of(&namespace).owners.get(&of).cloned());
    assert_eq!(owned, Owned { uid, by: Owner::new("CronJob", "hourly") });
    change(&namespace, "DELETE", BATCH, &format!("jobs/{name}?propagationPolicy=Background"), None);
    until("no owner of the Job", || watching.of(&namespace).owners.get(&of).is_none().then_some(()));
}

#[test]
fn who_may_not_list_nodes_is_told_so_and_knows_the_rest() {
    let Some(cluster) = cluster("who_may_not_list_nodes_is_told_so_and_knows_the_rest") else { return };
    let (namespace, files) = (cluster.namespace("watch"), tempfile::tempdir().unwrap());
    // A Role gives nothing outside of its namespace, and nodes are outside of every namespace.
    let account = namespace.account("restricted", &watcher_rules(), &json!([]), files.path());
    let watching = Watching::begin(&account, Scope { namespaces: vec![namespace.name.clone()], ..Scope::default() });
    assert_eq!(
        watching.status.problems(),
        [
            "podfit may not list nodes in the cluster (403): grant its service account the verbs list and watch on nodes \
          (core); until then sizes are not checked against the largest node"
        ]
    );
    namespace.create(CORE, "limitranges", &limit_range("4Gi"));
    watching.until_most(&namespace, Some("4Gi"));
    let constraints = watching.of(&namespace).constraints;
    assert_eq!((constraints.limit_ranges.unreadable(), constraints.largest_node_memory), (None, None));
    assert!(watching.board.current().elsewhere.limit_ranges.unreadable().is_some(), "other namespaces are not watched");

    namespace.account("granted", &json!([]), &watcher_rules(), files.path());
    let role = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": format!("{}-granted", namespace.name)});
    let subject = json!({"kind": "ServiceAccount", "name": "restricted", "namespace": namespace.name});
    let name = format!("{}-late", namespace.name);
    let binding = json!({"metadata": {"name": name}, "subjects": [subject], "roleRef": role});
    cluster.create("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", &binding);
    until("the largest node", || watching.of(&namespace).constraints.largest_node_memory);
    until("no problem", || watching.status.problems().is_empty().then_some(()));
    assert_eq!(watching.most(&namespace), "4Gi".parse().ok());
}

#[test]
fn while_the_api_server_is_away_the_last_that_was_known_stays() {
    let Some(cluster) = cluster("while_the_api_server_is_away_the_last_that_was_known_stays") else { return };
    let (namespace, files) = (cluster.namespace("watch"), tempfile::tempdir().unwrap());
    let account = watcher(&namespace, files.path());
    let mut config: Value = serde_json::from_str(&std::fs::read_to_string(&account).unwrap()).unwrap();
    let server = config["clusters"][0]["cluster"]["server"].as_str().unwrap();
    let relays = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let mut relay = Relay::begin(&relays, server.trim_start_matches("https://").parse().unwrap());
    config["clusters"][0]["cluster"]["server"] = json!(format!("https://{}", relay.at));
    std::fs::write(&account, config.to_string()).unwrap();
    namespace.create(CORE, "limitranges", &limit_range("4Gi"));
    let watching = Watching::begin(&account, Scope::default());
    assert_eq!(watching.most(&namespace), "4Gi".parse().ok());

    relay.cut(&relays);
    until("5 watches with problems", || (watching.status.problems().len() == 5).then_some(()));
    let problem = watching.status.problems().remove(0);
    assert!(problem.ends_with("until it works again what was read before stays in use"), "{problem}");
    let since = watching.status.of(Kind::LimitRange).since_contact;
    change(&namespace, "PATCH", CORE, "limitranges/bounds", Some(&limit_range("2Gi")));
    until("silence", || (watching.status.of(Kind::LimitRange).since_contact > since).then_some(()));
    assert_eq!((watching.most(&namespace), watching.status.is_ready()), ("4Gi".parse().ok(), true));

    relay.restore(&relays);
    watching.until_most(&namespace, Some("2Gi"));
    until("no problem", || watching.status.problems().is_empty().then_some(()));
    assert!(watching.runtime.metrics().num_alive_tasks() > 0);
}

/// A way to the API server that can be cut.
struct Relay {
    at: SocketAddr,
    to: SocketAddr,
    task: Option<tokio::task::JoinHandle<()>>,
}

impl Relay {
    fn begin(runtime: &tokio::runtime::Runtime, to: SocketAddr) -> Self {
        let mut relay = Self { at: ([127, 0, 0, 1], 0).into(), to, task: None };
        relay.restore(runtime);
        relay
    }

    fn restore(&mut self, runtime: &tokio::runtime::Runtime) {
        let listener = runtime.block_on(tokio::net::TcpListener::bind(self.at)).unwrap();
        (self.at, self.task) = (listener.local_addr().unwrap(), None);
        let to = self.to;
        self.task = Some(runtime.spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((mut from, _)) = listener.accept().await {
                connections.spawn(async move {
                    let mut to = tokio::net::TcpStream::connect(to).await.unwrap();
                    let _ = tokio::io::copy_bidirectional(&mut from, &mut to).await;
                });
            }
        }));
    }

    fn cut(&mut self, runtime: &tokio::runtime::Runtime) {
        let task = self.task.take().unwrap();
        task.abort();
        // Its connections end with it.
        let _ = runtime.block_on(task);
    }
}
