//! Has an engine create pods with its own client (`tests/engines/clients`) in a namespace of the test cluster.
//! Knows no engine: a name is all that differs.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::cluster::Namespace;

/// Exit status of a client whose engine is not installed.
const NOT_HERE: i32 = 3;
/// What every main container asks for; `client.py` says it to each engine.
pub const CPU: &str = "1";
/// The same for memory, which is the limit too.
pub const MEMORY: &str = "2Gi";

/// What came of asking an engine for pods.
pub enum Asked {
    /// The pods, as the API server stored them.
    Created(Vec<Value>),
    /// The engine did not get its pods: all that it and the cluster's events said.
    Refused(String),
    /// It cannot run on this machine, for this reason.
    NotHere(String),
}

/// Runs the client of an engine, once per namespace. Ends when its pods are stored, which no container waits for.
pub fn create_pods(engine: &str, namespace: &Namespace, image: &str) -> Asked {
    ask(engine, namespace, image, None)
}

/// The same for a client that reads from standard input what it is to ask for.
pub fn ask(client: &str, namespace: &Namespace, image: &str, given: Option<&str>) -> Asked {
    let client = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/engines/clients").join(client);
    let mut command = Command::new(client);
    command.arg("--kubeconfig").arg(namespace.cluster.kubeconfig());
    command.args(["--namespace", &namespace.name, "--image", image]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut running = match command.spawn() {
        Ok(running) => running,
        Err(error) => return Asked::NotHere(format!("python3: {error}")),
    };
    let mut input = running.stdin.take().unwrap();
    // A client whose engine is not here ends before it reads.
    let _ = input.write_all(given.unwrap_or_default().as_bytes());
    drop(input);
    let answer = running.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&answer.stderr).into_owned();
    match answer.status.code() {
        Some(0) => {}
        Some(NOT_HERE) => return Asked::NotHere(said.lines().last().unwrap_or_default().to_owned()),
        _ => return Asked::Refused(said),
    }
    let made: Value = serde_json::from_slice(&answer.stdout).unwrap();
    let names: Vec<&str> = made["pods"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    // One read: some engines delete what has ended.
    let pods = namespace.list("/api/v1", "pods");
    Asked::Created(pods.into_iter().filter(|p| names.iter().any(|name| p["metadata"]["name"] == *name)).collect())
}
