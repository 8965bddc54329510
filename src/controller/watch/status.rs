//! How the watches are doing, for readiness, metrics and whoever asks why: read at any time, without a lock but for
//! words. Must not know what was seen.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::source::{Kind, Source};

/// How the watches are doing.
#[derive(Debug)]
pub struct WatchStatus {
    begun: Instant,
    ready: AtomicBool,
    published: AtomicU64,
    kinds: [KindStatus; Kind::ALL.len()],
    problems: Mutex<BTreeMap<Source, String>>,
}

/// Counters of one kind.
#[derive(Debug, Default)]
struct KindStatus {
    /// Milliseconds from the beginning to the last word from the API server, plus one; 0 = none yet.
    contact: AtomicU64,
    events: AtomicU64,
    lists: AtomicU64,
    unreadable: AtomicU64,
    failures: AtomicU64,
}

/// Counts of one kind, all since the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WatchCounts {
    /// Since the API server last said anything about it; since the start where it never did. Alone, nothing may be
    /// wrong up to some five minutes: where nothing changes, the API server is silent.
    pub since_contact: Duration,
    /// Objects that came, changed or went.
    pub events: u64,
    /// Times all of them were listed.
    pub lists: u64,
    /// Objects that could not be read.
    pub unreadable: u64,
    /// Requests that failed.
    pub failures: u64,
}

impl Default for WatchStatus {
    fn default() -> Self {
        Self {
            begun: Instant::now(),
            ready: AtomicBool::default(),
            published: AtomicU64::default(),
            kinds: Default::default(),
            problems: Mutex::default(),
        }
    }
}

impl WatchStatus {
    /// Whether everything was listed once, or refused: what is known then is all that can be known.
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    /// Times that changes were published.
    pub fn published(&self) -> u64 {
        self.published.load(Ordering::Relaxed)
    }

    /// Counts of a kind.
    pub fn of(&self, kind: Kind) -> WatchCounts {
        let status = self.kind(kind);
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let contact = Duration::from_millis(count(&status.contact).saturating_sub(1));
        WatchCounts {
            since_contact: self.begun.elapsed().saturating_sub(contact),
            events: count(&status.events),
            lists: count(&status.lists),
            unreadable: count(&status.unreadable),
            failures: count(&status.failures),
        }
    }

    /// What keeps watches from working now, a line each; empty where all is well.
    pub fn problems(&self) -> Vec<String> {
        self.problems.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    pub(super) fn contact(&self, kind: Kind) {
        let since = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.kind(kind).contact.fetch_max(since.saturating_add(1), Ordering::Relaxed);
    }

    pub(super) fn event(&self, kind: Kind) {
        self.kind(kind).events.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn listed(&self, kind: Kind) {
        self.kind(kind).lists.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn unreadable(&self, kind: Kind) {
        self.kind(kind).unreadable.fetch_add(1, Ordering::Relaxed);
    }

    /// Takes note of what is wrong with a watch; true where that is news and should be said.
    pub(super) fn failed(&self, source: &Source, problem: &str) -> bool {
        self.kind(source.kind).failures.fetch_add(1, Ordering::Relaxed);
        let mut problems = self.problems.lock().unwrap_or_else(PoisonError::into_inner);
        let known = problems.get(source).is_some_and(|known| known == problem);
        if !known {
            problems.insert(source.clone(), problem.to_owned());
        }
        !known
    }

    /// A watch works; true where it did not.
    pub(super) fn works(&self, source: &Source) -> bool {
        self.problems.lock().unwrap_or_else(PoisonError::into_inner).remove(source).is_some()
    }

    pub(super) fn was_published(&self) {
        self.published.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn set_ready(&self) {
        self.ready.store(true, Ordering::Release);
    }

    const fn kind(&self, kind: Kind) -> &KindStatus {
        &self.kinds[kind as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_news_once_until_it_works_again() {
        let (status, source) = (WatchStatus::default(), Source { kind: Kind::Node, namespace: None });
        assert!(!status.works(&source), "nothing was wrong");
        assert_eq!([status.failed(&source, "a"), status.failed(&source, "a")], [true, false]);
        assert!(status.failed(&source, "b"));
        assert_eq!(status.problems(), ["b"]);
        assert_eq!([status.works(&source), status.works(&source)], [true, false]);
        assert!(status.problems().is_empty());
        assert!(status.failed(&source, "b"));
        assert_eq!((status.of(Kind::Node).failures, status.of(Kind::Job).failures), (4, 0));
    }
}
