//! Fixed-point arithmetic on plain ring elements.

use tercet_engine::{EngineError, Meta, Term};
use tercet_share::{Bilinear, PackedBits, Product, Ring, Tensor};

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

/// A product, and the elements whose true value the ring cannot hold.
pub(crate) fn product(kind: &Bilinear, x: &Value, y: &Value, meta: &Meta) -> Result<Value, EngineError> {
    let data =
        kind.apply_sum(&[Product::plus(&x.data, &y.data)], [x.meta.shape(), y.meta.shape()], meta.ring)?;
    let known = Doubt::product(kind, (&x.doubt, x.meta.shape()), (&y.doubt, y.meta.shape()))?;
    let doubt = known.or(&wraps(kind, x, y, meta)?);
    Ok(Value::new(*meta, data, doubt))
}

/// Elements of a product that exceed the ring. Only if the largest entries allow that at all is the product computed
/// again, from the operands' leading bits.
fn wraps(kind: &Bilinear, x: &Value, y: &Value, meta: &Meta) -> Result<Doubt, EngineError> {
    let bits = |v: &Value| v.signed().map(|e| 64 - e.unsigned_abs().leading_zeros()).max().unwrap_or(0);
    let terms = x.meta.len().min(y.meta.len()).max(1);
    let sum_bits = usize::BITS - (terms - 1).leading_zeros();
    let (left, right) = (bits(x), bits(y));
    if left + right + sum_bits < meta.ring.bits() {
        return Ok(Doubt::default());
    }
    let room = 62u32.saturating_sub(sum_bits) / 2;
    let (drop_left, drop_right) = (left.saturating_sub(room), right.saturating_sub(room));
    let leading = |v: &Value, drop: u32| {
        Tensor::from_vec(v.meta.rows, v.meta.cols, v.signed().map(|e| (e >> drop) as u64).collect())
    };
    let (left, right) = (leading(x, drop_left), leading(y, drop_right));
    let approximate = kind.apply(&left, &right)?;
    let limit = f64::from(meta.ring.bits() - 1).exp2();
    let unit = f64::from(drop_left + drop_right).exp2();
    Ok(Doubt::of(
        "product",
        meta,
        approximate.data().iter().map(|&v| (v as i64 as f64 * unit).abs() >= limit),
    ))
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
        doubtful[i] |= real.abs() >= limit;
        data.push(sum & meta.ring.mask());
    }
    let doubt = Doubt::of(source.unwrap_or("polynomial"), meta, doubtful.into_iter());
    Value::new(*meta, Tensor::from_vec(meta.rows, meta.cols, data), doubt)
}
