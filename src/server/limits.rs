//! How much the server takes on and how long it waits: every bound of it, with the reason of its default.
//! Must not know who is bounded by them.

use std::time::Duration;

/// Bounds of a server.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections at a time. When all are taken, a new one takes the place of one that waits (see `peers`). API
    /// servers keep 25 idle ones each (client-go).
    pub connections: usize,
    /// Connections of one peer address at a time: above it, its new ones take the place of its own. An API server has
    /// at most as many requests at a time as its own flags allow, 600 by default (`--max-requests-inflight`), few of
    /// which are about pods.
    pub connections_per_peer: usize,
    /// Reviews at a time; what comes above it is shed at once. As many as connections: an HTTP/1.1 client has one on
    /// each, and what they may hold in memory is bounded by [`Limits::buffered_bytes`].
    pub in_flight: usize,
    /// Reviews of more than [`Limits::large_bytes`] that are decided at a time; others wait for their turn, as long as
    /// the API server does. The largest one needs a tenth of a second and, with what is read of both of its objects,
    /// some 70 MiB.
    pub large_in_flight: usize,
    /// Bodies above this many bytes are decided on a thread of their own, which gives way to all others. Below, a
    /// decision takes less time than it costs to hand it over; above, it would keep all connections of a worker thread
    /// waiting.
    pub large_bytes: usize,
    /// Longest body, in bytes: no pod that is stored makes a longer one. etcd takes 1.5 MiB (`--max-request-bytes`), in
    /// protobuf. As JSON a text grows up to six times, since Go writes `<` as `\u003c`; names of fields make more only
    /// of lists of all but empty objects, eight times at most of what a pod has. An update sends the old object too: 2
    /// × 8 × 1.5 MiB.
    pub body_bytes: usize,
    /// Bytes of every body that need no room in [`Limits::buffered_bytes`]: whoever fills that up keeps out no pod of a
    /// usual size. Bounded by [`Limits::connections`].
    pub free_bytes: usize,
    /// Bytes of all bodies that are held at a time, without the first ones of each.
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
            connections_per_peer: 600,
            in_flight: 1_000,
            large_in_flight: 2,
            large_bytes: 128 * 1_024,
            body_bytes: 24 * 1_024 * 1_024,
            free_bytes: 64 * 1_024,
            buffered_bytes: 96 * 1_024 * 1_024,
            handshake: Duration::from_secs(5),
            header: Duration::from_secs(2),
            body: Duration::from_secs(10),
            idle: Duration::from_secs(120),
        }
    }
}

impl Limits {
    /// For the plain port of health and metrics: a few callers, no bodies. There are many more places than callers, so
    /// that a probe is answered before it would have to give way to a flood.
    pub fn for_metrics() -> Self {
        Self { connections: 512, connections_per_peer: 384, ..Self::default() }
    }
}
