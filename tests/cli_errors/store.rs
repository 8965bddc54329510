//! The file of `--store`: held by another, not writable, damaged, of the future, without room.
//! Whatever happens, no run that was in it is lost.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;

use redb::{Database, ReadableDatabase, ReadableTableMetadata, TableDefinition};
use rstest::rstest;

use super::support::cli::{NOON_TEXT, Ran, clear, command, run};
use super::support::fault_server::{Answer, FaultServer};
use super::support::prometheus_server::skipped;
use super::{BEFORE_TEXT, nightly, remember, undisturbed};

/// A store with most of the history in it.
fn filled(server: &FaultServer, store: &Path) {
    run(&mut remember(server, BEFORE_TEXT, store)).report();
}

#[track_caller]
fn goes_on(server: &FaultServer, store: &Path) {
    server.heal();
    let after = run(&mut remember(server, NOON_TEXT, store)).report();
    assert_eq!(after["workloads"], undisturbed()["workloads"]);
}

#[test]
fn held_by_another_podfit() {
    let server = FaultServer::start(nightly());
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("history.redb");
    filled(&server, &store);
    let (asked, was_asked) = mpsc::channel();
    let asked = std::sync::Mutex::new(asked);
    server.script(move |_, _| {
        let _ = asked.lock().unwrap().send(());
        Some(Answer::Silence)
    });
    // It has the store by the time it asks the server.
    let mut holder = remember(&server, NOON_TEXT, &store).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    was_asked.recv().unwrap();
    let second = run(&mut remember(&server, NOON_TEXT, &store));
    holder.kill().unwrap();
    holder.wait().unwrap();
    second.refused_with(&[
        "the history ",
        "history.redb is in use by another podfit; stop that one, or give this one a file of its own with --store FILE",
    ]);
    goes_on(&server, &store);
}

#[test]
fn no_file_can_be_there() {
    let server = FaultServer::start(nightly());
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "mine").unwrap();
    run(&mut remember(&server, NOON_TEXT, dir.path())).refused_with(&[
        "could not open the history ",
        "Is a directory (os error 21); name a file in a directory that can be created",
    ]);
    run(&mut remember(&server, NOON_TEXT, &file.join("history.redb"))).refused_with(&[
        "could not create the directory of the history ",
        "; name a file in a directory that can be created",
    ]);
    run(&mut remember(&server, NOON_TEXT, Path::new("/proc/podfit/history.redb")))
        .refused_with(&["/proc/podfit/history.redb: ", "with --store FILE"]);
    assert_eq!(std::fs::read(&file).unwrap(), b"mine");
    assert_eq!(server.hits().len(), 0, "the server is not asked for what cannot be kept");
}

/// The command as a user that is not root, since root may write anywhere.
fn as_nobody(command: &Command) -> Command {
    let mut other = Command::new("setpriv");
    clear(&mut other);
    other
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(command.get_program())
        .args(command.get_args());
    other
}

#[test]
fn a_directory_that_cannot_be_written() {
    use std::os::unix::fs::PermissionsExt;
    let server = FaultServer::start(nightly());
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("history.redb");
    filled(&server, &store);
    let modes = |mode| std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(mode)).unwrap();
    modes(0o555);
    let is_root = std::fs::write(dir.path().join("probe"), "").is_ok();
    let refused = |path: &Path| {
        let command = remember(&server, NOON_TEXT, path);
        run(&mut if is_root { as_nobody(&command) } else { command })
    };
    if is_root && !as_nobody(command().arg("--version")).output().is_ok_and(|o| o.status.success()) {
        return skipped("a_directory_that_cannot_be_written", "root may write anywhere, and setpriv cannot run podfit");
    }
    let other = refused(&dir.path().join("other.redb"));
    let below = refused(&dir.path().join("below/other.redb"));
    let same = if is_root { Some(refused(&store)) } else { None };
    modes(0o755);
    let words =
        "Permission denied (os error 13); let this user read and write it, or name another place with --store FILE";
    other.refused_with(&["could not open the history ", words]);
    below.refused_with(&["could not create the directory of the history ", words]);
    if let Some(same) = same {
        same.refused_with(&["could not open the history ", words]);
    }
    goes_on(&server, &store);
}

fn set_aside(dir: &Path, label: &str) -> Option<Vec<u8>> {
    std::fs::read(dir.join(format!("history.redb.{label}-1"))).ok()
}

#[track_caller]
fn goes_on_with_a_line(ran: &Ran, words: &[&str]) {
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let lines = ran.lines();
    assert_eq!(lines.len(), 1, "{}", ran.stderr);
    eprintln!("{}", lines[0]);
    for piece in words {
        assert!(lines[0].contains(piece), "{piece:?} is not in: {}", lines[0]);
    }
    assert_eq!(super::workloads(ran), undisturbed()["workloads"]);
}

#[rstest]
#[case::text(|_| b"# my notes\n".repeat(50))]
#[case::cut(|old: Vec<u8>| old[..old.len() / 2].to_vec())]
#[case::zeros_in_the_middle(|mut old: Vec<u8>| { let half = old.len() / 2; old[4096..half].fill(0); old })]
#[case::noise_everywhere(|mut old: Vec<u8>| { (64..old.len()).step_by(97).for_each(|i| old[i] ^= 0x55); old })]
#[case::noise_behind_the_header(|mut old: Vec<u8>| { (8192..old.len()).step_by(512).for_each(|i| old[i] ^= 0xff); old })]
fn damaged(#[case] damage: fn(Vec<u8>) -> Vec<u8>) {
    let server = FaultServer::start(nightly());
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("history.redb");
    filled(&server, &store);
    let bytes = damage(std::fs::read(&store).unwrap());
    std::fs::write(&store, &bytes).unwrap();
    let ran = run(&mut remember(&server, NOON_TEXT, &store));
    goes_on_with_a_line(
        &ran,
        &["the history ", "is damaged (", "): moved it to ", "delete the old file when you do not need it"],
    );
    assert_eq!(set_aside(dir.path(), "damaged").as_deref(), Some(&bytes[..]), "what was there is kept as it was");
    goes_on(&server, &store);
}

#[test]
fn of_a_version_to_come() {
    let server = FaultServer::start(nightly());
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("history.redb");
    filled(&server, &store);
    let db = Database::open(&store).unwrap();
    let txn = db.begin_write().unwrap();
    let meta: TableDefinition<'static, &str, &str> = TableDefinition::new("meta");
    txn.open_table(meta).unwrap().insert("schema", "7").unwrap();
    txn.commit().unwrap();
    drop(db);
    let ran = run(&mut remember(&server, NOON_TEXT, &store));
    goes_on_with_a_line(&ran, &["has form 7 and this podfit knows form 1: moved it to ", "history.redb.schema-7-1"]);
    let old = Database::open(dir.path().join("history.redb.schema-7-1")).unwrap();
    let txn = old.begin_read().unwrap();
    assert_eq!(txn.open_table(meta).unwrap().get("schema").unwrap().unwrap().value(), "7");
    let histories: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("histories");
    assert_eq!(txn.open_table(histories).unwrap().len().unwrap(), 3, "what was there is kept");
    goes_on(&server, &store);
}

/// In a small file system that only the child sees; its content goes out through standard output of `cp`.
#[test]
fn a_disk_without_room() {
    let server = FaultServer::start(nightly());
    let dir = tempfile::tempdir().unwrap();
    let (store, disk) = (dir.path().join("history.redb"), dir.path().join("disk"));
    filled(&server, &store);
    std::fs::create_dir(&disk).unwrap();
    let unshare = |script: &str| {
        let mut command = Command::new("unshare");
        clear(&mut command);
        command.args(["--user", "--map-root-user", "--mount", "sh", "-c", script]).arg(&disk).arg(&store);
        command
    };
    let mount = "mount -t tmpfs -o size=$(( ($(stat -c %s \"$1\") + 4095) / 4096 * 4 ))k tmpfs \"$0\" && cat \"$1\" >\"$0/history.redb\"";
    let can = unshare(mount).output();
    if !can.as_ref().is_ok_and(|o| o.status.success()) {
        return skipped("a_disk_without_room", &format!("no mount of a small file system: {can:?}"));
    }
    // First a file that has no room to grow and a commit that needs it, then one that cannot even begin.
    let script = format!("{mount} && shift && \"$@\"; code=$?; cp \"$0/history.redb\" \"$0.after\"; exit $code");
    let asked = remember(&server, NOON_TEXT, &disk.join("other.redb"));
    let mut command = unshare(&script);
    command.arg(asked.get_program()).args(asked.get_args());
    let ran = run(&mut command);
    ran.refused_with(&[
        "other.redb: No space left on device (os error 28); make room there or name another place with --store FILE",
    ]);
    assert_eq!(std::fs::read(dir.path().join("disk.after")).unwrap(), std::fs::read(&store).unwrap());
    goes_on(&server, &store);
}

/// A limit of file size stands for a disk that fills up while podfit writes.
#[test]
fn a_store_that_may_not_grow() {
    let server = FaultServer::start(nightly());
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("history.redb");
    filled(&server, &store);
    let mut refusals = 0;
    let size = std::fs::metadata(&store).unwrap().len() / 512;
    for blocks in [1, size / 2, size] {
        let asked = remember(&server, NOON_TEXT, &store);
        let mut command = Command::new("sh");
        clear(&mut command);
        // Without the trap the signal would end the process.
        command.args(["-c", &format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"")]);
        command.arg(asked.get_program()).args(asked.get_args());
        let ran = run(&mut command);
        if ran.code == Some(2) {
            ran.refused_with(&[
                "history.redb: ",
                "make room there or name another place with --store FILE; what was there before is kept",
            ]);
            refusals += 1;
        } else {
            assert_eq!(super::workloads(&ran), undisturbed()["workloads"]);
        }
    }
    assert!(refusals > 0, "the limit was never met");
    goes_on(&server, &store);
}
