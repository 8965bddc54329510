//! The report as Markdown, for a pull request, a wiki or a chat.

use super::columns::{self, Column, cells};
use super::words::{self, SUMMARY_COLUMNS};
use super::{Risk, Row, Weekly};
use crate::report::markdown::cell;
use crate::text::units;

/// Rows of the table of all containers; the CSV has them all.
const ROWS: usize = 200;
/// Entries of the other lists.
const ENTRIES: usize = 50;

/// The report as Markdown.
pub fn render(report: &Weekly) -> String {
    let mut out = format!("# {}\n\n", cell(&words::title(report)));
    out.push_str(&format!("{}.\n\n", cell(&words::scope(report))));
    for said in [words::saving(report), words::at_risk(report), words::changed(report), words::against(report)] {
        out.push_str(&format!("- {}\n", cell(&said)));
    }
    let rows: Vec<Vec<String>> = words::summary(report)
        .into_iter()
        .map(|l| vec![l.what, l.requested, l.used, l.recommended, l.saving, l.trend])
        .collect();
    let numbers: Vec<bool> = (0..SUMMARY_COLUMNS.len()).map(|at| at > 0).collect();
    table(&mut out, &SUMMARY_COLUMNS, &numbers, &rows, 0);
    namespaces(&mut out, report);
    savings(&mut out, report);
    risks(&mut out, report);
    changes(&mut out, report);
    findings(&mut out, report);
    workloads(&mut out, report);
    not_judged(&mut out, report);
    list(&mut out, "How the numbers were made", &report.method);
    out
}

/// A table of what columns say; `names` are before them, the heading and the texts of each row.
fn table_of<'a, T: 'a>(
    out: &mut String,
    names: &[&str],
    columns: &[Column<T>],
    rows: impl Iterator<Item = (Vec<String>, &'a T)>,
    more: usize,
) {
    let header: Vec<&str> = names.iter().copied().chain(columns.iter().map(|c| c.name.as_str())).collect();
    let numbers: Vec<bool> = names.iter().map(|_| false).chain(columns.iter().map(|c| c.number)).collect();
    let rows: Vec<Vec<String>> = rows.map(|(names, of)| [names, cells(columns, of)].concat()).collect();
    table(out, &header, &numbers, &rows, more);
}

fn table(out: &mut String, header: &[&str], numbers: &[bool], rows: &[Vec<String>], more: usize) {
    let line = |cells: &mut dyn Iterator<Item = String>| format!("| {} |\n", cells.collect::<Vec<_>>().join(" | "));
    out.push('\n');
    out.push_str(&line(&mut header.iter().map(|h| cell(h))));
    let marks: Vec<&str> = numbers.iter().map(|number| if *number { "--:" } else { "---" }).collect();
    out.push_str(&format!("|{}|\n", marks.join("|")));
    for row in rows {
        out.push_str(&line(&mut row.iter().map(|text| cell(text))));
    }
    if more > 0 {
        out.push_str(&format!("\nand {more} more\n"));
    }
}

fn list(out: &mut String, title: &str, entries: &[String]) {
    if entries.is_empty() {
        return;
    }
    out.push_str(&format!("\n## {title}\n\n"));
    for entry in entries.iter().take(ENTRIES) {
        out.push_str(&format!("- {}\n", cell(entry)));
    }
    if entries.len() > ENTRIES {
        out.push_str(&format!("- and {} more\n", entries.len() - ENTRIES));
    }
}

fn namespaces(out: &mut String, report: &Weekly) {
    if report.namespaces.len() < 2 {
        return;
    }
    out.push_str("\n## Namespaces\n");
    let rows = report.namespaces.iter().take(ENTRIES).map(|n| (vec![n.namespace.clone()], n));
    let more = report.namespaces.len().saturating_sub(ENTRIES);
    table_of(out, &["namespace"], &columns::of_namespaces(report), rows, more);
}

fn savings(out: &mut String, report: &Weekly) {
    if report.largest_savings.is_empty() {
        return;
    }
    out.push_str("\n## Largest savings\n");
    let rows = report.largest_savings.iter().filter_map(|at| report.row(*at)).map(|r| (named(r), r));
    table_of(out, &NAMES, &columns::of_savings(report), rows, 0);
}

/// What every row about a container begins with.
const NAMES: [&str; 3] = ["namespace", "workload", "container"];

fn named(row: &Row) -> Vec<String> {
    vec![row.namespace.clone(), row.workload.clone(), row.container.clone()]
}

fn risks(out: &mut String, report: &Weekly) {
    if report.risks.is_empty() {
        return;
    }
    out.push_str("\n## Risks\n");
    let names = |r: &Risk| vec![r.namespace.clone(), r.workload.clone(), r.container.clone()];
    let rows = report.risks.iter().take(report.top).map(|r| (names(r), r));
    table_of(out, &NAMES, &columns::of_risks(), rows, report.risks.len().saturating_sub(report.top));
}

fn changes(out: &mut String, report: &Weekly) {
    let entries: Vec<String> = report
        .changes
        .iter()
        .map(|c| {
            let (what, source, came) = words::change(c);
            format!("{}/{}, {}: {what}, {source}: {came}", c.namespace, c.workload, c.container)
        })
        .collect();
    list(out, "Changed sizes", &entries);
}

fn findings(out: &mut String, report: &Weekly) {
    let entries: Vec<String> = report
        .findings
        .iter()
        .map(|f| {
            format!("{} ({}) {}/{}: {}", f.finding.rule, f.finding.mode, f.namespace, f.workload, f.finding.message)
        })
        .collect();
    list(out, "Findings", &entries);
    let entries: Vec<String> = report
        .quotas
        .iter()
        .map(|q| {
            let used = q.used.as_deref().unwrap_or("an unknown part");
            let share = q.used_share.map(|s| format!(" ({})", units::percent(s))).unwrap_or_default();
            format!("{}, quota {}: {used} of {} {} used{share}", q.namespace, q.quota, q.hard, q.resource)
        })
        .collect();
    list(out, "Quotas", &entries);
}

fn workloads(out: &mut String, report: &Weekly) {
    if report.workloads.is_empty() {
        return;
    }
    out.push_str("\n## All containers, the most expensive first\n");
    let rows = report.workloads.iter().take(ROWS).map(|r| (named(r), r));
    table_of(out, &NAMES, &columns::of_containers(report), rows, report.workloads.len().saturating_sub(ROWS));
}

fn not_judged(out: &mut String, report: &Weekly) {
    let of_rows =
        report.not_judged.iter().map(|n| format!("{}/{}, {}: {}", n.namespace, n.workload, n.container, n.why));
    let entries: Vec<String> = of_rows.chain(words::quiet(report)).chain(report.notes.iter().cloned()).collect();
    list(out, "What could not be judged", &entries);
}
