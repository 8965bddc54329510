//! The report in a few lines, for a chat or a mail. Texts are clean of control characters and marks; what would be
//! markup in them is for the one who sends them to make harmless.

use std::fmt::Write as _;

use super::{Weekly, words};
use crate::report::svg::escaped;
use crate::text;

/// Savings and risks that are named.
const NAMED: usize = 5;
/// Longest name of a workload.
const NAME: usize = 80;

/// A few lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Brief {
    /// `Week to 2026-11-22 06:00 UTC`.
    pub title: String,
    /// What could be saved, what is at risk, what changed, and the comparison: a sentence or two each.
    pub sentences: Vec<String>,
    /// The largest savings, a line each.
    pub savings: Vec<String>,
    /// The most serious risks, with their fix, a line each.
    pub risks: Vec<String>,
}

impl Brief {
    /// Of a report.
    pub fn of(report: &Weekly) -> Self {
        let savings = report.largest_savings.iter().take(NAMED).filter_map(|at| {
            let row = report.row(*at)?;
            Some(format!(
                "{}: memory {}, CPU {}: {}",
                place(&row.namespace, &row.workload),
                row.memory_words(),
                row.cpu_words(),
                words::money(row.now.money.saving, &report.prices)
            ))
        });
        let risks = report.risks.iter().take(NAMED).map(|risk| {
            format!("{}: {}: {}. {}.", risk.kind.as_str(), place(&risk.namespace, &risk.workload), risk.seen, risk.fix)
        });
        let clean = |text: String| text::visible(&text).into_owned();
        Self {
            title: words::title(report),
            sentences: vec![
                words::saving(report),
                words::at_risk(report),
                words::changed(report),
                words::against(report),
            ],
            savings: savings.map(clean).collect(),
            risks: risks.map(clean).collect(),
        }
    }

    /// As the HTML of a mail: no style that a mail program would drop, no picture.
    pub fn html(&self) -> String {
        let mut out = format!(
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>podfit</title></head><body><h1>{}</h1>\n",
            escaped(&self.title)
        );
        for sentence in &self.sentences {
            let _ = writeln!(out, "<p>{}</p>", escaped(sentence));
        }
        for (title, entries) in [("Largest savings", &self.savings), ("Risks", &self.risks)] {
            if entries.is_empty() {
                continue;
            }
            let items: Vec<String> = entries.iter().map(|e| format!("<li>{}</li>", escaped(e))).collect();
            let _ = writeln!(out, "<h2>{title}</h2>\n<ul>{}</ul>", items.concat());
        }
        out.push_str("</body></html>\n");
        out
    }
}

fn place(namespace: &str, workload: &str) -> String {
    text::short(&format!("{namespace}/{workload}"), NAME)
}
