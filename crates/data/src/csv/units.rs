//! How many rows belong to one person, or whatever else a privacy guarantee is about. Counted by the owner, on its own file.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::path::Path;

use super::{Lines, Splitter};
use crate::error::{CellFault, DataError};
use crate::file;
use crate::limits::Limits;
use crate::schema::CsvSpec;
use crate::source::Rows;

/// The most rows, among the range `rows` of the CSV file at `path`, that have the same cell in `column`.
///
/// Cells are compared after trimming and kept as hashes with a fresh key, 64 bits: a collision, which is no attack of anybody on
/// anybody else, can only raise the count.
///
/// # Errors
/// [`DataError`]: a column that is not there, a row with nothing in it, or a file that cannot be read.
pub fn most_rows_of_one(
    path: &Path,
    spec: &CsvSpec,
    column: &str,
    rows: Option<Rows>,
    limits: &Limits,
) -> Result<usize, DataError> {
    let bytes = file::read_all(path, limits.max_file_bytes)?;
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    let mut lines = Lines { path, rest: bytes, number: 0, limit: limits.max_line_bytes };
    let Some(header) = lines.next_line()? else {
        return Err(DataError::EmptyFile { path: path.to_owned() });
    };
    let mut splitter = Splitter::new(spec.delimiter());
    let header = splitter.split(path, header, usize::MAX)?;
    let (count, place) = (header.len(), header.iter().position(|name| *name == column));
    let Some(place) = place else {
        return Err(DataError::MissingColumn { path: path.to_owned(), column: column.to_owned() });
    };
    let range = rows.map_or(0..u64::MAX, |rows| u64::from(rows.first)..rows.end());
    let (hasher, mut seen) = (RandomState::new(), HashMap::<u64, usize>::new());
    let mut row = 0_u64;
    while row < range.end {
        let Some(line) = lines.next_line()? else { break };
        if range.contains(&row) {
            let number = line.number;
            let cell = splitter.split(path, line, count)?[place];
            if cell.is_empty() {
                return Err(DataError::Cell {
                    path: path.to_owned(),
                    line: number,
                    column: column.to_owned(),
                    fault: CellFault::Empty,
                });
            }
            *seen.entry(hasher.hash_one(cell)).or_default() += 1;
        }
        row += 1;
    }
    Ok(seen.into_values().max().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPEC: &str = "features = [{ name = \"x\", min = 0, max = 9 }]\nignore = [\"patient\"]\n\
                        label = { column = \"y\", classes = [\"a\", \"b\"] }\n";

    fn count(text: &str, rows: Option<Rows>) -> Result<usize, DataError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let spec: CsvSpec = toml::from_str(SPEC).unwrap();
        most_rows_of_one(file.path(), &spec, "patient", rows, &Limits::default())
    }

    #[test]
    fn the_rows_of_the_most_frequent_unit_are_counted_within_the_range() {
        let text = "patient,x,y\np1,1,a\np2,2,b\n p1 ,3,a\np3,4,b\np1,5,a\np2,6,a\n";
        assert_eq!(count(text, None).unwrap(), 3);
        assert_eq!(count(text, Some(Rows { first: 1, count: 3 })).unwrap(), 1);
        assert_eq!(count(text, Some(Rows { first: 1, count: 5 })).unwrap(), 2);
    }

    #[test]
    fn a_missing_column_and_a_row_of_nobody_are_refused_by_name_and_line() {
        let missing = count("x,y\n1,a\n", None).unwrap_err().to_string();
        assert!(missing.contains("patient"), "{missing}");
        let empty = count("patient,x,y\nanna-berta,1,a\n,2,b\n", None).unwrap_err().to_string();
        assert!(empty.contains("patient") && empty.contains('3') && !empty.contains("anna"), "{empty}");
    }
}
