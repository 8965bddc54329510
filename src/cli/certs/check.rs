//! `podfit certs check`: what is wrong with a certificate, in files or as a server presents it.
//! Must not know the checks: [`crate::certs::check`] has them.

use std::path::{Path, PathBuf};

use anyhow::{anyhow, bail};
use serde::Serialize;

use super::connect::{Address, presented};
use super::{Format, moment, read, shown, two_columns};
use crate::certs::check::{Finding, MIN_DAYS, Severity, Wanted, check};
use crate::certs::inspect::{CertificateFacts, read_certificates};
use crate::certs::pem;
use crate::cli::Outcome;

/// Arguments of `podfit certs check`.
#[derive(clap::Args)]
pub struct Args {
    /// PEM file of the certificate chain, the leaf first
    #[arg(long, value_name = "FILE", required_unless_present = "url")]
    cert: Option<PathBuf>,
    /// PEM file of the leaf's key
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
    /// Connect to this server and check what it presents; nothing is sent to it
    #[arg(long, value_name = "https://HOST:PORT", conflicts_with = "cert", requires = "ca")]
    url: Option<Address>,
    /// PEM file of the CA bundle, as in the webhook configuration's caBundle
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Name that clients ask for (repeatable); with --url its host when absent
    #[arg(long, value_name = "NAME")]
    dns: Vec<String>,
    /// Days that have to be left
    #[arg(long, value_name = "N", default_value_t = MIN_DAYS)]
    min_days: u32,
    /// Check as of this time (RFC 3339) instead of now
    #[arg(long, value_name = "TIME", value_parser = moment)]
    at: Option<jiff::Timestamp>,
    /// Format
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CheckReport {
    checked: String,
    leaf: CertificateFacts,
    days_left: i64,
    findings: Vec<Finding>,
}

/// Runs it.
///
/// # Errors
/// What cannot be read or reached.
pub async fn run(args: &Args) -> anyhow::Result<Outcome> {
    let now = args.at.unwrap_or_else(jiff::Timestamp::now);
    let bundle = args.ca.as_deref().map(certificates).transpose()?;
    let mut names = args.dns.clone();
    let (checked, chain, key_matches) = if let Some(address) = &args.url {
        let asked = names.first().map_or(address.host.as_str(), String::as_str);
        let chain = presented(address, asked).await?;
        if names.is_empty() {
            names.push(address.host.clone());
        }
        // The handshake is signed with the key: whoever presents the chain has it.
        (address.to_string(), chain, Some(true))
    } else if let Some(cert) = &args.cert {
        let chain = certificates(cert)?;
        let matches = args.key.as_deref().map(|key| key_matches(&chain, key)).transpose()?;
        (shown(cert), chain, matches)
    } else {
        bail!("nothing to check: give --cert FILE, or --url https://HOST:PORT with --ca FILE");
    };
    let wanted = Wanted { names: &names, bundle: bundle.as_deref(), min_days: args.min_days };
    let findings = check(&chain, key_matches, &wanted, now);
    let Some(leaf) = chain.into_iter().next() else {
        bail!("{checked} holds no certificate; give the chain, leaf first")
    };
    let answer = CheckReport { checked, days_left: leaf.days_left(now), leaf, findings };
    args.output.print(&table(&answer, bundle.is_some(), key_matches.is_some()), &answer)?;
    Ok(if answer.findings.is_empty() { Outcome::Fine } else { Outcome::Found })
}

fn certificates(path: &Path) -> anyhow::Result<Vec<CertificateFacts>> {
    read_certificates(&read(path)?).map_err(|e| anyhow!("{} {e}", shown(path)))
}

fn key_matches(chain: &[CertificateFacts], path: &Path) -> anyhow::Result<bool> {
    let key = pem::key(&read(path)?).map_err(|e| anyhow!("{} {e}", shown(path)))?;
    let chain = chain.iter().map(|c| c.der.clone()).collect();
    match rustls::sign::CertifiedKey::from_der(chain, key, crate::certs::provider()) {
        Ok(_) => Ok(true),
        Err(rustls::Error::InconsistentKeys(_)) => Ok(false),
        Err(_) => {
            bail!("{} holds a key that TLS does not take; use ECDSA P-256, or RSA of 2048 bits or more", shown(path))
        }
    }
}

fn table(answer: &CheckReport, with_bundle: bool, with_key: bool) -> String {
    let mut rows: Vec<(String, String)> = Vec::new();
    for finding in &answer.findings {
        let word = match finding.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        rows.push((word.to_owned(), format!("{}: {}", finding.check, finding.message)));
        rows.push((String::new(), format!("→ {}", finding.fix)));
    }
    if rows.is_empty() {
        let days = answer.days_left;
        rows.push((
            "fine".to_owned(),
            format!("{}, {days} days left, until {}", answer.leaf.subject, answer.leaf.not_after),
        ));
    }
    if !with_bundle {
        rows.push(("note".to_owned(), "who signed it was not checked: that takes --ca FILE".to_owned()));
    }
    if !with_key {
        rows.push(("note".to_owned(), "its key was not checked: that takes --key FILE".to_owned()));
    }
    format!("{}\n{}", answer.checked, two_columns(&rows))
}
