//! Rows as shares: every owner's rows are shared once, and mini-batches are gathered from them by public indices.

use std::ops::Range;
use std::sync::Arc;

use tercet_engine::{Engine, EngineError, Input, Meta, Party};
use tercet_share::{Linear, Ring, Tensor, fixed};

use crate::TrainError;
use crate::architecture::Architecture;
use crate::rows::{DataSets, RowValues, Rows};
use crate::scales::NumericPlan;

/// Shared rows of one owner.
pub(crate) struct Block<E: Engine> {
    pub(crate) rows: usize,
    pub(crate) features: E::Masked,
    pub(crate) targets: E::Masked,
}

/// A shared data set: the blocks of all owners count as one, in order.
pub(crate) struct SharedRows<E: Engine> {
    pub(crate) blocks: Vec<Block<E>>,
}

/// Scales of the inputs.
#[derive(Clone, Copy)]
pub(crate) struct InputScale {
    pub(crate) frac: u32,
    pub(crate) ring: Ring,
    /// Features must not be above this in size.
    pub(crate) bound: f64,
}

/// Shares training and test rows of all owners in one call, with the values of `me` only; those of nobody for an engine
/// that counts without values.
pub(crate) fn share<E: Engine>(
    engine: &mut E,
    me: Option<Party>,
    plan: &NumericPlan,
    architecture: &Architecture,
    scale: InputScale,
    data: &DataSets,
) -> Result<(SharedRows<E>, SharedRows<E>), TrainError> {
    let mut inputs = Vec::new();
    for (name, sets) in [("training", &data.train), ("test", &data.test)] {
        for set in sets {
            let what = format!("the {name} rows of party {}", set.owner);
            let values = checked(set, me, architecture, &what)?;
            let features =
                Meta { rows: set.rows, cols: architecture.inputs(), frac: scale.frac, ring: scale.ring };
            let targets =
                Meta { rows: set.rows, cols: architecture.outputs(), frac: plan.gradient, ring: Ring::FULL };
            let encode = |values: Option<&ndarray::Array2<f32>>, meta: Meta, bound| {
                values.map(|v| encoded(v, meta, bound, &what)).transpose()
            };
            let x = encode(values.map(|v| &v.features), features, scale.bound)?;
            let t = encode(values.map(|v| &v.targets), targets, f64::from(plan.range_bits).exp2())?;
            inputs.push(Input { owner: set.owner, values: x, meta: features });
            inputs.push(Input { owner: set.owner, values: t, meta: targets });
        }
    }
    let mut shared = engine.input(inputs)?.into_iter();
    let mut take = |sets: &[Rows]| {
        let blocks = sets.iter().map_while(|set| {
            let (features, targets) = shared.next().zip(shared.next())?;
            Some(Block { rows: set.rows, features, targets })
        });
        SharedRows { blocks: blocks.collect() }
    };
    Ok((take(&data.train), take(&data.test)))
}

fn checked<'a>(
    set: &'a Rows,
    me: Option<Party>,
    architecture: &Architecture,
    what: &str,
) -> Result<Option<&'a RowValues>, TrainError> {
    let bad =
        |found: String, expected: String| Err(TrainError::Rows { what: what.to_owned(), found, expected });
    if set.rows == 0 || set.rows > 1 << 24 {
        return bad(format!("there are {}", set.rows), "list 1 to 2^24 rows, or leave the owner out".into());
    }
    let Some(values) = &set.values else {
        if Some(set.owner) == me {
            return bad("they are this party's, but it has no values".into(), "load them first".into());
        }
        return Ok(None);
    };
    let (x, t) = (values.features.dim(), values.targets.dim());
    let (want_x, want_t) = ((set.rows, architecture.inputs()), (set.rows, architecture.outputs()));
    if (x, t) != (want_x, want_t) {
        return bad(
            format!("their features and targets have shapes {x:?} and {t:?}"),
            format!("the job needs {want_x:?} and {want_t:?}"),
        );
    }
    // A party may hold others' rows in a test; it shares only its own.
    Ok((Some(set.owner) == me).then_some(values))
}

fn encoded(values: &ndarray::Array2<f32>, meta: Meta, bound: f64, what: &str) -> Result<Tensor, TrainError> {
    let mut out = Tensor::zeros(meta.rows, meta.cols);
    for (i, (to, &value)) in out.data_mut().iter_mut().zip(values).enumerate() {
        let value = f64::from(value);
        if value.is_nan() || value.abs() > bound {
            return Err(TrainError::Rows {
                what: what.to_owned(),
                found: format!(
                    "the value in row {} and column {} is too large",
                    i / meta.cols,
                    i % meta.cols
                ),
                expected: format!("scale it to at most {bound} in size"),
            });
        }
        *to = fixed::encode(value, meta.frac, meta.ring).map_err(EngineError::from)?;
    }
    Ok(out)
}

impl<E: Engine> SharedRows<E> {
    /// Number of rows.
    pub(crate) fn rows(&self) -> usize {
        self.blocks.iter().map(|b| b.rows).sum()
    }

    /// Features and targets of the rows `index`, which is in increasing order.
    pub(crate) fn gather(
        &self,
        engine: &mut E,
        index: &[usize],
    ) -> Result<(E::Masked, E::Masked), EngineError> {
        let (mut features, mut targets) = (Vec::new(), Vec::new());
        let (mut start, mut rest) = (0, index);
        for block in &self.blocks {
            let end = start + block.rows;
            let (here, later) = rest.split_at(rest.partition_point(|i| *i < end));
            rest = later;
            if !here.is_empty() {
                let local: Arc<[usize]> = here.iter().map(|i| i - start).collect();
                features.push(engine.linear(&block.features, &Linear::GatherRows(local.clone()))?);
                targets.push(engine.linear(&block.targets, &Linear::GatherRows(local))?);
            }
            start = end;
        }
        Ok((joined(engine, features)?, joined(engine, targets)?))
    }

    /// Features and targets of a range of rows.
    pub(crate) fn range(
        &self,
        engine: &mut E,
        rows: Range<usize>,
    ) -> Result<(E::Masked, E::Masked), EngineError> {
        self.gather(engine, &rows.collect::<Vec<usize>>())
    }
}

fn joined<E: Engine>(engine: &mut E, mut parts: Vec<E::Masked>) -> Result<E::Masked, EngineError> {
    if parts.len() == 1
        && let Some(part) = parts.pop()
    {
        return Ok(part);
    }
    engine.concat_rows(&parts.iter().collect::<Vec<_>>())
}
