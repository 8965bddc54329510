//! How memory peaks are distributed: bars of runs, lines where request, limit and recommendation lie.

use super::{Anchor, HEIGHT, Mark, WIDTH, legend, line, open, rectangle, scale, text, units};
use crate::quantity::MIB;

/// Bars at most.
const BARS: u64 = 24;
const LEFT: f64 = 44.0;
const RIGHT: f64 = 20.0;
const BOTTOM: f64 = 44.0;
/// A line further from zero than the highest peak times this is named in the legend, and not drawn: it would leave no
/// room for the bars.
const FAR: f64 = 1.5;

/// What to draw.
#[derive(Clone, Debug)]
pub struct Distribution<'a> {
    /// Unique in the page; letters, digits and hyphens.
    pub id: String,
    /// Whose peaks.
    pub title: &'a str,
    /// What each is of: a run, or a day of a service.
    pub unit: &'a str,
    /// Peaks in bytes.
    pub peaks: &'a [u64],
    /// Request now, in bytes.
    pub request: Option<u64>,
    /// Limit now, in bytes.
    pub limit: Option<u64>,
    /// Recommended, in bytes.
    pub recommended: Option<u64>,
}

/// The picture; empty without peaks.
pub fn picture(what: &Distribution<'_>) -> String {
    let (Some(&low), Some(&high)) = (what.peaks.iter().min(), what.peaks.iter().max()) else { return String::new() };
    let marks = marks(what);
    let near = |bytes: u64| bytes as f64 <= high as f64 * FAR;
    let drawn: Vec<u64> = marks.iter().map(|m| m.bytes).filter(|b| near(*b)).collect();
    let from = drawn.iter().copied().chain([low]).min().unwrap_or(low);
    let to = drawn.iter().copied().chain([high]).max().unwrap_or(high);
    // From a little below to a little above; never less than a few MiB, so that equal peaks are one bar of some width.
    let room = ((to - from) / 20).max(8 * MIB);
    let (from, to) = (from.saturating_sub(room), to.saturating_add(room));
    let width = ((to - from) / BARS / MIB + 1) * MIB;
    let bins = ((to - from) / width + 1) as usize;
    let mut counts = vec![0_u64; bins];
    for peak in what.peaks {
        counts[(((peak - from) / width) as usize).min(bins - 1)] += 1;
    }
    let most = counts.iter().copied().max().unwrap_or(1);

    let description = described(what, low, high, width);
    let mut out =
        open(&what.id, WIDTH, HEIGHT, &format!("Distribution of memory peaks of {}", what.title), &description);
    let mut entries = vec![(Mark::Box("bar-used"), format!("{} {}s", what.peaks.len(), what.unit))];
    entries.extend(marks.iter().map(|m| {
        let far = if near(m.bytes) { "" } else { " →" };
        (Mark::Line(m.class), format!("{} {}{far}", m.name, units::memory(m.bytes)))
    }));
    let top = legend(&mut out, &entries, LEFT, WIDTH - 4.0, 2.0) + 8.0;
    let floor = HEIGHT - BOTTOM;
    let end = from as f64 + bins as f64 * width as f64;
    let at_x =
        |bytes: f64| LEFT + (WIDTH - LEFT - RIGHT) * ((bytes - from as f64) / (end - from as f64)).clamp(0.0, 1.0);
    let ticks = scale::count(most, 5);
    let at_y = |count: f64| floor - (floor - top) * (count / ticks.most);
    for (value, label) in &ticks.at {
        let y = at_y(*value);
        line(&mut out, if *value == 0.0 { "base" } else { "grid" }, (LEFT, y), (WIDTH - RIGHT, y));
        text(&mut out, LEFT - 6.0, y + 4.0, "axis", Anchor::End, label);
    }
    for (at, count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
        let left = at_x(from as f64 + at as f64 * width as f64);
        let right = at_x(from as f64 + (at as f64 + 1.0) * width as f64);
        let y = at_y(*count as f64);
        rectangle(&mut out, "bar-used", left + 0.6, y, right - left - 1.2, floor - y);
    }
    for (value, label) in scale::memory_between(from as f64, end, 6) {
        let x = at_x(value);
        line(&mut out, "base", (x, floor), (x, floor + 4.0));
        text(&mut out, x, floor + 17.0, "axis", Anchor::Middle, &label);
    }
    let middle = f64::midpoint(LEFT, WIDTH - RIGHT);
    text(&mut out, middle, HEIGHT - 6.0, "axis", Anchor::Middle, &format!("memory peak; up: {}s", what.unit));
    for mark in marks.iter().filter(|m| near(m.bytes)) {
        let x = at_x(mark.bytes as f64);
        line(&mut out, mark.class, (x, top), (x, floor));
    }
    out.push_str("\n</svg>\n");
    out
}

struct Level {
    class: &'static str,
    name: &'static str,
    bytes: u64,
}

fn marks(what: &Distribution<'_>) -> Vec<Level> {
    let same = what.request.is_some() && what.request == what.limit;
    let request = what.request.filter(|_| !same).map(|bytes| Level { class: "request", name: "request", bytes });
    let name = if same { "request and limit" } else { "limit" };
    let limit = what.limit.map(|bytes| Level { class: "limit", name, bytes });
    let needed = what.recommended.map(|bytes| Level { class: "needed", name: "recommended", bytes });
    [request, limit, needed].into_iter().flatten().collect()
}

fn described(what: &Distribution<'_>, low: u64, high: u64, width: u64) -> String {
    let mut said = format!(
        "{} {}s with peaks from {} to {}, in bars of {}",
        what.peaks.len(),
        what.unit,
        units::memory(low),
        units::memory(high),
        units::memory(width)
    );
    for mark in marks(what) {
        said.push_str(&format!("; {} {}", mark.name, units::memory(mark.bytes)));
    }
    said.push('.');
    said
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    use crate::quantity::GIB;

    fn drawn(peaks: &[u64], limit: u64, recommended: u64) -> String {
        picture(&Distribution {
            id: "d".to_owned(),
            title: "t",
            unit: "run",
            peaks,
            request: Some(limit),
            limit: Some(limit),
            recommended: Some(recommended),
        })
    }

    #[test]
    fn a_far_limit_is_named_and_not_drawn() {
        let peaks: Vec<u64> = (0..20).map(|i| GIB + i * 10 * MIB).collect();
        let svg = drawn(&peaks, 8 * GIB, GIB + 300 * MIB);
        assert!(svg.contains("request and limit 8Gi →"));
        assert_eq!(svg.matches("class=\"limit\"").count(), 1, "its legend alone");
        assert_eq!(svg.matches("class=\"needed\"").count(), 2);
        let near = drawn(&peaks, GIB + 400 * MIB, GIB + 300 * MIB);
        assert_eq!(near.matches("class=\"limit\"").count(), 2);
    }

    #[rstest]
    #[case(&[GIB])]
    #[case(&[GIB, GIB, GIB])]
    #[case(&[0])]
    #[case(&[0, u64::MAX])]
    #[case(&[u64::MAX])]
    fn odd_peaks_draw_bars(#[case] peaks: &[u64]) {
        let svg = drawn(peaks, GIB, GIB);
        assert!(svg.matches("<rect class=\"bar-used\"").count() >= 2, "a bar and the legend");
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        assert!(svg.len() < 20_000);
    }
}
