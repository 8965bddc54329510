//! What one server may repeat of what was sent to it, and its words without that; and how a secret is read from a file.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use super::error::{Error, clean, unreadable};
use crate::secret::Secret;

/// Values that no message may repeat; files are read again and tokens are renewed, so they become more.
#[derive(Default)]
pub(crate) struct Secrets(Mutex<crate::secret::Secrets>);

impl Secrets {
    fn with<T>(&self, work: impl FnOnce(&mut crate::secret::Secrets) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Adds a secret.
    pub(crate) fn add(&self, value: &str) {
        self.with(|known| known.add(value));
    }

    /// Adds what may be a secret or a mere setting.
    pub(crate) fn add_setting(&self, value: &str) {
        self.with(|known| known.add_setting(value));
    }

    /// Adds a user's password.
    pub(crate) fn add_login(&self, user: &str, password: &str) {
        self.with(|known| known.add_login(user, password));
    }

    /// A server's words made fit to be shown: without what is secret, on one line, cut.
    pub(crate) fn shown(&self, words: &str) -> String {
        clean(&self.with(|known| known.strike(words)))
    }

    /// An error without what is secret.
    pub(crate) fn struck(&self, error: Error) -> Error {
        self.with(|known| error.struck(known))
    }
}

/// Reads a secret from a file, without the white space around it.
pub(crate) fn read_secret(path: &Path) -> Result<Secret, Error> {
    let text =
        std::fs::read_to_string(path).map_err(|e| Error::File { path: path.to_owned(), problem: unreadable(&e) })?;
    let secret = text.trim();
    if secret.is_empty() {
        return Err(Error::File { path: path.to_owned(), problem: "it is empty, a secret was expected".to_owned() });
    }
    Ok(Secret::new(secret))
}
