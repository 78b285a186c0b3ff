//! Every kind of error has a golden message: what a new user sees, in `tests/messages/NAME.txt`.
//!
//! A case runs the program in a folder of its own. Some runs end well and still say what a user should know: `reports`. `THALWEG_BLESS=1` rewrites the messages. Errors that only Rust
//! programs can meet are made by hand; `every_kind_of_error_is_shown` reads the sources and fails where a kind has no case.
#![cfg(target_os = "linux")]

#[path = "messages/cases.rs"]
mod cases;
#[path = "messages/kinds.rs"]
mod kinds;
#[path = "messages/library.rs"]
mod library;
#[path = "messages/reports.rs"]
mod reports;

use std::path::{Path, PathBuf};
use std::process::Command;

use cases::{CASES, Case};
use reports::REPORTS;

/// The folder of the golden messages.
fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/messages/{name}.txt"))
}

/// Compares with the golden text, or writes it.
fn compare(name: &str, found: &str, wrong: &mut Vec<String>) {
    if std::env::var("THALWEG_BLESS").is_ok_and(|v| v == "1") {
        std::fs::write(golden(name), found).unwrap();
    }
    let expected = std::fs::read_to_string(golden(name)).unwrap_or_default();
    if expected != found {
        wrong.push(format!("{name}\n--- expected\n{expected}--- found\n{found}"));
    }
}

/// Runs a case; its exit code and what it says on the output and on the error stream.
fn run(case: &Case) -> (i32, String, String) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("messages").join(case.name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    for (name, bytes) in case.files {
        match bytes.strip_prefix(b"-> ") {
            Some(to) => std::os::unix::fs::symlink(str::from_utf8(to).unwrap(), folder.join(name)).unwrap(),
            None => std::fs::write(folder.join(name), bytes).unwrap(),
        }
    }
    thalweg(&folder, case.args)
}

fn thalweg(folder: &Path, args: &[&str]) -> (i32, String, String) {
    let program = env!("CARGO_BIN_EXE_thalweg");
    let done = Command::new(program).args(args).current_dir(folder).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (done.status.code().unwrap_or(-1), text(done.stdout), text(done.stderr))
}

#[test]
fn messages_are_the_golden_ones() {
    let mut wrong = vec![];
    for case in CASES {
        let (code, _, text) = run(case);
        // clap ends with 2 where the arguments are wrong, and says how they are used.
        let expected = if text.contains("For more information, try '--help'") { 2 } else { 1 };
        if code != expected {
            wrong.push(format!("{}: exit code {code}, expected {expected}\n{text}", case.name));
            continue;
        }
        if !text.starts_with("error: ") {
            wrong.push(format!("{}: the message does not begin with `error: `\n{text}", case.name));
        }
        compare(case.name, &text, &mut wrong);
    }
    for (name, text) in library::messages() {
        compare(name, &format!("{text}\n"), &mut wrong);
    }
    assert!(wrong.is_empty(), "\n{}\n(THALWEG_BLESS=1 rewrites the messages)", wrong.join("\n"));
}

/// A report without its numbers: `#` for whatever has a decimal point, one space where a table has several.
fn without_numbers(text: &str) -> String {
    let word = |w: &str| {
        let number = w.trim_matches(['(', ')', ',', ';']);
        let decimal = number.contains('.') && number.parse::<f64>().is_ok();
        if decimal { w.replace(number, "#") } else { w.to_string() }
    };
    let line = |l: &str| l.split_whitespace().map(word).collect::<Vec<_>>().join(" ") + "\n";
    text.lines().map(line).collect()
}

#[test]
fn reports_are_the_golden_ones() {
    let mut wrong = vec![];
    for case in REPORTS {
        let (code, text, err) = run(case);
        if code != 0 || !err.is_empty() {
            wrong.push(format!("{}: exit code {code}\n{err}", case.name));
            continue;
        }
        compare(case.name, &without_numbers(&text), &mut wrong);
    }
    assert!(wrong.is_empty(), "\n{}\n(THALWEG_BLESS=1 rewrites the reports)", wrong.join("\n"));
}
