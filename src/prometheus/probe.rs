//! One look at a server: is it there, is it a Prometheus API, which product, what can it do, does its clock agree.
//! Asks only cheap questions and fetches no series.

use std::fmt;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::client::{Inner, choose};
use super::error::{Error, clean, tidy};
use super::number::parse_time;
use super::remote_read;

/// The longest answer of a probe.
const CAP: usize = 1 << 20;
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

/// Asks the server. The first failure that is not "this endpoint is missing" is the answer.
pub(crate) async fn probe(inner: &Inner) -> Result<Capabilities, Error> {
    let http = &inner.http;
    let clock_skew_ms = http.retrying(async || ask_time(inner).await, Error::is_transient).await?;
    let product = ask_product(inner).await;
    let remote_read = remote_read::probe(inner).await;
    let (transport, why) = choose(inner.mode, remote_read, http.shown())?;
    let found = Capabilities { product, remote_read, clock_skew_ms, transport, why };
    tracing::debug!(server = http.shown(), "{found}");
    Ok(found)
}

/// Runs the cheapest query: proves address and credentials, and tells the clock.
async fn ask_time(inner: &Inner) -> Result<Option<i64>, Error> {
    #[derive(Deserialize)]
    struct Scalar {
        result: (serde_json::Number, String),
    }
    let before = jiff::Timestamp::now().as_millisecond();
    let mut body = inner.http.ask("api/v1/query", &[("query", "time()".to_owned())]).await?.reject_page()?;
    let after = jiff::Timestamp::now().as_millisecond();
    let date = body.date_ms();
    let bytes = body.read_all(CAP).await?;
    let answer: ApiResponse<serde_json::Value> = parse(inner, &bytes)?;
    inner.warn(&answer.notes());
    let scalar = answer.data.and_then(|data| serde_json::from_value::<Scalar>(data).ok());
    let server = scalar.and_then(|s| parse_time(s.result.1.as_bytes())).or(date);
    Ok(server.map(|ms| ms - i64::midpoint(before, after)))
}

/// Product and version; unknown where the server does not say.
async fn ask_product(inner: &Inner) -> Product {
    #[derive(Deserialize)]
    struct Build {
        #[serde(default)]
        version: String,
        #[serde(default)]
        revision: String,
        #[serde(default)]
        application: String,
    }
    let unknown = Product { kind: ProductKind::Unknown, version: String::new() };
    let Ok(mut body) = inner.http.get("api/v1/status/buildinfo", &[]).await else { return unknown };
    // VictoriaMetrics names its host in every answer; the version it gives here is one that Grafana likes.
    let victoria = body.header("x-server-hostname").is_some();
    let Ok(bytes) = body.read_all(CAP).await else { return unknown };
    let Ok(ApiResponse { data: Some(build), .. }) = parse::<ApiResponse<Build>>(inner, &bytes) else { return unknown };
    let application = build.application.to_ascii_lowercase();
    let kind = if application.contains("mimir") || application.contains("cortex") {
        ProductKind::Mimir
    } else if victoria || application.contains("victoria") {
        ProductKind::VictoriaMetrics
    } else if application.contains("thanos") || build.version.trim_start_matches('v').starts_with("0.") {
        ProductKind::Thanos
    } else if !build.version.is_empty() && !build.revision.is_empty() && application.is_empty() {
        ProductKind::Prometheus
    } else {
        ProductKind::Unknown
    };
    let version = if kind == ProductKind::VictoriaMetrics { String::new() } else { clean(&build.version) };
    Product { kind, version }
}

/// Words for an answer of `VictoriaMetrics` that is not whole, which has none of its own.
pub(crate) const IS_PARTIAL: &str = "isPartial: true";

/// Whether a remark is on the query itself, which Prometheus marks. All others are about what the answer holds, and are
/// taken to mean that something is missing: part of a Thanos or a cluster did not answer, or results were cut.
pub(crate) fn is_of_query(note: &str) -> bool {
    note.starts_with("PromQL ")
}

/// A small answer of the API.
#[derive(Deserialize)]
pub(crate) struct ApiResponse<T> {
    status: String,
    pub data: Option<T>,
    #[serde(default)]
    error: String,
    #[serde(default, rename = "errorType")]
    kind: String,
    #[serde(default)]
    warnings: Vec<String>,
    #[serde(default, rename = "isPartial")]
    is_partial: bool,
}

impl<T> ApiResponse<T> {
    /// What the server says of something that the answer has not.
    pub(crate) fn missing(&self) -> Option<String> {
        let words = self.notes().into_iter().find(|note| !is_of_query(note));
        words.or_else(|| self.is_partial.then(|| IS_PARTIAL.to_owned()))
    }

    /// The server's warnings, cleaned.
    pub(crate) fn notes(&self) -> Vec<String> {
        self.warnings.iter().map(|w| tidy(w)).collect()
    }
}

/// Something that has a status.
pub(crate) trait HasStatus {
    /// The error when the status is not success.
    fn check(&self, url: &str) -> Result<(), Error>;
}

impl<T> HasStatus for ApiResponse<T> {
    fn check(&self, url: &str) -> Result<(), Error> {
        if self.status == "success" {
            return Ok(());
        }
        Err(Error::Server { url: url.to_owned(), kind: tidy(&self.kind), message: tidy(&self.error) })
    }
}

/// Parses a small answer and checks its status.
pub(crate) fn parse<T: DeserializeOwned + HasStatus>(inner: &Inner, bytes: &[u8]) -> Result<T, Error> {
    let url = inner.http.shown().to_owned();
    if super::refusal::is_page(bytes) {
        return Err(Error::NotPrometheus { url, what: "it answers with a web page".to_owned() });
    }
    let answer: T = serde_json::from_slice(bytes).map_err(|e| Error::NotPrometheus {
        url: url.clone(),
        what: format!("its answer is not that of the query API: {}", clean(&e.to_string())),
    })?;
    answer.check(&url).map_err(|error| inner.http.secrets.struck(error))?;
    Ok(answer)
}
