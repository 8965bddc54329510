//! `podfit explain`: the evidence behind one workload's numbers, as a picture and in sentences.

use std::fmt::Write as _;
use std::io::Write as _;

use super::Outcome;
use super::cluster_args::namespace;
use super::learn::{find, gather};
use super::source_args::SourceArgs;
use crate::collector::KnownPods;
use crate::fit::Constraints;
use crate::fit::spark::KnownHeaps;
use crate::history::{History, Outcome as RunOutcome};
use crate::quantity::Quantity;
use crate::recommendation::Line;
use crate::report::histogram::{self, Mark};
use crate::sizing::{SizingPolicy, cpu};
use crate::text;
use crate::text::units;
use crate::workload::WorkloadKey;

/// Arguments of `podfit explain`.
#[derive(clap::Args)]
pub struct Args {
    /// The workload as podfit recommend shows it, such as cronjob/nightly-report or airflow-task/sales/extract; with
    /// :CONTAINER for one of several
    workload: String,
    /// Its namespace, if several have a workload of that name
    #[arg(short, long, value_parser = namespace)]
    namespace: Option<String>,
    #[command(flatten)]
    source: SourceArgs,
}

/// Runs it.
///
/// # Errors
/// One line that says what, where and what to do.
pub async fn run(args: Args) -> anyhow::Result<Outcome> {
    let namespaces = args.namespace.into_iter().collect();
    let gathered = gather(&args.source, namespaces, KnownPods::default()).await?;
    gathered.not_empty("nothing to explain")?;
    let mut text = String::new();
    for (key, history) in find(&gathered.histories, &args.workload)? {
        text.push_str(&explain(key, history, &gathered.policy, &gathered.constraints));
    }
    std::io::stdout().lock().write_all(text.as_bytes())?;
    Ok(Outcome::Fine)
}

/// Everything there is to say about one container of a workload.
pub fn explain(key: &WorkloadKey, history: &History, policy: &SizingPolicy, constraints: &Constraints) -> String {
    let line = Line::of_history(key, history, policy, constraints, &KnownHeaps::default());
    let mut out = String::new();
    let _ = writeln!(
        out,
        "{}\nnamespace {}, container {}\n",
        text::short(&line.workload, 98),
        text::short(&line.namespace, 63),
        text::short(&line.container, 63)
    );
    out.push_str(&seen(&line));
    out.push_str(&evidence(&line));
    out.push_str(&picture(&line, history));
    out.push_str(&memory(&line));
    out.push_str(&cpu_text(&line));
    let caveats = line.evidence.caveats();
    for note in line.notes.iter().filter(|note| !caveats.contains(note)) {
        let _ = writeln!(out, "Note    {note}.");
    }
    out.push('\n');
    out
}

fn seen(line: &Line) -> String {
    let e = &line.evidence;
    let mut text = format!("Seen    {}", e.seen());
    if let (Some(first), Some(last)) = (e.first_ms, e.last_ms) {
        let _ = write!(text, " from {} to {}", units::day(first), units::day(last));
    }
    if let Some(seconds) = e.median_seconds.filter(|_| e.days.is_none()) {
        let _ = write!(text, ", median {}", units::duration(seconds));
    }
    for (n, what) in [
        (e.running, if e.days.is_some() { "under way" } else { "still running" }),
        (e.retries, "retries"),
        (e.censored, "at their limit"),
        (e.unobserved, "without a memory sample"),
    ] {
        if n > 0 {
            let _ = write!(text, ", {n} {what}");
        }
    }
    format!("{text}.\n")
}

/// How the runs ended, which of them count and why not the others, and what is in doubt.
fn evidence(line: &Line) -> String {
    let e = &line.evidence;
    let ends: Vec<String> = [
        (e.completed, if e.days.is_some() { "outlived" } else { "completed" }),
        (e.failed, "failed"),
        (e.oom_kills, "OOM-killed"),
        (e.suspected_kills, "probably OOM-killed"),
        (e.ended_unknown, "ended in a way that nothing recorded"),
        (e.never_sampled, "never sampled"),
    ]
    .into_iter()
    .filter(|(n, _)| *n > 0)
    .map(|(n, what)| format!("{n} {what}"))
    .collect();
    let mut text = if ends.is_empty() { String::new() } else { format!("Ended   {}.\n", ends.join(", ")) };
    if !e.left_out.is_empty() {
        let why: Vec<&str> = e.left_out.iter().map(|left_out| left_out.text.as_str()).collect();
        let _ = writeln!(
            text,
            "Counted {} {}s for memory; left out, since they can raise it and not lower it: {}.",
            e.counted,
            e.unit(),
            why.join(", ")
        );
    }
    for doubted in &e.doubts {
        let _ = writeln!(text, "Doubt   {}.", doubted.text);
    }
    text
}

fn picture(line: &Line, history: &History) -> String {
    let peaks: Vec<u64> = history
        .runs()
        .filter(|r| r.outcome != RunOutcome::Running)
        .filter_map(|r| r.memory)
        .map(|m| m.peak_bytes)
        .collect();
    if peaks.is_empty() {
        return String::new();
    }
    let mut marks = Vec::new();
    let mut mark = |quantity: Option<Quantity>, label: &str| {
        if let Some(q) = quantity {
            marks.push(Mark { bytes: q.bytes_rounded_up(), label: label.to_owned() });
        }
    };
    let (c, r) = (&line.current, &line.recommended);
    if c.memory_request == c.memory_limit {
        mark(c.memory_limit, "request and limit now");
    } else {
        mark(c.memory_request, "request now");
        mark(c.memory_limit, "limit now");
    }
    mark(r.memory_limit.or(r.memory_request), "recommended");
    let unit = line.evidence.unit();
    format!(
        "\nMemory peaks of {} {unit}s{}\n{}\n",
        peaks.len(),
        if unit == "day" { ", one of each replica" } else { "" },
        histogram::render(&peaks, &marks)
    )
}

fn memory(line: &Line) -> String {
    let e = &line.evidence;
    let Some(size) = line.recommended.memory_limit.or(line.recommended.memory_request) else {
        return "Memory  unknown.\n".to_owned();
    };
    let left_out: u64 = e.left_out.iter().map(|left_out| left_out.runs).sum();
    let peaks = e.runs.saturating_sub(left_out);
    let mut text = format!("Memory  {size}");
    if line.memory_rule.as_deref() == Some("level+tail")
        && let Some(covered) = line.covered_bytes
    {
        let _ = match line.runs_above {
            0 => write!(text, ": the highest of {peaks} peaks, {},", units::memory(covered)),
            n => write!(text, ": {}, above which {n} of {peaks} peaks lie,", units::memory(covered)),
        };
        let margin = size.bytes_rounded_up().saturating_sub(covered);
        let _ = write!(text, " and {} for what lies beyond", units::memory(margin));
        if line.runs_above > 0 {
            text.push_str(";\n        covering those too would waste more than their retries cost");
        }
    } else if let Some(rule) = &line.memory_rule {
        let _ = write!(text, " = {rule}");
    }
    text.push_str(".\n");
    text.push_str(&ladder(line));
    text.push_str(&by_input(line));
    if e.replay.decisions > 0 {
        let (lower, upper) = e.replay.exceeded_share_interval();
        let unit = e.unit();
        let event = if e.days.is_some() { "kill on" } else { "second try in" };
        let _ = writeln!(
            text,
            "        Replayed on these {unit}s, each from those before it: {} of {} would have needed more.\n        \
             So expect a {event} {} of {unit}s ({} to {}, with 95 % confidence).",
            e.replay.exceeded,
            e.replay.decisions,
            units::percent(e.replay.exceeded_share().unwrap_or(0.0)),
            units::percent(lower),
            units::percent(upper)
        );
    }
    let _ = writeln!(
        text,
        "        Peaks: {}; {} samples in all.",
        match (e.sampled_peaks, e.cgroup_peaks) {
            (0, 0) => "reported by their owner".to_owned(),
            (s, 0) => format!("{s} scraped maxima, lower bounds"),
            (0, k) => format!("{k} of the kernel's own high-water marks"),
            (s, k) => format!("{s} scraped maxima, {k} of the kernel's own high-water marks"),
        },
        e.memory_samples
    );
    if let Some(saved) = line.effect.memory_gib_hours_per_week.filter(|h| h.abs() >= 0.05) {
        let word = if saved > 0.0 { "less" } else { "more" };
        let failed = match line.effect.failed_gib_hours_per_week {
            held if held >= 0.05 => format!(", {held:.1} GiB·h of further tries counted"),
            _ => String::new(),
        };
        let _ = writeln!(text, "        {:.1} GiB·h a week {word} reserved than now{failed}.", saved.abs());
    }
    text
}

/// What runs of known input get.
fn by_input(line: &Line) -> String {
    let mut text = String::new();
    for (at, size) in line.memory_by_input.iter().enumerate() {
        let begin = if at == 0 { "        Where the input is known: " } else { "                                  " };
        let _ =
            writeln!(text, "{begin}up to {} → {}", units::memory(size.up_to_input_bytes), units::memory(size.bytes));
    }
    text
}

/// What comes after a kill.
fn ladder(line: &Line) -> String {
    let steps: Vec<String> = line.memory_ladder.iter().map(|q| units::memory(q.bytes_rounded_up())).collect();
    let Some((first, later)) = steps.split_first() else {
        return "        If a run is killed there, there is nothing more to give it.\n".to_owned();
    };
    if line.evidence.days.is_some() {
        return format!(
            "        A container that is killed there starts again in its pod with the same limit; a pod made anew\n        \
             then gets {first}.\n"
        );
    }
    let why = match line.runs_above {
        0 => "double each time, no peak lies above".to_owned(),
        n => format!("the least waste over the {n} peaks above"),
    };
    let later: String = later.iter().map(|step| format!(", then {step}")).collect();
    format!("        If a run is killed there, its next tries get {first}{later}:\n        {why}.\n")
}

fn cpu_text(line: &Line) -> String {
    let e = &line.evidence;
    let Some(request) = line.recommended.cpu_request else { return "CPU     unknown.\n".to_owned() };
    let mut text = format!("CPU     request {request}");
    if let Some(rule) = &line.cpu_rule {
        let _ = write!(text, " = {rule}");
    }
    if let (Some(median), Some(max)) = (e.cores_median, e.cores_max) {
        let _ = write!(text, "; median {median:.2}, highest {max:.2} cores");
    }
    if e.throttled_runs > 0 {
        let _ = write!(text, "; throttled in {} {}s", e.throttled_runs, e.unit());
    }
    text.push_str(".\n        What it is for: ");
    text.push_str(match line.cpu_rule.as_deref() {
        Some(cpu::BURSTS) => {
            "on a full node the cores reserved and the memory held while runs\n        wait for CPU cost least together, \
             and 19 of 20 runs get their mean use"
        }
        Some(cpu::BUSY) => {
            "on a full node a replica gets what it uses for 95 % of a day, on 19 of\n        20 days; in what is left of \
             them it waits"
        }
        _ => "on a full node 19 of 20 runs get their mean use; what bursts would\n        wait costs less than more cores",
    });
    text.push_str(".\n");
    if line.recommended.cpu_limit == line.current.cpu_limit {
        text.push_str("        A CPU limit is kept as it is.\n");
    }
    text
}
