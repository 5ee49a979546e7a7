//! Data sets in, models out.
//!
//! * [`schema`]: the public description of the data that every party of a job agrees on, as part of the job file.
//! * [`source`]: where one party's own rows lie on its own disk.
//! * [`load`]: schema + source → [`Dataset`], strict: any doubt about a cell is an error with its line and column.
//! * [`model`]: a revealed model as `model.safetensors` and `model.json`, written atomically and read back.
//! * [`atomic`]: the atomic file write that everything above uses.
//!
//! Cells, labels and pixels are private. They are wiped on drop where this crate owns the memory, they are never printed
//! by `Debug`, and no error message contains one: an error names the file, the line, the column of the schema and the
//! kind of fault.

#![forbid(unsafe_code)]

pub mod atomic;
pub mod csv;
mod dataset;
mod error;
mod features;
mod file;
pub mod idx;
mod limits;
mod load;
pub mod model;
pub mod schema;
pub mod source;

pub use dataset::{Dataset, one_hot};
pub use error::{CellFault, DataError};
pub use limits::Limits;
pub use load::load;
pub use schema::DataSpec;
pub use source::{Rows, Source};
