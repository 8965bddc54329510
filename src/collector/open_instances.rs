//! Instances between slices of time and between collections, and what parts one from the next.
//! Pure; knows no pods but their starts, and no runs.
//!
//! Series that say which cgroup they are of are of one container, whatever gap they have. Where they do not, instances
//! of one pod's container are parted at gaps: where another pod of that name started within, where the CPU counter
//! began anew, and, without a counter, where the gap is long.

use std::collections::HashMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::day::DAY_MS;
use super::instance::{Instance, InstanceKey};
use super::quiet::SILENCE_MS;
use super::slice::{Before, CLOCKS_DIFFER_MS, Slice, Told};
use super::sources::{BySource, Source, append, put};
use super::stretch::{CpuStretch, MemoryStretch, Stretch};

/// How long an instance that fell silent, and whose end nobody told, is kept, should it be the scraper that is away.
pub const WAIT_MS: i64 = 2 * DAY_MS;
/// Samples of a container go on for so long at most after another pod of its name has started.
const LINGERING_MS: i64 = 6 * 60_000;

/// The instances that have not ended yet, carried from slice to slice and from one collection to the next.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct OpenInstances(pub Vec<(InstanceKey, Instance)>);

impl OpenInstances {
    /// As they are, for a slice that follows.
    pub fn before(&self) -> Before {
        Arc::new(self.0.iter().cloned().collect())
    }

    /// Takes in a slice: instances that go on are continued, others begin; an instance that another one follows is
    /// ended and given back. `starts` tells when the pods of a key's name started, as far as that is known.
    pub fn take(&mut self, slice: Slice, starts: impl Fn(&InstanceKey) -> Vec<i64>) -> Vec<(InstanceKey, Instance)> {
        let mut open: HashMap<InstanceKey, Instance> = std::mem::take(&mut self.0).into_iter().collect();
        let mut ended = Vec::new();
        for (key, told) in slice.into_told() {
            let before = open.remove(&key).unwrap_or_default();
            let mut instances =
                if key.is_one() { vec![continued(before, told)] } else { parted(before, told, &starts(&key)) };
            let Some(last) = instances.pop() else { continue };
            ended.extend(instances.into_iter().map(|instance| (key.clone(), instance)));
            open.insert(key, last);
        }
        join_doubles(&mut open, &mut ended);
        self.0 = open.into_iter().collect();
        self.0.sort_by(|(a, _), (b, _)| a.cmp(b));
        ended.sort_by(|(a, x), (b, y)| a.cmp(b).then(x.first_ms().cmp(&y.first_ms())));
        ended
    }

    /// Takes out the instances that were silent for long at `at_ms`; of those that wait for a sign since they were
    /// reported, drops the ones that waited for [`WAIT_MS`].
    pub fn ended_at(&mut self, at_ms: i64) -> Vec<(InstanceKey, Instance)> {
        let silent_ms = |instance: &Instance| instance.last_ms().map_or(i64::MAX, |last| at_ms - last);
        let (open, ended) = std::mem::take(&mut self.0)
            .into_iter()
            .filter(|(_, instance)| !(instance.is_silent && silent_ms(instance) > WAIT_MS))
            .partition(|(_, instance)| instance.is_silent || silent_ms(instance) <= SILENCE_MS);
        self.0 = open;
        ended
    }

    /// Keeps an instance that was reported as ended, for when the scraper comes back.
    pub fn wait(&mut self, key: InstanceKey, mut instance: Instance) {
        instance.is_silent = true;
        let at = self.0.partition_point(|(known, _)| *known <= key);
        self.0.insert(at, (key, instance));
    }
}

/// The one instance of a cgroup.
fn continued(mut instance: Instance, told: Told) -> Instance {
    let before_ms = instance.last_ms();
    for (source, stretches) in told.memory {
        for stretch in stretches {
            put(&mut instance.memory, source, stretch);
        }
    }
    for (source, stretches) in told.cpu {
        for stretch in stretches {
            put(&mut instance.cpu, source, stretch);
        }
    }
    instance.is_silent &= instance.last_ms() == before_ms;
    instance
}

/// What was seen without a gap.
#[derive(Default)]
struct Cluster {
    first_ms: i64,
    last_ms: i64,
    memory: BySource<MemoryStretch>,
    cpu: BySource<CpuStretch>,
}

enum Piece {
    Memory(Source, MemoryStretch),
    Cpu(Source, CpuStretch),
}

impl Piece {
    fn span(&self) -> (i64, i64) {
        match self {
            Self::Memory(_, stretch) => stretch.span(),
            Self::Cpu(_, stretch) => stretch.span(),
        }
    }

    /// The series, whatever its metric.
    const fn source(&self) -> Source {
        match self {
            Self::Memory(source, _) | Self::Cpu(source, _) => *source,
        }
    }
}

/// The instances, in the order of time, of a key that may stand for several containers.
fn parted(mut before: Instance, told: Told, starts: &[i64]) -> Vec<Instance> {
    let before_ms = before.last_ms();
    let mut pieces = Vec::new();
    for (source, stretches) in told.memory {
        before.memory.retain(|(known, _)| *known != source);
        pieces.extend(stretches.into_iter().map(|stretch| Piece::Memory(source, stretch)));
    }
    for (source, stretches) in told.cpu {
        before.cpu.retain(|(known, _)| *known != source);
        pieces.extend(stretches.into_iter().map(|stretch| Piece::Cpu(source, stretch)));
    }
    pieces.extend(std::mem::take(&mut before.memory).into_iter().map(|(source, s)| Piece::Memory(source, s)));
    pieces.extend(std::mem::take(&mut before.cpu).into_iter().map(|(source, s)| Piece::Cpu(source, s)));
    pieces.sort_by_key(|piece| (piece.span(), piece.source()));
    let mut clusters: Vec<Cluster> = Vec::new();
    for piece in pieces {
        let (first_ms, last_ms) = piece.span();
        let follows = clusters.last().is_none_or(|cluster| cluster.last_ms < first_ms);
        if follows {
            clusters.push(Cluster { first_ms, last_ms, ..Cluster::default() });
        }
        let Some(cluster) = clusters.last_mut() else { continue };
        cluster.last_ms = cluster.last_ms.max(last_ms);
        match piece {
            Piece::Memory(source, stretch) => append(&mut cluster.memory, source, stretch),
            Piece::Cpu(source, stretch) => append(&mut cluster.cpu, source, stretch),
        }
    }
    let mut joined: Vec<Cluster> = Vec::new();
    for next in clusters {
        match joined.last_mut() {
            Some(known) if !is_another(known, &next, starts) => {
                known.last_ms = next.last_ms;
                next.memory.into_iter().for_each(|(source, stretch)| append(&mut known.memory, source, stretch));
                next.cpu.into_iter().for_each(|(source, stretch)| append(&mut known.cpu, source, stretch));
            }
            _ => joined.push(next),
        }
    }
    // What else was known is of the first: it begins where the instance was before.
    let mut known = Some(before);
    let of_cluster = |cluster: Cluster| {
        let within = |start: &&i64| (cluster.first_ms + CLOCKS_DIFFER_MS..cluster.last_ms).contains(*start);
        let instance = known.take().unwrap_or_default();
        Instance {
            is_of_several_pods: instance.is_of_several_pods || starts.iter().find(within).is_some(),
            is_silent: instance.is_silent && Some(cluster.last_ms) == before_ms,
            memory: cluster.memory,
            cpu: cluster.cpu,
            ..instance
        }
    };
    joined.into_iter().map(of_cluster).collect()
}

fn is_another(known: &Cluster, next: &Cluster, starts: &[i64]) -> bool {
    let replaced = |start: &i64| {
        *start > known.first_ms + CLOCKS_DIFFER_MS && *start > known.last_ms - LINGERING_MS && *start <= next.first_ms
    };
    if starts.iter().any(replaced) {
        return true;
    }
    let same_series = known.cpu.iter().find_map(|(source, before)| {
        let after = next.cpu.iter().find(|(other, _)| other == source)?;
        Some((before, &after.1))
    });
    let any_series = || known.cpu.first().map(|(_, before)| before).zip(next.cpu.first().map(|(_, after)| after));
    match same_series.or_else(any_series) {
        Some((before, after)) => !before.goes_on_in(after),
        None => next.first_ms - known.last_ms > SILENCE_MS,
    }
}

/// A kubelet that is scraped at both of its endpoints tells of the same container twice, once without a cgroup: that is
/// another series of the container's instance, as far as it lies within one.
fn join_doubles(open: &mut HashMap<InstanceKey, Instance>, ended: &mut Vec<(InstanceKey, Instance)>) {
    type Span = (InstanceKey, i64, i64);
    let mut named: HashMap<(String, String, String), Vec<Span>> = HashMap::new();
    let nameless =
        open.iter().chain(ended.iter().map(|(key, instance)| (key, instance))).filter(|(key, _)| !key.is_one());
    for (key, _) in nameless {
        named.entry((key.namespace.clone(), key.pod.clone(), key.container.clone())).or_default();
    }
    if named.is_empty() {
        return;
    }
    let of = |key: &InstanceKey| (key.namespace.clone(), key.pod.clone(), key.container.clone());
    for (key, instance) in open.iter().filter(|(key, _)| key.is_one()) {
        if let (Some(instances), Some(first), Some(last)) =
            (named.get_mut(&of(key)), instance.first_ms(), instance.last_ms())
        {
            instances.push((key.clone(), first, last));
        }
    }
    let meant = |key: &InstanceKey, instance: &Instance| -> Vec<InstanceKey> {
        let (Some(first), Some(last)) = (instance.first_ms(), instance.last_ms()) else { return Vec::new() };
        let instances = named.get(&of(key)).into_iter().flatten();
        instances.filter(|(_, begun, seen)| *begun <= last && first <= *seen).map(|(key, ..)| key.clone()).collect()
    };
    let mut more = Vec::new();
    for (key, instance) in open.iter_mut().filter(|(key, _)| !key.is_one()) {
        let instances = meant(key, instance);
        instance.is_double |= !instances.is_empty();
        if let [one] = instances.as_slice() {
            more.push((one.clone(), instance.memory.clone(), instance.cpu.clone()));
        }
    }
    ended.retain(|(key, instance)| key.is_one() || !instance.is_double && meant(key, instance).is_empty());
    for (key, memory, cpu) in more {
        let Some(instance) = open.get_mut(&key) else { continue };
        for (source, stretch) in memory {
            put(&mut instance.memory, source, stretch);
        }
        for (source, stretch) in cpu {
            put(&mut instance.cpu, source, stretch);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;
    use crate::prometheus::{Labels, Sample, SeriesChunk};

    const MIB: f64 = 1_048_576.0;
    const ID: &str = "/kubepods/burstable/pod2f1d3c58-0d1e-4c8a-9a53-51c2a6f4b0aa/85b8af02515cb3e49ca58e7f9d5f59e038a1cb400bec20870842393ee6fe39c4";

    #[derive(Clone, Debug)]
    struct Series {
        is_memory: bool,
        chunk: SeriesChunk,
    }

    fn series(is_memory: bool, more: &[(&str, &str)], samples: impl IntoIterator<Item = (i64, f64)>) -> Series {
        let all = [("namespace", "ns"), ("pod", "p"), ("container", "c")].iter().chain(more);
        let labels = Labels::new(all.map(|(k, v)| ((*k).to_owned(), (*v).to_owned())));
        let samples = samples.into_iter().map(|(s, value)| Sample { at_ms: s * 1000, value }).collect();
        Series { is_memory, chunk: SeriesChunk { labels: Arc::new(labels), samples } }
    }

    /// Both metrics of a container of one core that climbs by a MiB a second, as one series each tells of it.
    fn pair(more: &[(&str, &str)], (from, to, step): (i64, i64, usize), seen: impl Fn(i64) -> bool) -> Vec<Series> {
        let times: Vec<i64> = (from..to).step_by(step).filter(|at| seen(*at)).collect();
        let value = |times: &[i64], by: f64| times.iter().map(|at| (*at, *at as f64 * by)).collect::<Vec<_>>();
        vec![series(true, more, value(&times, MIB)), series(false, more, value(&times, 1.0))]
    }

    /// All instances, those that ended first, after slices that begin at these seconds.
    fn lives_of(all: &[Series], cuts: &[i64], starts: &[i64]) -> Vec<(InstanceKey, Instance)> {
        let mut open = OpenInstances::default();
        let mut instances = Vec::new();
        let mut bounds = vec![i64::MIN];
        bounds.extend(cuts.iter().map(|cut| cut * 1000));
        bounds.push(i64::MAX);
        for bound in bounds.windows(2) {
            let until = starts.iter().map(|start| start * 1000).filter(|start| *start < bound[1]).collect::<Vec<_>>();
            let of_name = Arc::new(HashMap::from([(("ns".to_owned(), "p".to_owned()), until.clone())]));
            let mut slice = Slice::after(&open.before(), &of_name);
            for Series { is_memory, chunk } in all {
                let within = chunk.samples.iter().filter(|s| (bound[0]..bound[1]).contains(&s.at_ms));
                let chunk = SeriesChunk { labels: Arc::clone(&chunk.labels), samples: within.copied().collect() };
                match (chunk.samples.is_empty(), *is_memory) {
                    (true, _) => {}
                    (false, true) => slice.memory(&chunk),
                    (false, false) => slice.cpu(&chunk),
                }
            }
            instances.extend(open.take(slice, |_| until.clone()));
        }
        instances.extend(open.0);
        instances.retain(|(_, instance)| !instance.is_double);
        instances
    }

    /// MiB, samples of memory, CPU-seconds and highest rate of an instance.
    fn said(instance: &Instance) -> (f64, u32, f64, f64) {
        let (memory, cpu) = (instance.memory().unwrap(), instance.cpu().unwrap());
        (memory.max_bytes as f64 / MIB, memory.samples, cpu.total(), cpu.max_cores.unwrap_or(0.0))
    }

    fn only(all: &[Series], cuts: &[i64]) -> Instance {
        let instances = lives_of(all, cuts, &[]);
        assert_eq!(instances.len(), 1, "{instances:#?}");
        instances.into_iter().next().unwrap().1
    }

    #[rstest]
    fn two_scrapers_see_one_life(
        #[values(&[], &[700], &[300, 900, 901])] cuts: &[i64],
        #[values(true, false)] id: bool,
    ) {
        let label = |replica| [("replica", replica), ("id", if id { ID } else { "" })];
        // Each was away for a time, but not for the same.
        let mut all = pair(&label("a"), (0, 1800, 30), |at| !(300..600).contains(&at));
        all.extend(pair(&label("b"), (12, 1800, 30), |at| !(900..1500).contains(&at)));
        let instance = only(&all, cuts);
        assert_eq!(said(&instance), (1782.0, 49, 1782.0, 1.0));
        let gaps = instance.memory().unwrap().gaps.clone();
        assert_eq!(gaps, [], "what one did not see the other saw");
        assert!(!super::super::sources::disagree(&instance.memory, &instance.cpu));
    }

    #[test]
    fn a_scraper_that_froze_or_says_zero_does_not_count() {
        let good = pair(&[("id", ID), ("replica", "a")], (0, 1800, 30), |_| true);
        for factor in [0.0, 1.0] {
            let stuck = |by: f64| (12..1800).step_by(30).map(move |at| (at, by * factor * at.min(300) as f64));
            let mut all = vec![
                series(true, &[("id", ID), ("replica", "b")], stuck(MIB)),
                series(false, &[("id", ID), ("replica", "b")], stuck(1.0)),
            ];
            all.extend(good.clone());
            for _ in 0..all.len() {
                all.rotate_left(1);
                let instance = only(&all, &[700]);
                // The stuck series counts as a sample more than the good one, whose first is zero.
                assert_eq!(said(&instance), (1770.0, 59 + factor as u32, 1770.0, 1.0));
                assert_eq!(
                    (instance.cpu().unwrap().stills.len(), instance.memory().unwrap().all_stills().len()),
                    (0, 0)
                );
                assert!(super::super::sources::disagree(&instance.memory, &instance.cpu));
            }
        }
    }

    #[test]
    fn cgroups_below_and_around_a_container_are_the_container() {
        let below = format!("{ID}/init");
        let part = |by: f64| (0..1800).step_by(30).map(move |at| (at, 0.02 * by * at as f64));
        let mut all = vec![series(true, &[("id", &below)], part(MIB)), series(false, &[("id", &below)], part(1.0))];
        for id in [ID.to_owned(), format!("{ID}{ID}"), format!("/docker/0{ID}")] {
            all.extend(pair(&[("id", &id)], (0, 1800, 30), |_| true));
        }
        for _ in 0..all.len() {
            all.rotate_left(1);
            let instance = only(&all, &[700]);
            assert_eq!(said(&instance), (1770.0, 59, 1770.0, 1.0));
            assert!(!super::super::sources::disagree(&instance.memory, &instance.cpu));
        }
    }

    #[test]
    fn both_kubelet_endpoints_are_one_container_and_each_fills_in_for_the_other() {
        let resource = pair(&[], (12, 1800, 30), |_| true);
        let mut all = pair(&[("id", ID)], (0, 1800, 30), |at| at < 900);
        all.extend(resource.clone());
        assert_eq!(said(&only(&all, &[700])), (1782.0, 60, 1782.0, 1.0));
        let zeros = (0..1800).step_by(30).map(|at| (at, 0.0));
        let mut all = vec![series(true, &[("id", ID)], zeros)];
        all.extend(resource);
        assert_eq!(said(&only(&all, &[])), (1782.0, 60, 1782.0, 1.0));
    }

    #[rstest]
    fn no_gap_ends_the_life_of_a_cgroup(#[values(&[], &[2 * 3600], &[4000, 5 * 3600])] cuts: &[i64]) {
        let all = pair(&[("id", ID)], (0, 8 * 3600, 60), |at| !(3600..5 * 3600).contains(&at));
        let instance = only(&all, cuts);
        assert_eq!(said(&instance).2, 8.0 * 3600.0 - 60.0);
        assert_eq!(instance.memory().unwrap().gaps.len(), 1);
    }

    #[rstest]
    fn a_reused_pod_name_is_another_life(#[values(&[], &[3300], &[1000, 3700])] cuts: &[i64]) {
        // Fifty minutes an hour; each counter begins at its own start.
        let run = |hour: i64| {
            let times = (7..3000).step_by(30).map(move |at| (hour * 3600 + at, at as f64 * (1.0 + hour as f64)));
            times.collect::<Vec<_>>()
        };
        let cpu: Vec<_> = (0..3).flat_map(run).collect();
        let memory = cpu.iter().map(|(at, value)| (*at, value * MIB)).collect::<Vec<_>>();
        let instances = lives_of(&[series(true, &[], memory), series(false, &[], cpu)], cuts, &[]);
        let totals: Vec<f64> = instances.iter().map(|(_, instance)| instance.cpu().unwrap().total()).collect();
        assert_eq!(totals, [2977.0, 2.0 * 2977.0, 3.0 * 2977.0]);
        let peaks: Vec<f64> =
            instances.iter().map(|(_, instance)| instance.memory().unwrap().max_bytes as f64 / MIB).collect();
        assert_eq!(peaks, totals);
    }

    #[test]
    fn the_start_of_another_pod_parts_lives_whose_counters_seem_to_go_on() {
        let short = (7..300).step_by(30).map(|at| (at, at as f64));
        let heavy = (7..3000).step_by(30).map(|at| (900 + at, 100.0 * at as f64));
        let cpu = series(false, &[], short.chain(heavy).collect::<Vec<_>>());
        let number = |starts: &[i64]| lives_of(std::slice::from_ref(&cpu), &[], starts).len();
        assert_eq!((number(&[]), number(&[0, 900])), (1, 2));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        /// Whatever comes first, and wherever time is cut.
        #[test]
        fn neither_order_nor_slices_matter(
            away in proptest::collection::vec((0..3600_i64, 0..1200_i64), 3),
            froze in proptest::collection::vec(proptest::option::of(0..3600_i64), 3),
            order in Just((0..6_usize).collect::<Vec<_>>()).prop_shuffle(),
            cuts in proptest::collection::btree_set(1..3600_i64, 0..6),
            id: bool,
        ) {
            let id = if id { ID } else { "" };
            let mut all = Vec::new();
            for (n, replica) in ["a", "b", "c"].into_iter().enumerate() {
                let (from, length) = away[n];
                let times: Vec<i64> = (4 * i64::try_from(n).unwrap()..3600)
                    .step_by(30)
                    .filter(|at| !(from..from + length).contains(at))
                    .collect();
                let value = |by: f64| {
                    let at = |at: &i64| froze[n].map_or(*at, |froze| (*at).min(froze));
                    times.iter().map(|t| (*t, at(t) as f64 * by)).collect::<Vec<_>>()
                };
                all.push(series(true, &[("id", id), ("replica", replica)], value(MIB)));
                all.push(series(false, &[("id", id), ("replica", replica)], value(1.0)));
            }
            let cuts: Vec<i64> = cuts.into_iter().collect();
            let shuffled: Vec<Series> = order.iter().map(|i| all[*i].clone()).collect();
            let in_one: Vec<_> = lives_of(&all, &[], &[]).iter().map(|(_, instance)| said(instance)).collect();
            let in_parts: Vec<_> = lives_of(&shuffled, &cuts, &[]).iter().map(|(_, instance)| said(instance)).collect();
            prop_assert_eq!(in_parts, in_one);
        }
    }
}
