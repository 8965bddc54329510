//! A histogram of peaks on a terminal, with marks where request, limit and recommendation lie.

use crate::text::units;

/// Rows between the lowest and the highest peak.
const BINS: usize = 12;
/// Longest bar, in columns.
const BAR: usize = 48;
const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];

/// A value worth marking beside the bars.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Where, in bytes.
    pub bytes: u64,
    /// What it is.
    pub label: String,
}

/// Peaks in bytes as bars, marks as lines between them, lowest first. Empty without peaks.
pub fn render(peaks: &[u64], marks: &[Mark]) -> String {
    let (Some(&low), Some(&high)) = (peaks.iter().min(), peaks.iter().max()) else { return String::new() };
    let width = ((high - low) / BINS as u64 + 1).max(1 << 20);
    let bins = ((high - low) / width + 1) as usize;
    let mut counts = vec![0_usize; bins];
    for peak in peaks {
        counts[((peak - low) / width) as usize] += 1;
    }
    let most = counts.iter().copied().max().unwrap_or(1).max(1);
    let mut marks: Vec<&Mark> = marks.iter().collect();
    marks.sort_by_key(|m| m.bytes);
    let mut marks = marks.into_iter().peekable();
    // Rows nearer to each other than a tenth of a GiB need finer words than GiB.
    let label = |bytes: u64| {
        if width < (1 << 30) / 10 * 3 / 2 { format!("{}Mi", bytes >> 20) } else { units::memory(bytes) }
    };
    let mut out = String::new();
    for (i, count) in counts.iter().enumerate() {
        let upper = low + (i as u64 + 1) * width;
        while let Some(mark) = marks.next_if(|m| m.bytes < upper && (i > 0 || m.bytes < low)) {
            out.push_str(&mark_line(mark));
        }
        let eighths = count * BAR * 8 / most;
        let mut bar = "█".repeat(eighths / 8);
        bar.push_str(EIGHTHS[eighths % 8]);
        if *count > 0 && bar.is_empty() {
            bar.push_str(EIGHTHS[1]);
        }
        let number = if *count == 0 { String::new() } else { format!(" {count}") };
        out.push_str(&format!("{:>9} │{bar}{number}\n", label(low + i as u64 * width)));
    }
    for mark in marks {
        out.push_str(&mark_line(mark));
    }
    out
}

fn mark_line(mark: &Mark) -> String {
    format!("{:>9} ├╴{}\n", units::memory(mark.bytes), mark.label)
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::quantity::MIB;

    #[test]
    fn every_peak_is_counted_and_every_mark_shown_in_order() {
        let peaks: Vec<u64> = (0..50).map(|i| (500 + i % 17 * 10) * MIB).collect();
        let mark = |mib: u64, label: &str| Mark { bytes: mib * MIB, label: label.to_owned() };
        let text = render(&peaks, &[mark(4096, "limit"), mark(100, "request"), mark(700, "recommended")]);
        let counted: usize =
            text.lines().filter(|l| l.contains('│')).filter_map(|l| l.rsplit(' ').next()?.parse::<usize>().ok()).sum();
        assert_eq!(counted, 50);
        let at = |label: &str| text.lines().position(|l| l.contains(label)).unwrap();
        assert!(at("request") < at("recommended") && at("recommended") < at("limit"));
        assert!(text.lines().all(|l| l.chars().count() <= 100));
        assert_eq!(render(&[], &[]), "");
        assert!(render(&[7 * MIB], &[]).contains("7Mi │████"));
    }
}
