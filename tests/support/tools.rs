//! Programs that are built once from pinned Go modules (`tests/cluster/tools`). Knows nothing of what they do.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Exit status of `tests/cluster/up` where this machine cannot do what is asked.
pub const CANNOT_RUN_HERE: i32 = 3;

/// The path of a tool; `build` says whether it is built where it is not there, which may take minutes.
///
/// # Errors
/// Why there is none on this machine, for `skipped`.
pub fn tool(name: &str, build: bool) -> Result<PathBuf, String> {
    let up = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cluster/up");
    let option = if build { "--build-only" } else { "--print-if-built" };
    let answer = Command::new(up).args([option, name]).output().unwrap();
    let said = String::from_utf8_lossy(&answer.stderr);
    if answer.status.code() == Some(CANNOT_RUN_HERE) {
        return Err(said.trim().to_owned());
    }
    assert!(answer.status.success(), "tests/cluster/up {option} {name}: {said}");
    Ok(PathBuf::from(String::from_utf8(answer.stdout).unwrap().trim()))
}
