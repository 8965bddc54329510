//! What a server is and can do, in types and in words.

use std::fmt;

/// A clock difference that is worth a word, milliseconds.
const SKEW_MS: i64 = 30_000;

/// The software behind an address, as far as it tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProductKind {
    /// Prometheus itself.
    Prometheus,
    /// Grafana Mimir, or Cortex.
    Mimir,
    /// Thanos Query.
    Thanos,
    /// `VictoriaMetrics`.
    VictoriaMetrics,
    /// Something with the same API.
    Unknown,
}

/// Product and version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Product {
    /// Which.
    pub kind: ProductKind,
    /// Version as the server says it; empty when it does not.
    pub version: String,
}

impl fmt::Display for Product {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            ProductKind::Prometheus => "Prometheus",
            ProductKind::Mimir => "Mimir",
            ProductKind::Thanos => "Thanos",
            ProductKind::VictoriaMetrics => "VictoriaMetrics",
            ProductKind::Unknown => "Prometheus-compatible server",
        })?;
        if self.version.is_empty() { Ok(()) } else { write!(f, " {}", self.version) }
    }
}

/// Which remote read a server offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RemoteRead {
    /// Encoded chunks, streamed.
    Streamed,
    /// Decoded samples in one message.
    Samples,
    /// None.
    None,
}

/// How raw samples are fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// `/api/v1/read`.
    RemoteRead(RemoteRead),
    /// `/api/v1/query`.
    Query,
}

/// What a probe found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Product and version.
    pub product: Product,
    /// Remote read on offer.
    pub remote_read: RemoteRead,
    /// The server's clock minus ours, milliseconds; `None` when it does not tell.
    pub clock_skew_ms: Option<i64>,
    /// The transport in use.
    pub transport: Transport,
    /// Why this one.
    pub why: &'static str,
}

impl fmt::Display for Capabilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let transport = match self.transport {
            Transport::RemoteRead(RemoteRead::Streamed) => "streamed remote read",
            Transport::RemoteRead(_) => "remote read of samples",
            Transport::Query => "query API",
        };
        write!(f, "{}, by {transport} ({})", self.product, self.why)?;
        match self.clock_skew_ms {
            Some(skew) if skew.abs() >= SKEW_MS => {
                let direction = if skew > 0 { "ahead of" } else { "behind" };
                write!(f, "; its clock is {} s {direction} this one", skew.abs() / 1000)
            }
            _ => Ok(()),
        }
    }
}
