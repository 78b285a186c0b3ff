//! The text front of the language on files: accepted models, golden messages of wrong ones, random trees and texts.

#[path = "dsl/bind.rs"]
mod bind;
#[path = "dsl/golden.rs"]
mod golden;
#[path = "dsl/manual.rs"]
mod manual;
#[path = "dsl/mutants.rs"]
mod mutants;
#[path = "dsl/random_text.rs"]
mod random_text;
#[path = "dsl/random_tree.rs"]
mod random_tree;

use std::path::Path;

use golden::{assert_golden, models_in};
use thalweg::dsl::format::format;
use thalweg::dsl::parser::parse;

/// The tree without its places.
fn skeleton(tree: &impl std::fmt::Debug) -> String {
    let printed = format!("{tree:?}");
    let mut parts = printed.split("Span { ");
    let mut out = parts.next().unwrap_or_default().to_string();
    for part in parts {
        out.push_str(part.split_once('}').map_or("", |(_, rest)| rest));
    }
    out
}

/// Parses, prints, parses again: the same tree, and the print is a fixed point.
fn assert_round_trip(name: &str, source: &str) {
    let tree = parse(source).unwrap_or_else(|d| panic!("\n{}", d.render(name, source)));
    let printed = format(&tree);
    let again = parse(&printed).unwrap_or_else(|d| panic!("\n{}", d.render(name, &printed)));
    assert_eq!(skeleton(&again), skeleton(&tree), "{name} printed as\n{printed}");
    assert_eq!(format(&again), printed, "{name}");
}

#[test]
fn accepted_models_round_trip() {
    let models = models_in(Path::new("tests/dsl/ok"));
    assert!(!models.is_empty());
    for (path, source) in models {
        assert_round_trip(&path.display().to_string(), &source);
    }
}

#[test]
fn models_of_the_collection_round_trip() {
    for (path, source) in models_in(Path::new("models")) {
        assert_round_trip(&path.display().to_string(), &source);
    }
}

/// Syntax errors: the message needs no data.
#[test]
fn rejected_models_say_why() {
    assert_golden(Path::new("tests/dsl/err"), |name, source| Some(parse(source).err()?.render(name, source)));
}
