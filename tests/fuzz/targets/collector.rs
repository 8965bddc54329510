//! Series as anyone may write them, folded into runs: whatever they say, the same runs come out in any order of series,
//! and no number is beyond what a run can have. Knows nothing of how series are read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use podfit::collector::metrics::{CPU, LAST_OF_CONTAINERS, LAST_OF_OBJECTS, MEMORY, Scope};
use podfit::collector::{CollectError, Request, Who, collect};
use podfit::history::{History, Store};
use podfit::prometheus::{Labels, Sample, SeriesStore, TimeRange};
use podfit::workload::WorkloadKey;
use tokio::runtime::{Builder, Runtime};

/// 2026-11-16T00:00:00Z
const BEGIN: i64 = 1_794_787_200_000;
const STEP_MS: i64 = 15_000;
const DAY_MS: i64 = 86_400_000;

const NAMES: [(&str, &[&str]); 13] = [
    ("namespace", &["etl", "ml"]),
    ("pod", &["nightly-29913240-bcx7k", "nightly-29913240-zzzzz", "worker-0", "web-7d4b9c6f5d-x2x4z"]),
    ("container", &["main", "istio-proxy", "POD", "setup"]),
    ("uid", &["6a1f3c58-0d1e-4c8a-9a53-51c2a6f4b0aa", "7b1f3c58-0d1e-4c8a-9a53-51c2a6f4b0aa"]),
    (
        "id",
        &[
            "/kubepods.slice/kubepods-pod6a1f3c58_0d1e_4c8a_9a53_51c2a6f4b0aa.slice/cri-containerd-0a.scope",
            "/kubepods/pod7b1f3c58-0d1e-4c8a-9a53-51c2a6f4b0aa/0b",
            "/kubepods/pod7b1f3c58-0d1e-4c8a-9a53-51c2a6f4b0aa/0b/child",
            "/",
        ],
    ),
    ("reason", &["OOMKilled", "Completed", "Error", "Evicted"]),
    ("phase", &["Succeeded", "Failed"]),
    ("resource", &["memory", "cpu"]),
    ("owner_kind", &["Job", "StatefulSet", "ReplicaSet", "CronJob"]),
    ("owner_name", &["nightly-29913240", "worker", "web-7d4b9c6f5d", "nightly"]),
    ("job_name", &["nightly-29913240"]),
    ("exported_pod", &["nightly-29913240-bcx7k"]),
    ("instance", &["10.0.0.1:8080", "10.0.0.2:8080"]),
];

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Builder::new_current_thread().build().unwrap());

type Series = (&'static str, Labels, Vec<Sample>);

/// Each series is its metric, two bytes for which labels it has, one for each that it has, the number of its samples,
/// and of each of them how much later it is and what it says.
pub fn run(data: &[u8]) {
    let mut bytes = data.iter().copied();
    let mut all: Vec<Series> = Vec::new();
    let mut known: BTreeSet<(&'static str, Vec<(String, String)>)> = BTreeSet::new();
    while let Some((metric, labels, samples)) = series(&mut bytes) {
        let named = labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        if known.insert((metric, named)) {
            all.push((metric, labels, samples));
        }
    }
    let Some(plain) = histories(&all) else { return };
    for (key, history) in &plain {
        for run in history.runs() {
            assert!(run.started_ms <= run.ended_ms, "{key}: {run:?}");
            assert!(run.ended_ms <= BEGIN + 20 * DAY_MS, "{key}: {run:?}");
            let cores = run.cpu.map_or(0.0, |cpu| cpu.mean_cores);
            assert!(cores.is_finite() && cores >= 0.0, "{key}: {run:?}");
        }
    }
    all.reverse();
    assert_eq!(histories(&all).as_ref(), Some(&plain));
}

fn series(bytes: &mut impl Iterator<Item = u8>) -> Option<Series> {
    let metrics = [MEMORY, CPU].into_iter().chain(LAST_OF_CONTAINERS).chain(LAST_OF_OBJECTS);
    let metrics: Vec<&'static str> = metrics.collect();
    let metric = metrics[usize::from(bytes.next()?) % metrics.len()];
    let has = u16::from_le_bytes([bytes.next()?, bytes.next()?]);
    let mut labels = Vec::new();
    for (at, (name, values)) in NAMES.into_iter().enumerate() {
        if has & (1 << at) != 0 {
            labels.push((name.to_owned(), values[usize::from(bytes.next()?) % values.len()].to_owned()));
        }
    }
    let count = bytes.next()? % 64;
    let mut at_ms = BEGIN;
    let mut samples = Vec::new();
    for _ in 0..count {
        let (later, what) = (bytes.next()?, bytes.next()?);
        // Most come at the pace of a scrape, some after hours.
        at_ms += STEP_MS * if later < 200 { 1 + i64::from(later % 8) } else { 240 * i64::from(later - 199) };
        let value = match what {
            0..16 => f64::from(what),
            16..128 => f64::from(what) * 1e7,
            128..200 => at_ms as f64 / 1000.0 - f64::from(what - 128) * 60.0,
            200 => -1.0,
            201 => f64::INFINITY,
            202 => 1e300,
            203 => 9.3e18,
            204 => f64::MIN_POSITIVE,
            _ => f64::from(what - 204) * 0.37,
        };
        samples.push(Sample { at_ms, value });
    }
    Some((metric, Labels::new(labels), samples))
}

/// What is collected; `None` where it is refused as of several clusters.
fn histories(all: &[Series]) -> Option<BTreeMap<WorkloadKey, History>> {
    let mut source = SeriesStore::new("made up");
    for (metric, labels, samples) in all {
        source.insert(*metric, labels.clone(), samples.clone());
    }
    let store = Store::in_memory().unwrap();
    let window = TimeRange { start_ms: BEGIN, end_ms: BEGIN + 20 * DAY_MS };
    let request = Request { scope: Scope::default(), window, late_ms: 0 };
    let collected = RUNTIME.block_on(collect(&source, &store, &request, &mut Who::default(), |_| {}));
    match collected {
        Err(CollectError::Clusters(_)) => None,
        collected => {
            collected.unwrap();
            Some(store.histories(None).unwrap().map(Result::unwrap).collect())
        }
    }
}
