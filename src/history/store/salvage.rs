//! Takes over from a file that was set aside what can still be read of it.
//! Knows nothing of why the file was set aside.

use std::path::Path;

use redb::{Database, ReadOnlyDatabase, ReadableDatabase, ReadableTable};

use super::error::{StoreError, shielded};
use super::records::open_history;
use super::tables::{Content, HISTORIES, SCHEMA, content};

/// What came of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Salvaged {
    /// Histories taken over.
    pub histories: usize,
    /// Histories seen but not readable, and 1 for each place where the file could not be read on.
    pub lost: usize,
}

/// Opens a file for reading.
pub(super) type Open = fn(&Path) -> Result<ReadOnlyDatabase, StoreError>;

/// Copies every history of `old` whose checksum is right to `db`, in one transaction. Progress is not taken over: what
/// is lost is then collected again, and what is not is known already.
pub(super) fn salvage(old: &Path, open: Open, db: &Database) -> Salvaged {
    // A failure leaves the new store empty, which is what it is without salvage.
    shielded(old, || copy(old, open, db).map_err(|e| StoreError::database("read", old, e))).unwrap_or_default()
}

fn copy(old: &Path, open: Open, db: &Database) -> Result<Salvaged, redb::Error> {
    let Ok(old) = open(old) else { return Ok(Salvaged::default()) };
    let reading = old.begin_read()?;
    if content(&reading)? != Content::Store(SCHEMA) {
        return Ok(Salvaged::default());
    }
    let from = reading.open_table(HISTORIES)?;
    let txn = db.begin_write()?;
    let mut salvaged = Salvaged::default();
    {
        let mut to = txn.open_table(HISTORIES)?;
        // From both ends, each up to the first place that cannot be read.
        for backwards in [false, true] {
            let mut range = from.iter()?;
            let mut stopped = false;
            while let Some(entry) = if backwards { range.next_back() } else { range.next() } {
                let Ok((key, value)) = entry else {
                    salvaged.lost += 1;
                    stopped = true;
                    break;
                };
                if backwards && to.get(key.value())?.is_some() {
                    break;
                }
                if open_history(key.value(), value.value()).is_ok() {
                    to.insert(key.value(), value.value())?;
                    salvaged.histories += 1;
                } else {
                    salvaged.lost += 1;
                }
            }
            if !stopped {
                break;
            }
        }
    }
    txn.commit()?;
    Ok(salvaged)
}
