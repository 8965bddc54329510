//! Prints a report in the requested format and decides the exit status.

use std::io::Write;

use super::Outcome;
use crate::policy::Mode;
use crate::recommendation::{Change, Report};
use crate::report::{csv, json, markdown, table};
use crate::text;

/// How a report is printed.
#[derive(clap::ValueEnum, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// 100 columns, the most urgent first
    #[default]
    Table,
    /// Every number, at any width
    Wide,
    /// Everything, for programs
    Json,
    /// Everything, for programs
    Yaml,
    /// One row per container
    Csv,
    /// For a pull request or a chat
    Markdown,
}

/// What makes the command end with exit status 1.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailOn {
    /// A workload asks for too little memory
    Undersized,
    /// A workload asks for too much memory
    Oversized,
    /// A rule in mode enforce is violated
    Enforced,
    /// Any rule is violated
    Findings,
    /// A workload has no recommendation
    Unknown,
}

/// Arguments of every command that prints a report.
#[derive(clap::Args, Clone, Debug)]
pub struct OutputArgs {
    /// Format
    #[arg(short, long, value_enum, default_value_t, help_heading = "Output")]
    output: Format,
    /// Exit with status 1 if this is found (repeatable)
    #[arg(long, value_enum, value_name = "WHAT", value_delimiter = ',', help_heading = "Output")]
    fail_on: Vec<FailOn>,
}

impl OutputArgs {
    /// The format that was asked for.
    pub fn format(&self) -> Format {
        self.output
    }

    /// Prints the report on standard output.
    ///
    /// # Errors
    /// What standard output says.
    pub fn print(&self, report: &Report) -> anyhow::Result<Outcome> {
        let mut out = std::io::stdout().lock();
        match self.output {
            Format::Table | Format::Wide => {
                out.write_all(table::render(report, self.output == Format::Wide).as_bytes())?;
                print_patches(report, &mut out)?;
            }
            Format::Json => out.write_all(json::json(report)?.as_bytes())?,
            Format::Yaml => out.write_all(json::yaml(report)?.as_bytes())?,
            Format::Csv => {
                csv::write(report, &mut out)?;
                // Its rows have no place for what is true of all of them.
                for note in &report.notes {
                    anstream::eprintln!("podfit: {}", text::clean(note));
                }
            }
            Format::Markdown => out.write_all(markdown::render(report).as_bytes())?,
        }
        out.flush()?;
        let found = self.fail_on.iter().any(|what| is_found(*what, report));
        Ok(if found { Outcome::Found } else { Outcome::Fine })
    }
}

fn is_found(what: FailOn, report: &Report) -> bool {
    report.workloads.iter().any(|line| match what {
        FailOn::Undersized => line.verdict.memory == Change::Raise,
        FailOn::Oversized => line.verdict.memory == Change::Lower,
        FailOn::Enforced => line.findings.iter().any(|f| f.mode == Mode::Enforce),
        FailOn::Findings => !line.findings.is_empty(),
        FailOn::Unknown => line.verdict.memory == Change::Unknown,
    })
}

fn print_patches(report: &Report, out: &mut impl Write) -> std::io::Result<()> {
    let mut seen = std::collections::BTreeSet::new();
    let patched = report.workloads.iter().any(|l| l.patch.is_some());
    for line in &report.workloads {
        let Some(patch) = &line.patch else {
            let banned = line.findings.iter().find(|f| f.mode == Mode::Enforce);
            if let Some(finding) = banned.filter(|_| patched && seen.insert((&line.namespace, &line.workload))) {
                let (namespace, workload, rule) = (&line.namespace, &line.workload, &finding.rule);
                writeln!(out, "\nNo patch of the next pod of {namespace}/{workload}: {rule} turns it away")?;
            }
            continue;
        };
        if !seen.insert((&line.namespace, &line.workload)) {
            continue;
        }
        writeln!(out, "\nPatch of the next pod of {}/{}", line.namespace, line.workload)?;
        for op in patch.as_array().into_iter().flatten() {
            writeln!(out, "  {op}")?;
        }
    }
    Ok(())
}
