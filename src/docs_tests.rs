//! The documents name files that are there, and adding a thing takes the files that they name.

use std::path::Path;

#[test]
fn every_file_that_the_documents_name_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for document in ["CONTRIBUTING.md", "docs/architecture.md"] {
        let text = std::fs::read_to_string(root.join(document)).unwrap();
        let is_path = |word: &&str| {
            ["src/", "tests/", "deploy/", "docs/"].iter().any(|top| word.starts_with(top))
                || Path::new(word).extension().is_some_and(|end| end == "md")
        };
        let named: Vec<&str> = text.split(['`', '(', ')', ' ', '\n']).filter(is_path).collect();
        assert!(named.len() > 3, "{document} names {named:?}");
        for path in named {
            assert!(root.join(path).exists(), "{document} names {path}");
        }
    }
}

/// The rooms of the picture are the modules of the crate, each once.
#[test]
fn every_module_has_its_place_in_the_picture() {
    let text = include_str!("../docs/architecture.md");
    let picture = text.split("```").nth(1).unwrap();
    let lib = include_str!("lib.rs");
    let modules = lib.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    for module in modules.filter(|module| *module != "fnv") {
        assert!(picture.split_whitespace().any(|word| word == module), "docs/architecture.md does not draw {module}");
    }
}

/// The files below a heading of CONTRIBUTING.md.
fn files_for(heading: &str) -> Vec<&'static str> {
    let text = include_str!("../CONTRIBUTING.md");
    let part = text.split("\n**").find(|part| part.starts_with(heading)).unwrap();
    part.split('`').skip(1).step_by(2).filter(|word| Path::new(word).extension().is_some()).collect()
}

/// A made-up engine and a made-up rule, written from CONTRIBUTING.md alone: each still applies, and touches no file
/// that is not named there. A new file stands where the example of its kind does.
#[test]
fn a_new_engine_and_a_new_rule_take_the_files_that_are_named() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (heading, patch) in [("An engine", "engine.patch"), ("A rule", "rule.patch")] {
        let named = files_for(heading);
        let path = root.join("tests/door").join(patch);
        let text = std::fs::read_to_string(&path).unwrap();
        let is_named = |file: &str, is_new: bool| {
            named.contains(&file)
                || (is_new && named.iter().any(|known| Path::new(known).parent() == Path::new(file).parent()))
        };
        for diff in text.split("\ndiff --git ").map(|diff| diff.strip_prefix("diff --git ").unwrap_or(diff)) {
            let file = diff.split(" b/").nth(1).and_then(|rest| rest.lines().next()).unwrap();
            assert!(
                is_named(file, diff.contains("\nnew file ")),
                "{patch} touches {file}; CONTRIBUTING.md names {named:?}"
            );
        }
        let Ok(applied) =
            std::process::Command::new("git").args(["apply", "--check"]).arg(&path).current_dir(root).output()
        else {
            eprintln!("podfit-test-skipped: {patch}: git is not on PATH");
            continue;
        };
        let said = String::from_utf8_lossy(&applied.stderr);
        assert!(applied.status.success(), "{patch} no longer applies: make it anew. {said}");
    }
}
