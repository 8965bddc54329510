//! Writing what a collection brought: runs and progress, together or not at all.
//! Knows nothing of how runs are found or what they say.

use std::collections::BTreeMap;
use std::str::FromStr;

use redb::{ReadableTable, WriteTransaction};

use super::records::{open_history, seal_history, seal_progress};
use super::tables::{HISTORIES, PROGRESS, keep_damaged};
use super::{Failure, Notice, Store, StoreError, lock};
use crate::history::run::Run;
use crate::history::workload_history::{Added, History};
use crate::workload::WorkloadKey;

/// What a commit changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommitSummary {
    /// Runs not seen before.
    pub new: usize,
    /// Runs seen before of which more is known now.
    pub updated: usize,
    /// Runs of which nothing new was said.
    pub known: usize,
    /// Runs whose workload key has no readable text form; they were left out.
    pub refused: usize,
    /// Workloads whose history changed, in the order of their keys.
    pub changed: Vec<WorkloadKey>,
    /// One for each damaged history that was set aside; its workload begins anew.
    pub notices: Vec<Notice>,
}

impl Store {
    /// Adds runs to the histories of their workloads and moves the progress of `source`, all in one transaction:
    /// whatever happens, either all of it is in the file or nothing.
    ///
    /// Give runs in the order of their end, see [`History::add_all`]. `open` is the collector's own.
    ///
    /// # Errors
    /// Then nothing was changed, and the same commit may be tried again.
    pub fn commit(
        &self,
        source: &str,
        watermark_ms: i64,
        open: &[u8],
        runs: impl IntoIterator<Item = (WorkloadKey, Run)>,
    ) -> Result<CommitSummary, StoreError> {
        let mut summary = CommitSummary::default();
        let mut by_key: BTreeMap<WorkloadKey, Vec<Run>> = BTreeMap::new();
        for (key, run) in runs {
            by_key.entry(key).or_default().push(run);
        }
        // What damaged values other than those of this commit were met by readers since the last one.
        let damaged = lock(&self.damaged).clone();
        self.write("write to", |txn| {
            for key in &damaged {
                self.load_or_set_aside(txn, key, &mut summary)?;
            }
            for (key, runs) in by_key {
                self.add_to(txn, key, runs, &mut summary)?;
            }
            txn.open_table(PROGRESS)?.insert(source, seal_progress(watermark_ms, open).as_slice())?;
            Ok(())
        })?;
        lock(&self.damaged).retain(|key| !damaged.contains(key));
        Ok(summary)
    }

    fn add_to(
        &self,
        txn: &WriteTransaction,
        key: WorkloadKey,
        runs: Vec<Run>,
        summary: &mut CommitSummary,
    ) -> Result<(), Failure> {
        let text = key.to_string();
        if WorkloadKey::from_str(&text).as_ref() != Ok(&key) {
            summary.refused += runs.len();
            return Ok(());
        }
        let mut history = self.load_or_set_aside(txn, &text, summary)?.unwrap_or_default();
        let mut changed = false;
        for added in history.add_all(runs) {
            changed |= added != Added::Known;
            *match added {
                Added::New => &mut summary.new,
                Added::Updated => &mut summary.updated,
                Added::Known => &mut summary.known,
            } += 1;
        }
        if changed {
            let sealed = seal_history(&history).map_err(|e| Failure::encoding(&e))?;
            txn.open_table(HISTORIES)?.insert(text.as_str(), sealed.as_slice())?;
            summary.changed.push(key);
        }
        Ok(())
    }

    /// The history of a key; one that cannot be read moves to the damaged ones.
    fn load_or_set_aside(
        &self,
        txn: &WriteTransaction,
        key: &str,
        summary: &mut CommitSummary,
    ) -> Result<Option<History>, Failure> {
        let mut table = txn.open_table(HISTORIES)?;
        let (bytes, reason) = match table.get(key)? {
            None => return Ok(None),
            Some(value) => match open_history(value.value()) {
                Ok(history) => return Ok(Some(history)),
                Err(reason) => (value.value().to_vec(), reason),
            },
        };
        keep_damaged(txn, "histories", key, &bytes)?;
        table.remove(key)?;
        summary.notices.push(self.damage(key, &reason));
        Ok(None)
    }
}
