//! Runs the `podfit` binary as its user does and checks the form of what it prints. Knows no case in particular.

use std::ffi::OsStr;
use std::process::{Command, Output};

/// A password or token that no message may hold: tests give it wherever a secret can be given.
pub const SECRET: &str = "hunter2";
/// 2026-11-22T12:00:00Z, the end of the simulated histories.
pub const NOON: i64 = 1_795_348_800_000;
/// The same for `--at`.
pub const NOON_TEXT: &str = "2026-11-22T12:00:00Z";

/// What a run of the binary came to.
#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// The binary, without anything of the machine's own settings.
pub fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_podfit"));
    clear(&mut command);
    command
}

/// Takes away what a machine may have set.
pub fn clear(command: &mut Command) {
    let ours = |name: &str| {
        let name = name.to_ascii_uppercase();
        name.starts_with("PODFIT_") || name.starts_with("KUBE") || name.ends_with("_PROXY") || name.starts_with("RUST_")
    };
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(ours) {
            command.env_remove(name);
        }
    }
    command.env("HOME", "/nonexistent");
}

/// Runs to the end.
pub fn run(command: &mut Command) -> Ran {
    let Output { status, stdout, stderr } = command.stdin(std::process::Stdio::null()).output().unwrap();
    Ran { code: status.code(), stdout: String::from_utf8(stdout).unwrap(), stderr: String::from_utf8(stderr).unwrap() }
}

/// Runs the binary with arguments.
pub fn podfit<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>) -> Ran {
    run(command().args(args))
}

impl Ran {
    /// The lines on standard error, each checked for what none may hold.
    #[track_caller]
    pub fn lines(&self) -> Vec<&str> {
        let lines: Vec<&str> = self.stderr.lines().collect();
        for line in &lines {
            assert!(line.starts_with("podfit: "), "{:?}", self.stderr);
            assert!(!line.contains(SECRET), "{line}");
            assert!(!line.contains(char::is_control), "{line:?}");
            for debug in [
                "panicked",
                "Some(",
                "Err(",
                "Error {",
                "Error(",
                "{ ",
                "'\"",
                "Os {",
                "ServiceError",
                "fault of podfit",
            ] {
                assert!(!line.contains(debug), "{line}");
            }
        }
        lines
    }

    /// The one line of a command that could not be done.
    #[track_caller]
    pub fn refused(&self) -> &str {
        assert_eq!(self.code, Some(2), "{self:?}");
        assert_eq!(self.stdout, "", "{}", self.stderr);
        let lines = self.lines();
        assert_eq!(lines.len(), 1, "{}", self.stderr);
        assert!(lines[0].len() > 30, "too short to say what, where and what to do: {}", lines[0]);
        eprintln!("{}", lines[0]);
        lines[0].strip_prefix("podfit: ").unwrap()
    }

    /// The same, with pieces of text that the line has to hold.
    #[track_caller]
    pub fn refused_with(&self, pieces: &[&str]) {
        let line = self.refused();
        for piece in pieces {
            assert!(line.contains(piece), "{piece:?} is not in: {line}");
        }
    }

    /// The report of a command that worked without a word on standard error.
    #[track_caller]
    pub fn report(&self) -> serde_json::Value {
        assert_eq!(self.stderr, "");
        self.report_with_lines()
    }

    /// The report of a command that worked.
    #[track_caller]
    pub fn report_with_lines(&self) -> serde_json::Value {
        assert_eq!(self.code, Some(0), "{self:?}");
        self.lines();
        serde_json::from_str(&self.stdout).unwrap()
    }
}
