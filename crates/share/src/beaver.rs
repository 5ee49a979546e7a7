//! Additive and masked shares, and products of them by Beaver's trick (CRYPTO '91).
//!
//! A value x is shared *additively* as x = x_0 + x_1 + … Each party holds one summand. Given a triple c = map(a, b) shared
//! likewise, opening d = x − a and e = y − b gives map(x, y) = map(d, e) + map(d, b) + map(a, e) + c: local but for the opening.
//!
//! A *masked share* is the same with the opened difference kept: m = x + λ is known to all evaluators, λ is shared additively, so
//! that −λ plays a and λ_X·λ_Y plays c. A tensor opened once serves every later product it takes part in.

use crate::{Bilinear, Product, Ring, ShareError, Tensor, kernel};

/// One party's summand of an additively shared tensor.
#[must_use]
#[derive(Clone)]
pub struct AdditiveShare(Tensor);

impl AdditiveShare {
    /// Wraps a summand.
    pub fn new(summand: Tensor) -> AdditiveShare {
        AdditiveShare(summand)
    }

    /// The summand, to be sent in an opening.
    pub fn summand(&self) -> &Tensor {
        &self.0
    }

    /// Splits a value into summands: all but the last are the given uniform tensors.
    pub fn split(value: &Tensor, uniform: Vec<Tensor>) -> Vec<AdditiveShare> {
        let mut last = value.clone();
        for u in &uniform {
            kernel::sub_assign(last.data_mut(), u.data());
        }
        uniform.into_iter().chain([last]).map(AdditiveShare).collect()
    }

    /// The value: the sum of all summands.
    pub fn open(summands: &[AdditiveShare]) -> Tensor {
        let mut sum = summands.first().map(|s| s.0.clone()).unwrap_or_default();
        for s in summands.iter().skip(1) {
            kernel::add_assign(sum.data_mut(), s.0.data());
        }
        sum
    }
}

/// One party's summands of a triple c = map(a, b).
pub struct Triple {
    /// Share of a.
    pub a: AdditiveShare,
    /// Share of b.
    pub b: AdditiveShare,
    /// Share of map(a, b).
    pub c: AdditiveShare,
}

/// This party's summands of d = x − a and e = y − b, to be opened.
pub fn beaver_differences(
    x: &AdditiveShare,
    y: &AdditiveShare,
    t: &Triple,
) -> (AdditiveShare, AdditiveShare) {
    let minus = |v: &AdditiveShare, m: &AdditiveShare| {
        let mut d = v.0.clone();
        kernel::sub_assign(d.data_mut(), m.0.data());
        AdditiveShare(d)
    };
    (minus(x, &t.a), minus(y, &t.b))
}

/// This party's summand of map(x, y) from the opened d and e. Consumes the triple: a second use would leak x and y.
pub fn beaver_product(
    map: &Bilinear,
    first: bool,
    d: &Tensor,
    e: &Tensor,
    t: Triple,
) -> Result<AdditiveShare, ShareError> {
    let mut terms = vec![Product::plus(d, &t.b.0), Product::plus(&t.a.0, e)];
    if first {
        terms.push(Product::plus(d, e));
    }
    let mut z = map.apply_sum(&terms, [d.shape(), e.shape()], Ring::FULL)?;
    kernel::add_assign(z.data_mut(), t.c.0.data());
    Ok(AdditiveShare(z))
}

/// An evaluator's view of a masked operand: m = x + λ and its summand of λ; `None` is zero.
#[derive(Clone, Copy)]
pub struct MaskedOperand<'a> {
    /// Shape of x.
    pub shape: (usize, usize),
    /// m = x + λ.
    pub m: Option<&'a Tensor>,
    /// This evaluator's summand of λ.
    pub l: Option<&'a Tensor>,
    /// The rows of m that are not known to be zero, as in [`Product::rows`].
    pub m_rows: Option<&'a [(usize, usize)]>,
    /// The same of `l`.
    pub l_rows: Option<&'a [(usize, usize)]>,
}

/// This evaluator's summand of map(x, y) − map(λ_x, λ_y), modulo 2^ring, in one pass:
/// M_X·(M_Y − l_Y) − l_X·M_Y at the first evaluator, −M_X·l_Y − l_X·M_Y at the others.
pub fn masked_product(
    map: &Bilinear,
    first: bool,
    x: MaskedOperand<'_>,
    y: MaskedOperand<'_>,
    ring: Ring,
) -> Result<Tensor, ShareError> {
    let mut terms = Vec::with_capacity(2);
    if let Some(mx) = x.m {
        match (y.m.filter(|_| first), y.l) {
            (Some(my), minus) => terms.push(Product { minus, rows: x.m_rows, ..Product::plus(mx, my) }),
            (None, Some(ly)) => terms.push(Product { rows: x.m_rows, ..Product::minus(mx, ly) }),
            (None, None) => {}
        }
    }
    if let (Some(lx), Some(my)) = (x.l, y.m) {
        terms.push(Product { rows: x.l_rows, ..Product::minus(lx, my) });
    }
    map.apply_sum(&terms, [x.shape, y.shape], ring)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{PairKey, PairPrg};

    fn random(prg: &mut PairPrg, op: u64, rows: usize, cols: usize) -> Tensor {
        prg.stream(op, 0).unwrap().tensor(rows, cols, 64)
    }

    fn operand<'a>(shape: (usize, usize), m: &'a Tensor, l: &'a Tensor) -> MaskedOperand<'a> {
        MaskedOperand { shape, m: Some(m), l: Some(l), m_rows: None, l_rows: None }
    }

    #[test]
    fn a_triple_multiplies_three_ways_shared_matrices() {
        let mut prg = PairPrg::new(PairKey::from_bytes([5; 32]));
        let mut op = 0;
        let mut fresh = |r, c| {
            op += 1;
            random(&mut prg, op, r, c)
        };
        let (x, y, a, b) = (fresh(5, 7), fresh(7, 3), fresh(5, 7), fresh(7, 3));
        let map = Bilinear::MATMUL;
        let c = map.apply(&a, &b).unwrap();
        let mut shared = |v: &Tensor| {
            let (r, c) = v.shape();
            AdditiveShare::split(v, vec![fresh(r, c), fresh(r, c)])
        };
        let (xs, ys) = (shared(&x), shared(&y));
        let triples: Vec<Triple> = shared(&a)
            .into_iter()
            .zip(shared(&b))
            .zip(shared(&c))
            .map(|((a, b), c)| Triple { a, b, c })
            .collect();
        let differences: Vec<_> = (0..3).map(|i| beaver_differences(&xs[i], &ys[i], &triples[i])).collect();
        let (ds, es): (Vec<_>, Vec<_>) = differences.into_iter().unzip();
        let (d, e) = (AdditiveShare::open(&ds), AdditiveShare::open(&es));
        let zs: Vec<_> = triples
            .into_iter()
            .enumerate()
            .map(|(i, t)| beaver_product(&map, i == 0, &d, &e, t).unwrap())
            .collect();
        assert_eq!(AdditiveShare::open(&zs).data(), map.apply(&x, &y).unwrap().data());
    }

    #[test]
    fn masked_products_add_up_to_the_product_less_the_product_of_masks() {
        let mut prg = PairPrg::new(PairKey::from_bytes([6; 32]));
        let (map, shapes) = (Bilinear::MatMul { left_t: true, right_t: false }, [(9, 4), (9, 6)]);
        let mut t: Vec<Tensor> = Vec::new();
        for (i, s) in [0, 0, 0, 1, 1, 1].into_iter().enumerate() {
            t.push(random(&mut prg, i as u64, shapes[s].0, shapes[s].1));
        }
        let sum = |parts: &[&Tensor]| {
            AdditiveShare::open(&parts.iter().map(|p| AdditiveShare((*p).clone())).collect::<Vec<_>>())
        };
        let (mx, my) = (sum(&[&t[0], &t[1], &t[2]]), sum(&[&t[3], &t[4], &t[5]]));
        let z: Vec<AdditiveShare> = (0..2)
            .map(|i| {
                let x = operand(shapes[0], &mx, &t[1 + i]);
                let y = operand(shapes[1], &my, &t[4 + i]);
                AdditiveShare(masked_product(&map, i == 0, x, y, Ring::FULL).unwrap())
            })
            .collect();
        let mut got = AdditiveShare::open(&z);
        let (lx, ly) = (sum(&[&t[1], &t[2]]), sum(&[&t[4], &t[5]]));
        kernel::add_assign(got.data_mut(), map.apply(&lx, &ly).unwrap().data());
        assert_eq!(got.data(), map.apply(&t[0], &t[3]).unwrap().data());
    }

    #[test]
    fn rows_that_are_named_as_zero_are_left_out_and_change_nothing() {
        let mut prg = PairPrg::new(PairKey::from_bytes([7; 32]));
        let g = kernel::ConvGeometry {
            channels: 1,
            height: 4,
            width: 5,
            kernel_h: 2,
            kernel_w: 3,
            stride: 1,
            padding: 0,
        };
        let (images, patch, positions) = ((9, g.input_len()), g.patch_len(), g.output_positions());
        let maps = [
            (Bilinear::MATMUL, (9, 7), (7, 6)),
            (Bilinear::MatMul { left_t: false, right_t: true }, (9, 7), (6, 7)),
            (Bilinear::MatMul { left_t: true, right_t: false }, (9, 7), (9, 6)),
            (Bilinear::MatMul { left_t: true, right_t: true }, (9, 7), (6, 9)),
            (Bilinear::Hadamard, (9, 7), (9, 7)),
            (Bilinear::Conv(g), images, (patch, 3)),
            (Bilinear::ConvWeightGrad(g), images, (9, 3 * positions)),
        ];
        let (m_rows, l_rows) = ([(0, 5)], [(2, 3), (5, 9)]);
        let clear = |x: &mut Tensor, kept: &[(usize, usize)]| {
            let cols = x.cols();
            for (row, values) in x.data_mut().chunks_mut(cols).enumerate() {
                if !kept.iter().any(|(from, to)| (*from..*to).contains(&row)) {
                    values.fill(0);
                }
            }
        };
        for (op, (map, left, right)) in (0u64..).step_by(4).zip(maps) {
            let mut fresh = |i, (r, c)| random(&mut prg, op + i, r, c);
            let (mut m, mut l, my, ly) = (fresh(0, left), fresh(1, left), fresh(2, right), fresh(3, right));
            clear(&mut m, &m_rows);
            clear(&mut l, &l_rows);
            for first in [true, false] {
                for ring in [Ring::FULL, Ring::new(44).unwrap()] {
                    let y = operand(right, &my, &ly);
                    let dense = masked_product(&map, first, operand(left, &m, &l), y, ring).unwrap();
                    let x = MaskedOperand {
                        m_rows: Some(&m_rows),
                        l_rows: Some(&l_rows),
                        ..operand(left, &m, &l)
                    };
                    let sparse = masked_product(&map, first, x, y, ring).unwrap();
                    let same = dense
                        .data()
                        .iter()
                        .zip(sparse.data())
                        .all(|(a, b)| ring.signed(*a) == ring.signed(*b));
                    assert!(same, "{map:?}");
                }
            }
        }
    }
}
