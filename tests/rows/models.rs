//! The identity on every plate of every model of the repository.

use super::identity::error;
use super::root;
use thalweg::model::data::DataFile;
use thalweg::model::posterior::Model;

fn plates_of(name: &str, model: &std::path::Path, data: &std::path::Path, wrong: &mut Vec<String>) -> usize {
    let data = DataFile::load(data).unwrap_or_else(|e| panic!("{e}"));
    let post = Model::load(model).and_then(|m| m.bind(&data)).unwrap_or_else(|e| panic!("{e}"));
    let mut checked = 0;
    for plate in &post.plates {
        if plate.rows > 3000 {
            continue;
        }
        match post.assign(plate) {
            Err(e) => wrong.push(format!("{name}, plate {}: {e}", plate.name)),
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
    let (mut wrong, mut checked) = (vec![], 0);
    let mut folders: Vec<_> = std::fs::read_dir(root().join("models")).unwrap().map(|e| e.unwrap().path()).collect();
    folders.sort();
    for folder in folders {
        let (model, data) = (folder.join("model.thal"), folder.join("data.json"));
        if model.exists() && data.exists() {
            checked += plates_of(&folder.display().to_string(), &model, &data, &mut wrong);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(checked >= 7, "{checked} plates");
}
