//! From a life and what is known of its pod to a run of a workload.
//! Pure: the pod is given, nothing is looked up.

use super::life::{Life, LifeKey};
use super::objects::PodObject;
use super::outcome::Told;
use super::segment::CpuStretch;
use crate::history::{CpuUse, MemoryUse, PeakSource, Resources, Run};
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

/// Exit code of a Spark executor whose heap was full (`SparkExitCode.OOM`).
pub(super) const SPARK_HEAP_EXHAUSTED: i32 = 52;

/// Whether the life is the pod's latest in this container, or another one followed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// No later life of the same container of the same pod was seen.
    Latest,
    /// The container was started again.
    Followed,
}

/// Makes a run of a life. `seen_until_ms` is the end of what was read: a life that lasts until then is still running.
/// `None` when the life has no sample.
pub fn run_of(
    key: &LifeKey,
    life: &Life,
    object: Option<&PodObject>,
    place: Place,
    seen_until_ms: i64,
    attempt: Option<u32>,
) -> Option<Run> {
    let first_ms = life.first_ms()?;
    let last_ms = life.last_ms()?;
    let started_ms = started(life, object, first_ms);
    let told = Told::of(key, life, object, place, (started_ms, last_ms), seen_until_ms);
    let ended_ms = ended_at(life, last_ms, told.completed_ms, told.ended).max(started_ms);
    let mut run = Run {
        pod: key.pod.clone(),
        uid: key.uid().or_else(|| object.and_then(|o| o.uid.clone())),
        started_ms,
        ended_ms,
        memory: memory_of(life, &told.resources),
        cpu: life.cpu.as_ref().and_then(|cpu| cpu_of(life, cpu, started_ms)),
        resources: told.resources,
        outcome: told.outcome,
        attempt,
        input_bytes: object.and_then(input_of),
        jvm: None,
        day: None,
        observation: None,
    };
    told.note(&mut run);
    Some(run)
}

/// The size of the pod's input, where whoever made the pod said it.
fn input_of(object: &PodObject) -> Option<f64> {
    let name = kube_state_metrics_name(INPUT_BYTES);
    let text = object.annotations.get(&name).or_else(|| object.labels.get(&name))?;
    Some(input_bytes(text)? as f64)
}

/// The start: as cAdvisor has it, else as the counter's own first value and slope tell it, never before the pod's.
fn started(life: &Life, object: Option<&PodObject>, first_ms: i64) -> i64 {
    if let Some(reported) = life.reported_start_ms {
        return reported;
    }
    if let Some(start) = life.started_ms.filter(|s| *s <= first_ms) {
        return start;
    }
    let pod_start = object.and_then(|o| o.started_ms).filter(|s| *s <= first_ms);
    let by_counter = life.cpu.as_ref().and_then(|cpu| {
        let seconds = (cpu.changed_ms - cpu.first_ms) as f64 / 1000.0;
        (seconds > 0.0 && cpu.increase > 0.0).then(|| {
            let before = cpu.first * seconds / cpu.increase;
            cpu.first_ms.saturating_sub((before * 1000.0).min(9e15) as i64)
        })
    });
    // Without any start the first scrape came at most about one interval after it.
    let earliest = life
        .memory
        .as_ref()
        .filter(|m| m.samples > 1)
        .map_or(first_ms, |m| first_ms - (m.last_ms - m.first_ms) / i64::from(m.samples - 1).max(1) * 2);
    match (by_counter, pod_start) {
        (Some(start), Some(pod)) => start.clamp(pod, first_ms),
        (Some(start), None) => start.clamp(earliest.min(first_ms), first_ms),
        (None, Some(pod)) => pod,
        (None, None) => first_ms,
    }
}

fn ended_at(life: &Life, last_ms: i64, completed_ms: Option<i64>, ended: bool) -> i64 {
    if !ended {
        return last_ms;
    }
    let interval_ms = life
        .memory
        .as_ref()
        .filter(|m| m.samples > 1)
        .map_or(60_000, |m| (m.last_ms - m.first_ms) / i64::from(m.samples - 1).max(1));
    match completed_ms {
        // Samples after the end are the last ones repeated; samples that stop long before it are of a container that
        // ended before the pod's others.
        Some(completed) if completed <= last_ms => completed,
        Some(completed) if completed - last_ms <= 2 * interval_ms + 60_000 => completed,
        _ => match &life.cpu {
            Some(cpu) if cpu.increase > 0.0 && (1..=LINGERING_MS).contains(&(last_ms - cpu.changed_ms)) => {
                cpu.changed_ms
            }
            _ => last_ms,
        },
    }
}

fn memory_of(life: &Life, resources: &Resources) -> Option<MemoryUse> {
    let sampled = life.memory.as_ref();
    let mark = life.cgroup_peak_bytes.filter(|b| *b > 0);
    let (Some(memory), Some(mark)) = (sampled, mark) else {
        return match (sampled, mark) {
            (Some(m), _) => {
                Some(MemoryUse { peak_bytes: m.max_bytes, source: PeakSource::Sampled, samples: m.samples })
            }
            (None, Some(mark)) => Some(MemoryUse { peak_bytes: mark, source: PeakSource::Cgroup, samples: 0 }),
            (None, None) => None,
        };
    };
    let saturated = resources.memory_limit_bytes.is_some_and(|l| mark as f64 >= SATURATED_SHARE * l as f64)
        && (memory.max_bytes as f64) < SATURATED_SHARE * mark as f64;
    let cache = memory.samples >= SAMPLES_TO_TRUST && mark as f64 > CACHE_FACTOR * memory.max_bytes as f64;
    let use_mark = mark >= memory.max_bytes && !saturated && !cache;
    Some(if use_mark {
        MemoryUse { peak_bytes: mark, source: PeakSource::Cgroup, samples: memory.samples }
    } else {
        MemoryUse { peak_bytes: memory.max_bytes, source: PeakSource::Sampled, samples: memory.samples }
    })
}

/// Mean cores: the counter's last value over the time since the container's start, both exact; without a start the
/// slope between the first and the last sample. A single sample without a start tells nothing.
fn cpu_of(life: &Life, cpu: &CpuStretch, started_ms: i64) -> Option<CpuUse> {
    let lingering = (1..=LINGERING_MS).contains(&(cpu.last_ms - cpu.changed_ms)) && cpu.increase > 0.0;
    let until_ms = if lingering { cpu.changed_ms } else { cpu.last_ms };
    let start_is_known = life.started_ms.is_some_and(|s| s == started_ms);
    let (used, from_ms) = if start_is_known {
        (cpu.first + cpu.increase, started_ms)
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
        life.periods.and_then(|(all, throttled)| (all > 0.0).then(|| (throttled / all).clamp(0.0, 1.0)));
    Some(CpuUse { mean_cores: used / seconds, peak_cores: cpu.max_cores, throttled_share })
}

#[cfg(test)]
mod tests {
    use super::super::objects::ContainerObject;
    use super::super::segment::MemoryStretch;
    use super::*;
    use crate::history::Outcome;

    const MIB: u64 = 1 << 20;

    fn key() -> LifeKey {
        LifeKey { namespace: "ns".into(), pod: "p".into(), container: "c".into(), cgroup: String::new() }
    }

    fn life(samples: u32, peak_mib: u64) -> Life {
        let last_ms = i64::from(samples - 1) * 30_000 + 15_000;
        Life {
            memory: Some(MemoryStretch {
                first_ms: 15_000,
                last_ms,
                samples,
                max_bytes: peak_mib * MIB,
                days: Vec::new(),
            }),
            cpu: Some(CpuStretch {
                first_ms: 15_000,
                last_ms,
                changed_ms: last_ms,
                first: 13.5,
                last: 13.5 + 0.9 * (last_ms - 15_000) as f64 / 1000.0,
                increase: 0.9 * (last_ms - 15_000) as f64 / 1000.0,
                max_cores: Some(0.9),
                samples,
                jumped: None,
                days: Vec::new(),
            }),
            ..Life::default()
        }
    }

    fn object(reason: Option<&str>, completed_ms: Option<i64>) -> PodObject {
        let container = ContainerObject {
            resources: Resources { memory_limit_bytes: Some(2048 * MIB), ..Resources::default() },
            terminated_reason: reason.map(str::to_owned),
            ..ContainerObject::default()
        };
        PodObject {
            completed_ms,
            started_ms: Some(0),
            containers: [("c".to_owned(), container)].into(),
            ..PodObject::default()
        }
    }

    fn made(life: &Life, object: Option<&PodObject>) -> Run {
        run_of(&key(), life, object, Place::Latest, 10_000_000, None).unwrap()
    }

    #[test]
    fn mean_cores_are_exact_with_and_without_a_start() {
        for samples in [2, 10, 120] {
            let run = made(&life(samples, 100), None);
            assert!((run.cpu.unwrap().mean_cores - 0.9).abs() < 1e-9);
            assert_eq!(run.started_ms, 0, "the counter tells when it began");
        }
        let one = Life { started_ms: Some(0), ..life(1, 100) };
        assert!((made(&one, None).cpu.unwrap().mean_cores - 0.9).abs() < 1e-9);
        assert_eq!(made(&life(1, 100), None).cpu, None, "one sample and no start tell nothing");
    }

    #[test]
    fn lingering_samples_are_not_run_time() {
        let mut long = life(10, 100);
        long.memory.as_mut().unwrap().last_ms += 300_000;
        long.cpu.as_mut().unwrap().last_ms += 300_000;
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
            assert_eq!(made(&life(5, 1), Some(&object)).input_bytes, expected, "{text:?}");
        }
        assert_eq!(made(&life(5, 1), Some(&object(None, None))).input_bytes, None);
    }

    #[test]
    fn outcomes() {
        assert_eq!(made(&life(5, 1), Some(&object(Some("OOMKilled"), Some(140_000)))).outcome, Outcome::OomKilled);
        assert_eq!(made(&life(5, 1), Some(&object(Some("Completed"), None))).outcome, Outcome::Completed);
        assert_eq!(made(&life(5, 1), Some(&object(Some("Error"), None))).outcome, Outcome::Failed);
        assert_eq!(made(&life(5, 1), None).outcome, Outcome::Unknown);
        let running = run_of(&key(), &life(5, 1), None, Place::Latest, 140_000, None).unwrap();
        assert_eq!(running.outcome, Outcome::Running);
    }

    #[test]
    fn the_kernels_mark_counts_unless_it_is_page_cache() {
        let with = |samples, peak, mark: u64| Life { cgroup_peak_bytes: Some(mark * MIB), ..life(samples, peak) };
        let peak = |life: &Life| made(life, Some(&object(None, None))).memory.map(|m| (m.peak_bytes / MIB, m.source));
        assert_eq!(peak(&with(3, 1000, 1900)), Some((1900, PeakSource::Cgroup)), "a spike between two samples");
        assert_eq!(peak(&with(100, 1000, 1900)), Some((1000, PeakSource::Sampled)), "cache of a long run");
        assert_eq!(peak(&with(100, 1000, 1200)), Some((1200, PeakSource::Cgroup)));
        assert_eq!(peak(&with(3, 1000, 2048)), Some((1000, PeakSource::Sampled)), "cache up to the limit");
        assert_eq!(peak(&with(3, 1000, 0)), Some((1000, PeakSource::Sampled)), "kernels without a mark say 0");
    }
}
