//! A review's bytes in, the response's bytes out: what both of the webhook's endpoints do, without the network.
//! Must not turn a fault of ours into a denial: the mutating entry lets the pod pass as it came, the validating one
//! says that it failed, and the webhook's `failurePolicy`, which is the administrator's, decides.

use std::collections::BTreeMap;

use serde_json::Value;

use super::applications::{self, Application};
use super::executor_heap::Heaped;
use super::judge::{Verdict, few, judge, soften, warning};
use super::knowledge::{Knowledge, Namespace, Recommended};
use super::object::{read_object, read_pod_to_size};
use super::resize::{Resizing, Sizing, resize, resize_with_heap};
use super::retry::{self, Kill};
use super::review::{Answer, Operation, Review};
use super::stamp::{self, Stamp};
use super::whose::whose;
use crate::fit::{ContainerResources, Pair, Resource, spark_executor_heap};
use crate::manifest;
use crate::policy::{
    self, Applications, ExecutorHeaps, Finding, Malformed, Mode, PodSpec, RolloutMode, Services, Subject,
};
use crate::quantity::Quantity;
use crate::text;
use crate::workload::{Workload, input_bytes, stated_input};

/// Which of the webhook's endpoints was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Entry {
    /// Sizes pods that are being created; never denies.
    Mutate,
    /// Applies the rules to what is about to be stored; never changes anything.
    Validate,
}

/// What is sent back.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    /// HTTP status: 200, 400 for what is no review, 500 where the rules could not be applied.
    pub status: u16,
    /// An `AdmissionReview`, or one line of text where the status is not 200.
    pub body: Vec<u8>,
    /// For metrics and the log.
    pub seen: Seen,
}

/// What happened, without anything of the object's contents.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// The review's uid; empty where it had none.
    pub uid: String,
    /// The object's namespace.
    pub namespace: String,
    /// Text form of the workload, where the pod was identified.
    pub workload: Option<String>,
    /// What came of it.
    pub outcome: Outcome,
    /// Rule and mode of each finding.
    pub findings: Vec<(&'static str, Mode)>,
}

/// What came of a review.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Allowed; there was nothing to change.
    #[default]
    Allowed,
    /// Allowed with other sizes.
    Resized,
    /// Allowed as it came, although there is a recommendation; in one word, why.
    Skipped(&'static str),
    /// Turned away by a rule.
    Denied,
    /// It could not be judged; in one word, why.
    Failed(&'static str),
}

/// Answers a review.
pub fn answer(entry: Entry, body: &[u8], known: &Knowledge) -> Reply {
    let read = match entry {
        Entry::Mutate => Review::read_to_size(body),
        Entry::Validate => Review::read(body),
    };
    let mut review = match read {
        Ok(review) => review,
        Err(problem) => return failed(400, &problem.to_string(), Seen::default(), "bad-review"),
    };
    let mut seen = Seen { uid: review.uid.to_string(), namespace: review.namespace.to_string(), ..Seen::default() };
    let answer = match entry {
        Entry::Mutate => {
            let pod = review.pod.take();
            mutate(&review, pod, known, &mut seen)
        }
        Entry::Validate => match validate(&review, known, &mut seen) {
            Ok(answer) => answer,
            Err(problem) => return failed(500, &problem, seen, "unreadable-object"),
        },
    };
    Reply { status: 200, body: answer.to_json(&review.uid), seen }
}

/// Lets the object of a review pass as it came: what is answered when there is no time to look. `None` where the body
/// is no review.
pub fn pass(body: &[u8], reason: &str) -> Option<Vec<u8>> {
    let review = Review::read(body).ok()?;
    Some(
        Answer { warnings: vec![warning(&format!("not resized: {reason}"))], ..Answer::default() }.to_json(&review.uid),
    )
}

fn failed(status: u16, problem: &str, seen: Seen, reason: &'static str) -> Reply {
    let body = format!("podfit: {problem}\n").into_bytes();
    Reply { status, body, seen: Seen { outcome: Outcome::Failed(reason), ..seen } }
}

fn mutate(review: &Review<'_>, pod: Option<Value>, known: &Knowledge, seen: &mut Seen) -> Answer {
    let is_application =
        known.applications == Applications::SizedAtCreation && !review.is_of_pods() && review.sub_resource.is_empty();
    if !(review.is_pod() || is_application) || review.operation != Operation::Create {
        return Answer::default();
    }
    if known.resizing_stopped {
        seen.outcome = Outcome::Skipped("stopped");
        return Answer::default();
    }
    let not_read = |seen: &mut Seen, problem: &str| {
        seen.outcome = Outcome::Failed("unreadable-object");
        Answer { warnings: vec![warning(&format!("not resized: {problem}"))], ..Answer::default() }
    };
    let read = match (pod, review.object) {
        (Some(pod), _) => Ok(pod),
        (None, Some(raw)) if is_application => read_object(raw),
        (None, Some(raw)) => read_pod_to_size(raw),
        (None, None) => return not_read(seen, "the review has no object"),
    };
    let object = match read {
        Ok(object) => object,
        Err(problem) => return not_read(seen, &problem.to_string()),
    };
    let nothing = Namespace::default();
    let namespace = known.namespaces.get(review.namespace.as_ref()).unwrap_or(&nothing);
    if is_application {
        let stage = known.rollout.stage(&review.namespace);
        let name = object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
        if !stage.applies(&format!("{}/{name}", review.namespace), &review.uid) {
            seen.outcome = Outcome::Skipped(why_not(stage.mode));
            return Answer::default();
        }
        let application = Application {
            object: &object,
            namespace: &review.namespace,
            recommendations: &namespace.recommendations,
            identity: &known.identity,
            surroundings: &namespace.surroundings,
            bounds: &known.bounds,
        };
        return answer_of(applications::size(&application), seen);
    }
    let pod = match PodSpec::of_pod(&object) {
        Ok(pod) => pod,
        Err(problem) => return not_read(seen, &problem.to_string()),
    };
    let Some(identity) = whose(&object, &review.namespace, &namespace.owners, &known.identity) else {
        return Answer::default();
    };
    let workload = identity.workload.to_string();
    let recommended = namespace.recommendations.get(&identity.workload).map(|r| &**r);
    let held_back = held_back(review, &identity.workload, recommended, known);
    let (mut sizes, mut killed_at, mut by_input) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    if held_back.is_none() {
        sizes = recommended.map(|r| r.containers.to_map()).unwrap_or_default();
        if let Some(recommended) = recommended {
            with_own_heap(&mut sizes, recommended, &pod);
        }
        let kills = namespace.kills.get(&identity.workload);
        if let (Some(recommended), Some(input)) = (recommended, stated_input(&object)) {
            by_input = for_input(&mut sizes, recommended, input, kills);
        }
        killed_at = retry::raise(&mut sizes, kills, recommended, identity.attempt, &pod);
    }
    let stamp =
        Stamp { workload: workload.clone(), recommendation: recommended.map(|r| r.id.clone()).unwrap_or_default() };
    seen.workload = Some(workload);
    let sizing = Sizing {
        pod: &object,
        kind: Some(identity.workload.kind),
        recommended: &sizes,
        killed_at: &killed_at,
        stamp: Some(&stamp),
        surroundings: &namespace.surroundings,
        bounds: &known.bounds,
    };
    if known.executor_heaps == ExecutorHeaps::AsRecommended
        && held_back.is_none()
        && killed_at.is_empty()
        && let Some(resizing) = recommended.and_then(|recommended| with_recommended_heap(&sizing, recommended, &pod))
    {
        return answer_of(resizing, seen);
    }
    let mut resizing = resize(&sizing, &pod);
    for (name, input) in by_input.iter().filter(|(name, _)| resizing.changes.contains_key(*name)) {
        let line = format!("{}: memory is that for an input of {input}", text::name(name));
        resizing.warnings.push(warning(&line));
    }
    resizing.skipped = held_back.filter(|_| recommended.is_some()).or(resizing.skipped);
    answer_of(resizing, seen)
}

/// An executor's pod with the recommended heap and the size that belongs to it; `None` where it has that heap, or may not
/// have that size.
fn with_recommended_heap(sizing: &Sizing<'_>, recommended: &Recommended, pod: &PodSpec<'_>) -> Option<Resizing> {
    let heaped = Heaped::of(sizing.pod, sizing.kind?, recommended, pod)?;
    let mut sizes = sizing.recommended.clone();
    let memory = Some(heaped.memory);
    sizes.get_mut(&heaped.container)?.set(Resource::Memory, Pair { request: memory, limit: memory });
    let changed = PodSpec::of_pod(&heaped.object).ok()?;
    let sizing = Sizing { pod: &heaped.object, recommended: &sizes, ..*sizing };
    let resizing = resize_with_heap(&sizing, &changed, Some((&heaped.container, heaped.heap)));
    heaped.answer(resizing)
}

/// The heap of a Spark pod is fixed before it is made: what is beside it is what its size can give.
fn with_own_heap(sizes: &mut BTreeMap<String, ContainerResources>, recommended: &Recommended, pod: &PodSpec<'_>) {
    for (name, divided) in &recommended.divided {
        let (Some(size), Some(container)) = (sizes.get_mut(&**name), pod.containers().find(|c| *c.name == **name))
        else {
            continue;
        };
        let heap = spark_executor_heap(container.json).map(|heap| heap.bytes_rounded_up().div_ceil(1 << 20));
        let total = Some(Quantity::from_bytes_mib_rounded_up(divided.with_heap(heap) << 20));
        size.set(Resource::Memory, Pair { request: total, limit: total });
    }
}

/// A pod that says how large its input is gets what is enough for that: the containers that this is said of, and the
/// input. Not where a run was killed that no recommendation has taken in: what is enough is then not known.
fn for_input(
    sizes: &mut BTreeMap<String, ContainerResources>,
    recommended: &Recommended,
    said: &str,
    kills: Option<&BTreeMap<String, Kill>>,
) -> BTreeMap<String, Quantity> {
    let (Some(input), Ok(said)) = (input_bytes(said), Quantity::parse(said)) else { return BTreeMap::new() };
    let mut by_input = BTreeMap::new();
    for (name, size) in sizes.iter_mut().filter(|(name, _)| !kills.is_some_and(|kills| kills.contains_key(*name))) {
        let Some(memory) = recommended.for_input(name, input) else { continue };
        // It never asks for more than without its input.
        if size.memory_limit.is_some_and(|whole| memory < whole) {
            size.set(Resource::Memory, Pair { request: Some(memory), limit: Some(memory) });
            by_input.insert(name.clone(), said);
        }
    }
    by_input
}

/// What a resize comes to.
fn answer_of(resizing: Resizing, seen: &mut Seen) -> Answer {
    let Resizing { ops, warnings, changes, skipped } = resizing;
    seen.outcome = match skipped {
        _ if !changes.is_empty() => Outcome::Resized,
        Some(reason) => Outcome::Skipped(reason),
        None => Outcome::Allowed,
    };
    let mut audit_annotations = BTreeMap::new();
    if !changes.is_empty() {
        let containers = changes.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        audit_annotations.insert("resized".to_owned(), text::line("", &containers, "", MAX_NOTE_CHARS));
    }
    if let Some(reason) = skipped {
        audit_annotations.insert("not-resized".to_owned(), reason.to_owned());
    }
    Answer { denial: None, ops, warnings: few(warnings), audit_annotations }
}

/// Why the administrator's rollout leaves a pod as it came, in one word; `None` where its sizes are applied.
fn held_back(
    review: &Review<'_>,
    workload: &Workload,
    recommended: Option<&Recommended>,
    known: &Knowledge,
) -> Option<&'static str> {
    if recommended.is_some_and(|r| r.is_opted_out) {
        return Some("workload-opted-out");
    }
    let is_service = workload.kind.is_governed_as_service(recommended.is_some_and(|r| r.is_service));
    if is_service && known.services == Services::RecommendedOnly {
        return Some("services-recommended-only");
    }
    let stage = known.rollout.stage(&review.namespace);
    if stage.mode == RolloutMode::Apply || stage.applies(&format!("{}/{workload}", review.namespace), &review.uid) {
        return None;
    }
    Some(why_not(stage.mode))
}

const fn why_not(mode: RolloutMode) -> &'static str {
    if matches!(mode, RolloutMode::Canary) { "not-in-canary" } else { "recommend-only" }
}

/// Longest audit annotation of a resize, in characters.
const MAX_NOTE_CHARS: usize = 300;

fn validate(review: &Review<'_>, known: &Knowledge, seen: &mut Seen) -> Result<Answer, String> {
    let created = match review.operation {
        Operation::Create => true,
        Operation::Update => false,
        Operation::Delete | Operation::Connect => return Ok(Answer::default()),
    };
    // Of a pod's subresources only this one brings containers; sizes and statuses are nobody's habit.
    if review.is_of_pods() && !matches!(review.sub_resource.as_ref(), "" | "ephemeralcontainers") {
        return Ok(Answer::default());
    }
    let raw = review.object.ok_or("the review has no object")?;
    let object = read_object(raw).map_err(|problem| problem.to_string())?;
    let mut findings = findings(&object, review, known).map_err(|problem| problem.to_string())?;
    if !created && !findings.is_empty() {
        findings = newly_found(findings, &object, review, known);
    }
    let softest = if !review.is_of_pods() {
        // A template harms nobody until a pod is made of it, and that is judged then; its author is told now.
        Mode::Warn
    } else if review.is_from_kubelet() && stamp::is_mirror(&object) {
        // The static pod runs whatever is answered.
        Mode::Audit
    } else {
        Mode::Enforce
    };
    let Verdict { denial, warnings, audit_annotations, findings } = judge(soften(findings, softest));
    seen.findings = findings.iter().map(|f| (f.rule, f.mode)).collect();
    if denial.is_some() {
        seen.outcome = Outcome::Denied;
    }
    Ok(Answer { denial, ops: Vec::new(), warnings: few(warnings), audit_annotations })
}

/// Everything that the rules find in an object: what comes as a pod is one, whatever kind it says it is; of other
/// kinds, in the pods that are made from them. Exemptions are applied, and places are those of the object.
fn findings(object: &Value, review: &Review<'_>, known: &Knowledge) -> Result<Vec<Finding>, Malformed> {
    let modes = known.rules.modes(&review.namespace);
    let settings = known.rules.settings();
    let of = |pod: PodSpec<'_>| {
        let mut findings = policy::check(&pod, &modes, &settings.options());
        let subject = Subject { namespace: &review.namespace, user: Some(&review.user), pod };
        settings.exempt(&mut findings, &subject);
        findings
    };
    if review.is_of_pods() {
        return Ok(of(PodSpec::of_pod(object)?));
    }
    let mut all = Vec::new();
    for made in manifest::pods(object, "") {
        let mut findings = of(PodSpec::of_pod(&made.pod)?);
        for finding in &mut findings {
            finding.path = made.origin(&finding.path);
        }
        all.append(&mut findings);
    }
    Ok(all)
}

/// Of the findings those that this update brings about: an update that leaves an old breach as it is must pass, or
/// finalizers could not be removed from pods that were there before the rule.
fn newly_found(found: Vec<Finding>, object: &Value, review: &Review<'_>, known: &Knowledge) -> Vec<Finding> {
    let Some(old) = review.old_object.and_then(|raw| read_object(raw).ok()) else { return found };
    let Ok(before) = findings(&old, review, known) else { return found };
    // With its container: what the pod as a whole says is a new breach for a container that has just come.
    let breach = |f: &Finding| (f.rule, f.reason, f.path.clone(), f.container.clone());
    let before: Vec<_> = before.iter().map(breach).collect();
    let same = |f: &Finding| before.contains(&breach(f));
    found.into_iter().filter(|f| !same(f) || old.pointer(&f.path) != object.pointer(&f.path)).collect()
}
