//! Secrets of a delivery: named by a file or a variable of the environment, read when they are needed.

use std::path::PathBuf;

use serde::Deserialize;

use crate::prometheus::{Secret, unreadable};

/// Where a secret is. There is no way to write one down.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum SecretFrom {
    /// A file; white space around its content is ignored.
    File(PathBuf),
    /// A variable of the environment.
    Env(String),
}

/// A secret that is not there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// The file cannot be read, or is empty.
    #[error("the secret in {} cannot be read: {why}", .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// The variable is not set, or is empty.
    #[error("the variable {0} of the environment is not set")]
    Env(String),
}

impl SecretFrom {
    /// The secret.
    ///
    /// # Errors
    /// [`SecretError`].
    pub fn read(&self) -> Result<Secret, SecretError> {
        match self {
            Self::File(path) => {
                let failed = |why: String| SecretError::File { path: path.clone(), why };
                let text = std::fs::read_to_string(path).map_err(|e| failed(unreadable(&e)))?;
                match text.trim() {
                    "" => Err(failed("it is empty".to_owned())),
                    secret => Ok(Secret::new(secret)),
                }
            }
            Self::Env(name) => match std::env::var(name).ok().filter(|v| !v.trim().is_empty()) {
                Some(secret) => Ok(Secret::new(secret.trim())),
                None => Err(SecretError::Env(name.clone())),
            },
        }
    }
}
