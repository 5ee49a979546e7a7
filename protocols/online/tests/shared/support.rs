//! Values that tests of all protocols feed their programs.
#![allow(dead_code)]

use ndarray::Array2;
use tercet_engine::{Engine, EngineError, Input, Meta, Opening, Policy, Reason, Rule, Shared};
use tercet_share::{Bilinear, Ring, Tensor};

/// A policy that lets a test open everything to everyone.
pub fn open_all() -> Policy {
    Policy::new(vec![Rule { reason: Reason::Model, to: vec![0, 1, 2] }])
}

/// The opening of a test's result to `to`.
pub fn opening(to: &[usize]) -> Opening {
    Opening { reason: Reason::Model, what: "result".into(), to: to.to_vec() }
}

/// A deterministic generator of test values (xorshift), not of randomness for the protocol.
pub struct TestRng(pub u64);

impl TestRng {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Uniform in −bound..bound.
    pub fn signed(&mut self, bound: i64) -> i64 {
        (self.next() as i128 % (2 * bound as i128) - bound as i128).rem_euclid(2 * bound as i128) as i64
            - bound
    }
}

/// A meta of one column.
pub fn column(n: usize, frac: u32, ring: u32) -> Meta {
    Meta { rows: n, cols: 1, frac, ring: Ring::new(ring).unwrap() }
}

/// Shares a tensor that `owner` holds.
pub fn share<E: Engine>(
    e: &mut E,
    owner: usize,
    values: &[i64],
    meta: Meta,
) -> Result<E::Masked, EngineError> {
    let values = (e.party() == owner)
        .then(|| Tensor::from_vec(meta.rows, meta.cols, values.iter().map(|&v| v as u64).collect()));
    Ok(e.input(vec![Input { owner, values, meta }])?.swap_remove(0))
}

/// A half-finished value that equals `values` exactly and has a non-trivial offset: v = hi·2^20 + lo as an inner product.
pub fn half_finished<E: Engine>(
    e: &mut E,
    values: &[i64],
    frac: u32,
    ring: u32,
) -> Result<E::Offset, EngineError> {
    let n = values.len();
    let ring = Ring::new(ring).unwrap();
    let split: Vec<i64> = values.iter().flat_map(|v| [v >> 20, v - ((v >> 20) << 20)]).collect();
    let x = share(e, 0, &split, Meta { rows: n, cols: 2, frac, ring })?;
    let y = share(e, 1, &[1 << 20, 1], Meta { rows: 2, cols: 1, frac: 0, ring })?;
    e.product(&Bilinear::MATMUL, &x, &y)
}

/// The ring elements of an opened tensor, from its real numbers.
pub fn integers(x: &Array2<f64>, frac: u32) -> Vec<i64> {
    x.iter().map(|v| (v * (frac as f64).exp2()) as i64).collect()
}

pub fn meta_of<S: Shared>(x: &S) -> Meta {
    x.meta()
}
