//! The load: keeps connections busy with reviews, measures latencies, and what the server's process spends meanwhile.
//! Must not know whose server it is.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Barrier;
use tokio::time::{Instant, sleep_until};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::process;
use super::reviews::review;

/// Time before anything is measured.
const WARM_UP: Duration = Duration::from_millis(300);
/// Namespaces and tasks whose pods are asked about, in turn.
pub const NAMESPACES: usize = 10;
pub const TASKS: usize = 10;

/// What is to be done.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Load {
    pub address: SocketAddr,
    /// PEM file of the server's CA.
    pub ca: PathBuf,
    /// Process whose CPU time is read.
    pub pid: u32,
    pub path: String,
    /// Bytes of a review.
    pub bytes: usize,
    pub connections: usize,
    /// A new connection for each review.
    pub reconnect: bool,
    pub seconds: f64,
}

/// What came of it.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Measured {
    /// Reviews answered with `allowed`.
    pub answered: u64,
    /// Of these, those with a patch.
    pub patched: u64,
    /// Requests without such an answer.
    pub errors: u64,
    pub per_second: f64,
    /// CPU seconds of the server's process for one answer.
    pub cpu: f64,
    /// Seconds for one answer that its threads waited for a core.
    pub waited: f64,
    /// Seconds from the first byte of a request to the last one of its answer; with its handshake where each has its
    /// own.
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
}

#[derive(Clone, Copy)]
enum Told {
    Allowed { patched: bool },
    Else,
}

struct Client {
    load: Load,
    tls: TlsConnector,
    requests: Vec<Vec<u8>>,
}

type Connection = TlsStream<TcpStream>;

/// Runs it on one thread, so that the server has the rest of the machine.
pub fn run(load: Load) -> Measured {
    runtime().block_on(Client::new(load).measure())
}

/// The body of the answer to one review.
pub fn ask_once(load: Load) -> String {
    runtime().block_on(async {
        let client = Client::new(load);
        let mut connection = client.connect().await.expect("a connection");
        let mut answer = Vec::new();
        client.ask(&mut connection, 0, &mut answer).await.expect("an answer");
        String::from_utf8_lossy(&answer).into_owned()
    })
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

impl Client {
    fn new(load: Load) -> Self {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(&load.ca).expect("the CA's file") {
            roots.add(certificate.expect("PEM")).expect("a CA");
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let mut config = builder.expect("TLS").with_root_certificates(roots).with_no_client_auth();
        // As API servers' clients: HTTP/1.1, and no session is taken up again.
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config.resumption = Resumption::disabled();
        let requests = (0..NAMESPACES * TASKS)
            .map(|n| {
                let body = review(load.bytes, n % NAMESPACES, n / NAMESPACES, "4Gi");
                let head = format!(
                    "POST {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: kube-apiserver-admission\r\nAccept: application/json\r\n\
                     Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
                    load.path,
                    load.address,
                    body.len()
                );
                [head.into_bytes(), body].concat()
            })
            .collect();
        Self { load, tls: TlsConnector::from(Arc::new(config)), requests }
    }

    async fn connect(&self) -> std::io::Result<Connection> {
        let stream = TcpStream::connect(self.load.address).await?;
        stream.set_nodelay(true)?;
        self.tls.connect(ServerName::from(self.load.address.ip()), stream).await
    }

    /// Sends one review and reads its answer, whose body is left in `answer`.
    async fn ask(&self, connection: &mut Connection, number: usize, answer: &mut Vec<u8>) -> std::io::Result<Told> {
        connection.write_all(&self.requests[number % self.requests.len()]).await?;
        connection.flush().await?;
        answer.clear();
        let head = loop {
            more(connection, answer).await?;
            if let Some(at) = find(answer, b"\r\n\r\n") {
                break String::from_utf8_lossy(&answer[..at + 4]).to_ascii_lowercase();
            }
        };
        if let Some((_, rest)) = head.split_once("\r\ncontent-length: ") {
            let length: usize = rest.split("\r\n").next().and_then(|n| n.parse().ok()).unwrap_or(0);
            while answer.len() < head.len() + length {
                more(connection, answer).await?;
            }
        } else {
            // In chunks.
            while !answer.ends_with(b"\r\n0\r\n\r\n") {
                more(connection, answer).await?;
            }
        }
        answer.drain(..head.len());
        let allowed = head.starts_with("http/1.1 200") && find(answer, b"\"allowed\":true").is_some();
        Ok(if allowed { Told::Allowed { patched: find(answer, b"\"patch\":\"").is_some() } } else { Told::Else })
    }

    async fn measure(self) -> Measured {
        let client = Arc::new(self);
        let connected = Arc::new(Barrier::new(client.load.connections + 1));
        let workers: Vec<_> = (0..client.load.connections)
            .map(|n| tokio::spawn(work(Arc::clone(&client), n, Arc::clone(&connected))))
            .collect();
        connected.wait().await;
        let (begin, end) = client.window(Instant::now());
        sleep_until(begin).await;
        let spent = || (process::cpu_seconds(client.load.pid), process::waited_seconds(client.load.pid));
        let (before, started) = (spent(), Instant::now());
        sleep_until(end).await;
        let (after, took) = (spent(), started.elapsed().as_secs_f64());
        let mut latencies = Vec::new();
        let mut measured = Measured::default();
        for worker in workers {
            let (of, mut its) = worker.await.expect("a worker");
            latencies.append(&mut its);
            measured.patched += of.patched;
            measured.errors += of.errors;
        }
        latencies.sort_unstable();
        let quantile = |q: f64| {
            let at = ((latencies.len() as f64 * q).ceil() as usize).clamp(1, latencies.len().max(1)) - 1;
            latencies.get(at).map_or(f64::NAN, Duration::as_secs_f64)
        };
        let answered = latencies.len() as u64;
        Measured {
            answered,
            per_second: answered as f64 / took,
            cpu: (after.0 - before.0) / answered as f64,
            waited: (after.1 - before.1) / answered as f64,
            p50: quantile(0.5),
            p90: quantile(0.9),
            p99: quantile(0.99),
            ..measured
        }
    }

    fn window(&self, connected: Instant) -> (Instant, Instant) {
        let begin = connected + WARM_UP;
        (begin, begin + Duration::from_secs_f64(self.load.seconds))
    }
}

async fn work(client: Arc<Client>, first: usize, connected: Arc<Barrier>) -> (Measured, Vec<Duration>) {
    let mut connection = client.connect().await.ok();
    connected.wait().await;
    let (begin, end) = client.window(Instant::now());
    let (mut counted, mut latencies, mut answer) = (Measured::default(), Vec::new(), Vec::new());
    for number in (first * 7).. {
        let asked = Instant::now();
        if client.load.reconnect || connection.is_none() {
            connection = client.connect().await.ok();
        }
        let told = match &mut connection {
            Some(open) => client.ask(open, number, &mut answer).await.ok(),
            None => None,
        };
        if told.is_none() {
            connection = None;
        }
        let answered = Instant::now();
        if answered >= end {
            break;
        }
        if answered < begin {
            continue;
        }
        match told {
            Some(Told::Allowed { patched }) => {
                latencies.push(answered - asked);
                counted.patched += u64::from(patched);
            }
            Some(Told::Else) | None => counted.errors += 1,
        }
    }
    (counted, latencies)
}

async fn more(connection: &mut Connection, into: &mut Vec<u8>) -> std::io::Result<()> {
    into.reserve(4_096);
    if connection.read_buf(into).await? == 0 { Err(std::io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
}

fn find(text: &[u8], piece: &[u8]) -> Option<usize> {
    text.windows(piece.len()).position(|window| window == piece)
}
