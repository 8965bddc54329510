//! What a pod's author says of the input that it will work on. Knows no engine.

use crate::quantity::Quantity;

/// Annotation of a pod with the size of its input, where that is known before it runs.
pub const INPUT_BYTES: &str = "podfit.dev/input-bytes";

/// The annotation's value in bytes: a number, or a quantity such as `12Gi`. `None` for anything else: whoever wrote it
/// finds the pod sized as if nothing were known.
pub fn input_bytes(text: &str) -> Option<u64> {
    let size = Quantity::parse(text).ok().filter(|size| !size.is_negative())?;
    Some(size.bytes_rounded_up())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("12Gi", Some(12 << 30))]
    #[case("1500", Some(1_500))]
    #[case("2.5G", Some(2_500_000_000))]
    #[case("0", Some(0))]
    #[case("-1", None)]
    #[case("much", None)]
    #[case("", None)]
    fn numbers_and_quantities_are_sizes(#[case] text: &str, #[case] bytes: Option<u64>) {
        assert_eq!(input_bytes(text), bytes);
    }
}
