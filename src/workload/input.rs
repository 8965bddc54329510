//! What a pod's author says of the input that it will work on. Knows no engine.

use serde_json::Value;

use crate::quantity::Quantity;

/// Annotation or label of a pod with the size of its input, where that is known before it runs.
pub const INPUT_BYTES: &str = "podfit.dev/input-bytes";

/// What a pod says of its input: in the annotation, else in the label. The text is whatever its author wrote.
pub fn stated_input(pod: &Value) -> Option<&str> {
    ["annotations", "labels"].into_iter().find_map(|of| pod.get("metadata")?.get(of)?.get(INPUT_BYTES)?.as_str())
}

/// The value in bytes: a number, or a quantity such as `12Gi`. `None` for anything else: whoever wrote it
/// finds the pod sized as if nothing were known.
pub fn input_bytes(text: &str) -> Option<u64> {
    let size = Quantity::parse(text).ok().filter(|size| !size.is_negative())?;
    Some(size.bytes_rounded_up())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case::annotation(json!({"annotations": {INPUT_BYTES: "1Gi"}}), Some("1Gi"))]
    #[case::label(json!({"labels": {INPUT_BYTES: "7"}}), Some("7"))]
    #[case::both(json!({"annotations": {INPUT_BYTES: "1Gi"}, "labels": {INPUT_BYTES: "7"}}), Some("1Gi"))]
    #[case::neither(json!({"labels": {"app": "7"}}), None)]
    #[case::no_text(json!({"annotations": {INPUT_BYTES: 7}, "labels": null}), None)]
    fn a_pod_says_it_in_an_annotation_or_a_label(#[case] metadata: Value, #[case] said: Option<&str>) {
        assert_eq!(stated_input(&json!({"metadata": metadata})), said);
    }

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
