use proptest::prelude::*;
use rstest::rstest;

use super::*;
use crate::history::{CpuUse, Day, MemoryUse, PeakSource};

pub(super) use crate::quantity::MIB;
pub(super) const HOUR_MS: i64 = 3_600_000;

/// A run of ten minutes on day `day`.
pub(super) fn run(day: i64, peak_mib: u64, cores: f64) -> Run {
    Run {
        pod: format!("p-{day}"),
        uid: None,
        started_ms: day * 24 * HOUR_MS,
        ended_ms: day * 24 * HOUR_MS + 600_000,
        memory: Some(MemoryUse { peak_bytes: peak_mib * MIB, source: PeakSource::Cgroup, samples: 20 }),
        cpu: Some(CpuUse { mean_cores: cores, peak_cores: Some(cores), throttled_share: None }),
        resources: asked(4096, 2000),
        outcome: Outcome::Completed,
        attempt: None,
        input_bytes: None,
        jvm: None,
        day: None,
        observation: None,
    }
}

pub(super) fn asked(memory_mib: u64, cpu_millis: u64) -> Resources {
    Resources {
        cpu_request_millis: Some(cpu_millis),
        cpu_limit_millis: None,
        memory_request_bytes: Some(memory_mib * MIB),
        memory_limit_bytes: Some(memory_mib * MIB),
    }
}

pub(super) fn sized(runs: Vec<Run>) -> Sizing {
    let mut history = History::new();
    history.add_all(runs);
    recommend(&history, None, &SizingPolicy::default())
}

pub(super) fn memory_mib(sizing: &Sizing) -> u64 {
    sizing.memory.known().unwrap().bytes / MIB
}

#[rstest]
#[case::three(&[1000, 900, 950], 1229)]
#[case::five(&[1000; 5], 1027)]
#[case::twenty(&[1000; 20], 1015)]
fn the_margin_fits_the_spread_and_shrinks_with_the_runs(#[case] peaks: &[u64], #[case] expected: u64) {
    let runs = peaks.iter().zip(0..).map(|(p, day)| run(day, *p, 0.5)).collect();
    assert_eq!(memory_mib(&sized(runs)), expected);
}

#[rstest]
#[case::none(0)]
#[case::one(1)]
#[case::two(2)]
fn too_few_runs_are_unknown_and_say_so(#[case] n: i64) {
    let sizing = sized((0..n).map(|d| run(d, 1000, 0.5)).collect());
    let Estimate::Unknown(why) = &sizing.memory else { panic!("{:?}", sizing.memory) };
    assert!(why.contains("no run") || why.contains("3 are needed"), "{why}");
    assert!(matches!(sizing.cpu, Estimate::Unknown(_)));
}

#[test]
fn running_ones_are_no_evidence_but_never_undercut() {
    let mut runs: Vec<Run> = (0..5).map(|d| run(d, 1000, 0.5)).collect();
    runs.push(Run { outcome: Outcome::Running, ..run(5, 2000, 0.5) });
    let sizing = sized(runs);
    assert_eq!((sizing.evidence.runs, sizing.evidence.running), (5, 1));
    assert!(memory_mib(&sizing) >= 2000);
    let only_running = sized((0..5).map(|d| Run { outcome: Outcome::Running, ..run(d, 1000, 0.5) }).collect());
    assert!(matches!(only_running.memory, Estimate::Unknown(_)));
}

#[test]
fn an_unanswered_oom_doubles_what_killed_and_needs_no_three_runs() {
    let killed = Run { outcome: Outcome::OomKilled, resources: asked(1024, 500), ..run(9, 1020, 0.5) };
    assert_eq!(memory_mib(&sized(vec![killed.clone()])), 2048);
    let mut runs: Vec<Run> = (0..8).map(|d| Run { resources: asked(1024, 500), ..run(d, 900, 0.5) }).collect();
    runs.push(killed);
    assert_eq!(memory_mib(&sized(runs.clone())), 2048);
    // A later run with more room that needed it: its peak is the evidence now.
    runs.push(Run { resources: asked(2048, 500), ..run(10, 1300, 0.5) });
    assert_eq!(memory_mib(&sized(runs)), 1453);
}

#[test]
fn scraped_peaks_get_more_room_than_the_kernels_own() {
    let scraped = |day| Run {
        memory: Some(MemoryUse { peak_bytes: 1000 * MIB, source: PeakSource::Sampled, samples: 25 }),
        ..run(day, 0, 0.5)
    };
    // One sample in 25 more, before the rule itself.
    assert_eq!(memory_mib(&sized((0..20).map(scraped).collect())), 1056);
}

#[test]
fn a_rare_outlier_is_left_to_a_retry_where_that_is_allowed() {
    let mut history = History::new();
    history.add_all((0..400).map(|d| run(d, if d % 150 == 17 { 15_000 } else { 1000 }, 0.5)));
    let size = |failing_share| {
        let policy = SizingPolicy { failing_share, ..SizingPolicy::default() };
        recommend(&history, None, &policy).memory.known().unwrap().clone()
    };
    let (allowed, forbidden) = (size(0.03), size(0.0));
    assert_eq!((allowed.runs_above, allowed.covered_bytes), (3, 1000 * MIB));
    assert!(allowed.bytes < 1100 * MIB && forbidden.bytes >= 15_000 * MIB);
    assert_eq!(forbidden.runs_above, 0);
}

#[test]
fn the_ladder_begins_above_the_size_and_knows_the_outliers_left_to_it() {
    let sizing = sized((0..400).map(|d| run(d, if d % 150 == 17 { 15_000 } else { 1000 }, 0.5)).collect());
    let size = sizing.memory.known().unwrap();
    assert_eq!(size.ladder, [15_300, 30_000, 60_000].map(|m| m * MIB));
    let policy = SizingPolicy { memory_ceiling_bytes: Some(20_000 * MIB), ..SizingPolicy::default() };
    let mut history = History::new();
    history.add_all((0..9).map(|d| run(d, 1000, 0.5)));
    let capped = recommend(&history, None, &policy).memory.known().unwrap().clone();
    assert_eq!(capped.ladder, [2, 4, 8].map(|n| n * capped.bytes));
    let full = SizingPolicy { memory_ceiling_bytes: Some(capped.bytes), ..policy };
    assert!(recommend(&history, None, &full).memory.known().unwrap().ladder.is_empty());
}

/// 100 MiB, and 500 more for every GB of input.
fn with_input(day: i64) -> Run {
    let gigabytes = u64::try_from(day * 7 % 10).unwrap() + 1;
    Run { input_bytes: Some(gigabytes as f64 * 1e9), ..run(day, 100 + 500 * gigabytes, 0.5) }
}

#[test]
fn a_known_input_gets_what_it_needs_and_an_unknown_one_what_all_need() {
    let sizing = sized((0..60).map(with_input).collect());
    let size = sizing.memory.known().unwrap();
    assert!(size.bytes >= 5100 * MIB, "{size:?}");
    assert!((600 * MIB..1400 * MIB).contains(&size.for_input(1_000_000_000)), "{size:?}");
    assert!((5100 * MIB..=size.bytes).contains(&size.for_input(10_000_000_000)), "{size:?}");
    assert_eq!(size.for_input(11_000_000_000), size.bytes, "more than was ever seen");
    assert!(size.by_input.windows(2).all(|w| w[0].bytes < w[1].bytes), "{size:?}");
    // The number for all inputs is what is replayed: only new highs among the first ten runs may exceed it.
    assert_eq!(sizing.evidence.replay.decisions, 57);
    assert!(sizing.evidence.replay.exceeded <= 2, "{:?}", sizing.evidence.replay);
    // Where inputs do not matter, none is looked at.
    let same = sized((0..60).map(|d| Run { input_bytes: with_input(d).input_bytes, ..run(d, 1000, 0.5) }).collect());
    assert!(same.memory.known().unwrap().by_input.is_empty());
}

#[test]
fn a_kill_without_answer_makes_no_input_safe() {
    let mut runs: Vec<Run> = (0..60).map(with_input).collect();
    runs.push(Run { outcome: Outcome::OomKilled, resources: asked(8192, 500), ..with_input(60) });
    let sizing = sized(runs);
    let size = sizing.memory.known().unwrap();
    assert_eq!((size.bytes, size.by_input.len()), (16_384 * MIB, 0));
}

#[test]
fn nothing_shrinks_on_a_few_scraped_samples() {
    let thin = |day| Run {
        memory: Some(MemoryUse { peak_bytes: 500 * MIB, source: PeakSource::Sampled, samples: 2 }),
        ..run(day, 0, 0.5)
    };
    let sizing = sized((0..100).map(thin).collect());
    let size = sizing.memory.known().unwrap();
    assert_eq!(size.bytes, 4096 * MIB);
    assert!(size.held.as_deref().unwrap().contains("scraped 2 times only"), "{:?}", size.held);
}

#[test]
fn a_change_too_small_to_matter_is_none() {
    let sizing = sized((0..20).map(|d| Run { resources: asked(1050, 500), ..run(d, 1000, 0.49) }).collect());
    assert_eq!(memory_mib(&sizing), 1050);
    assert_eq!(sizing.cpu.known().unwrap().request_millis, 500);
    // Runs that filled their limit and completed had enough.
    let tight = sized((0..20).map(|d| Run { resources: asked(1005, 500), ..run(d, 1000, 0.49) }).collect());
    assert_eq!(memory_mib(&tight), 1005);
}

#[test]
fn cpu_covers_most_runs_and_is_not_lowered_under_throttling() {
    let mut runs: Vec<Run> = (0..20).map(|d| run(d, 1000, 0.9)).collect();
    runs[3].cpu = Some(CpuUse { mean_cores: 3.0, peak_cores: None, throttled_share: None });
    assert_eq!(sized(runs.clone()).cpu.known().unwrap().request_millis, 900);
    for run in &mut runs {
        run.cpu = run.cpu.map(|c| CpuUse { throttled_share: Some(0.4), ..c });
    }
    let cpu = sized(runs).cpu;
    assert_eq!(cpu.known().unwrap().request_millis, 2000);
    assert!(cpu.known().unwrap().held.as_deref().unwrap().contains("throttled in 20 of 20"));
}

#[test]
fn a_throttled_run_wanted_at_least_its_limit_and_limits_go_by_the_policy() {
    let runs: Vec<Run> = (0..20)
        .map(|d| Run {
            cpu: Some(CpuUse { mean_cores: 1.0, peak_cores: Some(1.0), throttled_share: Some(0.3) }),
            resources: Resources { cpu_limit_millis: Some(2000), ..asked(16 * 1024, 500) },
            ..run(d, 16 * 1024, 0.0)
        })
        .collect();
    let mut history = History::new();
    history.add_all(runs.clone());
    let size = |cpu_limit| {
        let policy = SizingPolicy { cpu_limit, ..SizingPolicy::default() };
        recommend(&history, None, &policy).cpu.known().unwrap().clone()
    };
    let kept = size(CpuLimit::Keep);
    assert_eq!((kept.request_millis, kept.limit_millis), (2000, None), "16 GiB wait for the CPU");
    assert_eq!(size(CpuLimit::None).limit_millis, None);
    assert_eq!(size(CpuLimit::Ratio(1.5)).limit_millis, Some(3000));
    assert_eq!(size(CpuLimit::Ratio(0.1)).limit_millis, Some(2000), "never below the request, nor what was used");
    let without: Vec<Run> =
        runs.into_iter().map(|r| Run { resources: Resources { cpu_limit_millis: None, ..r.resources }, ..r }).collect();
    let mut history = History::new();
    history.add_all(without);
    let policy = SizingPolicy { cpu_limit: CpuLimit::Ratio(2.0), ..SizingPolicy::default() };
    let size = recommend(&history, None, &policy).cpu.known().unwrap().clone();
    assert_eq!((size.request_millis, size.limit_millis), (1000, None), "none is added");
}

#[test]
fn what_the_runs_reserved_is_what_the_effect_counts() {
    let runs: Vec<Run> = (0..7).map(|d| run(d, 1024, 1.0)).collect();
    let mut history = History::new();
    history.add_all(runs);
    // Seven runs of a sixth of an hour in a week, 2 GiB less each.
    let effect = Effect::of(&history, &asked(4096, 2000), Some(2048 * MIB), &[], Some(1000));
    assert!((effect.memory_gib_hours_per_week.unwrap() - 7.0 / 6.0 * 2.0).abs() < 1e-9);
    assert!((effect.cpu_core_hours_per_week.unwrap() - 7.0 / 6.0).abs() < 1e-9);
    // With half of what is needed each of them holds 512 MiB in vain first, then 1.5 GiB.
    let failing = Effect::of(&history, &asked(4096, 2000), Some(512 * MIB), &[1536 * MIB], None);
    assert!((failing.memory_gib_hours_per_week.unwrap() - 7.0 / 6.0 * (4.0 - 0.5 - 1.5)).abs() < 1e-9);
    assert!((failing.failed_gib_hours_per_week - 7.0 / 6.0 * 1.5).abs() < 1e-9);
    assert_eq!(Effect::of(&history, &Resources::default(), Some(1), &[], Some(1)).memory_gib_hours_per_week, None);
}

proptest! {
    #[test]
    fn never_below_what_was_seen_and_the_same_every_time(
        peaks in prop::collection::vec(1_u64..100_000, 3..60),
        cores in 0.0_f64..64.0,
    ) {
        let runs: Vec<Run> = peaks.iter().zip(0..).map(|(p, d)| run(d, *p, cores)).collect();
        let sizing = sized(runs.clone());
        prop_assert!(memory_mib(&sizing) >= *peaks.iter().max().unwrap());
        prop_assert_eq!(&sizing, &sized(runs.into_iter().rev().collect()));
        prop_assert!(sizing.cpu.known().unwrap().request_millis as f64 >= cores * 1000.0 * 0.95 - 1.0);
        prop_assert!(sizing.evidence.replay.exceeded <= sizing.evidence.replay.decisions);
    }
}

/// A day of one of two replicas, 2,880 samples, busy at twice its mean; the last day is under way.
pub(super) fn service(days: i64, peak_mib: impl Fn(i64) -> u64) -> Vec<Run> {
    let of = |(day, replica): (i64, i64)| Run {
        pod: format!("api-{replica}"),
        ended_ms: (day + 1) * 24 * HOUR_MS,
        memory: Some(MemoryUse { peak_bytes: peak_mib(day) * MIB, source: PeakSource::Sampled, samples: 2880 }),
        outcome: if day == days { Outcome::Running } else { Outcome::GoesOn },
        day: Some(Box::new(Day { busy_cores: Some(1.0), scaled_on: ScaledOn::default() })),
        ..run(day, 0, 0.5)
    };
    (0..=days).flat_map(|day| [(day, 0), (day, 1)]).map(of).collect()
}

#[rstest]
#[case::two(2, None, None)]
#[case::three(3, Some(4096), Some(2000))]
#[case::six(6, Some(4096), Some(2000))]
#[case::seven(7, Some(1150), Some(1000))]
fn a_service_is_sized_by_days(#[case] days: i64, #[case] memory: Option<u64>, #[case] cpu: Option<u64>) {
    let sizing = sized(service(days, |_| 1000));
    let near = |a: u64, b: u64| a.abs_diff(b) <= 20;
    match (sizing.memory.known().map(|m| m.bytes / MIB), memory) {
        (Some(found), Some(expected)) => assert!(near(found, expected), "{found} instead of {expected}"),
        (found, expected) => assert_eq!(found, expected),
    }
    // What it uses in its busy time, not its mean.
    assert_eq!(sizing.cpu.known().map(|c| c.request_millis), cpu);
    let e = &sizing.evidence;
    assert_eq!((e.days, e.replicas, e.running), (Some(days.unsigned_abs()), Some(2), 2));
    let held = sizing.memory.known().and_then(|m| m.held.clone());
    assert_eq!(held.is_some_and(|why| why.contains("after 7")), (3..7).contains(&days));
}

#[test]
fn a_service_that_needs_more_gets_it_after_three_days() {
    let runs: Vec<Run> = service(3, |_| 4000).into_iter().map(|r| Run { resources: asked(4096, 500), ..r }).collect();
    let sizing = sized(runs);
    assert!(memory_mib(&sizing) > 4000);
    assert_eq!(sizing.cpu.known().unwrap().request_millis, 1000);
}

#[test]
fn no_peak_of_a_service_is_left_to_a_kill_and_a_short_part_of_a_day_changes_nothing() {
    let sizing = sized(service(300, |day| if day % 100 == 17 { 3500 } else { 1000 }));
    assert!((4025..=4096).contains(&memory_mib(&sizing)), "{sizing:#?}");
    let mut runs = service(20, |_| 1000);
    let short = MemoryUse { peak_bytes: 990 * MIB, source: PeakSource::Sampled, samples: 2 };
    let part = Run { pod: "api-9".to_owned(), memory: Some(short), outcome: Outcome::Unknown, ..runs[4].clone() };
    let without = memory_mib(&sized(runs.clone()));
    runs.push(part);
    assert!(memory_mib(&sized(runs)).abs_diff(without) <= 10);
}

#[test]
fn what_an_autoscaler_scales_on_is_not_sized() {
    let on = |cpu, memory| {
        let day = Day { busy_cores: Some(1.0), scaled_on: ScaledOn { cpu, memory } };
        sized(service(9, |_| 1000).into_iter().map(|r| Run { day: Some(Box::new(day)), ..r }).collect())
    };
    let (by_cpu, by_memory) = (on(true, false), on(false, true));
    assert!(by_cpu.cpu.known().is_none() && by_cpu.memory.known().is_some());
    assert!(by_memory.memory.known().is_none() && by_memory.cpu.known().is_some());
    let mut history = History::new();
    history.add_all(service(9, |_| 1000));
    let policy = SizingPolicy { scaled_on: ScaledOn { cpu: true, memory: false }, ..SizingPolicy::default() };
    let live = recommend(&history, None, &policy);
    assert!(live.cpu.known().is_none() && live.memory.known().is_some(), "as the cluster says");
}
