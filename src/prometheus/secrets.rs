//! What one server may repeat of what was sent to it, and its words without that.
//! Knows nothing of where secrets come from.

use std::sync::{Mutex, PoisonError};

use super::error::{Error, clean};

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
