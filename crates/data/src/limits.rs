//! How much a file may ask of this machine.

/// Upper limits that a reader checks before it allocates.
///
/// The defaults suit a machine with a few gigabytes of memory: a data set of 10^7 rows, a file of 1 GiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most bytes in a file, and most bytes it may unpack to when it is compressed.
    pub max_file_bytes: u64,
    /// Most bytes in one line of a CSV file, without its line end.
    pub max_line_bytes: usize,
    /// Most rows taken from one source.
    pub max_rows: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_file_bytes: 1 << 30, max_line_bytes: 1 << 20, max_rows: 10_000_000 }
    }
}
