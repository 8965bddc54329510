//! Places that reports are sent to: an HTTP endpoint that follows a script, and a mail server. Both on loopback.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, mpsc};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::Value;

use super::python::python_with;

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Hit {
    pub path: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Hit {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// What to answer, by path and how often it was asked before; `None` is silence.
type Script = dyn Fn(&str, usize) -> Option<Response> + Send + Sync;

/// An HTTP endpoint.
pub struct HttpSink {
    pub port: u16,
    hits: Arc<Mutex<Vec<Hit>>>,
    _runtime: tokio::runtime::Runtime,
}

impl HttpSink {
    pub fn start(script: impl Fn(&str, usize) -> Option<Response> + Send + Sync + 'static) -> Self {
        let script: Arc<Script> = Arc::new(script);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let hits: Arc<Mutex<Vec<Hit>>> = Arc::default();
        let app = Router::new().fallback(answer).with_state((Arc::clone(&hits), script));
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let port = listener.local_addr().unwrap().port();
        runtime.spawn(async move { axum::serve(listener, app).await });
        Self { port, hits, _runtime: runtime }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// What came to a path.
    pub fn hits(&self, path: &str) -> Vec<Hit> {
        self.hits.lock().unwrap().iter().filter(|h| h.path == path).cloned().collect()
    }
}

/// What came, and what to answer.
type Shared = (Arc<Mutex<Vec<Hit>>>, Arc<Script>);

async fn answer(State((hits, script)): State<Shared>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let path = uri.path().to_owned();
    let before = {
        let mut hits = hits.lock().unwrap();
        let before = hits.iter().filter(|h| h.path == path).count();
        hits.push(Hit { path: path.clone(), headers, body });
        before
    };
    match script(&path, before) {
        Some(response) => response,
        None => std::future::pending().await,
    }
}

#[allow(clippy::unnecessary_wraps, reason = "a step of a script, of which some have no answer")]
pub fn ok() -> Option<Response> {
    Some((StatusCode::OK, "ok").into_response())
}

/// A mail server, ended with its value.
pub struct MailSink {
    child: Child,
    mails: mpsc::Receiver<String>,
    pub port: u16,
}

impl Drop for MailSink {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl MailSink {
    /// `Err` says why there can be none here.
    pub fn start(certificate: &Path, key: &Path, more: &[&str]) -> Result<Self, String> {
        let python = python_with("aiosmtpd", "aiosmtpd==1.4.6", "import aiosmtpd")?;
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/report/smtp_sink.py");
        let mut command = Command::new(python);
        command.arg(script).arg(certificate).arg(key).args(more).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().map_err(|e| e.to_string())?;
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let mut port = String::new();
        lines.read_line(&mut port).unwrap();
        let port = port.trim().parse().expect("the mail server did not say its port");
        // Read as they come: a mail is longer than a pipe holds.
        let (sender, mails) = mpsc::channel();
        std::thread::spawn(move || lines.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Ok(Self { child, mails, port })
    }

    /// The next mail.
    pub fn mail(&self) -> Value {
        serde_json::from_str(&self.mails.recv().unwrap()).unwrap()
    }
}

/// moto's S3, ended with its value.
pub struct S3Sink {
    child: Child,
    answers: BufReader<std::process::ChildStdout>,
    pub port: u16,
}

impl Drop for S3Sink {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl S3Sink {
    /// `Err` says why there can be none here.
    pub fn start() -> Result<Self, String> {
        let python = python_with("moto", "moto[server,s3]==5.2.5", "import moto.server, boto3")?;
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/report/s3_sink.py");
        let mut command = Command::new(python);
        command.arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().map_err(|e| e.to_string())?;
        let mut answers = BufReader::new(child.stdout.take().unwrap());
        let mut port = String::new();
        answers.read_line(&mut port).unwrap();
        let port = port.trim().parse().expect("the S3 did not say its port");
        Ok(Self { child, answers, port })
    }

    /// What is stored in the bucket `reports`: its media type and its text.
    pub fn object(&mut self, key: &str) -> (String, String) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{key}").unwrap();
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        let found: Value = serde_json::from_str(&line).expect("it is not there");
        let text = |field: &str| found[field].as_str().unwrap().to_owned();
        (text("type"), text("body"))
    }
}
