//! One slice of time on: instances that go on are continued, and what ended, or may be told of what goes on, becomes
//! runs. Sends nothing and keeps nothing itself.

use std::borrow::Cow;
use std::collections::HashMap;

use super::carried::Carried;
use super::executors::Executors;
use super::finish::{Sight, run_of};
use super::identity::Who;
use super::instance::{Instance, InstanceKey};
use super::objects::Objects;
use super::outcome::Around;
use super::pod_object::PodObject;
use super::read::Read;
use super::slice::CLOCKS_DIFFER_MS;
use super::unsampled::{self, Spans};
use super::{days, jvm};
use crate::history::{JvmUse, Outcome, PodSeen, Run};
use crate::prometheus::TimeRange;
use crate::workload::containers::does_the_work;
use crate::workload::{Identity, Kind, WorkloadKey};

/// Moves the open instances on by one slice and makes runs of those that ended; at the last slice also of those that
/// still run, as far as they got.
#[expect(clippy::too_many_lines, reason = "the steps of one slice, in their order; each is a function of its own")]
pub(super) fn advance(
    carried: &mut Carried,
    read: Read,
    range: TimeRange,
    last: bool,
    who: &mut Who,
    recorded: impl Fn(&str, &str) -> Vec<PodSeen> + Copy,
) -> Vec<(WorkloadKey, Run)> {
    let Read { slice, of_instances, objects, mut executors, flink, .. } = read;
    executors.carry_on(std::mem::take(&mut carried.executors));
    let remembered: HashMap<(String, String), PodObject> = std::mem::take(&mut carried.objects).into_iter().collect();
    let mut followed = carried.instances.take(slice, |key| objects.starts_of(&key.namespace, &key.pod));
    for (key, instance) in &mut carried.instances.0 {
        if let Some(said) = of_instances.get(key) {
            instance.note(said);
        }
        instance.watched_from_ms = instance.watched_from_ms.or(carried.watched_from_ms);
    }
    for (key, instance) in followed.iter_mut().chain(&mut carried.instances.0) {
        flink.note(key, instance);
    }
    let silent = carried.instances.ended_at(range.end_ms);
    let spans = spans(followed.iter().chain(&carried.instances.0).chain(&silent));
    let mut pods_last_ms: HashMap<(String, String), i64> = HashMap::new();
    for (key, instance) in followed.iter().chain(&silent).chain(&carried.instances.0) {
        let last_ms = instance.last_ms().unwrap_or(i64::MIN);
        let known = pods_last_ms.entry((key.namespace.clone(), key.pod.clone())).or_insert(last_ms);
        *known = last_ms.max(*known);
    }
    let mut runs = Vec::new();
    // Tells whether it may come back: the end of a service is told by nobody, nor is that of a pod that nobody saw end.
    let mut report = |key: &InstanceKey, instance: &mut Instance, say: Say| -> bool {
        if instance.is_double {
            instance.forget_days();
            return false;
        }
        let uid = key.uid();
        let pod = (key.namespace.clone(), key.pod.clone());
        let seen = seen(instance);
        let object = match (objects.find(&key.namespace, &key.pod, uid.as_deref(), seen), remembered.get(&pod)) {
            (Some(now), Some(before)) if before.uid.is_none() || now.uid.is_none() || before.uid == now.uid => {
                let mut object = before.clone();
                object.update(now.clone(), range.start_ms);
                Some(Cow::Owned(object))
            }
            (Some(now), _) => Some(Cow::Borrowed(now)),
            (None, before) => before.map(Cow::Borrowed),
        };
        let all = spans.get(&container_of(key)).map_or(&[][..], Vec::as_slice);
        let around = Around::of(seen, &of_pod(all, object.as_deref(), &objects.starts_of(&key.namespace, &key.pod)));
        let found = match say {
            // Whoever it is of is counted when all of it is told.
            Say::PastDays => who.look_up(key, object.as_deref(), &objects, recorded).ok().map(|(found, _)| found),
            _ => who.identify(key, object.as_deref(), &objects, recorded),
        };
        let Some(identity) = found else {
            instance.forget_days();
            return false;
        };
        let pod_last_ms = pods_last_ms.get(&pod).copied().unwrap_or(i64::MIN);
        let sight = Sight { until_ms: range.end_ms, pod_last_ms };
        let Some(mut run) = run_of(key, instance, object.as_deref(), &around, sight, identity.attempt) else {
            return false;
        };
        let kind = identity.workload.kind;
        let is_main = does_the_work(kind, &key.container) && identity.is_main(&key.container);
        if let Some(said) = instance
            .flink
            .as_ref()
            .filter(|_| is_main)
            .and_then(|seen| seen.of_run(kind, (instance.first_ms()?, instance.last_ms()?), &run))
        {
            run.jvm = Some(Box::new(said));
        }
        let owner = object.as_deref().and_then(|o| o.owner.as_ref()).map(|(kind, _)| kind.as_str());
        if days::is_service(kind, owner, run.ended_ms - run.started_ms) {
            instance.reported_start_ms = Some(run.started_ms);
            let cut =
                days::cut(instance, &run, objects.autoscalers.scaled_on(&identity.workload), say != Say::PastDays);
            instance.forget_past_days();
            let key = WorkloadKey { workload: identity.workload, container: key.container.clone() };
            runs.extend(cut.into_iter().map(|day| (key.clone(), day)));
            return true;
        }
        if !days::may_become_service(kind) {
            instance.forget_days();
        }
        if say == Say::PastDays {
            return false;
        }
        instance.reported_start_ms = Some(run.started_ms);
        if executors.is_recovering(kind, &key.namespace, &key.pod, object.as_deref()) {
            return false;
        }
        note_jvm(&mut run, key, &identity, object.as_deref(), &executors, who, recorded);
        let is_end_told = object.as_deref().is_some_and(|object| object.completed_ms.is_some());
        let may_come_back = run.outcome == Outcome::Unknown && !is_end_told;
        let key = WorkloadKey { workload: identity.workload, container: key.container.clone() };
        runs.push((key, run));
        may_come_back
    };
    for (key, mut instance) in followed {
        report(&key, &mut instance, Say::Followed);
    }
    // The latest instance of a container is not followed by another.
    let mut latest: HashMap<(String, String, String), i64> = HashMap::new();
    for (key, instance) in carried.instances.0.iter().filter(|(_, instance)| !instance.is_silent).chain(&silent) {
        let first_ms = instance.first_ms().unwrap_or(i64::MIN);
        let begun = latest.entry(container_of(key)).or_insert(first_ms);
        *begun = first_ms.max(*begun);
    }
    let mut waiting = Vec::new();
    for (key, mut instance) in silent {
        let again = latest.get(&container_of(&key)).is_some_and(|latest| instance.first_ms() < Some(*latest));
        if report(&key, &mut instance, if again { Say::Followed } else { Say::All }) && !again {
            waiting.push((key, instance));
        }
    }
    for (key, instance) in carried.instances.0.iter_mut().filter(|(_, instance)| !instance.is_silent) {
        if last {
            report(key, instance, Say::All);
        } else if instance.has_past_days() {
            report(key, instance, Say::PastDays);
        }
    }
    for (key, instance) in waiting {
        carried.instances.wait(key, instance);
    }
    for unsampled in unsampled::of(&objects, &spans, range, &mut carried.unsampled) {
        let (key, object) = (&unsampled.key, Some(unsampled.object));
        let Some(identity) = who.identify(key, object, &objects, recorded) else { continue };
        let kind = identity.workload.kind;
        if kind.is_service() || !does_the_work(kind, &key.container) {
            continue;
        }
        let mut run = unsampled.run(identity.attempt);
        note_jvm(&mut run, key, &identity, object, &executors, who, recorded);
        runs.push((WorkloadKey { workload: identity.workload, container: key.container.clone() }, run));
    }
    carried.objects = kept(carried, remembered, &objects, range.start_ms);
    carried.executors = executors;
    number_retries(&mut runs);
    // Histories fold what ended first.
    runs.sort_by_key(|(_, run)| run.ended_ms);
    runs
}

/// Those of a container's instances that began while its pod was there: another pod of that name may have come after it
/// or gone before. `starts` are the starts of all of them.
fn of_pod<'a>(all: &'a [(i64, i64)], object: Option<&PodObject>, starts: &[i64]) -> Cow<'a, [(i64, i64)]> {
    let started_ms = object.and_then(|object| object.started_ms);
    let Some(started_ms) = started_ms.filter(|own| starts.iter().any(|start| start != own)) else {
        return Cow::Borrowed(all);
    };
    let next_ms = starts.iter().copied().filter(|start| *start > started_ms).min().unwrap_or(i64::MAX);
    let is_first = starts.iter().all(|start| *start >= started_ms);
    let from_ms = if is_first { i64::MIN } else { started_ms - CLOCKS_DIFFER_MS };
    let until_ms = next_ms.saturating_sub(CLOCKS_DIFFER_MS);
    Cow::Owned(all.iter().copied().filter(|(first, _)| (from_ms..until_ms).contains(first)).collect())
}

/// What the next slice may no longer say of pods whose instances go on.
fn kept(
    carried: &Carried,
    mut remembered: HashMap<(String, String), PodObject>,
    objects: &Objects,
    slice_ms: i64,
) -> Vec<((String, String), PodObject)> {
    let mut keep: HashMap<(String, String), PodObject> = HashMap::new();
    for (key, instance) in &carried.instances.0 {
        let pod = (key.namespace.clone(), key.pod.clone());
        if keep.contains_key(&pod) {
            continue;
        }
        let mut object = remembered.remove(&pod).unwrap_or_default();
        if let Some(now) = objects.find(&key.namespace, &key.pod, key.uid().as_deref(), seen(instance)) {
            object.update(now.clone(), slice_ms);
        }
        keep.insert(pod, object);
    }
    let mut kept: Vec<_> = keep.into_iter().collect();
    kept.sort_by(|(a, _), (b, _)| a.cmp(b));
    kept
}

/// First and last sample of an instance.
fn seen(instance: &Instance) -> (i64, i64) {
    (instance.first_ms().unwrap_or(i64::MIN), instance.last_ms().unwrap_or(i64::MAX))
}

/// When the instances of each container were sampled.
fn spans<'a>(instances: impl Iterator<Item = &'a (InstanceKey, Instance)>) -> Spans {
    let mut spans = Spans::new();
    for (key, instance) in instances.filter(|(_, instance)| !instance.is_double) {
        spans.entry(container_of(key)).or_default().push(seen(instance));
    }
    spans
}

fn container_of(key: &InstanceKey) -> (String, String, String) {
    (key.namespace.clone(), key.pod.clone(), key.container.clone())
}

/// How much of an instance is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Say {
    /// All of it; another one followed it.
    Followed,
    /// All of it.
    All,
    /// It goes on: only days that are over, where it is cut into days.
    PastDays,
}

/// What is known of the JVM of a run.
fn note_jvm(
    run: &mut Run,
    key: &InstanceKey,
    identity: &Identity,
    object: Option<&PodObject>,
    executors: &Executors,
    who: &Who,
    recorded: impl Fn(&str, &str) -> Vec<PodSeen>,
) {
    let kind = identity.workload.kind;
    if identity.is_main(&key.container)
        && let Some(said) = executors.of(kind, &key.namespace, &key.pod, object)
    {
        let heap_exhausted = run.jvm.as_ref().is_some_and(|jvm| jvm.heap_exhausted);
        run.jvm = Some(Box::new(JvmUse { heap_exhausted, ..said }));
    }
    if jvm::is_spark(kind) && does_the_work(kind, &key.container) && identity.is_main(&key.container) {
        jvm::note(run, who.jvm(key, recorded));
    }
}

/// Pods of one Job that follow each other after a failure are attempts of the same work, where nothing else says so.
fn number_retries(runs: &mut [(WorkloadKey, Run)]) {
    let mut order: Vec<usize> = (0..runs.len()).filter(|i| runs[*i].1.attempt.is_none()).collect();
    order.sort_by_key(|i| runs[*i].1.started_ms);
    let mut previous: HashMap<(WorkloadKey, String), (u32, Outcome, i64)> = HashMap::new();
    for i in order {
        let (key, run) = &runs[i];
        let Some(job) = job_of_pod(key, &run.pod) else { continue };
        let unit = (key.clone(), job.to_owned());
        let attempt = match previous.get(&unit) {
            Some((n, Outcome::Failed | Outcome::OomKilled, ended)) if run.started_ms >= *ended => n + 1,
            Some(_) => continue,
            None => 1,
        };
        previous.insert(unit, (attempt, run.outcome, run.ended_ms));
        runs[i].1.attempt = Some(attempt);
    }
}

/// The Job's own name in the name of its pod.
fn job_of_pod<'a>(key: &WorkloadKey, pod: &'a str) -> Option<&'a str> {
    matches!(key.workload.kind, Kind::Cronjob | Kind::Job).then_some(())?;
    crate::workload::recurring_name::without_generated_suffix(pod)
}
