//! Times and values as Prometheus writes them in text.
//! Knows nothing of what is around them.

/// A `[time,"value"]` that is in the bytes whole and without blanks: its length, time and value.
pub(crate) fn whole_pair(bytes: &[u8]) -> Option<(usize, i64, f64)> {
    // Longer pairs take the slow way; a time and a float need no more.
    let window = &bytes[..bytes.len().min(96)];
    let inner = window.strip_prefix(b"[")?;
    let comma = inner.iter().position(|b| *b == b',')?;
    let time_ms = parse_time(&inner[..comma])?;
    let text = inner[comma + 1..].strip_prefix(b"\"")?;
    let quote = text.iter().position(|b| *b == b'"')?;
    (text.get(quote + 1) == Some(&b']')).then_some(())?;
    Some((1 + comma + 1 + 1 + quote + 2, time_ms, parse_value(&text[..quote])?))
}

/// Seconds with a fraction, as milliseconds, rounded.
pub(crate) fn parse_time(bytes: &[u8]) -> Option<i64> {
    let digits = bytes.strip_prefix(b"-").unwrap_or(bytes);
    let (whole, rest) = leading_digits(digits);
    // So many seconds are still a sane number of milliseconds.
    if whole.is_empty() || whole.len() > 15 {
        return None;
    }
    let mut ms = whole.iter().fold(0, |sum, b| sum * 10 + i64::from(b - b'0')) * 1000;
    let rest = match rest.strip_prefix(b".") {
        Some(rest) => {
            let (fraction, rest) = leading_digits(rest);
            let digit = |i: usize| fraction.get(i).map_or(0, |b| i64::from(b - b'0'));
            ms += digit(0) * 100 + digit(1) * 10 + digit(2) + i64::from(digit(3) >= 5);
            rest
        }
        None => rest,
    };
    match rest.first() {
        None => Some(if digits.len() < bytes.len() { -ms } else { ms }),
        Some(b'e' | b'E') => {
            let seconds: f64 = std::str::from_utf8(bytes).ok()?.parse().ok()?;
            (seconds.abs() < 9e15).then(|| (seconds * 1000.0).round() as i64)
        }
        Some(_) => None,
    }
}

/// A float as Prometheus writes it: also `NaN`, `+Inf`, `-Inf`.
pub(crate) fn parse_value(bytes: &[u8]) -> Option<f64> {
    let (whole, rest) = leading_digits(bytes);
    if rest.is_empty() && (1..=15).contains(&whole.len()) {
        // Whole numbers below 2^53, the usual bytes and counts, are floats as they are.
        return Some(whole.iter().fold(0_u64, |sum, b| sum * 10 + u64::from(b - b'0')) as f64);
    }
    std::str::from_utf8(bytes).ok()?.parse().ok()
}

fn leading_digits(bytes: &[u8]) -> (&[u8], &[u8]) {
    let length = bytes.iter().position(|b| !b.is_ascii_digit()).unwrap_or(bytes.len());
    bytes.split_at(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_to_the_millisecond() {
        for (text, ms) in [
            ("0", 0),
            ("1435781430.781", 1_435_781_430_781),
            ("1435781430.7", 1_435_781_430_700),
            ("1435781430.78149", 1_435_781_430_781),
            ("1435781430.7815", 1_435_781_430_782),
            ("-1.5", -1_500),
            ("1.435781430781e9", 1_435_781_430_781),
            ("1e3", 1_000_000),
        ] {
            assert_eq!(parse_time(text.as_bytes()), Some(ms), "{text}");
        }
        for text in ["", "-", ".", "1.2.3", "x", "99999999999999999999", "NaN", "1e99", "1e"] {
            assert_eq!(parse_time(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn values_are_exact() {
        for (text, value) in [
            ("0", 0.0),
            ("042", 42.0),
            ("999999999999999", 999_999_999_999_999.0),
            ("9007199254740993", 9_007_199_254_740_992.0),
            ("-0", -0.0),
            ("1e-3", 0.001),
            ("+Inf", f64::INFINITY),
            ("-Inf", f64::NEG_INFINITY),
        ] {
            assert_eq!(parse_value(text.as_bytes()).map(f64::to_bits), Some(f64::to_bits(value)), "{text}");
        }
        assert!(parse_value(b"NaN").unwrap().is_nan());
        for text in ["", "x", "1 ", "0x1", "\u{fffd}"] {
            assert_eq!(parse_value(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn pairs_are_taken_whole_or_not_at_all() {
        let pair = b"[1700000000.5,\"1e3\"],[1";
        assert_eq!(whole_pair(pair), Some((20, 1_700_000_000_500, 1000.0)));
        for length in 0..20 {
            assert_eq!(whole_pair(&pair[..length]), None);
        }
        for other in ["[ 1,\"1\"]", "[1,1]", "[1,\"x\"]", "[1,\"1\" ]", "{}"] {
            assert_eq!(whole_pair(other.as_bytes()), None);
        }
    }
}
