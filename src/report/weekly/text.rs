//! The report on a terminal: 100 columns.

use comfy_table::Cell;

use super::{Row, Weekly, words};
use crate::report::table::{COLUMNS, new_table, right, trim, wrapped, wrapped_from};
use crate::text;
use crate::text::units;

/// Entries of the lists that a terminal shows; the other renderers have more.
const ENTRIES: usize = 12;

/// The report as text.
pub fn render(report: &Weekly) -> String {
    let mut out = wrapped_from(&format!("{}: {}", words::title(report), words::scope(report)), "");
    out.push('\n');
    for said in [words::saving(report), words::at_risk(report), words::changed(report), words::against(report)] {
        out.push_str(&wrapped_from(&said, ""));
    }
    out.push('\n');
    let mut table = new_table(&["", "REQUESTED", "USED", "RECOMMENDED", "SAVED", "REQUESTED, AGAINST BEFORE"]);
    for l in words::summary(report) {
        let numbers = [l.requested, l.used, l.recommended, l.saving, l.trend].map(right);
        table.add_row([Cell::new(l.what)].into_iter().chain(numbers));
    }
    out.push_str(&trim(&table.to_string()));
    namespaces(&mut out, report);
    savings(&mut out, report);
    risks(&mut out, report);
    let entries: Vec<String> = report
        .changes
        .iter()
        .map(|c| {
            let (what, source, came) = words::change(c);
            format!("{}: {what}, {source}: {came}", place(report, &c.namespace, &c.workload, &c.container, 60))
        })
        .collect();
    list(&mut out, "Changed sizes", &entries);
    let entries: Vec<String> = report
        .findings
        .iter()
        .map(|f| {
            format!("{} {} ({}/{}): {}", f.finding.mode, f.finding.rule, f.namespace, f.workload, f.finding.message)
        })
        .collect();
    list(&mut out, "Findings", &entries);
    let entries: Vec<String> = report
        .quotas
        .iter()
        .map(|q| {
            let used = q.used.as_deref().unwrap_or("?");
            let share = q.used_share.map(|s| format!(" ({})", units::percent(s))).unwrap_or_default();
            format!("{}, {}: {used} of {} {} used{share}", q.namespace, q.quota, q.hard, q.resource)
        })
        .collect();
    list(&mut out, "Quotas", &entries);
    let of_rows = report
        .not_judged
        .iter()
        .map(|n| format!("{}: {}", place(report, &n.namespace, &n.workload, &n.container, 60), n.why));
    let entries: Vec<String> = of_rows.chain(words::quiet(report)).collect();
    list(&mut out, "Not judged", &entries);
    list(&mut out, "Notes", &report.notes);
    list(&mut out, "How the numbers were made", &report.method);
    out
}

/// A container's name, at most so many characters: with its container only where the workload has several.
fn place(report: &Weekly, namespace: &str, workload: &str, container: &str, most: usize) -> String {
    let of_workload = report.workloads.iter().filter(|r| r.namespace == namespace && r.workload == workload).count();
    let container = if of_workload > 1 { format!(":{container}") } else { String::new() };
    text::short(&format!("{namespace}/{workload}{container}"), most)
}

fn list(out: &mut String, title: &str, entries: &[String]) {
    if entries.is_empty() {
        return;
    }
    out.push_str(&format!("\n{title}\n"));
    for entry in entries.iter().take(ENTRIES) {
        out.push_str(&wrapped(&text::visible(entry)));
    }
    if entries.len() > ENTRIES {
        out.push_str(&format!("  and {} more\n", entries.len() - ENTRIES));
    }
}

fn namespaces(out: &mut String, report: &Weekly) {
    if report.namespaces.len() < 2 {
        return;
    }
    out.push('\n');
    let currency = words::name(&report.prices.currency, 8);
    let mut table =
        new_table(&["NAMESPACE", "KILLED", "GiB·h", "USED", "RECOMMENDED", &format!("{currency} REQUESTED"), "SAVED"]);
    for n in report.namespaces.iter().take(ENTRIES) {
        table.add_row(vec![
            Cell::new(text::short(&n.namespace, 32)),
            right(n.sums.runs.memory_failures().to_string()),
            right(words::amount(n.sums.memory.requested)),
            right(words::amount(n.sums.memory.used)),
            right(words::amount(n.sums.memory.recommended)),
            right(words::sum_of_money(n.sums.money.requested)),
            right(words::sum_of_money(n.sums.money.saving)),
        ]);
    }
    out.push_str(&trim(&table.to_string()));
    if report.namespaces.len() > ENTRIES {
        out.push_str(&format!("and {} more\n", report.namespaces.len() - ENTRIES));
    }
}

fn savings(out: &mut String, report: &Weekly) {
    let rows: Vec<&Row> = report.largest_savings.iter().filter_map(|at| report.row(*at)).collect();
    if rows.is_empty() {
        return;
    }
    let currency = words::name(&report.prices.currency, 8);
    let header = ["LARGEST SAVINGS", "MEMORY", "CPU", "GiB·h", "core·h", currency.as_str()];
    let cells: Vec<[String; 5]> = rows
        .iter()
        .map(|r| {
            [
                r.memory_words(),
                r.cpu_words(),
                words::amount(r.now.memory.saving()),
                words::amount(r.now.cpu.saving()),
                words::sum_of_money(r.now.money.saving),
            ]
        })
        .collect();
    let widest = |i: usize| cells.iter().map(|c| c[i].chars().count()).chain([header[i + 1].chars().count()]).max();
    let numbers: usize = (0..5).map(|i| widest(i).unwrap_or(0) + 2).sum();
    let room = usize::from(COLUMNS).saturating_sub(numbers + 2).clamp(24, 64);
    let mut table = new_table(&header);
    for (row, cells) in rows.iter().zip(cells) {
        let name = place(report, &row.namespace, &row.workload, &row.container, room);
        table.add_row([Cell::new(name)].into_iter().chain(cells.map(right)));
    }
    out.push('\n');
    out.push_str(&trim(&table.to_string()));
}

fn risks(out: &mut String, report: &Weekly) {
    if report.risks.is_empty() {
        return;
    }
    out.push_str("\nRisks\n");
    for risk in report.risks.iter().take(report.top) {
        let name = place(report, &risk.namespace, &risk.workload, &risk.container, 60);
        out.push_str(&wrapped(&format!("{}: {name}: {}. {}.", risk.kind.as_str(), risk.seen, risk.fix)));
    }
    let more = report.risks.len().saturating_sub(report.top);
    if more > 0 {
        out.push_str(&format!("  and {more} more\n"));
    }
}
