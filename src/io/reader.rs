//! Reads Stan CSV, from this program or from Stan.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use super::IoError;

/// A file of draws in memory.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StanCsv {
    /// Comment lines without their `#`, in order.
    pub comments: Vec<String>,
    /// Column names in order.
    pub names: Vec<String>,
    /// Columns in the order of `names`, one number a draw.
    pub columns: Vec<Vec<f64>>,
}

impl StanCsv {
    /// The column of that name.
    pub fn column(&self, name: &str) -> Option<&[f64]> {
        let at = self.names.iter().position(|n| n == name)?;
        Some(&self.columns[at])
    }

    /// The value of a `# key = value` comment.
    pub fn header(&self, key: &str) -> Option<&str> {
        self.comments.iter().find_map(|c| {
            let (k, v) = c.split_once('=')?;
            (k.trim() == key).then(|| v.trim())
        })
    }
}

/// Reads a file of draws. Comments may stand anywhere; every row must have as many numbers as there
/// are columns, and the last line must be whole.
pub fn read_stan_csv(path: &Path) -> Result<StanCsv, IoError> {
    let file = File::open(path).map_err(|source| IoError::Read { path: path.into(), source })?;
    parse_stan_csv(BufReader::with_capacity(1 << 16, file), path)
}

/// The same from any source of bytes; `path` names it in messages.
pub fn parse_stan_csv(mut reader: impl BufRead, path: &Path) -> Result<StanCsv, IoError> {
    let failed = |source| IoError::Read { path: path.into(), source };
    let mut csv = StanCsv::default();
    let mut text = String::new();
    for line in 1.. {
        text.clear();
        if reader.read_line(&mut text).map_err(failed)? == 0 {
            break;
        }
        read_line(&mut csv, &text).map_err(|(field, message)| IoError::Parse {
            path: path.into(),
            line,
            field,
            message,
        })?;
    }
    if csv.names.is_empty() {
        return Err(IoError::Parse {
            path: path.into(),
            line: 1,
            field: 1,
            message: "no header line with column names; the run may have stopped before its first \
                      draw"
                .into(),
        });
    }
    Ok(csv)
}

/// Takes in one line; an error is a field, from 1, and a message.
fn read_line(csv: &mut StanCsv, text: &str) -> Result<(), (usize, String)> {
    let Some(line) = text.strip_suffix('\n') else {
        return Err((1, "the last line has no end: the file was cut while it was written; delete that line".into()));
    };
    let line = line.trim_end_matches('\r');
    if let Some(comment) = line.strip_prefix('#') {
        csv.comments.push(comment.trim().to_string());
    } else if line.trim().is_empty() {
    } else if csv.names.is_empty() {
        csv.names = line.split(',').map(|n| n.trim().to_string()).collect();
        csv.columns = vec![vec![]; csv.names.len()];
    } else {
        read_row(csv, line)?;
    }
    Ok(())
}

fn read_row(csv: &mut StanCsv, line: &str) -> Result<(), (usize, String)> {
    let expected = csv.names.len();
    let mut found = 0;
    for field in line.split(',') {
        found += 1;
        let v = field.trim().parse().map_err(|_| {
            let shown: String = field.chars().take(40).collect();
            (found, format!("{shown:?} is not a number; give a file of draws"))
        })?;
        if found <= expected {
            csv.columns[found - 1].push(v);
        }
    }
    if found != expected {
        return Err((found, format!("{found} numbers under {expected} columns; the row is damaged, delete it")));
    }
    Ok(())
}
