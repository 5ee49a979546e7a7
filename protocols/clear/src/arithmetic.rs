//! Fixed-point arithmetic on plain ring elements.

use tercet_engine::{EngineError, Meta, Term};
use tercet_share::{Bilinear, Linear, PackedBits, Product, Ring, Tensor};

use crate::{range::Doubt, value::Value};

/// floor(v / 2^shift + 1/2) of the signed value, reduced to `out`. `shift` is at least 1.
pub(crate) fn rounding_shift(v: i64, shift: u32) -> i64 {
    (v >> shift) + (v >> (shift - 1) & 1)
}

/// True if a truncation by `shift` is right for `v` in a ring of `ring` bits: |v| ≤ 2^(ring−2) − 2^(shift−1).
pub(crate) fn truncatable(v: i64, ring: Ring, shift: u32) -> bool {
    let limit = (1u64 << (ring.bits() - 2)) - (1 << (shift - 1));
    v.unsigned_abs() <= limit
}

/// The truncated value of each element, in 64 bits, and the elements for which the protocol's range does not hold.
pub(crate) fn truncate(x: &Value, shift: u32) -> (Vec<i64>, Doubt) {
    let values = x.signed().map(|v| rounding_shift(v, shift)).collect();
    let outside = Doubt::of("truncation", &x.meta, x.signed().map(|v| !truncatable(v, x.meta.ring, shift)));
    (values, x.doubt.clone().or(&outside))
}

/// [v ≥ 0] as the protocol sees it: the sign of the low `width` bits.
pub(crate) fn nonnegative(v: i64, width: u32) -> bool {
    (v as u64) >> (width - 1) & 1 == 0
}

/// True if a comparison of `width` bits is right for `v`: |v| < 2^(width−1).
pub(crate) fn comparable(v: i64, width: u32) -> bool {
    v.unsigned_abs() < 1 << (width - 1)
}

/// Packs one bit per element.
pub(crate) fn pack(bits: impl Iterator<Item = bool>) -> PackedBits {
    PackedBits::from_lsb(&bits.map(u64::from).collect::<Vec<u64>>())
}

/// A matrix of signed values, reduced to the ring of `meta`.
pub(crate) fn tensor(meta: &Meta, values: impl Iterator<Item = i64>) -> Tensor {
    let mask = meta.ring.mask();
    Tensor::from_vec(meta.rows, meta.cols, values.map(|v| v as u64 & mask).collect())
}

/// `x + factor · 2^shift · y`, doubtful where the ring cannot hold it.
pub(crate) fn sum(x: &Value, y: &Value, meta: Meta, factor: i64, shift: u32) -> Value {
    let mask = meta.ring.mask();
    let scale = (factor as u64) << shift;
    let elements = x.data.data().iter().zip(y.data.data());
    let data = elements.map(|(a, b)| a.wrapping_add(b.wrapping_mul(scale)) & mask).collect();
    let real_scale = factor as f64 * f64::from(shift).exp2();
    let limit = f64::from(meta.ring.bits() - 1).exp2();
    let wraps = x.signed().zip(y.signed()).map(|(a, b)| outside(a as f64 + b as f64 * real_scale, limit));
    let doubt = x.doubt.clone().or(&y.doubt).or(&Doubt::of("sum", &meta, wraps));
    Value::new(meta, Tensor::from_vec(meta.rows, meta.cols, data), doubt)
}

/// A linear map, doubtful where the ring cannot hold a sum or multiple.
pub(crate) fn linear(x: &Value, f: &Linear) -> Result<Value, EngineError> {
    let meta = x.meta.linear(f)?;
    let growth = match f {
        Linear::Scale(c) => 64 - c.unsigned_abs().leading_zeros(),
        Linear::SumRows => bits_of(x.meta.rows),
        Linear::SumCols | Linear::ScatterCols { .. } => bits_of(x.meta.cols),
        Linear::SumGroups(g) => bits_of(*g),
        Linear::Transpose
        | Linear::GatherRows(_)
        | Linear::GatherCols(_)
        | Linear::RepeatCols(_)
        | Linear::RepeatRows(_)
        | Linear::Reshape(..) => 0,
    };
    let mut doubt = x.doubt.linear(f)?;
    if growth > 0 && largest(x) + growth >= meta.ring.bits() {
        let approximate = f.apply(&leading(x, growth))?;
        doubt = doubt.or(&beyond("sum", &meta, &approximate, growth));
    }
    Ok(Value::new(meta, f.apply(&x.data)?, doubt))
}

/// A product, doubtful where the ring cannot hold it.
pub(crate) fn product(kind: &Bilinear, x: &Value, y: &Value, meta: &Meta) -> Result<Value, EngineError> {
    let shapes = [x.meta.shape(), y.meta.shape()];
    let data = kind.apply_sum(&[Product::plus(&x.data, &y.data)], shapes, meta.ring)?;
    let known = Doubt::product(kind, (&x.doubt, shapes[0]), (&y.doubt, shapes[1]))?;
    // Only if the largest entries allow a wrap at all is the product computed again, from the operands' leading bits.
    let growth = bits_of(x.meta.len().min(y.meta.len()));
    let (left, right) = (largest(x), largest(y));
    if left + right + growth < meta.ring.bits() {
        return Ok(Value::new(*meta, data, known));
    }
    let room = 62u32.saturating_sub(growth) / 2;
    let (drop_left, drop_right) = (left.saturating_sub(room), right.saturating_sub(room));
    let approximate = kind.apply(&leading(x, drop_left), &leading(y, drop_right))?;
    let doubt = known.or(&beyond("product", meta, &approximate, drop_left + drop_right));
    Ok(Value::new(*meta, data, doubt))
}

/// Bits by which a sum of `terms` numbers may be longer than one of them.
fn bits_of(terms: usize) -> u32 {
    usize::BITS - terms.leading_zeros()
}

/// Bits of the largest magnitude.
fn largest(x: &Value) -> u32 {
    x.signed().map(|v| 64 - v.unsigned_abs().leading_zeros()).max().unwrap_or(0)
}

/// The signed elements without their lowest `drop` bits.
fn leading(x: &Value, drop: u32) -> Tensor {
    let drop = drop.min(63);
    Tensor::from_vec(x.meta.rows, x.meta.cols, x.signed().map(|v| (v >> drop) as u64).collect())
}

/// True for a number that two's complement does not hold if −limit is the least one.
fn outside(v: f64, limit: f64) -> bool {
    v >= limit || v < -limit
}

/// Marks results that exceed the ring, from results without `drop` bits.
fn beyond(source: &'static str, meta: &Meta, approximate: &Tensor, drop: u32) -> Doubt {
    let limit = f64::from(meta.ring.bits() - 1).exp2();
    let unit = f64::from(drop).exp2();
    Doubt::of(source, meta, approximate.data().iter().map(|&v| outside(v as i64 as f64 * unit, limit)))
}

/// One variable of a polynomial.
pub(crate) enum Operand<'a> {
    Value(&'a Value),
    Bit(&'a PackedBits),
}

/// Σ_t coefficient_t · Π x_i^powers_i modulo 2^64; doubtful where the true value exceeds the ring of `meta` or a
/// doubtful operand counts.
pub(crate) fn polynomial(vars: &[Operand<'_>], terms: &[Term], coefficients: &[u64], meta: &Meta) -> Value {
    let limit = f64::from(meta.ring.bits() - 1).exp2();
    let source = vars.iter().find_map(|v| match v {
        Operand::Value(x) if !x.doubt.none() => Some(x.doubt.source_or("polynomial")),
        _ => None,
    });
    let mut doubtful = vec![false; meta.len()];
    let mut data = Vec::with_capacity(meta.len());
    for i in 0..meta.len() {
        let (mut sum, mut real) = (0u64, 0f64);
        for (term, &coefficient) in terms.iter().zip(coefficients) {
            let (mut exact, mut approximate) = (coefficient, coefficient as i64 as f64);
            let mut doubt = false;
            for (var, &power) in vars.iter().zip(&term.powers) {
                if power == 0 {
                    continue;
                }
                match var {
                    Operand::Value(x) => {
                        let v = x.meta.ring.signed(x.data.data()[i]);
                        exact = exact.wrapping_mul((v as u64).wrapping_pow(power));
                        approximate *= (v as f64).powi(power as i32);
                        doubt |= x.doubt.at(i);
                    }
                    Operand::Bit(b) => {
                        exact = exact.wrapping_mul(b.bit(i));
                        approximate *= b.bit(i) as f64;
                    }
                }
            }
            let vanishes = vars
                .iter()
                .zip(&term.powers)
                .any(|(var, &power)| power > 0 && matches!(var, Operand::Bit(b) if b.bit(i) == 0));
            doubtful[i] |= doubt && !vanishes;
            sum = sum.wrapping_add(exact);
            real += approximate;
        }
        doubtful[i] |= outside(real, limit);
        data.push(sum & meta.ring.mask());
    }
    let doubt = Doubt::of(source.unwrap_or("polynomial"), meta, doubtful.iter().copied());
    Value::new(*meta, Tensor::from_vec(meta.rows, meta.cols, data), doubt)
}
