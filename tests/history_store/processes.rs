//! The store between processes: killed, shared, out of room.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use podfit::history::{Store, StoreError};

use super::{commit_round, key, open, rounds, run};

/// The children of these tests are this binary again, told by the environment what to do; started otherwise it does
/// nothing.
#[test]
fn history_child() {
    let Ok(role) = std::env::var("PODFIT_TEST_CHILD") else { return };
    let path = PathBuf::from(std::env::var_os("PODFIT_TEST_FILE").unwrap());
    match role.as_str() {
        "commit" => child_commit(&path),
        "hold" => child_hold(&path),
        "fill" => child_fill(&path),
        "read-only" => child_read_only(&path),
        other => unreachable!("{other}"),
    }
}

/// Arguments and environment that make this binary the child of the given role.
fn child(mut command: Command, role: &str, path: &Path) -> Command {
    command.args(["--exact", "processes::history_child", "--nocapture", "--test-threads=1"]);
    command.env("PODFIT_TEST_CHILD", role).env("PODFIT_TEST_FILE", path);
    command
}

/// Numbers that a child printed as `@n`.
fn said(line: &str) -> Option<u64> {
    line.rsplit_once('@')?.1.trim().parse().ok()
}

fn child_commit(path: &Path) {
    let store = open(path);
    for n in rounds(&store).. {
        commit_round(&store, n).unwrap();
        println!("@{n}");
    }
}

#[test]
fn history_survives_kill_9_in_the_middle_of_commits() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("history.redb");
    let mut before = 0;
    for round in 0..12 {
        let mut child = child(Command::new(std::env::current_exe().unwrap()), "commit", &path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let reported = lines.by_ref().filter_map(|l| said(&l)).nth(round % 3).unwrap();
        // The commits go on; each round lets the next one come a little further.
        for _ in 0..round * 200_000 {
            std::hint::spin_loop();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let reported = lines.filter_map(|l| said(&l)).last().unwrap_or(reported);
        let found = rounds(&open(&path));
        assert!(found > before && found > reported, "{found} rounds found, round {reported} was reported");
        assert!(found <= reported + 2, "{found} rounds found, round {reported} was the last reported");
        before = found;
    }
}

fn child_hold(path: &Path) {
    let store = open(path);
    for n in rounds(&store).. {
        commit_round(&store, n).unwrap();
        println!("@{n}");
        let mut line = String::new();
        if std::io::stdin().read_line(&mut line).unwrap() == 0 {
            return;
        }
    }
}

#[test]
fn history_has_one_writer_and_many_readers() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("history.redb");
    let missing = Store::open_read_only(&path).err().unwrap();
    assert!(matches!(missing, StoreError::Missing { .. }), "{missing}");
    assert!(!path.exists());
    let mut holder = child(Command::new(std::env::current_exe().unwrap()), "hold", &path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(holder.stdout.take().unwrap()).lines().map_while(Result::ok);
    assert_eq!(lines.find_map(|l| said(&l)), Some(0));

    let locked = Store::open(&path).err().unwrap();
    assert!(matches!(locked, StoreError::Locked { .. }), "{locked}");
    assert!(locked.to_string().contains("--store") && !locked.to_string().contains('\n'), "{locked}");
    let reader = Store::open_read_only(&path).unwrap();
    let second = Store::open_read_only(&path).unwrap();
    assert_eq!((rounds(&reader), rounds(&second)), (1, 1));
    let refused = reader.commit("prom", 9, b"", [(key("data", "a"), run(0))]).unwrap_err();
    assert!(matches!(refused, StoreError::ReadOnly { .. }), "{refused}");

    let mut stdin = holder.stdin.take().unwrap();
    let snapshot = reader.histories(None).unwrap();
    stdin.write_all(b"\n").unwrap();
    assert_eq!(lines.find_map(|l| said(&l)), Some(1));
    assert_eq!((rounds(&reader), rounds(&second)), (2, 2), "readers follow the writer");
    assert!(snapshot.map(|h| h.unwrap().1).all(|h| h.total_runs() == 1), "an iteration keeps to its state");
    drop(stdin);
    assert!(holder.wait().unwrap().success());

    drop((reader, second));
    let store = open(&path);
    let locked = Store::open(&path).err().unwrap();
    assert!(matches!(locked, StoreError::Locked { .. }), "also within one process: {locked}");
    assert_eq!(rounds(&store), 2);
}

/// Commits until the disk is full; then what was there is still there, and when there is room again it goes on.
fn child_fill(path: &Path) {
    let ballast = path.with_file_name("ballast");
    let room_comes_back = std::env::var_os("PODFIT_TEST_BALLAST").is_some();
    if room_comes_back {
        std::fs::write(&ballast, vec![0; 3 << 19]).unwrap();
    }
    let store = open(path);
    // So that few rounds are left.
    store.commit("large", 0, &vec![1; 500_000], []).unwrap();
    let mut done = 0;
    let full = loop {
        match commit_round(&store, done) {
            Ok(()) => done += 1,
            Err(e) => break e,
        }
        assert!(done < 2_000, "the disk never filled up");
    };
    let text = full.to_string();
    assert!(matches!(full, StoreError::Io { .. }), "{full:?}");
    assert!(text.contains("history.redb") && text.contains("make room") && !text.contains('\n'), "{text}");
    assert!(done > 3, "only {done} rounds before {text}");
    assert!(matches!(commit_round(&store, done), Err(StoreError::Io { .. })), "a second try meets the same");
    assert_eq!(rounds(&store), done, "what was committed before is there, nothing of the last");
    if room_comes_back {
        std::fs::remove_file(&ballast).unwrap();
        commit_round(&store, done).unwrap();
        done += 1;
    }
    assert_eq!(store.take_notices(), []);
    drop(store);
    assert_eq!(rounds(&Store::open_read_only(path).unwrap()), done);
    assert_eq!(rounds(&open(path)), done);
    println!("{text}");
    println!("@{done}");
}

fn run_fill(mut command: Command) {
    let output = command.output().unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && stdout.lines().any(|l| said(l).is_some()), "{stdout}\n{stderr}");
    eprintln!("{stdout}");
}

/// A shell that runs `script` with a small file system at `dir` that only it sees and that goes when it ends; in a user
/// namespace, so that nobody need be root. `None`, and a line that says so, where this is not possible.
fn with_small_disk(test: &str, dir: &Path, script: &str) -> Option<Command> {
    let unshare = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount", "sh", "-c"]);
        command.arg(format!("mount -t tmpfs -o size=4m tmpfs \"$0\" && {script}")).arg(dir);
        command
    };
    let why = match unshare("true").output() {
        Ok(output) if output.status.success() => return Some(unshare(script)),
        Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        Err(e) => e.to_string(),
    };
    // Not by `eprintln`, which the harness keeps to itself.
    let _ = writeln!(std::io::stderr(), "podfit-test-skipped: {test}: no mount of a small file system: {why}");
    None
}

#[test]
fn history_survives_a_full_disk() {
    let dir = tempfile::tempdir().unwrap();
    let name = "history_survives_a_full_disk";
    let Some(mut command) = with_small_disk(name, dir.path(), "exec \"$@\"") else { return };
    command.arg(std::env::current_exe().unwrap()).env("PODFIT_TEST_BALLAST", "1");
    run_fill(child(command, "fill", &dir.path().join("history.redb")));
}

/// Started after one round was written and the file system made read-only.
fn child_read_only(path: &Path) {
    for path in [path, &path.with_file_name("other.redb")] {
        let refused = Store::open(path).err().unwrap();
        assert!(matches!(refused, StoreError::Io { .. }), "{refused:?}");
        assert!(refused.to_string().contains("mount it writable"), "{refused}");
    }
    assert_eq!(rounds(&Store::open_read_only(path).unwrap()), 1);
    println!("@1");
}

#[test]
fn history_is_read_from_a_read_only_file_system() {
    let dir = tempfile::tempdir().unwrap();
    let name = "history_is_read_from_a_read_only_file_system";
    let script = "\"$@\" </dev/null && mount -o remount,ro \"$0\" && PODFIT_TEST_CHILD=read-only exec \"$@\"";
    let Some(mut command) = with_small_disk(name, dir.path(), script) else { return };
    command.arg(std::env::current_exe().unwrap());
    run_fill(child(command, "hold", &dir.path().join("history.redb")));
}

#[test]
fn history_says_what_to_do_where_no_file_can_be() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, b"x").unwrap();
    for path in [dir.path().to_owned(), file.join("history.redb")] {
        let refused = Store::open(&path).err().unwrap();
        assert!(matches!(refused, StoreError::Io { .. }), "{refused:?}");
        assert!(refused.to_string().contains("--store FILE"), "{refused}");
    }
    assert_eq!(std::fs::read(&file).unwrap(), b"x");
}

#[test]
fn history_survives_a_limit_of_file_size() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = Command::new("sh");
    // In units of 512 bytes. Without the trap the signal would end the process.
    command.args(["-c", "trap '' XFSZ; ulimit -f 5120; exec \"$0\" \"$@\""]);
    command.arg(std::env::current_exe().unwrap());
    run_fill(child(command, "fill", &dir.path().join("history.redb")));
}
