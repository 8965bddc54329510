//! What is still to be written, and when it is tried: kills that no object has yet, and objects to be said again.
//! Must not write anything.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::backoff::Backoff;
use crate::controller::watch::News;
use crate::recommendation::{Kill, KillSet};
use crate::workload::{Workload, WorkloadKey};

/// Longest wait between tries.
const LONGEST: Duration = Duration::from_secs(60);
/// Objects that are deleted together are written together, and not into a definition that goes with them.
const TOGETHER: Duration = Duration::from_millis(250);

/// Kills by workload and container.
pub(super) type Pending = BTreeMap<Workload, BTreeMap<String, KillSet>>;
/// Workloads whose objects are to be said again, with kills that they had taken in before, by container.
pub(super) type Again = BTreeMap<Workload, BTreeMap<String, Kill>>;

/// What is to be written.
#[derive(Debug)]
pub(super) struct Todo {
    pub(super) kills: Pending,
    pub(super) again: Again,
    due: Option<Instant>,
    waits: Backoff,
    /// The last try showed that nothing can be written now.
    is_held_up: bool,
}

impl Todo {
    pub(super) fn new() -> Self {
        let waits = Backoff::up_to(LONGEST);
        Self { kills: Pending::new(), again: Again::new(), due: None, waits, is_held_up: false }
    }

    /// Takes news in. Whoever does not lead keeps only what nobody else might write in the end: kills.
    pub(super) fn hear(&mut self, news: News, leading: bool) {
        if self.due().is_none() {
            self.done();
        }
        match news {
            News::Killed(WorkloadKey { workload, container }, kill) => {
                self.kills.entry(workload).or_default().entry(container).or_default().add(kill);
                self.within(Duration::ZERO);
            }
            News::TakenIn(workload, until) => {
                if let Some(kills) = self.kills.get_mut(&workload) {
                    for kills in kills.values_mut() {
                        kills.forget_until(until);
                    }
                    kills.retain(|_, kills| !kills.is_empty());
                    if kills.is_empty() {
                        self.kills.remove(&workload);
                    }
                }
                if let Some(kills) = self.again.get_mut(&workload) {
                    kills.retain(|_, kill| kill.at > until);
                    if kills.is_empty() && !leading {
                        self.again.remove(&workload);
                    }
                }
            }
            News::ToSayAgain(workload, kills) => {
                if leading || !kills.is_empty() {
                    self.again.entry(workload).or_default().extend(kills);
                    self.within(TOGETHER);
                }
            }
            News::Listed => {
                // Whatever was in the way may be no more.
                self.begin();
            }
            // There is nothing to write about it here.
            News::OfPod(_) => {}
        }
    }

    /// Objects that were refused.
    pub(super) fn add(&mut self, refused: impl IntoIterator<Item = Workload>) {
        let before = self.again.len();
        refused.into_iter().for_each(|workload| {
            self.again.entry(workload).or_default();
        });
        if self.again.len() > before {
            self.due = Some(Instant::now() + self.waits.failed());
        }
    }

    /// This replica begins to lead: everything is tried at once.
    pub(super) fn begin(&mut self) {
        self.done();
        self.due = Some(Instant::now());
    }

    /// When to write; `None` where there is nothing.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due.filter(|_| !self.kills.is_empty() || !self.again.is_empty())
    }

    /// A try is over. `held_up`: nothing could be written. What is left waits.
    pub(super) fn tried(&mut self, held_up: bool) {
        if self.due().is_some() {
            self.is_held_up = held_up;
            self.due = Some(Instant::now() + self.waits.failed());
        } else {
            self.done();
        }
    }

    fn done(&mut self) {
        (self.due, self.is_held_up) = (None, false);
        self.waits.worked();
    }

    fn within(&mut self, wait: Duration) {
        if !self.is_held_up {
            let soon = Instant::now() + wait;
            self.due = Some(self.due.map_or(soon, |due| due.min(soon)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workload(name: &str) -> Workload {
        Workload::parse("etl", &format!("cronjob/{name}")).unwrap()
    }

    fn kill(at: &str) -> Kill {
        Kill { limit: "1Gi".parse().unwrap(), at: at.parse().unwrap(), pod: "p".to_owned(), lowered_from: None }
    }

    fn killed(name: &str, at: &str) -> News {
        News::Killed(WorkloadKey { workload: workload(name), container: "main".to_owned() }, kill(at))
    }

    #[test]
    fn a_standby_keeps_no_kill_that_the_leader_has_taken_in() {
        let mut todo = Todo::new();
        todo.hear(killed("a", "2026-11-09T02:10:00Z"), false);
        todo.hear(killed("a", "2026-11-30T02:10:00Z"), false);
        todo.hear(killed("b", "2026-11-30T02:10:00Z"), false);
        todo.hear(News::TakenIn(workload("a"), "2026-11-09T02:10:00Z".parse().unwrap()), false);
        let left = todo.kills[&workload("a")]["main"].after(None).unwrap();
        assert_eq!(left, kill("2026-11-30T02:10:00Z"));
        todo.hear(News::TakenIn(workload("a"), "2026-11-30T02:10:00Z".parse().unwrap()), false);
        assert_eq!(todo.kills.keys().collect::<Vec<_>>(), [&workload("b")]);
    }

    #[test]
    fn of_deleted_objects_a_standby_keeps_the_kills_alone() {
        let mut todo = Todo::new();
        todo.hear(News::ToSayAgain(workload("a"), BTreeMap::new()), false);
        assert_eq!(todo.due(), None, "the leader writes it anew");
        let kills: BTreeMap<String, Kill> = [("main".to_owned(), kill("2026-11-30T02:10:00Z"))].into();
        todo.hear(News::ToSayAgain(workload("b"), kills.clone()), false);
        assert_eq!(todo.again.get(&workload("b")), Some(&kills));
        todo.hear(News::TakenIn(workload("b"), "2026-11-30T02:10:00Z".parse().unwrap()), false);
        assert!(todo.again.is_empty(), "the leader has written it");
    }

    #[test]
    fn news_do_not_hurry_what_is_held_up() {
        let mut todo = Todo::new();
        let is_due = |todo: &Todo| todo.due().is_some_and(|due| due <= Instant::now());
        let begun = Instant::now();
        todo.hear(killed("a", "2026-11-30T02:10:00Z"), true);
        assert!(is_due(&todo));
        todo.tried(false);
        assert!(todo.due().unwrap() >= begun + Duration::from_secs(1), "one that was refused waits");
        todo.hear(killed("b", "2026-11-30T02:10:00Z"), true);
        assert!(is_due(&todo), "another one does not");
        todo.tried(true);
        let later = todo.due().unwrap();
        assert!(later >= begun + Duration::from_secs(2), "longer each time");
        todo.hear(killed("c", "2026-11-30T02:10:00Z"), true);
        assert_eq!(todo.due(), Some(later));
        todo.hear(News::Listed, true);
        assert!(is_due(&todo));
    }
}
