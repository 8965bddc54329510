//! What a tenant or a stranger can do to a running `podfit serve`, while eight honest connections send reviews and a
//! kubelet asks for health: no honest review is lost, every probe is answered, memory stays flat, and what cannot be
//! judged does not pass. The figures, before each attack and during it, are those of
//! `cargo test --release --test webhook attacks -- --nocapture --test-threads 1`; `PODFIT_TEST_SERVE=FILE` attacks
//! another binary, for its figures alone.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::client::{Answer, Tls, post};
use crate::process::{Folder, Serve};
use crate::scene::{DEADLINE, banned, pod, response, review, sent};
use crate::support::histogram::Buckets;

/// Honest connections, and reviews that each of them sends during an attack.
const HONEST: usize = 8;
const REVIEWS: usize = 100;
/// Connections of the webhook's port in these tests, and of a stranger who wants all of them.
const CONNECTIONS: usize = 120;
const STRANGERS: usize = 150;
/// Pause of an attacker who was thrown out.
const AGAIN: Duration = Duration::from_millis(20);

/// A running server with its attackers.
struct Siege {
    folder: Folder,
    serve: Serve,
    figures_only: bool,
    attackers: JoinSet<()>,
    /// Requests of attackers that got the answer they should get.
    turned_away: Arc<AtomicUsize>,
}

/// What honest callers saw.
#[derive(Debug, Default)]
struct Seen {
    answered: usize,
    lost: usize,
    times: Vec<Duration>,
}

impl Siege {
    async fn begin() -> Self {
        let folder = Folder::new();
        let other = std::env::var_os("PODFIT_TEST_SERVE");
        let mut command = folder.command();
        if let Some(binary) = &other {
            let arguments: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
            command = std::process::Command::new(binary);
            command.args(arguments);
        }
        let serve = Serve::start(command.args(["--max-connections", &CONNECTIONS.to_string()])).await;
        let turned_away = Arc::new(AtomicUsize::new(0));
        let mut siege = Self { folder, serve, figures_only: other.is_some(), attackers: JoinSet::new(), turned_away };
        siege.measure("before").await;
        siege
    }

    fn tls(&self) -> Tls {
        Tls { roots: vec![self.folder.ca.der()], ..Tls::default() }
    }

    /// So many connections that send these bytes and then wait, opened again when they are closed.
    fn hold(&mut self, count: usize, plain: Option<SocketAddr>, bytes: &[u8]) {
        for _ in 0..count {
            let (tls, webhook, bytes) = (self.tls(), self.serve.webhook, bytes.to_vec());
            self.attackers.spawn(async move {
                loop {
                    if let Some(address) = plain {
                        if let Ok(mut stream) = TcpStream::connect(address).await {
                            let _ = stream.write_all(&bytes).await;
                            let _ = stream.read(&mut [0; 64]).await;
                        }
                    } else if let Ok(mut connection) = tls.connect(webhook).await {
                        connection.send(&bytes).await;
                        while !connection.is_closed().await && connection.answer().await.is_some() {}
                    }
                    tokio::time::sleep(AGAIN).await;
                }
            });
        }
    }

    /// So many connections that send this review again and again; none of them may pass.
    fn flood(&mut self, count: usize, object: &Value) {
        let request = post("/validate?timeout=3s", sent(&review("flood", "CREATE", object)).as_bytes());
        for _ in 0..count {
            let (tls, webhook, request) = (self.tls(), self.serve.webhook, request.clone());
            let (turned_away, figures_only) = (Arc::clone(&self.turned_away), self.figures_only);
            self.attackers.spawn(async move {
                loop {
                    let Ok(mut connection) = tls.connect(webhook).await else { continue };
                    while let Some(answer) = connection.ask(&request).await {
                        let denied = answer.status == 200 && response(&answer)["allowed"] == false;
                        assert!(denied || figures_only, "{} {}", answer.status, answer.text());
                        if denied {
                            turned_away.fetch_add(1, Ordering::Relaxed);
                        } else {
                            tokio::time::sleep(AGAIN).await;
                        }
                        if answer.closes() {
                            break;
                        }
                    }
                }
            });
        }
    }

    /// The attackers go when everything was measured.
    async fn withstands(mut self, attack: &str) {
        self.measure(attack).await;
    }

    /// Eight honest connections and a kubelet, beside the attackers that are there; then these go.
    async fn measure(&mut self, attack: &str) {
        let before = self.serve.get("/metrics").await.1;
        let over = Arc::new(AtomicBool::new(false));
        let probes = tokio::spawn(probe(self.serve.metrics, Arc::clone(&over)));
        let mut honest = JoinSet::new();
        for number in 0..HONEST {
            honest.spawn(work(self.tls(), self.serve.webhook, number));
        }
        let mut all = Seen::default();
        while let Some(seen) = honest.join_next().await {
            let seen = seen.unwrap();
            all.answered += seen.answered;
            all.lost += seen.lost;
            all.times.extend(seen.times);
        }
        over.store(true, Ordering::Relaxed);
        let (asked, unanswered, longest) = probes.await.unwrap();
        if let Some(Err(error)) = self.attackers.try_join_next() {
            std::panic::resume_unwind(error.into_panic());
        }
        self.attackers.shutdown().await;
        let after = self.serve.get("/metrics").await.1;
        all.times.sort();
        let (now, most) = self.serve.memory();
        let p99 = in_server(&before, &after).map_or_else(|| "unknown".to_owned(), |p99| format!("{:.2} ms", p99 * 1e3));
        eprintln!(
            "{attack}: honest {} answered, {} lost, p99 in the server {p99}, at the client {:.1} ms; probes {asked}, \
             unanswered {unanswered}, longest {} ms; turned away {}; RSS {} MiB, at most {} MiB",
            all.answered,
            all.lost,
            all.times.get(all.times.len() * 99 / 100).map_or(0.0, |time| time.as_secs_f64() * 1e3),
            longest.as_millis(),
            self.turned_away.load(Ordering::Relaxed),
            now >> 10,
            most >> 10,
        );
        if !self.figures_only {
            assert_eq!((all.answered, all.lost), (HONEST * REVIEWS, 0));
            assert!(asked > 0 && unanswered == 0, "{unanswered} of {asked}");
            assert!(most < 384 << 10, "{most} KiB");
        }
    }
}

/// Reviews one after the other on one connection, as an API server sends them; opened again where it is idle and
/// closed.
async fn work(tls: Tls, webhook: SocketAddr, number: usize) -> Seen {
    let mut seen = Seen::default();
    let mut connection = None;
    for review in 0..REVIEWS {
        let uid = format!("honest-{number}-{review}");
        let asked = Instant::now();
        let request = if review % 2 == 0 {
            post("/mutate?timeout=30s", &of_usual_size(&uid))
        } else {
            post("/validate?timeout=30s", &banned(&uid))
        };
        let answered = tokio::time::timeout(DEADLINE, async {
            // A client dials again where a connection that it kept is closed before the first byte of an answer.
            for _ in 0..2 {
                if connection.is_none() {
                    connection = tls.connect(webhook).await.ok();
                }
                if let Some(answer) = connection.as_mut()?.ask(&request).await {
                    return Some(answer);
                }
                connection = None;
            }
            None
        })
        .await;
        match answered {
            Ok(Some(answer)) if is_right(&answer, &uid, review % 2 == 0) => {
                seen.answered += 1;
                seen.times.push(asked.elapsed());
            }
            _ => {
                seen.lost += 1;
                connection = None;
            }
        }
    }
    seen
}

fn is_right(answer: &Answer, uid: &str, allowed: bool) -> bool {
    answer.status == 200 && {
        let said = response(answer);
        said["uid"] == uid && said["allowed"] == allowed && said.get("patch").is_some() == allowed
    }
}

/// A pod of 20 KB.
fn of_usual_size(uid: &str) -> Vec<u8> {
    let mut pod = pod("registry.example/report:7");
    let variables = (0..180).map(|n| json!({"name": format!("SETTING_{n}"), "value": "x".repeat(70)}));
    pod["spec"]["containers"][0]["env"] = variables.collect();
    review(uid, "CREATE", &pod).to_string().into_bytes()
}

/// Asks for health like a kubelet, on a connection of its own each time: how often, how often in vain, and the longest
/// wait for an answer.
async fn probe(address: SocketAddr, over: Arc<AtomicBool>) -> (usize, usize, Duration) {
    let (mut asked, mut unanswered, mut longest) = (0, 0, Duration::ZERO);
    while !over.load(Ordering::Relaxed) {
        for path in ["/livez", "/readyz"] {
            let began = Instant::now();
            let answer = tokio::time::timeout(DEADLINE, async {
                let mut stream = TcpStream::connect(address).await.ok()?;
                let request = format!("GET {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
                stream.write_all(request.as_bytes()).await.ok()?;
                let mut answer = String::new();
                stream.read_to_string(&mut answer).await.ok()?;
                answer.starts_with("HTTP/1.1 200 ").then_some(())
            });
            asked += 1;
            unanswered += usize::from(!matches!(answer.await, Ok(Some(()))));
            longest = longest.max(began.elapsed());
        }
        tokio::time::sleep(AGAIN).await;
    }
    (asked, unanswered, longest)
}

/// The 99th percentile of `/mutate`, where only honest callers ask, in seconds.
fn in_server(before: &str, after: &str) -> Option<f64> {
    let read = |text: &str| Buckets::read(text, "podfit_admission_duration_seconds", "entry=\"mutate\"");
    read(after).since(&read(before)).quantile(0.99)
}

/// A pod of 1.3 MB that runs as root, full of what Go writes in six bytes each.
fn large_root() -> Value {
    let mut pod = pod("registry.example/report:7");
    pod["metadata"]["annotations"] = json!({"a": "\u{1}".repeat(1_300_000)});
    pod["spec"]["containers"][0]["securityContext"] = json!({"runAsUser": 0});
    pod
}

/// Two thousand containers with everything wrong that there is.
fn thousands_of_findings() -> Value {
    let mut pod = pod("registry.example/report:7");
    let wrong = |n| {
        json!({"name": format!("c{n}"), "image": "a", "securityContext": {"runAsUser": 0, "runAsGroup": 0},
            "env": [{"name": "DB_PASSWORD", "value": "correct-horse"}, {"name": "API_TOKEN", "value": "battery-staple"}]})
    };
    pod["spec"]["containers"] = (0..2_000).map(wrong).collect();
    pod
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_attacks() {
    Siege::begin().await.withstands("nobody").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_pods_forty_at_a_time() {
    let mut siege = Siege::begin().await;
    siege.flood(40, &large_root());
    siege.withstands("40 pods of 1.3 MB, escaped").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_findings_in_each_pod() {
    let mut siege = Siege::begin().await;
    siege.flood(8, &thousands_of_findings());
    siege.withstands("thousands of findings").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_sockets_on_each_port() {
    let mut siege = Siege::begin().await;
    let metrics = siege.serve.metrics;
    // More than that port has places.
    siege.hold(3 * STRANGERS, Some(metrics), b"");
    siege.hold(STRANGERS, Some(metrics), b"GET /metrics HTTP/1.1\r\nHost: h\r\n\r\n");
    siege.hold(STRANGERS, None, b"");
    let webhook = siege.serve.webhook;
    siege.hold(STRANGERS, Some(webhook), b"");
    siege.withstands("idle sockets on each port").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_pod_of_18_mb() {
    let mut siege = Siege::begin().await;
    let mut pod = large_root();
    pod["metadata"]["annotations"] = json!({"a": "\u{1}".repeat(3_000_000)});
    siege.flood(1, &pod);
    siege.withstands("one pod of 18 MB, escaped").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_handshakes() {
    let mut siege = Siege::begin().await;
    let webhook = siege.serve.webhook;
    // The head of a TLS record, and of a ClientHello whose end does not come.
    siege.hold(STRANGERS, Some(webhook), b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03");
    siege.withstands("slow handshakes").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prefaces_of_http_2() {
    let mut siege = Siege::begin().await;
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    let metrics = siege.serve.metrics;
    siege.hold(STRANGERS, None, preface);
    siege.hold(STRANGERS, Some(metrics), preface);
    siege.withstands("prefaces of HTTP/2").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_read_bodies() {
    let mut siege = Siege::begin().await;
    let head =
        "POST /validate HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: 7000000\r\n\r\n";
    siege.hold(STRANGERS, None, &[head.as_bytes(), &vec![b' '; 1_000_000]].concat());
    siege.withstands("half-read bodies").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_headers() {
    let mut siege = Siege::begin().await;
    let metrics = siege.serve.metrics;
    siege.hold(STRANGERS, None, b"POST /mutate HTTP/1.1\r\nHost: h\r\nX-Slow: ");
    siege.hold(STRANGERS, Some(metrics), b"GET /livez HTTP/1.1\r\nX-Slow: ");
    siege.withstands("slow headers").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_2_is_not_spoken() {
    let siege = Siege::begin().await;
    let only = Tls { alpn: vec![b"h2".to_vec()], ..siege.tls() };
    let both = Tls { alpn: vec![b"h2".to_vec(), b"http/1.1".to_vec()], ..siege.tls() };
    assert!(siege.figures_only || only.connect(siege.serve.webhook).await.is_err());
    let answer = both.connect(siege.serve.webhook).await.unwrap().ask(&post("/validate", &banned("h"))).await;
    assert!(siege.figures_only || response(&answer.unwrap())["allowed"] == false);
}
