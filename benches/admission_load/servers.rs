//! The servers that are compared, each started with what it needs and ended with its value.
//! Must not know what is asked of them.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use podfit::workload::{Kind, Workload};
use serde_json::{Value, json};

use super::rival;
use super::support::cluster::until;
use super::support::histogram::Buckets;
use super::support::webhook::{Serve, certificates, get};

/// Recommendations of the two runs of podfit.
const RECOMMENDATIONS: [usize; 2] = [10_000, 100_000];
/// Over how many namespaces they are spread.
const NAMESPACES: usize = 100;

/// One of them.
pub struct Server {
    pub name: String,
    pub address: SocketAddr,
    /// PEM file of its CA.
    pub ca: PathBuf,
    pub pid: u32,
    /// Whether it sizes the pods that it is asked about.
    pub resizes: bool,
    metrics: Option<String>,
    _running: Running,
}

enum Running {
    Podfit { _serve: Serve },
    Other(Child),
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Self::Other(child) = self {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Server {
    /// Whether it does no more than to answer.
    pub const fn is_bare(&self) -> bool {
        !self.resizes
    }

    /// Whether it has this endpoint.
    pub fn answers(&self, entry: &str) -> bool {
        entry == "mutate" || self.metrics.is_some() || self.is_bare()
    }

    /// What it says of its own time.
    pub fn buckets(&self, entry: &str) -> Buckets {
        let text = self.metrics.as_ref().and_then(|address| get(address, "/metrics")).unwrap_or_default();
        Buckets::read(&text, "podfit_admission_duration_seconds", &format!("entry=\"{entry}\""))
    }
}

/// All of them, and why others are missing.
pub fn start(dir: &Path) -> (Vec<Server>, Vec<String>) {
    let mut servers: Vec<Server> = RECOMMENDATIONS.iter().map(|n| podfit(&dir.join(n.to_string()), *n)).collect();
    let with_certificate = dir.join(RECOMMENDATIONS[0].to_string());
    servers.push(bare(&with_certificate));
    let mut missing = Vec::new();
    match rival::start(&with_certificate) {
        Ok((child, port)) => servers.push(Server {
            name: format!("VPA, {}", thousands(rival::RECOMMENDATIONS)),
            address: SocketAddr::from(([127, 0, 0, 1], port)),
            ca: with_certificate.join("ca.crt"),
            pid: child.id(),
            resizes: true,
            metrics: None,
            _running: Running::Other(child),
        }),
        Err(reason) => missing.push(format!("VPA's admission controller: {reason}")),
    }
    (servers, missing)
}

fn thousands(number: usize) -> String {
    format!("{}k", number / 1_000)
}

fn podfit(dir: &Path, recommendations: usize) -> Server {
    std::fs::create_dir_all(dir).expect("a folder");
    certificates(dir, false);
    std::fs::write(dir.join("policy.yaml"), "{}\n").expect("the policy's file");
    let entries: Vec<Value> = (0..recommendations).map(entry).collect();
    let text = json!({"workloads": entries}).to_string();
    std::fs::write(dir.join("recommendations.json"), text).expect("the recommendations' file");
    let serve = Serve::start(dir, None, &["--reload-seconds".to_owned(), "5".to_owned()]);
    until("podfit serve is ready", || get(&serve.metrics_address, "/readyz"));
    Server {
        name: format!("podfit, {}", thousands(recommendations)),
        address: serve.address.parse().expect("an address"),
        ca: dir.join("ca.crt"),
        pid: serve.pid(),
        resizes: true,
        metrics: Some(serve.metrics_address.clone()),
        _running: Running::Podfit { _serve: serve },
    }
}

/// One line of what `podfit recommend -o json` prints, with the notes that make a file of it large.
fn entry(number: usize) -> Value {
    let (namespace, task) = (format!("team-{}", number % NAMESPACES), format!("task_{}", number / NAMESPACES));
    let workload = Workload::new(namespace.clone(), Kind::AirflowTask, ["orders", task.as_str()]);
    let sizes = json!({"cpuRequest": "500m", "memoryRequest": "1536Mi", "memoryLimit": "1536Mi"});
    json!({"namespace": namespace, "workload": workload.to_string(), "container": "base", "recommended": sizes,
        "current": sizes, "notes": ["memory from the largest of 21 runs"], "evidence": {"runs": 21}})
}

fn bare(dir: &Path) -> Server {
    let mut child = Command::new(std::env::current_exe().expect("this program"))
        .arg("baseline")
        .arg(dir)
        // It ends when this closes.
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the bare server");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("its output")).read_line(&mut line).expect("its address");
    Server {
        name: "allowed: true".to_owned(),
        address: line.trim().parse().expect("an address"),
        ca: dir.join("ca.crt"),
        pid: child.id(),
        resizes: false,
        metrics: None,
        _running: Running::Other(child),
    }
}
