//! A backtest as a table, as Markdown, and in a person's words.
//! Gets what the backtest found, asks nobody.

use std::fmt::Write as _;

use comfy_table::Cell;

use super::markdown::cell;
use super::table::{new_table, right, trim, wrapped};
use crate::research::backtest::{Backtest, MethodScore, Workflow};
use crate::sizing::replay::Protocol;
use crate::text;
use crate::text::units;

/// Workflows listed at most, those with the most second tries first.
const MOST_WORKFLOWS: usize = 20;
/// Names are cut to this many characters, so that all fits 100 columns.
const LONGEST_NAME: usize = 36;
const LONGEST_METHOD: usize = 16;
const LONGEST_RULE: usize = 22;

/// As a table of 100 columns, what it means on top.
pub fn table(backtest: &Backtest) -> String {
    let mut out = String::new();
    for sentence in sentences(backtest) {
        out.push_str(&flush_left(&sentence));
    }
    let mut methods = new_table(&METHOD_COLUMNS);
    for method in &backtest.methods {
        let [name, rule, numbers @ ..] = method_cells(method);
        methods.add_row([name, rule].map(Cell::new).into_iter().chain(numbers.map(right)));
    }
    out.push('\n');
    out.push_str(&trim(&methods.to_string()));
    if backtest.workflows.len() > 1 {
        let (rows, more) = workflows(backtest);
        let mut table = new_table(&WORKFLOW_COLUMNS);
        for workflow in rows {
            let [name, numbers @ ..] = workflow_cells(workflow);
            table.add_row([Cell::new(name)].into_iter().chain(numbers.map(right)));
        }
        out.push('\n');
        out.push_str(&trim(&table.to_string()));
        if more > 0 {
            let _ = writeln!(out, "and {more} more with fewer second tries");
        }
    }
    out.push('\n');
    for line in legend(backtest) {
        out.push_str(&flush_left(&line));
    }
    if !backtest.notes.is_empty() {
        out.push_str("\nNotes\n");
        backtest.notes.iter().for_each(|note| out.push_str(&wrapped(note)));
    }
    out
}

/// As Markdown.
pub fn markdown(backtest: &Backtest) -> String {
    let mut out = sentences(backtest).join("\n");
    let mut table = |columns: &[&str], rows: &mut dyn Iterator<Item = Vec<String>>| {
        let _ = write!(out, "\n\n| {} |\n|---{}|", columns.join(" | "), "|--:".repeat(columns.len() - 1));
        for row in rows {
            let cells: Vec<String> = row.iter().map(|text| cell(text)).collect();
            let _ = write!(out, "\n| {} |", cells.join(" | "));
        }
    };
    table(&METHOD_COLUMNS, &mut backtest.methods.iter().map(|m| method_cells(m).to_vec()));
    if backtest.workflows.len() > 1 {
        table(&WORKFLOW_COLUMNS, &mut workflows(backtest).0.into_iter().map(|w| workflow_cells(w).to_vec()));
    }
    out.push_str("\n\n");
    out.push_str(&legend(backtest).join("\n"));
    out.push('\n');
    for note in &backtest.notes {
        let _ = write!(out, "\n- {}", cell(note));
    }
    if !backtest.notes.is_empty() {
        out.push('\n');
    }
    out
}

pub(super) const METHOD_COLUMNS: [&str; 7] =
    ["METHOD", "RULE", "WASTE/USE", "SECOND TRIES", "WORST WORKFLOW", "VS KRR", "WORKFLOWS"];

/// What a table says of a method.
pub(super) fn method_cells(method: &MethodScore) -> [String; 7] {
    let score = &method.score;
    [
        text::short(method.name, LONGEST_METHOD),
        text::short(method.formula, LONGEST_RULE),
        ratio(score.waste_per_used),
        percent(score.oom_share),
        percent(score.worst_oom_share),
        ratio(score.relative_waste),
        score.workflows.to_string(),
    ]
}

pub(super) const WORKFLOW_COLUMNS: [&str; 7] =
    ["WORKFLOW", "TASKS", "RUNS", "WASTE/USE", "WITH KRR", "SECOND TRIES", "WITH KRR"];

/// What a table says of a workflow.
pub(super) fn workflow_cells(workflow: &Workflow) -> [String; 7] {
    let name = [workflow.source.as_str(), workflow.name.as_str()];
    let name: Vec<&str> = name.into_iter().filter(|n| !n.is_empty()).collect();
    [
        text::short(&name.join("/"), LONGEST_NAME),
        workflow.tasks.to_string(),
        count(workflow.ours.runs),
        ratio(workflow.ours.waste_per_used()),
        ratio(workflow.reference.waste_per_used()),
        percent(workflow.ours.oom_share()),
        percent(workflow.reference.oom_share()),
    ]
}

/// The workflows to list, and how many more there are.
pub(super) fn workflows(backtest: &Backtest) -> (Vec<&Workflow>, usize) {
    let mut rows: Vec<&Workflow> = backtest.workflows.iter().collect();
    let share = |w: &Workflow| w.ours.oom_share().unwrap_or(0.0);
    rows.sort_by(|a, b| share(b).total_cmp(&share(a)));
    let more = rows.len().saturating_sub(MOST_WORKFLOWS);
    rows.truncate(MOST_WORKFLOWS);
    (rows, more)
}

/// What it means.
pub(super) fn sentences(backtest: &Backtest) -> Vec<String> {
    let Some(ours) = backtest.ours().filter(|m| m.score.runs > 0) else {
        return vec!["Nothing was replayed: no task has ten runs with a known peak.".to_owned()];
    };
    let score = &ours.score;
    let mut out = vec![format!(
        "{} run{} of {} task{} in {} workflow{} {} sized as if new, each from the runs before it.",
        count(score.runs),
        plural(score.runs),
        backtest.tasks,
        plural(backtest.tasks as u64),
        score.workflows,
        plural(score.workflows as u64),
        if score.runs == 1 { "was" } else { "were" }
    )];
    let mean = if score.workflows > 1 { ", in the mean over workflows" } else { "" };
    out.push(format!(
        "For every GB·h of memory that runs used, podfit would have reserved {} GB·h more than they used{mean}; {} of \
         runs would have needed a second try{}.",
        ratio(score.waste_per_used),
        percent(score.oom_share),
        if score.workflows > 1 {
            format!(" ({} in the worst workflow)", percent(score.worst_oom_share))
        } else {
            String::new()
        },
    ));
    if let Some(krr) = backtest.reference() {
        let score = &krr.score;
        let mut beside = format!("KRR: {} GB·h and {}.", ratio(score.waste_per_used), percent(score.oom_share));
        if let Some(requests) = backtest.methods.iter().find(|m| m.name == "requests" && m.score.runs > 0) {
            let _ = write!(
                beside,
                " What the runs asked for: {} GB·h and {}{}.",
                ratio(requests.score.waste_per_used),
                percent(requests.score.oom_share),
                if requests.score.workflows < ours.score.workflows { ", where it is known" } else { "" }
            );
        }
        out.push(beside);
    }
    out
}

/// How to read the numbers.
pub(super) fn legend(backtest: &Backtest) -> Vec<String> {
    vec![
        "WASTE/USE: memory-time reserved but not used, failed tries included, over memory-time used. VS KRR: that waste \
         beside KRR's, where less than 1 is less waste."
            .to_owned(),
        format!(
            "A run that gets less than it needs fails after {} its run time and is tried again with twice as much; \
             failed tries count as waste.",
            if backtest.time_to_failure >= 1.0 {
                "all of".to_owned()
            } else {
                format!("{} of", units::percent(backtest.time_to_failure))
            }
        ),
        format!(
            "Recommendations were asked for {}{}.",
            match backtest.protocol {
                Protocol::Block => "now and then (after 3, 5, 8, 12, 20, … runs) and held in between",
                Protocol::Walk => "before every run",
            },
            if backtest.finished_only { "; a run was known once it had ended" } else { "" }
        ),
    ]
}

pub(super) fn ratio(value: Option<f64>) -> String {
    value.map_or_else(|| "—".to_owned(), |v| format!("{v:.2}"))
}

pub(super) fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| "—".to_owned(), |s| format!("{:.2} %", s * 100.0))
}

/// `73,549`.
pub(super) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

fn plural(n: u64) -> &'static str {
    if n == 1 { "" } else { "s" }
}

/// Wrapped, without the indentation.
fn flush_left(text: &str) -> String {
    wrapped(text).lines().flat_map(|line| [line.trim_start(), "\n"]).collect()
}
