//! Tables for people: columns as wide as their widest cell, three spaces between them, nothing behind the last one.

use std::io::{self, Write};

/// A table in the making.
#[derive(Clone, Debug, Default)]
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with no rows.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a row: a heading or data. Rows may differ in length.
    pub fn row<T: Into<String>>(&mut self, cells: impl IntoIterator<Item = T>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }

    /// Writes the rows as lines. Line breaks and other control characters in cells become spaces.
    ///
    /// # Errors
    /// When `out` does not take it.
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |at: usize| self.rows.iter().filter_map(|row| row.get(at)).map(|c| c.chars().count()).max();
        let widths: Vec<usize> = (0..columns).map(|at| width(at).unwrap_or(0)).collect();
        for row in &self.rows {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                let shown: String = cell.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
                line.push_str(&format!("{shown:<width$}   "));
            }
            writeln!(out, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new();
        table.row(["NAME", "SIZE"]);
        table.row(["a\tlonger name", "1 B"]);
        table.row(["é", ""]);
        table.row(["b"]);
        let mut out = Vec::new();
        table.write(&mut out).unwrap();
        let want = "NAME            SIZE\na longer name   1 B\né\nb\n";
        assert_eq!(String::from_utf8(out).unwrap(), want);
    }
}
