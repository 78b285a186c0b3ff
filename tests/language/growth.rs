//! Plates and loops become array operations: the graph of a model does not grow with its data.

use std::path::{Path, PathBuf};

use thalweg::model::data::{DataFile, Raw};
use thalweg::model::posterior::Model;

fn models(folder: &Path, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            models(&path, out);
        } else if path.extension().is_some_and(|e| e == "thal") {
            out.push(path);
        }
    }
    out.sort();
}

/// Axes of a type as it is written.
fn axes(ty: &str) -> usize {
    let array =
        ty.split("array[").nth(1).map_or(0, |a| 1 + a.split(']').next().unwrap_or_default().matches(',').count());
    array + ty.matches("vector[").count() + ty.matches("vector<").count() + 2 * ty.matches("matrix").count()
}

/// Data in which every size is n: whole numbers where the type says int, fractions elsewhere.
fn invented(source: &str, n: usize) -> DataFile {
    let mut data = DataFile::default();
    for line in source.lines() {
        let Some((name, ty)) = line.trim().strip_prefix("data ").and_then(|r| r.split_once(':')) else { continue };
        let ty = ty.split('#').next().unwrap_or_default();
        let rank = axes(ty);
        let top = if ty.contains("upper=1") || ty.contains("upper = 1") { 2 } else { 3 };
        let zero = usize::from(top == 3);
        let value = |i: usize| match ty.contains("int") {
            true if rank == 0 => n as f64,
            true => ((i * 7 + i / 5) % top + zero) as f64,
            false => 0.1 + 0.8 * ((i * 13) % 97) as f64 / 97.0,
        };
        data.insert(name.trim(), Raw::new(&vec![n; rank], (0..n.pow(rank as u32)).map(value).collect()));
    }
    data
}

/// Number of nodes, those of loop bodies not counted.
fn nodes(model: &Model, n: usize) -> Option<usize> {
    Some(model.bind(&invented(&model.source, n)).ok()?.graph.nodes().len())
}

#[test]
fn graphs_do_not_grow_with_the_data() {
    let mut files = vec![];
    models(Path::new("models"), &mut files);
    let (mut compared, mut grown) = (0, vec![]);
    for path in &files {
        let model = Model::load(path).unwrap_or_else(|e| panic!("{e}"));
        let (Some(small), Some(large)) = (nodes(&model, 12), nodes(&model, 19)) else { continue };
        compared += 1;
        if large > small {
            grown.push(format!("{}: {small} nodes become {large}", path.display()));
        }
    }
    assert!(compared >= 20, "only {compared} of {} models took the data", files.len());
    assert!(grown.is_empty(), "{}", grown.join("\n"));
}
