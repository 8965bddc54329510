//! What a watch says, and what is said of an object that cannot be used. Must not know what is made of either.

use serde_json::Value;

/// What a watch says.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Everything is being listed, at the beginning or after a gap.
    Restarted,
    /// An object is there: new, changed, or listed.
    Applied(Value),
    /// An object is gone.
    Deleted(Value),
    /// Everything was listed; what did not come since `Restarted` is gone.
    Listed,
    /// It may not be listed.
    Refused,
}

/// An object that cannot be used as it is, and what follows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind} {name} of namespace {namespace:?} cannot be read: {why}; {consequence}")]
pub struct Unreadable {
    pub(super) kind: &'static str,
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) why: String,
    pub(super) consequence: &'static str,
    /// It was not known before: worth saying.
    pub news: bool,
}
