//! One server as its client knows it: how it is asked, what it remarked, which sizes it refused, and what went over the
//! wire. Sends nothing itself.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OnceCell, Semaphore};

use super::answer::{IS_PARTIAL, is_of_query};
use super::capabilities::Capabilities;
use super::config::{Config, Mode};
use super::error::Error;
use super::http::Http;
use super::limits::Limits;
use super::sample::TimeRange;
use super::slices::Slices;

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

/// A server as one client knows it: how it is asked, what it said, what it refused.
pub(crate) struct Server {
    pub http: Http,
    pub mode: Mode,
    pub timeout: Duration,
    slice: Duration,
    max_samples_hint: u64,
    pub permits: Semaphore,
    pub capabilities: OnceCell<Capabilities>,
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

impl Server {
    pub(crate) fn new(config: &Config) -> Result<Self, Error> {
        Ok(Self {
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
        })
    }

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
            notes.iter().cloned().partition(|note| is_of_query(note));
        self.warn(&of_query);
        if is_partial && of_answer.is_empty() {
            of_answer.push(IS_PARTIAL.to_owned());
        }
        let mut incomplete = self.incomplete.lock().unwrap_or_else(PoisonError::into_inner);
        for note in of_answer {
            let note = self.http.secrets.shown(&note);
            if incomplete.len() < WARNINGS && !incomplete.contains(&note) {
                incomplete.insert(note);
            }
        }
    }

    /// The warnings so far, each once.
    pub(crate) fn warnings(&self) -> Vec<String> {
        self.warnings.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// What it said of answers in which something was missing, since the last call.
    pub(crate) fn take_incomplete(&self) -> Vec<String> {
        let mut incomplete = self.incomplete.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *incomplete).into_iter().collect()
    }

    /// Counters since it was first asked.
    pub(crate) fn stats(&self) -> Stats {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            requests: get(&self.http.requests),
            retries: get(&self.http.retried),
            bytes: get(&self.http.bytes),
            samples: get(&self.samples),
            histograms_skipped: get(&self.histograms),
        }
    }
}
