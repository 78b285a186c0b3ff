//! Every kind of error has a golden message: what a new user sees, in `tests/messages/NAME.txt`.
//!
//! A case runs the program in a folder of its own. `THALWEG_BLESS=1` rewrites the messages. Errors that only Rust
//! programs can meet are made by hand; `every_kind_of_error_is_shown` reads the sources and fails where a kind has no case.
#![cfg(target_os = "linux")]

#[path = "messages/cases.rs"]
mod cases;
#[path = "messages/kinds.rs"]
mod kinds;
#[path = "messages/library.rs"]
mod library;

use std::path::{Path, PathBuf};
use std::process::Command;

use cases::{CASES, Case};

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

/// Runs a case; its exit code and what it says on the error stream.
fn run(case: &Case) -> (i32, String) {
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

fn thalweg(folder: &Path, args: &[&str]) -> (i32, String) {
    let program = env!("CARGO_BIN_EXE_thalweg");
    let done = Command::new(program).args(args).current_dir(folder).output().unwrap();
    (done.status.code().unwrap_or(-1), String::from_utf8(done.stderr).unwrap())
}

#[test]
fn messages_are_the_golden_ones() {
    let mut wrong = vec![];
    for case in CASES {
        let (code, text) = run(case);
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
