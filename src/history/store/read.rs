//! Reading histories, one or all.
//! Knows nothing of how they were written; leaves damaged ones where they are, for the next commit to set aside.

use redb::{OwnedRange, ReadableTable};

use super::error::shielded;
use super::records::open_history;
use super::tables::HISTORIES;
use super::{Store, StoreError, lock};
use crate::history::workload_history::History;
use crate::workload::WorkloadKey;

impl Store {
    /// The history of one workload's container; `None` when there is none, or when it is damaged (see
    /// [`Self::take_notices`]).
    pub fn history(&self, key: &WorkloadKey) -> Result<Option<History>, StoreError> {
        let text = key.to_string();
        let found = self.read("read", |txn| {
            let table = txn.open_table(HISTORIES)?;
            Ok(table.get(text.as_str())?.map(|v| open_history(&text, v.value())))
        })?;
        Ok(found.and_then(|history| self.usable(&text, history)))
    }

    fn usable(&self, key: &str, history: Result<History, String>) -> Option<History> {
        history
            .inspect_err(|reason| {
                lock(&self.damaged).insert(key.to_owned());
                self.note(self.damage(key, reason).message);
            })
            .ok()
    }

    /// All histories, or those of one namespace, in the order of their keys' text, read one after the other from the
    /// state at the time of the call. Damaged ones are left out (see [`Self::take_notices`]).
    pub fn histories(&self, namespace: Option<&str>) -> Result<Histories<'_>, StoreError> {
        let range = self.read("read", |txn| {
            let table = txn.open_table(HISTORIES)?;
            Ok(match namespace {
                None => table.range_owned::<&str>(..)?,
                // `0` follows `/`.
                Some(ns) => table.range_owned(format!("{ns}/").as_str()..format!("{ns}0").as_str())?,
            })
        })?;
        Ok(Histories { store: self, range: Some(range) })
    }

    /// The keys of all histories, in the order of their text.
    pub fn workloads(&self) -> Result<Vec<WorkloadKey>, StoreError> {
        self.read("read", |txn| {
            let table = txn.open_table(HISTORIES)?;
            let mut keys = Vec::new();
            for entry in table.iter()? {
                keys.extend(entry?.0.value().parse::<WorkloadKey>());
            }
            Ok(keys)
        })
    }
}

/// Histories read one after the other, see [`Store::histories`].
pub struct Histories<'a> {
    store: &'a Store,
    range: Option<OwnedRange<&'static str, &'static [u8]>>,
}

impl Iterator for Histories<'_> {
    type Item = Result<(WorkloadKey, History), StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let range = self.range.as_mut()?;
            let path = self.store.path();
            let entry = shielded(path, || {
                range.next().transpose().map_err(|e| StoreError::database("read", path, e)).map(|entry| {
                    entry.map(|(key, value)| (key.value().to_owned(), open_history(key.value(), value.value())))
                })
            });
            match entry {
                Ok(None) => {
                    self.range = None;
                    return None;
                }
                Err(e) => {
                    self.range = None;
                    return Some(Err(e));
                }
                Ok(Some((text, history))) => {
                    let history = history.and_then(|h| Ok((text.parse().map_err(|e| format!("{e}"))?, h)));
                    match history {
                        Ok(found) => return Some(Ok(found)),
                        Err(reason) => {
                            self.store.usable(&text, Err(reason));
                        }
                    }
                }
            }
        }
    }
}
