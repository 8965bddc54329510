//! The report as CSV: one row per container, exact quantities, safe to open in a spreadsheet.

use crate::quantity::Quantity;
use crate::recommendation::{Change, Line, Report};

const HEADER: [&str; 25] = [
    "namespace",
    "workload",
    "container",
    "live_pods",
    "runs",
    "running",
    "memory_change",
    "cpu_change",
    "current_memory_request",
    "current_memory_limit",
    "current_cpu_request",
    "current_cpu_limit",
    "recommended_memory_request",
    "recommended_memory_limit",
    "recommended_cpu_request",
    "recommended_cpu_limit",
    "peak_max_bytes",
    "peak_median_bytes",
    "oom_kills",
    "replay_decisions",
    "replay_exceeded",
    "memory_gib_hours_saved_per_week",
    "cpu_core_hours_saved_per_week",
    "findings",
    "notes",
];

/// Writes the report.
///
/// # Errors
/// What the writer says.
pub fn write(report: &Report, out: impl std::io::Write) -> csv::Result<()> {
    let mut writer = csv::Writer::from_writer(out);
    writer.write_record(HEADER)?;
    for line in &report.workloads {
        writer.write_record(row(line).iter().map(|cell| harmless(cell)))?;
    }
    writer.flush()?;
    Ok(())
}

fn row(line: &Line) -> [String; 25] {
    let text = |q: Option<Quantity>| q.map(|q| q.to_string()).unwrap_or_default();
    let number = |n: Option<f64>| n.map(|n| format!("{n:.3}")).unwrap_or_default();
    let bytes = |n: Option<u64>| n.map(|n| n.to_string()).unwrap_or_default();
    let change = |c: Change| format!("{c:?}").to_lowercase();
    let (c, r, e) = (&line.current, &line.recommended, &line.evidence);
    [
        line.namespace.clone(),
        line.workload.clone(),
        line.container.clone(),
        line.live_pods.map(|n| n.to_string()).unwrap_or_default(),
        e.runs.to_string(),
        e.running.to_string(),
        change(line.verdict.memory),
        change(line.verdict.cpu),
        text(c.memory_request),
        text(c.memory_limit),
        text(c.cpu_request),
        text(c.cpu_limit),
        text(r.memory_request),
        text(r.memory_limit),
        text(r.cpu_request),
        text(r.cpu_limit),
        bytes(e.peak_max_bytes),
        bytes(e.peak_median_bytes),
        e.oom_kills.to_string(),
        e.replay.decisions.to_string(),
        e.replay.exceeded.to_string(),
        number(line.effect.memory_gib_hours_per_week),
        number(line.effect.cpu_core_hours_per_week),
        line.findings.iter().map(|f| format!("{}: {}", f.rule, f.message)).collect::<Vec<_>>().join("; "),
        line.notes.join("; "),
    ]
}

/// A cell that a spreadsheet would take for a formula gets an apostrophe (OWASP, "CSV Injection"); plain numbers don't.
pub(super) fn harmless(cell: &str) -> String {
    let clean = crate::text::visible(cell).into_owned();
    if clean.starts_with(['=', '+', '-', '@', '\t', '\r']) && clean.parse::<f64>().is_err() {
        return format!("'{clean}");
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_are_text() {
        assert_eq!(harmless("=cmd|' /C calc'!A0"), "'=cmd|' /C calc'!A0");
        assert_eq!(harmless("@SUM(A1)"), "'@SUM(A1)");
        assert_eq!(harmless("-12.5"), "-12.5");
        assert_eq!(harmless("cronjob/a"), "cronjob/a");
    }
}
