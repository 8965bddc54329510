//! Admission: the answer to a review of a pod that is being created or changed, and the patch that resizes it.
//! Must not know the network or a clock; the webhook's server stands on top of this.

pub mod answer;
pub mod applications;
pub mod creation;
mod executor_heap;
pub mod identity;
pub mod judge;
pub mod object;
pub mod owners;
pub mod patch;
pub mod provenance;
pub mod recommendations;
pub mod resize;
pub mod retry;
pub mod review;
pub mod snapshot;

pub use answer::{Entry, Outcome, Reply, Seen, answer, undecided};
pub use creation::{Creation, create};
pub use judge::{Verdict, few, judge, soften};
pub use owners::{Owned, Owners};
pub use patch::{Op, PatchError, apply};
pub use provenance::{Change, HeapChange, Provenance, Record, label_value};
pub use recommendations::{LoadedRecommendations, id_of};
pub use resize::{Resizing, Sizing, change_in_words, resize};
pub use snapshot::{Kills, Namespace, Recommendations, Recommended, Rules, SharedState, Sizes, Snapshot};

#[cfg(test)]
mod answer_tests;
#[cfg(test)]
mod decide;
#[cfg(test)]
mod own_size_tests;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod services_tests;
#[cfg(test)]
mod tests;
