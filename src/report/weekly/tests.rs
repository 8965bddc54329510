//! The model on histories made by hand.

use super::*;
use crate::fit::Constraints;
use crate::fit::spark::KnownHeaps;
use crate::history::{CpuUse, History, MemoryUse, Outcome, PeakSource, Resources, Run};
use crate::recommendation::Line;
use crate::workload::{Kind, Workload, WorkloadKey};

pub(crate) const HOUR: i64 = 3_600_000;
pub(crate) const DAY: i64 = 24 * HOUR;
pub(crate) use crate::quantity::GIB;
/// The period begins on day 7 and ends on day 14.
pub(crate) const PERIOD: Period = Period { start_ms: 7 * DAY, end_ms: 14 * DAY };

pub(crate) fn settings() -> Settings {
    Settings {
        period: PERIOD,
        prices: Prices { core_hour: 1.0, gib_hour: 1.0, currency: "EUR".to_owned() },
        top: 3,
        namespaces: Vec::new(),
        policy: SizingPolicy::default(),
    }
}

/// A run of one hour that begins on the hour; memory in GiB.
pub(crate) fn run(at_ms: i64, peak: u64, asked: u64, outcome: Outcome) -> Run {
    Run {
        pod: format!("pod-{at_ms}"),
        uid: None,
        started_ms: at_ms,
        ended_ms: at_ms + HOUR,
        memory: Some(MemoryUse { peak_bytes: peak * GIB, source: PeakSource::Cgroup, samples: 60 }),
        cpu: Some(CpuUse { mean_cores: 0.5, peak_cores: None, throttled_share: Some(0.0) }),
        resources: Resources {
            cpu_request_millis: Some(500),
            cpu_limit_millis: None,
            memory_request_bytes: Some(asked * GIB),
            memory_limit_bytes: Some(asked * GIB),
        },
        outcome,
        attempt: None,
        input_bytes: None,
        jvm: None,
        day: None,
        observation: None,
    }
}

pub(crate) fn history(runs: impl IntoIterator<Item = Run>) -> History {
    let mut history = History::new();
    history.add_all(runs);
    history
}

pub(crate) fn key(namespace: &str, name: &str, container: &str) -> WorkloadKey {
    WorkloadKey { workload: Workload::new(namespace, Kind::Cronjob, [name]), container: container.to_owned() }
}

pub(crate) fn report_of(histories: &[(WorkloadKey, History)], settings: &Settings) -> Weekly {
    let line = |key: &WorkloadKey, history: &History| {
        Line::of_history(key, history, &settings.policy, &Constraints::default(), &KnownHeaps::default())
    };
    let entries: Vec<Entry<'_>> =
        histories.iter().map(|(key, history)| Entry { history, line: line(key, history) }).collect();
    Weekly::new(&entries, None, vec!["a note of the data".to_owned()], settings)
}

fn daily(peak: u64, asked: u64) -> impl Iterator<Item = Run> {
    (0..14).map(move |day| run(day * DAY + HOUR, peak, asked, Outcome::Completed))
}

#[test]
fn sums_savings_and_comparison() {
    let histories = [
        (key("a", "large", "main"), history(daily(2, 16))),
        (key("a", "small", "main"), history(daily(2, 4))),
        (key("b", "new", "main"), history(daily(1, 8).skip(7))),
    ];
    let report = report_of(&histories, &settings());
    assert_eq!(report.totals.runs.finished, 21);
    assert_eq!(report.totals.memory.requested, 7.0 * 28.0);
    assert_eq!(report.totals.memory.used, 7.0 * 5.0);
    let names: Vec<&str> = report.workloads.iter().map(|r| r.workload.as_str()).collect();
    assert_eq!(names, ["cronjob/large", "cronjob/new", "cronjob/small"], "the most expensive first");
    assert_eq!(report.largest_savings, [0, 1, 2]);
    let c = report.comparison.unwrap();
    assert_eq!((c.containers, c.left_out), (3, 0));
    assert_eq!((c.now.memory.requested, c.before.memory.requested), (196.0, 140.0));
    let of_namespaces: f64 = report.namespaces.iter().map(|n| n.sums.money.requested).sum();
    assert_eq!(of_namespaces, report.totals.money.requested);
    assert_eq!(report.namespaces[0].namespace, "a");
    assert!(report.risks.is_empty(), "{:?}", report.risks);
}

#[test]
fn no_comparison_without_a_history_that_reaches_back() {
    let report = report_of(&[(key("a", "new", "main"), history(daily(1, 8).skip(5)))], &settings());
    assert_eq!(report.comparison, None);
    assert!(report.no_comparison.unwrap().contains("a longer history is needed"));
}

#[test]
fn runs_that_are_only_sums_are_said_and_not_compared() {
    let every_ten_minutes =
        (0..14 * 144).map(|i| Run { ended_ms: i * HOUR / 6 + 1, ..run(i * HOUR / 6, 1, 2, Outcome::Completed) });
    let histories =
        [(key("a", "often", "main"), history(every_ten_minutes)), (key("a", "daily", "main"), history(daily(1, 2)))];
    let report = report_of(&histories, &settings());
    let often = report.workloads.iter().find(|r| r.workload == "cronjob/often").unwrap();
    assert!(often.incomplete_since_ms.is_some_and(|since| since > PERIOD.start_ms));
    assert_eq!((often.now.runs.finished, often.before), (1000, None));
    let c = report.comparison.as_ref().unwrap();
    assert_eq!((c.containers, c.left_out), (1, 1));
    assert!(report.not_judged.iter().any(|n| n.why.starts_with("only runs since 1970-01-")), "{:?}", report.not_judged);
}

#[test]
fn risks_are_seen_named_and_mended() {
    let killed = daily(4, 4).enumerate().map(|(i, mut run)| {
        if i == 13 {
            run.outcome = Outcome::OomKilled;
        }
        run
    });
    let throttled = daily(1, 2).map(|mut run| {
        run.resources.cpu_limit_millis = Some(500);
        run.cpu = Some(CpuUse { mean_cores: 0.5, peak_cores: None, throttled_share: Some(0.4) });
        run
    });
    let bare = daily(1, 2).map(|mut run| {
        run.resources = Resources::default();
        run
    });
    let histories = [
        (key("a", "killed", "main"), history(killed)),
        (key("a", "throttled", "main"), history(throttled)),
        (key("a", "bare", "main"), history(bare)),
        (key("a", "fresh", "main"), history(daily(1, 2).skip(12))),
    ];
    let report = report_of(&histories, &settings());
    let of = |name: &str| -> Vec<RiskKind> {
        report.risks.iter().filter(|r| r.workload.ends_with(name)).map(|r| r.kind).collect()
    };
    assert_eq!(of("killed"), [RiskKind::OomKills]);
    assert_eq!(report.risks[0].seen, "1 of 7 runs was OOM-killed");
    assert!(report.risks[0].fix.starts_with("Set memory request and limit to "), "{}", report.risks[0].fix);
    assert_eq!(of("throttled"), [RiskKind::Throttled]);
    assert_eq!(of("bare"), [RiskKind::NoMemoryLimit, RiskKind::NoCpuRequest]);
    let not_judged: Vec<&str> = report.not_judged.iter().map(|n| n.workload.as_str()).collect();
    assert_eq!(not_judged, ["cronjob/fresh", "cronjob/bare"]);
    assert_eq!((report.totals.runs.oom_kills, report.totals.memory.failed_by_memory), (1, 4.0));
}

#[test]
fn a_change_to_what_was_recommended_is_told_from_others() {
    let until: Vec<Run> = daily(2, 16).take(10).collect();
    let sizing = crate::sizing::recommend(&history(until.clone()), None, &SizingPolicy::default());
    let memory = sizing.memory.known().unwrap().bytes;
    let cpu = sizing.cpu.known().unwrap().request_millis;
    let changed_to = |bytes: u64, cpu: u64| {
        let after = daily(2, 16).skip(10).map(move |mut run| {
            run.resources.memory_request_bytes = Some(bytes);
            run.resources.memory_limit_bytes = Some(bytes);
            run.resources.cpu_request_millis = Some(cpu);
            run
        });
        history(until.iter().cloned().chain(after))
    };
    let histories = [
        (key("a", "ours", "main"), changed_to(memory, cpu)),
        (key("a", "theirs", "main"), changed_to(memory + GIB, cpu)),
        (key("a", "unchanged", "main"), history(daily(2, 16))),
    ];
    let report = report_of(&histories, &settings());
    assert_eq!(report.changes.len(), 2);
    let of = |name: &str| report.changes.iter().find(|c| c.workload.ends_with(name)).unwrap();
    assert_eq!(of("ours").source, Source::Recommended);
    assert_eq!(of("theirs").source, Source::NotKnown);
    assert_eq!((of("ours").since_ms, of("ours").runs_since), (10 * DAY + HOUR, 4));
    let saved = (16.0 - memory as f64 / GIB as f64) * 4.0;
    assert!((of("ours").memory_gib_hours_saved.unwrap() - saved).abs() < 0.001);
}

#[test]
fn what_did_not_run_lately_is_counted_only() {
    let mut settings = settings();
    settings.period = Period { start_ms: 40 * DAY, end_ms: 47 * DAY };
    let histories = [
        (key("a", "old", "main"), history(daily(1, 2))),
        (key("a", "now", "main"), history([run(41 * DAY, 1, 2, Outcome::Completed)])),
    ];
    let report = report_of(&histories, &settings);
    assert_eq!((report.workloads.len(), report.quiet), (1, 1));
}

#[test]
fn nothing_at_all_is_a_report_too() {
    let report = report_of(&[], &settings());
    for renderer in Renderer::ALL {
        assert!(!renderer.render(&report).unwrap().is_empty());
    }
    assert!(text::render(&report).contains("Nothing was requested"));
}
