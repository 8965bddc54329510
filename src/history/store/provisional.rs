//! Runs of a time that is going to be read again: which of them a commit added, so that the next reading can take their
//! place. Knows nothing of why a time is read again.

use std::collections::HashMap;

use redb::{ReadableTable, WriteTransaction};
use serde::{Deserialize, Serialize};

use super::Failure;
use super::tables::{PROVISIONAL, seal, unseal};
use crate::history::run::Run;
use crate::history::view::START_TOLERANCE_MS;
use crate::history::workload_history::History;
use crate::workload::WorkloadKey;

const VERSION: u8 = 1;
/// An entry whose run nobody told of again is kept this long, in milliseconds: a container that fell silent may come
/// back.
const KEPT_MS: i64 = 2 * 86_400_000;

/// A run as one commit of one source added it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Entry {
    /// Text of the workload's key.
    workload: String,
    pod: String,
    uid: Option<String>,
    started_ms: i64,
    ended_ms: i64,
    /// Of all that the run says. A run that something else has told more of since is no longer this source's own.
    checksum: u32,
}

impl Entry {
    fn of(workload: &str, run: &Run) -> Self {
        Self {
            workload: workload.to_owned(),
            pod: run.pod.clone(),
            uid: run.uid.clone(),
            started_ms: run.started_ms,
            ended_ms: run.ended_ms,
            checksum: checksum(run),
        }
    }

    /// Whose run it is.
    pub(super) fn key(&self) -> Option<WorkloadKey> {
        self.workload.parse().ok()
    }

    /// Whether `run`, of the same container, tells of the same time of the same pod.
    fn is_told_again_by(&self, run: &Run) -> bool {
        if self.uid.is_some() && run.uid.is_some() && self.uid != run.uid {
            return false;
        }
        let starts_alike = self.started_ms.abs_diff(run.started_ms) <= START_TOLERANCE_MS.unsigned_abs();
        // Days of one service touch at midnight and are two.
        starts_alike || (self.started_ms < run.ended_ms && run.started_ms < self.ended_ms)
    }

    /// Takes the run out of a history if it is still as this entry has it.
    pub(super) fn withdraw_from(&self, history: &mut History) -> bool {
        history.withdraw(self.started_ms, |run| {
            run.pod == self.pod && run.uid == self.uid && checksum(run) == self.checksum
        })
    }
}

fn checksum(run: &Run) -> u32 {
    // Nothing in a run cannot be written.
    postcard::to_stdvec(run).map(|bytes| crc32c::crc32c(&bytes)).unwrap_or_default()
}

/// The entries of one source, by pod and container.
#[derive(Debug, Default)]
pub(super) struct Provisional {
    entries: HashMap<(String, String, String), Vec<Entry>>,
}

impl Provisional {
    /// What is known of a source. A record that cannot be read is as good as none: its runs stay and are joined.
    pub(super) fn load(txn: &WriteTransaction, source: &str) -> Result<Self, Failure> {
        let table = txn.open_table(PROVISIONAL)?;
        let entries = table.get(source)?.and_then(|record| read(source, record.value()).ok()).unwrap_or_default();
        let mut all = Self::default();
        for entry in entries {
            if let Some(key) = entry.key() {
                all.entries.entry(place(&key, &entry.pod)).or_default().push(entry);
            }
        }
        Ok(all)
    }

    /// Takes out the entries that a run tells of again.
    pub(super) fn told_again(&mut self, key: &WorkloadKey, run: &Run) -> Vec<Entry> {
        let place = place(key, &run.pod);
        let Some(known) = self.entries.get_mut(&place) else { return Vec::new() };
        let (again, rest) = std::mem::take(known).into_iter().partition(|entry| entry.is_told_again_by(run));
        *known = rest;
        again
    }

    /// Notes a run that was added and will be told of again.
    pub(super) fn note(&mut self, key: &WorkloadKey, run: &Run) {
        let entry = Entry::of(&key.to_string(), run);
        let known = self.entries.entry(place(key, &run.pod)).or_default();
        if !known.contains(&entry) {
            known.push(entry);
        }
    }

    /// Writes the entries down, without those of long before `watermark_ms`.
    pub(super) fn save(self, txn: &WriteTransaction, source: &str, watermark_ms: i64) -> Result<(), Failure> {
        let mut entries: Vec<Entry> = self.entries.into_values().flatten().collect();
        entries.retain(|entry| entry.ended_ms >= watermark_ms.saturating_sub(KEPT_MS));
        entries.sort_by(|a, b| (&a.workload, &a.pod, a.started_ms).cmp(&(&b.workload, &b.pod, b.started_ms)));
        let mut table = txn.open_table(PROVISIONAL)?;
        if entries.is_empty() {
            table.remove(source)?;
        } else {
            table.insert(source, write(source, &entries).map_err(|e| Failure::encoding(&e))?.as_slice())?;
        }
        Ok(())
    }
}

fn place(key: &WorkloadKey, pod: &str) -> (String, String, String) {
    (key.workload.namespace.clone(), pod.to_owned(), key.container.clone())
}

/// Reads a record of a source's entries.
pub(super) fn read(source: &str, record: &[u8]) -> Result<Vec<Entry>, String> {
    match unseal(source, record)? {
        (VERSION, payload) => postcard::from_bytes(payload).map_err(|e| e.to_string()),
        (version, _) => Err(format!("form {version} of provisional runs is not known to this version of podfit")),
    }
}

/// Writes a record of a source's entries.
pub(super) fn write(source: &str, entries: &[Entry]) -> Result<Vec<u8>, postcard::Error> {
    Ok(seal(VERSION, source, &postcard::to_stdvec(entries)?))
}
