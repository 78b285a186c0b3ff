//! The kinds of errors in the sources: each has a case that shows its message.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::cases::CASES;
use crate::library::{EVIDENCE, SHOWN};

/// Where the errors are that a run of the program can end with.
const FOLDERS: [&str; 11] =
    ["cli", "evidence", "flow", "graph", "guide", "io", "mcmc", "model", "optimize", "vi", "workflow"];

fn sources(folder: &Path, out: &mut Vec<PathBuf>) {
    for path in std::fs::read_dir(folder).unwrap().flatten().map(|e| e.path()) {
        if path.is_dir() {
            sources(&path, out);
        } else if path.extension().is_some_and(|e| e == "rs") {
            out.push(path);
        }
    }
}

/// `Enum::Variant` of every enum, and the name of every struct, that derives thiserror's `Error`.
fn kinds_in(source: &str) -> Vec<String> {
    let mut out = vec![];
    let mut lines = source.lines();
    while let Some(line) = lines.next() {
        let derives = line.starts_with("#[derive(") && (line.contains("thiserror::Error") || line.contains(" Error"));
        if !derives {
            continue;
        }
        let Some(head) = lines.by_ref().find(|l| l.starts_with("pub ")) else { continue };
        let word = |l: &str| l.chars().take_while(|c| c.is_alphanumeric()).collect::<String>();
        let Some(name) = head.strip_prefix("pub enum ").map(word) else {
            out.extend(head.strip_prefix("pub struct ").map(word));
            continue;
        };
        for l in lines.by_ref().take_while(|l| *l != "}") {
            let variant = l.strip_prefix("    ").map(word).unwrap_or_default();
            if variant.starts_with(char::is_uppercase) {
                out.push(format!("{name}::{variant}"));
            }
        }
    }
    out
}

#[test]
fn every_kind_of_error_is_shown() {
    let mut files = vec![];
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    FOLDERS.iter().for_each(|f| sources(&src.join(f), &mut files));
    let texts = files.iter().map(|f| std::fs::read_to_string(f).unwrap());
    let kinds: BTreeSet<String> = texts.flat_map(|t| kinds_in(&t)).collect();
    assert!(kinds.len() > 40, "only {} kinds were found: {kinds:?}", kinds.len());
    let shown: BTreeSet<String> =
        CASES.iter().flat_map(|c| c.shows).chain(&SHOWN).chain(&EVIDENCE).map(|k| k.to_string()).collect();
    let missing: Vec<_> = kinds.difference(&shown).collect();
    assert!(missing.is_empty(), "no golden message shows {missing:?}: add a case to tests/messages/cases.rs");
    let gone: Vec<_> = shown.difference(&kinds).collect();
    assert!(gone.is_empty(), "cases show kinds that do not exist: {gone:?}");
}

/// The longest literal part of each message given to `Diagnostic::new(span, …)`.
fn diagnostics_in(source: &str) -> Vec<String> {
    let source = source.split("#[cfg(test)]").next().unwrap_or_default();
    let mut out = vec![];
    for part in source.split("Diagnostic::new(").skip(1) {
        // A message stands close behind; a string further off belongs to something else.
        let near: String = part.chars().take(200).collect();
        let Some((before, rest)) = near.split_once('"') else { continue };
        if before.contains(';') {
            continue;
        }
        let literal = rest.replace("\\\"", "\u{1}");
        let literal = literal.split('"').next().unwrap_or_default().replace('\u{1}', "\"");
        let parts = literal.split('{').map(|p| p.split_once('}').map_or(p, |(_, after)| after).trim());
        out.extend(parts.max_by_key(|p| p.len()).map(String::from));
    }
    out
}

fn texts(folder: &Path, out: &mut String) {
    for path in std::fs::read_dir(folder).unwrap().flatten().map(|e| e.path()) {
        if path.is_dir() {
            texts(&path, out);
        } else if path.extension().is_some_and(|e| e == "txt") {
            out.push_str(&std::fs::read_to_string(&path).unwrap());
        }
    }
}

/// The messages about places in models: golden under `tests/dsl`, or named in the list of those that are not.
#[test]
fn every_diagnostic_is_shown_or_listed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = vec![];
    ["dsl", "model"].iter().for_each(|f| sources(&root.join("src").join(f), &mut files));
    let all = files.iter().flat_map(|f| diagnostics_in(&std::fs::read_to_string(f).unwrap()));
    let all: BTreeSet<String> = all.filter(|d| d.len() > 3).collect();
    assert!(all.len() > 120, "only {} messages were found", all.len());
    let mut golden = String::new();
    ["tests/dsl", "tests/messages"].iter().for_each(|f| texts(&root.join(f), &mut golden));
    let found: BTreeSet<String> = all.into_iter().filter(|d| !golden.contains(d.as_str())).collect();
    let list = root.join("tests/messages/unshown.list");
    if std::env::var("THALWEG_BLESS").is_ok_and(|v| v == "1") {
        std::fs::write(&list, found.iter().map(|d| format!("{d}\n")).collect::<String>()).unwrap();
    }
    let listed: BTreeSet<String> = std::fs::read_to_string(&list).unwrap().lines().map(String::from).collect();
    let new: Vec<_> = found.difference(&listed).collect();
    assert!(new.is_empty(), "add a model to tests/dsl/bind that shows {new:?}");
    let stale: Vec<_> = listed.difference(&found).collect();
    assert!(stale.is_empty(), "a golden message shows {stale:?} by now: take it off tests/messages/unshown.list");
}
