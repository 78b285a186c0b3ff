//! CSV data: every column a vector.

use super::json::element_name;
use super::{DataError, DataFile, Position, Problem, Raw, is_whole};

/// Reads a header and columns.
pub(super) fn read(text: &str) -> Result<DataFile, DataError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
    let names = header(reader.headers().map_err(|e| syntax(&e))?)?;
    let mut columns = vec![Raw::new(&[0], vec![]); names.len()];
    let mut record = csv::StringRecord::new();
    while reader.read_record(&mut record).map_err(|e| syntax(&e))? {
        let line = record.position().map_or(0, |p| p.line() as usize);
        for (j, cell) in record.iter().enumerate() {
            let row = columns[j].values.len();
            push(&mut columns[j], cell).map_err(|problem| DataError::Value {
                at: Position { line, column: j + 1 },
                name: element_name(&names[j], &[row]),
                problem,
            })?;
        }
    }
    let mut file = DataFile::default();
    for (name, mut column) in names.into_iter().zip(columns) {
        column.dims = vec![column.values.len()];
        file.insert(name, column);
    }
    Ok(file)
}

/// Column names: at least one, none empty, none twice.
fn header(record: &csv::StringRecord) -> Result<Vec<String>, DataError> {
    let mut seen = std::collections::HashSet::new();
    let at = |column| Position { line: 1, column };
    if record.is_empty() {
        return Err(DataError::Syntax {
            at: at(1),
            message: "the file is empty; the first line names the columns".into(),
        });
    }
    for (j, name) in record.iter().enumerate() {
        if name.is_empty() {
            return Err(DataError::Syntax {
                at: at(j + 1),
                message: "the column has no name; name it in the first line, or drop it (in R: \
                          write.csv(…, row.names = FALSE))"
                    .into(),
            });
        }
        if !seen.insert(name) {
            return Err(DataError::Value { at: at(j + 1), name: name.into(), problem: Problem::Duplicate });
        }
    }
    Ok(record.iter().map(String::from).collect())
}

fn push(column: &mut Raw, cell: &str) -> Result<(), Problem> {
    let v: f64 = match cell {
        "" | "NA" | "null" => {
            column.nulls.push(column.values.len());
            column.values.push(f64::NAN);
            return Ok(());
        }
        "true" | "TRUE" => 1.0,
        "false" | "FALSE" => 0.0,
        _ => cell.parse().map_err(|_| Problem::Text(cell.chars().take(40).collect()))?,
    };
    if v.is_nan() {
        return Err(Problem::Nan);
    }
    column.integral &= is_whole(v);
    column.values.push(v);
    Ok(())
}

fn syntax(e: &csv::Error) -> DataError {
    let line = e.position().map_or(1, |p| p.line() as usize);
    let message = match e.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("{len} of {expected_len} fields; give every line as many as the header has")
        }
        _ => format!("not CSV data: {e}; write one header line and then numbers"),
    };
    DataError::Syntax { at: Position { line, column: 1 }, message }
}
