//! A section of the page for one container: two pictures, what was seen, what to do.

use std::fmt::Write as _;

use super::super::{Detail, End, Row, Weekly, words};
use crate::quantity::Quantity;
use crate::report::svg::distribution::{self, Distribution};
use crate::report::svg::escaped;
use crate::report::svg::peaks::{self, Ending, Peaks, Point};
use crate::text;
use crate::text::units;

/// Longest title of a picture.
const TITLE: usize = 120;

/// The section.
pub(super) fn section(report: &Weekly, detail: &Detail, open: bool) -> String {
    let Some(row) = report.row(detail.row) else { return String::new() };
    let id = super::anchor(detail.row);
    let mut out = format!(
        "<details id=\"{id}\"{}><summary><b>{}</b> <span class=\"soft\">{} · {}</span></summary>\n",
        if open { " open" } else { "" },
        escaped(&text::short(&row.workload, 200)),
        escaped(&text::short(&row.namespace, 63)),
        escaped(&said(report, row)),
    );
    let title = text::short(&format!("{}, container {}", row.workload, row.container), TITLE);
    let points: Vec<Point> = detail
        .peaks
        .iter()
        .map(|p| Point {
            at_ms: p.started_ms,
            until_ms: p.ended_ms,
            bytes: p.bytes,
            request: p.request_bytes,
            limit: p.limit_bytes,
            ending: match p.end {
                End::Killed | End::Suspected => Ending::Killed,
                End::Failed => Ending::Failed,
                End::AtLimit => Ending::Limited,
                End::Fine | End::Running => Ending::Fine,
            },
        })
        .collect();
    let bytes = |q: Option<Quantity>| q.map(Quantity::bytes_rounded_up);
    let recommended = bytes(row.needed_memory());
    if points.is_empty() {
        out.push_str("<p class=\"soft\">No memory peak of its runs is known, so there is nothing to draw.</p>\n");
    } else {
        let all: Vec<u64> = points.iter().map(|p| p.bytes).collect();
        let (period, before) = (report.period, report.period.before());
        let over_time = peaks::picture(&Peaks {
            id: format!("{id}-time"),
            title: &title,
            unit: if row.now.runs.days > 0 { "day" } else { "run" },
            start_ms: before.start_ms,
            split_ms: before.end_ms,
            end_ms: period.end_ms,
            points: &points,
            recommended,
        });
        let spread = distribution::picture(&Distribution {
            id: format!("{id}-spread"),
            title: &title,
            unit: if row.now.runs.days > 0 { "day" } else { "run" },
            peaks: &all,
            request: bytes(row.current.memory_request),
            limit: bytes(row.current.memory_limit),
            recommended,
        });
        let _ = writeln!(
            out,
            "<div class=\"pictures\"><figure><figcaption>Memory peaks over time</figcaption>{over_time}</figure>\
             <figure><figcaption>Distribution of the peaks of both periods</figcaption>{spread}</figure></div>"
        );
    }
    out.push_str(&facts(report, detail.row, row));
    out.push_str("</details>\n");
    out
}

/// What the closed section says.
fn said(report: &Weekly, row: &Row) -> String {
    let mut said = format!("memory {}", row.memory_words());
    let failures = row.now.runs.memory_failures();
    if failures > 0 {
        let _ = write!(said, " · {} killed for memory", words::counted(failures, "run"));
    }
    if row.now.money.saving > 0.0 {
        let _ = write!(said, " · {} could be saved", words::money(row.now.money.saving, &report.prices));
    }
    said
}

fn facts(report: &Weekly, at: usize, row: &Row) -> String {
    let runs = &row.now.runs;
    let mut facts: Vec<(&str, String)> = vec![("Container", text::short(&row.container, 63))];
    let mut seen = words::finished(runs);
    for (n, what) in [
        (runs.running, "under way"),
        (runs.oom_kills, "OOM-killed"),
        (runs.suspected_kills, "probably OOM-killed"),
        (runs.failed_otherwise, "failed otherwise"),
        (runs.at_limit, "at the memory limit"),
        (runs.throttled, "throttled"),
        (runs.retries, "retries"),
    ] {
        if n > 0 {
            let _ = write!(seen, ", {n} {what}");
        }
    }
    facts.push(("Runs", seen));
    facts.push(("Memory", row.memory_words()));
    if let (Some(max), Some(median)) = (row.peak_max_bytes, row.peak_median_bytes) {
        facts.push(("Peaks", format!("highest {}, median {}", units::memory(max), units::memory(median))));
    }
    facts.push(("CPU request", row.cpu_words()));
    for (name, amounts, unit) in [("GiB·h", &row.now.memory, "GiB·h"), ("core·h", &row.now.cpu, "core·h")] {
        facts.push((
            name,
            format!(
                "{} requested, {} used, {} at the recommended size: {} {unit} saved",
                words::amount(amounts.requested),
                words::amount(amounts.used),
                words::amount(amounts.recommended),
                words::amount(amounts.saving())
            ),
        ));
    }
    let money = &row.now.money;
    let before = row.before.as_ref().map(|b| format!(" ({} before)", words::money(b.money.requested, &report.prices)));
    facts.push((
        "Money",
        format!(
            "{} requested{}, {} could be saved, failed tries cost {}",
            words::money(money.requested, &report.prices),
            before.unwrap_or_default(),
            words::money(money.saving, &report.prices),
            words::money(money.failed, &report.prices)
        ),
    ));
    for risk in report.risks.iter().filter(|r| r.row == at) {
        facts.push(("At risk", format!("{}: {}. {}.", risk.kind.as_str(), risk.seen, risk.fix)));
    }
    if let Some(change) = &row.changed {
        let (what, source, came) = words::change(change);
        facts.push(("Changed", format!("{what}, {source}: {came}")));
    }
    facts.extend(row.findings.iter().map(|f| ("Finding", format!("{} ({}): {}", f.rule, f.mode, f.message))));
    facts.extend(row.notes.iter().map(|note| ("Note", note.clone())));
    let mut out = String::from("<dl>");
    for (name, text) in facts {
        let _ = write!(out, "<dt>{name}</dt><dd>{}</dd>", escaped(&text));
    }
    out.push_str("</dl>\n");
    out
}
