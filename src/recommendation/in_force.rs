//! From what was learned of a workload, what was said of it before, and kills seen live, to what is said of it now.
//! Must not know a cluster; the time is handed in. Grows at once, shrinks as the policy lets it, forgets no kill that
//! no later run has answered.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::status::{Condition, ContainerStatus, Evidence, FlinkStatus, Frozen, InputMemory, Status, Summary};
use super::{Kill, Line};
use crate::fit::spark::Divided;
use crate::fit::{ContainerResources, Pair, Resource};
use crate::history::{History, Outcome};
use crate::policy::{Policy, Resizing, RolloutMode, Services};
use crate::quantity::{GIB_F64, Quantity};
use crate::text::units;
use crate::workload::Workload;

/// What was learned of one container.
#[derive(Clone, Copy, Debug)]
pub struct Learned<'a> {
    /// Its report line.
    pub line: &'a Line,
    /// Its newest runs that were not killed.
    pub survivors: &'a [Survivor],
}

/// A run that ended and was not killed for memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Survivor {
    started_ms: i64,
    limit_bytes: Option<u64>,
}

/// Most survivors that are looked at: a kill is answered by the next runs, or not yet.
const MAX_SURVIVORS: usize = 50;

/// The newest runs of a history that ended and were not killed for memory.
pub fn survivors(history: &History) -> Vec<Survivor> {
    let mut found: Vec<Survivor> = history
        .runs()
        .filter(|run| matches!(run.outcome, Outcome::Completed | Outcome::Failed | Outcome::GoesOn))
        .map(|run| Survivor { started_ms: run.started_ms, limit_bytes: run.resources.memory_limit_bytes })
        .collect();
    found.sort_unstable_by_key(|survivor| std::cmp::Reverse(survivor.started_ms));
    found.truncate(MAX_SURVIVORS);
    found
}

/// What a status is made of.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// Whose it is.
    pub workload: &'a Workload,
    /// What was said before.
    pub previous: &'a Status,
    /// What was learned now; empty where there was nothing to learn from.
    pub learned: &'a [Learned<'a>],
    /// Kills seen live, by container.
    pub kills: &'a BTreeMap<String, Kill>,
    /// What the administrator lets be done; `None` without a policy, which is: show only.
    pub policy: Option<&'a Policy>,
    /// Sizing is switched off for the workload.
    pub is_opted_out: bool,
    /// Now.
    pub now: Timestamp,
}

/// What is said of a workload now.
pub fn next(facts: &Facts<'_>) -> Status {
    let mut names: Vec<&str> = facts.learned.iter().map(|l| l.line.container.as_str()).collect();
    names.extend(facts.previous.containers.iter().map(|c| c.name.as_str()));
    names.extend(facts.kills.keys().map(String::as_str));
    names.sort_unstable();
    names.dedup();
    let containers: Vec<ContainerStatus> = names.iter().map(|name| container(facts, name)).collect();
    let last_run = facts.learned.iter().filter_map(|l| l.line.evidence.last_ms).max().and_then(at);
    let kills_until = facts.kills.values().map(|kill| kill.at).max().max(facts.previous.kills_until);
    let applied = applied(facts, &containers);
    Status {
        summary: summary(facts, &containers, &applied),
        conditions: conditions(facts, &containers, &applied),
        kills_until,
        last_run: last_run.max(facts.previous.last_run),
        containers,
    }
}

fn container(facts: &Facts<'_>, name: &str) -> ContainerStatus {
    let before = facts.previous.containers.iter().find(|c| c.name == name);
    let learned = facts.learned.iter().find(|l| l.line.container == name);
    let mut now = match learned {
        Some(learned) => from_line(learned.line),
        None => ContainerStatus { name: name.to_owned(), ..before.cloned().unwrap_or_default() },
    };
    if let (Some(learned), Some(policy)) = (learned, facts.policy) {
        step(&mut now, before, learned.line, policy);
        step_heap(&mut now, before, learned.line, policy);
    }
    let known = before.and_then(|b| b.kill.as_ref());
    let newest = match (facts.kills.get(name), known) {
        (Some(live), Some(known)) => Some(live.clone().and(known.clone())),
        (live, known) => live.or(known).cloned(),
    };
    now.kill = newest.filter(|kill| !learned.is_some_and(|l| is_answered(l.survivors, kill)));
    now.frozen = frozen(facts, before, facts.kills.get(name));
    let mut least = now.frozen.as_ref().map(|frozen| frozen.memory);
    if let Some(kill) = &now.kill {
        least = least.max(Some(kill.next_memory(now.recommended.memory_limit, &now.memory_ladder)));
    }
    if let Some(least) = least {
        hold(&mut now, least);
    }
    divide(&mut now);
    if now.kill.is_some() || now.frozen.is_some() {
        // What the JVMs showed did not hold; before that is answered no process is made smaller.
        now.flink = now.flink.map(|_| FlinkStatus { process_is_proven: false });
    }
    count_kills(&mut now, before, facts.kills.contains_key(name));
    now.in_force = within_bounds(&now, facts.policy);
    now.memory_by_input = by_input(&now, learned.map(|l| l.line), facts.policy);
    now
}

/// The history may not have the kill yet, or not know of it at all: until it is answered, none that was counted is
/// forgotten.
fn count_kills(now: &mut ContainerStatus, before: Option<&ContainerStatus>, is_news: bool) {
    if now.kill.is_none() {
        return;
    }
    let counted = before.and_then(|before| before.evidence.as_ref()).map_or(0, |evidence| evidence.oom_kills);
    let evidence = now.evidence.get_or_insert_default();
    evidence.oom_kills = evidence.oom_kills.max(counted.saturating_add(is_news.into())).max(1);
}

/// What the bounds of the policy make of what is recommended, for a pod that asks for what the newest did.
fn within_bounds(now: &ContainerStatus, policy: Option<&Policy>) -> ContainerResources {
    let mut size = now.recommended;
    let Some(bounds) = policy.map(|policy| &policy.bounds) else { return size };
    for (resource, range) in [(Resource::Cpu, &bounds.cpu), (Resource::Memory, &bounds.memory)] {
        let held = size.pair(resource).within(range, now.current.pair(resource));
        size.set(resource, held);
    }
    size
}

/// Sizes by input stand only beside the memory that the history alone recommends: not while a kill is unanswered, nor
/// while a step or a bound holds memory higher. They lower it by no more than one step of the policy.
fn by_input(now: &ContainerStatus, line: Option<&Line>, policy: Option<&Policy>) -> Vec<InputMemory> {
    let held = now.kill.is_some() || now.frozen.is_some();
    let Some(total) = now.recommended.memory_limit.filter(|_| !held) else { return Vec::new() };
    // Where nothing was learned this time, what was known stays.
    let Some(line) = line else { return now.memory_by_input.clone() };
    // A JVM's heap does not follow its input.
    if now.spark.is_some() || now.flink.is_some() || line.recommended.memory_limit != Some(total) {
        return Vec::new();
    }
    let total = total.bytes_rounded_up();
    let stepped = |bytes: u64| policy.map_or(bytes, |policy| policy.rollout.step(Some(total), bytes));
    let mut sizes: Vec<InputMemory> = Vec::new();
    for size in &line.memory_by_input {
        let memory = Quantity::from_bytes_mib_rounded_up(stepped(size.bytes));
        // Of those that a step makes alike, the one for the largest input stays.
        sizes.retain(|before| before.memory < memory);
        sizes.push(InputMemory { up_to_input: Quantity::from_bytes(size.up_to_input_bytes), memory });
    }
    sizes
}

/// The heap is lowered by no more than the policy lets in one step, as the whole is.
fn step_heap(now: &mut ContainerStatus, before: Option<&ContainerStatus>, line: &Line, policy: &Policy) {
    let Some(divided) = now.spark.and_then(|spark| spark.divided()) else { return };
    let prior = before.and_then(|b| b.spark?.divided()).map_or(divided.heap_now_mib, |before| before.heap_mib);
    if policy.rollout.largest_shrink.is_none() || prior <= divided.heap_mib {
        return;
    }
    let heap_mib = if has_new_runs(before, line, Resource::Memory) {
        policy.rollout.step(Some(prior << 20), divided.heap_mib << 20)
    } else {
        prior << 20
    }
    .div_ceil(1 << 20);
    let stepped = Divided { heap_mib, ..divided };
    let total = Some(Quantity::from_bytes(stepped.total_mib() << 20)).max(now.recommended.memory_limit);
    now.recommended.set(Resource::Memory, Pair { request: total, limit: total });
    now.spark = Some(stepped.into());
}

/// Heap and overhead are what is recommended, whatever has changed that.
fn divide(now: &mut ContainerStatus) {
    let total = now.recommended.memory_limit.map(|total| total.bytes_rounded_up().div_ceil(1 << 20));
    let divided = now.spark.and_then(|spark| spark.divided()).zip(total).map(|(mut divided, total)| {
        if now.kill.is_some() && divided.heap_mib < divided.heap_now_mib {
            // What killed was beside the heap; before that is answered no heap is lowered.
            (divided.heap_mib, divided.heap_is_proven) = (divided.heap_now_mib, false);
        }
        divided.with_total(total)
    });
    now.spark = divided.filter(|divided| divided.overhead_mib > 0).map(Into::into);
}

/// At least this much memory. Where nothing is recommended, what it asks for now stands for that.
fn hold(container: &mut ContainerStatus, least: Quantity) {
    let size = container.recommended.memory_limit.or(container.recommended.memory_request);
    let given = size.or(container.current.memory_limit);
    if given.is_none_or(|given| given < least) {
        container.recommended.set(Resource::Memory, Pair { request: Some(least), limit: Some(least) });
    }
}

/// Lowers by no more than the policy lets in one step; the next step waits for further runs.
fn step(now: &mut ContainerStatus, before: Option<&ContainerStatus>, line: &Line, policy: &Policy) {
    for resource in Resource::ALL {
        let of = |size: &ContainerResources| size.pair(resource);
        let wanted = of(&now.recommended);
        let prior = before.map(|b| of(&b.recommended)).filter(|pair| pair.request.is_some());
        let prior = prior.unwrap_or_else(|| of(&now.current));
        let stepped = |wanted: Option<Quantity>, prior: Option<Quantity>| {
            let wanted = wanted?;
            let Some(prior) = prior.filter(|prior| *prior > wanted) else { return Some(wanted) };
            if policy.rollout.largest_shrink.is_none() {
                return Some(wanted);
            }
            if !has_new_runs(before, line, resource) {
                return Some(prior);
            }
            Some(match resource {
                Resource::Memory => {
                    let bytes = policy.rollout.step(Some(prior.bytes_rounded_up()), wanted.bytes_rounded_up());
                    Quantity::from_bytes_mib_rounded_up(bytes)
                }
                Resource::Cpu => {
                    let millis = policy.rollout.step(Some(prior.millis_rounded_up()), wanted.millis_rounded_up());
                    Quantity::from_millis(millis)
                }
            })
        };
        let limit = stepped(wanted.limit, prior.limit);
        now.recommended.set(resource, Pair { request: stepped(wanted.request, prior.request), limit });
    }
}

/// Whether there were runs since. Every run of a job begins at the size of its time; days of a service go by at the
/// size that its pods were made with, so there a pod must have been made at the size that was said before.
fn has_new_runs(before: Option<&ContainerStatus>, line: &Line, resource: Resource) -> bool {
    let runs_before = before.and_then(|b| b.evidence.as_ref()).map(|e| e.runs);
    let said = before.and_then(|b| b.recommended.pair(resource).request);
    let is_made_of_it = match (line.evidence.days, said, line.current.pair(resource).request) {
        (Some(_), Some(said), Some(current)) => current <= said,
        _ => true,
    };
    is_made_of_it && runs_before.is_none_or(|runs| line.evidence.runs > runs)
}

/// Whether a later run has lived with more than what killed: then the history speaks for itself.
fn is_answered(survivors: &[Survivor], kill: &Kill) -> bool {
    survivors.iter().any(|run| {
        run.started_ms >= kill.at.as_millisecond()
            && run.limit_bytes.is_none_or(|limit| limit > kill.limit.bytes_rounded_up())
    })
}

/// A freeze that goes on, or begins with a kill at a size that podfit had lowered.
fn frozen(facts: &Facts<'_>, before: Option<&ContainerStatus>, live: Option<&Kill>) -> Option<Frozen> {
    let going_on = before.and_then(|b| b.frozen.clone()).filter(|frozen| frozen.until > facts.now);
    let begun = live.and_then(|kill| {
        let days = facts.policy.map_or_else(|| Policy::default().rollout.freeze_days, |p| p.rollout.freeze_days);
        let until = kill.at.checked_add(SignedDuration::from_hours(i64::from(days) * 24)).ok()?;
        Some(Frozen { memory: kill.lowered_from?, until }).filter(|frozen| frozen.until > facts.now)
    });
    match (going_on, begun) {
        (Some(a), Some(b)) => Some(Frozen { memory: a.memory.max(b.memory), until: a.until.max(b.until) }),
        (a, b) => a.or(b),
    }
}

fn from_line(line: &Line) -> ContainerStatus {
    let e = &line.evidence;
    ContainerStatus {
        name: line.container.clone(),
        current: line.current,
        recommended: line.recommended,
        in_force: line.recommended,
        memory_ladder: line.memory_ladder.clone(),
        memory_by_input: Vec::new(),
        spark: line.spark.as_ref().map(|spark| spark.divided().into()),
        flink: line.flink.as_ref().map(|flink| FlinkStatus { process_is_proven: flink.process_is_proven }),
        notes: line.notes.clone(),
        evidence: Some(Evidence {
            runs: e.runs,
            days: e.days,
            from: e.first_ms.and_then(at),
            to: e.last_ms.and_then(at),
            hours_per_week: Some(hundredths(line.effect.hours_per_week)),
            reserved_per_week: reserved(line).map(hundredths),
            peak_max: e.peak_max_bytes.map(Quantity::from_bytes_mib_rounded_up),
            peak_median: e.peak_median_bytes.map(Quantity::from_bytes_mib_rounded_up),
            oom_kills: e.oom_kills,
            memory_rule: line.memory_rule.clone(),
            cpu_rule: line.cpu_rule.clone(),
            failing_share_at_most: (e.replay.decisions > 0).then(|| e.replay.exceeded_share_interval().1),
        }),
        kill: None,
        frozen: None,
    }
}

/// GiB-hours a week that are reserved at the sizes of now, less what second tries at the recommended one would take: so
/// that what another size saves is this less its own.
fn reserved(line: &Line) -> Option<f64> {
    let gib = |size: Option<Quantity>| Some(size?.bytes_rounded_up() as f64 / GIB_F64);
    let hours = line.effect.hours_per_week;
    match (line.effect.memory_gib_hours_per_week, gib(line.recommended.memory_request)) {
        (Some(saved), Some(size)) => Some(saved + size * hours),
        _ => Some(gib(line.current.memory_request)? * hours),
    }
}

/// More digits would make another status of every run.
fn hundredths(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}

fn at(ms: i64) -> Option<Timestamp> {
    // Whole seconds: what a person reads, and what the API server keeps of other times.
    Timestamp::from_second(ms.div_euclid(1000)).ok()
}

/// Whether pods get it: the word for the column, and the sentence.
struct Applied {
    word: &'static str,
    holds: bool,
    why: String,
}

fn applied(facts: &Facts<'_>, containers: &[ContainerStatus]) -> Applied {
    let no = |word, why: &str| Applied { word, holds: false, why: why.to_owned() };
    if facts.is_opted_out {
        return no("off", "the annotation podfit.dev/resize on this object switches sizing off");
    }
    if containers.iter().all(|c| c.recommended == ContainerResources::default()) {
        return no("unknown", "there is no number yet");
    }
    let Some(policy) = facts.policy else {
        return no("recommend", "there is no RightsizingPolicy named default: sizes are shown only");
    };
    if policy.resizing == Resizing::Stopped {
        return no("stopped", "the policy has stopped all resizing");
    }
    let has_days = containers.iter().any(|c| c.evidence.as_ref().is_some_and(|e| e.days.is_some()));
    if policy.services == Services::RecommendedOnly && facts.workload.kind.is_governed_as_service(has_days) {
        return no("recommend", "it is a service, and the policy shows sizes of services only (services: sized)");
    }
    let stage = policy.rollout.stage(&facts.workload.namespace);
    let (word, why) = match stage.mode {
        RolloutMode::Recommend => return no("recommend", "the policy's rollout shows sizes only"),
        RolloutMode::Canary if stage.by == crate::policy::CanaryBy::Run => {
            ("canary", format!("{} % of its runs get it", stage.percent))
        }
        RolloutMode::Canary => {
            let workload = format!("{}/{}", facts.workload.namespace, facts.workload);
            if !stage.applies(&workload, "") {
                return no("recommend", "it is not among the workloads of the canary");
            }
            ("canary", format!("it is among the {} % of workloads that get their sizes", stage.percent))
        }
        RolloutMode::Apply => ("apply", "new pods get it when they are created".to_owned()),
    };
    if containers.iter().any(|c| c.frozen.is_some()) {
        let why = format!("a smaller size got a run killed: the one before is kept for now; {why}");
        return Applied { word: "frozen", holds: true, why };
    }
    Applied { word, holds: true, why }
}

/// The container that a person looks at first: the one that asks for the most memory.
fn main_of(containers: &[ContainerStatus]) -> Option<&ContainerStatus> {
    containers.iter().max_by(|a, b| {
        let size =
            |c: &ContainerStatus| c.current.memory_limit.or(c.recommended.memory_limit).unwrap_or(Quantity::ZERO);
        // Of equals the first by name.
        size(a).cmp(&size(b)).then_with(|| b.name.cmp(&a.name))
    })
}

fn summary(facts: &Facts<'_>, containers: &[ContainerStatus], applied: &Applied) -> Summary {
    let Some(main) = main_of(containers) else { return Summary::default() };
    let change = |now: String, then: String| match (now.as_str(), then.as_str()) {
        (now, "—") => now.to_owned(),
        (now, then) if now == then => now.to_owned(),
        _ => format!("{now} → {then}"),
    };
    let memory = |size: &ContainerResources| units::memory_or_dash(size.memory_limit.or(size.memory_request));
    let cpu = |size: &ContainerResources| units::cpu_or_dash(size.cpu_request);
    Summary {
        runs: main
            .evidence
            .as_ref()
            .map_or_else(|| "0".to_owned(), |e| e.days.map_or_else(|| e.runs.to_string(), |days| format!("{days} d"))),
        memory: change(memory(&main.current), memory(&main.in_force)),
        cpu: change(cpu(&main.current), cpu(&main.in_force)),
        saved_per_week: match saved_per_week(containers) {
            Some(hours) if hours.abs() < 0.05 => "0".to_owned(),
            Some(hours) => format!("{:+.1}", -hours).replace('-', "−"),
            // One that an older release learned of says what it said.
            None if facts.learned.is_empty() && !facts.previous.summary.saved_per_week.is_empty() => {
                facts.previous.summary.saved_per_week.clone()
            }
            None => "—".to_owned(),
        },
        applied: applied.word.to_owned(),
    }
}

/// Memory no longer reserved with what is in force, GiB-hours a week; `None` where that is known of no container.
fn saved_per_week(containers: &[ContainerStatus]) -> Option<f64> {
    let of = |c: &ContainerStatus| {
        let evidence = c.evidence.as_ref()?;
        let size = c.in_force.memory_request?.bytes_rounded_up() as f64 / GIB_F64;
        Some(evidence.reserved_per_week? - size * evidence.hours_per_week?)
    };
    containers.iter().filter_map(of).reduce(|sum, hours| sum + hours)
}

fn conditions(facts: &Facts<'_>, containers: &[ContainerStatus], applied: &Applied) -> Vec<Condition> {
    let known = containers.iter().any(|c| c.recommended != ContainerResources::default());
    let why_unknown = containers.iter().flat_map(|c| &c.notes).next().cloned();
    let ready = if known {
        ("True", "Sized", "there is evidence for a size".to_owned())
    } else {
        ("False", "NoEvidence", why_unknown.unwrap_or_else(|| "no run was seen".to_owned()))
    };
    let reason = if applied.holds { "Applied" } else { "NotApplied" };
    let of_applied = (if applied.holds { "True" } else { "False" }, reason, applied.why.clone());
    let frozen = containers.iter().find_map(|c| c.frozen.as_ref().map(|f| (&c.name, f)));
    let frozen = match frozen {
        Some((name, frozen)) => (
            "True",
            "ShrinkTakenBack",
            format!(
                "{name} was killed for memory at a size that podfit had lowered: {} until {}",
                frozen.memory, frozen.until
            ),
        ),
        None => ("False", "NotFrozen", "no shrink of podfit's has led to a kill of late".to_owned()),
    };
    [("Ready", ready), ("Applied", of_applied), ("Frozen", frozen)]
        .into_iter()
        .map(|(kind, (status, reason, message))| {
            let before = facts.previous.conditions.iter().find(|c| c.kind == kind && c.status == status);
            Condition {
                kind: kind.to_owned(),
                status: status.to_owned(),
                reason: reason.to_owned(),
                message,
                last_transition_time: before.map_or(facts.now, |c| c.last_transition_time),
            }
        })
        .collect()
}
