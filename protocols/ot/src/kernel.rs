//! The inner loops, each with a portable twin and a naive oracle in its tests.

pub(crate) mod aes;
pub(crate) mod fold;
pub(crate) mod transpose;
