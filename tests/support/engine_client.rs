//! Has an engine create pods with its own client (`tests/engines/clients`) in a namespace of the test cluster.
//! Knows no engine: a name is all that differs.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread::JoinHandle;

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

fn command(client: &str, namespace: &Namespace, image: &str) -> Command {
    let client = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/engines/clients").join(client);
    let mut command = Command::new(client);
    command.arg("--kubeconfig").arg(namespace.cluster.kubeconfig());
    command.args(["--namespace", &namespace.name, "--image", image]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// The names in a client's answer.
fn names(answer: &str) -> Vec<String> {
    let made: Value = serde_json::from_str(answer).unwrap();
    made["pods"].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect()
}

/// The same for a client that reads from standard input what it is to ask for.
pub fn ask(client: &str, namespace: &Namespace, image: &str, given: Option<&str>) -> Asked {
    let mut running = match command(client, namespace, image).spawn() {
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
    let names = names(&String::from_utf8_lossy(&answer.stdout));
    // One read: some engines delete what has ended.
    let pods = namespace.list("/api/v1", "pods");
    Asked::Created(pods.into_iter().filter(|p| names.iter().any(|name| p["metadata"]["name"] == *name)).collect())
}

/// A client that runs an engine until it is dropped, and is asked line by line.
pub struct Engine {
    child: Child,
    input: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    said: Option<JoinHandle<String>>,
}

impl Engine {
    /// Starts it, and waits until its engine is started.
    ///
    /// # Errors
    /// Why it cannot run on this machine.
    pub fn start(client: &str, namespace: &Namespace, image: &str) -> Result<Self, String> {
        let mut child = command(client, namespace, image).spawn().map_err(|error| format!("python3: {error}"))?;
        let (input, output, mut errors) =
            (child.stdin.take(), child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let said = std::thread::spawn(move || {
            let mut bytes = Vec::new();
            let _ = errors.read_to_end(&mut bytes);
            String::from_utf8_lossy(&bytes).into_owned()
        });
        let mut engine = Self { child, input, answers: BufReader::new(output), said: Some(said) };
        match engine.answer() {
            Ok(_) => Ok(engine),
            Err((Some(NOT_HERE), said)) => Err(said.lines().last().unwrap_or_default().to_owned()),
            Err((_, said)) => panic!("{client}: {said}"),
        }
    }

    /// The names of the pods that it makes when it is told this.
    pub fn ask(&mut self, line: &str) -> Vec<String> {
        writeln!(self.input.as_ref().unwrap(), "{line}").unwrap();
        self.answer().unwrap_or_else(|(_, said)| panic!("{line}: {said}"))
    }

    /// Its next answer; where it has ended instead, its status and all that it said.
    fn answer(&mut self) -> Result<Vec<String>, (Option<i32>, String)> {
        let mut line = String::new();
        if self.answers.read_line(&mut line).unwrap() > 0 {
            return Ok(names(&line));
        }
        let status = self.child.wait().unwrap();
        let said = self.said.take().map(|said| said.join().unwrap_or_default()).unwrap_or_default();
        Err((status.code(), said))
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // The end of its input ends it, and it ends its engine.
        drop(self.input.take());
        let _ = self.child.wait();
        if let Some(said) = self.said.take().filter(|_| std::thread::panicking()) {
            eprintln!("the engine said:\n{}", said.join().unwrap_or_default());
        }
    }
}
