//! Reads one slice of time from a source: samples of containers, and the last word on everything else.
//! Puts nothing together.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::dates::read_dates;
use super::drain::drain;
use super::executors::{Executors, OF_EXECUTORS};
use super::fact_group::Group;
use super::flink::{self, Processes};
use super::flink_memory::Gauge;
use super::instance::{InstanceKey, LastSaid};
use super::metrics::{CPU, LAST_OF_CONTAINERS, LAST_OF_OBJECTS, MEMORY, POD_START, Scope};
use super::objects::Objects;
use super::scrapers::{Found, Scrapers};
use super::slice::{Before, Slice};
use crate::prometheus::{Error as SourceError, SeriesSource, TimeRange};

/// What one slice of time held.
pub(super) struct Read {
    pub slice: Slice,
    pub of_instances: HashMap<InstanceKey, LastSaid>,
    pub objects: Objects,
    pub executors: Executors,
    pub flink: Processes,
    pub metrics_seen: BTreeSet<&'static str>,
    /// Who tells of containers.
    pub containers: Found,
    /// Who tells of pods.
    pub pods: Found,
}

impl Read {
    /// Reads one slice of time, measurements and objects side by side.
    pub async fn slice<S: SeriesSource>(
        source: &S,
        scope: &Scope,
        range: TimeRange,
        before: &Before,
    ) -> Result<Self, SourceError> {
        // Where several pods had one name, series that do not say which container they are of are cut at their starts.
        let objects = read_starts(source, scope, range).await?;
        let starts = Arc::new(objects.starts_of_several());
        let measured = async {
            let memory = async {
                let (mut slice, mut scrapers) = (Slice::after(before, &starts), Scrapers::default());
                let stream = source.samples(&scope.containers(MEMORY), range).await?;
                drain(stream, |chunk| {
                    scrapers.container(&chunk.labels);
                    slice.memory(&chunk);
                })
                .await?;
                Ok::<_, SourceError>((slice, scrapers.found()))
            };
            let cpu = async {
                let mut slice = Slice::after(before, &starts);
                let stream = source.samples(&scope.containers(CPU), range).await?;
                drain(stream, |chunk| slice.cpu(&chunk)).await?;
                Ok::<_, SourceError>(slice)
            };
            let (memory, cpu) = tokio::try_join!(memory, cpu)?;
            Ok((memory, cpu))
        };
        let (((memory, containers), cpu), of_instances, (objects, mut metrics_seen, pods), executors, flink) = tokio::try_join!(
            measured,
            read_last_of_containers(source, scope, range),
            read_objects(source, scope, range, objects),
            read_executors(source, scope, range),
            read_flink(source, scope, range)
        )?;
        if memory.samples > 0 {
            metrics_seen.insert(MEMORY);
        }
        if cpu.samples > 0 {
            metrics_seen.insert(CPU);
        }
        let mut slice = memory;
        slice.join(cpu);
        Ok(Self { slice, of_instances, objects, executors, flink, metrics_seen, containers, pods })
    }
}

async fn read_last_of_containers<S: SeriesSource>(
    source: &S,
    scope: &Scope,
    range: TimeRange,
) -> Result<HashMap<InstanceKey, LastSaid>, SourceError> {
    let mut of_instances: HashMap<InstanceKey, LastSaid> = HashMap::new();
    for (i, metric) in LAST_OF_CONTAINERS.iter().enumerate() {
        let stream = source.last(&scope.containers(metric), range).await?;
        drain(stream, |chunk| {
            if let (Some((key, is_below)), Some(sample)) = (InstanceKey::and_below(&chunk.labels), chunk.samples.last())
            {
                of_instances.entry(key).or_default().take(i, sample.value, is_below);
            }
        })
        .await?;
    }
    Ok(of_instances)
}

/// Where the first of them is not there, nobody scrapes Spark's drivers, and the others are not asked for.
async fn read_executors<S: SeriesSource>(
    source: &S,
    scope: &Scope,
    range: TimeRange,
) -> Result<Executors, SourceError> {
    let mut executors = Executors::default();
    for metric in OF_EXECUTORS {
        let stream = source.last(&scope.anything(metric), range).await?;
        drain(stream, |chunk| {
            if let Some(sample) = chunk.samples.last() {
                executors.take(metric, &chunk.labels, sample.value);
            }
        })
        .await?;
        if executors == Executors::default() {
            break;
        }
    }
    Ok(executors)
}

/// Where no heap is there, nobody scrapes Flink's processes, and the others are not asked for.
async fn read_flink<S: SeriesSource>(source: &S, scope: &Scope, range: TimeRange) -> Result<Processes, SourceError> {
    let mut processes = Processes::default();
    let mut has_sum = false;
    let groups: [&[(&str, Gauge)]; 3] = [&flink::HEAPS, &flink::OTHERS, &flink::COLLECTORS];
    for (group, metrics) in groups.into_iter().enumerate() {
        if (group > 0 && processes.is_empty()) || (group > 1 && has_sum) {
            break;
        }
        for (metric, gauge) in metrics {
            let stream = source.samples(&scope.anything(metric), range).await?;
            drain(stream, |chunk| {
                has_sum |= *gauge == Gauge::Collecting;
                processes.take(*gauge, &chunk);
            })
            .await?;
        }
    }
    Ok(processes)
}

async fn read_starts<S: SeriesSource>(source: &S, scope: &Scope, range: TimeRange) -> Result<Objects, SourceError> {
    let mut objects = Objects::default();
    let stream = source.last(&scope.objects(POD_START), range).await?;
    drain(stream, |chunk| {
        if let Some(sample) = chunk.samples.last() {
            objects.take(POD_START, &chunk.labels, sample.value);
        }
    })
    .await?;
    Ok(objects)
}

async fn read_objects<S: SeriesSource>(
    source: &S,
    scope: &Scope,
    range: TimeRange,
    objects: Objects,
) -> Result<(Objects, BTreeSet<&'static str>, Found), SourceError> {
    let found = RefCell::new((objects, BTreeSet::new()));
    let scrapers = RefCell::new(Scrapers::default());
    // One after the other they would be what a collection waits for; some at a time keep every core of the server and
    // of this machine busy to the end.
    let waiting = RefCell::new(LAST_OF_OBJECTS.iter().filter(|metric| **metric != POD_START));
    let streams_samples = source.streams_samples().await;
    let in_turn = async || {
        loop {
            let next = waiting.borrow_mut().next();
            let Some(metric) = next else { return Ok::<(), SourceError>(()) };
            let selector = scope.objects(metric);
            let may_change = Group::Sizes.metrics().contains(metric);
            let stream = if may_change && streams_samples {
                source.samples(&selector, range).await?
            } else {
                source.last(&selector, range).await?
            };
            drain(stream, |chunk| {
                let (objects, seen) = &mut *found.borrow_mut();
                if !chunk.samples.is_empty() {
                    seen.insert(*metric);
                    if *metric == "kube_pod_owner" {
                        scrapers.borrow_mut().pod(&chunk.labels);
                    }
                }
                // Values that differ contest each other.
                for same in chunk.samples.chunk_by(|a, b| a.value == b.value) {
                    objects.take(metric, &chunk.labels, same[0].value);
                }
            })
            .await?;
            if may_change && !streams_samples {
                for labels in source.changed(&selector, range).await? {
                    found.borrow_mut().0.contest(metric, &labels);
                }
            }
        }
    };
    tokio::try_join!(in_turn(), in_turn(), in_turn(), in_turn())?;
    let (mut objects, seen) = found.into_inner();
    read_dates(source, scope, range, &mut objects).await?;
    objects.settle(range.end_ms);
    Ok((objects, seen, scrapers.into_inner().found()))
}
