//! Vectors of quantities (the grammar and rounding of Kubernetes' resource.Quantity) and properties.

use proptest::prelude::*;
use rstest::rstest;

use super::*;

#[rstest]
#[case("0", 0, "0")]
#[case("-0", 0, "0")]
#[case("000", 0, "0")]
#[case("1", NANO, "1")]
#[case("+1", NANO, "1")]
#[case("1.", NANO, "1")]
#[case(".5", NANO / 2, "500m")]
#[case("-.5", -NANO / 2, "-500m")]
#[case("1.5", 1_500_000_000, "1500m")]
#[case("0.1", 100_000_000, "100m")]
#[case("100m", 100_000_000, "100m")]
#[case("1000m", NANO, "1")]
#[case("1n", 1, "1n")]
#[case("1500n", 1_500, "1500n")]
#[case("1000n", 1_000, "1u")]
#[case("0.5n", 1, "1n")]
#[case("1.1n", 2, "2n")]
#[case("-0.5n", -1, "-1n")]
#[case("0.0000000001", 1, "1n")]
#[case("1.0000000001", NANO + 1, "1000000001n")]
#[case("0.00000000000000000000000000000000000000000000001", 1, "1n")]
#[case("2u", 2_000, "2u")]
#[case("1k", 1_000 * NANO, "1k")]
#[case("1000k", 1_000_000 * NANO, "1M")]
#[case("100M", 100_000_000 * NANO, "100M")]
#[case("1G", 1_000_000_000 * NANO, "1G")]
#[case("1T", 1_000_000_000_000 * NANO, "1T")]
#[case("1P", 1_000_000_000_000_000 * NANO, "1P")]
#[case("1E", 1_000_000_000_000_000_000 * NANO, "1E")]
#[case("1E3", 1_000 * NANO, "1e3")]
#[case("1e3", 1_000 * NANO, "1e3")]
#[case("12e6", 12_000_000 * NANO, "12e6")]
#[case("1e4", 10_000 * NANO, "10e3")]
#[case("1e+2", 100 * NANO, "100")]
#[case("1e-3", NANO / 1000, "1e-3")]
#[case("1E-3", NANO / 1000, "1e-3")]
#[case("1.5e0", 1_500_000_000, "1500e-3")]
#[case("1e-10", 1, "1e-9")]
#[case("1e-999999999999999999999", 1, "1e-9")]
#[case("0e999999999999999999999", 0, "0")]
#[case("1Ki", 1024 * NANO, "1Ki")]
#[case("0.5Ki", 512 * NANO, "512")]
#[case("1023", 1023 * NANO, "1023")]
#[case("128Mi", (128 << 20) * NANO, "128Mi")]
#[case("1.5Gi", (1536 << 20) * NANO, "1536Mi")]
#[case("1024Mi", (1 << 30) * NANO, "1Gi")]
#[case("2048Mi", (2 << 30) * NANO, "2Gi")]
#[case("-2Gi", -(2 << 30) * NANO, "-2Gi")]
#[case("1Ti", (1 << 40) * NANO, "1Ti")]
#[case("1Pi", (1 << 50) * NANO, "1Pi")]
#[case("1Ei", (1 << 60) * NANO, "1Ei")]
#[case("1.5Ei", (3 << 59) * NANO, "1536Pi")]
#[case("0.1Gi", 107_374_182_400_000_000, "107374182400m")]
#[case("0.001Ki", 1_024_000_000, "1024m")]
#[case("0.0001Ki", 102_400_000, "102400u")]
#[case("1.0000000000000000000000000001Ki", 1024 * NANO + 1, "1024000000001n")]
#[case("128m", 128_000_000, "128m")]
#[case("9223372036854775807", i128::from(i64::MAX) * NANO, "9223372036854775807")]
#[case("9223372036854775808", MAX_NANO, "9223372036854775807")]
#[case("99999999999999999999999999999999999999999999999", MAX_NANO, "9223372036854775807")]
#[case("10E", MAX_NANO, "9223372036854775807")]
#[case("8Ei", MAX_NANO, "9223372036854775807")]
#[case("9999999999999999999Ei", MAX_NANO, "9223372036854775807")]
#[case("1e1000", MAX_NANO, "9223372036854775807e0")]
#[case("-100Ei", -MAX_NANO, "-9223372036854775807")]
#[case("0.000000000000000000000000000000001e40", 10_000_000 * NANO, "10e6")]
fn reads_and_prints(#[case] text: &str, #[case] nano: i128, #[case] canonical: &str) {
    let quantity = Quantity::parse(text).unwrap();
    assert_eq!(quantity.nano, nano);
    // A capped exponent has nothing left to write as an exponent.
    assert_eq!(quantity.to_string(), canonical.trim_end_matches("e0"));
}

#[rstest]
#[case("", "it is empty (character 1)")]
#[case("-", "it has no digits (character 2)")]
#[case("m", "it has no digits (character 1)")]
#[case(".", "it has no digits (character 1)")]
#[case(" 1", "it has no digits (character 1)")]
#[case("Gi", "it has no digits (character 1)")]
#[case("1 ", "unknown suffix")]
#[case("1.1.M", "(character 4)")]
#[case("1+1.0M", "(character 2)")]
#[case("0.1mi", "unknown suffix")]
#[case("1K", "unknown suffix")]
#[case("1gi", "unknown suffix")]
#[case("1GB", "(character 2)")]
#[case("1.5Gb", "(character 4)")]
#[case("1i", "unknown suffix")]
#[case("1Eggs", "unknown suffix")]
#[case("-3.01e-", "the exponent is not a whole number (character 6)")]
#[case("1e", "the exponent is not a whole number")]
#[case("1e3.5", "the exponent is not a whole number")]
#[case("1e3Mi", "the exponent is not a whole number")]
#[case("0x10", "unknown suffix")]
#[case("1µ", "unknown suffix")]
#[case("NaN", "it has no digits")]
fn says_what_is_wrong(#[case] text: &str, #[case] expected: &str) {
    let message = Quantity::parse(text).unwrap_err().to_string();
    assert!(message.contains(expected), "{message}");
}

#[test]
fn errors_stay_on_one_short_line() {
    let message = Quantity::parse(&format!("1\n\u{1b}[2J{}", "x".repeat(500))).unwrap_err().to_string();
    assert!(!message.contains(char::is_control), "{message}");
    assert!(message.chars().count() < 200, "{message}");
}

#[rstest]
#[case("1Gi", "1024Mi", Ordering::Equal)]
#[case("1G", "1Gi", Ordering::Less)]
#[case("1E", "1E3", Ordering::Greater)]
#[case("100M", "100m", Ordering::Greater)]
#[case("1000m", "1", Ordering::Equal)]
#[case("-1", "0", Ordering::Less)]
#[case("9007199254740993", "9007199254740992", Ordering::Greater)]
fn compares_exactly(#[case] a: &str, #[case] b: &str, #[case] order: Ordering) {
    assert_eq!(Quantity::parse(a).unwrap().cmp(&Quantity::parse(b).unwrap()), order);
}

#[rstest]
#[case("128m", true)]
#[case("512", true)]
#[case("1Ki", false)]
#[case("128Mi", false)]
#[case("0", false)]
#[case("0.1Gi", false)]
fn finds_the_memory_typo(#[case] text: &str, #[case] typo: bool) {
    assert_eq!(Quantity::parse(text).unwrap().is_memory_typo(), typo);
}

#[test]
fn helpers_round_up() {
    assert_eq!(Quantity::from_bytes_mib_rounded_up(1).to_string(), "1Mi");
    assert_eq!(Quantity::from_bytes_mib_rounded_up((1 << 30) - 5).to_string(), "1Gi");
    assert_eq!(Quantity::from_bytes_mib_rounded_up((1 << 30) + 5).to_string(), "1025Mi");
    assert_eq!(Quantity::from_bytes_mib_rounded_up(0).to_string(), "0");
    assert_eq!(Quantity::from_bytes_mib_rounded_up(u64::MAX).to_string(), "8796093022207Mi");
    assert_eq!(Quantity::from_millis(1500).to_string(), "1500m");
    assert_eq!(Quantity::from_millis(2000).to_string(), "2");
    assert_eq!(Quantity::parse("1.0001").unwrap().millis_rounded_up(), 1001);
    assert_eq!(Quantity::parse("0.1Gi").unwrap().bytes_rounded_up(), 107_374_183);
    assert_eq!(Quantity::parse("-5").unwrap().bytes_rounded_up(), 0);
    assert_eq!(Quantity::parse("1500m").unwrap().rounded_up_to_units().to_string(), "2");
    assert_eq!(Quantity::parse("3").unwrap().divided_by(Quantity::parse("2").unwrap()).to_string(), "1500m");
    assert_eq!(Quantity::parse("1Gi").unwrap().percent(10).to_string(), "107374182400m");
}

#[rstest]
#[case(serde_json::json!("1.5Gi"), "1536Mi")]
#[case(serde_json::json!(2), "2")]
#[case(serde_json::json!(0.5), "500m")]
fn reads_json(#[case] value: Value, #[case] canonical: &str) {
    assert_eq!(Quantity::from_json(&value).unwrap().to_string(), canonical);
    let read: Quantity = serde_json::from_value(value).unwrap();
    assert_eq!(serde_json::to_value(read).unwrap(), serde_json::json!(canonical));
}

#[test]
fn other_json_is_an_error() {
    assert!(Quantity::from_json(&Value::Null).is_err());
    assert!(Quantity::from_json(&serde_json::json!({})).is_err());
}

fn any_quantity() -> impl Strategy<Value = Quantity> {
    let format = prop_oneof![Just(Format::DecimalSi), Just(Format::BinarySi), Just(Format::DecimalExponent)];
    let nano = prop_oneof![
        -MAX_NANO..=MAX_NANO,
        (-(1_i128 << 40)..(1_i128 << 40)).prop_map(|n| n * NANO),
        (0..1_i128 << 20).prop_map(|mib| (mib << 20) * NANO),
        (0..100_000_i128).prop_map(|m| m * NANO_PER_MILLI),
        -5000..5000_i128,
    ];
    (nano, format).prop_map(|(nano, format)| Quantity { nano, format })
}

proptest! {
    #[test]
    fn print_and_parse_agree(quantity in any_quantity()) {
        let text = quantity.to_string();
        let again = Quantity::parse(&text).unwrap();
        prop_assert_eq!(again.nano, quantity.nano, "{}", text);
        // A number without a suffix has lost its family, and may find a shorter form in the decimal one, but only once.
        let settled = again.to_string();
        prop_assert_eq!(Quantity::parse(&settled).unwrap().to_string(), settled);
    }

    #[test]
    fn order_is_that_of_the_amounts(a in any_quantity(), b in any_quantity()) {
        let (x, y) = (Quantity::parse(&a.to_string()).unwrap(), Quantity::parse(&b.to_string()).unwrap());
        prop_assert_eq!(x.cmp(&y), a.nano.cmp(&b.nano));
    }

    #[test]
    fn any_text_is_answered(text in "\\PC{0,40}") {
        let _ = Quantity::parse(&text);
    }

    #[test]
    fn whatever_looks_like_a_quantity_reads_back(
        text in "[+-]?[0-9]{1,25}(\\.[0-9]{0,25})?(|n|u|m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei|[eE][+-]?[0-9]{1,3})"
    ) {
        let quantity = Quantity::parse(&text).unwrap();
        prop_assert_eq!(Quantity::parse(&quantity.to_string()).unwrap(), quantity);
    }

    #[test]
    fn agrees_with_a_plain_calculation(whole in 0_u32..1_000_000, thousandths in 0_i128..1000, power in 1_u32..=6) {
        let text = format!("{whole}.{thousandths:03}{}", ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"][power as usize - 1]);
        let exact = (i128::from(whole) * 1000 + thousandths) * (1_i128 << (10 * power)) * NANO_PER_MILLI;
        prop_assert_eq!(Quantity::parse(&text).unwrap().nano, exact.min(MAX_NANO));
    }
}
