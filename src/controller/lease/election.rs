//! Who leads, decided as Kubernetes' own components do it (`client-go` `tools/leaderelection`): a lease counts as held
//! for as long as it is seen to change, by the observer's own clock. Must not know a server, nor compare the clocks of
//! two machines: what another has written into a lease is only ever compared with what it wrote before.

use std::time::Duration;

use serde_json::Value;

/// How long a lease holds without being renewed.
pub const LEASE: Duration = Duration::from_secs(15);
/// How long a leader tries to renew before it steps down: less than [`LEASE`], so that it has stopped before another
/// begins.
pub const RENEW_DEADLINE: Duration = Duration::from_secs(10);
/// How often it is renewed, or looked at.
pub const RETRY: Duration = Duration::from_secs(2);

/// A lease as it is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Who holds it; empty = nobody.
    pub holder: String,
    /// When it was renewed, in the holder's own words.
    pub renewed: String,
    /// How often it changed hands.
    pub transitions: i64,
    /// The object's metadata, for writing: its version, and what others have put there.
    pub metadata: Value,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Create it: there is none.
    Create,
    /// Write it with oneself as holder. `taking` = it was another's.
    Write {
        /// It changes hands.
        taking: bool,
    },
    /// Leave it: another holds it.
    Wait,
}

/// What one replica has seen of the lease. Times are since any fixed moment, by a clock that does not jump.
#[derive(Clone, Debug, Default)]
pub struct Observer {
    seen: Option<(Record, Duration)>,
    renewed_at: Option<Duration>,
}

impl Observer {
    /// Looks at the lease and says what to do. `me` is this replica.
    pub fn look(&mut self, record: Option<&Record>, me: &str, now: Duration) -> Step {
        let Some(record) = record else {
            self.seen = None;
            return Step::Create;
        };
        let same = self
            .seen
            .as_ref()
            .is_some_and(|(seen, _)| (&seen.holder, &seen.renewed) == (&record.holder, &record.renewed));
        if !same {
            self.seen = Some((record.clone(), now));
        }
        let unchanged_for = self.seen.as_ref().map_or(Duration::ZERO, |(_, since)| now.saturating_sub(*since));
        if record.holder == me {
            Step::Write { taking: false }
        } else if record.holder.is_empty() || unchanged_for >= LEASE {
            Step::Write { taking: true }
        } else {
            Step::Wait
        }
    }

    /// A write was stored; it was begun at `now`.
    pub fn wrote(&mut self, now: Duration) {
        self.renewed_at = Some(now);
    }

    /// It is another's, as was just seen.
    pub fn lost(&mut self) {
        self.renewed_at = None;
    }

    /// Until when this replica leads where it writes the lease no more; `None` where it has not written it.
    pub fn leads_until(&self) -> Option<Duration> {
        self.renewed_at.map(|at| at + RENEW_DEADLINE)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    impl Observer {
        fn leads(&self, now: Duration) -> bool {
            self.leads_until().is_some_and(|until| now < until)
        }
    }

    fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn record(holder: &str, renewed: &str) -> Record {
        Record { holder: holder.to_owned(), renewed: renewed.to_owned(), ..Record::default() }
    }

    #[test]
    fn a_lease_that_changes_is_left_alone_and_one_that_does_not_is_taken() {
        let mut b = Observer::default();
        assert_eq!(b.look(None, "b", secs(0)), Step::Create);
        assert_eq!(b.look(Some(&record("a", "1")), "b", secs(1)), Step::Wait);
        assert_eq!(b.look(Some(&record("a", "2")), "b", secs(14)), Step::Wait);
        assert_eq!(b.look(Some(&record("a", "2")), "b", secs(28)), Step::Wait, "it changed 14 s ago");
        assert_eq!(b.look(Some(&record("a", "2")), "b", secs(29)), Step::Write { taking: true });
        assert_eq!(b.look(Some(&record("", "2")), "b", secs(30)), Step::Write { taking: true }, "it was given up");
        assert_eq!(b.look(Some(&record("b", "3")), "b", secs(31)), Step::Write { taking: false });
    }

    #[test]
    fn the_clock_of_the_holder_does_not_matter() {
        let mut b = Observer::default();
        assert_eq!(b.look(Some(&record("a", "1999-01-01T00:00:00Z")), "b", secs(100)), Step::Wait);
        assert_eq!(b.look(Some(&record("a", "2999-01-01T00:00:00Z")), "b", secs(110)), Step::Wait);
        assert_eq!(b.look(Some(&record("a", "2999-01-01T00:00:00Z")), "b", secs(125)), Step::Write { taking: true });
    }

    #[test]
    fn who_cannot_renew_steps_down_before_another_may_begin() {
        let mut a = Observer::default();
        a.wrote(secs(5));
        assert!(a.leads(secs(14)));
        assert!(!a.leads(secs(15)));
        assert!(RENEW_DEADLINE + RETRY < LEASE);
        a.wrote(secs(16));
        a.lost();
        assert!(!a.leads(secs(16)));
    }

    proptest! {
        /// Two replicas that look every two seconds at a lease that both can write, one of them cut off now and then.
        #[test]
        fn never_two_lead_at_once(cut in proptest::collection::vec(any::<bool>(), 60), offset in 0_u64..2_000) {
            let mut lease: Option<Record> = None;
            let mut replicas = [Observer::default(), Observer::default()];
            for (turn, cut) in cut.iter().enumerate() {
                for (index, name) in ["a", "b"].into_iter().enumerate() {
                    let now = secs(2 * turn as u64) + Duration::from_millis(offset * index as u64);
                    // The first one is cut off from the server at times.
                    if index == 0 && *cut {
                        continue;
                    }
                    let step = replicas[index].look(lease.as_ref(), name, now);
                    match step {
                        Step::Wait => replicas[index].lost(),
                        Step::Create | Step::Write { .. } => {
                            lease = Some(record(name, &format!("{now:?}")));
                            replicas[index].wrote(now);
                        }
                    }
                    let other = &replicas[1 - index];
                    prop_assert!(!(replicas[index].leads(now) && other.leads(now)), "both lead at {:?}", now);
                }
            }
        }
    }
}
