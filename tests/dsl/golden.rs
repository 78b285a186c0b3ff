//! Folders of wrong models with the message that each must give.
//!
//! `NAME.thal` is the model and `NAME.txt` the whole message beside it. With the environment variable `THALWEG_BLESS=1`
//! the messages are written instead of compared. What produces the message is an argument, so that a folder of models
//! with data beside them needs only another function.

use std::fs;
use std::path::{Path, PathBuf};

/// Every `.thal` file below a folder with its text, in order of path; none where the folder does not exist.
pub fn models_in(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "thal") {
                let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
                found.push((path, text));
            }
        }
    }
    found.sort();
    found
}

/// Compares the message of every model in a folder with its golden text; `message` returns `None` for an accepted model.
pub fn assert_golden(folder: &Path, message: impl Fn(&str, &str) -> Option<String>) {
    let bless = std::env::var("THALWEG_BLESS").is_ok_and(|v| v == "1");
    let models = models_in(folder);
    assert!(!models.is_empty(), "{}: no models", folder.display());
    let mut wrong = Vec::new();
    for (path, source) in models {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let Some(message) = message(&name, &source) else {
            wrong.push(format!("{}: accepted", path.display()));
            continue;
        };
        let golden = path.with_extension("txt");
        if bless {
            fs::write(&golden, &message).unwrap_or_else(|e| panic!("{}: {e}", golden.display()));
            continue;
        }
        let expected = fs::read_to_string(&golden).unwrap_or_default().replace("\r\n", "\n");
        if expected != message {
            wrong.push(format!("{}\n--- expected\n{expected}--- found\n{message}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "\n{}\n(THALWEG_BLESS=1 rewrites the messages)", wrong.join("\n"));
}
