//! Opening the store's file: creating it, setting aside what cannot be read, changing what is of an older form.
//! Knows nothing of what histories say.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use redb::backends::FileBackend;
use redb::{ConcurrencyMode, Database, ReadOnlyDatabase, ReadTransaction, ReadableDatabase};

use super::error::{Notice, StoreError, shielded};
use super::salvage::{Salvaged, salvage};
use super::tables::{Content, MIGRATIONS, SCHEMA, content, initialise, migrate};

/// Memory for cached pages of the file, in bytes. Values are read once per cycle, so more would not help.
const CACHE_BYTES: usize = 16 * 1024 * 1024;

/// An open file, for writing or for reading only.
pub(super) enum Db {
    Writer(Database),
    Reader(ReadOnlyDatabase),
}

impl Db {
    pub(super) fn begin_read(&self) -> Result<ReadTransaction, redb::TransactionError> {
        match self {
            Self::Writer(db) => db.begin_read(),
            Self::Reader(db) => db.begin_read(),
        }
    }
}

/// Opens `path` for writing; creates what is missing, sets aside what cannot be read.
pub(super) fn open_writer(path: &Path) -> Result<(Db, Option<Notice>), StoreError> {
    if let Some(parent) = path.parent().filter(|p| !p.as_os_str().is_empty()) {
        fs::create_dir_all(parent).map_err(|e| StoreError::io("create the directory of", path, e))?;
    }
    let mut aside = None;
    // Another process may set the same file aside at the same time; then there is a new file to look at.
    for _ in 0..4 {
        let (label, why) = match try_writer(path) {
            Ok(Tried::Ready(db)) => {
                let notice = aside.map(|(old, why): (PathBuf, String)| set_aside_notice(path, &old, &why, &db));
                return Ok((Db::Writer(db), notice));
            }
            Ok(Tried::Unreadable(version)) => {
                let why = format!("has form {version} and this podfit knows form {SCHEMA}");
                (format!("schema-{version}"), why)
            }
            Err(StoreError::Damaged { reason, .. }) => ("damaged".to_owned(), format!("is damaged ({reason})")),
            Err(e) => return Err(e),
        };
        if let Some(old) = set_aside(path, &label)? {
            aside = Some((old, why));
        }
    }
    Err(StoreError::Locked { path: path.to_owned() })
}

/// Opens `path` for reading beside a process that may be writing to it.
pub(super) fn open_reader(path: &Path) -> Result<Db, StoreError> {
    if let Err(e) = fs::metadata(path) {
        return Err(match e.kind() {
            ErrorKind::NotFound => StoreError::Missing { path: path.to_owned() },
            _ => StoreError::io("open", path, e),
        });
    }
    shielded(path, || {
        let db = open_unchecked(path)?;
        let found = db
            .begin_read()
            .map_err(redb::Error::from)
            .and_then(|txn| content(&txn))
            .map_err(|e| StoreError::database("read", path, e))?;
        match found {
            Content::Store(SCHEMA) => Ok(Db::Reader(db)),
            Content::Store(found) => Err(StoreError::Schema { path: path.to_owned(), found, known: SCHEMA }),
            Content::Empty => Err(StoreError::Missing { path: path.to_owned() }),
            Content::Foreign => Err(StoreError::damaged(path, "it holds another program's tables")),
        }
    })
}

/// Opens a file for reading without looking at what it holds.
fn open_unchecked(path: &Path) -> Result<ReadOnlyDatabase, StoreError> {
    Database::builder()
        .set_cache_size(CACHE_BYTES)
        .set_concurrency_mode(ConcurrencyMode::SingleWriter)
        .open_read_only(path)
        .map_err(|e| StoreError::database("open", path, e))
}

enum Tried {
    Ready(Database),
    /// A store of a schema version that this podfit does not know.
    Unreadable(u32),
}

fn try_writer(path: &Path) -> Result<Tried, StoreError> {
    let file = private_file(path).map_err(|e| StoreError::io("open", path, e))?;
    let database = |e: redb::Error| StoreError::database("open", path, e);
    shielded(path, || {
        let backend = FileBackend::new(file).map_err(|e| database(e.into()))?;
        let db = Database::builder()
            .set_cache_size(CACHE_BYTES)
            .set_concurrency_mode(ConcurrencyMode::SingleWriter)
            .set_check_integrity_on_open(true)
            .create_with_backend(backend)
            .map_err(|e| database(e.into()))?;
        prepare(db, path)
    })
}

/// Brings an open database to the current schema.
fn prepare(db: Database, path: &Path) -> Result<Tried, StoreError> {
    let found = db
        .begin_read()
        .map_err(redb::Error::from)
        .and_then(|txn| content(&txn))
        .map_err(|e| StoreError::database("read", path, e))?;
    let stored = match found {
        Content::Store(SCHEMA) => return Ok(Tried::Ready(db)),
        Content::Store(version) if version > SCHEMA => return Ok(Tried::Unreadable(version)),
        Content::Foreign => return Err(StoreError::damaged(path, "it holds another program's tables")),
        Content::Store(version) => Some(version),
        Content::Empty => None,
    };
    let changed = || -> Result<bool, redb::Error> {
        let txn = db.begin_write()?;
        match stored {
            None => initialise(&txn)?,
            Some(version) if !migrate(&txn, version, SCHEMA, MIGRATIONS)? => return Ok(false),
            Some(_) => {}
        }
        txn.commit()?;
        Ok(true)
    };
    let current = changed().map_err(|e| StoreError::database("set up", path, e))?;
    Ok(if current { Tried::Ready(db) } else { Tried::Unreadable(stored.unwrap_or_default()) })
}

/// A database in memory, for what need not survive the process.
pub(super) fn open_memory() -> Result<Db, redb::Error> {
    let db =
        Database::builder().set_cache_size(CACHE_BYTES).create_with_backend(redb::backends::InMemoryBackend::new())?;
    let txn = db.begin_write()?;
    initialise(&txn)?;
    txn.commit()?;
    Ok(Db::Writer(db))
}

/// Opens or creates the file; a new one can be read by its owner only, since names of workloads are nobody else's.
fn private_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Renames the file to the first free `<name>.<label>-<n>`. `None` when there is another file at `path` by now.
fn set_aside(path: &Path, label: &str) -> Result<Option<PathBuf>, StoreError> {
    let action = "set aside";
    let io = |e| StoreError::io(action, path, e);
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(io(e)),
    };
    // Whoever holds this lock is the only one to rename the file, and no reader is in it.
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => return Err(StoreError::Locked { path: path.to_owned() }),
        Err(TryLockError::Error(e)) if e.kind() != ErrorKind::Unsupported => return Err(io(e)),
        _ => {}
    }
    if !is_at(&file, path) {
        return Ok(None);
    }
    let name = path.file_name().unwrap_or_default();
    for n in 1_u32.. {
        let mut other = name.to_owned();
        other.push(format!(".{label}-{n}"));
        let other = path.with_file_name(other);
        if fs::symlink_metadata(&other).is_err_and(|e| e.kind() == ErrorKind::NotFound) {
            fs::rename(path, &other).map_err(io)?;
            return Ok(Some(other));
        }
    }
    Ok(None)
}

/// Whether `file` is still what `path` names.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (file.metadata(), fs::metadata(path)) {
        (Ok(a), Ok(b)) => (a.dev(), a.ino()) == (b.dev(), b.ino()),
        _ => false,
    }
}

#[cfg(not(unix))]
fn is_at(_: &File, path: &Path) -> bool {
    path.exists()
}

/// Takes over what can still be read, and says what happened.
fn set_aside_notice(path: &Path, old: &Path, why: &str, db: &Database) -> Notice {
    let saved = match salvage(old, open_unchecked, db) {
        Salvaged { histories: 0, lost: _ } => "began an empty one".to_owned(),
        Salvaged { histories, lost: 0 } => format!("began a new one with all {histories} readable histories of it"),
        Salvaged { histories, lost } => {
            format!("began a new one with {histories} histories of it, {lost} or more are lost")
        }
    };
    Notice {
        message: format!(
            "the history {} {why}: moved it to {} and {saved}; past runs are collected again as far as Prometheus has \
             them, delete the old file when you do not need it",
            path.display(),
            old.display()
        ),
    }
}
