//! Round numbers for axes: of memory in binary units, of amounts in decimal ones, of time in days and hours.

use crate::quantity::MIB_F64;
use crate::text::units;

const DAY_MS: i64 = 86_400_000;
const HOUR_MS: i64 = 3_600_000;

/// Where lines of an axis are, and the axis' end.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::report) struct Ticks {
    /// Values with their labels, ascending, from 0.
    pub at: Vec<(f64, String)>,
    /// End of the axis.
    pub most: f64,
}

/// An axis of bytes from 0 that reaches `most`: steps of 1, 2, 4, 8, … MiB, so that labels are whole.
pub(super) fn memory(most: f64, about: usize) -> Ticks {
    let most = if most.is_finite() && most > 0.0 { most } else { MIB_F64 };
    let mut step = MIB_F64;
    while most / step > about as f64 && step < 1e18 {
        step *= 2.0;
    }
    up_to(most, step, |v| if v == 0.0 { "0".to_owned() } else { finely(v, step) })
}

/// Whole labels between two numbers of bytes, at most `about`.
pub(super) fn memory_between(from: f64, to: f64, about: usize) -> Vec<(f64, String)> {
    let mut step = MIB_F64;
    while (to - from) / step > about as f64 && step < 1e20 {
        step *= 2.0;
    }
    let first = (from / step).ceil();
    (0..=about)
        .map(|i| (first + i as f64) * step)
        .take_while(|v| *v <= to)
        .map(|v| (v, if v == 0.0 { "0".to_owned() } else { finely(v, step) }))
        .collect()
}

/// Steps of less than half a GiB need finer words than others: `768Mi`, `3.125Gi`; and still smaller ones MiB alone.
fn finely(bytes: f64, step: f64) -> String {
    let mib = bytes / MIB_F64;
    if step >= 512.0 * MIB_F64 {
        units::memory(bytes as u64)
    } else if step >= 128.0 * MIB_F64 && mib >= 1024.0 {
        let text = format!("{:.3}", mib / 1024.0);
        format!("{}Gi", text.trim_end_matches('0').trim_end_matches('.'))
    } else {
        format!("{}Mi", mib.round())
    }
}

/// An axis of any amount from 0 that reaches `most`: steps of 1, 2 or 5 times a power of ten.
pub(in crate::report) fn amount(most: f64, about: usize) -> Ticks {
    let most = if most.is_finite() && most > 0.0 { most } else { 1.0 };
    let rough = most / about as f64;
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|m| m * power).find(|s| *s >= rough).unwrap_or(power * 10.0);
    let digits = if step >= 1.0 { 0 } else { (-step.log10().floor()) as usize };
    up_to(most, step, |v| grouped(&format!("{v:.digits$}")))
}

/// An axis of whole numbers from 0.
pub(super) fn count(most: u64, about: usize) -> Ticks {
    let mut ticks = amount(most.max(1) as f64, about);
    ticks.at.retain(|(v, _)| *v == v.trunc());
    for (value, label) in &mut ticks.at {
        *label = grouped(&format!("{value:.0}"));
    }
    ticks
}

fn up_to(most: f64, step: f64, label: impl Fn(f64) -> String) -> Ticks {
    let steps = (most / step - 1e-9).ceil().max(1.0);
    let at = (0..=steps as u32).map(|i| f64::from(i) * step).map(|v| (v, label(v))).collect();
    Ticks { at, most: steps * step }
}

fn grouped(text: &str) -> String {
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    let mut out = String::new();
    for (i, digit) in whole.chars().enumerate() {
        if i > 0 && (whole.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out + rest
}

/// Moments between two, at most `about`, at midnights where there are days enough: `11-18`, `14:00`.
pub(super) fn time(start_ms: i64, end_ms: i64, about: u8) -> Vec<(i64, String)> {
    const STEPS: [i64; 13] = [
        HOUR_MS / 12,
        HOUR_MS / 4,
        HOUR_MS,
        3 * HOUR_MS,
        6 * HOUR_MS,
        12 * HOUR_MS,
        DAY_MS,
        2 * DAY_MS,
        7 * DAY_MS,
        14 * DAY_MS,
        28 * DAY_MS,
        91 * DAY_MS,
        364 * DAY_MS,
    ];
    let length = end_ms.saturating_sub(start_ms).max(1);
    let step = STEPS.into_iter().find(|s| length / s <= i64::from(about)).unwrap_or(STEPS[STEPS.len() - 1]);
    let first =
        start_ms.div_euclid(step).saturating_add(i64::from(start_ms.rem_euclid(step) != 0)).saturating_mul(step);
    let form = if step < DAY_MS { "%m-%d %H:%M" } else { "%m-%d" };
    (0..=i64::from(about) + 1)
        .map(|i| first.saturating_add(i * step))
        .take_while(|at| *at <= end_ms)
        .filter_map(|at| Some((at, jiff::Timestamp::from_millisecond(at).ok()?.strftime(form).to_string())))
        .collect()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    use crate::quantity::GIB_F64;

    #[rstest]
    #[case(8.0 * GIB_F64, &["0", "2Gi", "4Gi", "6Gi", "8Gi"])]
    #[case(0.5 * GIB_F64, &["0", "128Mi", "256Mi", "384Mi", "512Mi"])]
    #[case(1.3 * GIB_F64, &["0", "512Mi", "1Gi", "1.5Gi"])]
    #[case(1.2 * GIB_F64, &["0", "256Mi", "512Mi", "768Mi", "1Gi", "1.25Gi"])]
    #[case(0.0, &["0", "1Mi"])]
    #[case(f64::NAN, &["0", "1Mi"])]
    fn memory_has_whole_labels(#[case] most: f64, #[case] labels: &[&str]) {
        let ticks = memory(most, 5);
        assert_eq!(ticks.at.iter().map(|(_, l)| l.as_str()).collect::<Vec<_>>(), labels);
        assert!(ticks.most >= if most.is_nan() { 0.0 } else { most });
    }

    #[rstest]
    #[case(0.37, &["0.0", "0.1", "0.2", "0.3", "0.4"])]
    #[case(9.0, &["0", "2", "4", "6", "8", "10"])]
    #[case(6100.0, &["0", "2,000", "4,000", "6,000", "8,000"])]
    fn amounts_are_round(#[case] most: f64, #[case] labels: &[&str]) {
        assert_eq!(amount(most, 5).at.iter().map(|(_, l)| l.as_str()).collect::<Vec<_>>(), labels);
    }

    #[test]
    fn counts_are_whole_and_days_are_midnights() {
        assert!(count(2, 5).at.iter().all(|(v, _)| v.fract() == 0.0));
        let fortnight = time(1_794_117_600_000, 1_795_327_200_000, 7);
        assert!(fortnight.iter().all(|(at, _)| at % DAY_MS == 0), "{fortnight:?}");
        assert!((4..=8).contains(&fortnight.len()), "{fortnight:?}");
        assert!(time(i64::MIN, i64::MAX, 7).len() <= 9);
    }
}
