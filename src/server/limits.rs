//! How much the server takes on and how long it waits: every bound of it, with the reason of its default.
//! Must not know who is bounded by them.

use std::time::Duration;

/// Bounds of a server.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections at a time; above it none is accepted until one ends. API servers keep 25 idle ones each (client-go).
    pub connections: usize,
    /// Reviews at a time; what comes above it is shed at once. As many as connections: an HTTP/1.1 client has one on
    /// each, and what they may hold in memory is bounded by [`Limits::buffered_bytes`].
    pub in_flight: usize,
    /// Reviews of more than [`Limits::large_bytes`] that are decided at a time. One of 7 MiB can need a tenth of a
    /// second and, as JSON values, a hundred MiB.
    pub large_in_flight: usize,
    /// Bodies above this many bytes are decided on a thread of their own. Below, a decision takes less time than it
    /// costs to hand it over; above, it would keep all connections of a worker thread waiting.
    pub large_bytes: usize,
    /// Longest body, in bytes. API servers take objects of 3 MiB and send the object with its old form.
    pub body_bytes: usize,
    /// Bytes of all bodies that are held at a time.
    pub buffered_bytes: usize,
    /// Longest TLS handshake.
    pub handshake: Duration,
    /// Longest time from a request's first byte to the end of its headers; up to twice as long, since it is looked at
    /// in steps of this.
    pub header: Duration,
    /// Longest time for a body to arrive.
    pub body: Duration,
    /// How long a connection may be silent. Above the 90 s after which API servers close theirs (Go's transport), so
    /// that no request crosses with the close.
    pub idle: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 1_000,
            in_flight: 1_000,
            large_in_flight: 2,
            large_bytes: 512 * 1_024,
            body_bytes: 7 * 1_024 * 1_024,
            buffered_bytes: 128 * 1_024 * 1_024,
            handshake: Duration::from_secs(5),
            header: Duration::from_secs(2),
            body: Duration::from_secs(10),
            idle: Duration::from_secs(120),
        }
    }
}

impl Limits {
    /// For the plain port of health and metrics: a few callers, no bodies.
    pub fn for_metrics() -> Self {
        Self { connections: 64, ..Self::default() }
    }
}
