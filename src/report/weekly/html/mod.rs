//! The report as a page of its own, in one file: no script, no font, nothing from elsewhere.

mod detail;
mod style;
mod summary;
mod tables;

use std::fmt::Write as _;

use super::columns::{self, cells};
use super::words;
use super::{Row, Weekly};
use crate::report::svg::bars::{self, Bars, Item};
use crate::report::svg::{self, escaped};
use crate::text;
use crate::text::units;
use tables::{TableRow, heads, list, number, table, text};

/// Entries of lists that are not cut to the top.
const ENTRIES: usize = 200;
/// Changes that are listed; what came of all of them stands at the top of the page.
const CHANGES: usize = 50;
/// Rows of the table of all containers; the CSV has them all.
const ROWS: usize = 2_000;

/// The page.
pub fn page(report: &Weekly) -> String {
    let title = words::title(report);
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\
         <title>podfit: {0}</title><style>{1}{2}</style></head>\n<body><a class=\"skip\" href=\"#main\">Skip to the \
         report</a>\n<header><h1>{0}</h1><p class=\"soft\">{3}. {4} to {5} UTC.</p>\n",
        escaped(&title),
        style::STYLE,
        svg::STYLE,
        escaped(&words::scope(report)),
        words::moment(report.period.start_ms),
        words::moment(report.period.end_ms),
    );
    let sections = sections(report);
    out.push_str("<nav aria-label=\"Contents\"><ul>");
    for section in &sections {
        let _ = write!(out, "<li><a href=\"#{}\">{}</a></li>", section.id, section.title);
    }
    out.push_str("</ul></nav></header>\n<main id=\"main\">\n");
    out.push_str(&tell(report));
    for section in sections {
        let _ = writeln!(out, "<section id=\"{}\"><h2>{}</h2>\n{}</section>", section.id, section.title, section.body);
    }
    out.push_str("</main></body></html>\n");
    out
}

/// A part of the page; `id` and `title` are podfit's own words.
struct Section {
    id: &'static str,
    title: &'static str,
    body: String,
}

fn sections(report: &Weekly) -> Vec<Section> {
    let all = [
        ("summary", "Summary", summary::summary(report)),
        ("savings", "Largest savings", savings(report)),
        ("risks", "Risks", risks(report)),
        ("changed", "Changed sizes", changed(report)),
        ("findings", "Findings", findings(report)),
        ("quotas", "Quotas", quotas(report)),
        ("workloads", "Workloads in detail", details(report)),
        ("all", "All containers", all(report)),
        ("unknown", "What could not be judged", not_judged(report)),
        ("method", "How the numbers were made", list(&report.method, ENTRIES)),
    ];
    all.into_iter()
        .filter(|(_, _, body)| !body.is_empty())
        .map(|(id, title, body)| Section { id, title, body })
        .collect()
}

/// The three things to know in ten seconds.
fn tell(report: &Weekly) -> String {
    let (money, runs) = (&report.totals.money, &report.totals.runs);
    let mut at_risk: Vec<usize> = report.risks.iter().map(|r| r.row).collect();
    at_risk.sort_unstable();
    at_risk.dedup();
    let risk = match (runs.memory_failures(), at_risk.len()) {
        (0, 0) => ("good", "nothing found".to_owned()),
        (0, n) => ("", words::counted(n as u64, "container")),
        (n, _) => ("bad", format!("{} killed for memory", words::counted(n, "run"))),
    };
    let cards = [
        (
            if money.saving > 0.0 { "good" } else { "" },
            if money.saving < 0.0 { "More is needed" } else { "Could have been saved" },
            words::money(money.saving.abs(), &report.prices),
            words::saving(report),
        ),
        (risk.0, "At risk", risk.1, words::at_risk(report)),
        ("", "Changed in this time", words::counted(report.changes.len() as u64, "container"), words::changed(report)),
    ];
    let mut out = String::from("<div class=\"tell\">");
    for (class, title, big, said) in cards {
        let _ = writeln!(
            out,
            "<section class=\"{class}\"><h2>{title}</h2><p class=\"big\">{}</p><p class=\"small\">{}</p></section>",
            escaped(&big),
            escaped(&said)
        );
    }
    out.push_str("</div>\n");
    out
}

fn savings(report: &Weekly) -> String {
    let rows: Vec<(usize, &Row)> =
        report.largest_savings.iter().filter_map(|at| Some((*at, report.row(*at)?))).collect();
    if rows.is_empty() {
        return "<p>Nothing to save was found.</p>\n".to_owned();
    }
    let currency = words::name(&report.prices.currency, 8);
    let items: Vec<Item> = rows
        .iter()
        .map(|(_, r)| Item {
            name: format!("{} ({})", r.workload, r.namespace),
            values: vec![(r.now.money.saving, words::sum_of_money(r.now.money.saving))],
        })
        .collect();
    let picture = bars::picture(&Bars {
        id: "largest-savings".to_owned(),
        title: "Largest savings",
        unit: &currency,
        series: &[("bar-needed", "could be saved")],
        items: &items,
    });
    let columns = columns::of_savings(report);
    let rows = rows.into_iter().map(|(at, r)| TableRow { heading: named(report, at, r), cells: cells(&columns, r) });
    format!(
        "<figure><figcaption>In {}</figcaption>{picture}</figure>\n{}",
        escaped(&currency),
        table("What to lower, and what it brings", &heads("workload", &columns), rows)
    )
}

/// A row's heading: its workload, a link to its section where there is one, and where it is.
fn named(report: &Weekly, at: usize, row: &Row) -> String {
    let name = escaped(&text::short(&row.workload, 200));
    let name = if report.details.iter().any(|d| d.row == at) {
        format!("<a href=\"#{}\">{name}</a>", anchor(at))
    } else {
        name
    };
    let place = format!("{} · {}", text::short(&row.namespace, 63), text::short(&row.container, 63));
    format!("{name}<span class=\"at\">{}</span>", escaped(&place))
}

/// Where a row's section is.
fn anchor(at: usize) -> String {
    format!("w{at}")
}

fn risks(report: &Weekly) -> String {
    if report.risks.is_empty() {
        return "<p>None was found.</p>\n".to_owned();
    }
    let columns = columns::of_risks();
    let rows = report.risks.iter().take(report.top).filter_map(|risk| {
        let row = report.row(risk.row)?;
        Some(TableRow { heading: named(report, risk.row, row), cells: cells(&columns, risk) })
    });
    let mut out = table("The most serious first", &heads("workload", &columns), rows);
    out.push_str(&more(report.risks.len(), report.top));
    out
}

fn more(all: usize, shown: usize) -> String {
    match all.saturating_sub(shown) {
        0 => String::new(),
        n => format!("<p class=\"soft small\">and {n} more; the CSV and the JSON have all</p>\n"),
    }
}

fn changed(report: &Weekly) -> String {
    if report.changes.is_empty() {
        return String::new();
    }
    let columns = [text("workload"), text("what"), text("to whose size").wide(), text("what came of it")];
    let rows = report.changes.iter().take(CHANGES).map(|c| {
        let (what, source, came) = words::change(c);
        let place = format!("{} · {}", text::short(&c.namespace, 63), text::short(&c.container, 63));
        TableRow {
            heading: format!(
                "{}<span class=\"at\">{}</span>",
                escaped(&text::short(&c.workload, 200)),
                escaped(&place)
            ),
            cells: vec![what, source, came],
        }
    });
    let caption = "Requests and limits that are not what they were before; runs do not say who changed them";
    let mut out = table(caption, &columns, rows);
    out.push_str(&more(report.changes.len(), CHANGES));
    out
}

fn findings(report: &Weekly) -> String {
    if report.findings.is_empty() {
        return if report.looked_at_cluster { "<p>None was found.</p>\n".to_owned() } else { String::new() };
    }
    let columns = [text("where"), text("rule"), text("mode").wide(), text("what, and how to fix it")];
    let rows = report.findings.iter().take(ENTRIES).map(|f| {
        let workload = if f.workload.is_empty() { "the namespace".to_owned() } else { text::short(&f.workload, 200) };
        TableRow {
            heading: format!(
                "{}<span class=\"at\">{}</span>",
                escaped(&workload),
                escaped(&text::short(&f.namespace, 63))
            ),
            cells: vec![f.finding.rule.to_owned(), f.finding.mode.to_string(), f.finding.message.clone()],
        }
    });
    let mut out = table("Habits that break the rules, as admission would judge them", &columns, rows);
    out.push_str(&more(report.findings.len(), ENTRIES));
    out
}

fn quotas(report: &Weekly) -> String {
    if report.quotas.is_empty() {
        return String::new();
    }
    let columns = [text("namespace"), text("quota"), text("of what"), number("used"), number("of"), number("share")];
    let rows = report.quotas.iter().take(ENTRIES).map(|q| TableRow {
        heading: escaped(&text::short(&q.namespace, 63)),
        cells: vec![
            text::short(&q.quota, 63),
            q.resource.clone(),
            q.used.clone().unwrap_or_else(|| "—".to_owned()),
            q.hard.clone(),
            q.used_share.map_or_else(|| "—".to_owned(), units::percent),
        ],
    });
    table("Room that is left in each namespace", &columns, rows)
}

fn details(report: &Weekly) -> String {
    let mut out = String::new();
    for (i, detail) in report.details.iter().enumerate() {
        out.push_str(&detail::section(report, detail, i == 0));
    }
    if !out.is_empty() {
        let said = "Those with the largest savings and the most serious risks, the most expensive first.";
        out.insert_str(0, &format!("<p class=\"soft small\">{said}</p>\n"));
    }
    out
}

fn all(report: &Weekly) -> String {
    if report.workloads.is_empty() {
        return "<p>No recurring workload ran in this time.</p>\n".to_owned();
    }
    let columns = columns::of_containers(report);
    let rows = report
        .workloads
        .iter()
        .take(ROWS)
        .enumerate()
        .map(|(at, r)| TableRow { heading: named(report, at, r), cells: cells(&columns, r) });
    let mut out =
        table("The most expensive first; a narrow screen shows fewer columns", &heads("workload", &columns), rows);
    out.push_str(&more(report.workloads.len(), ROWS));
    if let Some(quiet) = words::quiet(report) {
        let _ = writeln!(out, "<p class=\"soft small\">{}</p>", escaped(&quiet));
    }
    out
}

fn not_judged(report: &Weekly) -> String {
    let mut out = String::new();
    if !report.not_judged.is_empty() {
        let rows = report.not_judged.iter().take(ENTRIES).map(|n| {
            let place = format!("{} · {}", text::short(&n.namespace, 63), text::short(&n.container, 63));
            TableRow {
                heading: format!(
                    "{}<span class=\"at\">{}</span>",
                    escaped(&text::short(&n.workload, 200)),
                    escaped(&place)
                ),
                cells: vec![n.why.clone()],
            }
        });
        out.push_str(&table("No number, or not the whole of it", &[text("workload"), text("why")], rows));
        out.push_str(&more(report.not_judged.len(), ENTRIES));
    }
    if !report.looked_at_cluster {
        out.push_str(
            "<p class=\"small\">No cluster was looked at, so there are no findings of rules and no quotas here.</p>\n",
        );
    }
    if !report.notes.is_empty() {
        out.push_str("<h3>Of the data</h3>\n");
        out.push_str(&list(&report.notes, ENTRIES));
    }
    out
}
