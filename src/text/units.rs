//! Formats amounts for people: short, with a unit, no more precise than they are known.

use crate::quantity::Quantity;

/// Memory: `640Mi`, `1.3Gi`, `24Gi`.
pub fn memory(bytes: u64) -> String {
    use crate::quantity::MIB_F64;
    let mib = bytes as f64 / MIB_F64;
    if mib < 1.0 {
        return format!("{}Ki", bytes.div_ceil(1024));
    }
    if mib < 1023.5 {
        return format!("{}Mi", mib.round());
    }
    let gib = mib / 1024.0;
    if gib >= 1000.0 {
        return trimmed(gib / 1024.0, "Ti");
    }
    trimmed(gib, "Gi")
}

fn trimmed(value: f64, unit: &str) -> String {
    let text = if value < 99.95 { format!("{value:.1}") } else { format!("{value:.0}") };
    format!("{}{unit}", text.strip_suffix(".0").unwrap_or(&text))
}

/// Memory of a quantity, `—` when there is none.
pub fn memory_or_dash(quantity: Option<Quantity>) -> String {
    quantity.map_or_else(|| "—".to_owned(), |q| memory(q.bytes_rounded_up()))
}

/// CPU: `50m`, `1.5`, `12`.
pub fn cpu(millis: u64) -> String {
    if millis < 1000 {
        return format!("{millis}m");
    }
    let text = format!("{:.2}", millis as f64 / 1000.0);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// CPU of a quantity, `—` when there is none.
pub fn cpu_or_dash(quantity: Option<Quantity>) -> String {
    quantity.map_or_else(|| "—".to_owned(), |q| cpu(q.millis_rounded_up()))
}

/// A span of time: `40 s`, `12 min`, `3.5 h`, `14 d`.
pub fn duration(seconds: f64) -> String {
    let one = |value: f64, unit: &str| {
        let text = format!("{value:.1}");
        format!("{} {unit}", text.strip_suffix(".0").unwrap_or(&text))
    };
    if seconds < 99.5 {
        format!("{} s", seconds.round())
    } else if seconds < 5_400.0 {
        format!("{} min", (seconds / 60.0).round())
    } else if seconds < 172_800.0 {
        one(seconds / 3_600.0, "h")
    } else {
        one(seconds / 86_400.0, "d")
    }
}

/// A day in UTC: `2026-11-21`.
pub fn day(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).map_or_else(|_| "?".to_owned(), |t| t.strftime("%Y-%m-%d").to_string())
}

/// A share: `3 %`, `0.4 %`, `< 0.1 %`.
pub fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if percent > 0.0 && percent < 0.1 {
        return "< 0.1 %".to_owned();
    }
    if percent < 9.95 {
        let text = format!("{percent:.1}");
        return format!("{} %", text.strip_suffix(".0").unwrap_or(&text));
    }
    format!("{percent:.0} %")
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(0, "0Ki")]
    #[case(512 << 20, "512Mi")]
    #[case(1 << 30, "1Gi")]
    #[case((13 << 30) / 10, "1.3Gi")]
    #[case(24 << 30, "24Gi")]
    #[case(1 << 40, "1Ti")]
    fn memories(#[case] bytes: u64, #[case] expected: &str) {
        assert_eq!(memory(bytes), expected);
    }

    #[rstest]
    #[case(5, "5m")]
    #[case(905, "905m")]
    #[case(1000, "1")]
    #[case(1505, "1.5")]
    #[case(12_345, "12.35")]
    fn cpus(#[case] millis: u64, #[case] expected: &str) {
        assert_eq!(cpu(millis), expected);
    }

    #[rstest]
    #[case(40.0, "40 s")]
    #[case(600.0, "10 min")]
    #[case(12_600.0, "3.5 h")]
    #[case(1_209_600.0, "14 d")]
    fn durations(#[case] seconds: f64, #[case] expected: &str) {
        assert_eq!(duration(seconds), expected);
    }
}
