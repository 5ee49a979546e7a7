//! Standardisation x ← (x − mean) / √(variance + 2^−20), per feature, over the training rows of all owners.
//!
//! On shares, nothing is opened: sums are local, then one truncation for the means, one for the squared deviations, one for
//! the variances, an inverse square root, and one product. The test rows use the statistics of the training rows. Features
//! come in scaled by public bounds to at most [`BOUND`] in size, with as many fractional bits as the sums of squares leave.

use ndarray::{Array2, Axis};
use tercet_engine::{Engine, EngineError, Shared, Truncate, functions};
use tercet_share::{Bilinear, Linear, Ring, Tensor, fixed};

use crate::scales::{Dyadic, NumericPlan};
use crate::sharing::{InputScale, SharedRows};

/// Added to a variance, so that a constant feature becomes zero rather than noise.
const FLOOR: f64 = 1.0 / (1 << 20) as f64;

/// Features are at most this in size before standardisation.
const BOUND: f64 = 2.0;

/// Means and scale factors of all features.
pub(crate) struct Standards {
    means: Vec<f64>,
    factors: Vec<f64>,
}

impl Standards {
    /// Statistics of `rows`.
    pub(crate) fn of(rows: &Array2<f32>) -> Standards {
        let n = rows.nrows().max(1) as f64;
        let column = |c: usize| rows.index_axis(Axis(1), c).mapv(f64::from);
        let means: Vec<f64> = (0..rows.ncols()).map(|c| column(c).sum() / n).collect();
        let factors = means.iter().enumerate().map(|(c, mean)| {
            let variance = column(c).mapv(|x| (x - mean) * (x - mean)).sum() / n;
            1.0 / (variance + FLOOR).sqrt()
        });
        Standards { factors: factors.collect(), means }
    }

    /// Mean and scale factor of each feature.
    pub(crate) fn each(&self) -> impl Iterator<Item = (f64, f64)> {
        self.means.iter().copied().zip(self.factors.iter().copied())
    }

    /// Standardises `rows`.
    pub(crate) fn apply(&self, rows: &mut Array2<f32>) {
        for mut row in rows.axis_iter_mut(Axis(0)) {
            for ((x, mean), factor) in row.iter_mut().zip(&self.means).zip(&self.factors) {
                *x = ((f64::from(*x) - mean) * factor) as f32;
            }
        }
    }
}

/// Means and scale factors on shares.
pub(crate) struct SharedStandards<E: Engine> {
    /// `1 × features`, at most [`BOUND`] in size.
    pub(crate) mean: E::Masked,
    /// `1 × features`, at most 2^10.
    pub(crate) factor: E::Masked,
}

/// How features are shared: at the activations' scale, or finer if they are standardised afterwards.
pub(crate) fn input_scale(plan: &NumericPlan, standardise: bool, rows: usize) -> InputScale {
    if standardise {
        return InputScale { frac: raw_frac(rows), ring: Ring::FULL, bound: BOUND };
    }
    InputScale { frac: plan.activation, ring: plan.ring, bound: f64::from(plan.range_bits).exp2() }
}

/// Fractional bits of raw features: the sum of `rows` squares of deviations below 2 · BOUND stays below 2^62.
fn raw_frac(rows: usize) -> u32 {
    ((62 - 4 - log2_ceil(rows)) / 2).min(24)
}

fn log2_ceil(n: usize) -> u32 {
    n.next_power_of_two().trailing_zeros()
}

/// Most rows that can be standardised: more leave no bits for the floor of a variance.
pub(crate) const MOST_ROWS: usize = 1 << 20;

/// Fractional bits of variances, whose floor is 2^−20: 26, or what the sum of squares over `rows` leaves.
fn variance_frac(rows: usize) -> u32 {
    (62 - 4 - (DIVISION_BITS + 2) - log2_ceil(rows)).min(26)
}

/// Significant bits of 1 / rows.
const DIVISION_BITS: u32 = 12;

/// Fractional bits of the scale factors, at most 2^10.
const FACTOR_FRAC: u32 = 16;

/// Standardises the features of both data sets on shares; `None` without rows.
pub(crate) fn apply<E: Engine>(
    engine: &mut E,
    plan: &NumericPlan,
    train: &mut SharedRows<E>,
    test: &mut SharedRows<E>,
) -> Result<Option<SharedStandards<E>>, EngineError> {
    let rows = train.rows();
    let mut sum: Option<E::Masked> = None;
    for block in &train.blocks {
        let part = engine.linear(&block.features, &Linear::SumRows)?;
        sum = Some(match sum {
            Some(sum) => engine.add(&sum, &part, false)?,
            None => part,
        });
    }
    let Some(sum) = sum else { return Ok(None) };
    let mean = divided(engine, &sum, Dyadic::reciprocal(rows, 20))?;

    for block in train.blocks.iter_mut().chain(&mut test.blocks) {
        let mean = engine.linear(&mean, &Linear::RepeatRows(block.rows))?;
        block.features = engine.add(&block.features, &mean, true)?;
    }

    let mut squares: Option<E::Offset> = None;
    for block in &train.blocks {
        let square = engine.product(&Bilinear::Hadamard, &block.features, &block.features)?;
        let part = engine.linear_offset(&square, &Linear::SumRows)?;
        match &mut squares {
            Some(sum) => engine.accumulate(sum, &part, 1, 0)?,
            None => squares = Some(part),
        }
    }
    let Some(squares) = squares else { return Ok(None) };
    let squares = functions::finish(engine, &squares, variance_frac(rows), Ring::FULL)?;
    let variance = divided(engine, &squares, Dyadic::reciprocal(rows, DIVISION_BITS))?;
    let floor = fixed::encode(FLOOR, variance_frac(rows), Ring::FULL)?;
    let facts = variance.meta();
    let floor = engine.public(&Tensor::filled(facts.rows, facts.cols, floor), facts)?;
    let variance = engine.add(&variance, &floor, false)?;
    // FLOOR to the largest deviation squared, with room for the rounding of the variance.
    let factor = functions::inverse_sqrt(engine, &variance, -21, 5)?;
    let factor = functions::finish(engine, &factor, FACTOR_FRAC, Ring::FULL)?;

    let blocks: Vec<_> = train.blocks.iter_mut().chain(&mut test.blocks).collect();
    let mut products = Vec::with_capacity(blocks.len());
    for block in &blocks {
        let factor = engine.linear(&factor, &Linear::RepeatRows(block.rows))?;
        products.push(engine.product(&Bilinear::Hadamard, &block.features, &factor)?);
    }
    let batch: Vec<Truncate<'_, E::Offset>> = products
        .iter()
        .map(|value| Truncate { value, shift: value.meta().frac - plan.activation, out: plan.ring })
        .collect();
    let features = engine.truncate(&batch)?;
    for (block, features) in blocks.into_iter().zip(features) {
        block.features = features;
    }
    Ok(Some(SharedStandards { mean, factor }))
}

/// `sum · by` with the fractional bits of `sum`: a product with a dyadic number and a truncation.
pub(crate) fn divided<E: Engine>(
    engine: &mut E,
    sum: &E::Masked,
    by: Dyadic,
) -> Result<E::Masked, EngineError> {
    let facts = sum.meta();
    let wide = engine.reread(sum, facts.frac + by.shift)?;
    let wide = engine.linear(&wide, &Linear::Scale(by.factor))?;
    let wide = engine.lift(&wide)?;
    functions::finish(engine, &wide, facts.frac, Ring::FULL)
}
