//! Files as a kubelet, a careless script and a full disk leave them. Knows no cluster.

use std::fs;
use std::os::unix::fs::symlink;

use jiff::SignedDuration;
use tempfile::TempDir;

use super::*;
use crate::certs::authority::{Authority, CA_LIFE, IssuedPair, LEAF_LIFE};
use crate::certs::inspect::Unreadable;
use crate::certs::names::ServerNames;
use crate::certs::pem::PemError;

fn now() -> Timestamp {
    "2026-11-22T12:00:00Z".parse().unwrap()
}

fn issue() -> IssuedPair {
    let names = ServerNames::of_service("podfit-webhook", "podfit").unwrap();
    Authority::create(now(), CA_LIFE).unwrap().issue(&names, now(), LEAF_LIFE).unwrap()
}

fn put(dir: &Path, pair: &IssuedPair) {
    fs::write(dir.join("tls.crt"), &pair.certificate).unwrap();
    fs::write(dir.join("tls.key"), pair.key.expose()).unwrap();
}

fn files(dir: &TempDir) -> FilePair {
    FilePair::new(dir.path().join("tls.crt"), dir.path().join("tls.key"))
}

/// A volume as a kubelet writes it: files are links through `..data`, which is a link to the directory that counts.
fn kubelet_writes(volume: &Path, version: &str, pair: &IssuedPair) {
    let fresh = volume.join(format!("..2026_11_22_{version}"));
    fs::create_dir(&fresh).unwrap();
    put(&fresh, pair);
    let old = fs::read_link(volume.join("..data")).ok();
    symlink(fresh.file_name().unwrap(), volume.join("..data_tmp")).unwrap();
    fs::rename(volume.join("..data_tmp"), volume.join("..data")).unwrap();
    for file in ["tls.crt", "tls.key"] {
        let _ = symlink(format!("..data/{file}"), volume.join(file));
    }
    if let Some(old) = old {
        fs::remove_dir_all(volume.join(old)).unwrap();
    }
}

/// The leaf that a poll brought.
fn brought(polled: Option<Result<Arc<CertifiedPair>, FileError>>) -> String {
    pem::certificate_text(&polled.unwrap().unwrap().leaf().der)
}

#[test]
fn a_kubelets_swap_is_seen_each_time() {
    let dir = TempDir::new().unwrap();
    let mut files = files(&dir);
    let pairs = [issue(), issue(), issue()];
    kubelet_writes(dir.path(), "1", &pairs[0]);
    assert_eq!(brought(files.poll(now())), pairs[0].certificate);
    assert!(files.poll(now()).is_none());
    for (version, pair) in [("2", &pairs[1]), ("3", &pairs[2])] {
        kubelet_writes(dir.path(), version, pair);
        assert_eq!(brought(files.poll(now())), pair.certificate);
        assert!(files.poll(now()).is_none());
    }
    // The same content in a new directory is no news.
    kubelet_writes(dir.path(), "4", &pairs[2]);
    assert!(files.poll(now()).is_none());
}

#[test]
fn a_half_written_pair_is_waited_for() {
    let dir = TempDir::new().unwrap();
    let mut files = files(&dir);
    let (old, new) = (issue(), issue());
    put(dir.path(), &old);
    files.load(now()).unwrap();
    // First the certificate alone, as a script does that copies one after the other.
    fs::write(dir.path().join("tls.crt"), &new.certificate).unwrap();
    assert!(files.poll(now()).is_none());
    assert!(files.error().is_none());
    fs::write(dir.path().join("tls.key"), new.key.expose()).unwrap();
    assert_eq!(brought(files.poll(now())), new.certificate);
}

#[test]
fn a_pair_that_stays_mismatched_is_told_once() {
    let dir = TempDir::new().unwrap();
    let mut files = files(&dir);
    put(dir.path(), &issue());
    files.load(now()).unwrap();
    fs::write(dir.path().join("tls.key"), issue().key.expose()).unwrap();
    assert!(files.poll(now()).is_none());
    let error = files.poll(now()).unwrap().unwrap_err();
    assert!(matches!(error, FileError::Pair { error: PairError::Mismatch, .. }), "{error}");
    assert!(files.poll(now()).is_none());
    assert_eq!(files.error(), Some(&error));
    let new = issue();
    put(dir.path(), &new);
    assert_eq!(brought(files.poll(now())), new.certificate);
    assert_eq!(files.error(), None);
}

#[test]
fn at_the_start_a_mismatch_is_told_at_once() {
    let dir = TempDir::new().unwrap();
    put(dir.path(), &IssuedPair { key: issue().key, ..issue() });
    assert!(matches!(files(&dir).load(now()), Err(FileError::Pair { error: PairError::Mismatch, .. })));
}

#[test]
fn a_pair_that_nobody_renews_is_told_when_it_ends() {
    let dir = TempDir::new().unwrap();
    let mut files = files(&dir);
    put(dir.path(), &issue());
    files.load(now()).unwrap();
    let last = now() + LEAF_LIFE;
    assert!(files.poll(last).is_none());
    let error = files.poll(last + SignedDuration::from_secs(1)).unwrap().unwrap_err().to_string();
    assert!(error.ends_with("tls.crt: the certificate expired on 2027-11-22T12:00:00Z; renew it"), "{error}");
    assert!(files.poll(last + SignedDuration::from_secs(2)).is_none());
}

#[test]
fn a_pair_from_the_future_is_taken_when_its_time_comes() {
    let dir = TempDir::new().unwrap();
    let mut files = files(&dir);
    let pair = issue();
    put(dir.path(), &pair);
    let early = now() - SignedDuration::from_hours(2);
    let error = files.poll(early).unwrap().unwrap_err();
    assert!(matches!(error, FileError::Pair { error: PairError::NotYetValid(_), .. }), "{error}");
    assert_eq!(brought(files.poll(now())), pair.certificate);
}

#[test]
fn files_that_vanish_are_told_once_and_their_return_is_no_news() {
    let dir = TempDir::new().unwrap();
    let mut files = files(&dir);
    let pair = issue();
    put(dir.path(), &pair);
    files.load(now()).unwrap();
    fs::remove_file(dir.path().join("tls.key")).unwrap();
    let error = files.poll(now()).unwrap().unwrap_err().to_string();
    assert!(error.contains("tls.key: No such file") && error.contains("is the Secret mounted"), "{error}");
    assert!(files.poll(now()).is_none());
    put(dir.path(), &pair);
    assert!(files.poll(now()).is_none());
    assert_eq!(files.error(), None);
}

#[test]
fn what_cannot_be_read_is_an_error_and_not_shown() {
    let dir = TempDir::new().unwrap();
    let mut files = files(&dir);
    // A directory in place of a file cannot be read by root either.
    fs::create_dir(dir.path().join("tls.crt")).unwrap();
    assert!(matches!(files.poll(now()), Some(Err(FileError::Unreadable { .. }))));
    fs::remove_dir(dir.path().join("tls.crt")).unwrap();

    fs::write(dir.path().join("tls.crt"), issue().certificate).unwrap();
    fs::write(dir.path().join("tls.key"), "hunter2").unwrap();
    let error = files.poll(now()).unwrap().unwrap_err();
    assert!(!format!("{error} {error:?} {files:?}").contains("hunter2"));

    fs::write(dir.path().join("tls.crt"), vec![b'x'; pem::MAX_BYTES + 1]).unwrap();
    let FileError::Pair { error, .. } = files.poll(now()).unwrap().unwrap_err() else { panic!() };
    assert_eq!(error, PairError::Certificate(Unreadable::Pem(PemError::TooLarge)));
}
