//! From an instance and what is known of its pod to a run of a workload: start, end, memory and CPU, and what is in
//! doubt. Pure: the pod is given, nothing is looked up.

use super::instance::{Instance, InstanceKey};
use super::outcome::{Around, Told};
use super::plausible::{self, Frame};
use super::pod_object::PodObject;
use super::stretch::{CpuStretch, MemoryStretch};
use crate::history::{CpuUse, Doubt, MemoryUse, PeakSource, Resources, Run};
use crate::workload::{INPUT_BYTES, input_bytes, kube_state_metrics_name};

/// A high-water mark this near to the limit may be page cache that the kernel had no reason to drop.
const SATURATED_SHARE: f64 = 0.98;
/// From this many scraped samples on their maximum is a better measure of need than a high-water mark far above it,
/// which then holds page cache. At a 30 s scrape these are 10 minutes, where 2 to 7 % of maxima are > 15 % too low.
const SAMPLES_TO_TRUST: u32 = 20;
/// A high-water mark up to this factor above the scraped maximum is a peak between two samples, more is cache.
const CACHE_FACTOR: f64 = 1.25;
/// Longest time that a scraper repeats a dead container's last values: Prometheus' staleness of five minutes and one
/// scrape more.
const LINGERING_MS: i64 = 6 * 60_000;

/// How far an instance was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sight {
    /// The end of what was read: an instance that lasts until then is still running.
    pub until_ms: i64,
    /// The last sample of any container of its pod.
    pub pod_last_ms: i64,
}

/// Makes a run of an instance; `None` when the instance has no sample.
pub fn run_of(
    key: &InstanceKey,
    instance: &Instance,
    object: Option<&PodObject>,
    around: &Around,
    sight: Sight,
    attempt: Option<u32>,
) -> Option<Run> {
    let first_ms = instance.first_ms()?;
    let last_ms = instance.last_ms()?;
    let (memory, cpu) = (instance.memory(), instance.cpu());
    let (memory, cpu) = (memory.as_deref(), cpu.as_deref());
    let pod_start = object.and_then(|o| o.started_ms).filter(|s| *s <= first_ms);
    let trusted = plausible::start(instance, cpu, pod_start, first_ms);
    let started_ms =
        instance.reported_start_ms.or(trusted).unwrap_or_else(|| started(memory, cpu, pod_start, first_ms));
    let told = Told::of(key, instance, object, around, (started_ms, first_ms, last_ms), sight.until_ms);
    let completed_ms = told.completed_ms.filter(|_| told.ended);
    let known_end = completed_ms.and_then(|completed| known_end(memory, last_ms, completed, around, sight));
    let ended_ms = match known_end {
        Some(end) => end,
        None if told.ended => last_alive(memory, cpu, last_ms),
        None => last_ms,
    }
    .max(started_ms);
    let frame = Frame { started_ms, trusted_start: trusted.is_some(), ended_ms, known_end: known_end.is_some() };
    let (memory_use, cache) = memory_of(instance, memory, &told.resources);
    let cpu_use = cpu.and_then(|cpu| cpu_of(instance, memory, cpu, &frame));
    let mut run = Run {
        pod: key.pod.clone(),
        uid: key.uid().or_else(|| object.and_then(|o| o.uid.clone())),
        started_ms,
        ended_ms,
        memory: memory_use,
        cpu: cpu_use,
        resources: told.resources,
        outcome: told.outcome,
        attempt,
        input_bytes: object.and_then(input_of),
        jvm: None,
        day: None,
        observation: None,
    };
    told.note(&mut run);
    let doubts = plausible::doubts(instance, memory, cpu, &frame);
    for doubt in doubts.iter() {
        run.doubt(doubt);
    }
    if let Some(doubt) = cache {
        run.doubt(doubt);
    }
    if run.memory.is_none() && memory.is_some_and(|m| m.zeros > 0) {
        run.doubt(Doubt::ZeroMemory);
    }
    if (!instance.starts_ms.is_empty() || instance.is_start_too_late) && trusted.is_none() {
        run.doubt(Doubt::StartContradicted);
    }
    if !key.is_one() && (instance.is_of_several_pods || instance.restarted_in_place()) {
        run.doubt(Doubt::LivesMerged);
    }
    Some(run)
}

/// The size of the pod's input, where whoever made the pod said it.
pub(super) fn input_of(object: &PodObject) -> Option<f64> {
    let name = kube_state_metrics_name(INPUT_BYTES);
    let text = object.annotations.get(&name).or_else(|| object.labels.get(&name))?;
    Some(input_bytes(text)? as f64)
}

/// The start where cAdvisor does not have it: as the counter's own first value and slope tell it, never before the
/// pod's.
fn started(memory: Option<&MemoryStretch>, cpu: Option<&CpuStretch>, pod_start: Option<i64>, first_ms: i64) -> i64 {
    let by_counter = cpu.and_then(|cpu| {
        let seconds = (cpu.changed_ms - cpu.first_ms) as f64 / 1000.0;
        (seconds > 0.0 && cpu.increase > 0.0).then(|| {
            let before = cpu.first * seconds / cpu.increase;
            cpu.first_ms.saturating_sub((before * 1000.0).min(9e15) as i64)
        })
    });
    // Without any start the first scrape came at most about one interval after it.
    let earliest = memory
        .filter(|m| m.samples > 1)
        .map_or(first_ms, |m| first_ms - (m.last_ms - m.first_ms) / i64::from(m.samples - 1).max(1) * 2);
    match (by_counter, pod_start) {
        (Some(start), Some(pod)) => start.clamp(pod, first_ms),
        (Some(start), None) => start.clamp(earliest.min(first_ms), first_ms),
        (None, Some(pod)) => pod,
        (None, None) => first_ms,
    }
}

/// The end as the end of its pod tells it. Samples after that are the last ones repeated. Samples that stop long before
/// are of a container that ended before the pod's others, or, if there are none of any other, of one that nobody saw to
/// its end.
fn known_end(
    memory: Option<&MemoryStretch>,
    last_ms: i64,
    completed_ms: i64,
    around: &Around,
    sight: Sight,
) -> Option<i64> {
    let soon_ms = 2 * memory.and_then(MemoryStretch::interval_ms).unwrap_or(60_000) + 60_000;
    let alone = around.later.is_empty() && sight.pod_last_ms - last_ms <= soon_ms;
    (completed_ms - last_ms <= soon_ms || alone).then_some(completed_ms)
}

/// The last moment at which it was alive: when its counter moved, if its last values may be those of a dead container
/// repeated.
fn last_alive(memory: Option<&MemoryStretch>, cpu: Option<&CpuStretch>, last_ms: i64) -> i64 {
    let moved_ms = memory.map_or(i64::MIN, |m| m.still.1);
    match cpu {
        Some(cpu) if cpu.increase > 0.0 && (1..=LINGERING_MS).contains(&(last_ms - cpu.changed_ms.max(moved_ms))) => {
            cpu.changed_ms.max(moved_ms)
        }
        _ => last_ms,
    }
}

/// Its peak, and why a high-water mark above it was taken for page cache, if it was.
///
/// Files explain a mark if the working set and the page cache that was seen make up as much. Where no cache was seen,
/// the mark's size decides. The cache is the one seen last: files that were deleted before leave the mark as it is, an
/// upper bound. A mark at the limit is never a need: whatever fills any limit would raise it again and again.
fn memory_of(
    instance: &Instance,
    sampled: Option<&MemoryStretch>,
    resources: &Resources,
) -> (Option<MemoryUse>, Option<Doubt>) {
    let sampled = sampled.filter(|m| m.samples > 0);
    let mark = instance.cgroup_peak_bytes.filter(|b| *b > 0);
    let by = |peak_bytes, source| MemoryUse { peak_bytes, source, samples: sampled.map_or(0, |m| m.samples) };
    let (Some(memory), Some(mark)) = (sampled, mark) else {
        let only_samples = sampled.map(|m| by(m.max_bytes, PeakSource::Sampled));
        return (only_samples.or_else(|| mark.map(|mark| by(mark, PeakSource::Cgroup))), None);
    };
    let saturated = resources.memory_limit_bytes.is_some_and(|l| mark as f64 >= SATURATED_SHARE * l as f64)
        && (memory.max_bytes as f64) < SATURATED_SHARE * mark as f64;
    let above = mark as f64 > CACHE_FACTOR * memory.max_bytes as f64;
    let explained = instance.cache_bytes.map(|cache| mark <= memory.max_bytes.saturating_add(cache));
    let cache = match explained {
        Some(true) if saturated || above => Some(Doubt::PageCacheSeen),
        Some(_) if !saturated => None,
        _ => (saturated || memory.samples >= SAMPLES_TO_TRUST && above).then_some(Doubt::PageCache),
    };
    (
        Some(if mark >= memory.max_bytes && cache.is_none() {
            by(mark, PeakSource::Cgroup)
        } else {
            by(memory.max_bytes, PeakSource::Sampled)
        }),
        cache,
    )
}

/// Mean cores: the counter's last value over the time since the container's start, both exact; without a start the
/// slope between the first and the last sample. A single sample without a start tells nothing, nor does a counter at
/// zero. A counter that stands still at the end is that of a container that is dead, or of a scraper that stopped.
fn cpu_of(instance: &Instance, memory: Option<&MemoryStretch>, cpu: &CpuStretch, frame: &Frame) -> Option<CpuUse> {
    if cpu.last <= 0.0 && cpu.increase <= 0.0 {
        return None;
    }
    let lingering = (1..=LINGERING_MS).contains(&(cpu.last_ms - cpu.changed_ms)) && cpu.increase > 0.0;
    let stopped = lingering || plausible::stopped(cpu, memory, frame).is_some();
    let mut until_ms = if stopped { cpu.changed_ms } else { cpu.last_ms };
    if frame.known_end && until_ms > frame.ended_ms && frame.ended_ms > cpu.first_ms {
        until_ms = frame.ended_ms;
    }
    let (used, from_ms) = if frame.trusted_start {
        (cpu.total(), frame.started_ms)
    } else if until_ms > cpu.first_ms {
        (cpu.increase, cpu.first_ms)
    } else {
        return None;
    };
    let seconds = (until_ms - from_ms) as f64 / 1000.0;
    if seconds < 1.0 {
        return None;
    }
    let throttled_share =
        instance.periods.and_then(|(all, throttled)| (all > 0.0).then(|| (throttled / all).clamp(0.0, 1.0)));
    Some(CpuUse { mean_cores: used / seconds, peak_cores: cpu.max_cores, throttled_share })
}

#[cfg(test)]
mod tests {
    use super::super::pod_object::ContainerObject;
    use super::super::stretch::{MemoryStretch, Stretch};
    use super::*;
    use crate::history::Outcome;
    use crate::prometheus::Sample;

    const MIB: u64 = 1 << 20;

    fn key() -> InstanceKey {
        InstanceKey { namespace: "ns".into(), pod: "p".into(), container: "c".into(), cgroup: String::new() }
    }

    fn instance(samples: u32, peak_mib: u64) -> Instance {
        let last_ms = i64::from(samples - 1) * 30_000 + 15_000;
        let memory = MemoryStretch {
            first_ms: 15_000,
            last_ms,
            seen_ms: last_ms,
            samples,
            max_bytes: peak_mib * MIB,
            still: (peak_mib * MIB, last_ms, 1),
            ..MemoryStretch::default()
        };
        let mut cpu = None;
        for at_ms in (15_000..=last_ms).step_by(30_000) {
            CpuStretch::push(&mut cpu, Sample { at_ms, value: 0.9 * at_ms as f64 / 1000.0 }, true).unwrap();
        }
        Instance::of(Some(memory), cpu)
    }

    fn object(reason: Option<&str>, completed_ms: Option<i64>) -> PodObject {
        let mut container = ContainerObject {
            resources: Resources { memory_limit_bytes: Some(2048 * MIB), ..Resources::default() },
            ..ContainerObject::default()
        };
        if let Some(reason) = reason {
            container.ended.say(10_000_000, reason.to_owned());
        }
        PodObject {
            completed_ms,
            started_ms: Some(0),
            containers: [("c".to_owned(), Box::new(container))].into(),
            ..PodObject::default()
        }
    }

    fn sight(instance: &Instance, until_ms: i64) -> Sight {
        Sight { until_ms, pod_last_ms: instance.last_ms().unwrap() }
    }

    fn made(instance: &Instance, object: Option<&PodObject>) -> Run {
        run_of(&key(), instance, object, &Around::default(), sight(instance, 10_000_000), None).unwrap()
    }

    #[test]
    fn mean_cores_are_exact_with_and_without_a_start() {
        for samples in [2, 10, 120] {
            let run = made(&instance(samples, 100), None);
            assert!((run.cpu.unwrap().mean_cores - 0.9).abs() < 1e-9);
            assert_eq!(run.started_ms, 0, "the counter tells when it began");
        }
        let one = Instance { starts_ms: vec![0], ..instance(1, 100) };
        assert!((made(&one, None).cpu.unwrap().mean_cores - 0.9).abs() < 1e-9);
        assert_eq!(made(&instance(1, 100), None).cpu, None, "one sample and no start tell nothing");
    }

    #[test]
    fn lingering_samples_are_not_run_time() {
        let mut long = instance(10, 100);
        (long.memory[0].1.last_ms, long.memory[0].1.seen_ms) = (585_000, 585_000);
        long.cpu[0].1.last_ms = 585_000;
        let run = made(&long, None);
        assert_eq!(run.ended_ms, 285_000);
        assert!((run.cpu.unwrap().mean_cores - 0.9).abs() < 1e-9);
        assert_eq!(made(&long, Some(&object(Some("Completed"), Some(290_000)))).ended_ms, 290_000);
    }

    #[test]
    fn the_size_of_the_input_comes_from_an_annotation() {
        for (text, expected) in [
            ("5000000000", Some(5e9)),
            ("12Gi", Some(12.0 * 1_073_741_824.0)),
            ("-1", None),
            ("large", None),
            ("", None),
        ] {
            let mut object = object(None, None);
            object.annotations.insert("podfit_dev_input_bytes".to_owned(), text.to_owned());
            assert_eq!(made(&instance(5, 1), Some(&object)).input_bytes, expected, "{text:?}");
        }
        assert_eq!(made(&instance(5, 1), Some(&object(None, None))).input_bytes, None);
    }

    #[test]
    fn outcomes() {
        assert_eq!(made(&instance(5, 1), Some(&object(Some("OOMKilled"), Some(140_000)))).outcome, Outcome::OomKilled);
        assert_eq!(made(&instance(5, 1), Some(&object(Some("Completed"), None))).outcome, Outcome::Completed);
        assert_eq!(made(&instance(5, 1), Some(&object(Some("Error"), None))).outcome, Outcome::Failed);
        assert_eq!(made(&instance(5, 1), None).outcome, Outcome::Unknown);
        let instance = instance(5, 1);
        let running = run_of(&key(), &instance, None, &Around::default(), sight(&instance, 140_000), None).unwrap();
        assert_eq!(running.outcome, Outcome::Running);
    }

    #[test]
    fn the_kernels_mark_counts_unless_it_is_page_cache() {
        let with =
            |samples, peak, mark: u64| Instance { cgroup_peak_bytes: Some(mark * MIB), ..instance(samples, peak) };
        let peak = |instance: &Instance| {
            made(instance, Some(&object(None, None))).memory.map(|m| (m.peak_bytes / MIB, m.source))
        };
        assert_eq!(peak(&with(3, 1000, 1900)), Some((1900, PeakSource::Cgroup)), "a spike between two samples");
        assert_eq!(peak(&with(100, 1000, 1900)), Some((1000, PeakSource::Sampled)), "cache of a long run");
        assert_eq!(peak(&with(100, 1000, 1200)), Some((1200, PeakSource::Cgroup)));
        assert_eq!(peak(&with(3, 1000, 2048)), Some((1000, PeakSource::Sampled)), "cache up to the limit");
        assert_eq!(peak(&with(3, 1000, 0)), Some((1000, PeakSource::Sampled)), "kernels without a mark say 0");
    }
}
