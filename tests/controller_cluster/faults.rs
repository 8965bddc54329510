//! Two replicas behind one Service while pods are created all the time: the leader goes, the CA changes, the API server
//! restarts, podfit's objects and their definitions are deleted and made again, the Prometheus stops. No call of the
//! API server to the webhook fails, only the leader writes, and pods are sized again afterwards. How long each took is
//! told.
//!
//! The pods are dry runs, which take the same way through admission. The webhook fails closed: a failed call would be a
//! refused pod.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use podfit::certs::authority::{CA_LIFE, LEAF_LIFE};
use podfit::certs::bundle::{Bundle, NEXT_PUBLISHED, PREVIOUS_UNTIL};
use podfit::certs::names::ServerNames;
use podfit::certs::rotation::{Lifetimes, Step};
use serde_json::{Value, json};

use super::scene::{ASKED_MIB, NOON_TEXT, PODFIT, define, history, limit_mib, pod};
use super::service::Service;
use super::support::cluster::{Cluster, Namespace, own_cluster, until};
use super::support::prometheus_server::PrometheusServer;
use super::support::webhook::{Serve, get};

const ADMISSION: &str = "/apis/admissionregistration.k8s.io/v1";
const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const SECRET: &str = "podfit-webhook-tls";
const CREATORS: usize = 2;
/// What an older release recommended, in MiB.
const OLDER_MIB: u64 = 777;
/// Pods that are to be created after something has happened.
const AFTER: usize = 20;

#[test]
fn no_call_fails_and_one_replica_writes_whatever_goes_and_comes_back() {
    let test = "no_call_fails_and_one_replica_writes_whatever_goes_and_comes_back";
    let Some(cluster) = own_cluster(test) else { return };
    let Some(mut site) = Site::start(cluster, test) else { return };
    let (mut a, b) = (site.replica("a"), site.replica("b"));
    site.register();
    site.until_sized("the first sizes");
    // Until the replicas' CA was in the configurations they could not be called.
    let before = site.failed_calls();
    site.begin_load();

    site.the_leader_goes(&mut a, &b);
    let c = site.replica("c");
    site.the_ca_changes(&[&b, &c]);
    site.no_call_failed(before);
    site.the_api_server_restarts(); // and counts from 0
    site.the_objects_are_deleted();
    site.the_definitions_are_deleted();
    site.end_load(); // what is frozen does not answer
    site.the_leader_is_frozen(&b, &c);
    site.begin_load();
    site.the_prometheus_stops(&[&b, &c]);

    site.end_load();
    site.no_call_failed(0.0);
    only_the_leader_has_written(cluster);
}

/// A cluster with two replicas and what they need.
struct Site {
    namespace: Namespace,
    prometheus: Option<PrometheusServer>,
    service: Service,
    dir: tempfile::TempDir,
    load: Option<Load>,
    /// What refused a pod.
    refusals: Arc<Mutex<Vec<String>>>,
    job: Value,
}

/// Threads that create pods.
struct Load {
    stop: Arc<AtomicBool>,
    created: Arc<AtomicUsize>,
    /// The newest pod's memory limit, in MiB.
    newest: Arc<AtomicU64>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Site {
    fn start(cluster: &'static Cluster, test: &str) -> Option<Self> {
        define(cluster);
        let (namespace, dir) = (cluster.namespace("faults"), tempfile::tempdir().unwrap());
        let prometheus = Some(history(&namespace.name, test)?);
        let spec = json!({"schedule": "0 0 1 1 *", "suspend": true,
            "jobTemplate": {"spec": {"template": never()}}});
        let cron =
            namespace.create("/apis/batch/v1", "cronjobs", &json!({"metadata": {"name": "nightly"}, "spec": spec}));
        let owner = json!([{"apiVersion": "batch/v1", "kind": "CronJob", "name": "nightly",
            "uid": cron["metadata"]["uid"], "controller": true}]);
        let job = json!({"metadata": {"name": "nightly-29000000", "ownerReferences": owner},
            "spec": {"suspend": true, "template": never()}});
        let job = namespace.create("/apis/batch/v1", "jobs", &job);
        let site =
            Self { namespace, prometheus, service: Service::start(), dir, load: None, refusals: Arc::default(), job };
        site.make_policy();
        site.store_a_ca_that_is_due();
        Some(site)
    }

    fn name(&self) -> String {
        format!("podfit-{}", self.namespace.name)
    }

    fn make_policy(&self) {
        let object = json!({"apiVersion": "podfit.dev/v1alpha1", "kind": "RightsizingPolicy",
            "metadata": {"name": "default"}, "spec": {"rollout": {"mode": "apply"}}});
        self.namespace.cluster.create(&format!("{PODFIT}/rightsizingpolicies"), &object);
    }

    /// One that is so old that podfit puts the next one beside it at once, and changes to it when that one has been in
    /// the webhook configurations for a day.
    fn store_a_ca_that_is_due(&self) {
        let names = ServerNames::of_service("podfit-webhook", &self.namespace.name).unwrap();
        let names = names.with_ip("127.0.0.1".parse().unwrap());
        let then = Timestamp::now() - (CA_LIFE - LEAF_LIFE);
        let mut bundle = Bundle::default();
        bundle.take(Step::StartOver, &names, &Lifetimes::default(), then).unwrap();
        let data: BTreeMap<String, String> =
            bundle.write().into_iter().map(|(key, value)| (key, STANDARD.encode(value))).collect();
        let secret = json!({"metadata": {"name": SECRET}, "type": "kubernetes.io/tls", "data": data});
        self.namespace.create("/api/v1", "secrets", &secret);
    }

    /// Starts a replica that has an account of its own, and lets it join the Service.
    fn replica(&self, name: &str) -> Serve {
        let all = json!([{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]);
        let kubeconfig: PathBuf = self.namespace.account(&format!("podfit-{name}"), &all, &all, self.dir.path());
        let of = |what: &str| format!("{}/{what}", self.namespace.name);
        let url = self.prometheus.as_ref().unwrap().url();
        let arguments = [
            ["--watch-namespaces", &self.namespace.name],
            ["--lease", &of("podfit")],
            ["--replica", name],
            ["--built-in-ca", &of(SECRET)],
            ["--webhook-configuration", &self.name()],
            ["--tls-ip", "127.0.0.1"],
            ["--recommend-every", "1s"],
            ["--prometheus-url", &url],
            ["--prometheus-retries", "0"],
            ["--at", NOON_TEXT],
            ["--drain-seconds", "2"],
        ];
        let arguments: Vec<String> = arguments.concat().into_iter().map(str::to_owned).collect();
        let begun = Instant::now();
        let serve = Serve::start(self.dir.path(), Some(&kubeconfig), &arguments);
        until("the replica is ready", || get(&serve.metrics_address, "/readyz"));
        eprintln!("replica {name} started → ready: {:?}", begun.elapsed());
        self.service.add(&serve.address, &serve.metrics_address);
        serve
    }

    /// Both entries, for the Service; replicas bring their CAs.
    fn register(&self) {
        let selector = json!({"matchExpressions": [
            {"key": "kubernetes.io/metadata.name", "operator": "In", "values": [self.namespace.name]}]});
        for (plural, path) in
            [("mutatingwebhookconfigurations", "mutate"), ("validatingwebhookconfigurations", "validate")]
        {
            let entry = json!({"name": format!("{path}.{}.podfit.dev", self.namespace.name),
                "admissionReviewVersions": ["v1"], "sideEffects": "None", "timeoutSeconds": 5, "failurePolicy": "Fail",
                "namespaceSelector": selector,
                "clientConfig": {"url": format!("https://{}/{path}", self.service.address), "caBundle": "Cg=="},
                "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}]});
            let object = json!({"metadata": {"name": self.name()}, "webhooks": [entry]});
            self.namespace.cluster.create(&format!("{ADMISSION}/{plural}"), &object);
        }
    }

    fn a_pod(&self) -> Value {
        let mut pod = pod();
        pod["metadata"] = json!({"generateName": "nightly-29000000-", "ownerReferences": [{"apiVersion": "batch/v1",
            "kind": "Job", "name": "nightly-29000000", "uid": self.job["metadata"]["uid"], "controller": true}]});
        pod
    }

    /// Until a pod is admitted with the recommended size; before the load begins, pods are asked for here.
    fn until_sized(&self, what: &str) {
        self.until_limit(what, |mib| mib < ASKED_MIB / 2);
    }

    fn until_limit(&self, what: &str, fits: impl Fn(u64) -> bool) {
        until(what, || {
            let mib = match &self.load {
                Some(load) => load.newest.load(Ordering::Relaxed),
                None => limit_mib(&self.namespace.try_create("/api/v1", "pods", &self.a_pod()).ok()?),
            };
            fits(mib).then_some(())
        });
    }

    fn begin_load(&mut self) {
        let (stop, created) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let newest = Arc::<AtomicU64>::default();
        let cluster = self.namespace.cluster;
        let path = format!("/api/v1/namespaces/{}/pods?dryRun=All", self.namespace.name);
        let threads = [(); CREATORS].map(|()| {
            let (stop, created, newest) = (Arc::clone(&stop), Arc::clone(&created), Arc::clone(&newest));
            let (refusals, path, pod) = (Arc::clone(&self.refusals), path.clone(), self.a_pod());
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    match cluster.try_request("POST", &path, Some(&pod)) {
                        Ok(pod) => {
                            newest.store(limit_mib(&pod), Ordering::Relaxed);
                            created.fetch_add(1, Ordering::Relaxed);
                        }
                        Err(kube::Error::Api(status)) => refusals.lock().unwrap().push(status.message.clone()),
                        // No API server: nothing is asked of anybody.
                        Err(_) => until("the API server", || cluster.is_ready().then_some(())),
                    }
                }
            })
        });
        self.load = Some(Load { stop, created, newest, threads: threads.into() });
        self.more_pods("the load");
    }

    fn more_pods(&self, what: &str) {
        let load = self.load.as_ref().unwrap();
        let enough = load.created.load(Ordering::Relaxed) + AFTER;
        until(&format!("pods after {what}"), || (load.created.load(Ordering::Relaxed) > enough).then_some(()));
    }

    fn end_load(&mut self) {
        let load = self.load.take().unwrap();
        load.stop.store(true, Ordering::Relaxed);
        for thread in load.threads {
            thread.join().unwrap();
        }
        eprintln!("pods created: {}", load.created.load(Ordering::Relaxed));
    }

    /// Failed calls to this webhook, by the API server's own count since its start.
    fn failed_calls(&self) -> f64 {
        let text = self.namespace.cluster.text("/metrics");
        let ours = |l: &&str| l.contains(&self.namespace.name);
        let asked = text.lines().filter(ours).any(|l| l.starts_with("apiserver_admission_webhook_request_total"));
        assert!(asked, "the API server does not count calls under this name");
        ["apiserver_admission_webhook_rejection_count", "apiserver_admission_webhook_fail_open_count"]
            .iter()
            .flat_map(|metric| text.lines().filter(ours).filter(move |l| l.starts_with(metric)))
            .filter_map(|l| l.rsplit_once(' ')?.1.parse::<f64>().ok())
            .sum()
    }

    /// By the word of those who created pods, and of the API server. `before` are those that failed before.
    fn no_call_failed(&self, before: f64) {
        let refusals = self.refusals.lock().unwrap().clone();
        let ours: Vec<&String> = refusals.iter().filter(|said| said.contains("webhook")).collect();
        assert!(ours.is_empty(), "{} refusals, the first: {}", ours.len(), ours[0]);
        assert_eq!(self.failed_calls() - before, 0.0);
    }

    /// By its own time, as an eviction or a rolling update ends it.
    fn the_leader_goes(&self, leader: &mut Serve, other: &Serve) {
        assert_eq!((metric(leader, "podfit_leader"), metric(other, "podfit_leader")), (1.0, 0.0));
        let begun = Instant::now();
        leader.signal("TERM");
        until("the other replica leads", || (metric(other, "podfit_leader") == 1.0).then_some(()));
        eprintln!("leader told to stop → the other leads: {:?}", begun.elapsed());
        leader.wait();
        self.more_pods("the leader's end");
        self.until_sized("sizes after the leader's end");
    }

    fn secret(&self, key: &str) -> Option<Vec<u8>> {
        let secret = self.namespace.find("/api/v1", &format!("secrets/{SECRET}"))?;
        STANDARD.decode(secret["data"][key].as_str()?).ok()
    }

    fn set_time(&self, key: &str, time: Timestamp) {
        let data = json!({"data": {key: STANDARD.encode(time.to_string())}});
        let path = format!("/api/v1/namespaces/{}/secrets/{SECRET}", self.namespace.name);
        self.namespace.cluster.request("PATCH", &path, Some(&data)).unwrap();
    }

    /// Until both configurations trust the CAs of the Secret, and these are so many.
    fn until_published(&self, authorities: usize) {
        until("the Secret's CAs in both configurations", || {
            let bundle = self.secret("ca.crt")?;
            let text = String::from_utf8(bundle.clone()).unwrap();
            let wanted = json!(STANDARD.encode(bundle));
            let is_out = |plural: &str| {
                let object = self.namespace.cluster.get(&format!("{ADMISSION}/{plural}/{}", self.name()));
                object["webhooks"][0]["clientConfig"]["caBundle"] == wanted
            };
            (text.matches("BEGIN CERTIFICATE").count() == authorities
                && is_out("mutatingwebhookconfigurations")
                && is_out("validatingwebhookconfigurations"))
            .then_some(())
        });
    }

    /// The change that is due, with the days of waiting in it taken as over.
    fn the_ca_changes(&self, replicas: &[&Serve]) {
        self.until_published(2);
        let loaded: Vec<f64> = replicas.iter().map(|replica| loaded_certificate(replica)).collect();
        let begun = Instant::now();
        self.set_time(NEXT_PUBLISHED, Timestamp::now() - SignedDuration::from_hours(25));
        for (replica, before) in replicas.iter().zip(loaded) {
            until("a certificate of the next CA is served", || (loaded_certificate(replica) > before).then_some(()));
        }
        eprintln!("CA change due → both serve certificates of the next CA: {:?}", begun.elapsed());
        self.more_pods("the change of CA");
        self.set_time(PREVIOUS_UNTIL, Timestamp::now() - SignedDuration::from_hours(1));
        self.until_published(1);
        eprintln!("→ the CA before it is trusted no more: {:?}", begun.elapsed());
        self.more_pods("the end of the CA before it");
    }

    fn the_api_server_restarts(&self) {
        let cluster = self.namespace.cluster;
        cluster.restart_api_server();
        let begun = Instant::now();
        self.more_pods("the API server's restart");
        eprintln!("API server ready → {AFTER} pods: {:?}", begun.elapsed());
        // That its words are heard again.
        let path = format!("{PODFIT}/rightsizingpolicies/default");
        let set = |word: &str| cluster.request("PATCH", &path, Some(&json!({"spec": {"resizing": word}}))).unwrap();
        set("stopped");
        self.until_limit("the kill switch after the restart", |mib| mib == ASKED_MIB);
        eprintln!("API server ready → a change of the policy is obeyed: {:?}", begun.elapsed());
        set("active");
        self.until_sized("sizes after the restart");
    }

    fn the_objects_are_deleted(&self) {
        let cluster = self.namespace.cluster;
        let begun = Instant::now();
        let path = format!("{PODFIT}/namespaces/{}/recommendations", self.namespace.name);
        cluster.request("DELETE", &path, None).unwrap();
        cluster.request("DELETE", &format!("{PODFIT}/rightsizingpolicies/default"), None).unwrap();
        self.until_limit("nothing allows sizes", |mib| mib == ASKED_MIB);
        let gone = Instant::now();
        self.make_policy();
        self.until_sized("sizes after the objects were deleted");
        eprintln!("objects deleted → not sized: {:?}; policy made again → sized: {:?}", gone - begun, gone.elapsed());
        self.more_pods("the objects' return");
    }

    fn the_definitions_are_deleted(&self) {
        let cluster = self.namespace.cluster;
        let begun = Instant::now();
        for definition in podfit::controller::crds::definitions() {
            let name = definition["metadata"]["name"].as_str().unwrap().to_owned();
            cluster.request("DELETE", &format!("{DEFINITIONS}/{name}"), None).unwrap();
            until("the definition is gone", || cluster.request("GET", &format!("{DEFINITIONS}/{name}"), None).err());
        }
        self.until_limit("no definitions, no sizes", |mib| mib == ASKED_MIB);
        let gone = Instant::now();
        self.more_pods("the definitions' end");
        let again = Instant::now();
        self.an_older_release_was_here();
        self.until_limit("sizes that an older release wrote", |mib| mib == OLDER_MIB);
        eprintln!("definitions deleted → not sized: {:?}; made again → sized: {:?}", gone - begun, again.elapsed());
        let upgraded = Instant::now();
        for definition in podfit::controller::crds::definitions() {
            let path = format!("{DEFINITIONS}/{}", definition["metadata"]["name"].as_str().unwrap());
            cluster.request("PATCH", &path, Some(&json!({"spec": definition["spec"]}))).unwrap();
        }
        until("the object says what this release says", || {
            let found = self.namespace.find(PODFIT, "recommendations/cronjob.nightly")?;
            found["status"]["containers"][0]["evidence"]["runs"].as_u64().filter(|runs| *runs > 0)
        });
        self.until_limit("sizes of this release", |mib| mib < ASKED_MIB / 2 && mib != OLDER_MIB);
        eprintln!("definitions upgraded → written by them: {:?}", upgraded.elapsed());
        self.more_pods("the definitions' return");
    }

    /// Definitions that lack what later ones have, and objects as far as they go.
    fn an_older_release_was_here(&self) {
        let cluster = self.namespace.cluster;
        for mut definition in podfit::controller::crds::definitions() {
            let schema = &mut definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"];
            for (place, later) in [
                (
                    "/status/properties/containers/items",
                    &["current", "evidence", "frozen", "kill", "memoryLadder", "notes"][..],
                ),
                ("/status", &["killsUntil", "lastRun", "summary"]),
                ("/spec", &["applications", "resizing"]),
            ] {
                let properties = schema.pointer_mut(&format!("{place}/properties"));
                let Some(Value::Object(properties)) = properties else { continue };
                properties.retain(|name, _| !later.contains(&name.as_str()));
            }
            definition["spec"]["versions"][0]["additionalPrinterColumns"] = json!([]);
            cluster.create(DEFINITIONS, &definition);
        }
        // Which waits until they are served.
        define(cluster);
        self.make_policy();
        let written = json!({"apiVersion": "podfit.dev/v1alpha1", "kind": "Recommendation",
            "metadata": {"name": "cronjob.nightly"}, "spec": {"workload": "cronjob/nightly"}});
        // A replica of today may have been quicker: then it has come as far as this with it.
        let path = format!("{PODFIT}/namespaces/{}/recommendations", self.namespace.name);
        let _ = cluster.request("POST", &path, Some(&written));
        let size = format!("{OLDER_MIB}Mi");
        let status = json!({"status": {"containers": [
            {"name": "main", "recommended": {"memoryRequest": size, "memoryLimit": size}}]}});
        cluster.request("PATCH", &format!("{path}/cronjob.nightly/status"), Some(&status)).unwrap();
    }

    /// For longer than the lease holds, and with something to write when it wakes.
    fn the_leader_is_frozen(&self, b: &Serve, c: &Serve) {
        let (leader, other) = if metric(b, "podfit_leader") == 1.0 { (b, c) } else { (c, b) };
        let begun = Instant::now();
        leader.signal("STOP");
        until("the other replica leads", || (metric(other, "podfit_leader") == 1.0).then_some(()));
        eprintln!("leader frozen → the other leads: {:?}", begun.elapsed());
        let path = format!("{PODFIT}/namespaces/{}/recommendations", self.namespace.name);
        self.namespace.cluster.request("DELETE", &path, None).unwrap();
        leader.signal("CONT");
        until("the one that was frozen knows", || (metric(leader, "podfit_leader") == 0.0).then_some(()));
        until("the recommendation is back", || self.namespace.find(PODFIT, "recommendations/cronjob.nightly"));
        assert_eq!(metric(other, "podfit_leader"), 1.0);
    }

    fn the_prometheus_stops(&mut self, replicas: &[&Serve]) {
        let failures =
            || replicas.iter().map(|replica| metric(replica, "podfit_recommend_failures_total")).sum::<f64>();
        let before = failures();
        self.prometheus = None;
        until("a cycle that failed", || (failures() > before).then_some(()));
        self.more_pods("the Prometheus's end");
        self.until_sized("sizes without a Prometheus");
        assert!(replicas.iter().all(|replica| get(&replica.metrics_address, "/readyz").is_some()));
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if let Some(load) = &self.load {
            load.stop.store(true, Ordering::Relaxed);
        }
    }
}

/// A pod template that no controller makes pods of.
fn never() -> Value {
    let mut template = pod();
    template["metadata"] = json!({});
    template
}

fn metric(serve: &Serve, name: &str) -> f64 {
    let metrics = get(&serve.metrics_address, "/metrics").unwrap_or_default();
    let line = metrics.lines().find(|line| line.starts_with(&format!("{name} ")));
    line.and_then(|line| line.rsplit_once(' ')?.1.parse().ok()).unwrap_or(-1.0)
}

fn loaded_certificate(serve: &Serve) -> f64 {
    metric(serve, "podfit_reload_last_success_timestamp_seconds{input=\"certificate\"}")
}

/// By the API server's audit log: whoever wrote a Recommendation had written the Lease last.
fn only_the_leader_has_written(cluster: &Cluster) {
    let log = cluster.audit_log();
    let text =
        |entry: &Value, pointer: &str| entry.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let done = log.iter().filter(|entry| entry["stage"] == "ResponseComplete");
    let done = done.filter(|entry| entry["responseStatus"]["code"].as_u64().is_some_and(|code| code < 300));
    let writes = done.filter(|entry| ["create", "update", "patch", "delete"].contains(&text(entry, "/verb").as_str()));
    let of = |resource: &str| {
        let resource = resource.to_owned();
        writes
            .clone()
            .filter(move |entry| text(entry, "/objectRef/resource") == resource)
            .map(|entry| {
                let times = ["/requestReceivedTimestamp", "/stageTimestamp"].map(|at| text(entry, at));
                (times.map(|at| at.parse::<Timestamp>().unwrap()), text(entry, "/user/username"))
            })
            .filter(|(_, user)| user.contains(":podfit-"))
            .collect::<Vec<_>>()
    };
    let leases = of("leases");
    let writes = of("recommendations");
    for ([received, _], user) in &writes {
        let holder = leases.iter().filter(|([_, stored], _)| stored <= received).max_by_key(|([_, stored], _)| *stored);
        let (_, holder) = holder.unwrap_or_else(|| panic!("{user} wrote at {received} before there was a lease"));
        assert_eq!(holder, user, "at {received}");
    }
    let mut writers: Vec<&String> = writes.iter().map(|(_, user)| user).collect();
    writers.sort();
    writers.dedup();
    assert!(writers.len() > 1, "only {writers:?} ever wrote: this shows nothing");
    eprintln!("{} writes of recommendations by {writers:?}, {} of the lease", writes.len(), leases.len());
}
