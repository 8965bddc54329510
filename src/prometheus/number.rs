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

/// Seconds with a fraction, as milliseconds.
pub(crate) fn parse_time(bytes: &[u8]) -> Option<i64> {
    let (negative, digits) = match bytes.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, bytes),
    };
    let mut ms: i64 = 0;
    let mut fraction: Option<u8> = None;
    if digits.is_empty() || digits.len() > 32 {
        return None;
    }
    for (i, b) in digits.iter().enumerate() {
        match (b, fraction) {
            (b'0'..=b'9', None) => ms = ms.checked_mul(10)?.checked_add(i64::from(b - b'0'))?,
            (b'0'..=b'9', Some(n)) => {
                if n < 3 {
                    ms = ms.checked_mul(10)?.checked_add(i64::from(b - b'0'))?;
                } else if n == 3 && *b >= b'5' {
                    ms = ms.checked_add(1)?;
                }
                fraction = Some(n.saturating_add(1));
            }
            (b'.', None) if i > 0 => fraction = Some(0),
            (b'e' | b'E', _) => {
                let seconds: f64 = std::str::from_utf8(bytes).ok()?.parse().ok()?;
                return (seconds.abs() < 9e15).then(|| (seconds * 1000.0).round() as i64);
            }
            _ => return None,
        }
    }
    for _ in fraction.unwrap_or(0).min(3)..3 {
        ms = ms.checked_mul(10)?;
    }
    Some(if negative { -ms } else { ms })
}

/// A float as Prometheus writes it: also `NaN`, `+Inf`, `-Inf`.
pub(crate) fn parse_value(bytes: &[u8]) -> Option<f64> {
    std::str::from_utf8(bytes).ok()?.parse().ok()
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
