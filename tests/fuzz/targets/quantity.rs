//! Quantities: printed and read again they are the same, order and sums agree with each other, and amounts agree with
//! floating point as far as that reaches. Knows nothing of where the bytes come from.

use podfit::quantity::Quantity;
use serde_json::Value;

/// Two lines: two quantities.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (first, second) = text.split_once('\n').unwrap_or((text, ""));
    let (first, second) = (one(first), one(second));
    if let (Some(a), Some(b)) = (first, second) {
        two(a, b);
    }
}

fn one(text: &str) -> Option<Quantity> {
    let quantity = match Quantity::parse(text) {
        Ok(quantity) => quantity,
        Err(error) => {
            let said = error.to_string();
            assert!(!said.contains(char::is_control) && said.chars().count() < 700, "{said:?}");
            return None;
        }
    };
    let printed = quantity.to_string();
    let again = Quantity::parse(&printed);
    assert_eq!(again, Ok(quantity), "{text} is printed as {printed}");
    assert_eq!(again.map(|q| q.to_string()), Ok(printed.clone()), "{text} is printed in one way");
    assert_eq!(Quantity::from_json(&Value::String(text.to_owned())), Ok(quantity));
    let json = serde_json::to_value(quantity).unwrap();
    assert_eq!(json, Value::String(printed));
    assert_eq!(serde_json::from_value::<Quantity>(json).unwrap(), quantity);
    assert!(quantity.rounded_up_to_units() >= quantity && quantity.rounded_up_to_units().is_whole());
    assert!(quantity.rounded_up_to_millis() >= quantity);
    assert!(quantity.rounded_up_to_units() >= quantity.rounded_up_to_millis());
    if let Some(about) = float(text).filter(|about| *about >= 0.0) {
        let bytes = quantity.bytes_rounded_up() as f64;
        let slack = 1e-9 * about + 1e-6;
        let capped = about.min(9_223_372_036_854_775_807.0);
        assert!(bytes >= capped - slack && bytes <= capped + 1.0 + slack, "{text}: {bytes} for {about}");
    }
    Some(quantity)
}

/// The amount by way of floating point; `None` where that does not reach.
fn float(text: &str) -> Option<f64> {
    let at = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, suffix) = text.split_at(at);
    let factor = match suffix {
        "n" => 1e-9,
        "u" => 1e-6,
        "m" => 1e-3,
        "" => 1.0,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "P" => 1e15,
        "E" => 1e18,
        "Ki" => 1024.0,
        "Mi" => 1_048_576.0,
        "Gi" => 1_073_741_824.0,
        "Ti" => 1_099_511_627_776.0,
        "Pi" => 1_125_899_906_842_624.0,
        "Ei" => 1_152_921_504_606_846_976.0,
        _ => return text.parse().ok(),
    };
    number.parse::<f64>().ok().map(|n| n * factor)
}

fn two(a: Quantity, b: Quantity) {
    assert_eq!(a.cmp(&b), b.cmp(&a).reverse());
    assert_eq!(a == b, a <= b && b <= a);
    assert_eq!(a.plus(b), b.plus(a));
    assert!(!a.minus(b).is_negative());
    if !b.is_negative() {
        assert!(a.plus(b) >= a);
        assert_eq!(a.minus(b).is_zero(), a <= b);
        assert!(b.percent(100) == b && b.percent(u32::MAX) >= b && b.percent(50) <= b);
    }
    if !a.is_negative() && !b.is_negative() {
        assert!(a <= b || a.millis_rounded_up() >= b.millis_rounded_up());
        assert!(a <= b || a.bytes_rounded_up() >= b.bytes_rounded_up());
    }
    // A limit divided by its ratio, times the ratio, is at least the limit.
    let share = a.divided_by(b);
    assert!(!b.is_zero() || share == a);
    if b >= Quantity::from_units(1) && !a.is_negative() {
        assert!(share <= a, "{a} / {b} = {share}");
    }
}
