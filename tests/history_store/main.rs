//! The store as its users see it: what is written is read again, whatever happens to the process, the file or the disk.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod damage;
mod processes;
mod size;

use std::path::Path;

use podfit::history::{
    Added, CpuUse, History, JvmSeen, MemoryUse, Outcome, PeakSource, PodSeen, Progress, Resources, Run, Store,
    StoreError,
};
use podfit::workload::{Kind, Workload, WorkloadKey};

fn key(namespace: &str, name: &str) -> WorkloadKey {
    WorkloadKey { workload: Workload::new(namespace, Kind::Cronjob, [name]), container: "main".to_owned() }
}

/// The `n`-th run of a workload that runs hourly for ten minutes.
fn run(n: u64) -> Run {
    let started_ms = 1_760_000_000_000 + n.cast_signed() * 3_600_000;
    Run {
        pod: format!("nightly-report-{}-x7k2p", 29_000_000 + n),
        uid: Some(format!("6f9619ff-8b86-d011-b42d-{n:012x}")),
        started_ms,
        ended_ms: started_ms + 600_000,
        memory: Some(MemoryUse { peak_bytes: 900_000_000 + n * 1_000_003, source: PeakSource::Cgroup, samples: 20 }),
        cpu: Some(CpuUse { mean_cores: 0.7 + n as f64 / 1000.0, peak_cores: Some(1.5), throttled_share: Some(0.01) }),
        resources: Resources {
            cpu_request_millis: Some(1000),
            cpu_limit_millis: None,
            memory_request_bytes: Some(2 << 30),
            memory_limit_bytes: Some(2 << 30),
        },
        outcome: if n % 50 == 49 { Outcome::OomKilled } else { Outcome::Completed },
        attempt: Some(1),
        input_bytes: None,
        jvm: None,
        day: None,
        observation: None,
    }
}

fn open(path: &Path) -> Store {
    let opened = Store::open(path).unwrap();
    assert_eq!(opened.notice, None);
    opened.store
}

const WORKLOADS: u64 = 40;

/// One commit adds the `n`-th run to every workload.
fn commit_round(store: &Store, n: u64) -> Result<(), StoreError> {
    let runs = (0..WORKLOADS).map(|w| (key("data", &format!("w{w:03}")), run(n)));
    let summary = store.commit("prom", n.cast_signed(), &n.to_le_bytes(), runs)?;
    assert_eq!(summary.new as u64, WORKLOADS);
    Ok(())
}

/// Rounds that are in the store, after a check that each is there whole or not at all.
fn rounds(store: &Store) -> u64 {
    let Some(progress) = store.progress("prom").unwrap() else {
        assert_eq!(store.workloads().unwrap(), []);
        return 0;
    };
    let done = progress.watermark_ms.unsigned_abs() + 1;
    assert_eq!(progress.open, (done - 1).to_le_bytes());
    let mut expected = History::new();
    expected.add_all((0..done).map(run));
    let mut seen = 0;
    for entry in store.histories(None).unwrap() {
        assert_eq!(entry.unwrap().1, expected);
        seen += 1;
    }
    assert_eq!(seen, WORKLOADS);
    done
}

#[test]
fn history_is_read_as_it_was_committed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a/b/history.redb");
    let store = open(&path);
    assert_eq!(store.progress("prom").unwrap(), None);
    let runs =
        (0..30).flat_map(|n| [(key("data", "a"), run(n)), (key("data", "b"), run(n)), (key("dat", "a"), run(n))]);
    let summary = store.commit("prom", 42, b"open", runs).unwrap();
    assert_eq!((summary.new, summary.updated, summary.known, summary.refused), (90, 0, 0, 0));
    assert_eq!(summary.changed, [key("dat", "a"), key("data", "a"), key("data", "b")]);
    drop(store);

    let store = open(&path);
    assert_eq!(store.progress("prom").unwrap(), Some(Progress { watermark_ms: 42, open: b"open".to_vec() }));
    assert_eq!(store.workloads().unwrap(), [key("dat", "a"), key("data", "a"), key("data", "b")]);
    let mut expected = History::new();
    assert!(expected.add_all((0..30).map(run)).iter().all(|a| *a == Added::New));
    assert_eq!(store.history(&key("data", "b")).unwrap().as_ref(), Some(&expected));
    assert_eq!(store.history(&key("data", "c")).unwrap(), None);
    let found: Vec<_> = store.histories(Some("data")).unwrap().map(|h| h.unwrap()).collect();
    assert_eq!(found, [(key("data", "a"), expected.clone()), (key("data", "b"), expected)]);
    assert_eq!(store.histories(None).unwrap().count(), 3);

    let again = store.commit("prom", 43, b"", [(key("data", "a"), run(3)), (key("data", "a"), run(30))]).unwrap();
    assert_eq!((again.new, again.known), (1, 1));
    assert!(store.take_notices().is_empty());
}

#[test]
fn history_file_is_private() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("history.redb");
    drop(open(&path));
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn history_pods_are_remembered_and_pruned() {
    let store = Store::in_memory().unwrap();
    let pod = |uid: &str, last_seen_ms| PodSeen {
        pod: "job-abc".to_owned(),
        uid: uid.to_owned(),
        workload: Workload::new("data", Kind::Argo, ["cron:etl", "load"]),
        attempt: Some(2),
        last_seen_ms,
        jvm: JvmSeen::default(),
    };
    store.remember_pods([pod("u1", 10), pod("u2", 20), pod("u1", 5)]).unwrap();
    assert_eq!(store.pods_named("data", "job-abc").unwrap(), [pod("u1", 10), pod("u2", 20)]);
    assert_eq!(store.pods_named("data", "job-ab").unwrap(), []);
    assert_eq!(store.prune_pods(20).unwrap(), 1);
    assert_eq!(store.pods_named("data", "job-abc").unwrap(), [pod("u2", 20)]);
    // What was seen of its JVM stays seen.
    let jvm = JvmSeen { heap_bytes: Some(3 << 30), exhausted_ms: Some(15) };
    store.remember_pods([PodSeen { jvm, ..pod("u2", 25) }]).unwrap();
    store.remember_pods([pod("u2", 30)]).unwrap();
    assert_eq!(store.pods_named("data", "job-abc").unwrap(), [PodSeen { jvm, ..pod("u2", 30) }]);
}

#[test]
fn history_refuses_a_key_that_could_not_be_read_back() {
    let store = Store::in_memory().unwrap();
    let nameless = WorkloadKey {
        workload: Workload { namespace: "data".to_owned(), kind: Kind::Job, names: vec![String::new()] },
        container: "main".to_owned(),
    };
    let summary = store.commit("prom", 1, b"", [(nameless, run(0)), (key("data", "a"), run(0))]).unwrap();
    assert_eq!((summary.new, summary.refused), (1, 1));
}
