//! Writes draws as Stan CSV: comment lines, one header line, one line a draw.

use std::fs::File;
use std::io::{BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};

use super::IoError;

/// The columns of Stan's sampler in front of the parameters.
pub const NUTS_COLUMNS: [&str; 7] =
    ["lp__", "accept_stat__", "stepsize__", "treedepth__", "n_leapfrog__", "divergent__", "energy__"];

/// What the sampler says of one draw, in the order of [`NUTS_COLUMNS`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NutsRow {
    /// Log density on the unconstrained scale.
    pub lp: f64,
    /// Mean acceptance probability over the trajectory.
    pub accept_stat: f64,
    /// Step size.
    pub stepsize: f64,
    /// Depth of the trajectory's tree.
    pub treedepth: u32,
    /// Number of leapfrog steps.
    pub n_leapfrog: u32,
    /// The trajectory diverged.
    pub divergent: bool,
    /// Hamiltonian.
    pub energy: f64,
}

impl NutsRow {
    /// The numbers in the order of [`NUTS_COLUMNS`].
    pub fn to_array(self) -> [f64; 7] {
        [
            self.lp,
            self.accept_stat,
            self.stepsize,
            self.treedepth.into(),
            self.n_leapfrog.into(),
            f64::from(u8::from(self.divergent)),
            self.energy,
        ]
    }
}

/// `x[2,3]` as Stan CSV writes it: `x.2.3`.
pub fn dotted(name: &str) -> String {
    name.trim_end_matches(']').replace(['[', ','], ".")
}

/// A file of draws that is being written. [`StanCsvWriter::finish`] must end it: only then is it
/// known that everything has reached the disk.
#[must_use = "an unfinished file may have lost its last rows without an error"]
pub struct StanCsvWriter<W: Write> {
    out: BufWriter<W>,
    path: PathBuf,
    columns: usize,
    line: Vec<u8>,
}

impl StanCsvWriter<File> {
    /// Makes (or empties) a file and writes its header: `# key = value` lines, then the names of the
    /// `leading` columns ([`NUTS_COLUMNS`] for a sampler) and of the parameters (`theta.1`).
    pub fn create(path: &Path, header: &[(&str, String)], leading: &[&str], names: &[String]) -> Result<Self, IoError> {
        let file = File::create(path).map_err(|source| IoError::Create { path: path.into(), source })?;
        Self::new(file, path, header, leading, names)
    }

    /// Writes all that is pending and waits for the disk.
    pub fn finish(self) -> Result<(), IoError> {
        let path = self.path.clone();
        match self.into_inner()?.sync_all() {
            // Pipes and terminals cannot be synchronised.
            Err(e) if e.kind() != ErrorKind::InvalidInput => Err(IoError::Write { path, source: e }),
            _ => Ok(()),
        }
    }
}

impl<W: Write> StanCsvWriter<W> {
    /// As [`StanCsvWriter::create`], to any destination; `path` is its name in messages.
    pub fn new(
        out: W,
        path: &Path,
        header: &[(&str, String)],
        leading: &[&str],
        names: &[String],
    ) -> Result<Self, IoError> {
        let columns: Vec<&str> = leading.iter().copied().chain(names.iter().map(|n| n.as_str())).collect();
        let invalid = |n: &&&str| n.is_empty() || n.starts_with('#') || n.contains([',', '"', '\n', '\r']);
        if let Some(name) = columns.iter().find(invalid) {
            return Err(IoError::Name { path: path.into(), name: name.to_string() });
        }
        let mut writer = StanCsvWriter {
            out: BufWriter::with_capacity(1 << 16, out),
            path: path.into(),
            columns: columns.len(),
            line: vec![],
        };
        for (key, value) in header {
            writer.comment(&format!("{key} = {value}"))?;
        }
        writer.line.extend_from_slice(columns.join(",").as_bytes());
        writer.end_line()?;
        Ok(writer)
    }

    /// Comment lines, allowed between draws and after them; one for each line of `text`.
    pub fn comment(&mut self, text: &str) -> Result<(), IoError> {
        for part in text.lines() {
            self.line.extend_from_slice(b"# ");
            self.line.extend_from_slice(part.as_bytes());
            self.end_line()?;
        }
        Ok(())
    }

    /// One draw: the leading columns, then the parameters.
    pub fn row(&mut self, leading: &[f64], values: &[f64]) -> Result<(), IoError> {
        let found = leading.len() + values.len();
        if found != self.columns {
            return Err(IoError::Row { path: self.path.clone(), expected: self.columns, found });
        }
        for (j, v) in leading.iter().chain(values).enumerate() {
            if j > 0 {
                self.line.push(b',');
            }
            push_number(&mut self.line, *v);
        }
        self.end_line()
    }

    /// Hands pending rows to the operating system, so that others can read them.
    pub fn flush(&mut self) -> Result<(), IoError> {
        self.out.flush().map_err(|source| self.failed(source))
    }

    /// Writes all that is pending; returns the destination.
    pub fn into_inner(self) -> Result<W, IoError> {
        let path = self.path;
        self.out.into_inner().map_err(|e| IoError::Write { path, source: e.into_error() })
    }

    /// Writes the line that was built, whole.
    fn end_line(&mut self) -> Result<(), IoError> {
        self.line.push(b'\n');
        let written = self.out.write_all(&self.line);
        self.line.clear();
        written.map_err(|source| self.failed(source))
    }

    fn failed(&self, source: std::io::Error) -> IoError {
        IoError::Write { path: self.path.clone(), source }
    }
}

/// The shortest decimal that reads back as the same double; `nan`, `inf`, `-inf` as Stan.
fn push_number(line: &mut Vec<u8>, v: f64) {
    let size = v.abs();
    // Writing to memory cannot fail.
    let _ = if v.is_nan() {
        write!(line, "nan")
    } else if size == 0.0 || (1e-5..1e16).contains(&size) || v.is_infinite() {
        write!(line, "{v}")
    } else {
        write!(line, "{v:e}")
    };
}
