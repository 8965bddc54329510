//! What runs on the node, and what podfit makes of it. All of it runs once for all tests of the process.

use std::fmt;
use std::path::Path;
use std::sync::OnceLock;

use serde_json::{Value, json};

use super::objects;
use super::support::cli::podfit;
use super::support::cluster::{Cluster, Namespace, cluster_with_node, until};
use super::support::prometheus_server::{PrometheusServer, skipped};
use super::support::webhook::{Setup, Webhook};

pub const MIB: u64 = 1 << 20;
/// More than the node has.
pub const DEFERRED_MIB: u64 = 10_000_000;
const BATCH: &str = "/apis/batch/v1";
const RUNS: usize = 4;

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
    prometheus: PrometheusServer,
    namespace: Namespace,
    answer: OnceLock<Value>,
}

/// What became of a pod whose resize was deferred.
pub struct Killed {
    /// Limit in its spec.
    pub asked_mib: u64,
    /// Limit of the next try, and how that ended.
    pub next_mib: u64,
    pub next_phase: String,
    pub log: String,
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
        let cluster = cluster_with_node("host")?;
        let objects = objects::serve(cluster);
        let token = std::env::temp_dir().join(format!("podfit-test-node-{}.token", std::process::id()));
        std::fs::write(&token, cluster.env("PODFIT_CLUSTER_TOKEN")).unwrap();
        let kubelet = cluster.env("PODFIT_CLUSTER_KUBELET").trim_start_matches("https://");
        let config = json!({"global": {"scrape_interval": "5s", "scrape_timeout": "4s"}, "scrape_configs": [
            {"job_name": "kubelet", "scheme": "https", "metrics_path": "/metrics/cadvisor",
                "authorization": {"credentials_file": token}, "tls_config": {"ca_file": cluster.env("PODFIT_CLUSTER_CA")},
                "static_configs": [{"targets": [kubelet]}]},
            {"job_name": "kube-state-metrics", "honor_labels": true, "static_configs": [{"targets": [objects]}]}]});
        let prometheus =
            PrometheusServer::start_with_config(&config.to_string()).ok_or("prometheus or promtool is not on PATH")?;
        let namespace = cluster.namespace("node");
        for (name, limit_mib, arguments) in WORK {
            let cron = create_cron(&namespace, name, limit_mib, arguments);
            for run in 0..RUNS {
                create_job(&namespace, &cron, run, 0);
            }
        }
        Ok(Self { cluster, prometheus, namespace, answer: OnceLock::new() })
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
        self.answer.get_or_init(|| {
            // The Job controller deletes a pod that misses its Job's deadline, and what ended before stays.
            let pods = (WORK.len() - 1) * RUNS;
            until("every pod has ended", || {
                let ended =
                    |pod: &Value| ["Succeeded", "Failed"].contains(&pod["status"]["phase"].as_str().unwrap_or(""));
                let all = self.namespace.list("/api/v1", "pods");
                (all.len() == pods && all.iter().all(ended)).then_some(())
            });
            let ended = format!("count(kube_pod_completion_time{{namespace=\"{}\"}})", self.namespace.name);
            until("every end has been scraped twice", || {
                let now = self.prometheus.ask("query", &[("query", &format!("{ended} and {ended} offset 6s"))]).ok()?;
                let count: usize = now["result"][0]["value"][1].as_str()?.parse().ok()?;
                (count >= pods).then_some(())
            });
            let ran = podfit([
                "recommend",
                "--prometheus-url",
                &self.prometheus.url(),
                "-o",
                "json",
                "-n",
                &self.namespace.name,
                "--history",
                "1h",
            ]);
            assert_eq!(ran.code, Some(0), "{}", ran.stderr);
            serde_json::from_str(&ran.stdout).unwrap()
        })
    }

    /// A Job's pod is asked to grow beyond what the node has, outgrows the limit that stays in force, and is tried again
    /// under podfit's eyes.
    pub fn deferred_and_killed(&self) -> Killed {
        let webhook = self.serve();
        let namespace = &webhook.namespace;
        let cron = create_cron(namespace, "deferred", 64, &["mem=30Mi", "for=20s", "mem=100Mi", "for=5s"]);
        let job = create_job(namespace, &cron, 0, 1);
        let name = job["metadata"]["name"].as_str().unwrap();
        let first = until("the first try runs", || {
            pods_of(namespace, name).into_iter().find(|pod| pod["status"]["phase"] == "Running")
        });
        let first = first["metadata"]["name"].as_str().unwrap().to_owned();
        let size = json!({"memory": format!("{DEFERRED_MIB}Mi")});
        let resize =
            json!({"spec": {"containers": [{"name": "main", "resources": {"requests": size, "limits": size}}]}});
        strategic_patch(self.cluster.kubeconfig(), &namespace.name, &first, &resize);
        let killed = until("the kernel kills it", || {
            pods_of(namespace, name)
                .into_iter()
                .find(|pod| pod["metadata"]["name"] == first && pod["status"]["phase"] == "Failed")
        });
        let next = until("the next try ends", || {
            pods_of(namespace, name).into_iter().find(|pod| {
                let phase = pod["status"]["phase"].as_str().unwrap_or("");
                pod["metadata"]["name"] != first && ["Succeeded", "Failed"].contains(&phase)
            })
        });
        Killed {
            asked_mib: limit_mib(&killed),
            next_mib: limit_mib(&next),
            next_phase: next["status"]["phase"].as_str().unwrap_or("").to_owned(),
            log: webhook.serve.log(),
        }
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
        job["activeDeadlineSeconds"] = json!(20);
    }
    let spec = json!({"schedule": "0 0 1 1 *", "suspend": true, "successfulJobsHistoryLimit": 100,
        "failedJobsHistoryLimit": 100, "jobTemplate": {"spec": job}});
    namespace.create(BATCH, "cronjobs", &json!({"metadata": {"name": name}, "spec": spec}))
}

fn create_job(namespace: &Namespace, cron: &Value, run: usize, retries: u64) -> Value {
    let name = &cron["metadata"]["name"];
    let owner = json!([{"apiVersion": "batch/v1", "kind": "CronJob", "name": name, "uid": cron["metadata"]["uid"],
        "controller": true}]);
    let mut spec = cron["spec"]["jobTemplate"]["spec"].clone();
    spec["backoffLimit"] = json!(retries);
    let name = format!("{}-{}", name.as_str().unwrap(), 29_000_000 + run);
    namespace.create(BATCH, "jobs", &json!({"metadata": {"name": name, "ownerReferences": owner}, "spec": spec}))
}

fn pods_of(namespace: &Namespace, job: &str) -> Vec<Value> {
    let label = format!("pods?labelSelector=batch.kubernetes.io/job-name={job}");
    namespace.find("/api/v1", &label).unwrap()["items"].as_array().unwrap().clone()
}

/// `resize` takes no merge patch of one container: as kubectl does it.
fn strategic_patch(kubeconfig: &Path, namespace: &str, pod: &str, patch: &Value) {
    let patched = std::process::Command::new("kubectl")
        .arg("--kubeconfig")
        .arg(kubeconfig)
        .args(["patch", "pod", pod, "-n", namespace, "--subresource", "resize", "-p", &patch.to_string()])
        .output()
        .unwrap();
    assert!(patched.status.success(), "{}", String::from_utf8_lossy(&patched.stderr));
}

fn limit_mib(pod: &Value) -> u64 {
    mib(&pod["spec"]["containers"][0]["resources"]["limits"]["memory"]).unwrap_or(0)
}

fn mib(quantity: &Value) -> Option<u64> {
    Some(podfit::quantity::Quantity::from_json(quantity).ok()?.bytes_rounded_up() / MIB)
}
