//! The identity on every plate of every model of the repository.

use super::identity::error;
use super::root;
use thalweg::model::data::DataFile;
use thalweg::model::posterior::Model;

fn plates_of(
    name: &str,
    model: &std::path::Path,
    data: &std::path::Path,
    wrong: &mut Vec<String>,
    coupled: &mut Vec<String>,
) -> usize {
    let data = DataFile::load(data).unwrap_or_else(|e| panic!("{e}"));
    let post = Model::load(model).and_then(|m| m.bind(&data)).unwrap_or_else(|e| panic!("{e}"));
    let mut checked = 0;
    for plate in &post.plates {
        if plate.rows > 3000 {
            continue;
        }
        match post.assign(plate) {
            Err(e) => coupled.push(format!("{name}: {e}")),
            Ok(_) => {
                let e = error(&post, plate);
                checked += 1;
                if e.is_nan() || e >= 1e-12 {
                    wrong.push(format!("{name}, plate {}: {e:e}", plate.name));
                }
            }
        }
    }
    checked
}

#[test]
fn globals_and_rows_of_the_models_make_the_whole() {
    let (mut wrong, mut coupled, mut checked) = (vec![], vec![], 0);
    let mut folders: Vec<_> = std::fs::read_dir(root().join("models")).unwrap().map(|e| e.unwrap().path()).collect();
    folders.sort();
    for folder in folders {
        let (model, data) = (folder.join("model.thal"), folder.join("data.json"));
        if model.exists() && data.exists() {
            checked +=
                plates_of(&folder.file_name().unwrap().to_string_lossy(), &model, &data, &mut wrong, &mut coupled);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let states = "hidden_markov: the plate over `k` is not separable: one factor reads `A` of several of its rows";
    assert_eq!(coupled, [states]);
    assert!(checked >= 6, "{checked} plates");
}

/// Reads the folder named by `THALWEG_POSTERIORDB`; says so and passes where it is unset.
#[test]
fn globals_and_rows_of_posteriordb_make_the_whole() {
    let Some(folder) = std::env::var_os("THALWEG_POSTERIORDB").map(std::path::PathBuf::from) else {
        return println!("SKIPPED: THALWEG_POSTERIORDB is not set, its plates were not compared");
    };
    let text = std::fs::read_to_string(folder.join("index.json")).expect("index.json");
    let index: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let (mut wrong, mut coupled, mut checked) = (vec![], vec![], 0);
    for p in index.as_array().into_iter().flatten() {
        let name = p["posterior"].as_str().expect("a name");
        let model = root().join(format!("models/posteriordb/{name}.thal"));
        if model.exists() {
            let data = folder.join(p["data_file"].as_str().expect("a path"));
            checked += plates_of(name, &model, &data, &mut wrong, &mut coupled);
        }
    }
    assert!(wrong.is_empty() && coupled.is_empty(), "{}\n{}", wrong.join("\n"), coupled.join("\n"));
    assert!(checked >= 5, "{checked} plates");
}
