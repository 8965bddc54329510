//! A pair of files that somebody else renews, polled by content: a kubelet swaps a directory link beneath the files,
//! which a watch on the files themselves does not see. Must not know who renews them nor how often it is asked.
//!
//! `server/reload.rs` follows single files. A pair needs more: both files must be of one moment, a certificate without
//! its key is given time, and a pair expires without any change of the files.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;

use super::pair::{CertifiedPair, PairError};
use super::pem;
use crate::text;

/// Why the files give no pair.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum FileError {
    /// A file that is not there or may not be read.
    #[error("cannot read {path}: {cause}; is the Secret mounted, and readable for this user?")]
    Unreadable {
        /// Which.
        path: String,
        /// What the system says.
        cause: String,
    },
    /// The files are replaced while they are read.
    #[error("{path} changes while it is read; it is tried again")]
    Changing {
        /// Which.
        path: String,
    },
    /// Files that are no pair.
    #[error("{path}: {error}")]
    Pair {
        /// The file of the certificate.
        path: String,
        /// What is wrong.
        error: PairError,
    },
}

/// Files of a certificate and its key.
#[derive(Debug)]
pub struct FilePair {
    cert_path: PathBuf,
    key_path: PathBuf,
    loaded: Option<Loaded>,
    /// What was found at the last poll that gave no pair: told once, not at every poll.
    told: Option<FileError>,
    /// Content whose parts did not match at the last poll: perhaps one of them is still to be written.
    mismatched: Option<Vec<u8>>,
}

#[derive(Debug)]
struct Loaded {
    hash: Vec<u8>,
    pair: Arc<CertifiedPair>,
}

impl FilePair {
    /// Files that have not been read yet.
    pub fn new(cert_path: impl Into<PathBuf>, key_path: impl Into<PathBuf>) -> Self {
        let (cert_path, key_path) = (cert_path.into(), key_path.into());
        Self { cert_path, key_path, loaded: None, told: None, mismatched: None }
    }

    /// Reads the files now, for the start: there is no older pair that could go on serving.
    ///
    /// # Errors
    /// Files that cannot be read or are no valid pair.
    pub fn load(&mut self, now: Timestamp) -> Result<Arc<CertifiedPair>, FileError> {
        let (certificate, key) = self.read()?;
        self.take(&certificate, &key, now)
    }

    /// Reads the files and says what is new: another pair, or why there is none. `None` when nothing is new: the same
    /// content, the same error as before, or files that are just being replaced, which the next poll reads again. After
    /// an error the pair before is what to go on serving.
    pub fn poll(&mut self, now: Timestamp) -> Option<Result<Arc<CertifiedPair>, FileError>> {
        let error = match self.read() {
            Ok((certificate, key)) => {
                let hash = hash(&certificate, &key);
                if let Some(loaded) = self.loaded.as_ref().filter(|l| l.hash == hash) {
                    // Nobody renews it: that is news once.
                    match loaded.pair.is_valid(now) {
                        Ok(()) => {
                            self.told = None;
                            return None;
                        }
                        Err(error) => self.bad(error),
                    }
                } else {
                    match self.take(&certificate, &key, now) {
                        Ok(pair) => return Some(Ok(pair)),
                        Err(error) => {
                            let is_mismatch = matches!(&error, FileError::Pair { error: PairError::Mismatch, .. });
                            if is_mismatch && self.mismatched.replace(hash.clone()) != Some(hash) {
                                return None;
                            }
                            error
                        }
                    }
                }
            }
            Err(FileError::Changing { .. }) => return None,
            Err(error) => error,
        };
        if self.told.replace(error.clone()) == Some(error.clone()) { None } else { Some(Err(error)) }
    }

    /// What was wrong at the last poll, while it is.
    pub fn error(&self) -> Option<&FileError> {
        self.told.as_ref()
    }

    fn take(&mut self, certificate: &[u8], key: &[u8], now: Timestamp) -> Result<Arc<CertifiedPair>, FileError> {
        let pair = CertifiedPair::load(certificate, key, now).map_err(|error| self.bad(error))?;
        let pair = Arc::new(pair);
        self.loaded = Some(Loaded { hash: hash(certificate, key), pair: Arc::clone(&pair) });
        self.told = None;
        self.mismatched = None;
        Ok(pair)
    }

    /// Both files as of one moment: what stands around the reading of the key has to be the same.
    fn read(&self) -> Result<(Vec<u8>, Vec<u8>), FileError> {
        let before = read(&self.cert_path)?;
        let key = read(&self.key_path)?;
        if read(&self.cert_path)? != before {
            return Err(FileError::Changing { path: shown(&self.cert_path) });
        }
        Ok((before, key))
    }

    fn bad(&self, error: PairError) -> FileError {
        FileError::Pair { path: shown(&self.cert_path), error }
    }
}

fn hash(certificate: &[u8], key: &[u8]) -> Vec<u8> {
    [super::sha256(certificate), super::sha256(key)].concat()
}

fn read(path: &Path) -> Result<Vec<u8>, FileError> {
    let unreadable =
        |error: std::io::Error| FileError::Unreadable { path: shown(path), cause: text::clean(&error.to_string()) };
    let mut content = Vec::new();
    // One byte more than is taken, so that a file that is too large is told from one that is cut off.
    let limit = pem::MAX_BYTES as u64 + 1;
    File::open(path).map_err(unreadable)?.take(limit).read_to_end(&mut content).map_err(unreadable)?;
    Ok(content)
}

fn shown(path: &Path) -> String {
    text::clean(&path.display().to_string())
}

#[cfg(test)]
#[path = "files_tests.rs"]
mod tests;
