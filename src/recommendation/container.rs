//! What one container of one workload should ask for: what it has, what is wanted, what that comes to within its
//! constraints, and why. Must not know who shows it.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::fit::spark::KnownHeaps;
use crate::fit::{Constraints, ContainerResources, Fitted, MemoryRule, Resource, SizeRules, What, fit};
use crate::history::History;
use crate::policy::Finding;
use crate::quantity::Quantity;
use crate::sizing::ladder::{MOST_ATTEMPTS, next_after};
use crate::sizing::{CpuLimit, Effect, Estimate, Evidence, InputSize, Sizing, SizingPolicy};
use crate::workload::WorkloadKey;

use super::explanation::{Difference, Explanation, differences};
use super::flink::FlinkLine;
use super::spark::SparkLine;
use super::wanted::{Wanted, beside};

/// What is to be done about one resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// More is needed than is asked for.
    Raise,
    /// Nothing is asked for.
    Set,
    /// Less would do.
    Lower,
    /// It fits.
    Keep,
    /// There is no number.
    Unknown,
}

impl Change {
    fn of(current: Option<u64>, recommended: Option<u64>) -> Self {
        match (current, recommended) {
            (_, None) => Self::Unknown,
            (None, Some(_)) => Self::Set,
            (Some(current), Some(recommended)) => match recommended.cmp(&current) {
                std::cmp::Ordering::Equal => Self::Keep,
                std::cmp::Ordering::Greater => Self::Raise,
                std::cmp::Ordering::Less => Self::Lower,
            },
        }
    }
}

/// What is to be done, and why there is or is not a number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Memory.
    pub memory: Change,
    /// CPU.
    pub cpu: Change,
}

/// One container of one workload.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Line {
    /// Namespace.
    pub namespace: String,
    /// The workload's text form, `kind/name/…`.
    pub workload: String,
    /// Container.
    pub container: String,
    /// Pods of it that have not ended; `None` where nobody looked.
    pub live_pods: Option<usize>,
    /// What it asks for.
    pub current: ContainerResources,
    /// What it should ask for, made right for its constraints; a value that is not there stays as it is.
    pub recommended: ContainerResources,
    /// What it should ask for before its constraints bend that.
    pub wanted: ContainerResources,
    /// Where `recommended` is not what is wanted, and why.
    pub differences: Vec<Difference>,
    /// The parts that add up to what is recommended.
    pub explanation: Explanation,
    /// What is to be done.
    pub verdict: Verdict,
    /// Why, one sentence each: unknown, held back, changed by constraints.
    pub notes: Vec<String>,
    /// The rule that gave the memory.
    pub memory_rule: Option<String>,
    /// The peak that the memory rule covers, in bytes, before its margin.
    pub covered_bytes: Option<u64>,
    /// Runs whose peak lies above that: left to a retry, because covering them would cost more.
    pub runs_above: usize,
    /// Memory of attempts 2, 3, … when the ones before were killed at their limit, ascending, each above the
    /// recommended one; empty without a recommendation, and where there is nothing more to give.
    pub memory_ladder: Vec<Quantity>,
    /// Memory that is enough where the size of the input is known before the run, ascending, not yet made right for its
    /// constraints; empty where inputs are not known or make no difference.
    pub memory_by_input: Vec<InputSize>,
    /// The rule that gave the CPU request.
    pub cpu_rule: Option<String>,
    /// Of a Spark pod: how its memory is divided, where its heap is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spark: Option<SparkLine>,
    /// Of a Flink process: the size that its JVMs have shown to be enough, where they said something.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flink: Option<FlinkLine>,
    /// What the numbers rest on.
    pub evidence: Evidence,
    /// What the change would bring.
    pub effect: Effect,
    /// Habits that break the rules.
    pub findings: Vec<Finding>,
    /// The JSON patch that admission would make to the newest pod, where asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patch: Option<Value>,
}

impl Line {
    /// From a history; `current` is what the newest pod asks for, where one was looked at, and `heaps` what is known of
    /// a Spark pod's heap beside the history.
    /// `fit_into_pod` makes the wanted size right for a whole pod; without it the constraints bind the container
    /// alone.
    pub fn new(
        key: &WorkloadKey,
        history: &History,
        current: Option<ContainerResources>,
        policy: &SizingPolicy,
        constraints: &Constraints,
        heaps: &KnownHeaps,
        fit_into_pod: impl FnOnce(&ContainerResources) -> Option<Fitted>,
    ) -> Self {
        let made = Wanted::of(key.workload.kind, history, current, policy, heaps);
        let mut said: Vec<String> = made.notes().cloned().collect();
        let is_of_application = made.is_of_application();
        let Wanted { sizing, current, size: wanted, rule: divided, spark, flink } = made;
        let mut place = SizeRules::without_pod(Some(key.workload.kind), &current);
        if is_of_application {
            // Heap and what is beside it are both in it: the application can have it, whatever a pod's own forbids.
            place.memory = MemoryRule::Free;
        }
        let mut fitted = fit(&current, &wanted, &place, constraints);
        if let Some(in_pod) = fit_into_pod(&wanted) {
            let more;
            (fitted, more) = if is_of_application { beside(fitted, in_pod) } else { (in_pod, None) };
            said.extend(more);
        }
        let mut recommended = fitted.resources;
        if sizing.memory.known().is_none() && spark.is_none() {
            (recommended.memory_request, recommended.memory_limit) = (None, None);
        }
        if sizing.cpu.known().is_none() {
            (recommended.cpu_request, recommended.cpu_limit) = (None, None);
        }
        let differences = differences(&fitted, &wanted);
        let explanation = Explanation::of(&sizing, spark.as_ref(), flink.as_ref(), &wanted, &recommended, &differences);
        let bytes = |q: Option<Quantity>| q.map(Quantity::bytes_rounded_up);
        let millis = |q: Option<Quantity>| q.map(Quantity::millis_rounded_up);
        let asked_memory = current.memory_limit.or(current.memory_request);
        let memory_ladder = memory_ladder(&sizing, &recommended, constraints);
        let steps: Vec<u64> = memory_ladder.iter().map(|q| q.bytes_rounded_up()).collect();
        let effect = Effect::of(
            history,
            &sizing.current,
            bytes(recommended.memory_request),
            &steps,
            millis(recommended.cpu_request),
        );
        Self {
            namespace: key.workload.namespace.clone(),
            workload: key.workload.to_string(),
            container: key.container.clone(),
            live_pods: None,
            verdict: Verdict {
                memory: Change::of(bytes(asked_memory), bytes(recommended.memory_limit.or(recommended.memory_request))),
                cpu: Change::of(millis(current.cpu_request), millis(recommended.cpu_request)),
            },
            notes: notes(&sizing, &wanted, &fitted, policy).into_iter().chain(said).collect(),
            memory_rule: divided.or_else(|| sizing.memory.known().map(|m| m.rule.to_owned())),
            covered_bytes: sizing.memory.known().map(|m| m.covered_bytes),
            runs_above: sizing.memory.known().map_or(0, |m| m.runs_above),
            memory_ladder,
            memory_by_input: sizing.memory.known().map(|m| m.by_input.clone()).unwrap_or_default(),
            cpu_rule: sizing.cpu.known().map(|c| c.rule.to_owned()),
            current,
            recommended,
            wanted,
            differences,
            explanation,
            spark,
            flink,
            evidence: sizing.evidence,
            effect,
            findings: Vec::new(),
            patch: None,
        }
    }

    /// From a history, without a pod; `constraints` bind the container alone.
    pub fn of_history(
        key: &WorkloadKey,
        history: &History,
        policy: &SizingPolicy,
        constraints: &Constraints,
        heaps: &KnownHeaps,
    ) -> Self {
        Self::new(key, history, None, policy, constraints, heaps, |_| None)
    }

    /// How urgent it is: what will be killed first, then what wastes most.
    pub(super) fn urgency(&self) -> (u8, i64) {
        let class = match self.verdict.memory {
            Change::Raise => 0,
            Change::Set => 1,
            Change::Lower => 2,
            Change::Keep => 3,
            Change::Unknown => 4,
        };
        let saved = self.effect.memory_gib_hours_per_week.unwrap_or(0.0);
        (class, -(saved.abs() * 1000.0) as i64)
    }
}

/// The steps of sizing's ladder that are above what is recommended after fitting, as far as a `LimitRange` and the
/// largest node allow them.
fn memory_ladder(sizing: &Sizing, recommended: &ContainerResources, constraints: &Constraints) -> Vec<Quantity> {
    let Some(size) = sizing.memory.known() else { return Vec::new() };
    let Some(mut before) = recommended.memory_limit.or(recommended.memory_request).map(Quantity::bytes_rounded_up)
    else {
        return Vec::new();
    };
    let node = constraints.largest_node(Resource::Memory);
    let range = constraints.limit_ranges.container(Resource::Memory).max;
    let most = node.into_iter().chain(range).map(Quantity::bytes_rounded_up).min();
    let mut steps = Vec::new();
    while let step = next_after(&size.ladder, before, most)
        && step > before
        && steps.len() < MOST_ATTEMPTS - 1
    {
        steps.push(Quantity::from_bytes(step));
        before = step;
    }
    steps
}

fn notes(sizing: &Sizing, wanted: &ContainerResources, fitted: &Fitted, policy: &SizingPolicy) -> Vec<String> {
    let mut by_text: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    let scaled_on = sizing.evidence.scaled_on;
    let no_number = |is_scaled: bool| if is_scaled { "left as it is" } else { "unknown" };
    if let Estimate::Unknown(why) = &sizing.memory {
        by_text.entry(format!("{}: {why}", no_number(scaled_on.memory))).or_default().push("memory");
    }
    if let Estimate::Unknown(why) = &sizing.cpu {
        by_text.entry(format!("{}: {why}", no_number(scaled_on.cpu))).or_default().push("CPU");
    }
    if let Some(held) = sizing.memory.known().and_then(|m| m.held.as_ref()) {
        by_text.entry(format!("held: {held}")).or_default().push("memory");
    }
    if let Some(held) = sizing.cpu.known().and_then(|c| c.held.as_ref()) {
        by_text.entry(format!("held: {held}")).or_default().push("CPU");
    }
    let mut notes: Vec<String> =
        by_text.into_iter().map(|(text, what)| format!("{} {text}", what.join(" and "))).collect();
    let e = &sizing.evidence;
    if e.oom_kills > 0 {
        notes.push(format!("{} of {} {}s were OOM-killed", e.oom_kills, e.runs, e.unit()));
    }
    if e.suspected_kills > 0 {
        notes.push(format!(
            "{} {}{} ended at the memory limit, by SIGKILL or in a way that nothing recorded: probably OOM-killed",
            e.suspected_kills,
            e.unit(),
            if e.suspected_kills == 1 { "" } else { "s" }
        ));
    }
    notes.extend(e.caveats());
    if let (CpuLimit::None, Some(limit)) = (policy.cpu_limit, sizing.current.cpu_limit_millis) {
        let limit = Quantity::from_millis(limit);
        notes.push(format!("a cpu limit of {limit} is set and none is wanted: take it out where the pod is made"));
    }
    if let Some(skip) = &fitted.skipped {
        notes.push(format!("left as it is: {skip}"));
    }
    let mut by_reason: Vec<(&str, Vec<What>)> = Vec::new();
    for adjustment in &fitted.adjustments {
        match by_reason.iter_mut().find(|(why, _)| *why == adjustment.why) {
            Some((_, whats)) => whats.push(adjustment.what),
            None => by_reason.push((&adjustment.why, vec![adjustment.what])),
        }
    }
    notes.extend(by_reason.into_iter().map(|(why, whats)| bent(why, &whats, wanted, &fitted.resources)));
    notes
}

/// `memory: 6Gi wanted, lowered to the LimitRange maximum 5Gi`
fn bent(why: &str, whats: &[What], wanted: &ContainerResources, given: &ContainerResources) -> String {
    let value = |resources: &ContainerResources, what: What| match what {
        What::Request(resource) | What::Both(resource) => resources.pair(resource).request,
        What::Limit(resource) => resources.pair(resource).limit,
    };
    let mut named: Vec<String> = Vec::new();
    for resource in Resource::ALL {
        let both = whats.contains(&What::Request(resource)) && whats.contains(&What::Limit(resource));
        let of = |what: &&What| matches!(what, What::Request(r) | What::Limit(r) | What::Both(r) if *r == resource);
        match whats.iter().filter(of).collect::<Vec<_>>().as_slice() {
            [] => {}
            _ if both => named.push(What::Both(resource).to_string()),
            whats => named.extend(whats.iter().map(ToString::to_string)),
        }
    }
    let asked = whats.iter().find_map(|what| value(wanted, *what).filter(|asked| value(given, *what) != Some(*asked)));
    let asked = asked.map(|asked| format!("{asked} wanted, ")).unwrap_or_default();
    format!("{}: {asked}{why}", named.join(" and "))
}
