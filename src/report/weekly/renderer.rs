//! The report's five renderers, by name.

use super::{Weekly, csv, html, json, markdown, text, words};

/// A form of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Renderer {
    /// A page in one file.
    Html,
    /// For a pull request, a wiki or a chat.
    Markdown,
    /// One row per container.
    Csv,
    /// Everything, for programs.
    Json,
    /// For a terminal, 100 columns.
    Text,
}

impl Renderer {
    /// All five.
    pub const ALL: [Self; 5] = [Self::Html, Self::Markdown, Self::Csv, Self::Json, Self::Text];

    /// How its files end.
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Html => "html",
            Self::Markdown => "md",
            Self::Csv => "csv",
            Self::Json => "json",
            Self::Text => "txt",
        }
    }

    /// What it is to a browser or an object store.
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Html => "text/html; charset=utf-8",
            Self::Markdown => "text/markdown; charset=utf-8",
            Self::Csv => "text/csv; charset=utf-8",
            Self::Json => "application/json",
            Self::Text => "text/plain; charset=utf-8",
        }
    }

    /// By the end of a file's name.
    pub fn of_extension(extension: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|renderer| renderer.extension() == extension)
    }

    /// The report in this form.
    ///
    /// # Errors
    /// What writing says: none that is known.
    pub fn render(self, report: &Weekly) -> Result<String, Unwritten> {
        let unwritten = |why: String| Unwritten { extension: self.extension(), why };
        match self {
            Self::Html => Ok(html::page(report)),
            Self::Markdown => Ok(markdown::render(report)),
            Self::Csv => csv::render(report).map_err(|e| unwritten(e.to_string())),
            Self::Json => json::render(report).map_err(|e| unwritten(e.to_string())),
            Self::Text => Ok(text::render(report)),
        }
    }

    /// What its file is called: the day of the period's end, and nothing that comes from a cluster.
    pub fn file_name(self, report: &Weekly) -> String {
        let day = words::moment(report.period.end_ms);
        format!("podfit-report-{}.{}", day.get(..10).unwrap_or("undated"), self.extension())
    }
}

/// A form that could not be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the report could not be written as {extension}: {why}")]
pub struct Unwritten {
    extension: &'static str,
    why: String,
}
