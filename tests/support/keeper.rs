//! What is to be done when this process is gone, however it went. Knows nothing of what that is.

use std::ffi::OsStr;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

/// A shell that waits for the end of this process, which closes its input, and then runs the script, with `$0`, `$1` …
/// In a group of its own, so that an interrupt at the terminal does not reach it.
pub fn after_this_process<A: AsRef<OsStr>>(script: &str, arguments: impl IntoIterator<Item = A>) -> Child {
    Command::new("sh")
        .args(["-c", &format!("cat; {script}")])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .unwrap()
}
