//! The clear engine's values: public facts and ring elements, shared by reference count.

use std::sync::Arc;

use ndarray::Array2;
use tercet_engine::{Meta, Shared};
use tercet_share::{PackedBits, Tensor, fixed};

use crate::range::Doubt;

/// A tensor with its facts, and which of its elements left their range.
#[derive(Clone)]
pub(crate) struct Value {
    pub(crate) meta: Meta,
    pub(crate) data: Arc<Tensor>,
    pub(crate) doubt: Doubt,
}

impl Value {
    pub(crate) fn new(meta: Meta, data: Tensor, doubt: Doubt) -> Value {
        Value { meta, data: Arc::new(data), doubt }
    }

    /// Elements as signed integers of the ring's width.
    pub(crate) fn signed(&self) -> impl Iterator<Item = i64> + Clone {
        self.data.data().iter().map(|&v| self.meta.ring.signed(v))
    }

    pub(crate) fn decode(&self) -> Array2<f64> {
        let real =
            self.data.data().iter().map(|&v| fixed::decode(v, self.meta.frac, self.meta.ring)).collect();
        Array2::from_shape_vec(self.meta.shape(), real)
            .expect("a value has as many elements as its facts state")
    }
}

/// An operand of products, in the open.
#[derive(Clone)]
pub struct ClearMasked(pub(crate) Value);

/// A half-finished value, in the open.
#[derive(Clone)]
pub struct ClearOffset(pub(crate) Value);

/// A bit per element, in the open.
#[derive(Clone)]
pub struct ClearBit {
    pub(crate) meta: Meta,
    pub(crate) bits: Arc<PackedBits>,
}

impl ClearMasked {
    /// The real numbers, without an opening: for tests.
    pub fn decode(&self) -> Array2<f64> {
        self.0.decode()
    }

    /// The ring elements; bits at and above the ring's width have no meaning.
    pub fn elements(&self) -> &Tensor {
        &self.0.data
    }
}

impl ClearOffset {
    /// The real numbers, without an opening: for tests.
    pub fn decode(&self) -> Array2<f64> {
        self.0.decode()
    }

    /// The ring elements; bits at and above the ring's width have no meaning.
    pub fn elements(&self) -> &Tensor {
        &self.0.data
    }
}

impl ClearBit {
    /// The bits in row-major order.
    pub fn bits(&self) -> &PackedBits {
        &self.bits
    }
}

impl Shared for ClearMasked {
    fn meta(&self) -> Meta {
        self.0.meta
    }
}

impl Shared for ClearOffset {
    fn meta(&self) -> Meta {
        self.0.meta
    }
}

impl Shared for ClearBit {
    fn meta(&self) -> Meta {
        self.meta
    }
}
