//! The protocols of this crate, run between parties in threads of one process.

mod base;
mod dabits;
mod extension;
mod hostile;
mod matrices;
mod parties;
mod products;
mod selections;
mod views;
