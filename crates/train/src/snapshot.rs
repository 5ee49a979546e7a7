//! What a party keeps of a training for the day that it is interrupted, and how a training tells that it is time to.

use std::error::Error;

use tercet_engine::{Engine, EngineError, Meta, Shared};
use tercet_share::Tensor;

use crate::optimiser::{Parameter, State};
use crate::outcome::{Metric, Progress};

/// One party's part of the state after a step. Over the parties that have summands these add up to the master weights and
/// velocities; nothing of the session's masks is in it. Wiped on drop, never printed.
pub struct Snapshot {
    /// Steps done. What is evaluated after this step comes after the snapshot.
    pub step: u64,
    /// Public facts, in the order of [`State::metas`].
    pub metas: Vec<Meta>,
    /// This party's summands, as `metas`; `None` at a party that holds none.
    pub summands: Vec<Option<Tensor>>,
    /// Evaluations so far.
    pub metrics: Vec<Metric>,
    /// Seconds of training that led here.
    pub seconds: f64,
}

/// Why a custodian ends a training, or cannot keep what it gives.
pub type CustodianError = Box<dyn Error + Send + Sync>;

/// Who keeps what a training gives away, and may end it: told at public points of the program, the same at all parties.
pub trait Custodian<E: Engine> {
    /// After every step and after every evaluation.
    fn progress(&mut self, now: &Progress, engine: &E);

    /// Before a step, counted from 1. An error ends the training in good order.
    ///
    /// # Errors
    /// The reason to stop.
    fn before_step(&mut self, _step: u64) -> Result<(), CustodianError> {
        Ok(())
    }

    /// The state of a step that is to be kept. It need not be durable when this returns.
    ///
    /// # Errors
    /// The reason why it, or an earlier one, cannot be kept.
    fn keep(&mut self, _snapshot: Snapshot) -> Result<(), CustodianError> {
        Ok(())
    }

    /// Before anything of the state of `step` is opened: what was given to [`Custodian::keep`] is durable when this returns.
    ///
    /// # Errors
    /// The reason why it is not.
    fn before_opening(&mut self, _step: u64) -> Result<(), CustodianError> {
        Ok(())
    }
}

/// A custodian that only looks at the progress.
pub(crate) struct Looking<'a, E>(pub(crate) &'a mut dyn FnMut(&Progress, &E));

impl<E: Engine> Custodian<E> for Looking<'_, E> {
    fn progress(&mut self, now: &Progress, engine: &E) {
        (self.0)(now, engine);
    }
}

impl<E: Engine> State<E> {
    /// This party's summands of everything, in the order of [`State::metas`].
    pub(crate) fn export(&self, engine: &mut E) -> Result<Vec<Option<Tensor>>, EngineError> {
        engine.export(&self.values())
    }

    /// The state of `like` with other numbers.
    pub(crate) fn import(
        engine: &mut E,
        like: &State<E>,
        step: u64,
        summands: Vec<Option<Tensor>>,
    ) -> Result<State<E>, EngineError> {
        let metas = like.metas();
        let missing = || EngineError::parameter("an imported state", "it has another number of parameters");
        if metas.len() != summands.len() {
            return Err(missing());
        }
        let mut values = engine.import(metas.into_iter().zip(summands).collect())?.into_iter();
        let mut next = || values.next().ok_or_else(missing);
        let mut parameters = Vec::with_capacity(like.parameters.len());
        for parameter in &like.parameters {
            let (weight, bias) = (next()?, next()?);
            let mut pair = |there: bool| match there {
                true => Ok::<_, EngineError>(Some((next()?, next()?))),
                false => Ok(None),
            };
            let (velocity, square) = (pair(parameter.velocity.is_some())?, pair(parameter.square.is_some())?);
            let running = pair(parameter.running.is_some())?;
            parameters.push(Parameter { weight, bias, velocity, square, running });
        }
        Ok(State { step, parameters })
    }

    fn values(&self) -> Vec<&E::Offset> {
        let parts = self.parameters.iter().flat_map(|p| {
            let pairs = p.velocity.iter().chain(&p.square).chain(&p.running).flat_map(|(w, b)| [w, b]);
            [&p.weight, &p.bias].into_iter().chain(pairs)
        });
        parts.collect()
    }

    /// Public facts of all parameters, in order: weight, bias, with momentum or Adam the velocities of both, and with Adam
    /// the averages of their squares; of a batch normalisation the running mean and variance.
    pub fn metas(&self) -> Vec<Meta> {
        self.values().into_iter().map(Shared::meta).collect()
    }
}
