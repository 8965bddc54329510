//! The report as a Markdown table, for a pull request or a chat.

use super::findings::grouped;
use super::table;
use crate::recommendation::Report;
use crate::text;
use crate::text::units;

/// The report as Markdown.
pub fn render(report: &Report) -> String {
    let mut out = String::from(
        "| namespace | workload | container | runs | memory now | memory needed | peak | CPU now | CPU needed | do |\n\
         |---|---|---|--:|--:|--:|--:|--:|--:|---|\n",
    );
    for line in &report.workloads {
        let e = &line.evidence;
        let memory = line.recommended.memory_limit.or(line.recommended.memory_request);
        out.push_str(&format!(
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |\n",
            cell(&line.namespace),
            cell(&line.workload),
            cell(&line.container),
            e.runs,
            units::memory_or_dash(line.current.memory_limit.or(line.current.memory_request)),
            units::memory_or_dash(memory),
            e.peak_max_bytes.map_or_else(|| "—".to_owned(), units::memory),
            units::cpu_or_dash(line.current.cpu_request),
            units::cpu_or_dash(line.recommended.cpu_request),
            table::action(line),
        ));
    }
    let findings: Vec<String> = grouped(report)
        .iter()
        .map(|group| {
            let lines = group.lines.iter().map(|l| cell(&l.workload)).collect::<Vec<_>>().join(", ");
            let rule = &group.first.rule;
            if group.containers == 1 {
                format!("- **{rule}** {lines}: {}\n", cell(&group.first.message))
            } else {
                format!("- **{rule}** {} ({} containers: {lines})\n", cell(group.what), group.containers)
            }
        })
        .collect();
    if !findings.is_empty() {
        out.push_str("\n### Findings\n\n");
        out.extend(findings);
    }
    let notes: Vec<String> = report
        .workloads
        .iter()
        .flat_map(|l| l.notes.iter().map(move |n| format!("- {}: {}\n", cell(&l.workload), cell(n))))
        .chain(report.notes.iter().map(|n| format!("- {}\n", cell(n))))
        .collect();
    if !notes.is_empty() {
        out.push_str("\n### Notes\n\n");
        out.extend(notes);
    }
    out
}

/// Text from a cluster inside a Markdown table: nothing in it is markup.
pub(super) fn cell(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text::visible(text).chars() {
        match c {
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '!' | '#' | '~' | '$' => {
                out.push('\\');
                out.push(c);
            }
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            // A zero-width word joiner keeps chat systems from reading a mention.
            '@' => out.push_str("@\u{2060}"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_no_markup() {
        assert_eq!(cell("a|b<script>`x`"), "a\\|b&lt;script&gt;\\`x\\`");
        assert!(!cell("@channel").contains("@c"));
    }
}
