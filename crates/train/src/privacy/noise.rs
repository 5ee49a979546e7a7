//! Noise on summed gradients: each party adds its own, from its own operating system's randomness, at no message.
//!
//! The noise of a step depends on nothing that is computed before it: a thread of its own draws it one step ahead, while the parties wait
//! for each other.

use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::{self, JoinHandle};

use tercet_engine::{Engine, EngineError, Shared};
use tercet_privacy::PrivacyError;
use tercet_privacy::banded::CorrelatedNoise;
use tercet_privacy::sampler::{DiscreteGaussian, LocalRng};

use zeroize::Zeroizing;

use crate::layers::Gradient;

use super::PrivacyPlan;

/// Noise of as many coordinates as a step has, in units. Every sample is used once.
type Draw = Zeroizing<Vec<i64>>;

/// One party's noise.
pub(crate) struct Noise {
    coordinates: usize,
    /// Whether a draw belongs to one step and its numbers to their coordinates.
    correlated: bool,
    state: State,
    /// What is left of the last draw, and how much of it is used.
    draw: Option<Draw>,
    used: usize,
}

enum State {
    /// Nothing was asked for yet.
    Fresh(Box<Stream>),
    Drawing(Ahead),
    /// The thread could not be started.
    Failed,
}

/// Where draws come from.
struct Stream {
    source: Source,
    rng: LocalRng,
}

enum Source {
    /// Independent of other steps.
    Independent(DiscreteGaussian),
    /// Correlated with the last steps.
    Correlated(CorrelatedNoise),
}

impl Stream {
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
        let coordinates = plan.coordinates();
        let Some(strategy) = &plan.strategy else { return Noise::with(plan.sampler(), coordinates) };
        let stream = CorrelatedNoise::new(strategy.clone(), plan.share().clone(), coordinates)?;
        Noise::from(Source::Correlated(stream), coordinates)
    }

    /// Independent noise of any law.
    pub(crate) fn with(sampler: DiscreteGaussian, coordinates: usize) -> Result<Noise, PrivacyError> {
        Noise::from(Source::Independent(sampler), coordinates)
    }

    fn from(source: Source, coordinates: usize) -> Result<Noise, PrivacyError> {
        let coordinates = coordinates.max(1);
        let correlated = matches!(source, Source::Correlated(_));
        let stream = Stream { source, rng: LocalRng::new()? };
        Ok(Noise { coordinates, correlated, state: State::Fresh(Box::new(stream)), draw: None, used: 0 })
    }

    /// Adds noise to every coordinate. Gradients are exact sums of products of integers, and a unit in their last place is
    /// a unit of the noise.
    pub(crate) fn add<E: Engine>(
        &mut self,
        engine: &mut E,
        gradients: &mut [Gradient<E>],
    ) -> Result<(), EngineError> {
        let parts: Vec<_> = gradients.iter_mut().flat_map(|g| [&mut g.weight, &mut g.bias]).collect();
        if self.correlated {
            let needed: usize = parts.iter().map(|part| part.meta().len()).sum();
            if needed != self.coordinates {
                let why =
                    format!("the plan counts {} coordinates, the gradients have {needed}", self.coordinates);
                return Err(EngineError::parameter(WHAT, why));
            }
            self.draw = None;
        }
        let mut filled = Ok(());
        let mut first = 0;
        for part in parts {
            let count = part.meta().len();
            // Called once by an engine of one party, for each party by one of all, never by one that counts costs.
            engine.noise(part, &mut |elements| {
                if self.correlated && self.draw.is_some() {
                    self.used = first;
                }
                if filled.is_ok() {
                    filled = self.add_to(elements);
                }
            })?;
            first += count;
        }
        filled
    }

    /// Adds the next samples.
    fn add_to(&mut self, mut elements: &mut [u64]) -> Result<(), EngineError> {
        while !elements.is_empty() {
            let draw = match &mut self.draw {
                Some(draw) => draw,
                none => {
                    self.used = 0;
                    none.insert(self.state.next(self.coordinates)?)
                }
            };
            let samples = &draw[self.used..];
            let (now, later) = elements.split_at_mut(samples.len().min(elements.len()));
            for (element, sample) in now.iter_mut().zip(samples) {
                *element = element.wrapping_add_signed(*sample);
            }
            self.used += now.len();
            if self.used == draw.len()
                && !self.correlated
                && let (Some(used), State::Drawing(ahead)) = (self.draw.take(), &self.state)
            {
                ahead.give_back(used);
            }
            elements = later;
        }
        Ok(())
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
