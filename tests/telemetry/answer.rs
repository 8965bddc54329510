//! What the binary answers to a history, as its user asks it.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::series::History;

/// The JSON of `podfit recommend`, and what it said beside it.
#[derive(Debug)]
pub struct Answer {
    pub json: Value,
    pub stderr: String,
}

/// One row of it.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a>(pub &'a Value);

/// Asks for recommendations from a history; it must succeed.
pub fn recommend(history: &History, more: &[&str]) -> Answer {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("history.om");
    history.write(&file);
    ask(&file, more)
}

/// The same from a file.
pub fn ask(file: &Path, more: &[&str]) -> Answer {
    let mut command = Command::new(env!("CARGO_BIN_EXE_podfit"));
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("PODFIT_") || name.starts_with("KUBE")) {
            command.env_remove(name);
        }
    }
    let command = command.arg("recommend").arg("--openmetrics").arg(file).args(["-o", "json"]).args(more);
    let output = command.env("HOME", "/nonexistent").output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{stderr}");
    Answer { json: serde_json::from_slice(&output.stdout).unwrap(), stderr }
}

impl Answer {
    /// All rows.
    pub fn rows(&self) -> Vec<Row<'_>> {
        self.json["workloads"].as_array().unwrap().iter().map(Row).collect()
    }

    /// The only row of a container.
    pub fn row(&self, container: &str) -> Row<'_> {
        let rows: Vec<_> = self.rows().into_iter().filter(|row| row.0["container"] == container).collect();
        match rows.as_slice() {
            [row] => *row,
            rows => panic!("{} rows of {container}: {:#}", rows.len(), self.json),
        }
    }

    /// Everything that is said in words, for people.
    pub fn text(&self) -> String {
        format!("{:#}\n{}", self.json, self.stderr)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "a row is asked again and again")]
impl Row<'_> {
    /// A number of its evidence, by its name in the JSON; 0 where it is not there.
    pub fn evidence(&self, name: &str) -> f64 {
        self.0["evidence"][name].as_f64().unwrap_or(0.0)
    }

    /// Finished runs.
    pub fn runs(&self) -> u64 {
        self.evidence("runs") as u64
    }

    /// Kills for memory.
    pub fn kills(&self) -> u64 {
        self.evidence("oomKills") as u64
    }

    /// What it asks for, in bytes or cores, by its name in the JSON.
    pub fn current(&self, name: &str) -> Option<f64> {
        amount(&self.0["current"][name])
    }

    /// What it should ask for, likewise; `None` where it stays as it is.
    pub fn recommended(&self, name: &str) -> Option<f64> {
        amount(&self.0["recommended"][name])
    }

    /// Its notes, one after the other.
    pub fn notes(&self) -> String {
        let notes = self.0["notes"].as_array().unwrap();
        notes.iter().map(|note| note.as_str().unwrap()).collect::<Vec<_>>().join("\n")
    }
}

fn amount(value: &Value) -> Option<f64> {
    let quantity: podfit::quantity::Quantity = value.as_str()?.parse().unwrap();
    Some(quantity.millis_rounded_up() as f64 / 1000.0)
}
