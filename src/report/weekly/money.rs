//! What hours cost.

use serde::Serialize;

use super::Prices;
use super::amounts::{Amounts, rounded};

/// Amounts of both resources in money.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Money {
    /// Of what was requested.
    pub requested: f64,
    /// Of what was used.
    pub used: f64,
    /// Of what would have been reserved.
    pub recommended: f64,
    /// `requested` less `recommended`.
    pub saving: f64,
    /// Of `requested`, what failed tries cost.
    pub failed: f64,
}

impl Money {
    pub(super) fn of(memory: &Amounts, cpu: &Amounts, prices: &Prices) -> Self {
        let of = |pick: fn(&Amounts) -> f64| rounded(pick(memory) * prices.gib_hour + pick(cpu) * prices.core_hour);
        let (requested, recommended) = (of(|a| a.requested), of(|a| a.recommended));
        Self {
            requested,
            used: of(|a| a.used),
            recommended,
            saving: rounded(requested - recommended),
            failed: of(|a| a.failed_by_memory + a.failed_otherwise),
        }
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.requested = rounded(self.requested + other.requested);
        self.used = rounded(self.used + other.used);
        self.recommended = rounded(self.recommended + other.recommended);
        self.saving = rounded(self.saving + other.saving);
        self.failed = rounded(self.failed + other.failed);
    }
}
