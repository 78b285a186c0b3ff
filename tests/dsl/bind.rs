//! Models that do not fit their data, or whose meaning is wrong: folders with the model, the data and the whole message.

use std::path::Path;

use thalweg::model::data::DataFile;
use thalweg::model::posterior::Model;

/// `THALWEG_BLESS=1` writes the messages instead of comparing them.
#[test]
fn wrong_models_say_what_and_where() {
    let bless = std::env::var("THALWEG_BLESS").is_ok_and(|v| v == "1");
    let mut folders: Vec<_> =
        std::fs::read_dir("tests/dsl/bind").into_iter().flatten().flatten().map(|e| e.path()).collect();
    folders.sort();
    assert!(folders.len() > 40, "{} folders", folders.len());
    let mut wrong = vec![];
    for folder in folders {
        let source = std::fs::read_to_string(folder.join("model.thal")).unwrap_or_default();
        let data = match folder.join("data.json") {
            p if p.exists() => DataFile::load(&p),
            _ => Ok(DataFile::default()),
        };
        let data = data.unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
        let found = match Model::from_text("model.thal", &source).and_then(|m| m.bind(&data)) {
            Ok(_) => {
                wrong.push(format!("{}: accepted", folder.display()));
                continue;
            }
            Err(e) => e.to_string(),
        };
        let golden: &Path = &folder.join("expected.txt");
        if bless {
            std::fs::write(golden, &found).unwrap_or_else(|e| panic!("{}: {e}", golden.display()));
            continue;
        }
        let expected = std::fs::read_to_string(golden).unwrap_or_default().replace("\r\n", "\n");
        if expected != found {
            wrong.push(format!("{}\n--- expected\n{expected}--- found\n{found}", folder.display()));
        }
    }
    assert!(wrong.is_empty(), "\n{}\n(THALWEG_BLESS=1 rewrites the messages)", wrong.join("\n"));
}
