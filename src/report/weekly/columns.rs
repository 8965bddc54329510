//! Columns of the tables that the page and the Markdown both have: what they are called and what stands in them is said
//! once. Which marks stand around a text is its renderer's own business; names of things are the heading of a row
//! there.

use super::words;
use super::{NamespaceSums, Risk, Row, Weekly};
use crate::text::units;

/// A column of a table about `T`s.
pub(super) struct Column<T> {
    /// Its heading.
    pub name: String,
    /// Whether it holds numbers.
    pub number: bool,
    /// Left out where there is little room.
    pub wide: bool,
    cell: fn(&T) -> String,
}

impl<T> Column<T> {
    fn number(name: impl Into<String>, cell: fn(&T) -> String) -> Self {
        Self { name: name.into(), number: true, wide: false, cell }
    }

    fn text(name: impl Into<String>, cell: fn(&T) -> String) -> Self {
        Self { name: name.into(), number: false, wide: false, cell }
    }

    const fn wide(mut self) -> Self {
        self.wide = true;
        self
    }
}

/// The cells of a row.
pub(super) fn cells<T>(columns: &[Column<T>], of: &T) -> Vec<String> {
    columns.iter().map(|column| (column.cell)(of)).collect()
}

fn currency(report: &Weekly) -> String {
    words::name(&report.prices.currency, 8)
}

/// Of a namespace.
pub(super) fn of_namespaces(report: &Weekly) -> Vec<Column<NamespaceSums>> {
    let currency = currency(report);
    vec![
        Column::number("containers", |n: &NamespaceSums| n.containers.to_string()).wide(),
        Column::number("no number", |n: &NamespaceSums| n.unknown.to_string()).wide(),
        Column::number("killed for memory", |n| n.sums.runs.memory_failures().to_string()),
        Column::number("GiB·h requested", |n: &NamespaceSums| words::amount(n.sums.memory.requested)).wide(),
        Column::number("used", |n: &NamespaceSums| words::amount(n.sums.memory.used)).wide(),
        Column::number("recommended", |n: &NamespaceSums| words::amount(n.sums.memory.recommended)).wide(),
        Column::number(format!("{currency} requested"), |n| words::sum_of_money(n.sums.money.requested)),
        Column::number(format!("{currency} saved"), |n| words::sum_of_money(n.sums.money.saving)),
    ]
}

/// Of a container that could ask for less.
pub(super) fn of_savings(report: &Weekly) -> Vec<Column<Row>> {
    vec![
        Column::number("memory", Row::memory_words),
        Column::number("CPU", Row::cpu_words).wide(),
        Column::number("GiB·h less", |r: &Row| words::amount(r.now.memory.saving())).wide(),
        Column::number("core·h less", |r: &Row| words::amount(r.now.cpu.saving())).wide(),
        Column::number(format!("{} less", currency(report)), |r| words::sum_of_money(r.now.money.saving)),
    ]
}

/// Of a risk.
pub(super) fn of_risks() -> Vec<Column<Risk>> {
    vec![
        Column::text("risk", |r: &Risk| r.kind.as_str().to_owned()),
        Column::text("seen", |r: &Risk| r.seen.clone()).wide(),
        Column::text("fix", |r: &Risk| r.fix.clone()),
    ]
}

/// Of a container.
pub(super) fn of_containers(report: &Weekly) -> Vec<Column<Row>> {
    let currency = currency(report);
    vec![
        Column::number("runs", |r: &Row| words::runs(&r.now.runs)).wide(),
        Column::number("killed", |r| r.now.runs.memory_failures().to_string()),
        Column::number("memory", Row::memory_words),
        Column::number("peak", |r: &Row| r.peak_max_bytes.map_or_else(|| "—".to_owned(), units::memory)).wide(),
        Column::number("CPU", Row::cpu_words).wide(),
        Column::number("GiB·h", |r: &Row| words::amount(r.now.memory.requested)).wide(),
        Column::number("used", |r: &Row| words::amount(r.now.memory.used)).wide(),
        Column::number(format!("{currency} requested"), |r: &Row| words::sum_of_money(r.now.money.requested)).wide(),
        Column::number(format!("{currency} saved"), |r| words::sum_of_money(r.now.money.saving)),
        Column::text("do", |r: &Row| r.action().to_owned()),
    ]
}
