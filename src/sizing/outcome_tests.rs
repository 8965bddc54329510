//! Outcomes and doubts: what does not show a need counts for none, and no size feeds on its own consequence.

use proptest::prelude::*;
use rstest::rstest;

use super::tests::{HOUR_MS, MIB, asked, memory_mib, run, service, sized};
use super::*;
use crate::history::{Doubt, HeldUntil, MemoryUse, Observation, PeakSource};

fn failed(day: i64, peak_mib: u64) -> Run {
    Run { outcome: Outcome::Failed, ..run(day, peak_mib, 0.01) }
}

fn killed(day: i64, limit_mib: u64) -> Run {
    Run { outcome: Outcome::OomKilled, resources: asked(limit_mib, 2000), ..run(day, limit_mib, 0.5) }
}

fn with_limit(run: Run, limit_mib: u64) -> Run {
    Run { resources: asked(limit_mib, 2000), ..run }
}

fn observed(run: Run, observation: Observation) -> Run {
    Run { observation: Some(Box::new(observation)), ..run }
}

fn doubted(mut run: Run, doubt: Doubt) -> Run {
    run.doubt(doubt);
    run
}

fn unsampled(day: i64, outcome: Outcome) -> Run {
    let bare = Run { memory: None, cpu: None, outcome, resources: asked(128, 100), ..run(day, 0, 0.0) };
    doubted(bare, Doubt::NeverSampled)
}

fn unknown(sizing: &Sizing) -> &str {
    let Estimate::Unknown(why) = &sizing.memory else { panic!("{:?}", sizing.memory) };
    why
}

#[test]
fn three_failed_runs_lower_nothing_and_say_so() {
    let sizing = sized((0..3).map(|d| failed(d, 100)).collect());
    assert_eq!(unknown(&sizing), "3 runs failed, none completed");
    assert_eq!(sizing.cpu, Estimate::Unknown("3 runs failed, none completed".to_owned()));
    assert_eq!((sizing.evidence.failed, sizing.evidence.completed, sizing.evidence.counted), (3, 0, 0));
    let with_one = sized((0..4).map(|d| if d == 2 { run(d, 100, 0.5) } else { failed(d, 100) }).collect());
    assert_eq!(unknown(&with_one), "1 of 4 runs can count, 3 are needed: 3 failed");
    // However many they are: some are only sums by now.
    let many = sized((0..1300).map(|d| failed(d, 100)).collect());
    assert!(many.memory.known().is_none() && many.cpu.known().is_none(), "{many:?}");
}

#[test]
fn of_many_failed_runs_the_few_that_completed_decide() {
    let three: Vec<Run> = [1000, 900, 950].into_iter().zip([100, 200, 299]).map(|(p, d)| run(d, p, 0.5)).collect();
    let all = (0..300).map(|d| three.iter().find(|r| r.pod == format!("p-{d}")).cloned().unwrap_or(failed(d, 100)));
    let (alone, among) = (sized(three.clone()), sized(all.collect()));
    assert_eq!(among.memory, alone.memory);
    assert_eq!(among.cpu, alone.cpu);
    assert_eq!(among.evidence.replay, alone.evidence.replay);
    let e = &among.evidence;
    assert_eq!((e.runs, e.completed, e.failed, e.counted), (300, 3, 297, 3));
    assert_eq!(e.caveats(), ["memory rests on 3 of 300 runs: 297 failed"]);
    assert!(alone.evidence.caveats().is_empty());
}

#[test]
fn a_failed_run_that_needed_more_raises() {
    let mut runs: Vec<Run> = (0..20).map(|d| run(d, 1000, 0.5)).collect();
    runs.push(failed(20, 2500));
    assert!(memory_mib(&sized(runs)) >= 2500);
}

#[test]
fn kills_below_what_later_runs_had_dilute_nothing() {
    let mut runs: Vec<Run> = (0..297).map(|d| killed(d, 256)).collect();
    runs.extend((297..300).map(|d| run(d, 1000 + d.unsigned_abs() % 7, 0.5)));
    assert!((1000..1400).contains(&memory_mib(&sized(runs))));
}

#[rstest]
#[case::completed(Outcome::Completed, 1100, None, 4096)]
#[case::a_day_that_its_container_outlived(Outcome::GoesOn, 1100, None, 4096)]
#[case::in_doubt(Outcome::Completed, 1100, Some(Doubt::EndUnseen), 4096)]
#[case::higher_and_nothing_recorded(Outcome::Unknown, 2500, None, 4096)]
#[case::lower_and_nothing_recorded(Outcome::Unknown, 1100, None, 8192)]
#[case::failed(Outcome::Failed, 2500, None, 8192)]
fn a_larger_limit_answers_a_kill(
    #[case] outcome: Outcome,
    #[case] peak_mib: u64,
    #[case] doubt: Option<Doubt>,
    #[case] most: u64,
) {
    let mut runs = vec![killed(0, 4096)];
    let later = |d| with_limit(Run { outcome, ..run(d, peak_mib, 0.5) }, 8192);
    runs.extend((1..11).map(|d| doubt.map_or(later(d), |doubt| doubted(later(d), doubt))));
    let mut history = History::new();
    // The kill was at 2Gi, what holds now is 4Gi.
    history.add_all(runs.into_iter().map(|r| {
        let half = |mib: Option<u64>| mib.map(|b| b / 2);
        let of = r.resources;
        let resources = Resources {
            memory_request_bytes: half(of.memory_request_bytes),
            memory_limit_bytes: half(of.memory_limit_bytes),
            ..of
        };
        let memory = r
            .memory
            .map(|m| if r.outcome == Outcome::OomKilled { MemoryUse { peak_bytes: m.peak_bytes / 2, ..m } } else { m });
        Run { memory, resources, ..r }
    }));
    let sizing = recommend(&history, None, &SizingPolicy::default());
    let mib = memory_mib(&sizing);
    assert!(mib <= most && mib >= 2048, "{sizing:?}");
    assert_eq!(sizing.evidence.oom_kills, 1);
}

#[test]
fn a_kill_before_a_resize_in_place_belongs_to_the_smaller_size() {
    let day = |d: i64| Run { day: None, ..with_limit(run(d, 3000, 0.5), 4096) };
    let mut runs: Vec<Run> = (1..11).map(day).collect();
    let before = HeldUntil { until_ms: 300_000, resources: asked(2048, 2000) };
    let observation = Observation { killed_children: 1, held: vec![before], ..Observation::default() };
    runs.push(observed(with_limit(run(0, 2040, 0.5), 4096), observation));
    assert!(memory_mib(&sized(runs)) <= 4096);
}

#[test]
fn a_process_killed_inside_is_a_kill_of_its_run() {
    let lost_three =
        |d| observed(with_limit(run(d, 1010, 0.5), 1024), Observation { killed_children: 3, ..Observation::default() });
    let sizing = sized((0..13).map(lost_three).collect());
    assert_eq!((sizing.evidence.oom_kills, sizing.evidence.completed, memory_mib(&sizing)), (13, 0, 2048));
    let mut running: Vec<Run> = (0..5).map(|d| with_limit(run(d, 500, 0.5), 1024)).collect();
    running.push(Run { outcome: Outcome::Running, ..lost_three(5) });
    assert_eq!(memory_mib(&sized(running)), 2048);
}

#[test]
fn sigkill_at_the_limit_is_suspected_and_raises_a_step() {
    let run_of = |d: i64| {
        let code = Observation { exit_code: Some(137), ..Observation::default() };
        if d % 5 == 0 { with_limit(run(d, 700, 0.5), 1024) } else { observed(with_limit(failed(d, 1019), 1024), code) }
    };
    let sizing = sized((0..13).map(run_of).collect());
    assert_eq!((sizing.evidence.suspected_kills, sizing.evidence.failed, sizing.evidence.counted), (10, 0, 3));
    assert_eq!(memory_mib(&sizing), 1229);
}

#[rstest]
#[case(Doubt::EndUnseen)]
#[case(Doubt::LongGap)]
#[case(Doubt::Frozen)]
#[case(Doubt::LivesMerged)]
fn lower_bounds_alone_raise_and_never_lower(#[case] doubt: Doubt) {
    let sizing = sized((0..13).map(|d| doubted(run(d, 1000, 0.5), doubt)).collect());
    let size = sizing.memory.known().unwrap();
    assert_eq!(size.bytes, 4096 * MIB);
    assert!(size.held.as_deref().unwrap().contains("13 peaks are lower bounds"), "{:?}", size.held);
    let tight =
        sized((0..13).map(|d| doubted(with_limit(run(d, 1000 + 10 * d.unsigned_abs(), 0.5), 1200), doubt)).collect());
    assert!(memory_mib(&tight) >= 1120);
    // Some that were seen whole decide alone.
    let mixed = (0..13).map(|d| if d % 2 == 0 { run(d, 1000, 0.5) } else { doubted(run(d, 300, 0.5), doubt) });
    let mixed = sized(mixed.collect());
    assert_eq!(
        (memory_mib(&mixed), mixed.evidence.counted),
        (memory_mib(&sized((0..7).map(|d| run(2 * d, 1000, 0.5)).collect())), 7)
    );
    // Without a size of now there is none to keep.
    let bare = |d| Run { resources: Resources::default(), ..doubted(run(d, 1000, 0.5), doubt) };
    let is_known = sized((0..13).map(bare).collect()).memory.known().is_some();
    assert_eq!(is_known, matches!(doubt, Doubt::EndUnseen | Doubt::LongGap));
}

#[test]
fn runs_that_nobody_sampled_exist() {
    let short = |run: Run| Run { ended_ms: run.started_ms + 15_000, ..run };
    let tiny: Vec<Run> = (0..312).map(|d| short(unsampled(d, Outcome::OomKilled))).collect();
    let sizing = sized(tiny.clone());
    let why = unknown(&sizing);
    assert!(why.starts_with("312 runs, none sampled, 312 killed: "), "{why}");
    assert!(why.contains("10 to 15 s") && why.ends_with("the last kill was at 128Mi: try 256Mi"), "{why}");
    let long = sized((0..9).map(|d| unsampled(d, Outcome::Completed)).collect());
    assert!(unknown(&long).contains("long as they are"), "{}", unknown(&long));
    assert_eq!((sizing.evidence.never_sampled, sizing.evidence.oom_kills), (312, 312));
    assert!(!unknown(&sized((0..9).map(|d| unsampled(d, Outcome::Completed)).collect())).contains("killed"));
    // Where some were sampled, the kills of the others count.
    let mut some: Vec<Run> = (400..405).map(|d| with_limit(run(d, 60, 0.1), 128)).collect();
    some.extend(tiny);
    let sizing = sized(some);
    assert_eq!(memory_mib(&sizing), 256);
    assert!(
        sizing
            .evidence
            .caveats()
            .contains(&"312 runs: no scrape saw them, kube-state-metrics alone tells of them".to_owned())
    );
}

/// What page cache does: it fills whatever limit it gets. Six times the recommendation becomes the limit.
fn six_times(fill: impl Fn(i64, u64) -> Run) -> Vec<u64> {
    let mut history = History::new();
    let mut limits = vec![2048];
    for step in 0..7 {
        let limit = limits[limits.len() - 1];
        history.add_all((0..13).map(|n| fill(step * 13 + n, limit)));
        limits.push(memory_mib(&recommend(&history, None, &SizingPolicy::default())));
    }
    limits
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]
    #[test]
    fn what_fills_any_limit_makes_no_size_grow(
        share in prop::collection::vec(0.981_f64..1.002, 13),
        samples in 1_u32..200,
        source in prop_oneof![Just(PeakSource::Sampled), Just(PeakSource::Cgroup)],
        doubt in prop::option::of(prop::sample::select(&Doubt::ALL[3..])),
        small in prop::option::of(2_usize..13),
    ) {
        let filled = |n: i64, limit: u64| {
            let share = share[n as usize % 13];
            // Some need less than any limit, always the same.
            let peak_bytes = if small.is_some_and(|every| n as usize % every == 1) {
                700 * MIB
            } else {
                ((limit * MIB) as f64 * share) as u64
            };
            let mut run = with_limit(run(n, 0, 0.5), limit);
            run.memory = Some(MemoryUse { peak_bytes, source, samples });
            if let Some(doubt) = doubt {
                run.doubt(doubt);
            }
            run
        };
        let unproven = |n, limit| Run { outcome: Outcome::Unknown, ..filled(n, limit) };
        let proven = |n, limit| {
            let mut run = unproven(n, limit);
            run.observation.get_or_insert_default().succeeded = true;
            run
        };
        let a_day = |n: i64, limit| Run {
            outcome: Outcome::GoesOn,
            ended_ms: (n + 1) * 24 * HOUR_MS,
            ..Run { day: service(1, |_| 0)[0].day.clone(), ..filled(n, limit) }
        };
        for sizes in [six_times(filled), six_times(proven), six_times(a_day)] {
            prop_assert!(sizes.windows(2).all(|w| w[1] <= w[0]), "{:?}", sizes);
        }
        // Without proof of success one step may be taken, once.
        let sizes = six_times(unproven);
        prop_assert!(sizes[1] <= 2458, "{:?}", sizes);
        prop_assert!(sizes[1..].windows(2).all(|w| w[1] <= w[0]), "{:?}", sizes);
    }

    #[test]
    fn what_shows_no_need_never_lowers_and_never_counts(
        peaks in prop::collection::vec(1_u64..4000, 3..40),
        others in prop::collection::vec((0_i64..60, 1_u64..8000, 0_usize..8), 0..40),
        input in any::<bool>(),
    ) {
        let input_of = |d: i64| input.then_some((d % 9) as f64 * 1e9);
        let needs: Vec<Run> = peaks.iter().zip(0..).map(|(p, d)| Run { input_bytes: input_of(d), ..run(d, *p, 0.5) }).collect();
        let other = |(at, (day, peak, kind)): (usize, &(i64, u64, usize))| {
            let base = Run { pod: format!("other-{at}"), input_bytes: input_of(*day), ..run(*day, *peak, 0.5) };
            match kind {
                0 => doubted(base, Doubt::EndUnseen),
                1 => doubted(base, Doubt::LongGap),
                2 => doubted(base, Doubt::Frozen),
                3 => doubted(base, Doubt::LivesMerged),
                4 => Run { outcome: Outcome::OomKilled, ..base },
                5 => Run { outcome: Outcome::Unknown, ..with_limit(base, *peak) },
                6 => observed(Run { outcome: Outcome::Failed, ..base }, Observation { exit_code: Some(143), ..Observation::default() }),
                _ => Run { outcome: Outcome::Failed, ..base },
            }
        };
        let of = |runs: Vec<Run>| {
            let mut history = History::new();
            history.add_all(runs);
            recommend(&history, Some(asked(4096, 2000)), &SizingPolicy::default())
        };
        let alone = of(needs.clone());
        let among = of(needs.into_iter().chain(others.iter().enumerate().map(other)).collect());
        prop_assert!(memory_mib(&among) >= memory_mib(&alone), "{among:?}\n{alone:?}");
        prop_assert_eq!(among.evidence.counted, alone.evidence.counted);
        let left_out: u64 = among.evidence.left_out.iter().map(|l| l.runs).sum();
        prop_assert_eq!(among.evidence.counted + left_out, among.evidence.runs);
    }
}

#[test]
fn what_changed_in_place_counts_for_its_time_in_the_effect() {
    let minutes = |n: i64| n * 60_000;
    let resized = |d: i64| {
        let mut run = with_limit(run(d, 500, 1.0), 1024);
        run.ended_ms = run.started_ms + minutes(240);
        let before = HeldUntil { until_ms: run.started_ms + minutes(230), resources: asked(8192, 4000) };
        observed(run, Observation { held: vec![before], ..Observation::default() })
    };
    let mut history = History::new();
    history.add_all((0..7).map(resized));
    let effect = Effect::of(&history, &asked(1024, 2000), Some(1024 * MIB), &[], Some(2000));
    let held = 7.0 * (230.0 * 8.0 + 10.0) / 60.0;
    assert!((effect.memory_gib_hours_per_week.unwrap() - (held - 28.0)).abs() < 1e-9, "{effect:?}");
    assert!((effect.cpu_core_hours_per_week.unwrap() - 7.0 * 230.0 / 60.0 * 2.0).abs() < 1e-9);
}
