//! Encoding of whole components, and decoding of opened values.

use ndarray::Array2;
use tercet_engine::Meta;
use tercet_share::{fixed, kernel};

use crate::{linear::Component, plan::packed_bytes};

/// Packs components one after the other, each modulo its ring.
pub fn pack_all<'a>(components: impl Iterator<Item = (&'a Component, Meta)>) -> Vec<u8> {
    let mut out = Vec::new();
    for (component, meta) in components {
        match component {
            Some(t) => kernel::pack(t.data(), meta.ring.bits(), &mut out),
            None => out.resize(out.len() + packed_bytes(meta.len(), meta.ring.bits()), 0),
        }
    }
    out
}

/// Takes `n` elements of `bits` bits off the front of `rest`; `None` if it is too short or padding bits are set.
pub fn unpack_one(rest: &mut &[u8], n: usize, bits: u32) -> Option<Vec<u64>> {
    let (head, tail) = rest.split_at_checked(packed_bytes(n, bits))?;
    *rest = tail;
    let mut out = vec![0; n];
    kernel::unpack(head, bits, &mut out).ok().map(|()| out)
}

/// Opened ring elements as real numbers.
pub fn decode(x: Vec<u64>, meta: &Meta) -> Array2<f64> {
    let reals = x.into_iter().map(|v| fixed::decode(v, meta.frac, meta.ring)).collect();
    Array2::from_shape_vec(meta.shape(), reals).expect("a tensor has rows * cols elements")
}
