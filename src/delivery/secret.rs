//! Secrets of a delivery: named by a file or a variable of the environment, read when they are needed.

use std::fmt;
use std::path::PathBuf;

use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::prometheus::unreadable;
use crate::secret::Secret;

const HOW: &str = "a secret, or an address that is one, is named by its file or variable: {file: PATH} or {env: NAME}";

/// Where a secret is. There is no way to write one down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretFrom {
    /// A file; white space around its content is ignored.
    File(PathBuf),
    /// A variable of the environment.
    Env(String),
}

/// By hand, because an error must not repeat what stands there: it may be the secret itself.
impl<'de> Deserialize<'de> for SecretFrom {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Named;

        impl<'de> Visitor<'de> for Named {
            type Value = SecretFrom;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(HOW)
            }

            fn visit_str<E: de::Error>(self, _: &str) -> Result<Self::Value, E> {
                Err(E::custom(HOW))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut named = Vec::new();
                while let Some((kind, value)) = map.next_entry::<String, String>()? {
                    match kind.as_str() {
                        "file" => named.push(SecretFrom::File(PathBuf::from(value))),
                        "env" => named.push(SecretFrom::Env(value)),
                        _ => return Err(de::Error::custom(HOW)),
                    }
                }
                match (named.pop(), named.is_empty()) {
                    (Some(one), true) => Ok(one),
                    _ => Err(de::Error::custom(HOW)),
                }
            }
        }

        deserializer.deserialize_any(Named)
    }
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
