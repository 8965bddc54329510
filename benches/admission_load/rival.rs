//! The Vertical Pod Autoscaler's admission controller on a real API server, with recommendations of its own.
//! Where it is not built on this machine, says why.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use super::client::{NAMESPACES, TASKS};
use super::support::cluster::{Cluster, operator, until};

const PROGRAM: &str = "vpa-admission-controller";
const VPA: &str = "/apis/autoscaling.k8s.io/v1";
/// Workloads with a recommendation in each namespace.
const WORKLOADS: usize = 100;
const _: () = assert!(TASKS <= WORKLOADS);

/// How many recommendations it has.
pub const RECOMMENDATIONS: usize = NAMESPACES * WORKLOADS;

/// Starts it with a certificate of a folder; its process and its port.
///
/// # Errors
/// Why there is none.
pub fn start(dir: &Path) -> Result<(Child, u16), String> {
    let program = operator(PROGRAM)?;
    let cluster = super::support::cluster::cluster("admission_load").ok_or("no test cluster on this machine")?;
    define(cluster, &program.with_file_name(format!("{PROGRAM}-crds")).join("vpa-v1-crd-gen.yaml"))?;
    for namespace in 0..NAMESPACES {
        fill(cluster, &format!("team-{namespace}"))?;
    }
    // It listens on every address of the machine and cannot be told otherwise; it is only called on loopback.
    let free = || TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).map(|a| a.port());
    let (port, metrics) = (free().map_err(|e| e.to_string())?, free().map_err(|e| e.to_string())?);
    let mut child = Command::new(program)
        .arg("--kubeconfig")
        .arg(cluster.kubeconfig())
        .arg(format!("--port={port}"))
        .arg(format!("--address=127.0.0.1:{metrics}"))
        .args(["--register-webhook=false", "--v=0"])
        .arg(format!("--tls-cert-file={}", dir.join("tls.crt").display()))
        .arg(format!("--tls-private-key={}", dir.join("tls.key").display()))
        .arg(format!("--client-ca-file={}", dir.join("ca.crt").display()))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| error.to_string())?;
    until("VPA's admission controller listens", || {
        let ended = child.try_wait().ok().flatten().is_some();
        (ended || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()).then_some(())
    });
    match child.try_wait() {
        Ok(None) => Ok((child, port)),
        _ => Err("it ended at once".to_owned()),
    }
}

fn define(cluster: &Cluster, file: &Path) -> Result<(), String> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let definitions: Vec<Value> = serde_saphyr::from_multiple(&text).map_err(|error| error.to_string())?;
    for definition in definitions.iter().filter(|d| d.is_object()) {
        ask(cluster, "POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition)?;
    }
    until("VPA's kinds are served", || {
        cluster.request("GET", &format!("{VPA}/verticalpodautoscalers"), None).is_ok().then_some(())
    });
    Ok(())
}

/// A namespace of `StatefulSet`s without pods, each with a recommendation.
fn fill(cluster: &Cluster, namespace: &str) -> Result<(), String> {
    ask(cluster, "POST", "/api/v1/namespaces", &json!({"metadata": {"name": namespace}}))?;
    for number in 0..WORKLOADS {
        let name = format!("task-{number}");
        let labels = json!({"dag_id": "orders", "task_id": format!("task_{number}")});
        let set = json!({"metadata": {"name": name}, "spec": {"replicas": 0, "serviceName": name,
            "selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels},
            "spec": {"containers": [{"name": "base", "image": "registry.example/airflow:3.0.6"}]}}}});
        ask(cluster, "POST", &format!("/apis/apps/v1/namespaces/{namespace}/statefulsets"), &set)?;
        let vpa = json!({"apiVersion": "autoscaling.k8s.io/v1", "kind": "VerticalPodAutoscaler",
            "metadata": {"name": name},
            "spec": {"targetRef": {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": name},
                "updatePolicy": {"updateMode": "Initial"}}});
        let path = format!("{VPA}/namespaces/{namespace}/verticalpodautoscalers");
        ask(cluster, "POST", &path, &vpa)?;
        let size = json!({"cpu": "500m", "memory": "1536Mi"});
        let status = json!({"status": {"recommendation": {"containerRecommendations": [{"containerName": "base",
            "target": size, "lowerBound": size, "upperBound": size, "uncappedTarget": size}]}}});
        ask(cluster, "PATCH", &format!("{path}/{name}/status"), &status)?;
    }
    Ok(())
}

/// A change that may have been made before.
fn ask(cluster: &Cluster, method: &str, path: &str, object: &Value) -> Result<(), String> {
    match cluster.request(method, path, Some(object)) {
        Ok(_) | Err((409, _)) => Ok(()),
        Err((status, said)) => Err(format!("{method} {path}: {status} {said}")),
    }
}
