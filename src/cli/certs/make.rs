//! `podfit certs make`: a CA and a serving certificate, as files or as a Secret.
//! Must not show a key but in the Secret that was asked for.

use std::io::Write;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use base64::Engine;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::{read, shown, two_columns};
use crate::certs::authority::{Authority, CA_LIFE, IssuedPair};
use crate::certs::bundle::{CA_CERTIFICATES, CA_KEY, TLS_CERTIFICATE, TLS_KEY};
use crate::certs::inspect::read_certificates;
use crate::certs::names::{SECRET, SERVICE, ServerNames};
use crate::certs::pem::SecretPem;
use crate::cli::Outcome;
use crate::cli::cluster_args::namespace;

/// Arguments of `podfit certs make`.
#[derive(clap::Args)]
pub struct Args {
    /// Directory for ca.crt, ca.key, tls.crt and tls.key
    #[arg(long, value_name = "DIR", required_unless_present = "output")]
    out: Option<PathBuf>,
    /// Print a Secret with ca.crt, tls.crt and tls.key; the CA's key is kept only with --out
    #[arg(short, long, value_enum)]
    output: Option<Format>,
    /// Service of the webhook
    #[arg(long, value_name = "NAME", default_value = SERVICE)]
    service: String,
    /// Namespace of the Service
    #[arg(short, long, default_value = crate::certs::names::NAMESPACE, value_parser = namespace)]
    namespace: String,
    /// Further DNS name (repeatable)
    #[arg(long, value_name = "NAME")]
    dns: Vec<String>,
    /// Further address (repeatable)
    #[arg(long, value_name = "ADDRESS")]
    ip: Vec<IpAddr>,
    /// How long the serving certificate is valid, in days
    #[arg(long, value_name = "N", default_value_t = 365, value_parser = clap::value_parser!(u16).range(1..=3650))]
    days: u16,
    /// Make a new serving certificate with the CA in DIR
    #[arg(long, requires = "out", conflicts_with = "force")]
    renew: bool,
    /// Replace what is in DIR, the CA too
    #[arg(long, requires = "out")]
    force: bool,
}

/// How the outcome is printed.
#[derive(clap::ValueEnum, Clone, Copy, Debug)]
enum Format {
    /// A Secret of type kubernetes.io/tls, and the CA bundle as a comment
    Yaml,
}

/// Runs it.
///
/// # Errors
/// Names that are none, files that are in the way or cannot be written, a CA that cannot sign.
pub fn run(args: &Args) -> anyhow::Result<Outcome> {
    let now = Timestamp::now();
    let mut names = ServerNames::of_service(&args.service, &args.namespace)?;
    for name in &args.dns {
        names = names.with_dns(name)?;
    }
    for ip in &args.ip {
        names = names.with_ip(*ip);
    }
    let authority = match &args.out {
        Some(dir) if args.renew => existing(dir)?,
        Some(dir) if !args.force => {
            free(dir)?;
            Authority::create(now, CA_LIFE)?
        }
        _ => Authority::create(now, CA_LIFE)?,
    };
    let leaf = authority.issue(&names, now, SignedDuration::from_hours(24) * i32::from(args.days))?;
    if let Some(dir) = &args.out {
        store(dir, &authority, &leaf, args.renew)?;
    }
    let text = match (&args.output, &args.out) {
        (Some(Format::Yaml), _) => secret(args, &authority, &leaf)?,
        (None, Some(dir)) => summary(dir, &authority, &leaf, args)?,
        (None, None) => bail!("where to? give --out DIR for files, or -o yaml for a Secret"),
    };
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(Outcome::Fine)
}

/// The CA that a directory holds.
fn existing(dir: &Path) -> anyhow::Result<Authority> {
    let text = |name: &str| -> anyhow::Result<String> {
        let path = dir.join(name);
        let not_text = || anyhow!("{} is no text; write the file again", shown(&path));
        String::from_utf8(read(&path).context("--renew takes the CA that is there")?).map_err(|_| not_text())
    };
    let (certificate, key) = (text(CA_CERTIFICATES)?, SecretPem::new(text(CA_KEY)?));
    Authority::from_pem(&certificate, &key).map_err(|e| anyhow!("{}: {e}", shown(dir)))
}

fn free(dir: &Path) -> anyhow::Result<()> {
    let all = [CA_CERTIFICATES, CA_KEY, TLS_CERTIFICATE, TLS_KEY];
    let Some(path) = all.iter().map(|name| dir.join(name)).find(|p| p.symlink_metadata().is_ok()) else {
        return Ok(());
    };
    bail!("{} is there already; --renew makes a certificate with its CA, --force replaces the CA too", shown(&path))
}

fn store(dir: &Path, authority: &Authority, leaf: &IssuedPair, renew: bool) -> anyhow::Result<()> {
    std::fs::create_dir_all(dir).map_err(|e| anyhow!("cannot make {}: {e}; check the path", shown(dir)))?;
    if !renew {
        write(dir, CA_KEY, authority.key().expose(), SECRET_MODE)?;
        write(dir, CA_CERTIFICATES, authority.certificate(), PUBLIC_MODE)?;
    }
    write(dir, TLS_KEY, leaf.key.expose(), SECRET_MODE)?;
    write(dir, TLS_CERTIFICATE, &leaf.certificate, PUBLIC_MODE)
}

/// A key is for its owner alone.
const SECRET_MODE: u32 = 0o600;
/// A certificate is for everyone.
const PUBLIC_MODE: u32 = 0o644;

/// Writes beside the file and renames: a reader sees the old content or the new, and a key is at no time readable for
/// others, whatever the file before allowed.
fn write(dir: &Path, name: &str, text: &str, mode: u32) -> anyhow::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let (path, fresh) = (dir.join(name), dir.join(format!(".{name}.{}", std::process::id())));
    let written = (|| {
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&fresh)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&fresh, &path)
    })();
    written.map_err(|e| {
        let _ = std::fs::remove_file(&fresh);
        anyhow!("cannot write {}: {e}; check the directory and who may write there", shown(&path))
    })
}

fn secret(args: &Args, authority: &Authority, leaf: &IssuedPair) -> anyhow::Result<String> {
    let encode = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
    let bundle = encode(authority.certificate());
    let secret = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/tls",
        "metadata": {"name": SECRET, "namespace": args.namespace},
        "data": {
            CA_CERTIFICATES: bundle,
            TLS_CERTIFICATE: encode(&leaf.certificate),
            TLS_KEY: encode(leaf.key.expose()),
        },
    });
    let yaml = serde_saphyr::to_string(&secret)?;
    Ok(format!(
        "# For clientConfig.caBundle of the webhook configurations, the same as data[\"ca.crt\"]:\n# {bundle}\n{yaml}"
    ))
}

fn summary(dir: &Path, authority: &Authority, leaf: &IssuedPair, args: &Args) -> anyhow::Result<String> {
    let chain = read_certificates(leaf.certificate.as_bytes())?;
    let mut rows = Vec::new();
    let (ca, leaf) = (authority.facts(), chain.first().context("the new certificate is empty; report it")?);
    let kept = if args.renew { ", kept" } else { "" };
    rows.push((CA_CERTIFICATES.to_owned(), format!("{}, until {}{kept}", ca.subject, ca.not_after)));
    rows.push((TLS_CERTIFICATE.to_owned(), format!("until {}, for {}", leaf.not_after, leaf.names.join(", "))));
    if leaf.not_after == ca.not_after {
        rows.push((
            "note".to_owned(),
            "it ends with its CA; make a new CA before (webhook-certs/README.md)".to_owned(),
        ));
    }
    rows.push(("secret".to_owned(), "ca.key and tls.key, readable for their owner alone".to_owned()));
    Ok(format!("{}\n{}", shown(dir), two_columns(&rows)))
}
