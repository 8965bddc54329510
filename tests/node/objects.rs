//! A stand-in for kube-state-metrics, which no package registry has: the series of its documentation that podfit reads,
//! made of what the API server says at the time of each scrape. A thread that ends with the process.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};

use serde_json::Value;

use podfit::quantity::Quantity;

use super::support::cluster::Cluster;

/// Serves them at a free port of the loopback interface.
pub fn serve(cluster: &'static Cluster) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let request = BufReader::new(&stream).lines();
            request.map_while(Result::ok).take_while(|line| !line.is_empty()).for_each(drop);
            let body = metrics(cluster);
            let head = format!("HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n", body.len());
            // A scraper that has gone away takes nothing with it.
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes()));
        }
    });
    address
}

fn metrics(cluster: &Cluster) -> String {
    let mut out = String::new();
    for node in items(&cluster.get("/api/v1/nodes")) {
        let labels = [("node", text(&node["metadata"]["name"]))];
        resources(&mut out, "kube_node_status_allocatable", &labels, &node["status"]["allocatable"]);
    }
    for job in items(&cluster.get("/apis/batch/v1/jobs")) {
        let (namespace, name) = (text(&job["metadata"]["namespace"]), text(&job["metadata"]["name"]));
        let labels = [("namespace", namespace), ("job_name", name)];
        owners(&mut out, "kube_job_owner", &labels, &job);
        line(&mut out, "kube_job_status_succeeded", &labels, job["status"]["succeeded"].as_f64().unwrap_or(0.0));
        let complete = |c: &&Value| c["type"] == "Complete" && c["status"] == "True";
        if job["status"]["conditions"].as_array().is_some_and(|all| all.iter().any(|c| complete(&c))) {
            line(&mut out, "kube_job_complete", &[labels.as_slice(), &[("condition", "true")]].concat(), 1.0);
        }
    }
    for pod in items(&cluster.get("/api/v1/pods")) {
        of_pod(&mut out, &pod);
    }
    out
}

fn of_pod(out: &mut String, pod: &Value) {
    let (meta, status) = (&pod["metadata"], &pod["status"]);
    let labels = [("namespace", text(&meta["namespace"])), ("pod", text(&meta["name"])), ("uid", text(&meta["uid"]))];
    owners(out, "kube_pod_owner", &labels, pod);
    for phase in ["Pending", "Running", "Succeeded", "Failed", "Unknown"] {
        let is = f64::from(u8::from(status["phase"] == phase));
        line(out, "kube_pod_status_phase", &[labels.as_slice(), &[("phase", phase)]].concat(), is);
    }
    if let Some(started) = seconds(&status["startTime"]) {
        line(out, "kube_pod_start_time", &labels, started);
    }
    let statuses = |field: &str| status[field].as_array().cloned().unwrap_or_default();
    let ends: Vec<Option<f64>> =
        statuses("containerStatuses").iter().map(|c| seconds(&c["state"]["terminated"]["finishedAt"])).collect();
    if let Some(ended) = ends.into_iter().collect::<Option<Vec<f64>>>().and_then(|e| e.into_iter().reduce(f64::max)) {
        line(out, "kube_pod_completion_time", &labels, ended);
    }
    for (of, field, status_field) in
        [("", "containers", "containerStatuses"), ("init_", "initContainers", "initContainerStatuses")]
    {
        for container in pod["spec"][field].as_array().into_iter().flatten() {
            let labels = [
                labels.as_slice(),
                &[("container", text(&container["name"])), ("node", text(&pod["spec"]["nodeName"]))],
            ]
            .concat();
            for section in ["requests", "limits"] {
                let metric = format!("kube_pod_{of}container_resource_{section}");
                resources(out, &metric, &labels, &container["resources"][section]);
            }
        }
        for container in statuses(status_field) {
            let labels = [labels.as_slice(), &[("container", text(&container["name"]))]].concat();
            let prefix = format!("kube_pod_{of}container_status");
            let ended = |out: &mut String, which: &str, end: &Value| {
                let Some(reason) = end["reason"].as_str() else { return };
                let with = [labels.as_slice(), &[("reason", reason)]].concat();
                line(out, &format!("{prefix}_{which}_reason"), &with, 1.0);
            };
            ended(out, "terminated", &container["state"]["terminated"]);
            let last = &container["lastState"]["terminated"];
            ended(out, "last_terminated", last);
            if let Some(code) = last["exitCode"].as_f64() {
                line(out, &format!("{prefix}_last_terminated_exitcode"), &labels, code);
            }
        }
    }
}

fn owners(out: &mut String, metric: &str, labels: &[(&str, &str)], object: &Value) {
    for owner in object["metadata"]["ownerReferences"].as_array().into_iter().flatten() {
        let controller = if owner["controller"] == true { "true" } else { "false" };
        let owner = [
            ("owner_kind", text(&owner["kind"])),
            ("owner_name", text(&owner["name"])),
            ("owner_is_controller", controller),
        ];
        line(out, metric, &[labels, owner.as_slice()].concat(), 1.0);
    }
}

fn resources(out: &mut String, metric: &str, labels: &[(&str, &str)], of: &Value) {
    for (resource, unit) in [("cpu", "core"), ("memory", "byte")] {
        if let Some(value) = of[resource].as_str().and_then(|q| Quantity::parse(q).ok()) {
            line(
                out,
                metric,
                &[labels, &[("resource", resource), ("unit", unit)]].concat(),
                value.millis_rounded_up() as f64 / 1000.0,
            );
        }
    }
}

/// Names of Kubernetes need no escaping.
fn line(out: &mut String, metric: &str, labels: &[(&str, &str)], value: f64) {
    let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect();
    writeln!(out, "{metric}{{{}}} {value}", labels.join(",")).unwrap();
}

fn items(list: &Value) -> Vec<Value> {
    list["items"].as_array().unwrap().clone()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("")
}

fn seconds(time: &Value) -> Option<f64> {
    let time: jiff::Timestamp = time.as_str()?.parse().ok()?;
    Some(time.as_second() as f64)
}
