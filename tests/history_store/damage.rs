//! The store and files that are not as it left them: whatever is found, it opens, says so, and destroys nothing.

use std::fs;
use std::path::{Path, PathBuf};

use podfit::history::{History, Store, StoreError};
use podfit::workload::WorkloadKey;
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};

use super::{WORKLOADS, commit_round, key, open, rounds, run};

const META: TableDefinition<'static, &str, &str> = TableDefinition::new("meta");
const HISTORIES: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("histories");
const DAMAGED: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("damaged");

/// A store of four rounds.
fn filled(dir: &Path) -> PathBuf {
    let path = dir.join("history.redb");
    let store = open(&path);
    (0..4).for_each(|n| commit_round(&store, n).unwrap());
    path
}

/// Opens a file that must be set aside, and gives what was there, where it is now, and the store begun.
fn opens_anew(path: &Path, suffix: &str) -> (String, Store) {
    let before = fs::read(path).unwrap();
    let opened = Store::open(path).unwrap();
    let message = opened.notice.expect("a notice").message;
    let aside = PathBuf::from(format!("{}{suffix}", path.display()));
    assert!(message.contains(&aside.display().to_string()) && !message.contains('\n'), "{message}");
    assert_eq!(fs::read(&aside).unwrap().len(), before.len(), "{message}");
    (message, opened.store)
}

#[test]
fn history_of_garbage_is_set_aside_each_time_under_a_new_name() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("history.redb");
    for n in 1..=3 {
        fs::write(&path, format!("garbage {n}").repeat(1_000)).unwrap();
        let refused = Store::open_read_only(&path).err().unwrap();
        assert!(matches!(refused, StoreError::Damaged { .. }), "{refused}");
        let (message, store) = opens_anew(&path, &format!(".damaged-{n}"));
        assert!(message.contains("began an empty one"), "{message}");
        assert_eq!(rounds(&store), 0);
        commit_round(&store, 0).unwrap();
        drop(store);
        assert_eq!(rounds(&open(&path)), 1);
    }
    for n in 1..=3 {
        let aside = fs::read_to_string(dir.path().join(format!("history.redb.damaged-{n}"))).unwrap();
        assert_eq!(aside, format!("garbage {n}").repeat(1_000));
    }
}

#[test]
fn history_of_a_truncated_file_is_set_aside() {
    let dir = tempfile::tempdir().unwrap();
    let path = filled(dir.path());
    let whole = fs::read(&path).unwrap();
    for (n, share) in [0.999, 0.7, 0.4, 0.05, 0.0001].into_iter().enumerate() {
        fs::write(&path, &whole[..(whole.len() as f64 * share) as usize]).unwrap();
        let (_, store) = opens_anew(&path, &format!(".damaged-{}", n + 1));
        // What is taken over is whole.
        assert_eq!(store.progress("prom").unwrap(), None);
        assert!(store.histories(None).unwrap().all(|h| h.unwrap().1.total_runs() == 4));
        drop(store);
    }
    // An empty file is one that was never written to.
    fs::write(&path, b"").unwrap();
    assert_eq!(rounds(&open(&path)), 0);
}

#[test]
fn history_of_a_newer_podfit_is_set_aside() {
    let dir = tempfile::tempdir().unwrap();
    let path = filled(dir.path());
    let db = Database::open(&path).unwrap();
    let txn = db.begin_write().unwrap();
    txn.open_table(META).unwrap().insert("schema", "7").unwrap();
    txn.commit().unwrap();
    drop(db);
    let refused = Store::open_read_only(&path).err().unwrap();
    assert!(matches!(refused, StoreError::Schema { found: 7, known: 1, .. }), "{refused}");
    let (message, store) = opens_anew(&path, ".schema-7-1");
    assert!(message.contains("has form 7"), "{message}");
    assert_eq!(rounds(&store), 0);
}

#[test]
fn history_does_not_touch_another_programs_tables() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("history.redb");
    let db = Database::create(&path).unwrap();
    let txn = db.begin_write().unwrap();
    txn.open_table(TableDefinition::<u64, u64>::new("theirs")).unwrap().insert(1, 2).unwrap();
    txn.commit().unwrap();
    drop(db);
    opens_anew(&path, ".damaged-1");
    assert!(Database::open(dir.path().join("history.redb.damaged-1")).is_ok());
}

#[test]
fn one_damaged_history_is_set_aside_and_the_rest_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let path = filled(dir.path());
    let (first, second) = ("data/cronjob/w003:main", "data/cronjob/w007:main");
    let db = Database::open(&path).unwrap();
    let txn = db.begin_write().unwrap();
    {
        let mut table = txn.open_table(HISTORIES).unwrap();
        for (name, at) in [(first, 40), (second, 0)] {
            let mut value = table.get(name).unwrap().unwrap().value().to_vec();
            value[at] ^= 1;
            table.insert(name, value.as_slice()).unwrap();
        }
    }
    txn.commit().unwrap();
    drop(db);

    let store = open(&path);
    assert_eq!(store.history(&key("data", "w003")).unwrap(), None);
    assert_eq!(store.histories(None).unwrap().map(Result::unwrap).count() as u64, WORKLOADS - 2);
    let notices = store.take_notices();
    assert_eq!(notices.len(), 2, "each is told once: {notices:?}");
    assert!(notices[0].message.contains(first) && notices[1].message.contains(second), "{notices:?}");

    let summary = store.commit("prom", 9, b"", [(key("data", "w003"), run(9)), (key("data", "w004"), run(9))]).unwrap();
    assert_eq!((summary.new, summary.notices.len()), (2, 2));
    assert_eq!(store.history(&key("data", "w003")).unwrap().unwrap().total_runs(), 1);
    assert_eq!(store.history(&key("data", "w004")).unwrap().unwrap().total_runs(), 5);
    assert_eq!(store.history(&key("data", "w007")).unwrap(), None);
    let again = store.commit("prom", 10, b"", []).unwrap();
    assert_eq!((again.notices.len(), store.take_notices().len()), (0, 0));
    drop(store);

    let db = Database::open(&path).unwrap();
    let txn = db.begin_read().unwrap();
    let kept = txn.open_table(DAMAGED).unwrap();
    assert!(kept.get(format!("histories/{first}#1").as_str()).unwrap().is_some());
    assert!(kept.get(format!("histories/{second}#1").as_str()).unwrap().is_some());
}

/// Whichever byte of the file is flipped: it opens for writing, and what it then says is right or missing.
#[test]
fn history_opens_whichever_byte_was_flipped() {
    let dir = tempfile::tempdir().unwrap();
    let path = filled(dir.path());
    let whole = fs::read(&path).unwrap();
    let expected: Vec<_> = open(&path).histories(None).unwrap().map(Result::unwrap).collect();
    let used: Vec<usize> = whole.iter().enumerate().filter(|(_, b)| **b != 0).map(|(at, _)| at).collect();
    let known = |found: &(WorkloadKey, History)| expected.contains(found);
    let mut saved = Vec::new();
    // Every byte of the header, then a spread over all bytes in use.
    for at in (0..320).step_by(5).chain(used.iter().copied().step_by(used.len() / 120)) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("history.redb");
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        fs::write(&path, &bytes).unwrap();

        // For reading only, it may be refused, but nothing else.
        if let Ok(reader) = Store::open_read_only(&path)
            && let Ok(all) = reader.histories(None)
        {
            assert!(all.map_while(Result::ok).all(|found| known(&found)), "byte {at}");
        }
        let opened = Store::open(&path).unwrap();
        let found: Vec<_> = opened.store.histories(None).unwrap().map(Result::unwrap).collect();
        let older = found.iter().all(|(_, h)| h.total_runs() == 3);
        assert!(older || found.iter().all(known), "byte {at}");
        if opened.notice.is_some() {
            saved.push(found.len());
            assert_eq!(opened.store.progress("prom").unwrap(), None, "byte {at}: what is lost is collected again");
        } else {
            assert_eq!(found.len(), expected.len(), "byte {at}");
        }
    }
    saved.sort_unstable();
    let (files, whole) = (saved.len(), saved.iter().filter(|n| **n + 1 >= expected.len()).count());
    eprintln!(
        "{files} files set aside; from {whole} of them all histories but one, or all, were taken over: {saved:?}"
    );
}
