//! The report on a terminal: 100 columns, the most urgent first.

use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};

use super::findings::grouped;
use crate::quantity::Quantity;
use crate::recommendation::{Change, Line, Report, Verdict};
use crate::text;
use crate::text::units;

/// Every line fits this many columns.
pub const COLUMNS: u16 = 100;
/// Room that a workload's name has at least and at most; of a longer one both ends are shown.
const SHORTEST_NAME: usize = 24;
const LONGEST_NAME: usize = 64;
/// Workloads named where many have the same finding.
const NAMED: usize = 3;

/// The report as text. `wide` shows every number exactly, at any width.
pub fn render(report: &Report, wide: bool) -> String {
    let mut out = String::new();
    let several = several_namespaces(report);
    if report.workloads.is_empty() {
        out.push_str("No recurring workload was found.\n");
    } else {
        out.push_str(&if wide { wide_table(report) } else { narrow_table(report, several) });
        out.push('\n');
        out.push_str(&wrapped_from(&summary(report), ""));
    }
    out.push_str(&why(report, several));
    out.push_str(&findings(report, several));
    for (title, rows) in [("Pods of no workload", &report.unidentified_pods)] {
        if !rows.is_empty() {
            out.push_str(&format!("\n{title}\n"));
            for (pod, reason) in rows.iter().take(10) {
                out.push_str(&wrapped(&format!("{}: {reason}", text::short(pod, 60))));
            }
            if rows.len() > 10 {
                out.push_str(&format!("  and {} more\n", rows.len() - 10));
            }
        }
    }
    if !report.notes.is_empty() {
        out.push_str("\nNotes\n");
        for note in &report.notes {
            out.push_str(&wrapped(note));
        }
    }
    out
}

fn several_namespaces(report: &Report) -> bool {
    report.workloads.iter().any(|l| l.namespace != report.workloads[0].namespace)
}

/// A workload as a table names it: with its namespace only where there are several, with its container only where the
/// workload has several.
fn title(report: &Report, line: &Line, several: bool, most: usize) -> String {
    let shared =
        report.workloads.iter().filter(|l| l.namespace == line.namespace && l.workload == line.workload).count() > 1;
    let mut text = if several { format!("{}/{}", line.namespace, line.workload) } else { line.workload.clone() };
    if shared {
        text.push(':');
        text.push_str(&line.container);
    }
    text::short(&text, most)
}

fn narrow_table(report: &Report, several: bool) -> String {
    let looked = report.workloads.iter().any(|l| l.live_pods.is_some());
    let live = |line: &Line| line.live_pods.map_or_else(|| "—".to_owned(), |n| n.to_string());
    let mut header = vec!["WORKLOAD", "RUNS", "MEMORY", "PEAK", "CPU", "GiB·h/wk", "DO"];
    let mut rows: Vec<Vec<String>> = report.workloads.iter().map(|l| cells(l).to_vec()).collect();
    if looked {
        header.insert(1, "LIVE");
        report.workloads.iter().zip(&mut rows).for_each(|(line, row)| row.insert(0, live(line)));
    }
    // The name gets what the numbers leave; between two columns there are two blanks.
    let widest = |i: usize| rows.iter().map(|r| r[i].chars().count()).chain([header[i + 1].chars().count()]).max();
    let numbers: usize = (0..header.len() - 1).map(|i| widest(i).unwrap_or(0) + 2).sum();
    let name = usize::from(COLUMNS).saturating_sub(numbers).clamp(SHORTEST_NAME, LONGEST_NAME);
    let mut table = new_table(&header);
    let mut by_namespace: Vec<(&Line, Vec<String>)> = report.workloads.iter().zip(rows).collect();
    if several {
        by_namespace.sort_by(|(a, _), (b, _)| a.namespace.cmp(&b.namespace));
    }
    let mut namespace = None;
    for (line, row) in by_namespace {
        if several && namespace != Some(&line.namespace) {
            namespace = Some(&line.namespace);
            table.add_row(vec![Cell::new(format!("[{}]", text::short(&line.namespace, 63)))]);
        }
        let mut record = vec![Cell::new(title(report, line, false, name))];
        let last = row.len() - 1;
        record
            .extend(row.into_iter().enumerate().map(|(i, text)| if i == last { Cell::new(text) } else { right(text) }));
        table.add_row(record);
    }
    trim(&table.to_string())
}

/// What the narrow table says of a line, behind its name.
fn cells(line: &Line) -> [String; 6] {
    let recommended = line.recommended.memory_limit.or(line.recommended.memory_request);
    [
        runs(line),
        arrow(line.verdict.memory, &units::memory_or_dash(asked_memory(line)), &units::memory_or_dash(recommended)),
        line.evidence.peak_max_bytes.map_or_else(|| "—".to_owned(), units::memory),
        arrow(
            line.verdict.cpu,
            &units::cpu_or_dash(line.current.cpu_request),
            &units::cpu_or_dash(line.recommended.cpu_request),
        ),
        saved(line.effect.memory_gib_hours_per_week),
        action(line).to_owned(),
    ]
}

fn wide_table(report: &Report) -> String {
    let mut table = new_table(&[
        "NAMESPACE",
        "WORKLOAD",
        "CONTAINER",
        "RUNS",
        "LIVE",
        "MEM REQ",
        "MEM LIM",
        "MEM REC",
        "PEAK",
        "MEDIAN",
        "SEEN BY",
        "OOM",
        "REPLAY",
        "CPU REQ",
        "CPU LIM",
        "CPU REC",
        "CORES",
        "GiB·h/wk",
        "core·h/wk",
        "DO",
    ]);
    let text = |q: Option<Quantity>| q.map_or_else(|| "—".to_owned(), |q| q.to_string());
    for line in &report.workloads {
        let e = &line.evidence;
        table.add_row(vec![
            Cell::new(text::short(&line.namespace, 63)),
            Cell::new(text::short(&line.workload, 200)),
            Cell::new(text::short(&line.container, 63)),
            right(runs(line)),
            right(line.live_pods.map_or_else(|| "—".to_owned(), |n| n.to_string())),
            right(text(line.current.memory_request)),
            right(text(line.current.memory_limit)),
            right(text(line.recommended.memory_limit.or(line.recommended.memory_request))),
            right(e.peak_max_bytes.map_or_else(|| "—".to_owned(), units::memory)),
            right(e.peak_median_bytes.map_or_else(|| "—".to_owned(), units::memory)),
            Cell::new(seen_by(e)),
            right(e.oom_kills.to_string()),
            right(format!("{}/{}", e.replay.exceeded, e.replay.decisions)),
            right(text(line.current.cpu_request)),
            right(text(line.current.cpu_limit)),
            right(text(line.recommended.cpu_request)),
            right(e.cores_max.map_or_else(|| "—".to_owned(), |c| format!("{c:.2}"))),
            right(saved(line.effect.memory_gib_hours_per_week)),
            right(saved(line.effect.cpu_core_hours_per_week)),
            Cell::new(action(line)),
        ]);
    }
    trim(&table.to_string())
}

/// How peaks were seen: `12 scraped, 3 kernel`.
pub fn seen_by(evidence: &crate::sizing::Evidence) -> String {
    let mut parts = Vec::new();
    for (n, word) in [(evidence.sampled_peaks, "scraped"), (evidence.cgroup_peaks, "kernel")] {
        if n > 0 {
            parts.push(format!("{n} {word}"));
        }
    }
    if parts.is_empty() { "—".to_owned() } else { parts.join(", ") }
}

/// Finished runs and running ones; of a service its days.
fn runs(line: &Line) -> String {
    if let Some(days) = line.evidence.days {
        return format!("{days} d");
    }
    if line.evidence.running > 0 {
        format!("{}+{}", line.evidence.runs, line.evidence.running)
    } else {
        line.evidence.runs.to_string()
    }
}

fn asked_memory(line: &Line) -> Option<Quantity> {
    line.current.memory_limit.or(line.current.memory_request)
}

fn arrow(change: Change, from: &str, to: &str) -> String {
    match change {
        Change::Unknown | Change::Keep => from.to_owned(),
        _ => format!("{from} → {to}"),
    }
}

fn saved(hours: Option<f64>) -> String {
    match hours {
        None => "—".to_owned(),
        Some(h) if h.abs() < 0.05 => "0".to_owned(),
        Some(h) if h > 0.0 => format!("−{}", short(h)),
        Some(h) => format!("+{}", short(-h)),
    }
}

fn short(hours: f64) -> String {
    if hours < 9.95 { format!("{hours:.1}") } else { format!("{hours:.0}") }
}

/// One word for what to do, memory first: it kills.
pub(super) fn action(line: &Line) -> &'static str {
    action_of(&line.verdict)
}

/// The same of a verdict.
pub(super) fn action_of(verdict: &Verdict) -> &'static str {
    match (verdict.memory, verdict.cpu) {
        (Change::Raise, _) => "raise",
        (Change::Set, _) => "set",
        (Change::Lower, _) => "lower",
        (Change::Keep | Change::Unknown, Change::Raise | Change::Lower | Change::Set) => "cpu",
        (Change::Keep, _) => "ok",
        (Change::Unknown, _) => "unknown",
    }
}

fn summary(report: &Report) -> String {
    let t = &report.totals;
    let mut text = format!("{} container{}", t.containers, if t.containers == 1 { "" } else { "s" });
    if t.unknown > 0 {
        text.push_str(&format!(", {} without enough evidence", t.unknown));
    }
    text.push_str(&format!(
        ". A week: {} GiB·h of memory and {} core·h reserved",
        saved(Some(t.memory_gib_hours_per_week)),
        saved(Some(t.cpu_core_hours_per_week))
    ));
    if t.oom_kills > 0 {
        text.push_str(&format!(", {} of {} OOM kills prevented", t.oom_kills_prevented, t.oom_kills));
    }
    text.push('.');
    text
}

fn why(report: &Report, several: bool) -> String {
    let mut out = String::new();
    for line in report.workloads.iter().filter(|l| !l.notes.is_empty()) {
        if out.is_empty() {
            out.push_str("\nWhy\n");
        }
        out.push_str(&wrapped(&format!("{}: {}", title(report, line, several, 60), line.notes.join("; "))));
    }
    out
}

fn findings(report: &Report, several: bool) -> String {
    let mut out = String::new();
    for group in grouped(report) {
        if out.is_empty() {
            out.push_str("\nFindings\n");
        }
        let (mode, rule) = (&group.first.mode, &group.first.rule);
        let names: Vec<String> = group.lines.iter().take(NAMED).map(|l| title(report, l, several, 50)).collect();
        out.push_str(&wrapped(&if group.containers == 1 {
            format!("{mode} {rule} ({}): {}", names.join(""), group.first.message)
        } else {
            let others = match group.lines.len().saturating_sub(NAMED) {
                0 => String::new(),
                n => format!(" and {n} more"),
            };
            format!("{mode} {rule}: {} ({} containers: {}{others})", group.what, group.containers, names.join(", "))
        }));
    }
    out
}

/// An indented paragraph of at most [`COLUMNS`] columns.
pub(super) fn wrapped(text: &str) -> String {
    wrapped_from(text, "  ")
}

/// A paragraph of at most [`COLUMNS`] columns; lines after the first are further in.
pub(super) fn wrapped_from(text: &str, indent: &str) -> String {
    let most = usize::from(COLUMNS) - indent.len();
    let mut out = String::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        let mut word = word.to_owned();
        loop {
            let room = most.saturating_sub(line.chars().count() + usize::from(!line.is_empty()));
            if word.chars().count() <= room {
                if !line.is_empty() {
                    line.push(' ');
                }
                line.push_str(&word);
                break;
            }
            if line.trim().is_empty() {
                // A word longer than a line is cut.
                let head: String = word.chars().take(most).collect();
                word = word.chars().skip(most).collect();
                out.push_str(&format!("{indent}{head}\n"));
                if word.is_empty() {
                    break;
                }
                continue;
            }
            out.push_str(&format!("{indent}{line}\n"));
            "  ".clone_into(&mut line);
        }
    }
    if !line.trim().is_empty() {
        out.push_str(&format!("{indent}{line}\n"));
    }
    out
}

/// Columns apart by two blanks, as wide as what is in them.
pub(super) fn new_table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(header.iter().map(Cell::new).collect::<Vec<_>>());
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table
}

pub(super) fn right(text: String) -> Cell {
    Cell::new(text).set_alignment(CellAlignment::Right)
}

/// Without the blanks that end lines.
pub(super) fn trim(text: &str) -> String {
    let mut out: String = text.lines().map(|l| format!("{}\n", l.trim_end())).collect();
    if out.is_empty() {
        out.push('\n');
    }
    out
}
