//! What a connection is doing: waiting for a request, in the middle of its headers or its body, or working on it.
//! Must not know HTTP: it counts bytes and requests. hyper's own header timeout also runs while a connection is idle,
//! and would close the connections that API servers keep open.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use hyper::body::{Body, Incoming};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The state of one connection.
#[derive(Debug)]
pub struct ConnectionActivity {
    opened: Instant,
    state: AtomicU8,
    /// Milliseconds from `opened` to when it last changed.
    changed: AtomicU64,
    /// It was told to give way, and has not begun to work since.
    told: AtomicBool,
    /// It has brought a request that was answered well.
    proven: AtomicBool,
}

/// Connected, in a handshake, or with bytes of a request whose headers have not ended.
const HEAD: u8 = 0;
/// Between two requests.
const IDLE: u8 = 1;
/// The headers are there, the body is not.
const BODY: u8 = 2;
/// A request is worked on.
const WORK: u8 = 3;

/// What is to be done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// Nothing.
    Alive,
    /// Its headers do not come.
    SlowHead,
    /// It has been silent for long.
    Idle,
}

impl ConnectionActivity {
    /// Of a connection that is new: it is opened for a request.
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            opened: Instant::now(),
            state: AtomicU8::new(HEAD),
            changed: AtomicU64::new(0),
            told: AtomicBool::new(false),
            proven: AtomicBool::new(false),
        })
    }

    fn now(&self, state: u8) {
        self.changed.store(u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX), Relaxed);
        self.state.store(state, Relaxed);
    }

    /// The handshake is done: the time of the first request's headers begins.
    pub fn shaken_hands(&self) {
        self.now(HEAD);
    }

    fn bytes_came(&self) {
        if self.state.load(Relaxed) == IDLE {
            self.now(HEAD);
        }
    }

    /// A request's headers are there; it is worked on until the guard is dropped, first on reading its body where it
    /// has one.
    pub fn request(self: &Arc<Self>, has_body: bool) -> Working {
        self.now(if has_body { BODY } else { WORK });
        Working(Arc::clone(self))
    }

    /// All of the body is there. What is left of a body that was answered before its end is nobody's work.
    pub fn body_came(&self) {
        if self.state.compare_exchange(BODY, WORK, Relaxed, Relaxed).is_ok() {
            self.told.store(false, Relaxed);
            self.now(WORK);
        }
    }

    /// Since when it has been waiting for its peer; `None` while it works, or where it was told to leave.
    pub fn waits_since(&self) -> Option<Instant> {
        let waits = self.is_waiting() && !self.told.load(Relaxed);
        waits.then(|| self.opened + Duration::from_millis(self.changed.load(Relaxed)))
    }

    /// Whether it waits for its peer.
    pub fn is_waiting(&self) -> bool {
        self.state.load(Relaxed) != WORK
    }

    /// It has brought a request that was answered well.
    pub fn proves_itself(&self) {
        self.proven.store(true, Relaxed);
    }

    /// Whether it ever has.
    pub fn is_proven(&self) -> bool {
        self.proven.load(Relaxed)
    }

    /// It is to give way.
    pub fn told_to_leave(&self) {
        self.told.store(true, Relaxed);
    }

    /// How it looks. Bytes between two requests are the next one's head.
    pub fn look(&self, header: Duration, idle: Duration) -> Look {
        let silent = self.opened.elapsed().saturating_sub(Duration::from_millis(self.changed.load(Relaxed)));
        match self.state.load(Relaxed) {
            HEAD if silent >= header => Look::SlowHead,
            IDLE if silent >= idle => Look::Idle,
            _ => Look::Alive,
        }
    }
}

/// A request that is being worked on.
#[derive(Debug)]
pub struct Working(Arc<ConnectionActivity>);

impl Drop for Working {
    fn drop(&mut self) {
        self.0.now(IDLE);
    }
}

/// A stream whose bytes are felt.
#[derive(Debug)]
pub struct TrackedStream<S> {
    stream: S,
    activity: Arc<ConnectionActivity>,
}

impl<S> TrackedStream<S> {
    /// Feels this stream.
    pub const fn new(stream: S, activity: Arc<ConnectionActivity>) -> Self {
        Self { stream, activity }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for TrackedStream<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.activity.bytes_came();
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for TrackedStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }
}

/// A request's body that is felt to have come to its end.
#[derive(Debug)]
pub struct FeltBody {
    body: Incoming,
    activity: Arc<ConnectionActivity>,
}

impl FeltBody {
    /// Feels this body.
    pub const fn new(body: Incoming, activity: Arc<ConnectionActivity>) -> Self {
        Self { body, activity }
    }
}

impl Body for FeltBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<hyper::body::Frame<Bytes>, hyper::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if matches!(polled, Poll::Ready(None)) {
            self.activity.body_came();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Duration = Duration::ZERO;
    const LONG: Duration = Duration::from_secs(3_600);

    #[test]
    fn heads_and_silence_are_told_apart() {
        let activity = ConnectionActivity::new();
        assert_eq!(activity.look(NONE, LONG), Look::SlowHead, "it was opened and nothing comes");
        let working = activity.request(true);
        assert_eq!(activity.look(NONE, NONE), Look::Alive, "a body and work have their own bounds");
        activity.bytes_came();
        drop(working);
        assert_eq!(activity.look(NONE, LONG), Look::Alive, "bytes during work were its body");
        assert_eq!(activity.look(LONG, NONE), Look::Idle);
        activity.bytes_came();
        assert_eq!(activity.look(NONE, LONG), Look::SlowHead);
        assert_eq!(activity.look(LONG, NONE), Look::Alive);
    }

    #[test]
    fn who_waits_for_a_body_waits_and_who_has_it_works() {
        let activity = ConnectionActivity::new();
        assert!(activity.is_waiting());
        let working = activity.request(true);
        assert!(activity.waits_since().is_some());
        activity.told_to_leave();
        assert!(activity.waits_since().is_none() && activity.is_waiting(), "it is told once");
        activity.body_came();
        assert!(!activity.is_waiting());
        drop(working);
        assert!(activity.waits_since().is_some(), "work that came in between has saved it");
    }
}
