//! How long to wait before something that failed is tried again: longer each time, up to a bound. Must not know a clock.

use std::time::Duration;

const FIRST: Duration = Duration::from_secs(1);

/// The waits of one thing that may fail.
#[derive(Clone, Copy, Debug)]
pub(super) struct Backoff {
    next: Duration,
    most: Duration,
}

impl Backoff {
    /// Never waits longer than `most`.
    pub(super) fn up_to(most: Duration) -> Self {
        Self { next: FIRST.min(most), most }
    }

    /// It failed: so long.
    pub(super) fn failed(&mut self) -> Duration {
        let now = self.next;
        self.next = (now * 2).min(self.most);
        now
    }

    /// It worked.
    pub(super) fn worked(&mut self) {
        self.next = FIRST.min(self.most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_bound_and_begin_anew() {
        let mut waits = Backoff::up_to(Duration::from_secs(5));
        assert_eq!([waits.failed(), waits.failed(), waits.failed(), waits.failed()].map(|w| w.as_secs()), [1, 2, 4, 5]);
        waits.worked();
        assert_eq!(waits.failed().as_secs(), 1);
        assert_eq!(Backoff::up_to(Duration::from_millis(300)).failed().as_millis(), 300);
    }
}
