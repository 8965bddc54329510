//! Admission: the pure decision on a pod that is being created, and the patch that carries it out.
//! Must not know the network or a clock; the webhook's wire types and server stand on top of this.

pub mod decide;
pub mod judge;
pub mod patch;
pub mod resize;
pub mod stamp;

pub use decide::{Decision, Request, decide};
pub use judge::{Verdict, few, judge};
pub use patch::{Op, PatchError, apply};
pub use resize::{Resizing, resize};
pub use stamp::{Change, Record, Stamp, label_value};

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
