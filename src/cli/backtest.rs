//! `podfit backtest`: what each way of sizing would have given every past run, and what that would have cost.
//! Reads history, changes nothing.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use super::Outcome;
use super::cluster_args::namespace;
use super::learn::gather;
use super::progress::Bar;
use super::source_args::{SourceArgs, open_text};
use crate::collector::KnownPods;
use crate::collector::runs_csv::{self, RunsError};
use crate::history::Outcome as RunOutcome;
use crate::quantity::Quantity;
use crate::report::{backtest, backtest_html};
use crate::research::backtest::{Backtest, Group, Groups, Settings, run as replay};
use crate::sizing::Bearing;
use crate::sizing::replay::{FEWEST_RUNS, FLOOR_BYTES, MOST_RUNS, Protocol, Row};

/// Arguments of `podfit backtest`.
#[derive(clap::Args)]
pub struct Args {
    /// When to make a recommendation
    #[arg(long, value_enum, default_value_t, help_heading = "Replay")]
    protocol: When,
    /// Learn from a run only after it has ended, by its timestamps; otherwise as soon as the next row is read
    #[arg(long, help_heading = "Replay")]
    finished_only: bool,
    /// Share of its run time after which an attempt with too little memory fails; 0.5 is close to what clusters show
    #[arg(long, value_name = "SHARE", default_value_t = 1.0, value_parser = share, help_heading = "Replay")]
    time_to_failure: f64,
    /// Memory of the largest node
    #[arg(long, value_name = "MEMORY", default_value = "128Gi", value_parser = memory, help_heading = "Replay")]
    node: f64,
    /// The same for runs of one source, which is the folder of a file or a namespace (repeatable)
    #[arg(long, value_name = "SOURCE=MEMORY", value_parser = node_of, help_heading = "Replay")]
    node_of: Vec<(String, f64)>,
    #[arg(
        help = "Write what podfit would have given each run, as CSV: source, workflow, task, idx, alloc_bytes",
        long,
        value_name = "FILE",
        help_heading = "Output"
    )]
    decisions: Option<PathBuf>,
    /// Format
    #[arg(short, long, value_enum, default_value_t, help_heading = "Output")]
    output: Format,
    /// Namespace (repeatable); all when absent
    #[arg(short, long, value_parser = namespace, conflicts_with = "runs")]
    namespace: Vec<String>,
    #[command(flatten)]
    source: SourceArgs,
}

#[derive(clap::ValueEnum, Clone, Copy, Debug, Default)]
enum When {
    /// After 3, 5, 8, 12, 20, 30, … runs; unchanged in between
    #[default]
    Block,
    /// Before every run
    Walk,
}

#[derive(clap::ValueEnum, Clone, Copy, Debug, Default)]
enum Format {
    /// 100 columns
    #[default]
    Table,
    /// Everything, for programs
    Json,
    /// For a pull request or a chat
    Markdown,
    /// A page with a picture, in one file
    Html,
}

/// Runs it.
///
/// # Errors
/// One line that says what, where and what to do.
pub async fn run(args: Args) -> anyhow::Result<Outcome> {
    let mut notes = Vec::new();
    let groups = if args.source.runs().is_empty() {
        from_history(&args, &mut notes).await?
    } else {
        from_files(args.source.runs(), &mut notes)?
    };
    let replayed = groups.replayed();
    if replayed.is_empty() {
        let most = groups.all().iter().map(|g| g.runs).max().unwrap_or(0);
        notes.push(format!("{} tasks were read, the largest has {most} runs", groups.all().len()));
        bail!("nothing to replay, a task needs {FEWEST_RUNS} runs: {}", notes.join("; "));
    }
    notes.extend(remarks(&groups));
    let mut decisions = args.decisions.as_deref().map(Decisions::create).transpose()?;
    let bar = Bar::counting("Replaying", replayed.len(), "tasks");
    let mut found = replay(&replayed, &args.settings(), |done, group, given| {
        bar.at(done);
        decisions.as_mut().map_or(Ok(()), |d| d.write(group, given))
    })?;
    drop(bar);
    if let Some(decisions) = decisions {
        decisions.finish()?;
    }
    found.notes = notes;
    print(&found, args.output)?;
    Ok(Outcome::Fine)
}

impl Args {
    fn settings(&self) -> Settings {
        Settings {
            protocol: match self.protocol {
                When::Block => Protocol::Block,
                When::Walk => Protocol::Walk,
            },
            finished_only: self.finished_only,
            time_to_failure: self.time_to_failure,
            node_bytes: self.node,
            node_bytes_of: self.node_of.iter().cloned().collect::<BTreeMap<_, _>>(),
        }
    }
}

fn print(found: &Backtest, format: Format) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match format {
        Format::Table => out.write_all(backtest::table(found).as_bytes())?,
        Format::Json => out.write_all(crate::report::json::json(found)?.as_bytes())?,
        Format::Markdown => out.write_all(backtest::markdown(found).as_bytes())?,
        Format::Html => out.write_all(backtest_html::page(found).as_bytes())?,
    }
    out.flush()?;
    Ok(())
}

/// Runs of files, in the order of the files' names, each row by row.
fn from_files(paths: &[PathBuf], notes: &mut Vec<String>) -> anyhow::Result<Groups> {
    let mut paths: Vec<&PathBuf> = paths.iter().collect();
    paths.sort_by_key(|path| path.as_os_str().to_owned());
    paths.dedup();
    let mut groups = Groups::default();
    let (mut unnamed, mut killed, mut read) = (0_u64, 0_u64, 0_u64);
    let bar = Bar::counting("Reading", paths.len(), "files");
    for (number, path) in paths.into_iter().enumerate() {
        let name = path.display().to_string();
        if is_of_failures(path) {
            notes.push(format!("{name} was left out: by its name it holds failed tries, not runs"));
            continue;
        }
        let source = source_of(path);
        let result = runs_csv::read(open_text(path)?, &name, |row| {
            if row.task.is_empty() {
                unnamed += 1;
                return Ok(());
            }
            killed += u64::from(row.outcome == Some(RunOutcome::OomKilled));
            groups.add(&source, &row.workflow, &row.task, row_of(&row));
            Ok::<(), RunsError>(())
        });
        match result {
            Ok(_) => read += 1,
            Err(error @ RunsError::NoColumn { .. }) => notes.push(format!("left out: {error}")),
            Err(error) => return Err(error.into()),
        }
        bar.at(number + 1);
    }
    drop(bar);
    if read == 0 {
        bail!("{}", notes.join("; "));
    }
    if unnamed > 0 {
        notes.push(format!("{unnamed} rows without a task were left out"));
    }
    notes.extend(killed_note(killed));
    Ok(groups)
}

fn row_of(row: &runs_csv::Row) -> Row {
    Row {
        peak_bytes: row.peak_bytes,
        seconds: row.seconds,
        start_seconds: row.start_seconds,
        input_bytes: row.input_bytes,
        requested_bytes: row.requested_bytes,
        killed: row.outcome == Some(RunOutcome::OomKilled),
    }
}

/// The folder a file is in.
fn source_of(path: &Path) -> String {
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    whole.parent().and_then(Path::file_name).map(|n| n.to_string_lossy().into_owned()).unwrap_or_default()
}

fn is_of_failures(path: &Path) -> bool {
    let name = path.file_name().map(|n| n.to_string_lossy().to_lowercase()).unwrap_or_default();
    name.trim_end_matches(".gz").trim_end_matches(".csv").ends_with("_failures")
}

/// Runs of what Prometheus or the store knows.
async fn from_history(args: &Args, notes: &mut Vec<String>) -> anyhow::Result<Groups> {
    let gathered = gather(&args.source, args.namespace.clone(), KnownPods::default()).await?;
    notes.extend(gathered.notes);
    let mut groups = Groups::default();
    let (mut folded, mut killed, mut failed) = (0_u64, 0_u64, 0_u64);
    for (key, history) in &gathered.histories {
        folded += u64::from(history.older().runs > 0);
        let workload = key.workload.to_string();
        // A day of a service is no run that is tried again, and its size is another question.
        for run in history.finished().filter(|run| run.day.is_none()) {
            // What a run used before it failed is no need that a size could be measured by.
            if Bearing::of(run) == Bearing::Failed {
                failed += 1;
                continue;
            }
            let is_killed = run.was_killed();
            killed += u64::from(is_killed);
            let row = Row {
                peak_bytes: run.memory.map(|m| m.peak_bytes as f64),
                seconds: Some(run.seconds()),
                start_seconds: Some(run.started_ms as f64 / 1000.0),
                input_bytes: run.input_bytes,
                requested_bytes: run.resources.memory_request_bytes.map(|b| b as f64),
                killed: is_killed,
            };
            groups.add(&key.workload.namespace, &workload, &key.container, row);
        }
    }
    if folded > 0 {
        notes.push(format!("of {folded} workloads only the latest runs are kept singly; the replay begins with those"));
    }
    if failed > 0 {
        notes.push(format!("{failed} runs failed for another reason than memory and were left out"));
    }
    notes.extend(killed_note(killed));
    Ok(groups)
}

fn killed_note(killed: u64) -> Option<String> {
    (killed > 0).then(|| {
        format!("{killed} runs were killed for memory: what they needed is not known, their peak stands for it here")
    })
}

/// What a reader should know of the groups.
fn remarks(groups: &Groups) -> Vec<String> {
    let mut out = Vec::new();
    let small = groups.all().len() - groups.replayed().len();
    if small > 0 {
        out.push(format!("{small} tasks with fewer than {FEWEST_RUNS} runs were left out"));
    }
    let large = groups.replayed().iter().filter(|g| g.runs > MOST_RUNS).count();
    if large > 0 {
        out.push(format!("of {large} tasks with more than {MOST_RUNS} runs the first {MOST_RUNS} were replayed"));
    }
    let jumbled = groups.replayed().iter().filter(|g| g.out_of_order).count();
    if jumbled > 0 {
        out.push(format!(
            "the rows of {jumbled} tasks are not in the order of their start; they were replayed in the order of the file"
        ));
    }
    out
}

/// The file of decisions.
struct Decisions {
    path: PathBuf,
    writer: csv::Writer<std::fs::File>,
}

impl Decisions {
    fn create(path: &Path) -> anyhow::Result<Self> {
        let cannot = || format!("cannot write {}", path.display());
        let mut writer = csv::Writer::from_path(path).with_context(cannot)?;
        writer.write_record(["source", "workflow", "task", "idx", "alloc_bytes"]).with_context(cannot)?;
        Ok(Self { path: path.to_owned(), writer })
    }

    fn write(&mut self, group: &Group, given: &[Option<f64>]) -> anyhow::Result<()> {
        for (at, bytes) in given.iter().enumerate() {
            let Some(bytes) = bytes else { continue };
            let (at, bytes) = (at.to_string(), (*bytes as u64).to_string());
            self.writer
                .write_record([&group.source, &group.workflow, &group.task, &at, &bytes])
                .with_context(|| format!("cannot write {}", self.path.display()))?;
        }
        Ok(())
    }

    fn finish(mut self) -> anyhow::Result<()> {
        self.writer.flush().with_context(|| format!("cannot write {}", self.path.display()))
    }
}

fn share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if (0.0..=1.0).contains(&value) => Ok(value),
        _ => Err("a number from 0 to 1".to_owned()),
    }
}

fn memory(text: &str) -> Result<f64, String> {
    let bytes = Quantity::parse(text).map_err(|e| e.to_string())?.bytes_rounded_up() as f64;
    if bytes < FLOOR_BYTES { Err("at least 64Mi".to_owned()) } else { Ok(bytes) }
}

fn node_of(text: &str) -> Result<(String, f64), String> {
    let (source, bytes) = text.rsplit_once('=').ok_or_else(|| "SOURCE=MEMORY, such as lab=512Gi".to_owned())?;
    Ok((source.to_owned(), memory(bytes)?))
}
