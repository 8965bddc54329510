//! The image's recipe. It is not built here: that takes a container runtime and the network.

use podfit::image::Image;

use crate::staged::Staged;

fn recipe() -> String {
    std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/Dockerfile")).unwrap()
}

/// The words after an instruction, a line each.
fn of<'a>(recipe: &'a str, instruction: &'a str) -> Vec<&'a str> {
    recipe.lines().filter_map(|l| l.strip_prefix(instruction)?.strip_prefix(' ')).collect()
}

#[test]
fn hadolint_has_no_objection() {
    let Some(staged) = Staged::new("hadolint_has_no_objection") else { return };
    staged.must("hadolint", None, &["deploy/Dockerfile"]);
}

#[test]
fn the_image_is_static_small_and_not_of_root() {
    let recipe = recipe();
    let last = recipe.rsplit("\nFROM ").next().unwrap();
    assert!(!last.contains("RUN "), "the base has no shell");
    assert_eq!(of(last, "USER"), ["65532:65532"]);
    assert_eq!(of(last, "ENTRYPOINT"), ["[\"/usr/local/bin/podfit\"]"]);
    let bases = of(&recipe, "ARG");
    assert!(bases.iter().any(|b| b.starts_with("BASE=") && b.contains("distroless/static")), "{bases:?}");
    // musl: what it builds runs without any file of the base.
    let builder = bases.iter().find_map(|b| b.strip_prefix("BUILDER=rust:")).unwrap();
    assert!(builder.contains("alpine"));
    // The compiler that Cargo.toml asks for.
    let cargo = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")).unwrap();
    let wanted = cargo.lines().find_map(|l| l.strip_prefix("rust-version = ")).unwrap().trim_matches('"');
    assert!(builder.starts_with(&format!("{wanted}-")), "{builder} for {wanted}");
}

#[test]
fn every_base_is_pinned_by_its_digest() {
    let recipe = recipe();
    let named: Vec<&str> = of(&recipe, "FROM").iter().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(named, ["${BUILDER}", "${BASE}"], "another base stands beside the arguments");
    for name in ["BUILDER=", "BASE="] {
        let image = of(&recipe, "ARG").into_iter().find_map(|line| line.strip_prefix(name)).unwrap();
        let Image::Reference(reference) = Image::parse(image) else { panic!("{image}") };
        assert!(reference.digest.is_some_and(|digest| digest.starts_with("sha256:")), "{image}");
        assert!(reference.tag.is_some_and(|tag| tag != "latest"), "{image}");
    }
}

#[test]
fn what_is_copied_into_the_build_is_let_through() {
    let ignored = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/.dockerignore")).unwrap();
    let recipe = recipe();
    let from_here = of(&recipe, "COPY").into_iter().filter(|l| !l.starts_with("--from"));
    let mut seen = 0;
    for line in from_here {
        let words: Vec<&str> = line.split_whitespace().collect();
        for source in &words[..words.len() - 1] {
            let name = source.trim_start_matches("./");
            assert!(ignored.lines().any(|l| l == format!("!{name}")), "{name} is ignored");
            assert!(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(name).exists(), "there is no {name}");
            seen += 1;
        }
    }
    assert!(seen >= 5, "{seen}");
}
