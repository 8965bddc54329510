//! `podfit recommend`: from history alone, no API server.

use super::Outcome;
use super::cluster_args::namespace;
use super::learn::gather;
use super::output::OutputArgs;
use super::source_args::SourceArgs;
use crate::collector::KnownPods;
use crate::recommendation::Report;

/// Arguments of `podfit recommend`.
#[derive(clap::Args)]
pub struct Args {
    /// Namespace (repeatable); all when absent
    #[arg(short, long, value_parser = namespace)]
    namespace: Vec<String>,
    #[command(flatten)]
    source: SourceArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Runs it.
///
/// # Errors
/// One line that says what, where and what to do.
pub async fn run(args: Args) -> anyhow::Result<Outcome> {
    let gathered = gather(&args.source, args.namespace, KnownPods::default()).await?;
    gathered.not_empty("nothing to recommend")?;
    let report = Report::new(gathered.recommendations(), Vec::new(), gathered.notes);
    args.output.print(&report)
}
