//! Files of draws: Stan CSV, written row by row and read back.

mod reader;
mod writer;

#[cfg(test)]
mod tests;

use std::path::PathBuf;

pub use reader::{StanCsv, parse_stan_csv, read_stan_csv};
pub use writer::{NUTS_COLUMNS, NutsRow, StanCsvWriter, dotted};

/// Why a file of draws cannot be written or read.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum IoError {
    /// The file cannot be made.
    #[error("cannot create {path}: {source}; check that its folder exists and may be written to", path = path.display())]
    Create { path: PathBuf, source: std::io::Error },
    /// The disk is full, or gone. Rows written before are kept as they are.
    #[error("cannot write {path}: {source}; free some space or choose another output folder", path = path.display())]
    Write { path: PathBuf, source: std::io::Error },
    /// The file cannot be read.
    #[error("cannot read {path}: {source}; check the path", path = path.display())]
    Read { path: PathBuf, source: std::io::Error },
    /// A row of another length than the header, from the program itself.
    #[error("{path}: a row of {found} numbers under {expected} columns; give one number a column", path = path.display())]
    Row { path: PathBuf, expected: usize, found: usize },
    /// A column name that CSV cannot hold.
    #[error("{path}: column name {name:?} is empty or has a comma, quote or line end; write indices with dots, as in x.2.3", path = path.display())]
    Name { path: PathBuf, name: String },
    /// The text is not a table of numbers; line and field count from 1.
    #[error("{path}, line {line}, field {field}: {message}", path = path.display())]
    Parse { path: PathBuf, line: usize, field: usize, message: String },
}
