//! The reference manual agrees with the parser: its examples parse, and every rule that a fixture names is there, once.

use std::path::Path;

use thalweg::dsl::parser::parse;

use crate::assert_round_trip;
use crate::golden::models_in;

const MANUAL: &str = include_str!("../../docs/language.md");

/// The fenced parts of the manual with this tag.
fn examples(tag: &str) -> Vec<&'static str> {
    let fence = format!("```{tag}\n");
    let parts = MANUAL.split(fence.as_str()).skip(1);
    parts.map(|part| part.split_once("```").map_or(part, |(example, _)| example)).collect()
}

#[test]
fn examples_of_the_manual_parse() {
    let examples = examples("thal");
    assert!(examples.len() >= 20);
    for example in examples {
        assert_round_trip("docs/language.md", example);
    }
}

#[test]
fn wrong_examples_of_the_manual_do_not() {
    let examples = examples("thal-wrong");
    assert!(!examples.is_empty());
    for example in examples {
        assert!(parse(example).is_err(), "accepted:\n{example}");
    }
}

/// Rules that the first line of a fixture names, as in `# L6` or `# T1, G5: every form of type`.
fn rules(source: &str) -> Vec<String> {
    let line = source.lines().next().unwrap_or_default();
    let head = line.trim_start_matches("; ").trim_start_matches("# ").split(':').next().unwrap_or_default();
    let names: Vec<String> = head.split(", ").map(str::to_string).collect();
    let is_rule = |name: &String| {
        name.len() > 1
            && name.starts_with(|c: char| c.is_ascii_uppercase())
            && name[1..].bytes().all(|b| b.is_ascii_digit())
    };
    if names.iter().all(is_rule) { names } else { Vec::new() }
}

fn times_defined(rule: &str) -> usize {
    MANUAL.matches(&format!("**{rule} ")).count() + MANUAL.matches(&format!("**{rule}*")).count()
}

#[test]
fn every_rule_is_defined_once() {
    let numbered = [("L", 1..=7), ("G", 1..=7), ("S", 0..=13), ("T", 1..=2), ("R", 1..=43), ("C", 1..=13)];
    for (letter, numbers) in numbered {
        for number in numbers {
            let rule = format!("{letter}{number}");
            assert_eq!(times_defined(&rule), 1, "{rule}");
        }
    }
}

#[test]
fn fixtures_name_rules_of_the_manual() {
    let mut named = 0;
    for folder in ["tests/dsl/ok", "tests/dsl/err"] {
        for (path, source) in models_in(Path::new(folder)) {
            for rule in rules(&source) {
                assert_eq!(times_defined(&rule), 1, "{}: {rule}", path.display());
                named += 1;
            }
        }
    }
    assert!(named > 100);
}
