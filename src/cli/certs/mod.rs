//! `podfit certs`: makes, shows and checks the certificates of the webhook. A file per command below it.
//! Must not know what makes a certificate good: that is [`crate::certs`].

mod check;
pub(super) mod connect;
mod inspect;
mod make;

use std::io::{Read, Write};
use std::path::Path;

use anyhow::anyhow;
use serde::Serialize;

use super::Outcome;
use crate::certs::pem;
use crate::report::json;
use crate::text::clean;

/// Arguments of `podfit certs`.
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Make a CA and a serving certificate, or renew the certificate with the CA there is
    Make(make::Args),
    /// Show what is in certificates; keys are never shown
    Inspect(inspect::Args),
    /// Say what is wrong with a certificate: in files, or as a server presents it
    Check(check::Args),
}

/// Runs it.
///
/// # Errors
/// One line that says what, where and what to do.
pub async fn run(args: Args) -> anyhow::Result<Outcome> {
    match args.command {
        Command::Make(args) => make::run(&args),
        Command::Inspect(args) => inspect::run(&args),
        Command::Check(args) => check::run(&args).await,
    }
}

/// How certificates and findings are printed.
#[derive(clap::ValueEnum, Clone, Copy, Debug, Default)]
pub(super) enum Format {
    /// 100 columns
    #[default]
    Table,
    /// Everything, for programs
    Json,
    /// Everything, for programs
    Yaml,
}

impl Format {
    /// Prints a table, or the value behind it.
    pub(super) fn print(self, table: &str, value: &impl Serialize) -> anyhow::Result<()> {
        let mut out = std::io::stdout().lock();
        match self {
            Self::Table => out.write_all(table.as_bytes())?,
            Self::Json => out.write_all(json::json(value)?.as_bytes())?,
            Self::Yaml => out.write_all(json::yaml(value)?.as_bytes())?,
        }
        out.flush()?;
        Ok(())
    }
}

/// A file's content, at most what a Secret can hold and a byte; `-` for standard input.
fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let mut content = Vec::new();
    let failed = |e: std::io::Error| anyhow!("cannot read {}: {}", shown(path), crate::prometheus::unreadable(&e));
    let limit = pem::MAX_BYTES as u64 + 1;
    if path.as_os_str() == "-" {
        std::io::stdin().take(limit).read_to_end(&mut content).map_err(failed)?;
    } else {
        std::fs::File::open(path).map_err(failed)?.take(limit).read_to_end(&mut content).map_err(failed)?;
    }
    Ok(content)
}

fn shown(path: &Path) -> String {
    clean(&path.display().to_string())
}

fn moment(text: &str) -> Result<jiff::Timestamp, String> {
    text.parse().map_err(|_| "a time in RFC 3339, such as 2026-11-22T12:00:00Z".to_owned())
}

/// Lines of two columns: a word, and text that is wrapped beside it.
fn two_columns(rows: &[(String, String)]) -> String {
    use comfy_table::{ColumnConstraint, ContentArrangement, Table, presets};
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    table.set_width(crate::report::table::COLUMNS);
    for (word, text) in rows {
        table.add_row([word, text]);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    if let Some(words) = table.column_mut(0) {
        words.set_constraint(ColumnConstraint::ContentWidth);
    }
    table.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}
