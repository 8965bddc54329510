//! The store's records as bytes alone, no file: the way in for tests that make bytes up.
//! Must read nothing itself; not a part of the interface, and free to change.

use super::records::{PodSeen, Progress, open_history, open_pod, open_progress, seal_history, seal_pod, seal_progress};
use super::{provisional, tables};
use crate::history::History;

/// A payload as a record: with its form's version and its checksum, without a key.
pub fn seal(version: u8, payload: &[u8]) -> Vec<u8> {
    tables::seal(version, "", payload)
}

/// Reads the record of a history.
///
/// # Errors
/// What is wrong with it.
pub fn history(record: &[u8]) -> Result<History, String> {
    open_history("", record)
}

/// Writes the record of a history.
///
/// # Errors
/// It does not fit into the form.
pub fn history_record(history: &History) -> Result<Vec<u8>, String> {
    seal_history("", history).map_err(|e| e.to_string())
}

/// Reads the record of a source's progress.
///
/// # Errors
/// What is wrong with it.
pub fn progress(record: &[u8]) -> Result<Progress, String> {
    open_progress("", record)
}

/// Writes the record of a source's progress.
pub fn progress_record(progress: &Progress) -> Vec<u8> {
    seal_progress("", progress.watermark_ms, &progress.open)
}

/// Reads the record of a pod.
///
/// # Errors
/// What is wrong with it.
pub fn pod(namespace: &str, pod: &str, uid: &str, record: &[u8]) -> Result<PodSeen, String> {
    open_pod(namespace, pod, uid, record)
}

/// Writes the record of a pod.
///
/// # Errors
/// It does not fit into the form.
pub fn pod_record(pod: &PodSeen) -> Result<Vec<u8>, String> {
    seal_pod(pod).map_err(|e| e.to_string())
}

/// Reads the record of a source's provisional runs and writes it again.
///
/// # Errors
/// What is wrong with it.
pub fn provisional_again(record: &[u8]) -> Result<Vec<u8>, String> {
    provisional::write("", &provisional::read("", record)?).map_err(|e| e.to_string())
}
