//! The report as a page of its own, in one file: no script, no font, nothing from elsewhere.

mod detail;
mod style;
mod tables;

use std::fmt::Write as _;

use super::words::{self, SUMMARY_COLUMNS};
use super::{Row, Weekly};
use crate::report::svg::bars::{self, Bars, Item};
use crate::report::svg::{self, escaped};
use crate::report::units;
use tables::{TableRow, list, number, table, text};

/// Namespaces that a picture has room for.
const BARS: usize = 10;
/// Entries of lists that are not cut to the top.
const ENTRIES: usize = 200;
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
        ("summary", "Summary", summary(report)),
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

fn summary(report: &Weekly) -> String {
    let [what, rest @ ..] = SUMMARY_COLUMNS;
    let mut columns = vec![text(what)];
    columns.extend(rest.into_iter().map(number));
    // On a phone the sentences around the table say what these do.
    for at in [3, 5] {
        if let Some(column) = columns.get_mut(at) {
            *column = column.wide();
        }
    }
    let rows = words::summary(report).into_iter().map(|l| TableRow {
        heading: escaped(&l.what),
        cells: vec![l.requested, l.used, l.recommended, l.saving, l.trend],
    });
    let mut out = table("Requested, used, and what the same runs would have reserved", &columns, rows);
    let _ = writeln!(out, "<p class=\"small\">{}</p>", escaped(&words::against(report)));
    if report.namespaces.len() > 1 {
        let _ = writeln!(
            out,
            "<div class=\"pictures\"><figure><figcaption>Memory by namespace, GiB·h</figcaption>{}</figure>\
             <figure><figcaption>CPU by namespace, core·h</figcaption>{}</figure></div>",
            by_namespace(report, "memory-by-namespace", "Memory by namespace", "GiB·h", |s| &s.memory),
            by_namespace(report, "cpu-by-namespace", "CPU by namespace", "core·h", |s| &s.cpu),
        );
        out.push_str(&namespaces(report));
    }
    out
}

fn by_namespace(
    report: &Weekly,
    id: &str,
    title: &str,
    unit: &str,
    pick: fn(&super::Sums) -> &super::Amounts,
) -> String {
    let items: Vec<Item> = report
        .namespaces
        .iter()
        .take(BARS)
        .map(|n| {
            let a = pick(&n.sums);
            let values = [a.requested, a.used, a.recommended].map(|v| (v, words::amount(v)));
            Item { name: n.namespace.clone(), values: values.to_vec() }
        })
        .collect();
    let series = [("bar-request", "requested"), ("bar-used", "used"), ("bar-needed", "at recommended sizes")];
    bars::picture(&Bars { id: id.to_owned(), title, unit, series: &series, items: &items })
}

fn namespaces(report: &Weekly) -> String {
    let currency = words::name(&report.prices.currency, 8);
    let (requested, saved) = (format!("{currency} requested"), format!("{currency} could be saved"));
    let columns = [
        text("namespace"),
        number("containers").wide(),
        number("no number").wide(),
        number("killed for memory"),
        number("GiB·h requested").wide(),
        number("used").wide(),
        number("recommended").wide(),
        number(&requested),
        number(&saved),
    ];
    let rows = report.namespaces.iter().take(ENTRIES).map(|n| TableRow {
        heading: escaped(&units::name(&n.namespace, 63)),
        cells: vec![
            n.containers.to_string(),
            n.unknown.to_string(),
            n.sums.runs.memory_failures().to_string(),
            words::amount(n.sums.memory.requested),
            words::amount(n.sums.memory.used),
            words::amount(n.sums.memory.recommended),
            words::sum_of_money(n.sums.money.requested),
            words::sum_of_money(n.sums.money.saving),
        ],
    });
    let mut out = table("Namespaces, the most expensive first", &columns, rows);
    out.push_str(&more(report.namespaces.len(), ENTRIES));
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
    let saved = format!("{currency} less");
    let columns = [
        text("workload"),
        number("memory"),
        number("CPU").wide(),
        number("GiB·h less").wide(),
        number("core·h less").wide(),
        number(&saved),
    ];
    let rows = rows.into_iter().map(|(at, r)| TableRow {
        heading: named(report, at, r),
        cells: vec![
            r.memory_words(),
            r.cpu_words(),
            words::amount(r.now.memory.saving()),
            words::amount(r.now.cpu.saving()),
            words::sum_of_money(r.now.money.saving),
        ],
    });
    format!(
        "<figure><figcaption>In {}</figcaption>{picture}</figure>\n{}",
        escaped(&currency),
        table("What to lower, and what it brings", &columns, rows)
    )
}

/// A row's heading: its workload, a link to its section where there is one, and where it is.
fn named(report: &Weekly, at: usize, row: &Row) -> String {
    let name = escaped(&units::name(&row.workload, 200));
    let name = if report.details.iter().any(|d| d.row == at) {
        format!("<a href=\"#{}\">{name}</a>", anchor(at))
    } else {
        name
    };
    let place = format!("{} · {}", units::name(&row.namespace, 63), units::name(&row.container, 63));
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
    let columns = [text("workload"), text("risk"), text("seen").wide(), text("fix")];
    let rows = report.risks.iter().take(report.top).filter_map(|risk| {
        let row = report.row(risk.row)?;
        Some(TableRow {
            heading: named(report, risk.row, row),
            cells: vec![risk.kind.as_str().to_owned(), risk.seen.clone(), risk.fix.clone()],
        })
    });
    let mut out = table("The most serious first", &columns, rows);
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
    let rows = report.changes.iter().take(ENTRIES).map(|c| {
        let (what, source, came) = words::change(c);
        let place = format!("{} · {}", units::name(&c.namespace, 63), units::name(&c.container, 63));
        TableRow {
            heading: format!(
                "{}<span class=\"at\">{}</span>",
                escaped(&units::name(&c.workload, 200)),
                escaped(&place)
            ),
            cells: vec![what, source, came],
        }
    });
    let caption = "Requests and limits that are not what they were before; runs do not say who changed them";
    let mut out = table(caption, &columns, rows);
    out.push_str(&more(report.changes.len(), ENTRIES));
    out
}

fn findings(report: &Weekly) -> String {
    if report.findings.is_empty() {
        return if report.looked_at_cluster { "<p>None was found.</p>\n".to_owned() } else { String::new() };
    }
    let columns = [text("where"), text("rule"), text("mode").wide(), text("what, and how to fix it")];
    let rows = report.findings.iter().take(ENTRIES).map(|f| {
        let workload = if f.workload.is_empty() { "the namespace".to_owned() } else { units::name(&f.workload, 200) };
        TableRow {
            heading: format!(
                "{}<span class=\"at\">{}</span>",
                escaped(&workload),
                escaped(&units::name(&f.namespace, 63))
            ),
            cells: vec![f.finding.rule.clone(), f.finding.mode.clone(), f.finding.message.clone()],
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
        heading: escaped(&units::name(&q.namespace, 63)),
        cells: vec![
            units::name(&q.quota, 63),
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
    let currency = words::name(&report.prices.currency, 8);
    let (requested, saved) = (format!("{currency} requested"), format!("{currency} saved"));
    let columns = [
        text("workload"),
        number("runs").wide(),
        number("killed"),
        number("memory"),
        number("peak").wide(),
        number("CPU").wide(),
        number("GiB·h").wide(),
        number("used").wide(),
        number(&requested).wide(),
        number(&saved),
        text("do"),
    ];
    let rows = report.workloads.iter().take(ROWS).enumerate().map(|(at, r)| TableRow {
        heading: named(report, at, r),
        cells: vec![
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
        ],
    });
    let mut out = table("The most expensive first; a narrow screen shows fewer columns", &columns, rows);
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
            let place = format!("{} · {}", units::name(&n.namespace, 63), units::name(&n.container, 63));
            TableRow {
                heading: format!(
                    "{}<span class=\"at\">{}</span>",
                    escaped(&units::name(&n.workload, 200)),
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
