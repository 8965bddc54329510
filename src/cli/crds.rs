//! `podfit crds`: the definitions of podfit's own kinds.

use std::io::Write;

use super::Outcome;
use crate::controller::crds;

/// Prints them as YAML, to be applied to a cluster.
///
/// # Errors
/// Standard output cannot be written.
pub fn run() -> anyhow::Result<Outcome> {
    let mut out = std::io::stdout().lock();
    for definition in crds::definitions() {
        writeln!(out, "---")?;
        out.write_all(serde_saphyr::to_string(&definition)?.as_bytes())?;
    }
    out.flush()?;
    Ok(Outcome::Fine)
}
