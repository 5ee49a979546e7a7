//! Noise on summed gradients: each party adds its own, from its own operating system's randomness, at no message.
//!
//! The noise of a step depends on nothing that is computed before it: a thread of its own draws it one step ahead, while the parties wait
//! for each other.

use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::{self, JoinHandle};

use tercet_engine::{Engine, EngineError, Shared};
use tercet_privacy::PrivacyError;
use tercet_privacy::banded::{Banded, CorrelatedNoise};
use tercet_privacy::sampler::{DiscreteGaussian, LocalRng, Variance};

use zeroize::Zeroizing;

use crate::layers::Gradient;

use super::PrivacyPlan;

/// Noise of every coordinate of a step, in units. Every sample is used once.
type Draw = Zeroizing<Vec<i64>>;

/// The noise that this engine adds: one party's, or each party's in an engine of all of them.
pub(crate) struct Noise {
    coordinates: usize,
    law: Law,
    parties: Vec<OneParty>,
}

/// One party's draws, from randomness of its own.
struct OneParty {
    state: State,
    /// The draw of the current step, once it is needed.
    draw: Option<Draw>,
}

enum State {
    /// Nothing was asked for yet.
    Fresh(Box<Stream>),
    Drawing(Ahead),
    /// The thread could not be started.
    Failed,
}

/// How draws are distributed.
struct Law {
    variance: Variance,
    /// How they are correlated with those of the last steps, if they are.
    strategy: Option<Banded>,
}

/// Where draws come from.
struct Stream {
    source: Source,
    rng: LocalRng,
}

enum Source {
    Independent(DiscreteGaussian),
    Correlated(CorrelatedNoise),
}

impl Stream {
    fn new(law: &Law, coordinates: usize) -> Result<Stream, PrivacyError> {
        let variance = law.variance.clone();
        let source = match law.strategy.clone() {
            None => Source::Independent(DiscreteGaussian::new(variance)),
            Some(strategy) => Source::Correlated(CorrelatedNoise::new(strategy, variance, coordinates)?),
        };
        Ok(Stream { source, rng: LocalRng::new()? })
    }

    /// Overwrites `draw`.
    fn fill(&mut self, mut draw: Draw) -> Result<Draw, PrivacyError> {
        match &mut self.source {
            Source::Independent(sampler) => sampler.fill(&mut self.rng, &mut draw),
            Source::Correlated(stream) => stream.step(&mut self.rng, &mut draw)?,
        }
        Ok(draw)
    }
}

impl Noise {
    /// Noise of the plan's variance, from a fresh local seed.
    pub(crate) fn new(plan: &PrivacyPlan) -> Result<Noise, PrivacyError> {
        let law = Law { variance: plan.share().clone(), strategy: plan.strategy.clone() };
        Noise::of(law, plan.coordinates())
    }

    fn of(law: Law, coordinates: usize) -> Result<Noise, PrivacyError> {
        let first = OneParty::new(&law, coordinates)?;
        Ok(Noise { coordinates, law, parties: vec![first] })
    }

    /// Independent noise of any law.
    #[cfg(test)]
    pub(crate) fn with(sampler: &DiscreteGaussian, coordinates: usize) -> Result<Noise, PrivacyError> {
        Noise::of(Law { variance: sampler.parameter().clone(), strategy: None }, coordinates)
    }

    /// Adds noise to every coordinate. Gradients are exact sums of products of integers, and a unit in their last place is
    /// a unit of the noise.
    pub(crate) fn add<E: Engine>(
        &mut self,
        engine: &mut E,
        gradients: &mut [Gradient<E>],
    ) -> Result<(), EngineError> {
        let parts: Vec<_> = gradients.iter_mut().flat_map(|g| [&mut g.weight, &mut g.bias]).collect();
        let needed: usize = parts.iter().map(|part| part.meta().len()).sum();
        if needed != self.coordinates {
            let why =
                format!("the plan counts {} coordinates, the gradients have {needed}", self.coordinates);
            return Err(EngineError::parameter(WHAT, why));
        }
        let mut filled = Ok(());
        let mut first = 0;
        for part in parts {
            let count = part.meta().len();
            // Called once by an engine of one party, for each party by one of all, never by one that counts costs.
            let mut party = 0;
            engine.noise(part, &mut |elements| {
                if filled.is_ok() {
                    filled = self.add_to(party, first, elements);
                }
                party += 1;
            })?;
            first += count;
        }
        self.parties.iter_mut().for_each(OneParty::end_step);
        filled
    }

    /// Adds a party's samples from coordinate `first` on.
    fn add_to(&mut self, party: usize, first: usize, elements: &mut [u64]) -> Result<(), EngineError> {
        if party == self.parties.len() {
            let refused = |error: PrivacyError| EngineError::parameter(WHAT, error.to_string());
            self.parties.push(OneParty::new(&self.law, self.coordinates).map_err(refused)?);
        }
        let samples = self.parties[party].draw(self.coordinates)?.get(first..first + elements.len());
        let samples = samples
            .ok_or_else(|| EngineError::parameter(WHAT, "it has fewer samples than there are numbers"))?;
        for (element, sample) in elements.iter_mut().zip(samples) {
            *element = element.wrapping_add_signed(*sample);
        }
        Ok(())
    }
}

impl OneParty {
    fn new(law: &Law, coordinates: usize) -> Result<OneParty, PrivacyError> {
        let stream = Stream::new(law, coordinates)?;
        Ok(OneParty { state: State::Fresh(Box::new(stream)), draw: None })
    }

    /// The draw of the current step.
    fn draw(&mut self, coordinates: usize) -> Result<&Draw, EngineError> {
        match &mut self.draw {
            Some(draw) => Ok(draw),
            none => Ok(none.insert(self.state.next(coordinates)?)),
        }
    }

    /// What was drawn is used; its space is for a later draw.
    fn end_step(&mut self) {
        if let (Some(used), State::Drawing(ahead)) = (self.draw.take(), &self.state) {
            ahead.give_back(used);
        }
    }
}

impl State {
    fn next(&mut self, coordinates: usize) -> Result<Draw, EngineError> {
        if let State::Fresh(_) = self
            && let State::Fresh(stream) = std::mem::replace(self, State::Failed)
        {
            let ahead = Ahead::start(*stream, coordinates)
                .map_err(|error| EngineError::parameter(WHAT, format!("no thread for it: {error}")))?;
            *self = State::Drawing(ahead);
        }
        match self {
            State::Drawing(ahead) => ahead.next(),
            State::Fresh(_) | State::Failed => Err(EngineError::parameter(WHAT, "it has no thread")),
        }
    }
}

const WHAT: &str = "the noise of a step";

/// The thread that draws one step ahead.
struct Ahead {
    /// Taken when this is dropped, so that the thread ends.
    draws: Option<Receiver<Result<Draw, PrivacyError>>>,
    /// Used draws, to be overwritten.
    used: Sender<Draw>,
    thread: Option<JoinHandle<()>>,
}

impl Ahead {
    fn start(stream: Stream, coordinates: usize) -> std::io::Result<Ahead> {
        // No room: the thread holds the next draw until it is taken.
        let (to, draws) = sync_channel(0);
        let (used, again) = channel();
        let thread = thread::Builder::new()
            .name("tercet-noise".to_owned())
            .spawn(move || draw_all(stream, coordinates, &to, &again))?;
        Ok(Ahead { draws: Some(draws), used, thread: Some(thread) })
    }

    fn next(&self) -> Result<Draw, EngineError> {
        let refused = |why: String| EngineError::parameter(WHAT, why);
        let draws = self.draws.as_ref().ok_or_else(|| refused("it has ended".to_owned()))?;
        let draw = draws.recv().map_err(|_| refused("its thread ended".to_owned()))?;
        draw.map_err(|error| refused(error.to_string()))
    }

    fn give_back(&self, draw: Draw) {
        // A thread that has ended needs no space; the draw is wiped.
        let _ = self.used.send(draw);
    }
}

/// Draws until nobody takes any more, or one fails.
fn draw_all(
    mut stream: Stream,
    coordinates: usize,
    to: &SyncSender<Result<Draw, PrivacyError>>,
    again: &Receiver<Draw>,
) {
    loop {
        let space = again.try_recv().unwrap_or_else(|_| Zeroizing::new(vec![0; coordinates]));
        let draw = stream.fill(space);
        let failed = draw.is_err();
        if to.send(draw).is_err() || failed {
            return;
        }
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        drop(self.draws.take());
        if let Some(thread) = self.thread.take() {
            // A panic there was met as a missing draw, or nobody wanted one.
            let _ = thread.join();
        }
    }
}
