//! Every decoder that reads bytes from a peer or a file, wrapped in what it promises.
//!
//! A [`Decoder`] takes any bytes, runs the real decoder on them, checks what was accepted (nothing left over, values within
//! their bounds, the same bytes when written again), and says whether it was. It must never panic. The fuzz targets and the
//! bounded tests of this crate run the same functions.

#![forbid(unsafe_code)]

mod checkpoint;
mod csv;
mod frames;
mod identity;
mod idx;
mod job;
mod journal;
mod ledger;
mod material;
mod model;
mod node_file;
mod offer;
mod ready;
mod scratch;
mod shares;
mod state;
mod status;

/// A decoder and its promises.
pub struct Decoder {
    /// Name of the fuzz target and of its corpus.
    pub name: &'static str,
    /// Runs it; true if the bytes were accepted.
    pub run: fn(&[u8]) -> bool,
    /// Inputs that it accepts, and that reach all of it.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Bytes of memory that it may hold beside 64 for each byte of input.
    pub room: usize,
    /// Whether one more byte (0xff) after a whole input must be refused.
    pub whole: bool,
}

/// All of them.
pub const ALL: [Decoder; 21] = [
    Decoder { name: "header", run: frames::header, seeds: frames::headers, room: 4 << 10, whole: true },
    Decoder { name: "frames", run: frames::stream, seeds: frames::streams, room: 2 << 20, whole: true },
    Decoder { name: "ready", run: ready::run, seeds: ready::seeds, room: 600 << 10, whole: true },
    Decoder { name: "job", run: job::run, seeds: job::seeds, room: 32 << 20, whole: true },
    Decoder { name: "node_file", run: node_file::run, seeds: node_file::seeds, room: 1 << 20, whole: true },
    Decoder {
        name: "sources_file",
        run: node_file::run_sources,
        seeds: node_file::source_seeds,
        room: 1 << 20,
        whole: true,
    },
    Decoder { name: "csv", run: csv::run, seeds: csv::seeds, room: 1 << 20, whole: true },
    Decoder { name: "schema", run: csv::run_schema, seeds: csv::schema_seeds, room: 1 << 20, whole: true },
    Decoder { name: "idx", run: idx::run, seeds: idx::seeds, room: 1 << 20, whole: true },
    Decoder { name: "model", run: model::run, seeds: model::seeds, room: 1 << 20, whole: true },
    // A program takes what it needs of the records; bytes after the last seal are refused, see the tests.
    Decoder { name: "material", run: material::run, seeds: material::seeds, room: 2 << 20, whole: false },
    // What follows the last line end is what a crash left of a line: it counts as not written.
    Decoder { name: "ledger", run: ledger::run, seeds: ledger::seeds, room: 1 << 20, whole: false },
    Decoder {
        name: "checkpoint",
        run: checkpoint::run,
        seeds: checkpoint::seeds,
        room: 1 << 20,
        whole: true,
    },
    Decoder { name: "state", run: state::run, seeds: state::seeds, room: 2 << 20, whole: true },
    Decoder { name: "offer", run: offer::run, seeds: offer::seeds, room: 64 << 10, whole: true },
    // What follows the last line end is what a crash left of a line.
    Decoder { name: "journal", run: journal::run, seeds: journal::seeds, room: 1 << 20, whole: false },
    Decoder { name: "status", run: status::run, seeds: status::seeds, room: 1 << 20, whole: true },
    Decoder {
        name: "record",
        run: status::run_record,
        seeds: status::record_seeds,
        room: 1 << 20,
        whole: true,
    },
    Decoder { name: "shares", run: shares::run, seeds: shares::seeds, room: 1 << 20, whole: true },
    Decoder {
        name: "base_transfers",
        run: shares::run_base,
        seeds: shares::base_seeds,
        room: 1 << 20,
        whole: true,
    },
    // PEM allows text around its blocks.
    Decoder { name: "identity", run: identity::run, seeds: identity::seeds, room: 1 << 20, whole: false },
];

/// The decoder of this name.
///
/// # Panics
/// If there is none: a fuzz target is misspelt.
pub fn named(name: &str) -> &'static Decoder {
    ALL.iter().find(|decoder| decoder.name == name).unwrap_or_else(|| panic!("no decoder is called {name}"))
}
