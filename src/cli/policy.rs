//! `podfit policy`: the rules' settings in other forms.

use std::io::Write;
use std::path::PathBuf;

use super::Outcome;
use super::fail::tell;
use crate::policy::export;

/// Arguments of `podfit policy`.
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Print the rules as ValidatingAdmissionPolicies, which the API server checks without a webhook
    Export(ExportArgs),
}

/// Arguments of `podfit policy export`.
#[derive(clap::Args)]
struct ExportArgs {
    /// Rule settings (YAML): modes, namespaces, exemptions
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Prefix of the objects' names
    #[arg(long, default_value = "podfit", value_parser = prefix)]
    name_prefix: String,
    /// Only these namespaces (repeatable; default: all except system namespaces)
    #[arg(short, long, value_name = "NAME", value_delimiter = ',')]
    namespace: Vec<String>,
}

/// Runs it.
///
/// # Errors
/// The settings cannot be used.
pub fn run(args: &Args) -> anyhow::Result<Outcome> {
    let Command::Export(args) = &args.command;
    let settings = super::review::settings(args.policy.as_deref())?;
    let export = export::export(&settings, &args.name_prefix, &args.namespace);
    let mut out = std::io::stdout().lock();
    for object in &export.objects {
        writeln!(out, "---")?;
        out.write_all(serde_saphyr::to_string(object)?.as_bytes())?;
    }
    out.flush()?;
    for left in &export.left_out {
        tell(left);
    }
    Ok(Outcome::Fine)
}

fn prefix(text: &str) -> Result<String, String> {
    let fits = text.len() <= 40
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !text.ends_with('-');
    if fits { Ok(text.to_owned()) } else { Err("lower-case letters, digits and dashes, at most 40".to_owned()) }
}
