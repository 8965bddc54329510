//! What can go wrong with the store, each as one line: what failed, on what, what to do.
//! Knows nothing of histories or of what is in the tables.

use std::cell::Cell;
use std::fmt;
use std::io::{self, ErrorKind};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

/// Something the user should read that did not stop the store: one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// What happened, where the old content is, what to do.
    pub message: String,
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// Why the store could not be opened, read or written. Nothing is lost by any of these: a write happens whole or not
/// at all.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process has the file open for writing.
    #[error(
        "the history {} is in use by another podfit; stop that one, or give this one a file of its own with --store FILE",
        .path.display()
    )]
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// There is no such file, and it was to be read only.
    #[error("there is no history at {}; name the file that podfit collects into with --store FILE", .path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// The file was opened for reading and something was to be written.
    #[error("the history {} was opened for reading only; nothing was written", .path.display())]
    ReadOnly {
        /// The file.
        path: PathBuf,
    },
    /// The operating system refused.
    #[error("could not {action} the history {}: {source}; {}", .path.display(), advice(.source.kind()))]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The file is not a history, or is damaged.
    #[error(
        "the history {} is damaged ({reason}); a podfit that collects sets it aside and begins a new one",
        .path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        reason: String,
    },
    /// The file was written by a newer podfit, or by an older one and cannot be changed because it is only read.
    #[error(
        "the history {} has form {found}, this podfit reads form {known}; use the version of podfit that collects into it",
        .path.display()
    )]
    Schema {
        /// The file.
        path: PathBuf,
        /// Schema version of the file.
        found: u32,
        /// Schema version of this podfit.
        known: u32,
    },
    /// The database refused for another reason.
    #[error("could not {action} the history {}: {reason}; nothing was changed, try again", .path.display())]
    Database {
        /// What was tried, as a verb.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the database said.
        reason: String,
    },
}

/// What to do about an error of the operating system.
fn advice(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge | ErrorKind::WriteZero => {
            "make room there or name another place with --store FILE; what was there before is kept"
        }
        ErrorKind::PermissionDenied => "let this user read and write it, or name another place with --store FILE",
        ErrorKind::ReadOnlyFilesystem => "mount it writable, or name another place with --store FILE",
        ErrorKind::NotADirectory | ErrorKind::IsADirectory | ErrorKind::NotFound | ErrorKind::AlreadyExists => {
            "name a file in a directory that can be created with --store FILE"
        }
        _ => "nothing was changed; check the disk, or name another place with --store FILE",
    }
}

impl StoreError {
    pub(super) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        match source.kind() {
            // What the database reports when the bytes, not the disk, are at fault.
            ErrorKind::InvalidData | ErrorKind::UnexpectedEof => Self::damaged(path, source.to_string()),
            _ => Self::Io { action, path: path.to_owned(), source },
        }
    }

    pub(super) fn damaged(path: &Path, reason: impl Into<String>) -> Self {
        Self::Damaged { path: path.to_owned(), reason: reason.into() }
    }

    pub(super) fn database(action: &'static str, path: &Path, error: impl Into<redb::Error>) -> Self {
        match error.into() {
            redb::Error::DatabaseAlreadyOpen | redb::Error::LockProtocolMismatch => {
                Self::Locked { path: path.to_owned() }
            }
            redb::Error::Io(source) => Self::io(action, path, source),
            e @ (redb::Error::Corrupted(_)
            | redb::Error::UpgradeRequired(_)
            | redb::Error::TableTypeMismatch { .. }
            | redb::Error::TypeDefinitionChanged { .. }
            | redb::Error::TableIsMultimap(_)) => Self::damaged(path, e.to_string()),
            e => Self::Database { action, path: path.to_owned(), reason: e.to_string() },
        }
    }
}

thread_local! {
    static SHIELDED: Cell<bool> = const { Cell::new(false) };
}

/// Whether a panic of this thread becomes a [`StoreError`]: then a panic hook has nothing to tell the user.
pub fn panic_is_handled() -> bool {
    SHIELDED.get()
}

/// Runs `work`; the database library may panic on a file that was damaged from outside, and a history must not bring
/// down the process that keeps it. The panic's message still goes to the panic hook.
pub(super) fn shielded<T>(path: &Path, work: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    let outer = SHIELDED.replace(true);
    let done = catch_unwind(AssertUnwindSafe(work));
    SHIELDED.set(outer);
    done.unwrap_or_else(|_| Err(StoreError::damaged(path, "the database library could not read it")))
}
