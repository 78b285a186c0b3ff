//! Data files: named arrays of numbers from JSON (Stan's conventions) or CSV, and back to JSON.

mod error;
mod json;
mod table;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::path::Path;

pub use error::{DataError, Position, Problem};

/// One named value of a data file.
#[derive(Clone, Debug, PartialEq)]
pub struct Raw {
    /// Sizes, outermost first; empty for a scalar. `[]` has the sizes `[0]` and stands for every
    /// shape without elements.
    pub dims: Vec<usize>,
    /// Elements, row-major; NaN at nulls and nowhere else.
    pub values: Vec<f64>,
    /// Flat positions of nulls, increasing.
    pub nulls: Vec<usize>,
    /// True where all elements that are not null are whole numbers (`3.0` is one).
    pub integral: bool,
}

impl Raw {
    /// An array without nulls; `values` are row-major and fill `dims`.
    pub fn new(dims: &[usize], values: Vec<f64>) -> Raw {
        debug_assert_eq!(dims.iter().product::<usize>(), values.len());
        Raw { dims: dims.to_vec(), integral: values.iter().all(|v| is_whole(*v)), values, nulls: vec![] }
    }

    /// A single number.
    pub fn scalar(value: f64) -> Raw {
        Raw::new(&[], vec![value])
    }
}

fn is_whole(v: f64) -> bool {
    v.is_finite() && v.fract() == 0.0
}

/// Named values in the order of their file.
#[derive(Clone, Debug, Default)]
pub struct DataFile {
    entries: Vec<(String, Raw)>,
    place: HashMap<String, usize>,
}

impl DataFile {
    /// Reads JSON: one object of numbers and nested arrays, the outer array being the first index.
    ///
    /// `true` and `false` are 1 and 0, `"Infinity"` and `"-Infinity"` are numbers, `null` is recorded.
    /// Ragged arrays, objects, other strings and `"NaN"` are errors that name the element.
    pub fn from_json(text: &str) -> Result<DataFile, DataError> {
        json::read(text)
    }

    /// Reads CSV: the first line names the columns, each of which becomes a vector. An empty cell,
    /// `NA` and `null` are nulls.
    pub fn from_csv(text: &str) -> Result<DataFile, DataError> {
        table::read(text)
    }

    /// Reads a file by its extension, `.json` or `.csv`.
    pub fn load(path: &Path) -> Result<DataFile, DataError> {
        let extension = path.extension().map(|e| e.to_ascii_lowercase());
        let parse = match extension.as_ref().and_then(|e| e.to_str()) {
            Some("json") => DataFile::from_json,
            Some("csv") => DataFile::from_csv,
            _ => return Err(DataError::Format { path: path.into() }),
        };
        let text = std::fs::read_to_string(path).map_err(|source| DataError::Read { path: path.into(), source })?;
        parse(&text).map_err(|source| DataError::In { path: path.into(), source: Box::new(source) })
    }

    /// The value of a name.
    pub fn get(&self, key: &str) -> Option<&Raw> {
        self.place.get(key).map(|&i| &self.entries[i].1)
    }

    /// Names in the order of the file.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|(key, _)| key.as_str())
    }

    /// Sets a value, in place of one of that name.
    pub fn insert(&mut self, key: impl Into<String>, raw: Raw) {
        let key = key.into();
        match self.place.get(&key) {
            Some(&i) => self.entries[i].1 = raw,
            None => {
                self.place.insert(key.clone(), self.entries.len());
                self.entries.push((key, raw));
            }
        }
    }

    /// The data as JSON, one name a line, in the shortest numbers that read back as the same ones.
    pub fn to_json(&self) -> String {
        json::write(self.entries.iter().map(|(key, raw)| (key.as_str(), raw)))
    }
}
