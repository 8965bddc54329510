//! `podfit certs inspect`: what is in certificates.
//! Must not know whether that is good: `podfit certs check` does.

use std::path::PathBuf;

use anyhow::anyhow;
use serde::Serialize;

use super::{Format, moment, read, shown, two_columns};
use crate::certs::inspect::{CertificateFacts, read_certificates};
use crate::cli::Outcome;

/// Arguments of `podfit certs inspect`.
#[derive(clap::Args)]
pub struct Args {
    /// PEM files with certificates; - for standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Count days from this time (RFC 3339) instead of now
    #[arg(long, value_name = "TIME", value_parser = moment)]
    at: Option<jiff::Timestamp>,
    /// Format
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    file: String,
    /// From one on.
    position: usize,
    days_left: i64,
    #[serde(flatten)]
    facts: CertificateFacts,
}

/// Runs it.
///
/// # Errors
/// A file that cannot be read or holds no certificate.
pub fn run(args: &Args) -> anyhow::Result<Outcome> {
    let now = args.at.unwrap_or_else(jiff::Timestamp::now);
    let mut all = Vec::new();
    for path in &args.files {
        let file = shown(path);
        let found = read_certificates(&read(path)?).map_err(|e| anyhow!("{file} {e}"))?;
        all.extend(found.into_iter().enumerate().map(|(i, facts)| Shown {
            file: file.clone(),
            position: i + 1,
            days_left: facts.days_left(now),
            facts,
        }));
    }
    let table: Vec<String> = all.iter().map(block).collect();
    args.output.print(&table.join("\n"), &all)?;
    Ok(Outcome::Fine)
}

fn block(shown: &Shown) -> String {
    let facts = &shown.facts;
    let names = if facts.names.is_empty() { "none".to_owned() } else { facts.names.join(", ") };
    let what = match (facts.is_ca, facts.is_self_issued()) {
        (true, true) => " (itself: a root CA)",
        (true, false) => " (for an intermediate CA)",
        (false, true) => " (itself)",
        (false, false) => "",
    };
    let rows = [
        ("subject", facts.subject.clone()),
        ("names", names),
        ("issuer", format!("{}{what}", facts.issuer)),
        ("from", facts.not_before.to_string()),
        ("until", facts.not_after.to_string()),
        ("days left", shown.days_left.to_string()),
        ("key type", facts.key_type.clone()),
        ("signature", facts.signature.clone()),
        ("SHA-256", facts.fingerprint.clone()),
    ];
    let rows = rows.map(|(word, text)| (word.to_owned(), text));
    format!("{}, certificate {}\n{}", shown.file, shown.position, two_columns(&rows))
}
