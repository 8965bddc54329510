//! `podfit serve` as a process, registered on the test cluster for one namespace. Knows no case in particular.
//! Certificates come from `podfit certs`, the address is one on loopback.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};

use base64::Engine;
use serde_json::{Value, json};

use super::cli;
use super::cluster::{Cluster, Namespace, until};

const ADMISSION: &str = "/apis/admissionregistration.k8s.io/v1";

/// How a webhook is set up; the default sizes and bans with podfit's own defaults and fails open.
pub struct Setup {
    /// The policy file.
    pub policy: String,
    /// Workload, container, sizes.
    pub recommended: Vec<(&'static str, &'static str, Value)>,
    /// `failurePolicy` of both entries.
    pub failure_policy: &'static str,
    /// How long the API server waits for an answer.
    pub timeout_seconds: u64,
    /// Further arguments of `podfit serve`.
    pub arguments: Vec<String>,
    /// The mutating entry is asked about applications of Spark's and Flink's operators too.
    pub applications: bool,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            policy: "{}\n".to_owned(),
            recommended: Vec::new(),
            failure_policy: "Fail",
            timeout_seconds: 5,
            arguments: Vec::new(),
            applications: false,
        }
    }
}

/// A running webhook of one namespace.
pub struct Webhook {
    pub namespace: Namespace,
    pub serve: Serve,
    /// Where the API server is sent: `serve`, until a test says otherwise.
    pub address: String,
    /// Whose metrics are read.
    pub metrics_address: String,
    dir: tempfile::TempDir,
    failure_policy: &'static str,
    timeout_seconds: u64,
    applications: bool,
}

/// One `podfit serve`, ended with its value.
pub struct Serve {
    child: Child,
    log: Arc<Mutex<Vec<String>>>,
    /// `127.0.0.1:PORT` of the webhook.
    pub address: String,
    /// `127.0.0.1:PORT` of health and metrics.
    pub metrics_address: String,
}

impl Serve {
    /// Starts one and waits until it has said where it listens.
    pub fn start(dir: &Path, kubeconfig: Option<&Path>, arguments: &[String]) -> Self {
        let mut command = cli::command();
        command.args(["serve", "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"]);
        command.args(["--reload-seconds", "0.05", "--drain-seconds", "0"]);
        let pair = [("--tls-cert-file", "tls.crt"), ("--tls-key-file", "tls.key")];
        let has_files = !arguments.iter().any(|a| a == "--built-in-ca");
        let inputs = [("--policy", "policy.yaml"), ("--recommendations", "recommendations.json")];
        // With a lease it takes both from the cluster.
        let from_files = !arguments.iter().any(|a| a == "--lease");
        for (flag, file) in pair.into_iter().filter(|_| has_files).chain(inputs.into_iter().filter(|_| from_files)) {
            command.arg(flag).arg(dir.join(file));
        }
        match kubeconfig {
            // With all that it can say: tests look for secrets in it. Without a cluster it may be timed, and a line for
            // each review costs as much as the review.
            Some(kubeconfig) => command.arg("-v").arg("--kubeconfig").arg(kubeconfig),
            None => command.arg("--no-cluster"),
        };
        command.args(arguments);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let kept = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                kept.lock().unwrap().push(line);
            }
        });
        let said = |key: &str| {
            until("podfit serve says where it listens", || {
                let log = log.lock().unwrap();
                let line = log.iter().find(|l| l.contains("serving webhook="))?;
                let value = line.split_whitespace().find_map(|w| w.strip_prefix(key)?.strip_prefix('='))?;
                Some(value.rsplit_once('/')?.1.to_owned())
            })
        };
        let (address, metrics_address) = (said("webhook"), said("metrics"));
        Self { child, log, address, metrics_address }
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().join("\n")
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal, such as the `TERM` with which a kubelet ends it.
    pub fn signal(&self, name: &str) {
        let told = std::process::Command::new("kill").args(["-s", name, &self.pid().to_string()]).status().unwrap();
        assert!(told.success());
    }

    /// Waits until it has ended.
    pub fn wait(&mut self) {
        self.child.wait().unwrap();
    }

    /// Ends it at once, without a farewell.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Webhook {
    /// Starts `podfit serve`, registers it and waits until the API server asks it.
    pub fn start(cluster: &'static Cluster, prefix: &str, setup: &Setup) -> Self {
        Self::start_in(cluster.namespace(prefix), setup)
    }

    /// The same in a namespace that is there; `{namespace}` in arguments stands for its name, `{dir}` for the directory
    /// of the files that it reads.
    pub fn start_in(namespace: Namespace, setup: &Setup) -> Self {
        let cluster = namespace.cluster;
        let dir = tempfile::tempdir().unwrap();
        certificates(dir.path(), false);
        std::fs::write(dir.path().join("policy.yaml"), &setup.policy).unwrap();
        write_recommendations(dir.path(), &namespace.name, &setup.recommended);
        let files = dir.path().to_str().unwrap();
        let filled = |argument: &String| argument.replace("{namespace}", &namespace.name).replace("{dir}", files);
        let arguments: Vec<String> = setup.arguments.iter().map(filled).collect();
        let serve = Serve::start(dir.path(), Some(cluster.kubeconfig()), &arguments);
        let (address, metrics_address) = (serve.address.clone(), serve.metrics_address.clone());
        let Setup { failure_policy, timeout_seconds, applications, .. } = *setup;
        let webhook =
            Self { namespace, serve, address, metrics_address, dir, failure_policy, timeout_seconds, applications };
        until("podfit serve is ready", || webhook.metrics_get("/readyz"));
        webhook.register();
        webhook
    }

    fn metrics_get(&self, path: &str) -> Option<String> {
        get(&self.metrics_address, path)
    }

    /// Files that it reads.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The name of its configurations.
    pub fn name(&self) -> String {
        format!("podfit-{}", self.namespace.name)
    }

    /// The `clientConfig` of an entry.
    pub fn client_config(&self, entry: &str) -> Value {
        let bundle = std::fs::read(self.dir.path().join("ca.crt")).unwrap();
        let bundle = base64::engine::general_purpose::STANDARD.encode(bundle);
        json!({"url": format!("https://{}/{entry}", self.address), "caBundle": bundle})
    }

    /// Registers both entries, or registers them again after a change, and waits until the API server uses them.
    pub fn register(&self) {
        let cluster = self.namespace.cluster;
        let selector = json!({"matchExpressions": [
            {"key": "kubernetes.io/metadata.name", "operator": "In", "values": [self.namespace.name]}]});
        let rule = |operations: &[&str], groups: &[&str], resources: &[&str]| {
            json!({"apiGroups": groups, "apiVersions": ["v1", "v1beta1", "v1beta2"], "operations": operations, "resources": resources,
                "scope": "Namespaced"})
        };
        let entry = |name: &str, path: &str, rules: Value| {
            json!({"name": format!("{name}.{}.podfit.dev", self.namespace.name), "admissionReviewVersions": ["v1"],
                "sideEffects": "None", "timeoutSeconds": self.timeout_seconds, "failurePolicy": self.failure_policy,
                "matchPolicy": "Equivalent", "namespaceSelector": selector, "rules": rules,
                "clientConfig": self.client_config(path)})
        };
        let mut sized = vec![rule(&["CREATE"], &[""], &["pods"])];
        if self.applications {
            let plurals = ["sparkapplications", "scheduledsparkapplications"];
            sized.push(rule(&["CREATE"], &["sparkoperator.k8s.io"], &plurals));
            sized.push(rule(&["CREATE"], &["flink.apache.org"], &["flinkdeployments"]));
        }
        let mut mutate = entry("size", "mutate", json!(sized));
        mutate["reinvocationPolicy"] = json!("IfNeeded");
        let both = ["CREATE", "UPDATE"];
        let validate = entry(
            "rules",
            "validate",
            json!([
                rule(&both, &[""], &["pods", "pods/ephemeralcontainers"]),
                rule(&both, &["apps"], &["deployments", "statefulsets", "daemonsets"]),
                rule(&both, &["batch"], &["jobs", "cronjobs"]),
            ]),
        );
        for (kind, plural, webhooks) in [
            ("MutatingWebhookConfiguration", "mutatingwebhookconfigurations", mutate),
            ("ValidatingWebhookConfiguration", "validatingwebhookconfigurations", validate),
        ] {
            let object = json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind,
                "metadata": {"name": self.name()}, "webhooks": [webhooks]});
            let path = format!("{ADMISSION}/{plural}/{}", self.name());
            cluster
                .request("PATCH", &path, Some(&object))
                .or_else(|_| cluster.request("POST", &format!("{ADMISSION}/{plural}"), Some(&object)))
                .unwrap();
        }
        // The API server hears of it a moment later.
        let probe = json!({"metadata": {"name": "probe"}, "spec": {"restartPolicy": "Never", "containers": [
            {"name": "main", "image": "reg.example/probe:1", "securityContext": {"runAsUser": 1000}}]}});
        let before = self.reviews();
        until("the API server asks both entries", || {
            let _ = self.namespace.try_create("/api/v1", "pods", &probe);
            let now = self.reviews();
            (now.0 > before.0 && now.1 > before.1).then_some(())
        });
    }

    /// Reviews answered so far by the mutating and by the validating entry.
    pub fn reviews(&self) -> (f64, f64) {
        let metrics = self.metrics();
        let of = |entry: &str| {
            metrics
                .lines()
                .filter(|l| {
                    l.starts_with("podfit_admission_reviews_total{") && l.contains(&format!("entry=\"{entry}\""))
                })
                .filter_map(|l| l.rsplit_once(' ')?.1.parse::<f64>().ok())
                .sum::<f64>()
        };
        (of("mutate"), of("validate"))
    }

    /// podfit's own metrics.
    pub fn metrics(&self) -> String {
        self.metrics_get("/metrics").unwrap_or_default()
    }

    /// The value of a metric without labels; 0 where it is not there.
    pub fn metric(&self, name: &str) -> f64 {
        let metrics = self.metrics();
        let line = metrics.lines().find(|l| l.strip_prefix(name).is_some_and(|rest| rest.starts_with(' ')));
        line.and_then(|l| l.rsplit_once(' ')?.1.parse().ok()).unwrap_or(0.0)
    }

    /// What the API server counts of our two entries: the sum of a metric over everything with this name.
    pub fn counted_by_the_api_server(&self, metric: &str) -> f64 {
        let text = self.namespace.cluster.text("/metrics");
        let ours = format!(".{}.podfit.dev\"", self.namespace.name);
        text.lines()
            .filter(|l| l.starts_with(metric) && l.contains(&ours))
            .filter_map(|l| l.rsplit_once(' ')?.1.parse::<f64>().ok())
            .sum()
    }

    /// Creates a pod; gives back what is stored, or the refusal.
    pub fn create(&self, pod: &Value) -> Result<Value, (u16, String)> {
        let path = format!("/api/v1/namespaces/{}/pods", self.namespace.name);
        self.namespace.cluster.request("POST", &path, Some(pod))
    }

    /// When an input was last loaded, in seconds since 1970.
    pub fn loaded(&self, input: &str) -> f64 {
        let metric = format!("podfit_reload_last_success_timestamp_seconds{{input=\"{input}\"}}");
        let metrics = self.metrics();
        let line = metrics.lines().find(|l| l.starts_with(&metric));
        line.and_then(|l| l.rsplit_once(' ')?.1.parse().ok()).unwrap_or(0.0)
    }

    /// Writes another policy and waits until it is in force.
    pub fn set_policy(&self, policy: &str) {
        let before = self.loaded("policy");
        replace(&self.dir.path().join("policy.yaml"), policy);
        until("the new policy is in force", || (self.loaded("policy") > before).then_some(()));
    }
}

impl Drop for Webhook {
    fn drop(&mut self) {
        for plural in ["mutatingwebhookconfigurations", "validatingwebhookconfigurations"] {
            let _ = self.namespace.cluster.request("DELETE", &format!("{ADMISSION}/{plural}/{}", self.name()), None);
        }
    }
}

/// Replaces a file in one step, so that no reader sees half of it.
pub fn replace(path: &Path, text: &str) {
    let part = path.with_extension("part");
    std::fs::write(&part, text).unwrap();
    std::fs::rename(part, path).unwrap();
}

/// Makes the CA and the leaf; with `renew` a new leaf of the same CA.
pub fn certificates(dir: &Path, renew: bool) {
    let mut command = cli::command();
    command.args(["certs", "make", "--ip", "127.0.0.1", "--out"]).arg(dir);
    if renew {
        command.arg("--renew");
    }
    let made = cli::run(&mut command);
    assert_eq!(made.code, Some(0), "{made:?}");
}

/// Writes recommendations as `podfit recommend -o json` does.
pub fn write_recommendations(dir: &Path, namespace: &str, recommended: &[(&str, &str, Value)]) -> PathBuf {
    let workloads: Vec<Value> = recommended
        .iter()
        .map(|(workload, container, sizes)| {
            json!({"namespace": namespace, "workload": workload, "container": container, "recommended": sizes})
        })
        .collect();
    let path = dir.join("recommendations.json");
    replace(&path, &json!({"workloads": workloads}).to_string());
    path
}

/// The body of a successful GET over plain HTTP.
pub fn get(address: &str, path: &str) -> Option<String> {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(address).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    head.split_whitespace().nth(1).filter(|status| *status == "200")?;
    Some(body.to_owned())
}
