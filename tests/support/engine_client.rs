//! Has an engine create pods with its own client (`tests/engines/clients`) in a namespace of the test cluster.
//! Knows no engine: a name is all that differs.

use std::io::{BufRead, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::Value;

use super::cluster::{Cluster, Namespace};

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
    let mut client = match Client::start(client, namespace, image, &[]) {
        Ok(client) => client,
        Err(reason) => return Asked::NotHere(reason),
    };
    client.say(given.unwrap_or_default());
    client.child.stdin = None;
    match client.pods() {
        Asked::Created(_) if !client.child.wait().unwrap().success() => Asked::Refused(client.said()),
        asked => asked,
    }
}

/// A running client; ended with its value.
pub struct Client {
    child: Child,
    answers: BufReader<ChildStdout>,
    said: std::fs::File,
    cluster: &'static Cluster,
    /// The path of the namespace's pods.
    pods: String,
}

impl Client {
    /// Starts the client of an engine all of whose tries are killed for memory. Its first pods come first; the next
    /// ones when it was told to go on, or sooner where the engine tries again by itself.
    ///
    /// # Errors
    /// Why it cannot run on this machine.
    pub fn of_killed(engine: &str, namespace: &Namespace, image: &str) -> Result<Self, String> {
        Self::start(engine, namespace, image, &["--killed"])
    }

    /// Starts an engine that runs until it is dropped and makes pods when it is asked; waits until it is there.
    ///
    /// # Errors
    /// Why it cannot run on this machine.
    pub fn of_running(engine: &str, namespace: &Namespace, image: &str) -> Result<Self, String> {
        let mut client = Self::start(engine, namespace, image, &[])?;
        match client.answer() {
            Err(Asked::NotHere(reason)) => Err(reason),
            Err(Asked::Refused(said)) => panic!("{engine}: {said}"),
            _ => Ok(client),
        }
    }

    fn start(client: &str, namespace: &Namespace, image: &str, arguments: &[&str]) -> Result<Self, String> {
        let client = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/engines/clients").join(client);
        let said = tempfile::tempfile().unwrap();
        let mut command = Command::new(client);
        command.arg("--kubeconfig").arg(namespace.cluster.kubeconfig());
        command.args(["--namespace", &namespace.name, "--image", image]).args(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(said.try_clone().unwrap());
        let mut child = command.spawn().map_err(|error| format!("python3: {error}"))?;
        let answers = BufReader::new(child.stdout.take().unwrap());
        let pods = format!("/api/v1/namespaces/{}/pods", namespace.name);
        Ok(Self { child, answers, said, cluster: namespace.cluster, pods })
    }

    fn say(&mut self, text: &str) {
        // A client whose engine is not here ends before it reads.
        let _ = self.child.stdin.as_mut().unwrap().write_all(text.as_bytes());
    }

    /// Has the engine make its next try, where it does not by itself.
    pub fn go_on(&mut self) {
        self.say("\n");
    }

    fn said(&mut self) -> String {
        let mut said = String::new();
        self.said.seek(SeekFrom::Start(0)).unwrap();
        self.said.read_to_string(&mut said).unwrap();
        said
    }

    /// The pods that it has made since this was last called.
    pub fn pods(&mut self) -> Asked {
        let names = match self.answer() {
            Ok(names) => names,
            Err(asked) => return asked,
        };
        // One read: some engines delete what has ended.
        let stored = self.cluster.get(&self.pods)["items"].as_array().unwrap().clone();
        Asked::Created(
            stored.into_iter().filter(|p| names.iter().any(|name| p["metadata"]["name"] == **name)).collect(),
        )
    }

    /// The names of the pods that it makes when it is told this.
    pub fn ask(&mut self, line: &str) -> Vec<String> {
        self.say(&format!("{line}\n"));
        match self.answer() {
            Ok(names) => names,
            Err(Asked::Refused(said) | Asked::NotHere(said)) => panic!("{line}: {said}"),
            Err(Asked::Created(_)) => unreachable!("pods are no error"),
        }
    }

    /// Its next answer; what came of it where it has ended instead.
    fn answer(&mut self) -> Result<Vec<String>, Asked> {
        let mut answer = String::new();
        self.answers.read_line(&mut answer).unwrap();
        if answer.is_empty() {
            let status = self.child.wait().unwrap();
            let said = self.said();
            return Err(match status.code() {
                Some(NOT_HERE) => Asked::NotHere(said.lines().last().unwrap_or_default().to_owned()),
                _ => Asked::Refused(said),
            });
        }
        let made: Value = serde_json::from_str(&answer).unwrap();
        Ok(made["pods"].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect())
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // Without an input it ends by itself, and ends what it has started; what is left by a failed test too.
        self.child.stdin = None;
        if std::thread::panicking() {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}
