//! What runs reserved, used, and would have reserved: hours, money and counts, and their sums.
//! Knows runs and a size, no workload.

use serde::Serialize;

use super::money::rounded;
use super::{Money, Period, Prices};
use crate::history::{Resources, Run};
use crate::quantity::GIB_F64;
use crate::sizing::end::has_succeeded;
use crate::sizing::evidence::was_throttled;

pub use crate::sizing::End;

/// A try that fails for memory is charged whole, and the next gets this many times as much: the retry rule of Witt et
/// al. (HPCS 2019), as in `podfit backtest`.
const RETRY_FACTOR: f64 = 2.0;

/// The size that the same runs are charged at; `None` = stays as it was.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Size {
    /// Memory in bytes.
    pub memory_bytes: Option<u64>,
    /// CPU in millicores.
    pub cpu_millis: Option<u64>,
}

/// How many runs, and how they ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// Runs that came to their end in the period, every try on its own.
    pub finished: u64,
    /// Of the finished, days of services' containers.
    pub days: u64,
    /// Runs that were under way in it and ended later, or not yet.
    pub running: u64,
    /// Of the finished, killed for memory.
    pub oom_kills: u64,
    /// Of the finished, those that reached the memory limit and ended in a way that nothing recorded.
    pub suspected_kills: u64,
    /// Of the finished, failed for another reason.
    pub failed_otherwise: u64,
    /// Of the finished, further tries of the same unit of work, where the engine tells.
    pub retries: u64,
    /// Of the finished, those that reached the memory limit without being killed.
    pub at_limit: u64,
    /// Of the finished, those throttled in more than one of twenty CPU periods.
    pub throttled: u64,
    /// Of all, those without a single memory sample.
    pub unobserved: u64,
    /// Of all, those with no memory request, or none that was recorded.
    pub without_memory_request: u64,
    /// Of all, those with no CPU request, or none that was recorded.
    pub without_cpu_request: u64,
}

impl Counts {
    /// Kills for memory, proven and probable.
    pub const fn memory_failures(&self) -> u64 {
        self.oom_kills.saturating_add(self.suspected_kills)
    }

    /// All runs.
    pub const fn runs(&self) -> u64 {
        self.finished.saturating_add(self.running)
    }

    fn add(&mut self, other: &Self) {
        for (mine, theirs) in [
            (&mut self.finished, other.finished),
            (&mut self.days, other.days),
            (&mut self.running, other.running),
            (&mut self.oom_kills, other.oom_kills),
            (&mut self.suspected_kills, other.suspected_kills),
            (&mut self.failed_otherwise, other.failed_otherwise),
            (&mut self.retries, other.retries),
            (&mut self.at_limit, other.at_limit),
            (&mut self.throttled, other.throttled),
            (&mut self.unobserved, other.unobserved),
            (&mut self.without_memory_request, other.without_memory_request),
            (&mut self.without_cpu_request, other.without_cpu_request),
        ] {
            *mine = mine.saturating_add(theirs);
        }
    }
}

/// One resource over the runs that asked for it: GiB-hours of memory, or core-hours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Amounts {
    /// Request × run time, every try counted.
    pub requested: f64,
    /// Memory: highest use × run time, of runs with a sample. CPU: CPU time.
    pub used: f64,
    /// What the same runs would have reserved at the recommended size, second tries included; what they requested
    /// where no size is known.
    pub recommended: f64,
    /// Of `requested`, what tries held that were killed for memory, proven or probable.
    pub failed_by_memory: f64,
    /// Of `requested`, what tries held that failed for another reason.
    pub failed_otherwise: f64,
    /// Of `requested`, what runs held of which no use was seen: they are not in `used`.
    pub unobserved: f64,
    /// Used by runs without a request: in none of the others.
    pub used_without_request: f64,
}

impl Amounts {
    /// What would no longer be reserved; negative where more is needed.
    pub fn saving(&self) -> f64 {
        rounded(self.requested - self.recommended)
    }

    /// Share of what was requested that was used, 0 to 1 and more; `None` where nothing was requested.
    pub fn used_share(&self) -> Option<f64> {
        (self.requested > 0.0).then(|| self.used / self.requested)
    }

    fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.fields().into_iter().zip((*other).values()) {
            *mine = rounded(*mine + theirs);
        }
    }

    const fn fields(&mut self) -> [&mut f64; 7] {
        [
            &mut self.requested,
            &mut self.used,
            &mut self.recommended,
            &mut self.failed_by_memory,
            &mut self.failed_otherwise,
            &mut self.unobserved,
            &mut self.used_without_request,
        ]
    }

    const fn values(self) -> [f64; 7] {
        [
            self.requested,
            self.used,
            self.recommended,
            self.failed_by_memory,
            self.failed_otherwise,
            self.unobserved,
            self.used_without_request,
        ]
    }
}

/// Counts and amounts of some runs in a period. Rounded to four places, so that rows add up to their sums.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Sums {
    /// Runs.
    pub runs: Counts,
    /// Memory, GiB-hours.
    pub memory: Amounts,
    /// CPU, core-hours.
    pub cpu: Amounts,
    /// Both in money.
    pub money: Money,
}

impl Sums {
    /// Of the parts of these runs that lie in the period.
    pub fn of<'a>(runs: impl Iterator<Item = &'a Run>, period: Period, size: &Size, prices: &Prices) -> Self {
        let mut sums = Self::default();
        for run in runs.filter(|r| period.has_part_of(r)) {
            sums.count(run, period);
            sums.charge(run, period, size);
        }
        for value in sums.memory.fields().into_iter().chain(sums.cpu.fields()) {
            *value = rounded(*value);
        }
        sums.money = Money::of(&sums.memory, &sums.cpu, prices);
        sums
    }

    /// Adds those of others.
    pub fn add(&mut self, other: &Self) {
        self.runs.add(&other.runs);
        self.memory.add(&other.memory);
        self.cpu.add(&other.cpu);
        self.money.add(&other.money);
    }

    fn count(&mut self, run: &Run, period: Period) {
        let runs = &mut self.runs;
        runs.unobserved += u64::from(run.memory.is_none());
        runs.without_memory_request += u64::from(memory_request(run).is_none());
        runs.without_cpu_request += u64::from(cpu_request(run).is_none());
        if !period.has_end_of(run) {
            runs.running += 1;
            return;
        }
        runs.finished += 1;
        runs.days += u64::from(run.day.is_some());
        runs.retries += u64::from(run.attempt.is_some_and(|a| a > 1));
        runs.throttled += u64::from(was_throttled(run));
        match End::of(run) {
            End::Killed => runs.oom_kills += 1,
            End::Suspected => runs.suspected_kills += 1,
            End::Failed => runs.failed_otherwise += 1,
            End::AtLimit => runs.at_limit += 1,
            End::Fine | End::Running => {}
        }
    }

    fn charge(&mut self, run: &Run, period: Period, size: &Size) {
        for (seconds, held) in run.held_between(period.start_ms, period.end_ms) {
            self.charge_part(run, &held, seconds / 3600.0, size);
        }
    }

    /// Charges a part of a run in which the same sizes held.
    fn charge_part(&mut self, run: &Run, held: &Resources, hours: f64, size: &Size) {
        let end = End::of(run);
        // Where a process in it was killed and it came through, it was no try in vain.
        let has_failed = end >= End::Failed && !has_succeeded(run);
        let add = |amounts: &mut Amounts, requested: Option<f64>, used: Option<f64>, recommended: Option<f64>| {
            let Some(requested) = requested else {
                amounts.used_without_request += used.unwrap_or(0.0) * hours;
                return;
            };
            amounts.requested += requested * hours;
            amounts.used += used.unwrap_or(0.0) * hours;
            amounts.recommended += recommended.unwrap_or(requested) * hours;
            if used.is_none() {
                amounts.unobserved += requested * hours;
            }
            match end {
                End::Killed | End::Suspected if has_failed => amounts.failed_by_memory += requested * hours,
                End::Failed if has_failed => amounts.failed_otherwise += requested * hours,
                _ => {}
            }
        };
        let gib = |bytes: u64| bytes as f64 / GIB_F64;
        let peak = run.memory.map(|m| gib(m.peak_bytes));
        let sized = size.memory_bytes.map(|bytes| with_retries(gib(bytes), peak.unwrap_or(0.0)));
        add(&mut self.memory, memory_request_of(held).map(gib), peak, sized);
        let cores = |millis: u64| millis as f64 / 1000.0;
        let used = run.cpu.map(|c| c.mean_cores).filter(|c| c.is_finite());
        add(&mut self.cpu, cpu_request_of(held).map(cores), used, size.cpu_millis.map(cores));
    }
}

/// The memory request in force: where only a limit is set, the API server copies it.
pub fn memory_request(run: &Run) -> Option<u64> {
    memory_request_of(&run.resources)
}

fn memory_request_of(held: &Resources) -> Option<u64> {
    held.memory_request_bytes.or(held.memory_limit_bytes)
}

/// The CPU request in force.
pub fn cpu_request(run: &Run) -> Option<u64> {
    cpu_request_of(&run.resources)
}

fn cpu_request_of(held: &Resources) -> Option<u64> {
    held.cpu_request_millis.or(held.cpu_limit_millis)
}

/// What is reserved until a run with this peak is through: the size, or with tries that fail first, all of them.
fn with_retries(size: f64, peak: f64) -> f64 {
    let (mut size, mut sum) = (size, size);
    while size < peak && size > 0.0 {
        size *= RETRY_FACTOR;
        sum += size;
    }
    sum
}

impl Money {
    /// Both resources at these prices.
    pub(super) fn of(memory: &Amounts, cpu: &Amounts, prices: &Prices) -> Self {
        let of = |pick: fn(&Amounts) -> f64| rounded(pick(memory) * prices.gib_hour + pick(cpu) * prices.core_hour);
        let (requested, recommended) = (of(|a| a.requested), of(|a| a.recommended));
        Self {
            requested,
            used: of(|a| a.used),
            recommended,
            saving: rounded(requested - recommended),
            failed: of(|a| a.failed_by_memory + a.failed_otherwise),
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::history::{CpuUse, HeldUntil, MemoryUse, Observation, Outcome, PeakSource, Resources};

    const HOUR: i64 = 3_600_000;
    use crate::quantity::GIB;

    fn run(at: i64, hours: i64, peak_gib: Option<u64>, outcome: Outcome) -> Run {
        Run {
            pod: format!("p-{at}"),
            uid: None,
            started_ms: at * HOUR,
            ended_ms: (at + hours) * HOUR,
            memory: peak_gib.map(|g| MemoryUse { peak_bytes: g * GIB, source: PeakSource::Cgroup, samples: 9 }),
            cpu: Some(CpuUse { mean_cores: 0.5, peak_cores: None, throttled_share: None }),
            resources: Resources {
                cpu_request_millis: Some(2000),
                memory_request_bytes: Some(8 * GIB),
                memory_limit_bytes: Some(8 * GIB),
                ..Resources::default()
            },
            outcome,
            attempt: None,
            input_bytes: None,
            jvm: None,
            day: None,
            observation: None,
        }
    }

    /// By hand: four runs of 8 GiB; one of 3 h half in the period, one killed, one without a sample.
    #[test]
    fn amounts_are_those_of_paper_and_pencil() {
        let runs = [
            run(-2, 4, Some(2), Outcome::Completed),
            run(3, 1, Some(8), Outcome::OomKilled),
            run(5, 2, Some(3), Outcome::Failed),
            run(8, 1, None, Outcome::Completed),
        ];
        let period = Period { start_ms: 0, end_ms: 10 * HOUR };
        let size = Size { memory_bytes: Some(4 * GIB), cpu_millis: Some(1000) };
        let prices = Prices { core_hour: 0.5, gib_hour: 0.25, ..Prices::default() };
        let sums = Sums::of(runs.iter(), period, &size, &prices);
        assert_eq!((sums.runs.finished, sums.runs.oom_kills, sums.runs.failed_otherwise), (4, 1, 1));
        assert_eq!(sums.memory.requested, 8.0 * 6.0);
        assert_eq!(sums.memory.used, 2.0 * 2.0 + 8.0 + 3.0 * 2.0);
        // The killed one needs 4 and then 8.
        assert_eq!(sums.memory.recommended, 4.0 * 2.0 + 12.0 + 4.0 * 2.0 + 4.0);
        assert_eq!((sums.memory.failed_by_memory, sums.memory.failed_otherwise), (8.0, 16.0));
        assert_eq!(sums.memory.unobserved, 8.0);
        assert_eq!((sums.cpu.requested, sums.cpu.used, sums.cpu.recommended), (12.0, 3.0, 6.0));
        assert_eq!(sums.money.requested, 48.0 * 0.25 + 12.0 * 0.5);
        assert_eq!(sums.money.saving, (48.0 - 32.0) * 0.25 + 6.0 * 0.5);
    }

    /// 8 GiB for 230 minutes and 1 GiB for the 10 after: seven such runs a week reserve 215.8 GiB·h, not 28.
    #[test]
    fn what_was_resized_in_place_is_charged_by_its_time() {
        let held = |n: i64| {
            let mut run = run(n * 24, 4, Some(1), Outcome::Completed);
            let before = HeldUntil { until_ms: run.ended_ms - HOUR / 6, resources: run.resources };
            run.resources.memory_request_bytes = Some(GIB);
            run.observation = Some(Box::new(Observation { held: vec![before], ..Observation::default() }));
            run
        };
        let runs: Vec<Run> = (0..7).map(held).collect();
        let period = Period { start_ms: 0, end_ms: 7 * 24 * HOUR };
        let sums = Sums::of(runs.iter(), period, &Size::default(), &Prices::default());
        assert_eq!((sums.memory.requested, sums.memory.used), (215.8333, 28.0));
        assert_eq!(sums.cpu.requested, 56.0);
    }

    #[test]
    fn a_run_that_came_through_although_a_process_in_it_was_killed_is_counted_and_not_charged_as_failed() {
        let mut lost_a_worker = run(1, 2, Some(7), Outcome::Completed);
        lost_a_worker.observation = Some(Box::new(Observation { killed_children: 3, ..Observation::default() }));
        let period = Period { start_ms: 0, end_ms: 10 * HOUR };
        let sums = Sums::of([lost_a_worker].iter(), period, &Size::default(), &Prices::default());
        assert_eq!((sums.runs.oom_kills, sums.memory.failed_by_memory), (1, 0.0));
    }

    #[test]
    fn without_a_request_there_is_nothing_to_save_and_without_a_size_nothing_changes() {
        let mut bare = run(1, 2, Some(3), Outcome::Completed);
        bare.resources = Resources::default();
        let period = Period { start_ms: 0, end_ms: 10 * HOUR };
        let sized = Size { memory_bytes: Some(4 * GIB), cpu_millis: Some(1000) };
        let sums = Sums::of([bare].iter(), period, &sized, &Prices::default());
        assert_eq!((sums.memory.requested, sums.memory.recommended, sums.memory.used_without_request), (0.0, 0.0, 6.0));
        assert_eq!((sums.runs.without_memory_request, sums.money.saving), (1, 0.0));
        let runs = [run(1, 2, Some(3), Outcome::Completed)];
        let sums = Sums::of(runs.iter(), period, &Size::default(), &Prices::default());
        assert_eq!(sums.memory.saving(), 0.0);
    }

    #[rstest]
    #[case(4.0, 3.0, 4.0)]
    #[case(4.0, 4.0, 4.0)]
    #[case(4.0, 5.0, 12.0)]
    #[case(1.0, 3.0, 7.0)]
    #[case(0.0, 3.0, 0.0)]
    fn tries_that_fail_are_charged(#[case] size: f64, #[case] peak: f64, #[case] reserved: f64) {
        assert_eq!(with_retries(size, peak), reserved);
    }
}
