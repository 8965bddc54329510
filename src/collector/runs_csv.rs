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
    #[error("{file}:1: there is no column {column}; the first line must name the columns, task and peak_mem_bytes among them")]
    NoColumn {
        /// The file.
        file: String,
        /// The column.
        column: &'static str,
    },
    /// A cell that is no number.
    #[error("{file}:{line}: column {column} holds {value:?}, which is no number that it can have; correct it, or leave it empty")]
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

/// Reads runs into the store. `name` stands for the file in messages.
///
/// # Errors
/// [`RunsError`], naming file, line and column.
pub fn load(source: impl Read, name: &str, store: &Store) -> Result<u64, RunsError> {
    let mut reader = csv::ReaderBuilder::new().flexible(true).trim(csv::Trim::All).from_reader(source);
    let not_csv = |e: csv::Error| not_csv(name, &e);
    let header = reader.headers().map_err(not_csv)?.clone();
    if header.is_empty() {
        return Err(RunsError::Empty { file: name.to_owned() });
    }
    let at = |column: &str| header.iter().position(|h| h == column);
    let need = |column: &'static str| at(column).ok_or(RunsError::NoColumn { file: name.to_owned(), column });
    let (task, peak) = (need("task")?, need("peak_mem_bytes")?);
    let columns = Columns {
        workflow: at("workflow"),
        task,
        run_id: at("run_id"),
        start: at("start_ts"),
        runtime: at("runtime_s"),
        input: at("input_bytes"),
        peak,
        memory: at("req_mem_bytes"),
        cpu: at("req_cpu"),
        cores: at("avg_cpu_cores"),
        attempt: at("attempt"),
        status: at("status"),
    };
    let mut runs = Vec::new();
    let mut rows = 0_u64;
    for record in reader.records() {
        let record = record.map_err(not_csv)?;
        rows += 1;
        runs.push(columns.run(&record, name, rows)?);
        if runs.len() >= BATCH {
            store.commit(name, 0, &[], std::mem::take(&mut runs))?;
        }
    }
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
        _ => RunsError::NotCsv {
            file,
            line: error.position().map_or(1, csv::Position::line),
            why: error.to_string(),
        },
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
    fn run(&self, record: &csv::StringRecord, file: &str, row: u64) -> Result<(WorkloadKey, Run), RunsError> {
        let line = record.position().map_or(row + 1, csv::Position::line);
        let text = |at: Option<usize>| at.and_then(|i| record.get(i)).filter(|t| !t.is_empty());
        let number = |at: Option<usize>, column: &'static str| match text(at) {
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
        let names = text(self.workflow).into_iter().chain(text(Some(self.task)));
        let key =
            WorkloadKey { workload: Workload::new(NAMESPACE, Kind::Labels, names), container: CONTAINER.to_owned() };
        let seconds = number(self.runtime, "runtime_s")?.unwrap_or(0.0);
        // Without a start the order of the file is the order of the runs.
        let started_ms = match number(self.start, "start_ts")? {
            Some(s) => (s * 1000.0) as i64,
            None => i64::try_from(row).unwrap_or(i64::MAX).saturating_mul(1000),
        };
        let memory_request = number(self.memory, "req_mem_bytes")?.map(|b| b as u64);
        let status = text(self.status).unwrap_or_default().to_ascii_lowercase();
        let run = Run {
            pod: text(self.run_id).map_or_else(|| format!("row-{row}"), |id| format!("{id}-{row}")),
            uid: None,
            started_ms,
            ended_ms: started_ms.saturating_add((seconds * 1000.0) as i64),
            memory: number(Some(self.peak), "peak_mem_bytes")?.map(|b| MemoryUse {
                peak_bytes: b as u64,
                source: PeakSource::Reported,
                samples: 1,
            }),
            cpu: number(self.cores, "avg_cpu_cores")?.map(|cores| CpuUse {
                mean_cores: cores,
                peak_cores: None,
                throttled_share: None,
            }),
            resources: Resources {
                cpu_request_millis: number(self.cpu, "req_cpu")?.map(|c| (c * 1000.0).ceil() as u64),
                cpu_limit_millis: None,
                memory_request_bytes: memory_request,
                memory_limit_bytes: memory_request,
            },
            outcome: match status.as_str() {
                "" | "completed" | "succeeded" | "success" | "cached" => Outcome::Completed,
                s if s.contains("oom") => Outcome::OomKilled,
                s if s.contains("fail") || s.contains("error") || s.contains("abort") => Outcome::Failed,
                _ => Outcome::Unknown,
            },
            attempt: number(self.attempt, "attempt")?.map(|a| (a as u32).max(1)),
            input_bytes: number(self.input, "input_bytes")?,
        };
        Ok((key, run))
    }
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
