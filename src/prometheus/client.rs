//! A client of one Prometheus-compatible server: chooses the transport, bounds concurrency, counts, and is a
//! [`SeriesSource`]. Knows nothing of the bytes on the wire.

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OnceCell, Semaphore};

use super::config::{Config, Mode};
use super::error::Error;
use super::http::Http;
use super::labels::Labels;
use super::limits::{Limits, is_too_much};
use super::probe::{Capabilities, RemoteRead, Transport};
use super::selector::{MatchOp, Matcher, Selector};
use super::series::{SeriesSource, TimeRange, changed_among, names_by_last, values_by_last};
use super::sink::{Halt, SampleStream, Sink};
use super::slices::Slices;
use super::{probe, query, remote_read};

/// The longest list of label values that is read.
const VALUES_CAP: usize = 16 << 20;
/// Different server warnings that are kept.
const WARNINGS: usize = 100;

/// What went over the wire so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Requests sent, retries included.
    pub requests: u64,
    /// Retries among them.
    pub retries: u64,
    /// Bytes of the bodies of whole answers, after decompression.
    pub bytes: u64,
    /// Samples inside the ranges asked for.
    pub samples: u64,
    /// Native histogram samples or chunks that were skipped.
    pub histograms_skipped: u64,
}

/// A client. Cheap to clone; clones share connections, the probe's answer and the counters.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

/// What all clones share.
pub(crate) struct Inner {
    pub http: Http,
    pub mode: Mode,
    pub timeout: Duration,
    slice: Duration,
    max_samples_hint: u64,
    permits: Semaphore,
    capabilities: OnceCell<Capabilities>,
    /// The server stores chunks that this version cannot decode: let it decode them itself from now on.
    pub foreign_chunks: AtomicBool,
    samples: AtomicU64,
    histograms: AtomicU64,
    warnings: Mutex<BTreeSet<String>>,
    /// What the server said of answers in which something was missing, since that was last asked for.
    incomplete: Mutex<BTreeSet<String>>,
    /// Which sizes the server refused.
    pub limits: Limits,
}

impl Inner {
    pub(crate) fn slices(&self, range: TimeRange) -> Slices {
        Slices::new(range, self.slice, self.max_samples_hint)
    }

    pub(crate) fn count(&self, bytes: u64, samples: u64, histograms: u64) {
        self.http.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.samples.fetch_add(samples, Ordering::Relaxed);
        self.histograms.fetch_add(histograms, Ordering::Relaxed);
    }

    pub(crate) fn warn(&self, notes: &[String]) {
        for note in notes {
            let note = self.http.secrets.shown(note);
            let mut warnings = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
            if warnings.len() < WARNINGS && !warnings.contains(&note) {
                tracing::warn!(server = self.http.shown(), "the server warns: {note}");
                warnings.insert(note);
            }
        }
    }

    /// Takes in what the server remarked on samples that it sent.
    pub(crate) fn remark(&self, notes: &[String], is_partial: bool) {
        let (of_query, mut of_answer): (Vec<String>, Vec<String>) =
            notes.iter().cloned().partition(|note| probe::is_of_query(note));
        self.warn(&of_query);
        if is_partial && of_answer.is_empty() {
            of_answer.push(probe::IS_PARTIAL.to_owned());
        }
        let mut incomplete = self.incomplete.lock().unwrap_or_else(PoisonError::into_inner);
        for note in of_answer {
            let note = self.http.secrets.shown(&note);
            if incomplete.len() < WARNINGS && !incomplete.contains(&note) {
                incomplete.insert(note);
            }
        }
    }

    async fn transport(&self) -> Result<Transport, Error> {
        Ok(match self.mode {
            Mode::Query => Transport::Query,
            Mode::RemoteRead | Mode::Auto => self.capabilities().await?.transport,
        })
    }

    async fn capabilities(&self) -> Result<&Capabilities, Error> {
        self.capabilities.get_or_try_init(|| probe::probe(self)).await
    }

    async fn samples(&self, selector: &Selector, range: TimeRange, sink: &Sink) -> Result<(), Halt> {
        let transport = self.transport().await?;
        let _permit = self.permits.acquire().await;
        match transport {
            Transport::Query => query::samples(self, selector, range, sink).await,
            Transport::RemoteRead(kind) => remote_read::samples(self, kind, selector, range, sink).await,
        }
    }

    async fn last(&self, selector: &Selector, range: TimeRange, sink: &Sink) -> Result<(), Halt> {
        let _permit = self.permits.acquire().await;
        match self.mode {
            Mode::RemoteRead => {
                remote_read::last(self, self.capabilities().await?.remote_read, selector, range, sink).await
            }
            Mode::Auto | Mode::Query => query::last(self, selector, range, sink).await,
        }
    }
}

impl Client {
    /// Checks the settings and reads the files they name; makes no request.
    pub fn new(config: &Config) -> Result<Self, Error> {
        Ok(Self {
            inner: Arc::new(Inner {
                http: Http::new(config)?,
                mode: config.mode,
                timeout: config.timeout,
                slice: config.slice,
                max_samples_hint: config.max_samples_hint,
                permits: Semaphore::new(config.concurrency.clamp(1, 256)),
                capabilities: OnceCell::new(),
                foreign_chunks: AtomicBool::new(false),
                samples: AtomicU64::new(0),
                histograms: AtomicU64::new(0),
                warnings: Mutex::default(),
                incomplete: Mutex::default(),
                limits: Limits::default(),
            }),
        })
    }

    /// What the server can do and which transport is used. Asked once; later calls return the same answer.
    pub async fn probe(&self) -> Result<&Capabilities, Error> {
        self.inner.capabilities().await
    }

    /// The server's warnings so far that do not mean that samples are missing; each once, at most 100.
    pub fn warnings(&self) -> Vec<String> {
        self.inner.warnings.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// Counters since the client was made.
    pub fn stats(&self) -> Stats {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            requests: get(&self.inner.http.requests),
            retries: get(&self.inner.http.retried),
            bytes: get(&self.inner.http.bytes),
            samples: get(&self.inner.samples),
            histograms_skipped: get(&self.inner.histograms),
        }
    }

    /// A list of names that the server has for some series.
    async fn listed(&self, path: &str, series: String, range: TimeRange) -> Result<Vec<String>, Error> {
        let params =
            [("match[]", series), ("start", query::seconds(range.start_ms)), ("end", query::seconds(range.end_ms))];
        let inner = &*self.inner;
        let _permit = inner.permits.acquire().await;
        let ask = async || {
            let mut body = inner.http.get(path, &params).await?.reject_page()?;
            body.read_all(VALUES_CAP).await
        };
        let bytes = inner.http.retrying(ask, Error::is_transient).await?;
        let answer: probe::ApiResponse<Vec<String>> = probe::parse(inner, &bytes)?;
        // What an answer that is not whole does not name may be there.
        if let Some(words) = answer.missing() {
            let (url, message) = (inner.http.shown().to_owned(), inner.http.secrets.shown(&words));
            return Err(Error::Server { url, kind: "incomplete".to_owned(), message });
        }
        Ok(answer.data.unwrap_or_default())
    }

    /// Starts a task that fills a stream.
    fn stream<F>(&self, selector: &Selector, fill: F) -> SampleStream
    where
        F: for<'a> FnOnce(&'a Inner, &'a Selector, &'a Sink) -> Filling<'a> + Send + 'static,
    {
        let (sink, stream) = Sink::new();
        let (inner, selector) = (self.inner.clone(), selector.clone());
        tokio::spawn(async move {
            let result = fill(&inner, &selector, &sink).await;
            sink.end(result).await;
        });
        stream
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
        Ok(self.stream(selector, move |inner, selector, sink| Box::pin(inner.samples(selector, range, sink))))
    }

    async fn last(&self, selector: &Selector, range: TimeRange) -> Result<SampleStream, Error> {
        Ok(self.stream(selector, move |inner, selector, sink| Box::pin(inner.last(selector, range, sink))))
    }

    async fn streams_samples(&self) -> bool {
        matches!(self.inner.transport().await, Ok(Transport::RemoteRead(_)))
    }

    async fn changed(&self, selector: &Selector, range: TimeRange) -> Result<Vec<Arc<Labels>>, Error> {
        let most_ms = self.inner.limits.longest_ms(&selector.metric);
        if self.inner.mode != Mode::RemoteRead && (1..=most_ms).contains(&range.len_ms()) {
            let ask = self.stream(selector, move |inner, selector, sink| {
                Box::pin(async move {
                    let _permit = inner.permits.acquire().await;
                    query::changed(inner, selector, range, sink).await
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
        match self.inner.mode {
            Mode::RemoteRead => None,
            Mode::Auto | Mode::Query => {
                let _permit = self.inner.permits.acquire().await;
                query::count(&self.inner, selector, range, least).await
            }
        }
    }

    fn take_incomplete(&self) -> Vec<String> {
        let mut incomplete = self.inner.incomplete.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *incomplete).into_iter().collect()
    }

    fn describe(&self) -> String {
        let shown = self.inner.http.shown();
        match self.inner.capabilities.get() {
            Some(capabilities) => format!("{} at {shown}", capabilities.product),
            None => shown.to_owned(),
        }
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("url", &self.inner.http.shown()).field("mode", &self.inner.mode).finish()
    }
}

/// The transport for a mode, and why.
pub(crate) fn choose(mode: Mode, remote_read: RemoteRead, shown: &str) -> Result<(Transport, &'static str), Error> {
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

/// The matchers of a selector for one metric, in the order remote read wants.
pub(crate) fn all_matchers(selector: &Selector) -> impl Iterator<Item = (&str, MatchOp, &str)> {
    std::iter::once(("__name__", MatchOp::Equal, selector.metric.as_str()))
        .chain(selector.matchers.iter().map(|m| (m.label.as_str(), m.op, m.value.as_str())))
}
