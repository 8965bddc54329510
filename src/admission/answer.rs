//! A review's bytes in, the response's bytes out: what both of the webhook's endpoints do, without the network.
//! What cannot be looked at, for whatever reason, the mutating entry lets pass as it came. The validating one turns it
//! away where a rule enforces, and says why: the author of a pod decides how large and how odd it is, so that anything
//! else would be a pass of his choice. Where no rule enforces, it passes with a warning.

use std::collections::{BTreeMap, HashSet};

use serde_json::Value;

use super::applications::{self, Application};
use super::executor_heap::HeapRewrite;
use super::identity::identity_of;
use super::judge::{Verdict, few, judge, soften, warning};
use super::object::{read_object, read_pod_to_judge, read_pod_to_size};
use super::provenance::{self, Provenance};
use super::resize::{Resizing, Sizing, resize, resize_with_heap};
use super::retry;
use super::review::{Operation, Review, ReviewOutcome};
use super::snapshot::{Namespace, Recommended, Rules, Snapshot};
use crate::fit::{ContainerResources, Pair, Resource, spark_executor_heap};
use crate::manifest;
use crate::policy::{
    self, Applications, Checked, ExecutorHeaps, Finding, Malformed, Mode, PodSpec, RULES, RolloutMode, Services,
    Subject,
};
use crate::quantity::Quantity;
use crate::recommendation::Kill;
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
    /// HTTP status: 200, or 400 for what is no review.
    pub status: u16,
    /// An `AdmissionReview`, or one line of text where the status is not 200.
    pub body: Vec<u8>,
    /// For metrics and the log.
    pub seen: Seen,
    /// Everything that the rules found, for who shows it.
    pub findings: Vec<Finding>,
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
    /// How often each rule found something, by what it led to.
    pub findings: BTreeMap<(&'static str, Mode), usize>,
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
pub fn answer(entry: Entry, body: &[u8], known: &Snapshot) -> Reply {
    let read = match entry {
        Entry::Mutate => Review::read_to_size(body),
        Entry::Validate => Review::read(body),
    };
    let mut review = match read {
        Ok(review) => review,
        Err(problem) => return failed(400, &problem.to_string(), Seen::default(), "bad-review"),
    };
    let mut seen = Seen { uid: review.uid.to_string(), namespace: review.namespace.to_string(), ..Seen::default() };
    let mut findings = Vec::new();
    let answer = match entry {
        Entry::Mutate => {
            let pod = review.pod.take();
            mutate(&review, pod, known, &mut seen)
        }
        Entry::Validate => validate(&review, known, &mut seen, &mut findings),
    };
    Reply { status: 200, body: answer.to_json(&review.uid), seen, findings }
}

/// The answer to a review that cannot be decided, for a reason that is not its object's: no time, no room, a fault of
/// podfit. The body may end early. `None` where it is no review.
pub fn undecided(entry: Entry, body: &[u8], known: &Snapshot, why: &str) -> Option<Vec<u8>> {
    // The beginning says it all where it comes from an API server.
    let beginning = body.get(..HEAD_BYTES).unwrap_or(body);
    let review = Review::read_head(beginning).or_else(|| Review::read_head(body))?;
    let answer = match entry {
        Entry::Mutate => {
            ReviewOutcome { warnings: vec![warning(&format!("not resized: {why}"))], ..ReviewOutcome::default() }
        }
        Entry::Validate => unjudged(&review, known, why),
    };
    Some(answer.to_json(&review.uid))
}

/// Where the head of a review is looked for first, in bytes.
const HEAD_BYTES: usize = 16 * 1_024;

/// The answer to what the rules could not be applied to.
fn unjudged(review: &Review<'_>, known: &Snapshot, why: &str) -> ReviewOutcome {
    let enforced = enforced(review, known);
    if enforced.is_empty() {
        return ReviewOutcome { warnings: vec![warning(&format!("not judged: {why}"))], ..ReviewOutcome::default() };
    }
    let rules = enforced.join(", ");
    let verb = if enforced.len() == 1 { "holds" } else { "hold" };
    let denial =
        format!("podfit: the pod cannot be judged, and {rules} {verb} in this namespace: {}", text::clean(why));
    ReviewOutcome { denial: Some(text::clip(&denial, MAX_NOTE_CHARS)), ..ReviewOutcome::default() }
}

/// The rules that turn away what is asked about, as far as the head of its review tells. A kubelet's own requests are
/// about mirrors of static pods, which run whatever is answered, and about pods that were judged before.
fn enforced(review: &Review<'_>, known: &Snapshot) -> Vec<&'static str> {
    let is_judged = review.is_of_pods()
        && matches!(review.sub_resource.as_ref(), "" | "ephemeralcontainers")
        && matches!(review.operation, Operation::Create | Operation::Update)
        && !review.is_from_kubelet();
    let modes = known.rules.modes(&review.namespace);
    RULES.iter().filter(|rule| is_judged && modes.of(**rule) == Mode::Enforce).map(|rule| rule.id()).collect()
}

fn failed(status: u16, problem: &str, seen: Seen, reason: &'static str) -> Reply {
    let body = format!("podfit: {problem}\n").into_bytes();
    Reply { status, body, seen: Seen { outcome: Outcome::Failed(reason), ..seen }, findings: Vec::new() }
}

fn mutate(review: &Review<'_>, pod: Option<Value>, known: &Snapshot, seen: &mut Seen) -> ReviewOutcome {
    let is_application =
        known.applications == Applications::SizedAtCreation && !review.is_of_pods() && review.sub_resource.is_empty();
    if !(review.is_pod() || is_application) || review.operation != Operation::Create {
        return ReviewOutcome::default();
    }
    if known.resizing_stopped {
        seen.outcome = Outcome::Skipped("stopped");
        return ReviewOutcome::default();
    }
    let not_read = |seen: &mut Seen, problem: &str| {
        seen.outcome = Outcome::Failed("unreadable-object");
        ReviewOutcome { warnings: vec![warning(&format!("not resized: {problem}"))], ..ReviewOutcome::default() }
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
            return ReviewOutcome::default();
        }
        let application = Application {
            object: &object,
            namespace: &review.namespace,
            recommendations: &namespace.recommendations,
            identity: &known.identity,
            constraints: &namespace.constraints,
            bounds: &known.bounds,
        };
        return answer_of(applications::size(&application), seen);
    }
    let pod = match PodSpec::of_pod(&object) {
        Ok(pod) => pod,
        Err(problem) => return not_read(seen, &problem.to_string()),
    };
    let Some(identity) = identity_of(&object, &review.namespace, &namespace.owners, &known.identity) else {
        return ReviewOutcome::default();
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
    let provenance = Provenance {
        workload: workload.clone(),
        recommendation: recommended.map(|r| r.id.clone()).unwrap_or_default(),
    };
    seen.workload = Some(workload);
    let sizing = Sizing {
        pod: &object,
        kind: Some(identity.workload.kind),
        recommended: &sizes,
        killed_at: &killed_at,
        provenance: Some(&provenance),
        constraints: &namespace.constraints,
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

/// An executor's pod with the recommended heap and the size that belongs to it; `None` where it has that heap, or may
/// not have that size.
fn with_recommended_heap(sizing: &Sizing<'_>, recommended: &Recommended, pod: &PodSpec<'_>) -> Option<Resizing> {
    let heaped = HeapRewrite::of(sizing.pod, sizing.kind?, recommended, pod)?;
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
fn answer_of(resizing: Resizing, seen: &mut Seen) -> ReviewOutcome {
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
    ReviewOutcome { denial: None, ops, warnings: few(warnings), audit_annotations }
}

/// Why the administrator's rollout leaves a pod as it came, in one word; `None` where its sizes are applied.
fn held_back(
    review: &Review<'_>,
    workload: &Workload,
    recommended: Option<&Recommended>,
    known: &Snapshot,
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

/// Most findings of one rule in one review that are written down.
const MOST_FINDINGS: usize = 256;

fn validate(review: &Review<'_>, known: &Snapshot, seen: &mut Seen, findings: &mut Vec<Finding>) -> ReviewOutcome {
    let created = match review.operation {
        Operation::Create => true,
        Operation::Update => false,
        Operation::Delete | Operation::Connect => return ReviewOutcome::default(),
    };
    // Of a pod's subresources only this one brings containers; sizes and statuses are nobody's habit.
    if review.is_of_pods() && !matches!(review.sub_resource.as_ref(), "" | "ephemeralcontainers") {
        return ReviewOutcome::default();
    }
    // Whatever there is to say of it was said when it was made: it must be able to lose its finalizers.
    if review.is_of_pods() && review.leaves_the_spec() {
        return ReviewOutcome::default();
    }
    let (object, mut checked) = match look(review, known) {
        Ok(looked) => looked,
        Err(problem) => {
            seen.outcome = Outcome::Failed("unreadable-object");
            return unjudged(review, known, &problem);
        }
    };
    if !created && !checked.findings.is_empty() {
        checked.findings = newly_found(checked.findings, &object, review, known);
    }
    let softest = if !review.is_of_pods() {
        // A template harms nobody until a pod is made of it, and that is judged then; its author is told now.
        Mode::Warn
    } else if review.is_from_kubelet() && provenance::is_mirror(&object) {
        // The static pod runs whatever is answered.
        Mode::Audit
    } else {
        Mode::Enforce
    };
    for finding in &checked.findings {
        *seen.findings.entry((finding.rule, finding.mode.min(softest))).or_default() += 1;
    }
    for ((rule, mode), count) in &checked.left_out {
        *seen.findings.entry((rule, (*mode).min(softest))).or_default() += count;
    }
    let Verdict { denial, mut warnings, audit_annotations, findings: found } = judge(soften(checked.findings, softest));
    *findings = found;
    let left_out = |at_least| {
        let counts = checked.left_out.iter().filter(move |((_, mode), _)| (*mode).min(softest) >= at_least);
        counts.map(|(_, count)| count).sum::<usize>()
    };
    if denial.is_some() {
        seen.outcome = Outcome::Denied;
    } else if left_out(Mode::Enforce) > 0 {
        // An exemption may cover those that are written down, or an update may have found them there: of the others
        // nothing is known.
        seen.outcome = Outcome::Failed("too-many-findings");
        return unjudged(review, known, &too_many_findings());
    } else if left_out(Mode::Warn) > 0 {
        warnings.push(warning(&format!("and {} more findings", left_out(Mode::Warn))));
    }
    ReviewOutcome { denial, ops: Vec::new(), warnings: few(warnings), audit_annotations }
}

/// The object of a review, and what the rules find in it.
fn look(review: &Review<'_>, known: &Snapshot) -> Result<(Value, Checked), String> {
    let raw = review.object.ok_or("the review has no object")?;
    let read = if review.is_of_pods() { read_pod_to_judge(raw) } else { read_object(raw) };
    let object = read.map_err(|problem| problem.to_string())?;
    let checked = findings(&object, review, known).map_err(|problem| problem.to_string())?;
    Ok((object, checked))
}

/// Everything that the rules find in an object: what comes as a pod is one, whatever kind it says it is; of other
/// kinds, in the pods that are made from them. Exemptions are applied, and places are those of the object.
fn findings(object: &Value, review: &Review<'_>, known: &Snapshot) -> Result<Checked, Malformed> {
    let of = |pod: PodSpec<'_>| rules_say(pod, &review.namespace, Some(&review.user), &known.rules);
    if review.is_of_pods() {
        return Ok(of(PodSpec::of_pod(object)?));
    }
    let mut all = Checked::default();
    for made in manifest::pods(object, "") {
        let mut checked = of(PodSpec::of_pod(&made.pod)?);
        for finding in &mut checked.findings {
            finding.path = made.origin(&finding.path);
        }
        all.findings.append(&mut checked.findings);
        for (rule, count) in checked.left_out {
            *all.left_out.entry(rule).or_default() += count;
        }
    }
    Ok(all)
}

/// What the rules find in a pod of a namespace that somebody asks for, as the administrator has set them.
pub(super) fn rules_say(pod: PodSpec<'_>, namespace: &str, user: Option<&str>, rules: &Rules) -> Checked {
    let settings = rules.settings();
    let mut checked = policy::check_up_to(MOST_FINDINGS, &pod, &rules.modes(namespace), &settings.options());
    settings.exempt(&mut checked.findings, &Subject { namespace, user, pod });
    checked
}

/// Why a pod of which findings were left out is turned away.
pub(super) fn too_many_findings() -> String {
    format!("a rule finds more than {MOST_FINDINGS} breaches in it")
}

/// Of the findings those that this update brings about: an update that leaves an old breach as it is must pass, or
/// finalizers could not be removed from pods that were there before the rule.
fn newly_found(found: Vec<Finding>, object: &Value, review: &Review<'_>, known: &Snapshot) -> Vec<Finding> {
    let read = if review.is_of_pods() { read_pod_to_judge } else { read_object };
    let Some(old) = review.old_object.and_then(|raw| read(raw).ok()) else { return found };
    let Ok(before) = findings(&old, review, known) else { return found };
    // With its container: what the pod as a whole says is a new breach for a container that has just come.
    let breach = |f: &Finding| (f.rule, f.reason, f.path.clone(), f.container.clone());
    let before: HashSet<_> = before.findings.iter().map(breach).collect();
    let same = |f: &Finding| before.contains(&breach(f));
    found.into_iter().filter(|f| !same(f) || old.pointer(&f.path) != object.pointer(&f.path)).collect()
}
