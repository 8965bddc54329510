//! The accept loop: connections, TLS handshakes, HTTP/1.1 on top of them, all bounded, until it is told to stop.
//! Must not know what is served: a router comes in.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::http::StatusCode;
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use super::activity::{ConnectionActivity, FeltBody, Look, TrackedStream};
use super::limits::Limits;
use super::metrics::Metrics;
use super::peers::{Guest, Peers};
use super::tls::Tls;

/// Longest head of a request: API servers send some 300 bytes.
const HEAD_BYTES: usize = 16 * 1_024;
/// Most bytes of a connection that are read at a time: what others wait for while a worker thread deciphers them.
const READ_BYTES: usize = 64 * 1_024;
/// Most headers of a request.
const HEADERS: usize = 64;
/// Pause after the system had no socket to give.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// One place in so many is kept free for who comes next.
const KEPT_FREE: usize = 8;
/// How long one that was told to give way is waited for before another one is told.
const GIVE_WAY: Duration = Duration::from_millis(5);

/// What is listened on, and what for.
pub struct Listener {
    /// The bound socket.
    pub socket: TcpListener,
    /// TLS; plain HTTP/1.1 without it.
    pub tls: Option<Tls>,
    /// What answers.
    pub router: Router,
    /// What bounds it.
    pub limits: Arc<Limits>,
    /// Where connections are counted; nowhere for the port of the metrics themselves.
    pub metrics: Option<Arc<Metrics>>,
}

/// What one connection needs to know.
struct Serving {
    tls: Option<Tls>,
    router: Router,
    limits: Arc<Limits>,
    metrics: Option<Arc<Metrics>>,
    stop: CancellationToken,
}

impl Listener {
    /// Serves until `stop`; then no connection is accepted, idle ones are closed, and it ends with the last request.
    pub async fn serve(self, stop: CancellationToken) {
        let places = Arc::new(Semaphore::new(self.limits.connections));
        let peers = Arc::new(Peers::default());
        let connections = TaskTracker::new();
        let serving = Arc::new(Serving {
            tls: self.tls,
            router: self.router,
            limits: self.limits,
            metrics: self.metrics,
            stop: stop.clone(),
        });
        let accepting = async {
            loop {
                match self.socket.accept().await {
                    Ok((stream, from)) => {
                        let guest = peers.welcome(from.ip());
                        let Some(place) = serving.place(&places, &peers, &guest).await else { return };
                        let serving = Arc::clone(&serving);
                        connections.spawn(async move {
                            let _place = place;
                            let _counted = serving.metrics.as_ref().map(|m| m.connected());
                            serving.connection(stream, &guest).await;
                        });
                        // Whoever was let in has a turn before anybody else is: a probe whose request has come along is
                        // answered, however many want its place.
                        tokio::task::yield_now().await;
                    }
                    Err(error) if is_of_one_connection(&error) => {}
                    Err(error) => {
                        tracing::warn!(%error, "no connection can be accepted");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                }
            }
        };
        tokio::select! {
            () = accepting => {}
            () = stop.cancelled() => {}
        }
        drop(self.socket);
        connections.close();
        connections.wait().await;
    }
}

fn is_of_one_connection(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// How a TLS handshake fails.
enum NoTls {
    /// It speaks plain HTTP.
    Plain(TcpStream),
    /// Both could not agree, or it went away.
    Refused,
}

impl Serving {
    /// A place for a new connection. Before the last ones are taken others are told to give way, so that a new one does
    /// not wait for that: a kubelet's probe comes from the same queue as a flood. `None` never comes: it would take a
    /// closed semaphore, and nobody closes it.
    async fn place(&self, places: &Arc<Semaphore>, peers: &Arc<Peers>, guest: &Guest) -> Option<OwnedSemaphorePermit> {
        let displaced = |count| (0..count).for_each(|_| self.metrics.iter().for_each(|m| m.displaced()));
        displaced(peers.hold_to(guest, self.limits.connections_per_peer));
        if places.available_permits() < self.limits.connections / KEPT_FREE {
            displaced(usize::from(peers.make_room(guest)));
        }
        if let Ok(place) = Arc::clone(places).try_acquire_owned() {
            return Some(place);
        }
        loop {
            displaced(usize::from(peers.make_room(guest)));
            if let Ok(place) = timeout(GIVE_WAY, Arc::clone(places).acquire_owned()).await {
                return place.ok();
            }
        }
    }

    async fn connection(&self, stream: TcpStream, guest: &Guest) {
        // Answers are one small write each; waiting for more to send would only delay them.
        let _ = stream.set_nodelay(true);
        let Some(tls) = &self.tls else { return self.http1(stream, guest).await };
        let failed = |cause| self.metrics.iter().for_each(|m| m.handshake_failed(cause));
        let handshake = timeout(self.limits.handshake, handshake(tls.acceptor(), stream));
        let handshake = tokio::select! {
            handshake = handshake => handshake,
            () = self.stop.cancelled() => return,
            () = guest.held.leave.notified() => return,
        };
        match handshake {
            Ok(Ok(stream)) => {
                guest.held.activity.shaken_hands();
                self.http1(stream, guest).await;
            }
            Ok(Err(NoTls::Refused)) => failed("refused"),
            Ok(Err(NoTls::Plain(stream))) => {
                failed("refused");
                let _ = timeout(self.limits.header, say_plainly(stream)).await;
            }
            Err(_) => failed("timeout"),
        }
    }

    async fn http1<S: AsyncRead + AsyncWrite + Unpin + Send>(&self, stream: S, guest: &Guest) {
        let activity = &guest.held.activity;
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            // See `activity`.
            .header_read_timeout(None)
            .max_header_size(HEAD_BYTES)
            .max_buf_size(READ_BYTES)
            .max_headers(HEADERS)
            .serve_connection(
                TokioIo::new(TrackedStream::new(stream, Arc::clone(activity))),
                service_fn(|request| self.answer(activity, request)),
            );
        let mut connection = std::pin::pin!(connection);
        let mut closing: Option<Instant> = None;
        let (header, idle) = (self.limits.header, self.limits.idle);
        let mut looks = tokio::time::interval(header.min(idle).max(Duration::from_millis(1)));
        // To its end: its own, ours, or the one of our patience.
        loop {
            tokio::select! {
                // First what has come: on a busy machine its time may be up before anybody has looked.
                biased;
                _ = connection.as_mut() => return,
                () = self.stop.cancelled(), if closing.is_none() => {
                    connection.as_mut().graceful_shutdown();
                    closing = Some(Instant::now());
                }
                () = guest.held.leave.notified() => {
                    // What came in the meantime is answered.
                    if activity.is_waiting() {
                        return;
                    }
                }
                _ = looks.tick() => match (activity.look(header, idle), closing) {
                    (Look::SlowHead, _) => return,
                    (Look::Idle, None) => {
                        connection.as_mut().graceful_shutdown();
                        closing = Some(Instant::now());
                    }
                    // It does not take what was sent to it.
                    (Look::Idle, Some(since)) if since.elapsed() >= header => return,
                    (Look::Alive, _) | (Look::Idle, Some(_)) => {}
                },
            }
        }
    }

    async fn answer(
        &self,
        activity: &Arc<ConnectionActivity>,
        request: hyper::Request<Incoming>,
    ) -> Result<axum::response::Response, std::convert::Infallible> {
        let _working = activity.request(!request.body().is_end_stream());
        let request = request.map(|body| Body::new(FeltBody::new(body, Arc::clone(activity))));
        let answer = self.router.clone().oneshot(request).await;
        if answer.as_ref().is_ok_and(|answer| answer.status() == StatusCode::OK) {
            activity.proves_itself();
        }
        answer
    }
}

async fn handshake(tls: TlsAcceptor, stream: TcpStream) -> Result<tokio_rustls::server::TlsStream<TcpStream>, NoTls> {
    // A TLS handshake begins with 0x16, a request with its method's first letter.
    let mut first = [0];
    let read = stream.peek(&mut first).await.map_err(|_| NoTls::Refused)?;
    if read == 1 && first[0].is_ascii_uppercase() {
        return Err(NoTls::Plain(stream));
    }
    tls.accept(stream).await.map_err(|_| NoTls::Refused)
}

/// For who left out the `s`.
async fn say_plainly(mut stream: TcpStream) {
    const ANSWER: &[u8] = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: text/plain\r\n\
        Content-Length: 32\r\n\r\npodfit: this port speaks https.\n";
    let _ = stream.write_all(ANSWER).await;
    let _ = stream.shutdown().await;
    // What it has sent is read, or the close would be a reset that takes the answer with it.
    let _ = tokio::io::copy(&mut tokio::io::AsyncReadExt::take(stream, 64 * 1_024), &mut tokio::io::sink()).await;
}
