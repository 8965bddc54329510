//! How an instance ended and what it was given, from what is known of its pod.
//! Pure; measures nothing.
//!
//! A container's end is told in two ways: as the reason why it is not running, and, once it runs again, as the reason
//! of its last end. Both are dated, so each belongs to the instance in which it falls: the first to the instance before
//! it, the second to the instance before the one that runs at its time. A container that waits to be started again
//! shows its own end as its last.

use super::dated::{Dated, Said};
use super::instance::{Instance, InstanceKey};
use super::pod_object::{ContainerObject, PodObject};
use super::quiet::SILENCE_MS;
use crate::history::{Doubt, HeldUntil, Outcome, Resources, Run};

/// Exit code of a Spark executor whose heap was full (`SparkExitCode.OOM`).
pub(super) const SPARK_HEAP_EXHAUSTED: i32 = 52;
/// A last end that is first said this long after a container's first sample is of a restart that its samples hide.
const RESTART_AFTER_MS: i64 = 120_000;
/// The kernel's word for "no limit" is a number that no machine has.
const NO_LIMIT: u64 = 1 << 62;

/// The other instances of an instance's container, as first and last sample, milliseconds since the epoch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Around {
    /// Whether one was before it.
    pub before: bool,
    /// Those after it, in the order of time.
    pub later: Vec<(i64, i64)>,
}

impl Around {
    /// Of the instance with these samples among all instances of its container. Series of the same time are of the same
    /// instance.
    pub fn of((first_ms, last_ms): (i64, i64), all: &[(i64, i64)]) -> Self {
        let is_later = |(first, last): &(i64, i64)| *first > first_ms && *last > last_ms;
        let mut later: Vec<_> = all.iter().copied().filter(is_later).collect();
        later.sort_unstable();
        Self { before: all.iter().any(|(first, last)| *first < first_ms && *last < last_ms), later }
    }
}

/// What is known of an instance's end, and of what it was given.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "each says another thing, and none rules another out")]
pub(super) struct Told {
    /// How it ended.
    pub outcome: Outcome,
    /// Whether it is over.
    pub ended: bool,
    /// When its pod's last container finished, milliseconds since the epoch.
    pub completed_ms: Option<i64>,
    /// Requests and limits; where they changed, the last.
    pub resources: Resources,
    held: Vec<HeldUntil>,
    exit_code: Option<i32>,
    killed_children: u32,
    succeeded: bool,
    are_merged: bool,
    evicted: bool,
}

impl Told {
    /// Of an instance that began at `started_ms` and has samples from `first_ms` to `last_ms`.
    pub fn of(
        key: &InstanceKey,
        instance: &Instance,
        object: Option<&PodObject>,
        around: &Around,
        (started_ms, first_ms, last_ms): (i64, i64, i64),
        seen_until_ms: i64,
    ) -> Self {
        let container = object.and_then(|o| o.containers.get(&key.container));
        let is_latest = around.later.is_empty();
        let end = container.map(|c| End::of(c, around, (first_ms, last_ms), key.cgroup.is_empty())).unwrap_or_default();
        let completed_ms = object.and_then(|o| o.completed_ms).filter(|c| *c > started_ms);
        let silent = seen_until_ms - last_ms > SILENCE_MS;
        let pod = |is: fn(&PodObject) -> bool| is_latest && object.is_some_and(is);
        let (succeeded, failed) = (pod(|o| o.succeeded), pod(|o| o.failed));
        let evicted = pod(|o| o.evicted);
        let over = end.reason.is_some() || completed_ms.is_some() || succeeded || failed || evicted;
        let ended = !is_latest || over || silent;
        let outcome = match end.reason {
            Some("OOMKilled") => Outcome::OomKilled,
            Some("Completed") => Outcome::Completed,
            Some(_) => Outcome::Failed,
            None if evicted => Outcome::Failed,
            None if succeeded => Outcome::Completed,
            None if failed => Outcome::Failed,
            None if ended => Outcome::Unknown,
            None => Outcome::Running,
        };
        let mut held = container.map(|c| c.held.clone()).unwrap_or_default();
        let mut resources = container.map(|c| c.resources).unwrap_or_default();
        limit_in_force(&mut resources, instance.limit_in_force_bytes);
        narrow(&mut held, &mut resources, (started_ms, last_ms.max(completed_ms.unwrap_or(last_ms))));
        // The kill that ended the container is among those that the kernel counts.
        let own = u32::from(outcome == Outcome::OomKilled);
        Self {
            outcome,
            ended,
            completed_ms,
            resources,
            held,
            // Whoever is evicted is killed too, and not for its own limit.
            exit_code: end.exit_code.filter(|_| !evicted),
            killed_children: instance.oom_events().saturating_sub(own),
            succeeded,
            are_merged: end.are_merged,
            evicted,
        }
    }

    /// Of a container that nobody sampled.
    pub fn unseen(container: Option<&ContainerObject>, object: &PodObject, (started_ms, ended_ms): (i64, i64)) -> Self {
        let around = Around::default();
        let end = container.map(|c| End::of(c, &around, (started_ms, ended_ms), true)).unwrap_or_default();
        let outcome = match end.reason {
            Some("OOMKilled") => Outcome::OomKilled,
            Some("Completed") => Outcome::Completed,
            Some(_) => Outcome::Failed,
            None if object.evicted || object.failed => Outcome::Failed,
            None if object.succeeded => Outcome::Completed,
            None => Outcome::Unknown,
        };
        let mut held = container.map(|c| c.held.clone()).unwrap_or_default();
        let mut resources = container.map(|c| c.resources).unwrap_or_default();
        narrow(&mut held, &mut resources, (started_ms, ended_ms));
        Self {
            outcome,
            ended: true,
            completed_ms: object.completed_ms,
            resources,
            held,
            exit_code: end.exit_code.filter(|_| !object.evicted),
            killed_children: 0,
            succeeded: object.succeeded,
            are_merged: false,
            evicted: object.evicted,
        }
    }

    /// Writes into the run what is told beside its times, its sizes and its outcome.
    pub fn note(self, run: &mut Run) {
        if self.exit_code == Some(SPARK_HEAP_EXHAUSTED) {
            run.jvm.get_or_insert_default().heap_exhausted = true;
        }
        if self.are_merged {
            run.doubt(Doubt::LivesMerged);
        }
        if self.evicted {
            run.doubt(Doubt::Evicted);
        }
        if self.exit_code.is_some() || self.killed_children > 0 || self.succeeded || !self.held.is_empty() {
            let observation = run.observation.get_or_insert_default();
            observation.exit_code = self.exit_code;
            observation.killed_children = self.killed_children;
            observation.succeeded = self.succeeded;
            observation.held = self.held;
        }
    }
}

/// How one instance of a container ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct End<'a> {
    reason: Option<&'a str>,
    exit_code: Option<i32>,
    /// It hides a restart.
    are_merged: bool,
}

impl<'a> End<'a> {
    /// `hides_restarts`: nothing in the series tells the instances of a container apart.
    fn of(
        container: &'a ContainerObject,
        around: &Around,
        (first_ms, last_ms): (i64, i64),
        hides_restarts: bool,
    ) -> Self {
        let next_ms = around.later.first().map_or(i64::MAX, |(first, _)| first - 1);
        let own = container.ended.last_within(first_ms, next_ms).map(|said| &said.value);
        let reason = own.or_else(|| last_end(&container.last_ended, &container.ended, around, last_ms));
        let mut end = Self {
            reason: reason.map(String::as_str),
            exit_code: last_end(&container.last_exit, &container.ended, around, last_ms).copied(),
            are_merged: false,
        };
        if hides_restarts && !around.before {
            end.with_hidden(container, (first_ms, last_ms.min(next_ms)));
        }
        end
    }

    /// Ends that fall between its samples: several instances were taken for one. A kill is not hidden by what came
    /// after.
    fn with_hidden(&mut self, container: &'a ContainerObject, (first_ms, last_ms): (i64, i64)) {
        let restarted = container
            .last_ended
            .iter()
            .filter(|said| said.from_ms > first_ms.saturating_add(RESTART_AFTER_MS) && said.from_ms <= last_ms);
        let stopped = container.ended.iter().filter(|said| said.from_ms > first_ms && said.until_ms < last_ms);
        for hidden in restarted.chain(stopped) {
            self.are_merged = true;
            if hidden.value == "OOMKilled" {
                self.reason = Some("OOMKilled");
            }
        }
    }
}

/// What is said of an instance's end as the last end of its container: `said` of why or how it ended, `ended` of when
/// it was not running.
fn last_end<'a, T: Ord + Clone>(
    said: &'a Dated<T>,
    ended: &Dated<String>,
    around: &Around,
    last_ms: i64,
) -> Option<&'a T> {
    let stopped_at = |at_ms: i64| ended.last_within(at_ms, at_ms).is_some();
    let found = match around.later.as_slice() {
        // Nobody saw it run again. What is said for the first time after its last sample is its own; where another
        // instance was before it, and it is said beside its own end, it is that one's.
        [] => said
            .last_within(last_ms, i64::MAX)
            .filter(|said| said.from_ms > last_ms && !(around.before && stopped_at(said.from_ms))),
        // While the next instance ran, the last end was this one's; after it, as long as its own end was said beside
        // it.
        [(next_first, next_last), rest @ ..] => {
            let until_ms = rest.first().map_or(i64::MAX, |(first, _)| first - 1);
            let beside =
                |said: &Said<T>| ended.last_within(said.from_ms.max(*next_last), said.until_ms.min(until_ms)).is_some();
            said.last_within(*next_first, *next_last)
                .or_else(|| said.last_within(*next_last, until_ms).filter(|said| beside(said)))
        }
    };
    found.map(|said| &said.value)
}

/// What the kernel holds a container to outranks what its pod's spec says: a resize may be deferred or refused.
fn limit_in_force(resources: &mut Resources, limit_bytes: Option<u64>) {
    let Some(limit) = limit_bytes.filter(|limit| (1..NO_LIMIT).contains(limit)) else { return };
    resources.memory_limit_bytes = Some(limit);
    resources.memory_request_bytes = resources.memory_request_bytes.map(|request| request.min(limit));
}

/// Leaves of what held, one after the other, only what held between two times.
pub(super) fn narrow(held: &mut Vec<HeldUntil>, last: &mut Resources, (from_ms, until_ms): (i64, i64)) {
    held.retain(|held| held.until_ms > from_ms);
    if let Some(at) = held.iter().position(|held| held.until_ms > until_ms) {
        *last = held[at].resources;
        held.truncate(at);
    }
}

/// Makes of what is told of an instance what is told of one of its days: the sizes of its time and the kills of that
/// day, and how it ended only of the last.
pub(super) fn of_day(run: &mut Run, instance: &Instance, day: i64, is_last: bool) {
    let Some(observation) = &mut run.observation else { return };
    narrow(&mut observation.held, &mut run.resources, (run.started_ms, run.ended_ms));
    let own = u32::from(is_last && run.outcome == Outcome::OomKilled);
    let kills: u32 = instance.oom_days.iter().filter(|(seen, _)| *seen == day).map(|(_, kills)| kills).sum();
    observation.killed_children = kills.saturating_sub(own);
    if !is_last {
        (observation.exit_code, observation.succeeded) = (None, false);
    }
    if **observation == crate::history::Observation::default() {
        run.observation = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000;
    const MIB: u64 = 1 << 20;

    fn container(ended: &[(i64, &str)], last: &[(i64, i64, &str)]) -> ContainerObject {
        let mut container = ContainerObject::default();
        for (minute, reason) in ended {
            container.ended.say(minute * MINUTE, (*reason).to_owned());
        }
        for (from, until, reason) in last {
            for minute in *from..=*until {
                container.last_ended.say(minute * MINUTE, (*reason).to_owned());
            }
        }
        container.ended.seal();
        container.last_ended.seal();
        container
    }

    /// How each of the instances ended, given as first and last minute.
    fn ends<'a>(container: &'a ContainerObject, instances: &[(i64, i64)]) -> Vec<Option<&'a str>> {
        let instances: Vec<_> = instances.iter().map(|(first, last)| (first * MINUTE, last * MINUTE)).collect();
        instances
            .iter()
            .map(|instance| End::of(container, &Around::of(*instance, &instances), *instance, false).reason)
            .collect()
    }

    #[test]
    fn a_reason_belongs_to_the_life_in_which_it_falls() {
        let three = [(0, 10), (12, 22), (24, 40)];
        let told = container(&[(41, "Completed")], &[(13, 23, "Error"), (25, 45, "OOMKilled")]);
        assert_eq!(ends(&told, &three), [Some("Error"), Some("OOMKilled"), Some("Completed")]);
        // A kill of the first instance is nothing to the second, which still runs.
        let told = container(&[(11, "OOMKilled")], &[(13, 40, "OOMKilled")]);
        assert_eq!(ends(&told, &[(0, 10), (12, 39)]), [Some("OOMKilled"), None]);
        // A container that waits to be started again shows its own end as its last.
        let told = container(&[], &[(13, 22, "Error"), (24, 60, "OOMKilled")]);
        assert_eq!(ends(&told, &[(0, 10), (12, 22)]), [Some("Error"), Some("OOMKilled")]);
        // The second ended before anybody saw it beside the first one's end.
        let told = container(&[(20, "Completed")], &[(20, 25, "OOMKilled")]);
        assert_eq!(ends(&told, &[(0, 10), (12, 13)]), [Some("OOMKilled"), Some("Completed")]);
    }

    #[test]
    fn an_exit_code_said_after_the_only_life_is_its_own() {
        let mut told = container(&[(11, "Error")], &[]);
        told.last_exit.say(11 * MINUTE, 137);
        let end = End::of(&told, &Around::default(), (0, 10 * MINUTE), false);
        assert_eq!((end.reason, end.exit_code), (Some("Error"), Some(137)));
        // What is said while it runs is of an instance before it.
        let mut told = container(&[], &[]);
        told.last_exit.say(5 * MINUTE, 1);
        assert_eq!(End::of(&told, &Around::default(), (0, 10 * MINUTE), false).exit_code, None);
    }

    #[test]
    fn the_limit_in_force_outranks_what_the_spec_asks_for() {
        let spec = Resources {
            memory_request_bytes: Some(22_000 * MIB),
            memory_limit_bytes: Some(22_000 * MIB),
            ..Resources::default()
        };
        let with = |limit: Option<u64>| {
            let mut resources = spec;
            limit_in_force(&mut resources, limit);
            (resources.memory_request_bytes, resources.memory_limit_bytes)
        };
        assert_eq!(with(Some(64 * MIB)), (Some(64 * MIB), Some(64 * MIB)));
        assert_eq!(with(Some(0)), (spec.memory_request_bytes, spec.memory_limit_bytes), "0 is no limit or not known");
        assert_eq!(with(Some(u64::MAX >> 1)), with(None));
    }

    #[test]
    fn a_part_of_a_run_has_the_sizes_of_its_time() {
        let of = |gib: u64| Resources { memory_limit_bytes: Some(gib << 30), ..Resources::default() };
        let all = [HeldUntil { until_ms: 10, resources: of(8) }, HeldUntil { until_ms: 20, resources: of(4) }];
        let part = |from_ms, until_ms| {
            let (mut held, mut last) = (all.to_vec(), of(1));
            narrow(&mut held, &mut last, (from_ms, until_ms));
            (held.len(), last)
        };
        assert_eq!(part(0, 30), (2, of(1)));
        assert_eq!(part(12, 30), (1, of(1)));
        assert_eq!(part(0, 15), (1, of(4)));
        assert_eq!(part(25, 30), (0, of(1)));
        assert_eq!(part(0, 5), (0, of(8)));
    }
}
