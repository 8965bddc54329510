//! The documents name files that are there.

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
