//! Every input that fuzzing kept or stumbled over, through the same checks again, without a fuzzer.
//! Knows nothing of what a target checks.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::needless_pass_by_value,
    reason = "a target says that something does not hold by panicking"
)]

use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

#[path = "fuzz/targets/mod.rs"]
mod targets;

/// The inputs of a target in a folder, by name.
fn inputs(folder: &str, target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz").join(folder).join(target);
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

#[test]
fn whatever_was_found_stays_mended() {
    let mut failed = Vec::new();
    for (name, run) in targets::TARGETS {
        let corpus = inputs("corpus", name);
        assert!(!corpus.is_empty(), "{name} has no corpus");
        for (path, bytes) in corpus.into_iter().chain(inputs("findings", name)) {
            // Nothing, and a half of it, are inputs too.
            for bytes in [&bytes[..], &bytes[..bytes.len() / 2]] {
                if catch_unwind(|| run(bytes)).is_err() {
                    failed.push(path.clone());
                }
            }
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn every_target_can_be_fuzzed() {
    let manifest = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/Cargo.toml")).unwrap();
    for (name, _) in targets::TARGETS {
        assert!(manifest.contains(&format!("path = \"bins/{name}.rs\"")), "{name}");
    }
}
