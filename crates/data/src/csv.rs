//! CSV to rows, strictly and in one pass.
//!
//! The file is UTF-8, with or without a byte order mark, with LF or CRLF line ends. The first line names the columns, in
//! any order; every column of the schema must be there once and no other, save those the schema ignores. A row is one
//! line: a line break inside quotes is refused, so the line number in an error is exact. Blanks around a cell do not
//! count. Blank lines may only follow the last row.

mod units;

use std::collections::{HashMap, HashSet};
use std::path::Path;

use csv_core::{ReadRecordResult, Reader, ReaderBuilder};
use zeroize::Zeroizing;

use crate::dataset::Dataset;
use crate::error::{CellFault, DataError};
use crate::file;
use crate::limits::Limits;
use crate::schema::{CsvSpec, Feature, Standardise};
use crate::source::Rows;

pub use units::most_rows_of_one;

/// Read the rows of the CSV file at `path`, or the range `rows` of them (counted from 0 below the header; lines outside
/// the range are not parsed).
///
/// # Errors
/// [`DataError`] at the first fault, with its line and column.
pub fn read(path: &Path, spec: &CsvSpec, rows: Option<Rows>, limits: &Limits) -> Result<Dataset, DataError> {
    let bytes = file::read_all(path, limits.max_file_bytes)?;
    parse(path, &bytes, spec, rows, limits)
}

/// [`read`] on bytes already in memory; `path` is only for messages.
///
/// # Errors
/// As [`read`].
pub fn parse(
    path: &Path,
    bytes: &[u8],
    spec: &CsvSpec,
    rows: Option<Rows>,
    limits: &Limits,
) -> Result<Dataset, DataError> {
    if rows.is_some_and(|rows| rows.count == 0) {
        return Err(DataError::EmptyRange { path: path.to_owned() });
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut lines = Lines { path, rest: bytes, number: 0, limit: limits.max_line_bytes };
    let Some(header) = lines.next_line()? else {
        return Err(DataError::EmptyFile { path: path.to_owned() });
    };
    let mut splitter = Splitter::new(spec.delimiter());
    let columns = Columns::of_header(path, &splitter.split(path, header, usize::MAX)?, spec)?;

    let width = spec.features().len();
    let range = rows.map_or(0..u64::MAX, |rows| u64::from(rows.first)..rows.end());
    let mut values = Zeroizing::new(Vec::new());
    let mut labels = Zeroizing::new(Vec::new());
    let mut row = 0_u64;
    while row < range.end {
        let Some(line) = lines.next_line()? else { break };
        if range.contains(&row) {
            if labels.len() as u64 == u64::from(limits.max_rows) {
                return Err(DataError::TooManyRows { path: path.to_owned(), limit: limits.max_rows });
            }
            if labels.is_empty() {
                // Reserved once: a vector that never grows leaves no copy of private values behind. A row has at
                // least two bytes per column, so the bytes left bound the rows left.
                let by_bytes = (line.text.len() + lines.rest.len()) / (2 * width) + 1;
                let most =
                    by_bytes.min(limits.max_rows as usize).min(rows.map_or(usize::MAX, |r| r.count as usize));
                let most = most.min(lines.count_rest() + 1);
                values.reserve_exact(most.saturating_mul(width));
                labels.reserve_exact(most);
            }
            let cells = splitter.split(path, line, columns.count)?;
            columns.take_row(path, line.number, &cells, spec, &mut values, &mut labels)?;
        }
        row += 1;
    }

    match rows {
        Some(rows) if row < rows.end() => {
            Err(DataError::RowRange { path: path.to_owned(), first: u64::from(rows.first), end: rows.end() })
        }
        None if labels.is_empty() => Err(DataError::NoRows { path: path.to_owned() }),
        _ => Dataset::from_rows(values, width, labels, spec.label().classes.len()),
    }
}

/// One line, checked to be UTF-8, without its line end.
#[derive(Clone, Copy)]
struct Line<'a> {
    number: u64,
    text: &'a str,
}

/// The lines of a file. Ends at the end or at blank lines that nothing follows.
struct Lines<'a> {
    path: &'a Path,
    rest: &'a [u8],
    number: u64,
    limit: usize,
}

impl<'a> Lines<'a> {
    fn next_line(&mut self) -> Result<Option<Line<'a>>, DataError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        self.number += 1;
        let number = self.number;
        let (line, rest) = match self.rest.iter().position(|&byte| byte == b'\n') {
            Some(end) => (&self.rest[..end], &self.rest[end + 1..]),
            None => (self.rest, &[][..]),
        };
        self.rest = rest;
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.len() > self.limit {
            return Err(DataError::LineTooLong {
                path: self.path.to_owned(),
                line: number,
                limit: self.limit,
            });
        }
        let Ok(text) = std::str::from_utf8(line) else {
            return Err(DataError::NotUtf8 { path: self.path.to_owned(), line: number });
        };
        if !text.trim().is_empty() {
            return Ok(Some(Line { number, text }));
        }
        if rest.iter().all(u8::is_ascii_whitespace) {
            return Ok(None);
        }
        Err(DataError::BlankLine { path: self.path.to_owned(), line: number })
    }

    /// An upper bound of the lines left.
    fn count_rest(&self) -> usize {
        self.rest.iter().filter(|&&byte| byte == b'\n').count() + 1
    }
}

/// Splits a line into cells; its buffers, which hold private cells, are reused and wiped.
struct Splitter {
    parser: Reader,
    input: Zeroizing<Vec<u8>>,
    output: Zeroizing<Vec<u8>>,
    ends: Vec<usize>,
}

impl Splitter {
    fn new(delimiter: u8) -> Self {
        Self {
            parser: ReaderBuilder::new().delimiter(delimiter).build(),
            input: Zeroizing::default(),
            output: Zeroizing::default(),
            ends: Vec::new(),
        }
    }

    /// The cells of `line`, trimmed. `expected` cells must be there; `usize::MAX` takes any number.
    fn split(&mut self, path: &Path, line: Line<'_>, expected: usize) -> Result<Vec<&str>, DataError> {
        let broken = || DataError::BrokenLine { path: path.to_owned(), line: line.number };
        let ragged = |found| DataError::Ragged { path: path.to_owned(), line: line.number, found, expected };
        self.input.clear();
        grow(&mut self.input, line.text.len() + 1);
        self.input.extend_from_slice(line.text.as_bytes());
        // With its own line end: the parser then says whether the row ended there or a quote is still open.
        self.input.push(b'\n');
        let size = self.input.len();
        if self.output.len() < size {
            grow(&mut self.output, size);
            self.output.resize(size, 0);
        }
        // A cell and its delimiter take at least one byte, so this many ends suffice for any line.
        self.ends.resize(expected.saturating_add(1).min(size + 1), 0);
        let (result, read, _, count) = self.parser.read_record(&self.input, &mut self.output, &mut self.ends);
        match result {
            ReadRecordResult::Record if read == size => {}
            ReadRecordResult::OutputEndsFull => return Err(ragged(self.ends.len())),
            _ => return Err(broken()),
        }
        if expected != usize::MAX && count != expected {
            return Err(ragged(count));
        }
        let mut start = 0;
        let cells = self.ends[..count].iter().map(|&end| {
            let cell = std::str::from_utf8(&self.output[start..end]);
            start = end;
            cell.map(str::trim).map_err(|_| broken())
        });
        cells.collect()
    }
}

/// Make room for `size` bytes and wipe what an outgrown buffer held.
fn grow(buffer: &mut Zeroizing<Vec<u8>>, size: usize) {
    if buffer.capacity() < size {
        *buffer = Zeroizing::new(Vec::with_capacity(size.saturating_mul(2)));
    }
}

/// Where the columns of the schema stand in this file.
struct Columns {
    /// Place of each feature, in the schema's order.
    features: Vec<usize>,
    /// Place of the label.
    label: usize,
    /// Columns in the header.
    count: usize,
}

impl Columns {
    fn of_header(path: &Path, header: &[&str], spec: &CsvSpec) -> Result<Self, DataError> {
        let mut places = HashMap::new();
        let known: HashSet<&str> = spec
            .features()
            .iter()
            .map(|feature| feature.name.as_str())
            .chain([spec.label().column.as_str()])
            .chain(spec.ignore().iter().map(String::as_str))
            .collect();
        let mut unexpected = None;
        for (place, &name) in header.iter().enumerate() {
            if !known.contains(name) {
                unexpected = unexpected.or(Some(place + 1));
            } else if places.insert(name, place).is_some() {
                return Err(DataError::DuplicateColumn { path: path.to_owned(), column: name.to_owned() });
            }
        }
        // Missing columns are reported first: a misspelt name is both missing and unexpected, and only the
        // schema's spelling may be shown.
        let place_of = |name: &str| {
            places
                .get(name)
                .copied()
                .ok_or_else(|| DataError::MissingColumn { path: path.to_owned(), column: name.to_owned() })
        };
        let features = spec.features().iter().map(|f| place_of(&f.name)).collect::<Result<_, _>>()?;
        let label = place_of(&spec.label().column)?;
        match unexpected {
            Some(position) => Err(DataError::UnexpectedColumn { path: path.to_owned(), position }),
            None => Ok(Self { features, label, count: header.len() }),
        }
    }

    fn take_row(
        &self,
        path: &Path,
        line: u64,
        cells: &[&str],
        spec: &CsvSpec,
        values: &mut Vec<f32>,
        labels: &mut Vec<u32>,
    ) -> Result<(), DataError> {
        let at = |column: &str, fault| DataError::Cell {
            path: path.to_owned(),
            line,
            column: column.to_owned(),
            fault,
        };
        for (feature, &place) in spec.features().iter().zip(&self.features) {
            let value = number(cells[place], feature).map_err(|fault| at(&feature.name, fault))?;
            let scaled = match spec.standardise() {
                Standardise::Bounds | Standardise::Shares => feature.scale(value),
                Standardise::None => value,
            } as f32;
            // A double within bounds may still be too large for a float where nothing scales it.
            if !scaled.is_finite() {
                return Err(at(&feature.name, CellFault::NotFinite));
            }
            values.push(scaled);
        }
        let label = spec.label();
        match label.classes.iter().position(|class| class == cells[self.label]) {
            Some(class) => labels.push(class as u32),
            None if cells[self.label].is_empty() => return Err(at(&label.column, CellFault::Empty)),
            None => return Err(at(&label.column, CellFault::UnknownClass)),
        }
        Ok(())
    }
}

/// A decimal number within the bounds of `feature`.
fn number(cell: &str, feature: &Feature) -> Result<f64, CellFault> {
    if cell.is_empty() {
        return Err(CellFault::Empty);
    }
    let value: f64 = cell.parse().map_err(|_| CellFault::NotANumber)?;
    // The standard parser also takes the words nan, inf and infinity.
    if !value.is_finite() {
        Err(CellFault::NotFinite)
    } else if value < feature.min {
        Err(CellFault::BelowBound { min: feature.min })
    } else if value > feature.max {
        Err(CellFault::AboveBound { max: feature.max })
    } else {
        Ok(value)
    }
}
