//! What a connection is doing: waiting for a request, in the middle of its headers, or working on it.
//! Must not know HTTP: it counts bytes and requests. hyper's own header timeout also runs while a connection is idle,
//! and would close the connections that API servers keep open.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The state of one connection.
#[derive(Debug)]
pub struct Pulse {
    opened: Instant,
    /// Whether bytes of a request have come whose headers have not ended.
    in_head: AtomicBool,
    requests: AtomicU32,
    /// Milliseconds from `opened` to when it last changed.
    changed: AtomicU64,
}

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

impl Pulse {
    /// Of a connection that is new: it is opened for a request.
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            opened: Instant::now(),
            in_head: AtomicBool::new(true),
            requests: AtomicU32::new(0),
            changed: AtomicU64::new(0),
        })
    }

    fn changed(&self) {
        self.changed.store(u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX), Relaxed);
    }

    fn bytes_came(&self) {
        if self.requests.load(Relaxed) == 0 && !self.in_head.swap(true, Relaxed) {
            self.changed();
        }
    }

    /// A request's headers are there; it is worked on until the guard is dropped.
    pub fn request(self: &Arc<Self>) -> Working {
        self.requests.fetch_add(1, Relaxed);
        self.in_head.store(false, Relaxed);
        Working(Arc::clone(self))
    }

    /// How it looks. With `one_by_one`, requests come one after the other, and bytes between them are a request's head.
    pub fn look(&self, one_by_one: bool, header: Duration, idle: Duration) -> Look {
        if self.requests.load(Relaxed) > 0 {
            return Look::Alive;
        }
        let silent = self.opened.elapsed().saturating_sub(Duration::from_millis(self.changed.load(Relaxed)));
        let in_head = one_by_one && self.in_head.load(Relaxed);
        match in_head {
            true if silent >= header => Look::SlowHead,
            false if silent >= idle => Look::Idle,
            _ => Look::Alive,
        }
    }
}

/// A request that is being worked on.
#[derive(Debug)]
pub struct Working(Arc<Pulse>);

impl Drop for Working {
    fn drop(&mut self) {
        self.0.changed();
        self.0.requests.fetch_sub(1, Relaxed);
    }
}

/// A stream whose bytes are felt.
#[derive(Debug)]
pub struct Felt<S> {
    stream: S,
    pulse: Arc<Pulse>,
}

impl<S> Felt<S> {
    /// Feels this stream.
    pub const fn new(stream: S, pulse: Arc<Pulse>) -> Self {
        Self { stream, pulse }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Felt<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.pulse.bytes_came();
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Felt<S> {
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

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Duration = Duration::ZERO;
    const LONG: Duration = Duration::from_secs(3_600);

    #[test]
    fn heads_and_silence_are_told_apart() {
        let pulse = Pulse::new();
        assert_eq!(pulse.look(true, NONE, LONG), Look::SlowHead, "it was opened and nothing comes");
        let working = pulse.request();
        assert_eq!(pulse.look(true, NONE, NONE), Look::Alive, "work has its own bounds");
        pulse.bytes_came();
        drop(working);
        assert_eq!(pulse.look(true, NONE, LONG), Look::Alive, "bytes during work were its body");
        assert_eq!(pulse.look(true, LONG, NONE), Look::Idle);
        pulse.bytes_came();
        assert_eq!(pulse.look(true, NONE, LONG), Look::SlowHead);
        assert_eq!(pulse.look(true, LONG, NONE), Look::Alive);
        assert_eq!(pulse.look(false, NONE, LONG), Look::Alive, "HTTP/2 sends frames between requests");
    }
}
