//! The range guard: a check on shares that values stay in the ranges that the job states.
//!
//! A protocol computes modulo 2^L and does not see that a value has left the range in which its truncations and comparisons
//! are right. At a guarded step the guard looks at master weights, at every product on its way to a truncation, and at the
//! gradient of the loss, before the step changes anything. Each is compared with both ends of its range, the elements out of
//! range are counted on shares, and one bit, whether there is any, is opened for each tensor to all parties, by the engine's
//! one opening function and under a reason of its own. A count is not opened, nor which element it was.
//!
//! A value so far out that it wraps in its ring looks like a random one: in a product's ring, the narrowest, half of the ring is
//! out of range, so that a tensor of n such elements passes with probability 2^−n. Steps between two checks are not looked at.
//!
//! A private training has no guard. Its bits are exact functions of the records: one record can turn a bit, which no ε covers, and
//! noise that would cover it spends budget at every check. Nor would a guard find anything: a private job is refused at its start
//! unless weights and outputs stay in range for all rows and all noise of the proved bounds.

use tercet_engine::{Engine, EngineError, Meta, Opening, Party, Reason, Shared, Sign, Term, Var};
use tercet_share::{Linear, Tensor};

use crate::optimiser::State;
use crate::scales::NumericPlan;
use crate::spec::ModelSpec;

/// What was found out of range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantity {
    /// Master weights or biases.
    Weights,
    /// Outputs of a layer before the next one truncates them.
    PreActivations,
    /// Gradients of a layer's outputs.
    Gradients,
}

impl Quantity {
    /// For people.
    pub const fn name(self) -> &'static str {
        match self {
            Quantity::Weights => "weights",
            Quantity::PreActivations => "pre-activations",
            Quantity::Gradients => "gradients",
        }
    }

    /// The key of the job that states its range.
    pub const fn key(self) -> &'static str {
        match self {
            Quantity::Weights => "weight_bits",
            Quantity::PreActivations => "range_bits",
            Quantity::Gradients => "gradient_bits",
        }
    }

    fn bits(self, plan: &NumericPlan) -> u32 {
        match self {
            Quantity::Weights => plan.weight_bits,
            Quantity::PreActivations => plan.range_bits,
            Quantity::Gradients => plan.gradient_bits,
        }
    }
}

/// One tensor that a guarded step looks at.
pub(crate) struct Watched<E: Engine> {
    /// Position in `model.layers`.
    pub(crate) layer: usize,
    pub(crate) quantity: Quantity,
    pub(crate) value: E::Offset,
}

/// Where a range was left.
pub(crate) struct Breach {
    /// The layer in words: `layer 0 (dense)`.
    pub(crate) layer: String,
    pub(crate) quantity: Quantity,
    /// The range is |v| < 2^bits.
    pub(crate) bits: u32,
}

/// Which steps are guarded, for whoever counts what a training costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watch {
    /// Those that the job names.
    AsTheJobSays,
    /// None.
    Never,
    /// All.
    Always,
}

/// When to look, and how to name what is found.
pub(crate) struct Guard {
    every: u32,
    pub(crate) watch: Watch,
    /// Kind of each layer, and which of them have weights.
    layers: Vec<&'static str>,
    weighted: Vec<usize>,
    /// The values mean nothing: look, but do not judge.
    pub(crate) rehearsal: bool,
}

impl Guard {
    pub(crate) fn new(every: u32, model: &ModelSpec) -> Guard {
        let layers: Vec<_> = model.layers.iter().map(|layer| layer.kind()).collect();
        let weighted =
            (0..layers.len()).filter(|&i| matches!(layers[i], "dense" | "conv2d" | "batch-norm")).collect();
        Guard { every, layers, weighted, watch: Watch::AsTheJobSays, rehearsal: false }
    }

    /// Whether `step` (from 1) is guarded. The first is: a job that cannot work stops at once.
    pub(crate) fn due(&self, step: u64) -> bool {
        match self.watch {
            Watch::AsTheJobSays => (step - 1).is_multiple_of(u64::from(self.every)),
            Watch::Never => false,
            Watch::Always => true,
        }
    }

    /// Guarded steps among the first `steps`.
    pub(crate) fn count(&self, steps: u64) -> u64 {
        steps.div_ceil(u64::from(self.every))
    }

    /// The master weights.
    pub(crate) fn weights<E: Engine>(&self, state: &State<E>) -> Vec<Watched<E>> {
        let quantity = Quantity::Weights;
        let parts = self.weighted.iter().zip(&state.parameters).flat_map(|(&layer, parameter)| {
            [&parameter.weight, &parameter.bias].map(|v| Watched { layer, quantity, value: v.clone() })
        });
        parts.collect()
    }

    /// Checks all of `watched`; the first breach in their order. Two rounds to finish and open, and those of two comparisons.
    pub(crate) fn check<E: Engine>(
        &self,
        engine: &mut E,
        plan: &NumericPlan,
        watched: &[Watched<E>],
        step: u64,
    ) -> Result<Option<Breach>, EngineError> {
        let values = engine.remask(&watched.iter().map(|w| &w.value).collect::<Vec<_>>())?;
        // Both ends of each range: v + bound and bound − v are to be at least 0.
        let mut ends = Vec::with_capacity(2 * values.len());
        for (value, watched) in values.iter().zip(watched) {
            let meta = value.meta();
            // A ring of a product holds its range and one bit more.
            let bits = (watched.quantity.bits(plan) + meta.frac).min(meta.ring.bits() - 2);
            let bound = constant(engine, meta, 1 << bits)?;
            ends.push(engine.add(value, &bound, false)?);
            ends.push(engine.add(&bound, value, true)?);
        }
        let whole = |value| -> Sign<'_, E::Masked> {
            Sign { value, width: value.meta().ring.bits(), out: None, cuts: &[0.0] }
        };
        let (inside, _) = engine.nonnegative(&ends.iter().map(whole).collect::<Vec<_>>(), &[])?;
        // Elements outside; less one, that is below 0 if there is none.
        let mut counts = Vec::with_capacity(values.len());
        for pair in inside.chunks_exact(2) {
            let mut count = outside(engine, &pair[0])?;
            let other = outside(engine, &pair[1])?;
            engine.accumulate(&mut count, &other, 1, 0)?;
            counts.push(count);
        }
        let counts = engine.remask(&counts.iter().collect::<Vec<_>>())?;
        let mut some = Vec::with_capacity(counts.len());
        for count in &counts {
            let one = constant(engine, count.meta(), 1)?;
            some.push(engine.add(count, &one, true)?);
        }
        let width = |w: &Watched<E>| usize::BITS - (4 * w.value.meta().len()).leading_zeros() + 1;
        let signs = some.iter().zip(watched).map(|(value, w)| Sign {
            value,
            width: width(w),
            out: None,
            cuts: &[0.0],
        });
        let (breached, _) = engine.nonnegative(&signs.collect::<Vec<_>>(), &[])?;
        let term = [Term { coefficient: 1.0, powers: vec![1] }];
        let bits = breached.iter().map(|bit| engine.polynomial(&[Var::Bit(bit)], &term, 0));
        let bits = bits.collect::<Result<Vec<_>, _>>()?;
        let bits = engine.remask(&bits.iter().collect::<Vec<_>>())?;
        let opening = Opening {
            reason: Reason::RangeGuard,
            what: format!("whether each of {} tensors is in range at step {step}", watched.len()),
            to: everybody(),
        };
        let opened = engine.reveal(&bits.iter().collect::<Vec<_>>(), opening)?;
        let Some(opened) = opened.filter(|_| !self.rehearsal) else { return Ok(None) };
        let found = opened.iter().zip(watched).find(|(bit, _)| bit.iter().any(|&bit| bit > 0.5));
        Ok(found.map(|(_, w)| Breach {
            layer: format!("layer {} ({})", w.layer, self.layers[w.layer]),
            quantity: w.quantity,
            bits: w.quantity.bits(plan),
        }))
    }
}

/// All parties: each of them has to stop.
pub(crate) fn everybody() -> Vec<Party> {
    vec![0, 1, 2]
}

/// The number of zeros among bits, `1 × 1`.
fn outside<E: Engine>(engine: &mut E, bit: &E::Bit) -> Result<E::Offset, EngineError> {
    let terms = [Term { coefficient: 1.0, powers: vec![0] }, Term { coefficient: -1.0, powers: vec![1] }];
    let zeros = engine.polynomial(&[Var::Bit(bit)], &terms, 0)?;
    let rows = engine.linear_offset(&zeros, &Linear::SumRows)?;
    engine.linear_offset(&rows, &Linear::SumCols)
}

/// A public number in every element, in units of the last place.
fn constant<E: Engine>(engine: &mut E, meta: Meta, units: u64) -> Result<E::Masked, EngineError> {
    engine.public(&Tensor::filled(meta.rows, meta.cols, units), meta)
}

/// The gradient of the loss, finished, as something to watch.
pub(crate) fn gradient<E: Engine>(
    engine: &mut E,
    layer: usize,
    delta: &E::Masked,
) -> Result<Watched<E>, EngineError> {
    Ok(Watched { layer, quantity: Quantity::Gradients, value: engine.lift(delta)? })
}
