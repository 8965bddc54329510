//! Until when this replica leads. Depends on the local clock alone: a replica that was frozen, or whose election is
//! late, stops leading when its term ends, whatever it was doing.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use jiff::Timestamp;

/// Shared by who takes part in the election and who writes as the leader. By the replica's own clock.
#[derive(Clone, Debug)]
pub struct Term {
    begun: Instant,
    /// Milliseconds since then; 0 = it does not lead.
    until_ms: Arc<AtomicU64>,
    /// When this replica last brought recommendations up to date, in seconds since the epoch; 0 = never.
    learned: Arc<AtomicI64>,
}

impl Default for Term {
    fn default() -> Self {
        Self { begun: Instant::now(), until_ms: Arc::default(), learned: Arc::default() }
    }
}

impl Term {
    /// Whether this replica leads at this moment.
    pub fn holds(&self) -> bool {
        self.begun.elapsed() < Duration::from_millis(self.until_ms.load(Ordering::Acquire))
    }

    /// Recommendations were brought up to date.
    pub(in crate::controller) fn has_learned(&self, at: Timestamp) {
        self.learned.store(at.as_second(), Ordering::Release);
    }

    /// When that was last.
    pub(super) fn learned(&self) -> Option<Timestamp> {
        let seconds = self.learned.load(Ordering::Acquire);
        Timestamp::from_second(seconds).ok().filter(|_| seconds > 0)
    }

    /// The moment that its times are counted from.
    pub(super) const fn begun(&self) -> Instant {
        self.begun
    }

    /// It leads until then; `None` = it does not.
    pub(in crate::controller) fn lasts_until(&self, until: Option<Duration>) {
        let ms = until.map_or(0, |until| u64::try_from(until.as_millis()).unwrap_or(u64::MAX));
        self.until_ms.store(ms, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_term_is_over_by_itself() {
        let term = Term::default();
        let other = term.clone();
        assert!(!other.holds(), "nobody has written a lease");
        term.lasts_until(Some(Duration::from_secs(3_600)));
        assert!(other.holds());
        term.lasts_until(Some(Duration::ZERO));
        assert!(!other.holds());
        term.lasts_until(Some(Duration::from_secs(3_600)));
        term.lasts_until(None);
        assert!(!other.holds());
    }
}
