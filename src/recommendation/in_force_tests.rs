//! What is said of a workload, without a cluster: from what is learned, what was said, and what was killed.

use std::collections::BTreeMap;

use jiff::Timestamp;
use proptest::prelude::*;
use rstest::rstest;

use super::in_force::{Facts, Learned, Survivor, next, survivors};
use super::status::Status;
use super::{Kill, Line};
use crate::fit::Constraints;
use crate::fit::spark::KnownHeaps;
use crate::history::{CpuUse, History, MemoryUse, Outcome, PeakSource, Resources, Run};
use crate::policy::Policy;
use crate::quantity::{GIB, MIB, Quantity};
use crate::sizing::SizingPolicy;
use crate::workload::{Workload, WorkloadKey};

#[path = "in_force_heap_tests.rs"]
mod heaps;

fn run(number: i64, peak: u64, limit: u64, outcome: Outcome) -> Run {
    let started_ms = 1_795_000_000_000 + number * 86_400_000;
    Run {
        pod: format!("nightly-{number}"),
        uid: None,
        started_ms,
        ended_ms: started_ms + 1_800_000,
        memory: Some(MemoryUse { peak_bytes: peak, source: PeakSource::Cgroup, samples: 60 }),
        cpu: Some(CpuUse { mean_cores: 0.2, peak_cores: None, throttled_share: None }),
        resources: Resources {
            memory_request_bytes: Some(limit),
            memory_limit_bytes: Some(limit),
            cpu_request_millis: Some(500),
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

/// Twelve runs that asked for 8Gi and used some 1000 MiB.
fn history() -> History {
    let mut history = History::default();
    for number in 0..12 {
        history.add(run(number, 1000 * MIB, 8 * GIB, Outcome::Completed));
    }
    history
}

struct World {
    workload: &'static str,
    history: History,
    previous: Status,
    kills: BTreeMap<String, Kill>,
    policy: Option<Policy>,
    is_opted_out: bool,
    now: Timestamp,
}

impl World {
    fn new(history: History) -> Self {
        Self {
            workload: "cronjob/nightly",
            history,
            previous: Status::default(),
            kills: BTreeMap::new(),
            policy: Some(Policy::default()),
            is_opted_out: false,
            now: "2026-12-01T00:00:00Z".parse().unwrap(),
        }
    }

    /// What is said now; it is what was said before from then on, and its kills are taken in.
    fn cycle(&mut self) -> Status {
        self.next(true)
    }

    /// The same where nothing was learned.
    fn restate(&mut self) -> Status {
        self.next(false)
    }

    fn next(&mut self, learns: bool) -> Status {
        let workload = Workload::parse("etl", self.workload).unwrap();
        let key = WorkloadKey { workload: workload.clone(), container: "main".to_owned() };
        let line = Line::of_history(
            &key,
            &self.history,
            &SizingPolicy::default(),
            &Constraints::default(),
            &KnownHeaps::default(),
        );
        let alive: Vec<Survivor> = survivors(&self.history);
        let learned = [Learned { line: &line, survivors: &alive }];
        self.previous = next(&Facts {
            workload: &workload,
            previous: &self.previous,
            learned: if learns { &learned } else { &[] },
            kills: &self.kills,
            policy: self.policy.as_ref(),
            is_opted_out: self.is_opted_out,
            now: self.now,
        });
        self.kills.clear();
        self.previous.clone()
    }

    fn kill(&mut self, limit: &str, at: &str, lowered_from: Option<&str>) {
        let kill = Kill {
            limit: limit.parse().unwrap(),
            at: at.parse().unwrap(),
            pod: "nightly-x".to_owned(),
            lowered_from: lowered_from.map(|before| before.parse().unwrap()),
        };
        self.kills.insert("main".to_owned(), kill);
    }

    fn policy(&mut self, yaml: &str) {
        self.policy = Some(Policy::from_yaml(yaml).unwrap());
    }
}

fn memory(status: &Status) -> Quantity {
    status.containers[0].recommended.memory_limit.unwrap()
}

fn gib(amount: u64) -> Quantity {
    Quantity::from_bytes(amount * GIB)
}

fn condition<'a>(status: &'a Status, kind: &str) -> (&'a str, &'a str) {
    let found = status.conditions.iter().find(|c| c.kind == kind).unwrap();
    (&found.status, &found.reason)
}

#[test]
fn what_is_learned_is_said_and_said_again_the_same() {
    let mut world = World::new(history());
    let first = world.cycle();
    assert!(memory(&first) < gib(2), "{}", memory(&first));
    assert_eq!((first.summary.runs.as_str(), first.summary.applied.as_str()), ("12", "apply"));
    assert!(first.summary.memory.starts_with("8Gi → "), "{}", first.summary.memory);
    assert_eq!(condition(&first, "Ready"), ("True", "Sized"));
    world.now = "2026-12-02T00:00:00Z".parse().unwrap();
    assert_eq!(world.cycle(), first, "an hour later nothing is written");
    assert_eq!(world.restate(), first);
}

fn saved(status: &Status) -> f64 {
    status.summary.saved_per_week.replace('−', "-").parse().unwrap()
}

/// Twelve half hours in eleven days: 3.8 hours a week.
#[test]
fn what_is_saved_is_what_the_size_in_force_saves() {
    let mut world = World::new(history());
    let learned = world.cycle();
    let hours = learned.containers[0].evidence.as_ref().unwrap().hours_per_week.unwrap();
    assert!((3.7..3.9).contains(&hours), "{hours}");
    let expect = |size: Quantity| -(8.0 - size.bytes_rounded_up() as f64 / GIB as f64) * hours;
    assert!((saved(&learned) - expect(memory(&learned))).abs() < 0.06, "{}", saved(&learned));

    world.policy("bounds: {memory: {floor: 4Gi}}");
    let bounded = world.restate();
    assert_eq!(memory(&bounded), memory(&learned), "what is recommended is the history's");
    assert_eq!(bounded.containers[0].in_force.memory_limit, Some(gib(4)));
    assert!(bounded.summary.memory.ends_with("→ 4Gi"), "{}", bounded.summary.memory);
    assert!((saved(&bounded) - expect(gib(4))).abs() < 0.06, "{}", saved(&bounded));
    assert_eq!(world.cycle(), bounded, "learned again, the same is said");

    world.policy("{}");
    world.kill("2Gi", "2026-11-30T02:10:00Z", None);
    let killed = world.restate();
    assert!((saved(&killed) - expect(memory(&killed))).abs() < 0.06, "{}", saved(&killed));
    assert_eq!(world.cycle().summary, killed.summary);

    world.kill("3Gi", "2026-11-30T03:10:00Z", Some("8Gi"));
    let frozen = world.restate();
    assert_eq!((memory(&frozen), saved(&frozen)), (gib(8), 0.0));
    assert_eq!(frozen.summary.memory, "8Gi");
}

#[test]
fn a_kill_is_counted_before_the_history_has_it() {
    let mut world = World::new(history());
    let oom_kills = |status: &Status| status.containers[0].evidence.as_ref().unwrap().oom_kills;
    assert_eq!(oom_kills(&world.cycle()), 0);
    world.kill("2Gi", "2026-11-30T02:10:00Z", None);
    assert_eq!(oom_kills(&world.restate()), 1);
    assert_eq!(oom_kills(&world.restate()), 1, "said again, it is the same one");
    assert_eq!(oom_kills(&world.cycle()), 1, "the history does not know of it");
    world.kill("4Gi", "2026-11-30T03:10:00Z", None);
    assert_eq!(oom_kills(&world.cycle()), 2);
}

#[test]
fn a_workload_without_a_number_that_is_switched_off_says_off() {
    let mut world = World::new(History::default());
    world.kill("1Gi", "2026-11-30T02:10:00Z", None);
    let said = world.restate();
    assert_eq!(said.summary.saved_per_week, "—", "no column is blank");
    world.is_opted_out = true;
    assert_eq!(world.restate().summary.applied, "off");
    let mut unseen = World::new(History::default());
    unseen.is_opted_out = true;
    assert_eq!(unseen.cycle().summary.applied, "off");
}

#[test]
fn too_few_runs_are_unknown_with_the_reason() {
    let mut history = History::default();
    history.add(run(0, GIB, 8 * GIB, Outcome::Completed));
    let said = World::new(history).cycle();
    assert_eq!(said.summary.applied, "unknown");
    assert_eq!(condition(&said, "Ready"), ("False", "NoEvidence"));
    assert!(said.conditions[0].message.contains("3 are needed"), "{:?}", said.conditions);
}

#[test]
fn a_kill_is_remembered_until_a_later_run_lives_with_more() {
    let mut world = World::new(history());
    world.cycle();
    world.kill("2Gi", "2026-11-30T02:10:00Z", None);
    let killed = world.restate();
    let step = memory(&killed);
    assert!(step > gib(3), "{step} after a kill at 2Gi");
    assert_eq!(killed.kills_until, Some("2026-11-30T02:10:00Z".parse().unwrap()));
    assert_eq!(memory(&world.cycle()), step, "history from before it changes nothing");
    // The next try lived with 4Gi and used 2.5.
    let mut lived = run(0, 2560 * MIB, 4 * GIB, Outcome::Completed);
    lived.started_ms = "2026-11-30T02:15:00Z".parse::<Timestamp>().unwrap().as_millisecond();
    lived.ended_ms = lived.started_ms + 1_000_000;
    world.history.add(lived);
    let after = world.cycle();
    assert_eq!(after.containers[0].kill, None);
    assert!(memory(&after).bytes_rounded_up() >= 2560 * MIB, "{}", memory(&after));
}

#[test]
fn a_shrink_that_killed_is_taken_back_and_not_tried_again_for_a_week() {
    let mut world = World::new(history());
    world.cycle();
    world.kill("1200Mi", "2026-11-30T02:10:00Z", Some("8Gi"));
    let frozen = world.restate();
    assert_eq!(memory(&frozen), gib(8));
    assert_eq!(condition(&frozen, "Frozen"), ("True", "ShrinkTakenBack"));
    assert_eq!(frozen.summary.applied, "frozen");
    // A later run lived: the kill is answered, the freeze is not over.
    let mut lived = run(0, 1300 * MIB, 8 * GIB, Outcome::Completed);
    lived.started_ms = "2026-11-30T02:15:00Z".parse::<Timestamp>().unwrap().as_millisecond();
    lived.ended_ms = lived.started_ms + 1_000_000;
    world.history.add(lived);
    assert_eq!(memory(&world.cycle()), gib(8));
    world.now = "2026-12-07T02:11:00Z".parse().unwrap();
    let thawed = world.cycle();
    assert!(memory(&thawed) < gib(3), "{}", memory(&thawed));
    assert_eq!(condition(&thawed, "Frozen"), ("False", "NotFrozen"));
}

#[test]
fn of_kills_at_once_the_answer_is_to_the_largest() {
    let mut world = World::new(history());
    world.cycle();
    world.kill("4Gi", "2026-11-30T02:10:00Z", None);
    world.restate();
    world.kill("2Gi", "2026-11-30T02:20:00Z", None);
    let said = world.restate();
    assert!(memory(&said) > gib(7), "{}", memory(&said));
    assert_eq!(said.kills_until, Some("2026-11-30T02:20:00Z".parse().unwrap()));
}

#[test]
fn a_kill_of_an_unknown_workload_makes_a_recommendation() {
    let mut world = World::new(History::default());
    world.kill("1Gi", "2026-11-30T02:10:00Z", None);
    let said = world.restate();
    assert_eq!(memory(&said), gib(2));
    assert_eq!(said.containers[0].name, "main");
}

#[test]
fn shrinks_go_by_steps_and_wait_for_new_runs() {
    let mut world = World::new(history());
    world.policy("rollout: {largestShrink: 0.5}");
    assert_eq!(memory(&world.cycle()), gib(4));
    assert_eq!(memory(&world.cycle()), gib(4), "no run has been seen at 4Gi");
    world.history.add(run(13, 1000 * MIB, 4 * GIB, Outcome::Completed));
    assert_eq!(memory(&world.cycle()), gib(2));
    world.history.add(run(14, 1000 * MIB, 2 * GIB, Outcome::Completed));
    let third = memory(&world.cycle());
    assert!(third < gib(2) && third.bytes_rounded_up() > 900 * MIB, "{third}");
}

#[rstest]
#[case::no_policy(None, false, "recommend", "False")]
#[case::stopped(Some("resizing: stopped"), false, "stopped", "False")]
#[case::shown(Some("rollout: {mode: recommend}"), false, "recommend", "False")]
#[case::all_of_a_canary(Some("rollout: {mode: canary, canaryPercent: 100}"), false, "canary", "True")]
#[case::none_of_a_canary(Some("rollout: {mode: canary, canaryPercent: 0}"), false, "recommend", "False")]
#[case::by_run(Some("rollout: {mode: canary, canaryBy: run}"), false, "canary", "True")]
#[case::opted_out(Some("{}"), true, "off", "False")]
#[case::elsewhere(Some("rollout: {namespaces: [{names: [other], mode: recommend}]}"), false, "apply", "True")]
fn the_column_says_whether_pods_get_it(
    #[case] policy: Option<&str>,
    #[case] is_opted_out: bool,
    #[case] word: &str,
    #[case] applied: &str,
) {
    let mut world = World::new(history());
    world.policy = policy.map(|yaml| Policy::from_yaml(yaml).unwrap());
    world.is_opted_out = is_opted_out;
    let said = world.cycle();
    assert_eq!(said.summary.applied, word);
    assert_eq!(condition(&said, "Applied").0, applied);
}

proptest! {
    /// Whatever happens in whatever order, nobody gets what killed them, or less.
    #[test]
    fn nothing_is_given_that_is_known_to_kill(
        kills in proptest::collection::vec((1_u64..40, proptest::option::of(1_u64..80), any::<bool>()), 1..6),
        shrink in proptest::option::of(0.1_f64..0.9),
    ) {
        let mut world = World::new(history());
        if let Some(share) = shrink {
            world.policy(&format!("rollout: {{largestShrink: {share}}}"));
        }
        world.cycle();
        let mut largest = 0;
        for (turn, (limit, before, learns)) in kills.into_iter().enumerate() {
            let at = format!("2026-11-30T02:{:02}:00Z", 10 + turn);
            let before = before.filter(|before| *before > limit).map(|before| format!("{before}Gi"));
            world.kill(&format!("{limit}Gi"), &at, before.as_deref());
            largest = largest.max(limit);
            let said = if learns { world.cycle() } else { world.restate() };
            prop_assert!(memory(&said) > gib(largest), "{} after a kill at {}Gi", memory(&said), largest);
        }
    }
}

/// Runs whose peak follows their input: 100 MiB and as much again as the input has.
fn history_by_input() -> History {
    let mut history = History::default();
    for number in 0..60 {
        let input = (1 + (number as u64 * 7) % 20) * 100 * MIB;
        let mut run = run(number, 100 * MIB + input, 8 * GIB, Outcome::Completed);
        run.input_bytes = Some(input as f64);
        history.add(run);
    }
    history
}

#[test]
fn sizes_by_input_stand_until_a_kill_says_that_too_little_is_known() {
    let mut world = World::new(history_by_input());
    let said = world.cycle();
    let sizes = said.containers[0].memory_by_input.clone();
    assert!(sizes.len() > 3, "{sizes:?}");
    assert!(sizes.is_sorted_by(|a, b| a.up_to_input < b.up_to_input && a.memory < b.memory), "{sizes:?}");
    assert!(sizes[0].memory < gib(1) && memory(&said) > gib(2), "{sizes:?}");
    assert_eq!(world.restate().containers[0].memory_by_input, sizes, "without news they stay");
    world.kill("1Gi", "2026-12-01T00:00:00Z", None);
    assert!(world.restate().containers[0].memory_by_input.is_empty());
}

#[test]
fn sizes_by_input_go_no_further_down_than_one_step_and_wait_for_the_whole_to_arrive() {
    let mut world = World::new(history_by_input());
    world.policy("rollout: {largestShrink: 0.5}\n");
    assert!(world.cycle().containers[0].memory_by_input.is_empty(), "the whole is on its way down");
    world.policy("rollout: {largestShrink: 0.9}\n");
    world.previous = Status::default();
    let said = world.cycle();
    let least = Quantity::from_bytes(memory(&said).bytes_rounded_up() / 10);
    assert!(said.containers[0].memory_by_input.iter().all(|size| size.memory >= least));
}

/// Two replicas that asked for 8Gi and used some 1000 MiB, day by day; pods of the last `at_new` days were made with
/// less.
fn service(days: i64, at_new: i64, new: u64) -> History {
    let mut history = History::default();
    for (day, replica) in (0..days).flat_map(|day| [(day, 0), (day, 1)]) {
        let limit = if day >= days - at_new { new } else { 8 * GIB };
        let of_day = run(day, 1000 * MIB, limit, Outcome::GoesOn);
        let midnight = of_day.started_ms.div_euclid(86_400_000) * 86_400_000;
        let memory = of_day.memory.map(|m| MemoryUse { source: PeakSource::Sampled, samples: 2880, ..m });
        history.add(Run {
            pod: format!("api-{replica}"),
            started_ms: midnight,
            ended_ms: midnight + 86_400_000,
            memory,
            day: Some(Box::default()),
            ..of_day
        });
    }
    history
}

#[test]
fn a_service_steps_down_when_a_pod_was_made_at_the_step_before() {
    let mut world = World::new(service(10, 0, 0));
    world.workload = "deployment/api";
    world.policy("rollout: {largestShrink: 0.5}\nservices: sized");
    let memory = |status: &Status| status.containers[0].recommended.memory_limit.unwrap().to_string();
    let first = world.cycle();
    assert_eq!((memory(&first).as_str(), first.summary.applied.as_str()), ("4Gi", "apply"));
    assert_eq!((first.summary.runs.as_str(), first.containers[0].evidence.as_ref().unwrap().days), ("10 d", Some(10)));
    // More days at the old size are no experience with the new one.
    world.history = service(12, 0, 0);
    assert_eq!(memory(&world.cycle()), "4Gi");
    world.history = service(13, 1, 4 * GIB);
    assert_eq!(memory(&world.cycle()), "2Gi");
}

#[test]
fn services_are_shown_only_unless_the_policy_says_otherwise() {
    let mut world = World::new(service(10, 0, 0));
    world.workload = "deployment/api";
    let status = world.cycle();
    assert_eq!(status.summary.applied, "recommend");
    assert!(status.conditions.iter().any(|c| c.message.contains("services: sized")), "{:#?}", status.conditions);
    world.policy("services: sized");
    assert_eq!(world.cycle().summary.applied, "apply");
}
