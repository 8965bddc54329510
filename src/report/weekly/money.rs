//! What hours cost.

use serde::Serialize;

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
    pub(super) fn add(&mut self, other: &Self) {
        self.requested = rounded(self.requested + other.requested);
        self.used = rounded(self.used + other.used);
        self.recommended = rounded(self.recommended + other.recommended);
        self.saving = rounded(self.saving + other.saving);
        self.failed = rounded(self.failed + other.failed);
    }
}

/// To four places; a negative zero is none.
pub(super) fn rounded(value: f64) -> f64 {
    let value = (value * 10_000.0).round() / 10_000.0;
    if value == 0.0 { 0.0 } else { value }
}
