//! A namespace full of live pods on a real API server, their history in a real Prometheus, and podfit run on both.
//! The scene that most tests look at is shared between those that run at the same time.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, OnceLock, Weak};

use podfit::research::simulate::ScrapeOptions;
use serde_json::{Value, json};

use super::live;
use super::past::{self, NOON, NOON_TEXT};
use super::support::cluster::{Namespace, cluster};
use super::support::prometheus_server::{PrometheusServer, skipped};

/// A namespace with its live pods, the history of it, and a user who may look at both.
pub struct Scene {
    pub namespace: Namespace,
    prometheus: PrometheusServer,
    pub files: tempfile::TempDir,
    /// Of a service account that may read what dry-run reads, and nothing else.
    pub viewer: PathBuf,
    report: OnceLock<Value>,
}

impl Scene {
    /// The scene with everything in its place: one for all tests that hold it at the same time.
    pub fn shared(test: &str) -> Option<Arc<Self>> {
        static SHARED: Mutex<Weak<Scene>> = Mutex::new(Weak::new());
        // A test that failed while it made the scene has told why; the next one tries again.
        let mut shared = SHARED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(scene) = shared.upgrade() {
            return Some(scene);
        }
        let scene = Arc::new(Self::new(test, past::scrape())?);
        *shared = Arc::downgrade(&scene);
        Some(scene)
    }

    pub fn new(test: &str, scrape: ScrapeOptions) -> Option<Self> {
        let namespace = cluster(test)?.namespace("data");
        let history = past::platform(&namespace.name, scrape).simulate(NOON, 7);
        let write = |mut out: &mut dyn std::io::Write| history.write_openmetrics(&mut out).unwrap();
        let Some(prometheus) = PrometheusServer::start_with_writer(write, &[]) else {
            skipped(test, "prometheus or promtool is not on PATH");
            return None;
        };
        live::create(&namespace);
        let files = tempfile::tempdir().unwrap();
        let rules = json!([
            reading("", &["pods", "limitranges", "resourcequotas"]),
            reading("batch", &["jobs", "cronjobs"]),
            reading("apps", &["replicasets"]),
            reading("autoscaling", &["horizontalpodautoscalers"]),
        ]);
        let of_cluster =
            json!([reading("", &["nodes", "namespaces"]), reading("podfit.dev", &["rightsizingpolicies"])]);
        let viewer = namespace.account("viewer", &rules, &of_cluster, files.path());
        Some(Self { namespace, prometheus, files, viewer, report: OnceLock::new() })
    }

    /// What `podfit dry-run` prints for this user.
    pub fn dry_run(&self, kubeconfig: &Path, args: &[&str]) -> String {
        let output = Command::new(env!("CARGO_BIN_EXE_podfit"))
            .args(["dry-run", "-n", &self.namespace.name, "--at", NOON_TEXT])
            .args(["--prometheus-url", &self.prometheus.url(), "--kubeconfig"])
            .arg(kubeconfig)
            .args(args)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// The viewer's report, with patches.
    pub fn report(&self) -> &Value {
        self.report.get_or_init(|| parsed(&self.dry_run(&self.viewer, &["-o", "json", "--show-patch"])))
    }
}

/// A rule that lets objects be read.
pub fn reading(group: &str, resources: &[&str]) -> Value {
    json!({"apiGroups": [group], "resources": resources, "verbs": ["get", "list"]})
}

pub fn parsed(report: &str) -> Value {
    serde_json::from_str(report).unwrap()
}

pub fn lines(report: &Value) -> &Vec<Value> {
    report["workloads"].as_array().unwrap()
}

/// The line of a workload, which must be the only one.
pub fn line<'a>(report: &'a Value, workload: &str) -> &'a Value {
    let found: Vec<_> = lines(report).iter().filter(|l| l["workload"] == workload).collect();
    assert_eq!(found.len(), 1, "{workload}: {found:#?}");
    found[0]
}

/// Everything that a line or a report says in words.
pub fn notes(of: &Value) -> String {
    of["notes"].as_array().unwrap().iter().map(|n| n.as_str().unwrap()).collect::<Vec<_>>().join("\n")
}
