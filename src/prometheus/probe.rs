//! One look at a server: is it there, is it a Prometheus API, which product, what can it do, does its clock agree.
//! Asks only cheap questions and fetches no series.

use serde::Deserialize;

use super::answer::{ApiResponse, parse};
use super::capabilities::{Capabilities, Product, ProductKind, RemoteRead, Transport};
use super::config::Mode;
use super::error::{Error, clean};
use super::number::parse_time;
use super::remote_read;
use super::server::Server;

/// The longest answer of a probe.
const CAP: usize = 1 << 20;
/// Asks the server. The first failure that is not "this endpoint is missing" is the answer.
pub(crate) async fn probe(server: &Server) -> Result<Capabilities, Error> {
    let http = &server.http;
    let clock_skew_ms = http.retrying(async || ask_time(server).await, Error::is_transient).await?;
    let product = ask_product(server).await;
    let remote_read = remote_read::probe(server).await;
    let (transport, why) = choose(server.mode, remote_read, http.shown())?;
    let found = Capabilities { product, remote_read, clock_skew_ms, transport, why };
    tracing::debug!(server = http.shown(), "{found}");
    Ok(found)
}

/// Runs the cheapest query: proves address and credentials, and tells the clock.
async fn ask_time(server: &Server) -> Result<Option<i64>, Error> {
    #[derive(Deserialize)]
    struct Scalar {
        result: (serde_json::Number, String),
    }
    let before = jiff::Timestamp::now().as_millisecond();
    let mut body = server.http.ask("api/v1/query", &[("query", "time()".to_owned())]).await?.reject_page()?;
    let after = jiff::Timestamp::now().as_millisecond();
    let date = body.date_ms();
    let bytes = body.read_all(CAP).await?;
    let answer: ApiResponse<serde_json::Value> = parse(&server.http, &bytes)?;
    server.warn(&answer.notes());
    let scalar = answer.data.and_then(|data| serde_json::from_value::<Scalar>(data).ok());
    let server = scalar.and_then(|s| parse_time(s.result.1.as_bytes())).or(date);
    Ok(server.map(|ms| ms - i64::midpoint(before, after)))
}

/// Product and version; unknown where the server does not say.
async fn ask_product(server: &Server) -> Product {
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
    let Ok(mut body) = server.http.get("api/v1/status/buildinfo", &[]).await else { return unknown };
    // VictoriaMetrics names its host in every answer; the version it gives here is one that Grafana likes.
    let victoria = body.header("x-server-hostname").is_some();
    let Ok(bytes) = body.read_all(CAP).await else { return unknown };
    let Ok(ApiResponse { data: Some(build), .. }) = parse::<ApiResponse<Build>>(&server.http, &bytes) else {
        return unknown;
    };
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

/// The transport for a mode, and why.
fn choose(mode: Mode, remote_read: RemoteRead, shown: &str) -> Result<(Transport, &'static str), Error> {
    match (mode, remote_read) {
        (Mode::Query, _) => Ok((Transport::Query, "asked for")),
        (Mode::Auto, RemoteRead::Streamed) => {
            Ok((Transport::RemoteRead(RemoteRead::Streamed), "the server offers it, and it is the fastest"))
        }
        (Mode::Auto, RemoteRead::Samples) => {
            Ok((Transport::Query, "the server's remote read does not stream, so it would have to be held in memory"))
        }
        (Mode::Auto, RemoteRead::None) => Ok((Transport::Query, "the server offers no remote read")),
        (Mode::RemoteRead, RemoteRead::None) => {
            Err(Error::NoRemoteRead { url: shown.to_owned(), why: "it does not answer at /api/v1/read".to_owned() })
        }
        (Mode::RemoteRead, kind) => Ok((Transport::RemoteRead(kind), "asked for")),
    }
}
