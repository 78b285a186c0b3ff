//! What can be wrong with a data file.

use std::fmt;
use std::path::PathBuf;

/// A place in a text, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Line.
    pub line: usize,
    /// Byte of the line in JSON, field of the line in CSV.
    pub column: usize,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// Why a data file cannot be used.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum DataError {
    /// The file cannot be read.
    #[error("cannot read {path}: {source}; check the path and that it is a text file", path = path.display())]
    Read { path: PathBuf, source: std::io::Error },
    /// Neither JSON nor CSV by its name.
    #[error("{path}: data files end in .json or .csv; rename or convert it", path = path.display())]
    Format { path: PathBuf },
    /// An error inside a file.
    #[error("{path}: {source}", path = path.display())]
    In { path: PathBuf, source: Box<DataError> },
    /// Not JSON, or not CSV.
    #[error("{at}: {message}")]
    Syntax { at: Position, message: String },
    /// A name or an element, as in `x[2,1]`, has no usable value.
    #[error("{at}: {name} {problem}")]
    Value { at: Position, name: String, problem: Problem },
}

/// What is wrong with a name or an element.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum Problem {
    /// Sub-arrays of different lengths.
    #[error(
        "has length {found}, those before it {expected}; give all sub-arrays one length (ragged data: one flat array and an array of lengths)"
    )]
    Ragged { expected: usize, found: usize },
    /// Arrays nested to different depths.
    #[error("is nested deeper or less deep than those before it; nest all elements equally")]
    Mixed,
    /// A JSON object.
    #[error("is an object; write a number or nested arrays of numbers under a name of its own")]
    Object,
    /// A string that is no number.
    #[error("is the text {0:?}; write a number, or null where it is missing")]
    Text(String),
    /// Not a number.
    #[error("is NaN, which is no data; write null if it is missing, or leave it out")]
    Nan,
    /// A name that is there twice.
    #[error("is given twice; keep one of them")]
    Duplicate,
}
