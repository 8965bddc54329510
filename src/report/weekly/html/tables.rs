//! Tables of the page: a caption, headings with their scope, a row's name as its heading.

use std::fmt::Write as _;

use crate::report::svg::escaped;
use crate::report::weekly::columns;

/// A column.
#[derive(Clone, Copy)]
pub(super) struct Column<'a> {
    /// Its heading.
    pub name: &'a str,
    kind: Kind,
    /// Left out where there is little room.
    narrow: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Number,
    Text,
}

/// A column of numbers.
pub(super) const fn number(name: &str) -> Column<'_> {
    Column { name, kind: Kind::Number, narrow: false }
}

/// A column of text.
pub(super) const fn text(name: &str) -> Column<'_> {
    Column { name, kind: Kind::Text, narrow: false }
}

impl Column<'_> {
    /// Left out where there is little room.
    pub const fn wide(mut self) -> Self {
        self.narrow = true;
        self
    }

    fn class(self) -> &'static str {
        match (self.kind, self.narrow) {
            (Kind::Number, false) => " class=\"n\"",
            (Kind::Number, true) => " class=\"n w\"",
            (Kind::Text, false) => " class=\"t\"",
            (Kind::Text, true) => " class=\"t w\"",
        }
    }
}

/// The columns that other renderers have too, behind the one of the rows' headings.
pub(super) fn heads<'a, T>(heading: &'a str, columns: &'a [columns::Column<T>]) -> Vec<Column<'a>> {
    let of = |c: &'a columns::Column<T>| Column {
        name: &c.name,
        kind: if c.number { Kind::Number } else { Kind::Text },
        narrow: c.wide,
    };
    std::iter::once(text(heading)).chain(columns.iter().map(of)).collect()
}

/// A row: HTML of its heading, texts of its cells.
pub(super) struct TableRow {
    /// HTML that is put in as it is.
    pub heading: String,
    /// Texts.
    pub cells: Vec<String>,
}

/// The table; `columns` begins with the headings' own.
pub(super) fn table(caption: &str, columns: &[Column<'_>], rows: impl Iterator<Item = TableRow>) -> String {
    let mut out = format!("<table><caption>{}</caption><thead><tr>", escaped(caption));
    for (i, column) in columns.iter().enumerate() {
        let class = if i == 0 { " class=\"t\"" } else { column.class() };
        let _ = write!(out, "<th scope=\"col\"{class}>{}</th>", escaped(column.name));
    }
    out.push_str("</tr></thead><tbody>\n");
    for row in rows {
        let _ = write!(out, "<tr><th scope=\"row\">{}</th>", row.heading);
        for (column, cell) in columns[1..].iter().zip(&row.cells) {
            let _ = write!(out, "<td{}>{}</td>", column.class(), escaped(cell));
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody></table>\n");
    out
}

/// A list of sentences.
pub(super) fn list(entries: &[String], most: usize) -> String {
    let mut out = String::from("<ul class=\"plain\">");
    for entry in entries.iter().take(most) {
        let _ = write!(out, "<li>{}</li>", escaped(entry));
    }
    if entries.len() > most {
        let _ = write!(out, "<li>and {} more</li>", entries.len() - most);
    }
    out.push_str("</ul>\n");
    out
}
