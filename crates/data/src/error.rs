//! What can be wrong with a data file. No message contains a cell, a label or a pixel: messages go to logs.

use std::io;
use std::path::PathBuf;

/// A data file could not be turned into a [`crate::Dataset`].
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// The file is not there or may not be read.
    #[error("{} cannot be read ({source}): check the path and its permissions", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A folder, a pipe or a device stands where a file should.
    #[error("{} is not a regular file: name the data file itself", path.display())]
    NotAFile {
        /// The path that was named.
        path: PathBuf,
    },
    /// The file, or what it unpacks to, is over [`crate::Limits::max_file_bytes`].
    #[error("{} holds more than {limit} bytes: split the file or raise the file size limit", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit, bytes.
        limit: u64,
    },
    /// More rows than [`crate::Limits::max_rows`].
    #[error("{} gives more than {limit} rows: choose a row range or raise the row limit", path.display())]
    TooManyRows {
        /// The file.
        path: PathBuf,
        /// The limit, rows.
        limit: u32,
    },
    /// The row range ends after the last row.
    #[error("{} has fewer rows than row range {first}..{end} needs: correct the range", path.display())]
    RowRange {
        /// The file.
        path: PathBuf,
        /// First row of the range, from 0.
        first: u64,
        /// Row after the last.
        end: u64,
    },
    /// The row range is empty.
    #[error("the row range for {} holds no row: give a count of at least 1", path.display())]
    EmptyRange {
        /// The file.
        path: PathBuf,
    },
    /// The schema is for another format than the files of the source.
    #[error("the schema is for {schema} data but the source names {source_is} files: make the two agree")]
    SourceFormat {
        /// Format of the schema.
        schema: &'static str,
        /// Format of the source.
        source_is: &'static str,
    },

    /// A CSV file of no bytes, or of blank lines only.
    #[error("{} is empty: a header line with the column names is expected", path.display())]
    EmptyFile {
        /// The file.
        path: PathBuf,
    },
    /// A header and nothing below it.
    #[error("{} has no row of data below its header: add rows or leave the file out", path.display())]
    NoRows {
        /// The file.
        path: PathBuf,
    },
    /// A line over [`crate::Limits::max_line_bytes`].
    #[error("line {line} of {} is longer than {limit} bytes: check its line ends or raise the limit", path.display())]
    LineTooLong {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: u64,
        /// The limit, bytes.
        limit: usize,
    },
    /// A line that is not UTF-8.
    #[error("line {line} of {} is not UTF-8 text: save the file as UTF-8", path.display())]
    NotUtf8 {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: u64,
    },
    /// A blank line between rows.
    #[error("line {line} of {} is blank but rows follow it: delete the line", path.display())]
    BlankLine {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: u64,
    },
    /// A quoted cell that does not end on its line, or a lone carriage return.
    #[error(
        "line {line} of {} is broken off by an open quote or a lone carriage return: keep each row on one line",
        path.display()
    )]
    BrokenLine {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: u64,
    },
    /// A row with more or fewer cells than the header.
    #[error(
        "line {line} of {} has {found} cells where the header has {expected}: complete the row or check the delimiter",
        path.display()
    )]
    Ragged {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: u64,
        /// Cells found; counting stops one past the header's number.
        found: usize,
        /// Cells in the header.
        expected: usize,
    },
    /// The header lacks a column of the schema.
    #[error("the header of {} has no column `{column}`: add it or correct the schema", path.display())]
    MissingColumn {
        /// The file.
        path: PathBuf,
        /// The name in the schema.
        column: String,
    },
    /// The header has a column of the schema twice.
    #[error("the header of {} has column `{column}` twice: keep one of them", path.display())]
    DuplicateColumn {
        /// The file.
        path: PathBuf,
        /// The name in the schema.
        column: String,
    },
    /// The header has a column that the schema does not know. Its text is not shown: where the header line is missing,
    /// this is a cell.
    #[error(
        "column {position} in the header of {} is not in the schema: remove it or name it in the schema's `ignore`",
        path.display()
    )]
    UnexpectedColumn {
        /// The file.
        path: PathBuf,
        /// Place in the header, from 1.
        position: usize,
    },
    /// A cell that the schema does not allow.
    #[error("line {line} of {}, column `{column}`: the cell {fault}", path.display())]
    Cell {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: u64,
        /// The column's name in the schema.
        column: String,
        /// What is wrong, without the value.
        fault: CellFault,
    },

    /// The file does not start as an IDX file of the expected kind.
    #[error("{} does not start with {expected:#010x} as an IDX file of {kind} does: check the file name", path.display())]
    IdxMagic {
        /// The file.
        path: PathBuf,
        /// Magic number of the expected kind.
        expected: u32,
        /// `images` or `labels`.
        kind: &'static str,
    },
    /// The dimensions in the header do not give the length of the file.
    #[error(
        "{} declares {declared} bytes in its header but holds {found}: the file is cut or damaged, fetch it again",
        path.display()
    )]
    IdxLength {
        /// The file.
        path: PathBuf,
        /// Bytes that the header promises, itself included.
        declared: u128,
        /// Bytes there, after unpacking.
        found: u64,
    },
    /// Images of another size than the schema says.
    #[error(
        "{} holds images of {found_height} x {found_width} pixels but the schema says {height} x {width}: correct either",
        path.display()
    )]
    IdxShape {
        /// The file.
        path: PathBuf,
        /// Height in the file, pixels.
        found_height: u32,
        /// Width in the file, pixels.
        found_width: u32,
        /// Height in the schema, pixels.
        height: u32,
        /// Width in the schema, pixels.
        width: u32,
    },
    /// Different numbers of images and labels.
    #[error(
        "{} holds {images} images but {} holds {labels} labels: name two files of the same set",
        images_path.display(),
        labels_path.display()
    )]
    IdxCount {
        /// The images file.
        images_path: PathBuf,
        /// The labels file.
        labels_path: PathBuf,
        /// Number of images.
        images: u32,
        /// Number of labels.
        labels: u32,
    },
    /// A label that is not below the number of classes.
    #[error("label {row} of {} is not one of the schema's {classes} classes: correct the schema or the file", path.display())]
    IdxLabel {
        /// The labels file.
        path: PathBuf,
        /// Place of the label, from 0.
        row: u64,
        /// Classes in the schema.
        classes: usize,
    },
    /// Compressed data that does not unpack.
    #[error("{} does not unpack as gzip ({source}): the file is damaged, fetch it again", path.display())]
    Gzip {
        /// The file.
        path: PathBuf,
        /// The decoder's reason.
        source: io::Error,
    },

    /// Rows of features and labels do not belong together.
    #[error("a data set has {rows} rows of features but {labels} labels: give one label for each row")]
    LabelCount {
        /// Rows of features.
        rows: usize,
        /// Labels.
        labels: usize,
    },
    /// A label that is not below the number of classes.
    #[error("label {row} is not below the number of classes {classes}: number the classes from 0")]
    LabelRange {
        /// Place of the label, from 0.
        row: usize,
        /// Classes.
        classes: usize,
    },
    /// A feature that is NaN or infinite.
    #[error("row {row} of a data set has a feature that is not finite: remove the row or the value")]
    NotFinite {
        /// Row, from 0.
        row: usize,
    },
    /// Data sets of different width or number of classes cannot be joined.
    #[error(
        "data set {part} has another number of features or classes than the first: join sets of one schema"
    )]
    Joined {
        /// Place in the list, from 0.
        part: usize,
    },
}

/// What is wrong with one cell. The value itself is private and stays out.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum CellFault {
    /// Nothing but blanks.
    #[error("is empty: fill it in or drop the row")]
    Empty,
    /// Not a decimal number.
    #[error("is not a number: write it with a decimal point and no unit")]
    NotANumber,
    /// NaN, infinite, or too large for a double.
    #[error("is not a finite number: fill it in or drop the row")]
    NotFinite,
    /// Below the public bound of the schema.
    #[error("is below the bound {min}: correct the cell, or agree on a wider bound")]
    BelowBound {
        /// The schema's bound.
        min: f64,
    },
    /// Above the public bound of the schema.
    #[error("is above the bound {max}: correct the cell, or agree on a wider bound")]
    AboveBound {
        /// The schema's bound.
        max: f64,
    },
    /// Not one of the classes.
    #[error("is not one of the schema's classes: correct it, or name the class in the schema")]
    UnknownClass,
}
