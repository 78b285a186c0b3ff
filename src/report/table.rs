//! Aligned text tables: the first column to the left, numbers to the right; or all to the left.

use std::fmt::Write;

/// A table; every row has as many cells as the head.
#[derive(Clone, Debug, Default)]
pub struct Table {
    head: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows.
    pub fn new(head: &[&str]) -> Table {
        Table { head: head.iter().map(|h| h.to_string()).collect(), rows: vec![] }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: Vec<String>) {
        debug_assert_eq!(cells.len(), self.head.len());
        self.rows.push(cells);
    }

    /// A row with text in its first cell alone.
    pub fn note(&mut self, text: String) {
        let mut cells = vec![String::new(); self.head.len()];
        cells[0] = text;
        self.rows.push(cells);
    }
}

/// Columns aligned on the left, two spaces between them, indented by two.
pub fn columns(header: &[&str], rows: &[Vec<String>]) -> String {
    let count = |s: &str| s.chars().count();
    let width = |k: usize| rows.iter().map(|r| count(&r[k])).chain([count(header[k])]).max().unwrap_or(0);
    let widths: Vec<usize> = (0..header.len()).map(width).collect();
    let mut out = String::new();
    let header: Vec<String> = header.iter().map(|h| h.to_string()).collect();
    for row in std::iter::once(&header).chain(rows) {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(c, w)| format!("{c}{}", " ".repeat(w - count(c)))).collect();
        let _ = writeln!(out, "  {}", cells.join("  ").trim_end());
    }
    out
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let all = || std::iter::once(&self.head).chain(&self.rows);
        let width = |j: usize| {
            let cells = all().map(|r| r[j].chars().count());
            cells.max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.head.len()).map(width).collect();
        for row in all() {
            let mut line = String::new();
            for (j, cell) in row.iter().enumerate() {
                let w = widths[j];
                match j {
                    0 => line.push_str(&format!("{cell:<w$}")),
                    _ => line.push_str(&format!("  {cell:>w$}")),
                }
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let mut t = Table::new(&["name", "mean"]);
        t.row(vec!["mu".into(), "-1.5".into()]);
        t.row(vec!["theta[10]".into(), "12.25".into()]);
        t.note("…".into());
        let expected = "name        mean\nmu          -1.5\ntheta[10]  12.25\n…\n";
        assert_eq!(t.to_string(), expected);
    }
}
