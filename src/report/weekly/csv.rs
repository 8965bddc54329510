//! The report as CSV: one row per container, exact numbers, safe to open in a spreadsheet.

use super::{Row, Sums, Weekly};
use crate::quantity::Quantity;
use crate::report::csv::harmless;

const HEADER: [&str; 40] = [
    "period_start",
    "period_end",
    "namespace",
    "workload",
    "container",
    "finished_runs",
    "running",
    "oom_kills",
    "suspected_kills",
    "failed_otherwise",
    "retries",
    "at_limit",
    "throttled",
    "unobserved",
    "memory_requested_gib_hours",
    "memory_used_gib_hours",
    "memory_recommended_gib_hours",
    "memory_failed_gib_hours",
    "memory_used_without_request_gib_hours",
    "cpu_requested_core_hours",
    "cpu_used_core_hours",
    "cpu_recommended_core_hours",
    "cpu_failed_core_hours",
    "cost_requested",
    "cost_used",
    "cost_recommended",
    "cost_saving",
    "cost_failed",
    "currency",
    "cost_requested_before",
    "memory_failures_before",
    "peak_max_bytes",
    "current_memory",
    "recommended_memory",
    "current_cpu_request",
    "recommended_cpu_request",
    "do",
    "risks",
    "findings",
    "not_judged",
];

/// The report as CSV.
///
/// # Errors
/// None that is known: it is written into memory.
pub fn render(report: &Weekly) -> csv::Result<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(HEADER)?;
    for (at, row) in report.workloads.iter().enumerate() {
        writer.write_record(cells(report, at, row).iter().map(|cell| harmless(cell)))?;
    }
    let bytes = writer.into_inner().map_err(csv::IntoInnerError::into_error)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn cells(report: &Weekly, at: usize, row: &Row) -> [String; 40] {
    let text = |q: Option<Quantity>| q.map(|q| q.to_string()).unwrap_or_default();
    let number = |n: f64| format!("{n:.4}");
    let moment = |ms: i64| jiff::Timestamp::from_millisecond(ms).map(|t| t.to_string()).unwrap_or_default();
    let Sums { runs, memory, cpu, money } = &row.now;
    let before = row.before.as_ref();
    let risks =
        report.risks.iter().filter(|r| r.row == at).map(|r| format!("{}: {}; {}", r.kind.as_str(), r.seen, r.fix));
    let findings = row.findings.iter().map(|f| format!("{} ({}): {}", f.rule, f.mode, f.message));
    let join = |texts: Vec<String>| texts.join("; ");
    [
        moment(report.period.start_ms),
        moment(report.period.end_ms),
        row.namespace.clone(),
        row.workload.clone(),
        row.container.clone(),
        runs.finished.to_string(),
        runs.running.to_string(),
        runs.oom_kills.to_string(),
        runs.suspected_kills.to_string(),
        runs.failed_otherwise.to_string(),
        runs.retries.to_string(),
        runs.at_limit.to_string(),
        runs.throttled.to_string(),
        runs.unobserved.to_string(),
        number(memory.requested),
        number(memory.used),
        number(memory.recommended),
        number(memory.failed_by_memory + memory.failed_otherwise),
        number(memory.used_without_request),
        number(cpu.requested),
        number(cpu.used),
        number(cpu.recommended),
        number(cpu.failed_by_memory + cpu.failed_otherwise),
        number(money.requested),
        number(money.used),
        number(money.recommended),
        number(money.saving),
        number(money.failed),
        report.prices.currency.clone(),
        before.map(|b| number(b.money.requested)).unwrap_or_default(),
        before.map(|b| b.runs.memory_failures().to_string()).unwrap_or_default(),
        row.peak_max_bytes.map(|b| b.to_string()).unwrap_or_default(),
        text(row.asked_memory()),
        text(row.needed_memory()),
        text(row.current.cpu_request),
        text(row.recommended.cpu_request),
        row.action().to_owned(),
        join(risks.collect()),
        join(findings.collect()),
        row.not_judged().map(|n| n.why).unwrap_or_default(),
    ]
}
