//! A namespace with a history, a policy, and a running podfit that makes recommendations.

use std::sync::{Mutex, MutexGuard, PoisonError};

use podfit::controller::recommend::object;
use podfit::research::simulate::{Asks, Engine, MIB, Part, Platform, Schedule, ScrapeOptions, Usage, WorkloadModel};
use podfit::workload::Workload;
use serde_json::{Value, json};

use super::support::cluster::{Cluster, Namespace, cluster, until};
use super::support::prometheus_server::{PrometheusServer, skipped};
use super::support::webhook::{Setup, Webhook};

/// 2026-11-22T12:00:00Z
pub const NOON: i64 = 1_795_348_800_000;
pub const NOON_TEXT: &str = "2026-11-22T12:00:00Z";
pub const PODFIT: &str = "/apis/podfit.dev/v1alpha1";
/// What the workload of the history asks for, in MiB; it never uses more than a fifth of it.
pub const ASKED_MIB: u64 = 2048;

/// There is one policy in a cluster: whoever changes it is alone.
static POLICY: Mutex<()> = Mutex::new(());

/// The policy while a test holds it.
pub struct Policy {
    cluster: &'static Cluster,
    _turn: MutexGuard<'static, ()>,
}

impl Policy {
    /// The only policy, with this spec.
    pub fn hold(cluster: &'static Cluster, spec: &Value) -> Self {
        let turn = POLICY.lock().unwrap_or_else(PoisonError::into_inner);
        define(cluster);
        let policy = Self { cluster, _turn: turn };
        policy.set(spec);
        policy
    }

    /// Puts another spec in its place.
    pub fn set(&self, spec: &Value) {
        self.remove();
        let object = json!({"apiVersion": "podfit.dev/v1alpha1", "kind": "RightsizingPolicy",
            "metadata": {"name": "default"}, "spec": spec});
        self.cluster.create(&format!("{PODFIT}/rightsizingpolicies"), &object);
    }

    pub fn remove(&self) {
        let _ = self.cluster.request("DELETE", &format!("{PODFIT}/rightsizingpolicies/default"), None);
    }
}

impl Drop for Policy {
    fn drop(&mut self) {
        self.remove();
    }
}

/// Tells the cluster of podfit's kinds, as `podfit crds` prints them.
pub fn define(cluster: &Cluster) {
    const PATH: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    for definition in podfit::controller::crds::definitions() {
        let name = definition["metadata"]["name"].as_str().unwrap().to_owned();
        if cluster.request("GET", &format!("{PATH}/{name}"), None).is_err() {
            let _ = cluster.request("POST", PATH, Some(&definition));
        }
        until("the API server serves podfit's kinds", || {
            let stored = cluster.request("GET", &format!("{PATH}/{name}"), None).ok()?;
            let conditions = stored["status"]["conditions"].as_array()?.clone();
            conditions.iter().any(|c| c["type"] == "Established" && c["status"] == "True").then_some(())
        });
    }
    for plural in ["rightsizingpolicies", "recommendations"] {
        until("the API server lists podfit's kinds", || {
            cluster.request("GET", &format!("{PODFIT}/{plural}"), None).ok()
        });
    }
}

/// Twelve nightly runs of a CronJob, and a server that has them.
pub struct Scene {
    pub webhook: Webhook,
    /// Stopped by a test that does without.
    pub prometheus: Option<PrometheusServer>,
}

impl Scene {
    /// Starts everything; further arguments are for `podfit serve`.
    pub fn start(test: &str, arguments: &[&str]) -> Option<Self> {
        Self::start_with(test, arguments, |_| {})
    }

    /// The same in a namespace in which something was done before.
    pub fn start_with(test: &str, arguments: &[&str], prepare: impl FnOnce(&Namespace)) -> Option<Self> {
        let history = |namespace: &Namespace| {
            prepare(namespace);
            history(&namespace.name, test)
        };
        Self::start_on(test, arguments, history)
    }

    /// The same with another history of its namespace.
    pub fn start_on(
        test: &str,
        arguments: &[&str],
        history: impl FnOnce(&Namespace) -> Option<PrometheusServer>,
    ) -> Option<Self> {
        Self::start_in(cluster(test)?, arguments, history)
    }

    /// The same in a cluster of the test's own.
    pub fn start_in(
        cluster: &'static Cluster,
        arguments: &[&str],
        history: impl FnOnce(&Namespace) -> Option<PrometheusServer>,
    ) -> Option<Self> {
        define(cluster);
        let namespace = cluster.namespace("learned");
        let prometheus = history(&namespace)?;
        let mut all: Vec<String> =
            ["--watch-namespaces", "{namespace},{namespace}-gone", "--lease", "{namespace}/podfit"]
                .map(str::to_owned)
                .into();
        if !arguments.contains(&"--recommend-every") {
            all.extend(["--recommend-every", "1s"].map(str::to_owned));
        }
        all.extend(["--prometheus-url".to_owned(), prometheus.url(), "--at".to_owned(), NOON_TEXT.to_owned()]);
        all.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        let webhook = Webhook::start_in(namespace, &Setup { arguments: all, ..Setup::default() });
        Some(Self { webhook, prometheus: Some(prometheus) })
    }

    pub fn namespace(&self) -> &Namespace {
        &self.webhook.namespace
    }

    /// The object of the nightly CronJob, once it says something.
    pub fn recommendation(&self) -> Value {
        until("the recommendation of the CronJob", || {
            let found = self.namespace().find(PODFIT, "recommendations/cronjob.nightly")?;
            found["status"]["summary"]["memory"].is_string().then_some(found)
        })
    }

    /// The object, once a condition holds for it.
    pub fn recommendation_that(&self, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        until(what, || self.namespace().find(PODFIT, "recommendations/cronjob.nightly").filter(|found| holds(found)))
    }

    /// The memory limit in MiB that a new pod of the workload would get after all admission.
    pub fn next_limit_mib(&self) -> u64 {
        limit_mib(&self.next_pod(&Value::Null))
    }

    /// A new pod of the workload with these annotations, as it would be after all admission.
    pub fn next_pod(&self, annotations: &Value) -> Value {
        // A Job that makes no pods: what is asked is what would become of one.
        let job = self.namespace().find("/apis/batch/v1", "jobs/nightly-29000000");
        let job = job.unwrap_or_else(|| self.create_job("nightly-29000000", "run", true));
        let mut pod = pod();
        pod["metadata"] = json!({"generateName": "nightly-29000000-", "annotations": annotations, "ownerReferences": [{
            "apiVersion": "batch/v1", "kind": "Job", "name": "nightly-29000000", "uid": job["metadata"]["uid"],
            "controller": true}]});
        self.namespace().try_create("/api/v1", "pods", &pod).unwrap()
    }

    /// Waits until a new pod of the workload would get a limit that fits.
    pub fn until_next_limit(&self, what: &str, fits: impl Fn(u64) -> bool) -> u64 {
        until(what, || Some(self.next_limit_mib()).filter(|mib| fits(*mib)))
    }

    /// Runs a Job of the CronJob whose pods end as `outcome` says.
    pub fn run_job(&self, name: &str, outcome: &str) -> Value {
        self.create_job(name, outcome, false)
    }

    fn create_job(&self, name: &str, outcome: &str, suspend: bool) -> Value {
        let cron = self.namespace().find("/apis/batch/v1", "cronjobs/nightly").unwrap_or_else(|| {
            let template = json!({"spec": {"template": template("run")}});
            let spec = json!({"schedule": "0 0 1 1 *", "suspend": true, "jobTemplate": template});
            let object = json!({"metadata": {"name": "nightly"}, "spec": spec});
            self.namespace().create("/apis/batch/v1", "cronjobs", &object)
        });
        let owner = json!([{"apiVersion": "batch/v1", "kind": "CronJob", "name": "nightly",
            "uid": cron["metadata"]["uid"], "controller": true}]);
        let job = json!({"metadata": {"name": name, "ownerReferences": owner},
            "spec": {"backoffLimit": 4, "suspend": suspend, "template": template(outcome)}});
        self.namespace().create("/apis/batch/v1", "jobs", &job)
    }

    /// The pods of a Job, the oldest first.
    pub fn pods_of(&self, job: &str) -> Vec<Value> {
        let label = format!("pods?labelSelector=batch.kubernetes.io/job-name={job}");
        let mut pods = self.namespace().find("/api/v1", &label).unwrap()["items"].as_array().unwrap().clone();
        pods.sort_by_key(|pod| pod["metadata"]["creationTimestamp"].to_string());
        pods
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("podfit said:\n{}", self.webhook.serve.log());
        }
    }
}

fn template(outcome: &str) -> Value {
    let mut pod = pod();
    pod["metadata"] = json!({"annotations": {"podfit.test/outcome": outcome}});
    pod
}

pub fn pod() -> Value {
    let size = format!("{ASKED_MIB}Mi");
    json!({"spec": {"restartPolicy": "Never", "containers": [{
        "name": "main", "image": "registry.example/data/work:3.2.1",
        "securityContext": {"runAsUser": 1000, "runAsNonRoot": true},
        "resources": {"requests": {"cpu": "500m", "memory": size}, "limits": {"memory": size}},
    }]}})
}

/// Writes a recommendation for one container as podfit's own loop does.
pub fn recommend(namespace: &Namespace, workload: &str, container: &Value) {
    let workload = Workload::parse(&namespace.name, workload).unwrap();
    let stored = namespace.create(PODFIT, "recommendations", &object::identity(&workload));
    let name = stored["metadata"]["name"].as_str().unwrap();
    let path = format!("{PODFIT}/namespaces/{}/recommendations/{name}/status", namespace.name);
    namespace.cluster.request("PATCH", &path, Some(&json!({"status": {"containers": [container]}}))).unwrap();
}

/// The memory limit of a pod's first container, in MiB.
pub fn limit_mib(pod: &Value) -> u64 {
    let limit = pod["spec"]["containers"][0]["resources"]["limits"]["memory"].as_str().unwrap();
    limit.parse::<podfit::quantity::Quantity>().unwrap().bytes_rounded_up() / MIB
}

pub fn history(namespace: &str, test: &str) -> Option<PrometheusServer> {
    let usage = Usage::lively(1500.0, 0.2, 300 * MIB, 400 * MIB);
    let bytes = Some(ASKED_MIB * MIB);
    let asks = Asks {
        cpu_request_millis: Some(500),
        cpu_limit_millis: None,
        memory_request_bytes: bytes,
        memory_limit_bytes: bytes,
    };
    // The other namespace has been deleted since.
    let model = |namespace: &str| {
        let part = Part::new("main", "registry.example/data/work:3.2.1", usage, asks);
        let engine = Engine::CronJob { restart_in_place: false };
        WorkloadModel::new(namespace, "nightly", engine, Schedule::Nightly { hour: 2, minute: 0 }, vec![part])
    };
    let models = vec![model(namespace), model(&format!("{namespace}-gone"))];
    let scrape = ScrapeOptions { interval_ms: 60_000, state_interval_ms: 600_000, ..ScrapeOptions::default() };
    let simulation = Platform { days: 12, nodes: 1, models, scrape }.simulate(NOON, 3);
    let server = PrometheusServer::start_with_writer(|mut out| simulation.write_openmetrics(&mut out).unwrap(), &[]);
    if server.is_none() {
        skipped(test, "prometheus or promtool is not on PATH");
    }
    server
}
