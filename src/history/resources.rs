//! Requests and limits of one container. Plain data.

use serde::{Deserialize, Serialize};

/// Requests and limits that were in force; `None` = not set or not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resources {
    /// CPU request in millicores.
    pub cpu_request_millis: Option<u64>,
    /// CPU limit in millicores.
    pub cpu_limit_millis: Option<u64>,
    /// Memory request in bytes.
    pub memory_request_bytes: Option<u64>,
    /// Memory limit in bytes.
    pub memory_limit_bytes: Option<u64>,
}

impl Resources {
    /// Field by field this one, where it is known, else the other.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            cpu_request_millis: self.cpu_request_millis.or(other.cpu_request_millis),
            cpu_limit_millis: self.cpu_limit_millis.or(other.cpu_limit_millis),
            memory_request_bytes: self.memory_request_bytes.or(other.memory_request_bytes),
            memory_limit_bytes: self.memory_limit_bytes.or(other.memory_limit_bytes),
        }
    }
}
