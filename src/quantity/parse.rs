//! Reads a quantity's text: sign, digits, suffix or exponent, with the API server's rounding and cap.
//! Must not lose a digit: all arithmetic is on integers, however long the text.

use super::{Format, MAX_NANO, NANO, Quantity};

/// Characters of a wrong text that an error repeats.
const SHOWN_CHARS: usize = 40;

/// A text that is not a Kubernetes quantity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{shown:?} is not a Kubernetes quantity: {problem} (character {position}); write it like 500m, 2 or 1536Mi")]
pub struct QuantityError {
    /// The text, shortened. Printed with control characters escaped.
    shown: String,
    problem: Problem,
    /// Counted from 1.
    position: usize,
}

/// What is wrong with a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Problem {
    #[error("it is empty")]
    Empty,
    #[error("it has no digits")]
    NoDigits,
    #[error("unknown suffix, known are n u m k M G T P E and Ki Mi Gi Ti Pi Ei")]
    Suffix,
    #[error("the exponent is not a whole number")]
    Exponent,
    #[error("it is neither a text nor a number")]
    NotText,
}

impl QuantityError {
    fn new(text: &str, problem: Problem, byte: usize) -> Self {
        let mut shown: String = text.chars().take(SHOWN_CHARS).collect();
        if shown.len() < text.len() {
            shown.push('…');
        }
        let position = text.char_indices().take_while(|&(at, _)| at < byte).count() + 1;
        Self { shown, problem, position }
    }

    pub(super) fn not_text() -> Self {
        Self::new("", Problem::NotText, 0)
    }
}

/// What the suffix multiplies by.
enum Scale {
    /// A power of ten.
    Ten(i64, Format),
    /// A power of two: 10, 20 … 60.
    Two(u32),
}

pub(super) fn parse(text: &str) -> Result<Quantity, QuantityError> {
    if text.is_empty() {
        return Err(QuantityError::new(text, Problem::Empty, 0));
    }
    let (negative, unsigned) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    let (whole, rest) = digits(unsigned);
    let (fraction, suffix) = rest.strip_prefix('.').map_or(("", rest), digits);
    let at = text.len() - suffix.len();
    if whole.is_empty() && fraction.is_empty() {
        return Err(QuantityError::new(text, Problem::NoDigits, text.len() - unsigned.len()));
    }
    let scale = scale(suffix).map_err(|problem| QuantityError::new(text, problem, at))?;
    let whole = whole.trim_start_matches('0');
    let fraction = fraction.trim_end_matches('0');
    let (nano, format) = match scale {
        Scale::Ten(power, format) => (decimal(whole, fraction, power), format),
        Scale::Two(bits) => {
            let nano = binary(whole, fraction, bits);
            // Less than one unit cannot be said with binary suffixes.
            (nano, if nano < NANO { Format::DecimalSi } else { Format::BinarySi })
        }
    };
    let nano = nano.min(MAX_NANO);
    Ok(Quantity { nano: if negative { -nano } else { nano }, format })
}

/// Leading ASCII digits, and what follows.
fn digits(text: &str) -> (&str, &str) {
    let end = text.bytes().position(|b| !b.is_ascii_digit()).unwrap_or(text.len());
    text.split_at(end)
}

fn scale(suffix: &str) -> Result<Scale, Problem> {
    let si = |power| Ok(Scale::Ten(power, Format::DecimalSi));
    match suffix {
        "n" => si(-9),
        "u" => si(-6),
        "m" => si(-3),
        "" => si(0),
        "k" => si(3),
        "M" => si(6),
        "G" => si(9),
        "T" => si(12),
        "P" => si(15),
        "E" => si(18),
        "Ki" => Ok(Scale::Two(10)),
        "Mi" => Ok(Scale::Two(20)),
        "Gi" => Ok(Scale::Two(30)),
        "Ti" => Ok(Scale::Two(40)),
        "Pi" => Ok(Scale::Two(50)),
        "Ei" => Ok(Scale::Two(60)),
        _ => exponent(suffix),
    }
}

/// `e3`, `E-6`. (`E` alone is exa and was matched before.)
fn exponent(suffix: &str) -> Result<Scale, Problem> {
    let number = suffix.strip_prefix(['e', 'E']).ok_or(Problem::Suffix)?;
    let unsigned = number.strip_prefix(['+', '-']).unwrap_or(number);
    if unsigned.is_empty() || !unsigned.bytes().all(|b| b.is_ascii_digit()) {
        // "1Eggs" is a wrong suffix, "1e" and "1e+" are unfinished exponents.
        let unfinished = unsigned.is_empty() || unsigned.starts_with(|c: char| c.is_ascii_digit());
        return Err(if unfinished { Problem::Exponent } else { Problem::Suffix });
    }
    // Far beyond both the cap and a nano unit, the exact exponent makes no difference.
    let power = unsigned.parse::<i64>().unwrap_or(i64::MAX).min(1_000_000_000);
    Ok(Scale::Ten(if number.starts_with('-') { -power } else { power }, Format::DecimalExponent))
}

/// Nano units of `whole.fraction` times ten to the `power`, rounded up; at most a little over the cap.
/// `whole` has no leading zeros.
fn decimal(whole: &str, fraction: &str, power: i64) -> i128 {
    let significant = || whole.bytes().chain(fraction.bytes());
    if significant().all(|d| d == b'0') {
        return 0;
    }
    // Digits left of the decimal point once it is moved to count nano units.
    let point = i64::try_from(whole.len()).unwrap_or(i64::MAX).saturating_add(power).saturating_add(9);
    // Leading zeros of a pure fraction are not significant.
    let leading = if whole.is_empty() { fraction.bytes().take_while(|&d| d == b'0').count() } else { 0 };
    if point.saturating_sub(i64::try_from(leading).unwrap_or(i64::MAX)) > 30 {
        return MAX_NANO;
    }
    let point = usize::try_from(point.max(0)).unwrap_or(usize::MAX);
    let padded = significant().chain(std::iter::repeat(b'0'));
    let nano = padded.take(point).fold(0_i128, |n, d| n * 10 + i128::from(d - b'0'));
    let rest = significant().skip(point).any(|d| d != b'0');
    nano + i128::from(rest)
}

/// Nano units of `whole.fraction` times two to the `bits` (at most 60), rounded up; at most a little over the cap.
fn binary(whole: &str, fraction: &str, bits: u32) -> i128 {
    if whole.len() > 19 {
        return MAX_NANO;
    }
    let factor = NANO << bits;
    let units = whole.bytes().fold(0_i128, |n, d| n * 10 + i128::from(d - b'0'));
    // Long multiplication of the fraction's digits: what is carried over the point is whole nano units.
    let (carried, rest) = fraction.bytes().rev().fold((0_i128, false), |(carry, rest), d| {
        let product = i128::from(d - b'0') * factor + carry;
        (product / 10, rest || product % 10 != 0)
    });
    units.checked_mul(factor).map_or(MAX_NANO, |nano| nano.min(MAX_NANO) + carried + i128::from(rest))
}
