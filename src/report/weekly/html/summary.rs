//! The page's summary: the sums, and the same by namespace, drawn and told.

use std::fmt::Write as _;

use super::tables::{TableRow, heads, number, table, text};
use super::{ENTRIES, more};
use crate::report::svg::bars::{self, Bars, Item};
use crate::report::svg::escaped;
use crate::report::weekly::columns::{self, cells};
use crate::report::weekly::words::{self, SUMMARY_COLUMNS};
use crate::report::weekly::{Amounts, Sums, Weekly};
use crate::text;

/// Namespaces that a picture has room for.
const BARS: usize = 10;

pub(super) fn summary(report: &Weekly) -> String {
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

fn by_namespace(report: &Weekly, id: &str, title: &str, unit: &str, pick: fn(&Sums) -> &Amounts) -> String {
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
    let columns = columns::of_namespaces(report);
    let rows = report
        .namespaces
        .iter()
        .take(ENTRIES)
        .map(|n| TableRow { heading: escaped(&text::short(&n.namespace, 63)), cells: cells(&columns, n) });
    let mut out = table("Namespaces, the most expensive first", &heads("namespace", &columns), rows);
    out.push_str(&more(report.namespaces.len(), ENTRIES));
    out
}
