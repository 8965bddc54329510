//! A client of one Prometheus-compatible server: chooses the transport, bounds concurrency, counts, and is a
//! [`SeriesSource`]. Knows nothing of the bytes on the wire.

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use super::answer::{ApiResponse, parse};
use super::capabilities::{Capabilities, Transport};
use super::config::{Config, Mode};
use super::error::Error;
use super::labels::Labels;
use super::limits::is_too_much;
use super::selector::{Matcher, Selector};
use super::series::{SeriesSource, TimeRange, changed_among, names_by_last, values_by_last};
use super::server::{Server, Stats};
use super::sink::{Halt, SampleStream, Sink};
use super::{probe, query, remote_read};

/// The longest list of label values that is read.
const VALUES_CAP: usize = 16 << 20;
/// A client. Cheap to clone; clones share connections, the probe's answer and the counters.
#[derive(Clone)]
pub struct Client {
    server: Arc<Server>,
}

impl Client {
    /// Checks the settings and reads the files they name; makes no request.
    pub fn new(config: &Config) -> Result<Self, Error> {
        Ok(Self { server: Arc::new(Server::new(config)?) })
    }

    /// What the server can do and which transport is used. Asked once; later calls return the same answer.
    pub async fn probe(&self) -> Result<&Capabilities, Error> {
        capabilities(&self.server).await
    }

    /// The server's warnings so far that do not mean that samples are missing; each once, at most 100.
    pub fn warnings(&self) -> Vec<String> {
        self.server.warnings()
    }

    /// Counters since the client was made.
    pub fn stats(&self) -> Stats {
        self.server.stats()
    }

    /// A list of names that the server has for some series.
    async fn listed(&self, path: &str, series: String, range: TimeRange) -> Result<Vec<String>, Error> {
        let params =
            [("match[]", series), ("start", query::seconds(range.start_ms)), ("end", query::seconds(range.end_ms))];
        let server = &*self.server;
        let _permit = server.permits.acquire().await;
        let ask = async || {
            let mut body = server.http.get(path, &params).await?.reject_page()?;
            body.read_all(VALUES_CAP).await
        };
        let bytes = server.http.retrying(ask, Error::is_transient).await?;
        let answer: ApiResponse<Vec<String>> = parse(&server.http, &bytes)?;
        // What an answer that is not whole does not name may be there.
        if let Some(words) = answer.missing() {
            let (url, message) = (server.http.shown().to_owned(), server.http.secrets.shown(&words));
            return Err(Error::Server { url, kind: "incomplete".to_owned(), message });
        }
        Ok(answer.data.unwrap_or_default())
    }

    /// Starts a task that fills a stream.
    fn stream<F>(&self, selector: &Selector, fill: F) -> SampleStream
    where
        F: for<'a> FnOnce(&'a Server, &'a Selector, &'a Sink) -> Filling<'a> + Send + 'static,
    {
        let (sink, stream) = Sink::new();
        let (server, selector) = (self.server.clone(), selector.clone());
        tokio::spawn(async move {
            let result = fill(&server, &selector, &sink).await;
            sink.end(result).await;
        });
        stream
    }
}

async fn transport(server: &Server) -> Result<Transport, Error> {
    Ok(match server.mode {
        Mode::Query => Transport::Query,
        Mode::RemoteRead | Mode::Auto => capabilities(server).await?.transport,
    })
}

async fn capabilities(server: &Server) -> Result<&Capabilities, Error> {
    server.capabilities.get_or_try_init(|| probe::probe(server)).await
}

async fn samples(server: &Server, selector: &Selector, range: TimeRange, sink: &Sink) -> Result<(), Halt> {
    let transport = transport(server).await?;
    let _permit = server.permits.acquire().await;
    match transport {
        Transport::Query => query::samples(server, selector, range, sink).await,
        Transport::RemoteRead(kind) => remote_read::samples(server, kind, selector, range, sink).await,
    }
}

async fn last(server: &Server, selector: &Selector, range: TimeRange, sink: &Sink) -> Result<(), Halt> {
    let _permit = server.permits.acquire().await;
    match server.mode {
        Mode::RemoteRead => {
            remote_read::last(server, capabilities(server).await?.remote_read, selector, range, sink).await
        }
        Mode::Auto | Mode::Query => query::last(server, selector, range, sink).await,
    }
}

/// The labels of all series of a stream.
async fn labels_of(mut stream: SampleStream) -> Result<Vec<Arc<Labels>>, Error> {
    let mut found = Vec::new();
    while let Some(chunk) = stream.recv().await {
        found.push(chunk?.labels);
    }
    Ok(found)
}

type Filling<'a> = Pin<Box<dyn Future<Output = Result<(), Halt>> + Send + 'a>>;

impl SeriesSource for Client {
    /// The stream ends with an error when the server fails after the retries. What came before it is valid: the caller
    /// may go on from there by asking for what is missing. Only requests of which nothing was delivered are repeated
    /// here.
    async fn samples(&self, selector: &Selector, range: TimeRange) -> Result<SampleStream, Error> {
        Ok(self.stream(selector, move |server, selector, sink| Box::pin(samples(server, selector, range, sink))))
    }

    async fn last(&self, selector: &Selector, range: TimeRange) -> Result<SampleStream, Error> {
        Ok(self.stream(selector, move |server, selector, sink| Box::pin(last(server, selector, range, sink))))
    }

    async fn streams_samples(&self) -> bool {
        matches!(transport(&self.server).await, Ok(Transport::RemoteRead(_)))
    }

    async fn changed(&self, selector: &Selector, range: TimeRange) -> Result<Vec<Arc<Labels>>, Error> {
        let most_ms = self.server.limits.longest_ms(&selector.metric);
        if self.server.mode != Mode::RemoteRead && (1..=most_ms).contains(&range.len_ms()) {
            let ask = self.stream(selector, move |server, selector, sink| {
                Box::pin(async move {
                    let _permit = server.permits.acquire().await;
                    query::changed(server, selector, range, sink).await
                })
            });
            match labels_of(ask).await {
                Err(error) if is_too_much(&error) => {}
                answer => return answer,
            }
        }
        changed_among(self.samples(selector, range).await?).await
    }

    async fn metric_names_present(
        &self,
        names: &[&str],
        range: TimeRange,
        matchers: &[Matcher],
    ) -> Result<BTreeSet<String>, Error> {
        if names.is_empty() {
            return Ok(BTreeSet::new());
        }
        let mut selector = Selector { metric: String::new(), matchers: Vec::new() }.one_of("__name__", names);
        selector.matchers.extend(matchers.iter().cloned());
        let values = self.listed("api/v1/label/__name__/values", selector.matchers_only(), range).await?;
        Ok(values.into_iter().filter(|n| names.contains(&n.as_str())).collect())
    }

    async fn label_names(&self, selector: &Selector, range: TimeRange) -> Result<BTreeSet<String>, Error> {
        // Not every server that can be read knows this.
        let Ok(names) = self.listed("api/v1/labels", selector.to_string(), range).await else {
            return names_by_last(self, selector, range).await;
        };
        // Others cannot stand in an address.
        let is_plain = |name: &String| name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        Ok(names.into_iter().filter(is_plain).collect())
    }

    async fn label_values(
        &self,
        label: &str,
        selector: &Selector,
        range: TimeRange,
    ) -> Result<BTreeSet<String>, Error> {
        match self.listed(&format!("api/v1/label/{label}/values"), selector.to_string(), range).await {
            Ok(values) => Ok(values.into_iter().collect()),
            Err(_) => values_by_last(self, label, selector, range).await,
        }
    }

    async fn count(&self, selector: &Selector, range: TimeRange, least: u64) -> Option<u64> {
        match self.server.mode {
            Mode::RemoteRead => None,
            Mode::Auto | Mode::Query => {
                let _permit = self.server.permits.acquire().await;
                query::count(&self.server, selector, range, least).await
            }
        }
    }

    fn take_incomplete(&self) -> Vec<String> {
        self.server.take_incomplete()
    }

    fn describe(&self) -> String {
        let shown = self.server.http.shown();
        match self.server.capabilities.get() {
            Some(capabilities) => format!("{} at {shown}", capabilities.product),
            None => shown.to_owned(),
        }
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("url", &self.server.http.shown()).field("mode", &self.server.mode).finish()
    }
}
