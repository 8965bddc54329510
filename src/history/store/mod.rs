//! The store: histories, progress and pods seen, in one file that survives kill -9, a full disk and damage.
//! Knows nothing of Prometheus, of clusters, or of the present time.

mod commit;
mod error;
#[doc(hidden)]
pub mod on_bytes;
mod open;
mod pods;
mod provisional;
mod read;
mod records;
mod salvage;
mod tables;

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockWriteGuard};

use redb::{ReadTransaction, ReadableTable, WriteTransaction};

pub use commit::CommitSummary;
use error::shielded;
pub use error::{Notice, StoreError, panic_is_handled};
use open::{Db, open_memory, open_reader, open_writer};
pub use read::Histories;
use records::open_progress;
pub use records::{JvmSeen, PodSeen, Progress};
use tables::PROGRESS;

/// Histories of workloads on disk (or in memory), with what else must survive a restart.
///
/// Any number of threads may share one. One process writes a file; others may read it meanwhile, see
/// [`Store::open_read_only`].
pub struct Store {
    /// `None` = in memory.
    path: Option<PathBuf>,
    writes: bool,
    /// `None` after the disk failed a write: the next use opens the file again and finds the last complete state.
    db: RwLock<Option<Db>>,
    notices: Mutex<Vec<Notice>>,
    /// Keys of histories found damaged by readers, to be set aside by the next commit.
    damaged: Mutex<BTreeSet<String>>,
}

/// A store, and what the user should know about how it was opened.
#[derive(Debug)]
pub struct Opened {
    /// The store.
    pub store: Store,
    /// Says so when the file found there was set aside and a new one begun.
    pub notice: Option<Notice>,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("path", &self.path()).field("writes", &self.writes).finish_non_exhaustive()
    }
}

impl Store {
    /// Opens the file at `path` for writing, creating it (readable by its owner only) and its directory.
    ///
    /// A file that is damaged, is not a store, or was written by a newer podfit is renamed, never changed or deleted;
    /// a new one is begun with the histories of the old one that can still be read, and the notice says so.
    ///
    /// # Errors
    /// [`StoreError::Locked`] when another process writes to it, [`StoreError::Io`] when the operating system refuses.
    pub fn open(path: impl AsRef<Path>) -> Result<Opened, StoreError> {
        let path = path.as_ref();
        let (db, notice) = open_writer(path)?;
        Ok(Opened { store: Self::new(Some(path), true, db), notice })
    }

    /// Opens an existing file for reading, also while another process writes to it. Each call sees the last complete
    /// commit of the writer.
    ///
    /// # Errors
    /// [`StoreError::Missing`], [`StoreError::Damaged`], [`StoreError::Schema`] when it was written by another version
    /// of podfit, [`StoreError::Io`].
    pub fn open_read_only(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        let path = path.as_ref();
        Ok(Self::new(Some(path), false, open_reader(path)?))
    }

    /// A store that lives as long as the value.
    pub fn in_memory() -> Result<Self, StoreError> {
        let db = open_memory().map_err(|e| StoreError::database("create", Path::new("(in memory)"), e))?;
        Ok(Self::new(None, true, db))
    }

    fn new(path: Option<&Path>, writes: bool, db: Db) -> Self {
        Self {
            path: path.map(Path::to_owned),
            writes,
            db: RwLock::new(Some(db)),
            notices: Mutex::default(),
            damaged: Mutex::default(),
        }
    }

    /// Whether what is in it outlives the value.
    pub fn is_on_disk(&self) -> bool {
        self.path.is_some()
    }

    /// The file, `(in memory)` when there is none.
    pub fn path(&self) -> &Path {
        self.path.as_deref().unwrap_or(Path::new("(in memory)"))
    }

    /// Takes what there is to tell the user since the last call: damaged values that were met while reading.
    pub fn take_notices(&self) -> Vec<Notice> {
        std::mem::take(&mut *lock(&self.notices))
    }

    /// How far `source` has been collected; `None` when it has not, or when the record is damaged (see
    /// [`Self::take_notices`]): then it is to be collected from the beginning, which counts no run twice.
    pub fn progress(&self, source: &str) -> Result<Option<Progress>, StoreError> {
        let found = self.read("read", |txn| {
            let table = txn.open_table(PROGRESS)?;
            Ok(table.get(source)?.map(|v| open_progress(source, v.value())))
        })?;
        match found {
            Some(Err(reason)) => {
                self.note(format!(
                    "the progress of {source} in the history {} is damaged ({reason}): it is collected from the \
                     beginning again, nothing else needs to be done",
                    self.path().display()
                ));
                Ok(None)
            }
            Some(Ok(progress)) => Ok(Some(progress)),
            None => Ok(None),
        }
    }

    /// The sources that were collected from so far.
    ///
    /// # Errors
    /// [`StoreError`] when the file cannot be read.
    pub fn sources(&self) -> Result<Vec<String>, StoreError> {
        self.read("read", |txn| {
            let table = txn.open_table(PROGRESS)?;
            let mut sources = Vec::new();
            for entry in table.iter()? {
                sources.push(entry?.0.value().to_owned());
            }
            Ok(sources)
        })
    }

    fn damage(&self, key: &str, reason: &str) -> Notice {
        Notice {
            message: format!(
                "the history of {key} in {} is damaged ({reason}): it is set aside inside the file and begins anew, all \
                 others are fine",
                self.path().display()
            ),
        }
    }

    fn note(&self, message: String) {
        let mut notices = lock(&self.notices);
        if notices.iter().all(|n| n.message != message) {
            notices.push(Notice { message });
        }
    }

    /// Runs `work` on the last complete state.
    fn read<T>(
        &self,
        action: &'static str,
        work: impl FnOnce(&ReadTransaction) -> Result<T, Failure>,
    ) -> Result<T, StoreError> {
        self.with_db(action, |db| work(&db.begin_read()?))
    }

    /// Runs `work` in one transaction, which is committed when it succeeds and leaves nothing behind when it fails.
    fn write<T>(
        &self,
        action: &'static str,
        work: impl FnOnce(&WriteTransaction) -> Result<T, Failure>,
    ) -> Result<T, StoreError> {
        if !self.writes {
            return Err(StoreError::ReadOnly { path: self.path().to_owned() });
        }
        self.with_db(action, |db| {
            let Db::Writer(db) = db else { return Err(Failure::ReadOnly) };
            let txn = db.begin_write()?;
            let result = work(&txn)?;
            txn.commit()?;
            Ok(result)
        })
    }

    fn with_db<T>(&self, action: &'static str, work: impl FnOnce(&Db) -> Result<T, Failure>) -> Result<T, StoreError> {
        let path = self.path();
        let done = {
            let mut open = self.db.read().unwrap_or_else(PoisonError::into_inner);
            if open.is_none() {
                drop(open);
                self.reopen()?;
                open = self.db.read().unwrap_or_else(PoisonError::into_inner);
            }
            let Some(db) = &*open else {
                return Err(Failure::Database(redb::Error::DatabaseClosed).into_store(action, path));
            };
            shielded(path, || work(db).map_err(|e| e.into_store(action, path)))
        };
        if matches!(done, Err(StoreError::Io { .. } | StoreError::Damaged { .. } | StoreError::Database { .. })) {
            self.close();
        }
        done
    }

    /// After a failed write the database refuses everything until it is opened again.
    fn close(&self) {
        if let Some(path) = &self.path {
            let db = self.exclusive().take();
            // Closing may fail as the write did; the file is complete either way.
            let _ = shielded(path, || {
                drop(db);
                Ok(())
            });
        }
    }

    fn reopen(&self) -> Result<(), StoreError> {
        let Some(path) = &self.path else { return Ok(()) };
        let mut open = self.exclusive();
        if open.is_none() {
            *open = Some(if self.writes {
                let (db, notice) = open_writer(path)?;
                lock(&self.notices).extend(notice);
                db
            } else {
                open_reader(path)?
            });
        }
        Ok(())
    }

    fn exclusive(&self) -> RwLockWriteGuard<'_, Option<Db>> {
        self.db.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A lock that a panic elsewhere does not spoil: what it guards is changed in single steps.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Why a transaction failed, before it is known on which file.
enum Failure {
    Database(redb::Error),
    Encoding(String),
    ReadOnly,
}

impl<E: Into<redb::Error>> From<E> for Failure {
    fn from(e: E) -> Self {
        Self::Database(e.into())
    }
}

impl Failure {
    fn encoding(e: &postcard::Error) -> Self {
        Self::Encoding(e.to_string())
    }

    fn into_store(self, action: &'static str, path: &Path) -> StoreError {
        match self {
            Self::Database(e) => StoreError::database(action, path, e),
            Self::Encoding(reason) => StoreError::Database { action, path: path.to_owned(), reason },
            Self::ReadOnly => StoreError::ReadOnly { path: path.to_owned() },
        }
    }
}
