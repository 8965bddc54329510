//! A running podfit with work to do, and a Prometheus that scrapes it: a real API server sends it reviews and counts
//! them, a controller makes recommendations of a history, kwok kills what is told to die. What kubelets,
//! kube-state-metrics and Spark's executors would say of the pods is said by an exporter that reads the pods from the
//! API server, in their words: the labels are those that podfit stamped.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};

use podfit::research::simulate::{self, Asks, Engine, MIB, Part, Schedule, ScrapeOptions, Usage, WorkloadModel};
use serde_json::{Value, json};

use super::exported::post;
use super::files::dir;
use super::scene::{NOON, NOON_TEXT, Policy, define};
use super::support::cluster::{Cluster, cluster, until};
use super::support::prometheus_server::{PrometheusServer, skipped};
use super::support::webhook::{Setup, Webhook, replace};

const IMAGE: &str = "registry.example/data/work:3.2.1";
const JOB: &str = "nightly-29000001";
/// Name of the cluster in the scraped series.
const CLUSTER: &str = "test";

/// All of it; ended with the value.
pub struct Platform {
    pub prometheus: PrometheusServer,
    webhook: Webhook,
    _policy: Policy,
    _history: PrometheusServer,
}

impl Platform {
    /// Starts it and lets it do its first work. Where it cannot run, says so for the test.
    pub fn start(test: &str) -> Option<Self> {
        let cluster = cluster(test)?;
        define(cluster);
        let policy = Policy::hold(cluster, &json!({"rollout": {"mode": "apply"}}));
        let namespace = cluster.namespace("watched");
        let Some(history) = history(&namespace.name) else {
            skipped(test, "prometheus or promtool is not on PATH");
            return None;
        };
        let arguments: Vec<String> = ["--watch-namespaces", "{namespace}", "--lease", "{namespace}/podfit"]
            .into_iter()
            .chain(["--recommend-every", "1s", "--prometheus-url", &history.url(), "--at", NOON_TEXT])
            .map(str::to_owned)
            .collect();
        let webhook = Webhook::start_in(namespace, &Setup { arguments, ..Setup::default() });
        let exporter = export(cluster, &webhook.namespace.name);
        let prometheus = PrometheusServer::start_with_config(&configuration(&webhook, &exporter))?;
        let platform = Self { prometheus, webhook, _policy: policy, _history: history };
        platform.work();
        Some(platform)
    }

    /// The namespace that the pods are in.
    pub fn namespace(&self) -> &str {
        &self.webhook.namespace.name
    }

    /// What is made once: pods that run, a kill, a certificate that cannot be read, a webhook that nobody answers for.
    fn work(&self) {
        let namespace = &self.webhook.namespace;
        until("recommendations in force", || self.sample("count(podfit_workload_info) >= 4"));
        let cron_job = json!({"metadata": {"name": "nightly"}, "spec": {"schedule": "0 0 1 1 *", "suspend": true,
            "jobTemplate": {"spec": {"template": work(IMAGE)}}}});
        let cron_job = namespace.create("/apis/batch/v1", "cronjobs", &cron_job);
        let owner = json!([{"apiVersion": "batch/v1", "kind": "CronJob", "name": "nightly",
            "uid": cron_job["metadata"]["uid"], "controller": true}]);
        let mut template = work(IMAGE);
        template["metadata"] = json!({"annotations": {"podfit.test/outcome": "run"}});
        let job = json!({"metadata": {"name": JOB, "ownerReferences": owner}, "spec": {"template": template}});
        namespace.create("/apis/batch/v1", "jobs", &job);
        namespace.create("/api/v1", "pods", &spark("driver", "run"));
        namespace.create("/api/v1", "pods", &spark("executor", "run"));
        // An increase is only seen by who has seen the counter before.
        until("a counter of kills at zero", || {
            self.sample("podfit_oom_kills_total{workload=\"spark-executor/join\"} == 0")
        });
        namespace.create("/api/v1", "pods", &spark("executor", "oom"));
        replace(&self.webhook.dir().join("tls.crt"), "not a certificate\n");
        let mut entry = json!({"name": format!("gone.{}.podfit.dev", namespace.name), "admissionReviewVersions": ["v1"],
            "sideEffects": "None", "timeoutSeconds": 1, "failurePolicy": "Ignore",
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace.name}},
            "objectSelector": {"matchLabels": {"podfit.test/asks": "nobody"}},
            "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}]});
        let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        entry["clientConfig"] = json!({"url": format!("https://{nobody}/mutate")});
        namespace.cluster.create(
            "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations",
            &json!({"metadata": {"name": self.gone()}, "webhooks": [entry]}),
        );
    }

    /// Reviews of every sort, and connections that are none.
    pub fn traffic(&self) {
        let namespace = &self.webhook.namespace;
        let job = namespace.find("/apis/batch/v1", &format!("jobs/{JOB}")).unwrap();
        let create = |pod: &Value| namespace.try_create("/api/v1", "pods", pod);
        let next = |image: &str| {
            let mut pod = work(image);
            pod["metadata"] = json!({"generateName": format!("{JOB}-"), "ownerReferences": [{"apiVersion": "batch/v1",
                "kind": "Job", "name": JOB, "uid": job["metadata"]["uid"], "controller": true}]});
            pod
        };
        create(&next(IMAGE)).unwrap();
        create(&next("registry.example/data/work:latest")).unwrap_err();
        let mut left_alone = next(IMAGE);
        left_alone["metadata"]["annotations"] = json!({"podfit.dev/resize": "off"});
        create(&left_alone).unwrap();
        let mut unasked = next(IMAGE);
        unasked["metadata"]["labels"] = json!({"podfit.test/asks": "nobody"});
        create(&unasked).unwrap();
        post(&self.webhook.serve, self.webhook.dir(), "text/plain", "hello");
        TcpStream::connect(&self.webhook.address).unwrap().write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    }

    /// The answer of Prometheus where it has a sample.
    pub fn sample(&self, expression: &str) -> Option<()> {
        let data = self.prometheus.ask("query", &[("query", expression)]).unwrap();
        data["result"].as_array().is_some_and(|found| !found.is_empty()).then_some(())
    }

    /// What podfit logged.
    pub fn log(&self) -> String {
        self.webhook.serve.log()
    }

    fn gone(&self) -> String {
        format!("{}-gone", self.webhook.name())
    }
}

impl Drop for Platform {
    fn drop(&mut self) {
        let path = format!("/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/{}", self.gone());
        let _ = self.webhook.namespace.cluster.request("DELETE", &path, None);
    }
}

fn history(namespace: &str) -> Option<PrometheusServer> {
    let asks = |request: u64, limit: u64| Asks {
        cpu_request_millis: Some(1_000),
        cpu_limit_millis: None,
        memory_request_bytes: Some(request * MIB),
        memory_limit_bytes: Some(limit * MIB),
    };
    let part = |name: &str, used: u64, asks| {
        Part::new(name, IMAGE, Usage::lively(1500.0, 0.2, used * MIB * 3 / 4, used * MIB), asks)
    };
    let model = |name: &str, engine, parts| {
        WorkloadModel::new(namespace, name, engine, Schedule::Nightly { hour: 2, minute: 0 }, parts)
    };
    let cron_job = || Engine::CronJob { restart_in_place: false };
    let models = vec![
        model("nightly", cron_job(), vec![part("main", 400, asks(2048, 2048))]),
        // It asks for less than it uses.
        model("tight", cron_job(), vec![part("main", 1000, asks(200, 4096))]),
        model(
            "join",
            Engine::SparkNative,
            vec![part("driver", 1000, asks(8192, 8192)), part("executor", 1000, asks(4096, 4096))],
        ),
    ];
    let scrape = ScrapeOptions { interval_ms: 60_000, state_interval_ms: 600_000, ..ScrapeOptions::default() };
    let played = simulate::Platform { days: 12, nodes: 1, models, scrape }.simulate(NOON, 3);
    PrometheusServer::start_with_writer(|mut out| played.write_openmetrics(&mut out).unwrap(), &[])
}

/// As its documentation says to scrape podfit, every second, with the rules evaluated as often.
fn configuration(webhook: &Webhook, exporter: &str) -> String {
    let folder = webhook.dir();
    let rules = ["recording", "alerts"].map(|name| {
        let text = std::fs::read_to_string(dir().join("rules").join(format!("{name}.yaml"))).unwrap();
        let file = folder.join(format!("{name}.yaml"));
        std::fs::write(&file, text.replace("interval: 1m", "interval: 1s")).unwrap();
        file
    });
    let read = json!([{"nonResourceURLs": ["/metrics"], "verbs": ["get"]}]);
    let account = webhook.namespace.account("scraper", &json!([]), &read, folder);
    let account: Value = serde_json::from_str(&std::fs::read_to_string(account).unwrap()).unwrap();
    let api = &account["clusters"][0]["cluster"];
    let target = |address: &str| json!([{"targets": [address], "labels": {"cluster": CLUSTER}}]);
    json!({
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": rules,
        "scrape_configs": [
            {"job_name": "podfit", "honor_labels": true, "static_configs": target(&webhook.metrics_address)},
            {"job_name": "exporter", "honor_labels": true, "static_configs": target(exporter)},
            {"job_name": "apiserver", "scheme": "https",
                "static_configs": target(api["server"].as_str().unwrap().trim_start_matches("https://")),
                "tls_config": {"ca_file": api["certificate-authority"]},
                "authorization": {"credentials": account["users"][0]["user"]["token"]},
                "metric_relabel_configs": [
                    {"source_labels": ["__name__"], "regex": "apiserver_admission_webhook_.*", "action": "keep"}]},
        ],
    })
    .to_string()
}

fn container(name: &str, image: &str, memory: &str) -> Value {
    json!({"name": name, "image": image, "securityContext": {"runAsUser": 1000, "runAsNonRoot": true},
        "resources": {"requests": {"cpu": "100m", "memory": memory}, "limits": {"memory": memory}}})
}

fn work(image: &str) -> Value {
    json!({"spec": {"restartPolicy": "Never", "containers": [container("main", image, "2Gi")]}})
}

fn spark(role: &str, outcome: &str) -> Value {
    json!({"metadata": {"name": format!("join-2026-11-22-0123456789abcdef-{role}-{outcome}"),
            "labels": {"spark-role": role, "spark-app-name": "join-2026-11-22",
                "spark-app-selector": "spark-0123456789abcdef", "spark-exec-resourceprofile-id": "0"},
            "annotations": {"podfit.test/outcome": outcome}},
        "spec": {"restartPolicy": "Never",
            "containers": [container(&format!("spark-kubernetes-{role}"), IMAGE, "4Gi")]}})
}

/// Says on a free port what others would say of the pods of a namespace.
fn export(cluster: &'static Cluster, namespace: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let path = format!("/api/v1/namespaces/{namespace}/pods");
    std::thread::spawn(move || {
        for (scrape, stream) in listener.incoming().map_while(Result::ok).enumerate() {
            let Ok(pods) = cluster.request("GET", &path, None) else { continue };
            let body = said_of(&pods, scrape);
            let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
            let _ = lines.find(String::is_empty);
            let length = body.len();
            let _ = write!(
                &stream,
                "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {length}\r\n\
                 Connection: close\r\n\r\n{body}"
            );
        }
    });
    address
}

fn said_of(pods: &Value, scrape: usize) -> String {
    let mut text = String::new();
    for pod in pods["items"].as_array().into_iter().flatten() {
        let (namespace, name) = (&pod["metadata"]["namespace"], &pod["metadata"]["name"]);
        let labels: String = pod["metadata"]["labels"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(key, value)| format!(",label_{}={value}", key.replace(|c: char| !c.is_ascii_alphanumeric(), "_")))
            .collect();
        let of = format!("namespace={namespace},pod={name}");
        text += &format!("kube_pod_labels{{{of}{labels}}} 1\n");
        text += &format!("kube_pod_status_phase{{{of},phase={}}} 1\n", pod["status"]["phase"]);
        let container = format!("{of},container={}", pod["spec"]["containers"][0]["name"]);
        text += &format!("container_memory_working_set_bytes{{{container}}} 4e8\n");
        for counter in ["cpu_usage_seconds", "cpu_cfs_periods", "cpu_cfs_throttled_periods"] {
            text += &format!("container_{counter}_total{{{container}}} {scrape}\n");
        }
        if pod["metadata"]["labels"]["spark-role"] == "executor" {
            text += &format!("metrics_executor_JVMHeapMemory_bytes{{{of},executor_id=\"1\"}} 3e8\n");
        }
    }
    text
}
