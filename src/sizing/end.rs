//! How a run ended as far as its memory goes, and what its peak therefore says of the memory that the next run needs.
//! The one place that tells kills, suspected kills and other failures apart.

use serde::Serialize;

use crate::history::{Doubt, MemoryUse, Observation, Outcome, Run};

use super::estimator::CENSORED_SHARE;

/// Exit code of a process that was ended by SIGKILL, which is what the kernel sends when memory runs out (128 + 9).
const SIGKILL: i32 = 137;
/// Exit code of a process that was ended by SIGTERM, as a deleted pod's is (128 + 15).
const SIGTERM: i32 = 143;
/// A peak more than this factor above the limit in force at the end was reached while a larger limit held.
const OVER_LIMIT: f64 = 1.02;

/// So many runs that were sampled at their end tell what runs of that workload need there. cAdvisor's sample is up to
/// 15 s old, its age by chance, so one of them shows a need of the last two seconds with a chance of 2/15; that none of
/// 20 does has a chance of (1 - 2/15)^20 = 6 %.
pub(super) const ENDS_THAT_TELL: usize = 20;

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum End {
    /// Well, or nothing says otherwise.
    Fine,
    /// Not yet.
    Running,
    /// Well, with its peak at the limit: what it would have used with more is not known.
    AtLimit,
    /// Failed, not for memory.
    Failed,
    /// At the limit, in a way that nothing recorded, or by SIGKILL: probably killed for memory.
    Suspected,
    /// Killed for memory, or a process in it was.
    Killed,
}

impl End {
    /// Of a run. A kill that was seen is never undone; proof of success outweighs suspicion.
    pub fn of(run: &Run) -> Self {
        let well = if reached_limit(run) { Self::AtLimit } else { Self::Fine };
        match run.outcome {
            Outcome::Running => Self::Running,
            _ if run.was_killed() => Self::Killed,
            Outcome::Completed | Outcome::GoesOn => well,
            Outcome::Unknown if has_succeeded(run) || !reached_limit(run) => well,
            Outcome::Failed if has_succeeded(run) || !reached_limit(run) => Self::Failed,
            Outcome::Failed if run.doubts().has(Doubt::Evicted) => Self::Failed,
            Outcome::Unknown => Self::Suspected,
            _ => match exit_code(run) {
                None | Some(SIGKILL) => Self::Suspected,
                Some(_) => Self::Failed,
            },
        }
    }
}

/// What the peak of a finished run says of the memory that the next run needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bearing {
    /// It is what the run needed.
    Need,
    /// The run came to its end, and its peak is a lower bound: by how it was seen ([`Doubt::OF_PEAK`]), or because the
    /// run was stopped from outside before it was done.
    Bounded,
    /// The run failed for another reason than memory: a lower bound.
    Failed,
    /// The run reached its limit and was probably killed there: a lower bound.
    Suspected,
    /// The run, or a process in it, was killed for memory: a lower bound.
    Killed,
}

impl Bearing {
    /// Of a finished run.
    pub fn of(run: &Run) -> Self {
        match End::of(run) {
            End::Killed => Self::Killed,
            End::Suspected => Self::Suspected,
            End::Failed if exit_code(run) == Some(SIGTERM) => Self::Bounded,
            End::Failed => Self::Failed,
            End::Running => Self::Bounded,
            End::Fine | End::AtLimit if run.doubts().has_any(&Doubt::OF_PEAK) => Self::Bounded,
            End::Fine | End::AtLimit => Self::Need,
        }
    }

    /// Of finished runs of one workload, each in its place. Lower bounds of runs that were sampled up to their end are
    /// needs where there are [`ENDS_THAT_TELL`] of them at least.
    pub fn of_all(runs: &[&Run]) -> Vec<Self> {
        let mut all: Vec<Self> = runs.iter().map(|run| Self::of(run)).collect();
        let tell = |(run, bearing): &(&&Run, &mut Self)| **bearing == Self::Bounded && is_seen_to_its_end(run);
        if runs.iter().zip(&mut all).filter(tell).count() >= ENDS_THAT_TELL {
            runs.iter().zip(&mut all).filter(tell).for_each(|(_, bearing)| *bearing = Self::Need);
        }
        all
    }
}

/// Whether it came to its end, and nothing is in doubt of its peak but the age of its last sample.
fn is_seen_to_its_end(run: &Run) -> bool {
    let others = || Doubt::OF_PEAK.into_iter().filter(|doubt| *doubt != Doubt::EndNear);
    run.memory.is_some()
        && matches!(End::of(run), End::Fine | End::AtLimit)
        && run.doubts().has(Doubt::EndNear)
        && !others().any(|doubt| run.doubts().has(doubt))
}

/// Whether its work was done, as far as was recorded; of a day of a service, whether its container outlived it.
pub fn has_succeeded(run: &Run) -> bool {
    matches!(run.outcome, Outcome::Completed | Outcome::GoesOn)
        || observed(run).is_some_and(|o| o.succeeded)
        || (run.outcome == Outcome::Unknown && exit_code(run) == Some(0))
}

/// Whether the peak is at the limit that was in force when the run ended.
pub fn reached_limit(run: &Run) -> bool {
    let (Some(memory), Some(limit)) = (run.memory, run.resources.memory_limit_bytes) else { return false };
    let had_more = || memory_limits_before(run).any(|before| before.is_none_or(|before| before > limit));
    is_at(&memory, limit) && (memory.peak_bytes as f64 <= OVER_LIMIT * limit as f64 || !had_more())
}

/// Whether the peak is at that limit and no further than a limit can be passed: further, it was another limit that
/// held.
pub fn filled_limit(run: &Run) -> bool {
    let most = |limit: u64| OVER_LIMIT * limit as f64;
    let (peak, limit) = (run.memory.map(|m| m.peak_bytes), run.resources.memory_limit_bytes);
    reached_limit(run) && peak.zip(limit).is_some_and(|(peak, limit)| peak as f64 <= most(limit))
}

/// The limit at which a run was killed, in bytes; its peak where no limit is known. A process in it was killed at some
/// time, so at the highest of its limits that the run reached.
pub fn killed_at(run: &Run) -> Option<u64> {
    let limit = run.resources.memory_limit_bytes;
    let Some(memory) = run.memory else { return limit };
    let reached = || memory_limits_before(run).flatten().filter(|before| is_at(&memory, *before)).max();
    let before = if run.outcome == Outcome::OomKilled || reached_limit(run) { None } else { reached() };
    before.or(limit).or(Some(memory.peak_bytes))
}

/// The exit code, where it was seen.
fn exit_code(run: &Run) -> Option<i32> {
    observed(run).and_then(|o| o.exit_code)
}

fn observed(run: &Run) -> Option<&Observation> {
    run.observation.as_deref()
}

fn memory_limits_before(run: &Run) -> impl Iterator<Item = Option<u64>> {
    observed(run).into_iter().flat_map(|o| &o.held).map(|held| held.resources.memory_limit_bytes)
}

fn is_at(memory: &MemoryUse, limit: u64) -> bool {
    limit > 0 && memory.peak_bytes as f64 >= CENSORED_SHARE * limit as f64
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::history::{HeldUntil, PeakSource, Resources};

    use crate::quantity::MIB;

    fn run(outcome: Outcome, peak_mib: u64, limit_mib: u64, observation: Observation) -> Run {
        Run {
            pod: "p".to_owned(),
            uid: None,
            started_ms: 0,
            ended_ms: 600_000,
            memory: Some(MemoryUse { peak_bytes: peak_mib * MIB, source: PeakSource::Cgroup, samples: 20 }),
            cpu: None,
            resources: limited(limit_mib),
            outcome,
            attempt: None,
            input_bytes: None,
            jvm: None,
            day: None,
            observation: Some(Box::new(observation)),
        }
    }

    fn limited(mib: u64) -> Resources {
        Resources { memory_limit_bytes: Some(mib * MIB), ..Resources::default() }
    }

    fn exited(code: i32) -> Observation {
        Observation { exit_code: Some(code), ..Observation::default() }
    }

    fn proven() -> Observation {
        Observation { succeeded: true, ..Observation::default() }
    }

    fn children() -> Observation {
        Observation { killed_children: 3, ..Observation::default() }
    }

    fn held(mib: u64) -> Observation {
        let before = HeldUntil { until_ms: 300_000, resources: limited(mib) };
        Observation { held: vec![before], ..Observation::default() }
    }

    fn doubted(doubt: Doubt) -> Observation {
        Observation { doubts: [doubt].into_iter().collect(), ..Observation::default() }
    }

    fn none() -> Observation {
        Observation::default()
    }

    #[rstest]
    #[case::completed(Outcome::Completed, 500, none(), End::Fine, Bearing::Need)]
    #[case::completed_at_its_limit(Outcome::Completed, 1020, none(), End::AtLimit, Bearing::Need)]
    #[case::a_process_in_it_was_killed(Outcome::Completed, 990, children(), End::Killed, Bearing::Killed)]
    #[case::a_process_of_a_day_was_killed(Outcome::GoesOn, 990, children(), End::Killed, Bearing::Killed)]
    #[case::killed(Outcome::OomKilled, 700, none(), End::Killed, Bearing::Killed)]
    #[case::killed_whatever_its_job_says(Outcome::OomKilled, 700, proven(), End::Killed, Bearing::Killed)]
    #[case::nothing_recorded(Outcome::Unknown, 500, none(), End::Fine, Bearing::Need)]
    #[case::nothing_recorded_at_its_limit(Outcome::Unknown, 1020, none(), End::Suspected, Bearing::Suspected)]
    #[case::its_job_succeeded(Outcome::Unknown, 1020, proven(), End::AtLimit, Bearing::Need)]
    #[case::it_exited_with_0(Outcome::Unknown, 1020, exited(0), End::AtLimit, Bearing::Need)]
    #[case::failed(Outcome::Failed, 500, none(), End::Failed, Bearing::Failed)]
    #[case::failed_at_its_limit(Outcome::Failed, 1020, none(), End::Suspected, Bearing::Suspected)]
    #[case::sigkill_at_its_limit(Outcome::Failed, 1020, exited(137), End::Suspected, Bearing::Suspected)]
    #[case::sigkill_elsewhere(Outcome::Failed, 500, exited(137), End::Failed, Bearing::Failed)]
    #[case::an_error_of_its_own_at_its_limit(Outcome::Failed, 1020, exited(1), End::Failed, Bearing::Failed)]
    #[case::failed_before_its_job_succeeded(Outcome::Failed, 1020, proven(), End::Failed, Bearing::Failed)]
    #[case::evicted_at_its_limit(Outcome::Failed, 1020, doubted(Doubt::Evicted), End::Failed, Bearing::Failed)]
    #[case::stopped(Outcome::Failed, 500, exited(143), End::Failed, Bearing::Bounded)]
    #[case::had_more_before(Outcome::Unknown, 5000, held(8192), End::Fine, Bearing::Need)]
    #[case::had_less_before(Outcome::Unknown, 1020, held(512), End::Suspected, Bearing::Suspected)]
    fn ends_and_what_their_peaks_say(
        #[case] outcome: Outcome,
        #[case] peak_mib: u64,
        #[case] observation: Observation,
        #[case] end: End,
        #[case] bearing: Bearing,
    ) {
        let run = run(outcome, peak_mib, 1024, observation);
        assert_eq!((End::of(&run), Bearing::of(&run)), (end, bearing));
    }

    #[test]
    fn a_peak_in_doubt_is_a_lower_bound_and_other_doubts_change_nothing() {
        for doubt in Doubt::ALL {
            let mut run = run(Outcome::Completed, 500, 1024, none());
            run.doubt(doubt);
            let expected = if Doubt::OF_PEAK.contains(&doubt) { Bearing::Bounded } else { Bearing::Need };
            assert_eq!(Bearing::of(&run), expected, "{doubt:?}");
        }
    }

    #[rstest]
    #[case::enough(ENDS_THAT_TELL, &[], Bearing::Need)]
    #[case::too_few(ENDS_THAT_TELL - 1, &[], Bearing::Bounded)]
    #[case::other_doubts(ENDS_THAT_TELL, &[Doubt::LongGap], Bearing::Bounded)]
    fn many_that_were_sampled_at_their_end_tell(#[case] n: usize, #[case] more: &[Doubt], #[case] expected: Bearing) {
        let doubts = more.iter().copied().chain([Doubt::EndNear]).collect();
        let near = run(Outcome::Completed, 500, 1024, Observation { doubts, ..none() });
        let failed = run(Outcome::Failed, 500, 1024, doubted(Doubt::EndNear));
        let unseen = run(Outcome::Completed, 500, 1024, doubted(Doubt::EndUnseen));
        let mut all = vec![&near; n];
        all.extend([&failed, &unseen]);
        let bearings = Bearing::of_all(&all);
        assert!(bearings[..n].iter().all(|bearing| *bearing == expected), "{bearings:?}");
        assert_eq!(bearings[n..], [Bearing::Failed, Bearing::Bounded]);
    }

    #[test]
    fn a_kill_belongs_to_the_limit_that_held_then() {
        assert_eq!(killed_at(&run(Outcome::OomKilled, 2040, 4096, held(2048))), Some(4096 * MIB));
        let children = Observation { killed_children: 1, ..held(2048) };
        assert_eq!(killed_at(&run(Outcome::GoesOn, 2040, 4096, children.clone())), Some(2048 * MIB));
        assert_eq!(killed_at(&run(Outcome::GoesOn, 4090, 4096, children)), Some(4096 * MIB));
    }
}
