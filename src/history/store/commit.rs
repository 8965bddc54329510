//! Writing what a collection brought: runs and progress, together or not at all.
//! Knows nothing of how runs are found or what they say.

use std::collections::BTreeMap;
use std::str::FromStr;

use redb::{ReadableTable, WriteTransaction};

use super::provisional::{Entry, Provisional};
use super::records::{open_history, open_progress, seal_history, seal_progress};
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

/// What a commit does to one workload.
#[derive(Default)]
struct Change {
    /// Runs that are told of again.
    withdraw: Vec<Entry>,
    add: Vec<Run>,
}

/// What a commit says of the time that its runs are of.
#[derive(Clone, Copy)]
enum Reading<'a> {
    /// It is read to its end: up to this time, with the collector's own words.
    Settled(i64, &'a [u8]),
    /// It is going to be read again.
    Provisional {
        /// Nothing was missing.
        is_whole: bool,
    },
}

impl Store {
    /// Adds runs to the histories of their workloads and moves the progress of `source`, all in one transaction:
    /// whatever happens, either all of it is in the file or nothing.
    ///
    /// Give runs in the order of their end, see [`History::add_all`]. `open` is the collector's own. Runs that
    /// [`Self::commit_provisionally`] added and that these tell of again are replaced.
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
        self.add(source, runs, Reading::Settled(watermark_ms, open))
    }

    /// Adds runs of a time that is going to be read again; the progress of `source` stays. What the next reading tells
    /// of the same time of the same container takes the place of these runs, as long as nothing else has told more of
    /// them. A reading that was not whole (`is_whole`) replaces nothing: its runs are joined with what is known.
    ///
    /// # Errors
    /// As [`Self::commit`].
    pub fn commit_provisionally(
        &self,
        source: &str,
        is_whole: bool,
        runs: impl IntoIterator<Item = (WorkloadKey, Run)>,
    ) -> Result<CommitSummary, StoreError> {
        self.add(source, runs, Reading::Provisional { is_whole })
    }

    fn add(
        &self,
        source: &str,
        runs: impl IntoIterator<Item = (WorkloadKey, Run)>,
        reading: Reading<'_>,
    ) -> Result<CommitSummary, StoreError> {
        let mut summary = CommitSummary::default();
        let mut by_key: BTreeMap<WorkloadKey, Change> = BTreeMap::new();
        for (key, run) in runs {
            by_key.entry(key).or_default().add.push(run);
        }
        // What damaged values other than those of this commit were met by readers since the last one.
        let damaged = lock(&self.damaged).clone();
        self.write("write to", |txn| {
            for key in &damaged {
                self.load_or_set_aside(txn, key, &mut summary)?;
            }
            let mut provisional = Provisional::load(txn, source)?;
            if !matches!(reading, Reading::Provisional { is_whole: false }) {
                find_told_again(&mut provisional, &mut by_key);
            }
            for (key, change) in by_key {
                let note = match reading {
                    Reading::Settled(..) => None,
                    Reading::Provisional { .. } => Some(&mut provisional),
                };
                self.change(txn, &key, change, &mut summary, note)?;
            }
            let mut progress = txn.open_table(PROGRESS)?;
            let watermark_ms = match reading {
                Reading::Settled(watermark_ms, open) => {
                    progress.insert(source, seal_progress(source, watermark_ms, open).as_slice())?;
                    watermark_ms
                }
                Reading::Provisional { .. } => {
                    let known = progress.get(source)?.and_then(|record| open_progress(source, record.value()).ok());
                    known.map_or(i64::MIN, |progress| progress.watermark_ms)
                }
            };
            provisional.save(txn, source, watermark_ms)
        })?;
        lock(&self.damaged).retain(|key| !damaged.contains(key));
        Ok(summary)
    }

    /// Notes the runs that were not known before, where they are going to be told of again.
    fn change(
        &self,
        txn: &WriteTransaction,
        key: &WorkloadKey,
        change: Change,
        summary: &mut CommitSummary,
        mut note: Option<&mut Provisional>,
    ) -> Result<(), Failure> {
        let text = key.to_string();
        if WorkloadKey::from_str(&text).as_ref() != Ok(key) {
            summary.refused += change.add.len();
            return Ok(());
        }
        let mut history = self.load_or_set_aside(txn, &text, summary)?.unwrap_or_default();
        let before = (!change.withdraw.is_empty()).then(|| history.clone());
        let withdrawn = change.withdraw.iter().filter(|entry| entry.withdraw_from(&mut history)).count();
        let (mut changed, mut new) = (false, 0);
        let pods: Vec<(String, i64)> = match note {
            Some(_) => change.add.iter().map(|run| (run.pod.clone(), run.started_ms)).collect(),
            None => Vec::new(),
        };
        let mut pods = pods.into_iter();
        for added in history.add_all(change.add) {
            let pod = pods.next();
            changed |= added != Added::Known;
            match added {
                Added::New => {
                    new += 1;
                    if let (Some(provisional), Some((pod, started_ms))) = (&mut note, pod) {
                        let kept = history.started_at(started_ms).filter(|run| run.pod == pod);
                        kept.for_each(|run| provisional.note(key, run));
                    }
                }
                Added::Updated => summary.updated += 1,
                Added::Known => summary.known += 1,
            }
        }
        let again = withdrawn.min(new);
        summary.new += new - again;
        changed |= withdrawn > 0;
        if before.is_some_and(|before| before == history) {
            changed = false;
            summary.known += again;
        } else {
            summary.updated += again;
        }
        if changed {
            let mut table = txn.open_table(HISTORIES)?;
            if history.is_empty() {
                table.remove(text.as_str())?;
            } else {
                let sealed = seal_history(&text, &history).map_err(|e| Failure::encoding(&e))?;
                table.insert(text.as_str(), sealed.as_slice())?;
            }
            summary.changed.push(key.clone());
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
            Some(value) => match open_history(key, value.value()) {
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

/// What provisional runs are told of again; the workload may be another one, since more is known of its pod by now.
fn find_told_again(provisional: &mut Provisional, by_key: &mut BTreeMap<WorkloadKey, Change>) {
    let mut again: Vec<(WorkloadKey, Entry)> = Vec::new();
    for (key, change) in &*by_key {
        for run in &change.add {
            for entry in provisional.told_again(key, run) {
                again.extend(entry.key().map(|key| (key, entry)));
            }
        }
    }
    for (key, entry) in again {
        by_key.entry(key).or_default().withdraw.push(entry);
    }
}
