//! The administrator's bounds on sizes: no workload is sized below a floor or above a ceiling, whatever its history
//! says. Must not know pods: a range in, a value out.

use serde::{Deserialize, Serialize};

use super::setting_check::{SettingsError, fault};
use crate::quantity::Quantity;

/// Bounds on what pods are given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Bounds {
    /// In cores.
    #[serde(default)]
    pub cpu: Range,
    /// In bytes.
    #[serde(default)]
    pub memory: Range,
}

/// A smallest and a largest size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Range {
    /// Nothing is lowered below it; nothing is raised to it either.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub floor: Option<Quantity>,
    /// Nothing is raised above it; nothing is lowered to it either.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ceiling: Option<Quantity>,
}

impl Range {
    /// What is wanted, held within the range. What a pod asks for by itself stands, in or out of the range.
    pub fn hold(&self, wanted: Quantity, current: Option<Quantity>) -> Quantity {
        let floor = self.floor.map(|floor| current.map_or(floor, |current| floor.min(current)));
        let ceiling = self.ceiling.map(|ceiling| current.map_or(ceiling, |current| ceiling.max(current)));
        let held = floor.map_or(wanted, |floor| wanted.max(floor));
        ceiling.map_or(held, |ceiling| held.min(ceiling))
    }
}

impl Bounds {
    pub(super) fn validate(&self) -> Result<(), SettingsError> {
        for (place, range) in [("bounds.cpu", &self.cpu), ("bounds.memory", &self.memory)] {
            for (name, value) in [("floor", range.floor), ("ceiling", range.ceiling)] {
                if value.is_some_and(|value| value <= Quantity::ZERO) {
                    return Err(fault(&format!("{place}.{name}"), "it should be above zero"));
                }
                if place == "bounds.memory" && value.is_some_and(Quantity::is_memory_typo) {
                    let problem = "it is less than a byte: write M or Mi for mega, m is for thousandths";
                    return Err(fault(&format!("{place}.{name}"), problem));
                }
            }
            if let (Some(floor), Some(ceiling)) = (range.floor, range.ceiling)
                && floor > ceiling
            {
                return Err(fault(place, &format!("the floor {floor} is above the ceiling {ceiling}")));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::between("1Gi", Some("2Gi"), "1Gi")]
    #[case::below_the_floor("64Mi", Some("2Gi"), "256Mi")]
    #[case::a_pod_that_asks_for_less_is_not_raised_to_it("64Mi", Some("128Mi"), "128Mi")]
    #[case::above_the_ceiling("16Gi", Some("2Gi"), "8Gi")]
    #[case::a_pod_that_asks_for_more_is_not_lowered_to_it("16Gi", Some("12Gi"), "12Gi")]
    #[case::but_to_what_it_needs("10Gi", Some("12Gi"), "10Gi")]
    #[case::nothing_asked_for("64Mi", None, "256Mi")]
    #[case::nothing_asked_for_and_much_needed("16Gi", None, "8Gi")]
    fn sizes_stay_in_range(#[case] wanted: &str, #[case] current: Option<&str>, #[case] held: &str) {
        let quantity = |text: &str| text.parse::<Quantity>().unwrap();
        let range = Range { floor: Some(quantity("256Mi")), ceiling: Some(quantity("8Gi")) };
        assert_eq!(range.hold(quantity(wanted), current.map(quantity)), quantity(held));
    }

    proptest! {
        #[test]
        fn a_second_turn_changes_nothing(wanted in 1u64..40, current in proptest::option::of(1u64..40), a in 1u64..40, b in 1u64..40) {
            let quantity = Quantity::from_units;
            let range = Range { floor: Some(quantity(a.min(b))), ceiling: Some(quantity(a.max(b))) };
            let once = range.hold(quantity(wanted), current.map(quantity));
            prop_assert_eq!(range.hold(quantity(wanted), Some(once)), once);
        }
    }
}
