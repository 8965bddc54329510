//! An instance cut at UTC midnights: what each day of it saw, while it is put together, and the runs of a history that
//! come of it. Pure; knows samples and runs, no labels and no queries.
//!
//! # Services
//! A pod of a Deployment, StatefulSet or DaemonSet lives for weeks, so its life is no run: it would be running until
//! long after somebody needed to know its size. So such an instance is cut at UTC midnights (UTC has no daylight
//! saving, so every day has 24 hours), and each day of each replica, or the part of one between start and end, is one
//! run of the history: VPA, too, keeps one memory peak of a container for 24 hours. A day that is over while the
//! container goes on ([`Outcome::GoesOn`]) is evidence that its size was enough; today's is still running; how an
//! instance ended, a kill above all, belongs to the last day that has a sample. A day begins at midnight or with its
//! container, never with the first sample that was read, so that any two collections mean the same day by the same
//! start, and what one has told is only joined with what the other tells.
//!
//! - Memory of a day is its highest sample. The kernel's high-water mark is since the container's start and read once a
//!   collection: it does not say on which day it rose, and of a process that lives long it is page cache for the most
//!   part. So it counts only where an instance began and ended on one day.
//! - CPU of a day is the counter's differences; those of an interval across midnight go to both days by its parts.
//!   Beside the mean the busy time is kept: over every five minutes, the width that recommenders of services take their
//!   rates over, the mean; and of these what 95 of 100 do not exceed. A gap longer than [`SILENCE_MS`] says nothing of
//!   them.
//! - Throttling is known as a share of all periods since the container's start, as it was when the day was read.
//! - A controller that nobody knows may make either: its pods' instances are cut once they have lived for a day. So may
//!   Flink, whose jobs end or stream on: there it is two days, as a cluster that is deployed anew every night makes
//!   runs. What a process said of its heap so far is said of each of its days: too much evidence of need, never too
//!   little.

use super::day::{CpuDay, DAY_MS};
use super::instance::Instance;
use super::outcome;
use super::plausible::{self, Frame};
use crate::history::{Day, Doubt, MemoryUse, Observation, Outcome, PeakSource, Run, ScaledOn};
use crate::workload::Kind;

/// Whether a workload's containers live until somebody stops them. `pod_owner` is the kind of what made the pod, where
/// the workload itself does not tell; `lived_ms` how long this one has lived.
pub(super) fn is_service(kind: Kind, pod_owner: Option<&str>, lived_ms: i64) -> bool {
    match kind {
        Kind::Labels => matches!(pod_owner, Some("ReplicaSet" | "StatefulSet" | "DaemonSet")),
        Kind::Custom => lived_ms > DAY_MS,
        Kind::FlinkJobmanager | Kind::FlinkTaskmanager => lived_ms > 2 * DAY_MS,
        kind => kind.is_service(),
    }
}

/// Whether it may turn out to be one that has not lived for long enough.
pub(super) const fn may_become_service(kind: Kind) -> bool {
    matches!(kind, Kind::Custom | Kind::FlinkJobmanager | Kind::FlinkTaskmanager)
}

/// Doubts that belong to the last day of an instance.
const OF_ITS_END: [Doubt; 4] = [Doubt::EndUnseen, Doubt::EndNear, Doubt::SamplesAfterEnd, Doubt::Evicted];
/// Doubts that are found anew of every day.
const OF_SOME_TIME: [Doubt; 3] = [Doubt::Frozen, Doubt::LongGap, Doubt::ZeroMemory];

/// Cuts an instance that is one run into its days. `all` also gives the last day, as far as it got; without it only the
/// days that are over.
pub(super) fn cut(instance: &Instance, run: &Run, scaled_on: ScaledOn, all: bool) -> Vec<Run> {
    let Some(last) = instance.last_sampled_day() else { return Vec::new() };
    let (all_memory, all_cpu) = (instance.memory(), instance.cpu());
    let (all_memory, all_cpu) = (all_memory.as_deref(), all_cpu.as_deref());
    let cpu_days = all_cpu.map_or(&[][..], |cpu| &cpu.days);
    let memory_days = all_memory.map_or(&[][..], |memory| &memory.days);
    let frame = Frame { started_ms: run.started_ms, trusted_start: false, ended_ms: run.ended_ms, known_end: false };
    let frozen = plausible::frozen(all_memory, all_cpu, &frame);
    let gaps = all_memory.map(|memory| plausible::long_gaps(memory, &frame)).unwrap_or_default();
    let is_cpu_zero = all_cpu.is_some_and(|cpu| cpu.total() <= 0.0);
    let mut days: Vec<i64> = memory_days.iter().map(|m| m.day).chain(cpu_days.iter().map(|c| c.day)).collect();
    days.sort_unstable();
    days.dedup();
    // What is told for the first time of an instance that is over already.
    let is_whole = days.len() == 1 && !instance.is_cut && run.started_ms >= last * DAY_MS;
    let mut runs = Vec::with_capacity(days.len());
    for day in days.into_iter().filter(|day| *day < last || (all && *day == last)) {
        let cpu = cpu_days.iter().find(|c| c.day == day);
        let memory = memory_days.iter().find(|m| m.day == day);
        let (midnight, next) = (day * DAY_MS, (day + 1) * DAY_MS);
        let started_ms = run.started_ms.max(midnight);
        let mut of_day = Run {
            started_ms,
            ended_ms: next,
            memory: memory.filter(|m| m.samples > 0).map(|m| MemoryUse {
                peak_bytes: m.max_bytes,
                source: PeakSource::Sampled,
                samples: m.samples,
            }),
            cpu: cpu.filter(|_| !is_cpu_zero).and_then(|c| c.cpu_use(run.cpu.and_then(|whole| whole.throttled_share))),
            outcome: Outcome::GoesOn,
            day: Some(Box::new(Day { busy_cores: cpu.and_then(CpuDay::busy_cores), scaled_on })),
            ..run.clone()
        };
        if day == last {
            of_day.ended_ms = run.ended_ms.clamp(started_ms, next);
            of_day.outcome = run.outcome;
            if is_whole && run.outcome != Outcome::Running {
                (of_day.memory, of_day.cpu) = (run.memory, run.cpu);
            }
        }
        // What is in doubt of the whole instance may be of another day.
        if let Some(observation) = &mut of_day.observation {
            OF_ITS_END.iter().filter(|_| day != last).for_each(|doubt| observation.doubts.remove(*doubt));
            OF_SOME_TIME.iter().filter(|_| !is_whole).for_each(|doubt| observation.doubts.remove(*doubt));
        }
        if !is_whole {
            let (from_ms, to_ms) = (of_day.started_ms, of_day.ended_ms);
            let much = |unseen: &[_]| plausible::is_much(unseen, from_ms, to_ms);
            let zero = memory.is_some_and(|m| m.samples == 0);
            for (doubt, is) in
                [(Doubt::Frozen, much(&frozen)), (Doubt::LongGap, much(&gaps)), (Doubt::ZeroMemory, zero)]
            {
                if is {
                    of_day.doubt(doubt);
                }
            }
        }
        outcome::of_day(&mut of_day, instance, day, day == last);
        of_day.observation = of_day.observation.filter(|observation| **observation != Observation::default());
        runs.push(of_day);
    }
    runs
}
