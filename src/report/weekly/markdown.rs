//! The report as Markdown, for a pull request, a wiki or a chat.

use super::words::{self, SUMMARY_COLUMNS};
use super::{Row, Weekly};
use crate::report::markdown::cell;
use crate::report::units;

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
    table(&mut out, &SUMMARY_COLUMNS, 1, &rows, 0);
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

/// A table; the first `texts` columns are texts, the others numbers.
fn table(out: &mut String, header: &[&str], texts: usize, rows: &[Vec<String>], more: usize) {
    let line = |cells: &mut dyn Iterator<Item = String>| format!("| {} |\n", cells.collect::<Vec<_>>().join(" | "));
    out.push('\n');
    out.push_str(&line(&mut header.iter().map(|h| cell(h))));
    let marks: Vec<&str> = (0..header.len()).map(|i| if i < texts { "---" } else { "--:" }).collect();
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
    let rows: Vec<Vec<String>> = report
        .namespaces
        .iter()
        .take(ENTRIES)
        .map(|n| {
            vec![
                n.namespace.clone(),
                n.containers.to_string(),
                n.sums.runs.memory_failures().to_string(),
                words::amount(n.sums.memory.requested),
                words::amount(n.sums.memory.used),
                words::amount(n.sums.memory.recommended),
                words::sum_of_money(n.sums.money.requested),
                words::sum_of_money(n.sums.money.saving),
            ]
        })
        .collect();
    let currency = words::name(&report.prices.currency, 8);
    let header = [
        "namespace",
        "containers",
        "killed for memory",
        "GiB·h requested",
        "used",
        "recommended",
        &format!("{currency} requested"),
        "could be saved",
    ];
    table(out, &header, 1, &rows, report.namespaces.len().saturating_sub(ENTRIES));
}

fn savings(out: &mut String, report: &Weekly) {
    if report.largest_savings.is_empty() {
        return;
    }
    out.push_str("\n## Largest savings\n");
    let rows: Vec<Vec<String>> = report
        .largest_savings
        .iter()
        .filter_map(|at| report.row(*at))
        .map(|r| {
            let mut cells = named(r);
            cells.extend([
                r.memory_words(),
                r.cpu_words(),
                words::amount(r.now.memory.saving()),
                words::amount(r.now.cpu.saving()),
                words::sum_of_money(r.now.money.saving),
            ]);
            cells
        })
        .collect();
    let currency = words::name(&report.prices.currency, 8);
    let header = [
        "namespace",
        "workload",
        "container",
        "memory",
        "CPU",
        "GiB·h less",
        "core·h less",
        &format!("{currency} less"),
    ];
    table(out, &header, 3, &rows, 0);
}

fn named(row: &Row) -> Vec<String> {
    vec![row.namespace.clone(), row.workload.clone(), row.container.clone()]
}

fn risks(out: &mut String, report: &Weekly) {
    if report.risks.is_empty() {
        return;
    }
    out.push_str("\n## Risks\n");
    let rows: Vec<Vec<String>> = report
        .risks
        .iter()
        .take(report.top)
        .map(|r| {
            let place = format!("{}/{}", r.namespace, r.workload);
            vec![r.kind.as_str().to_owned(), place, r.container.clone(), r.seen.clone(), r.fix.clone()]
        })
        .collect();
    table(
        out,
        &["risk", "workload", "container", "seen", "fix"],
        5,
        &rows,
        report.risks.len().saturating_sub(report.top),
    );
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
    let rows: Vec<Vec<String>> = report
        .workloads
        .iter()
        .take(ROWS)
        .map(|r| {
            let mut cells = named(r);
            cells.extend([
                r.now.runs.runs().to_string(),
                r.now.runs.memory_failures().to_string(),
                r.memory_words(),
                r.peak_max_bytes.map_or_else(|| "—".to_owned(), units::memory),
                r.cpu_words(),
                words::amount(r.now.memory.requested),
                words::amount(r.now.memory.used),
                words::sum_of_money(r.now.money.requested),
                words::sum_of_money(r.now.money.saving),
                r.action().to_owned(),
            ]);
            cells
        })
        .collect();
    let currency = words::name(&report.prices.currency, 8);
    let header = [
        "namespace",
        "workload",
        "container",
        "runs",
        "killed for memory",
        "memory",
        "peak",
        "CPU",
        "GiB·h requested",
        "used",
        &format!("{currency} requested"),
        "could be saved",
        "do",
    ];
    table(out, &header, 3, &rows, report.workloads.len().saturating_sub(ROWS));
}

fn not_judged(out: &mut String, report: &Weekly) {
    let of_rows =
        report.not_judged.iter().map(|n| format!("{}/{}, {}: {}", n.namespace, n.workload, n.container, n.why));
    let entries: Vec<String> = of_rows.chain(words::quiet(report)).chain(report.notes.iter().cloned()).collect();
    list(out, "What could not be judged", &entries);
}
