//! OpenMetrics text as `promtool tsdb create-blocks-from openmetrics` reads it.
//! Knows nothing of pods: families, labels and samples in, bytes out.

use std::fmt::Write as _;
use std::io::{self, Write};

use super::metric::Metric;
use crate::prometheus::{Labels, Sample};

/// Writes the type line of a family.
pub(super) fn family(out: &mut impl Write, metric: Metric) -> io::Result<()> {
    let name = metric.name();
    if metric.is_counter() {
        // A counter's family is named without the suffix of its samples.
        writeln!(out, "# TYPE {} counter", name.strip_suffix("_total").unwrap_or(name))
    } else {
        writeln!(out, "# TYPE {name} gauge")
    }
}

/// Writes the samples of one series; `line` is scratch space.
pub(super) fn series(
    out: &mut impl Write,
    metric: Metric,
    labels: &Labels,
    samples: &[Sample],
    line: &mut String,
) -> io::Result<()> {
    line.clear();
    line.push_str(metric.name());
    line.push('{');
    for (i, (name, value)) in labels.iter().enumerate() {
        if i > 0 {
            line.push(',');
        }
        line.push_str(name);
        line.push_str("=\"");
        for c in value.chars() {
            match c {
                '\\' => line.push_str("\\\\"),
                '"' => line.push_str("\\\""),
                '\n' => line.push_str("\\n"),
                c => line.push(c),
            }
        }
        line.push('"');
    }
    line.push_str("} ");
    let head = line.len();
    for s in samples {
        line.truncate(head);
        // Writing to a String does not fail.
        let _ = writeln!(line, "{} {}", s.value, Seconds(s.at_ms));
        out.write_all(line.as_bytes())?;
    }
    Ok(())
}

/// Milliseconds as seconds, so that a reader that multiplies by 1000 and cuts off gets the same milliseconds.
struct Seconds(i64);

impl std::fmt::Display for Seconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (whole, part) = (self.0.div_euclid(1000), self.0.rem_euclid(1000));
        if part == 0 {
            return write!(f, "{whole}");
        }
        let nearest = self.0 as f64 / 1000.0;
        // A tenth of a millisecond more where the nearest double lies just below.
        let more = if (nearest * 1000.0) as i64 == self.0 { "" } else { "1" };
        write!(f, "{whole}.{part:03}{more}")
    }
}
