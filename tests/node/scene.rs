//! What runs on the node, and what podfit makes of it. All of it runs once for all tests of the process.

use std::ffi::OsStr;
use std::fmt;
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::{Value, json};

use super::objects;
use super::support::cli::podfit;
use super::support::cluster::{Cluster, Namespace, cluster_with_node, until, within};
use super::support::keeper::after_this_process;
use super::support::prometheus_server::{PrometheusServer, skipped};
use super::support::webhook::{Setup, Webhook};

pub const MIB: u64 = 1 << 20;
const BATCH: &str = "/apis/batch/v1";
const RUNS: usize = 4;
/// As the CronJob controller numbers its Jobs: by the minute.
const FIRST_RUN: usize = 29_000_000;
/// Counted from before a pod starts, which takes a minute where the node has one slow CPU.
const DEADLINE_SECONDS: u64 = 100;
/// They run for two minutes; a machine with more to do starts them slowly.
const PATIENCE: Duration = Duration::from_secs(600);

/// What a workload does, and its memory limit in MiB.
const WORK: [(&str, u64, &[&str]); 7] = [
    ("steady", 512, &["mem=90Mi", "cpu=0.05", "for=130s"]),
    ("late-peak", 512, &["mem=40Mi", "for=50s", "mem=200Mi", "for=2s"]),
    ("short", 256, &["mem=70Mi", "for=4s"]),
    ("tight", 64, &["mem=30Mi", "for=15s", "mem=100Mi", "for=30s"]),
    ("child", 64, &["mem=20Mi", "for=30s", "run=mem=200Mi", "for=90s"]),
    ("cache", 256, &["mem=40Mi", "for=10s", "file=300Mi", "for=110s"]),
    ("deadline", 128, &["mem=50Mi", "for=300s"]),
];

pub struct Scene {
    cluster: &'static Cluster,
    /// `host` or `uml`.
    pub kernel: &'static str,
    prometheus: PrometheusServer,
    namespace: Namespace,
    /// What came of all that runs, or why nothing did: one test that waits in vain is enough.
    answer: OnceLock<Result<Value, String>>,
}

/// A Job whose first try is killed.
pub struct Killed {
    pub name: &'static str,
    /// Which of its containers is killed: `main`, or `init` before it.
    pub container: &'static str,
    pub limit_mib: u64,
    /// What the container does.
    pub arguments: &'static [&'static str],
    /// What it is asked to be resized to while it runs.
    pub resized_to_mib: Option<u64>,
}

/// What became of it.
#[derive(Debug, PartialEq, Eq)]
pub struct TriedAgain {
    /// The limit in the spec of the try that was killed.
    pub asked_mib: u64,
    /// The limit of the next try, and how that ended.
    pub next_mib: u64,
    pub next_phase: String,
}

impl Killed {
    /// The work is the init container's, and what comes after it has little to do.
    fn shape(&self, job: &mut Value) {
        if self.container == "init" {
            let pod = &mut job["spec"]["template"]["spec"];
            let mut init = pod["containers"][0].clone();
            init["name"] = json!("init");
            pod["initContainers"] = json!([init]);
            pod["containers"][0]["args"] = json!(["for=1s"]);
        }
    }
}

impl Scene {
    /// The scene of this process. Where there can be none, says so for the test and gives nothing.
    pub fn shared(test: &str) -> Option<&'static Self> {
        static SCENE: OnceLock<Result<Scene, String>> = OnceLock::new();
        match SCENE.get_or_init(Self::start) {
            Ok(scene) => Some(scene),
            Err(reason) => {
                skipped(test, reason);
                None
            }
        }
    }

    fn start() -> Result<Self, String> {
        let (cluster, kernel) = cluster_with_node()?;
        let objects = objects::serve(cluster);
        let token = cluster.env("PODFIT_CLUSTER_TOKEN");
        let kubelet = cluster.env("PODFIT_CLUSTER_KUBELET").trim_start_matches("https://");
        let config = json!({"global": {"scrape_interval": "5s", "scrape_timeout": "4s"}, "scrape_configs": [
            {"job_name": "kubelet", "scheme": "https", "metrics_path": "/metrics/cadvisor",
                "authorization": {"credentials": token}, "tls_config": {"ca_file": cluster.env("PODFIT_CLUSTER_CA")},
                "static_configs": [{"targets": [kubelet]}]},
            {"job_name": "kube-state-metrics", "honor_labels": true, "static_configs": [{"targets": [objects]}]}]});
        let mut prometheus =
            PrometheusServer::start_with_config(&config.to_string()).ok_or("prometheus or promtool is not on PATH")?;
        let (pid, files) = prometheus.kept();
        let end = "kill -KILL $0; while kill -0 $0; do sleep 0.05; done; exec rm -rf \"$1\"";
        std::mem::forget(after_this_process(end, [OsStr::new(&pid.to_string()), files.as_os_str()]));
        let namespace = cluster.namespace("node");
        for (name, limit_mib, arguments) in WORK {
            let cron = create_cron(&namespace, name, limit_mib, arguments);
            for run in 0..RUNS {
                namespace.create(BATCH, "jobs", &job_of(&cron, run, 0));
            }
        }
        Ok(Self { cluster, kernel, prometheus, namespace, answer: OnceLock::new() })
    }

    pub fn row(&self, name: &str) -> Row<'_> {
        let found = self.rows().into_iter().find(|row| row.0["workload"] == format!("cronjob/{name}"));
        found.unwrap_or_else(|| panic!("no row for {name}: {:#}", self.answer()))
    }

    pub fn rows(&self) -> Vec<Row<'_>> {
        self.answer()["workloads"].as_array().unwrap().iter().map(Row).collect()
    }

    /// What `podfit recommend` says when all has run and been scraped.
    fn answer(&self) -> &Value {
        let answer = self.answer.get_or_init(|| {
            self.all_has_run().map(|()| {
                let url = self.prometheus.url();
                let namespace = ["-n", &self.namespace.name, "--history", "1h"];
                let ran = podfit(["recommend", "--prometheus-url", &url, "-o", "json"].into_iter().chain(namespace));
                assert_eq!(ran.code, Some(0), "{}", ran.stderr);
                serde_json::from_str(&ran.stdout).unwrap()
            })
        });
        answer.as_ref().unwrap_or_else(|missing| panic!("{missing}"))
    }

    fn all_has_run(&self) -> Result<(), String> {
        // The Job controller deletes a pod that misses its Job's deadline, and what ended before stays.
        let pods = (WORK.len() - 1) * RUNS;
        let left = || {
            let has_ended =
                |pod: &Value| ["Succeeded", "Failed"].contains(&pod["status"]["phase"].as_str().unwrap_or(""));
            let all = self.namespace.list("/api/v1", "pods");
            let left: Vec<Value> = all.iter().filter(|pod| !has_ended(pod)).map(|pod| pod["status"].clone()).collect();
            (all.len(), left)
        };
        within(PATIENCE, "the end of every pod", || {
            let (all, left) = left();
            (all == pods && left.is_empty()).then_some(())
        })
        .map_err(|missing| format!("{missing}: {:#?}", left()))?;
        let ended = format!("kube_pod_completion_time{{namespace=\"{}\"}}", self.namespace.name);
        let query = format!("count({ended}) >= {pods} and count({ended} offset 6s) >= {pods}");
        within(PATIENCE, "the second scrape of every end", || {
            let now = self.prometheus.ask("query", &[("query", &query)]).ok()?;
            now["result"].as_array().is_some_and(|found| !found.is_empty()).then_some(())
        })
    }

    /// All the memory that the node has for pods.
    pub fn node_mib(&self) -> u64 {
        let nodes = self.cluster.get("/api/v1/nodes");
        mib(&nodes["items"][0]["status"]["allocatable"]["memory"]).unwrap()
    }

    /// Runs the cases side by side under podfit's eyes: each is killed once and tried again. Also gives podfit's log.
    pub fn killed_and_tried_again(&self, cases: &[Killed]) -> (Vec<TriedAgain>, String) {
        let webhook = self.serve();
        let namespace = &webhook.namespace;
        for case in cases {
            let cron = create_cron(namespace, case.name, case.limit_mib, case.arguments);
            let mut job = job_of(&cron, 0, 1);
            case.shape(&mut job);
            namespace.create(BATCH, "jobs", &job);
        }
        let first = |case: &Killed| {
            until("the first try runs", || {
                let pod = pods_of(namespace, case.name).into_iter().next()?;
                (pod["status"]["phase"] == "Running" || case.container == "init").then_some(pod)
            })
        };
        let first: Vec<Value> = cases.iter().map(first).collect();
        for (case, pod) in cases.iter().zip(&first) {
            if let Some(mib) = case.resized_to_mib {
                let pod = pod["metadata"]["name"].as_str().unwrap();
                // The kubelet refuses less than a container uses only once it knows what that is.
                let query = format!("container_memory_working_set_bytes{{pod=\"{pod}\",container=\"main\"}} > 2.5e7");
                until("what it uses has been seen", || {
                    let now = self.prometheus.ask("query", &[("query", &query)]).ok()?;
                    now["result"].as_array().is_some_and(|found| !found.is_empty()).then_some(())
                });
                resize(namespace, pod, mib);
            }
        }
        let second = |(case, first): (&Killed, &Value)| {
            let of = |pod: &Value| pod["metadata"]["name"] == first["metadata"]["name"];
            let next = within(PATIENCE, "the next try's end", || {
                let ended =
                    |pod: &Value| ["Succeeded", "Failed"].contains(&pod["status"]["phase"].as_str().unwrap_or(""));
                pods_of(namespace, case.name).into_iter().find(|pod| !of(pod) && ended(pod))
            })
            .unwrap_or_else(|missing| panic!("{}: {missing}; podfit said:\n{}", case.name, webhook.serve.log()));
            let killed = pods_of(namespace, case.name).into_iter().find(of).unwrap();
            TriedAgain {
                asked_mib: limit_mib(&killed, case.container),
                next_mib: limit_mib(&next, case.container),
                next_phase: next["status"]["phase"].as_str().unwrap_or("").to_owned(),
            }
        };
        (cases.iter().zip(&first).map(second).collect(), webhook.serve.log())
    }

    /// `podfit serve` for a namespace of its own, which resizes.
    fn serve(&self) -> Webhook {
        for definition in podfit::controller::crds::definitions() {
            self.cluster.create("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", &definition);
        }
        let policy = json!({"apiVersion": "podfit.dev/v1alpha1", "kind": "RightsizingPolicy",
            "metadata": {"name": "default"}, "spec": {"resizing": "active", "rollout": {"mode": "apply"}}});
        until("the policy is stored", || {
            self.cluster.request("POST", "/apis/podfit.dev/v1alpha1/rightsizingpolicies", Some(&policy)).ok()
        });
        let namespace = self.cluster.namespace("served");
        let arguments = [
            "--watch-namespaces",
            "{namespace}",
            "--lease",
            "{namespace}/podfit",
            "--recommend-every",
            "1s",
            "--prometheus-url",
        ];
        let mut arguments: Vec<String> = arguments.map(str::to_owned).into();
        arguments.push(self.prometheus.url());
        Webhook::start_in(namespace, &Setup { arguments, ..Setup::default() })
    }
}

/// A row of `podfit recommend -o json`.
pub struct Row<'a>(&'a Value);

impl Row<'_> {
    pub fn runs(&self) -> u64 {
        self.0["evidence"]["runs"].as_u64().unwrap_or(0)
    }

    pub fn kills(&self) -> u64 {
        self.0["evidence"]["oomKills"].as_u64().unwrap_or(0)
    }

    pub fn peak_bytes(&self) -> Option<u64> {
        self.0["evidence"]["peakMaxBytes"].as_u64()
    }

    /// The memory limit that a pod should get, where it should change.
    pub fn recommended_mib(&self) -> Option<u64> {
        mib(&self.0["recommended"]["memoryLimit"])
    }
}

impl fmt::Display for Row<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}", self.0)
    }
}

fn create_cron(namespace: &Namespace, name: &str, limit_mib: u64, arguments: &[&str]) -> Value {
    let memory = format!("{limit_mib}Mi");
    let container = json!({"name": "main", "image": "registry.podfit.test/work:1", "args": arguments,
        "resources": {"requests": {"cpu": "10m", "memory": memory}, "limits": {"memory": memory}}});
    let pod = json!({"restartPolicy": "Never", "terminationGracePeriodSeconds": 1, "automountServiceAccountToken": false,
        "securityContext": {"runAsUser": 65534, "runAsNonRoot": true}, "containers": [container]});
    let mut job = json!({"backoffLimit": 0, "template": {"spec": pod}});
    if name == "deadline" {
        job["activeDeadlineSeconds"] = json!(DEADLINE_SECONDS);
    }
    let spec = json!({"schedule": "0 0 1 1 *", "suspend": true, "successfulJobsHistoryLimit": 100,
        "failedJobsHistoryLimit": 100, "jobTemplate": {"spec": job}});
    namespace.create(BATCH, "cronjobs", &json!({"metadata": {"name": name}, "spec": spec}))
}

/// A Job as the CronJob controller makes it, but for its number of retries.
fn job_of(cron: &Value, run: usize, retries: u64) -> Value {
    let name = &cron["metadata"]["name"];
    let owner = json!([{"apiVersion": "batch/v1", "kind": "CronJob", "name": name, "uid": cron["metadata"]["uid"],
        "controller": true}]);
    let mut spec = cron["spec"]["jobTemplate"]["spec"].clone();
    spec["backoffLimit"] = json!(retries);
    let name = format!("{}-{}", name.as_str().unwrap(), FIRST_RUN + run);
    json!({"metadata": {"name": name, "ownerReferences": owner}, "spec": spec})
}

/// The pods of a CronJob's first Job, the first try first.
fn pods_of(namespace: &Namespace, cron: &str) -> Vec<Value> {
    let label = format!("pods?labelSelector=batch.kubernetes.io/job-name={cron}-{FIRST_RUN}");
    let mut pods = namespace.list("/api/v1", &label);
    pods.sort_by_key(|pod| pod["metadata"]["creationTimestamp"].to_string());
    pods
}

/// As kubectl does it: the subresource takes no merge patch of one container.
fn resize(namespace: &Namespace, pod: &str, mib: u64) {
    let size = json!({"memory": format!("{mib}Mi")});
    let patch = json!({"spec": {"containers": [{"name": "main", "resources": {"requests": size, "limits": size}}]}});
    let patched = std::process::Command::new("kubectl")
        .arg("--kubeconfig")
        .arg(namespace.cluster.kubeconfig())
        .args(["patch", "pod", pod, "-n", &namespace.name, "--subresource", "resize", "-p", &patch.to_string()])
        .output()
        .unwrap();
    assert!(patched.status.success(), "{}", String::from_utf8_lossy(&patched.stderr));
}

fn limit_mib(pod: &Value, container: &str) -> u64 {
    let list = if container == "init" { "initContainers" } else { "containers" };
    mib(&pod["spec"][list][0]["resources"]["limits"]["memory"]).unwrap_or(0)
}

fn mib(quantity: &Value) -> Option<u64> {
    Some(podfit::quantity::Quantity::from_json(quantity).ok()?.bytes_rounded_up() / MIB)
}
