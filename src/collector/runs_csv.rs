//! Finished runs from a CSV file, for histories that no Prometheus holds.
//!
//! Columns, by name, in any order: `workflow, task` name the workload; `run_id`, `start_ts` (seconds since the epoch),
//! `runtime_s`, `peak_mem_bytes`, `req_mem_bytes`, `req_cpu` and `avg_cpu_cores` (cores), `input_bytes`, `attempt`,
//! `status`. Only `task` and `peak_mem_bytes` must be there; empty cells mean "not known".

use std::io::Read;

use crate::history::{CpuUse, MemoryUse, Outcome, PeakSource, Resources, Run, Store, StoreError};
use crate::prometheus::unreadable;
use crate::workload::{Kind, Workload, WorkloadKey};

/// What is wrong with a file of runs.
#[derive(Debug, thiserror::Error)]
pub enum RunsError {
    /// A column that must be there is not.
    #[error(
        "{file}:1: there is no column {column}; the first line must name the columns, task and peak_mem_bytes among them"
    )]
    NoColumn {
        /// The file.
        file: String,
        /// The column.
        column: &'static str,
    },
    /// A cell that is no number.
    #[error(
        "{file}:{line}: column {column} holds {value:?}, which is no number that it can have; correct it, or leave it empty"
    )]
    NoNumber {
        /// The file.
        file: String,
        /// The line.
        line: u64,
        /// The column.
        column: &'static str,
        /// The cell, at most 40 characters.
        value: String,
    },
    /// Not even a first line.
    #[error("{file} is empty; its first line must name the columns, task and peak_mem_bytes among them")]
    Empty {
        /// The file.
        file: String,
    },
    /// The file cannot be read to its end.
    #[error("cannot read {file}: {why}")]
    Unreadable {
        /// The file.
        file: String,
        /// What the operating system said, and what to do.
        why: String,
    },
    /// Not CSV.
    #[error("{file}:{line}: {why}; it must be CSV in UTF-8, or that packed by gzip")]
    NotCsv {
        /// The file.
        file: String,
        /// The line.
        line: u64,
        /// What is wrong.
        why: String,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Namespace of workloads that come from a file.
const NAMESPACE: &str = "file";
/// Container of workloads that come from a file.
const CONTAINER: &str = "main";
/// Rows written to the store at once.
const BATCH: usize = 10_000;

/// One row. `None` = the cell is empty, or there is no such column.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row {
    /// Name of the workflow, empty when there is none.
    pub workflow: String,
    /// Name of the task, empty when the cell is.
    pub task: String,
    /// Name of the run.
    pub run_id: Option<String>,
    /// Start, in seconds since the epoch.
    pub start_seconds: Option<f64>,
    /// Run time in seconds.
    pub seconds: Option<f64>,
    /// Size of the input in bytes.
    pub input_bytes: Option<f64>,
    /// Highest memory use in bytes.
    pub peak_bytes: Option<f64>,
    /// Memory asked for, in bytes.
    pub requested_bytes: Option<f64>,
    /// Cores asked for.
    pub requested_cores: Option<f64>,
    /// Mean cores used.
    pub cores: Option<f64>,
    /// 1 for the first try.
    pub attempt: Option<f64>,
    /// How it ended.
    pub outcome: Option<Outcome>,
}

/// Reads a file row by row, without ever holding more than one. `name` stands for the file in messages.
///
/// # Errors
/// [`RunsError`], naming file, line and column; what `row` says.
pub fn read<E: From<RunsError>>(
    source: impl Read,
    name: &str,
    mut row: impl FnMut(Row) -> Result<(), E>,
) -> Result<u64, E> {
    let mut reader = csv::ReaderBuilder::new().flexible(true).trim(csv::Trim::Headers).from_reader(source);
    let not_csv = |e: csv::Error| not_csv(name, &e);
    let header = reader.headers().map_err(not_csv)?;
    if header.is_empty() {
        return Err(RunsError::Empty { file: name.to_owned() }.into());
    }
    let columns = Columns::of(header, name)?;
    let mut record = csv::StringRecord::new();
    let mut rows = 0_u64;
    while reader.read_record(&mut record).map_err(not_csv)? {
        rows += 1;
        row(columns.row(&record, name, rows)?)?;
    }
    Ok(rows)
}

/// Reads runs into the store. `name` stands for the file in messages.
///
/// # Errors
/// [`RunsError`], naming file, line and column.
pub fn load(source: impl Read, name: &str, store: &Store) -> Result<u64, RunsError> {
    let mut runs = Vec::new();
    let mut number = 0_u64;
    let rows = read(source, name, |row| {
        number += 1;
        runs.push(run(row, number));
        if runs.len() >= BATCH {
            store.commit(name, 0, &[], std::mem::take(&mut runs))?;
        }
        Ok::<(), RunsError>(())
    })?;
    store.commit(name, 0, &[], runs)?;
    Ok(rows)
}

fn not_csv(name: &str, error: &csv::Error) -> RunsError {
    let file = name.to_owned();
    match error.kind() {
        csv::ErrorKind::Io(e) => RunsError::Unreadable { file, why: unreadable(e) },
        csv::ErrorKind::Utf8 { pos, .. } => {
            RunsError::NotCsv { file, line: pos.as_ref().map_or(1, csv::Position::line), why: "not UTF-8".to_owned() }
        }
        _ => RunsError::NotCsv { file, line: error.position().map_or(1, csv::Position::line), why: error.to_string() },
    }
}

struct Columns {
    workflow: Option<usize>,
    task: usize,
    run_id: Option<usize>,
    start: Option<usize>,
    runtime: Option<usize>,
    input: Option<usize>,
    peak: usize,
    memory: Option<usize>,
    cpu: Option<usize>,
    cores: Option<usize>,
    attempt: Option<usize>,
    status: Option<usize>,
}

impl Columns {
    fn of(header: &csv::StringRecord, file: &str) -> Result<Self, RunsError> {
        let at = |column: &str| header.iter().position(|h| h == column);
        let need = |column: &'static str| at(column).ok_or(RunsError::NoColumn { file: file.to_owned(), column });
        Ok(Self {
            task: need("task")?,
            peak: need("peak_mem_bytes")?,
            workflow: at("workflow"),
            run_id: at("run_id"),
            start: at("start_ts"),
            runtime: at("runtime_s"),
            input: at("input_bytes"),
            memory: at("req_mem_bytes"),
            cpu: at("req_cpu"),
            cores: at("avg_cpu_cores"),
            attempt: at("attempt"),
            status: at("status"),
        })
    }

    fn row(&self, record: &csv::StringRecord, file: &str, row: u64) -> Result<Row, RunsError> {
        let line = record.position().map_or(row + 1, csv::Position::line);
        let text = |at: Option<usize>| at.and_then(|i| record.get(i)).filter(|t| !t.trim().is_empty());
        let number = |at: Option<usize>, column: &'static str| match text(at).map(str::trim) {
            None => Ok(None),
            Some(cell) => match cell.parse::<f64>() {
                Ok(n) if n.is_nan() => Ok(None),
                Ok(n) if (0.0..1e18).contains(&n) => Ok(Some(n)),
                _ => Err(RunsError::NoNumber {
                    file: file.to_owned(),
                    line,
                    column,
                    value: cell.chars().take(40).collect(),
                }),
            },
        };
        let status = text(self.status).unwrap_or_default().trim().to_ascii_lowercase();
        Ok(Row {
            workflow: text(self.workflow).unwrap_or_default().to_owned(),
            task: text(Some(self.task)).unwrap_or_default().to_owned(),
            run_id: text(self.run_id).map(str::to_owned),
            start_seconds: number(self.start, "start_ts")?,
            seconds: number(self.runtime, "runtime_s")?,
            input_bytes: number(self.input, "input_bytes")?,
            peak_bytes: number(Some(self.peak), "peak_mem_bytes")?,
            requested_bytes: number(self.memory, "req_mem_bytes")?,
            requested_cores: number(self.cpu, "req_cpu")?,
            cores: number(self.cores, "avg_cpu_cores")?,
            attempt: number(self.attempt, "attempt")?,
            outcome: match status.as_str() {
                "" | "completed" | "succeeded" | "success" | "cached" => Some(Outcome::Completed),
                s if s.contains("oom") => Some(Outcome::OomKilled),
                s if s.contains("fail") || s.contains("error") || s.contains("abort") => Some(Outcome::Failed),
                _ => None,
            },
        })
    }
}

fn run(row: Row, number: u64) -> (WorkloadKey, Run) {
    let names = [row.workflow.trim(), row.task.trim()].into_iter().filter(|n| !n.is_empty());
    let key = WorkloadKey { workload: Workload::new(NAMESPACE, Kind::Labels, names), container: CONTAINER.to_owned() };
    // Without a start the order of the file is the order of the runs.
    let started_ms = match row.start_seconds {
        Some(s) => (s * 1000.0) as i64,
        None => i64::try_from(number).unwrap_or(i64::MAX).saturating_mul(1000),
    };
    let memory_request = row.requested_bytes.map(|b| b as u64);
    let run = Run {
        pod: row.run_id.map_or_else(|| format!("row-{number}"), |id| format!("{}-{number}", id.trim())),
        uid: None,
        started_ms,
        ended_ms: started_ms.saturating_add((row.seconds.unwrap_or(0.0) * 1000.0) as i64),
        memory: row.peak_bytes.map(|b| MemoryUse { peak_bytes: b as u64, source: PeakSource::Reported, samples: 1 }),
        cpu: row.cores.map(|mean_cores| CpuUse { mean_cores, peak_cores: None, throttled_share: None }),
        resources: Resources {
            cpu_request_millis: row.requested_cores.map(|c| (c * 1000.0).ceil() as u64),
            cpu_limit_millis: None,
            memory_request_bytes: memory_request,
            memory_limit_bytes: memory_request,
        },
        outcome: row.outcome.unwrap_or(Outcome::Unknown),
        attempt: row.attempt.map(|a| (a as u32).max(1)),
        input_bytes: row.input_bytes,
        jvm: None,
        day: None,
        observation: None,
    };
    (key, run)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_by_name_empty_cells_unknown() {
        let store = Store::in_memory().unwrap();
        let text =
            "task,peak_mem_bytes,start_ts,runtime_s,req_mem_bytes,status\na,1000,100,60,,\na,2000,200,60,4000,OOM\n";
        assert_eq!(load(text.as_bytes(), "f.csv", &store).unwrap(), 2);
        let (key, history) = store.histories(None).unwrap().next().unwrap().unwrap();
        assert_eq!(key.to_string(), "file/labels/a:main");
        let runs: Vec<_> = history.runs().collect();
        assert_eq!((runs.len(), runs[1].outcome, runs[0].resources.memory_limit_bytes), (2, Outcome::OomKilled, None));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let store = Store::in_memory().unwrap();
        let message = |text: &str| load(text.as_bytes(), "f.csv", &store).unwrap_err().to_string();
        assert!(message("workflow,peak_mem_bytes\n").contains("no column task"));
        assert!(message("task,peak_mem_bytes\na,-5\n").contains("f.csv:2: column peak_mem_bytes holds \"-5\""));
        assert!(message("task,peak_mem_bytes\na,lots\n").contains("\"lots\""));
    }
}
