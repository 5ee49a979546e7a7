//! Share arithmetic for Tercet: what a party computes on its own shares, with no input or output.
//!
//! * [`Ring`], [`Tensor`], [`PackedBits`], [`fixed`]: ring elements, bits and fixed point;
//! * [`agree`], [`prg`]: pairwise keys and streams, each stream position used once;
//! * [`beaver`]: additive and masked shares, and Beaver multiplication;
//! * [`Linear`], [`Bilinear`]: the maps that training applies to tensors;
//! * [`kernel`]: SIMD kernels; they and [`allocation`], one call of the C library, are the only places with `unsafe`.

pub mod agree;
pub mod allocation;
pub mod beaver;
mod bilinear;
mod bits;
mod error;
pub mod fixed;
pub mod kernel;
mod linear;
pub mod prg;
mod ring;
mod tensor;

pub use agree::{EphemeralKey, PairEnd};
pub use bilinear::{Bilinear, Product};
pub use bits::PackedBits;
pub use error::ShareError;
pub use linear::{Linear, PADDING};
pub use prg::{PairKey, PairPrg, Stream};
pub use ring::{Ring, low_mask};
pub use tensor::Tensor;
