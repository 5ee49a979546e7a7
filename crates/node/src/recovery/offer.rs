//! What a party tells the others after the handshake, when the job has checkpoints. Little-endian, always
//! [`Offer::BYTES`] bytes:
//!
//! ```text
//! version u8 · flags u8 · run 16 bytes · damaged u64 · opened u64 · opening u64 ·
//! count u8 · 4 × (step u64 · session 16 bytes), unused ones zero
//! ```

use tercet_net::SessionId;

use crate::checkpoint::folder::KEEP;
use crate::checkpoint::{Found, Place};
use crate::recovery::journal::{self, Event, Openings};

const VERSION: u8 = 2;

/// Places in a message: one more than are kept, for one that is being pruned.
const PLACES: usize = KEEP + 1;

const RESTART: u8 = 1;
const FINISHED: u8 = 2;
const MATERIAL: u8 = 4;
const RUN: u8 = 8;

/// Where the parts of a message begin.
const DAMAGED_AT: usize = 18;
const OPENED_AT: usize = 26;
const OPENING_AT: usize = 34;
const COUNT_AT: usize = 42;
const PLACES_AT: usize = 43;
const PLACE: usize = 24;

/// One party's offer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offer {
    /// The person who started the node wants the run from the beginning.
    pub restart: bool,
    /// This party has all its results.
    pub finished: bool,
    /// This party holds material made ahead of time, unused.
    pub material: bool,
    /// The run of `held`.
    pub run: Option<SessionId>,
    /// The highest step of a checkpoint that does not open; 0 if there is none.
    pub damaged: u64,
    /// The newest step of `run` of whose state something was opened, as this party knows; 0 if nothing was.
    pub opened: u64,
    /// The newest step of `run` of whose state this party was ready to open something. It was if all were.
    pub opening: u64,
    /// What it holds: steps in order, with the session that reached each.
    pub held: Vec<(u64, SessionId)>,
}

impl Offer {
    /// Length of the message.
    pub const BYTES: usize = PLACES_AT + PLACES * PLACE;

    /// An offer of what a folder holds.
    pub fn of(found: &Found) -> Offer {
        let newest = found.held.len().saturating_sub(PLACES);
        Offer {
            run: found.held.last().map(|place| place.run),
            damaged: found.damaged.iter().map(|(step, _)| *step).max().unwrap_or(0),
            held: found.held[newest..].iter().map(|place| (place.step, place.session)).collect(),
            ..Offer::default()
        }
    }

    /// The same, with what the journal of party `me` says of its run.
    pub fn with_openings(self, events: &[Event], me: usize, evaluates: bool) -> Offer {
        let Some(run) = self.run else { return self };
        let Openings { opened, opening } = journal::opened(events, &run.to_string(), me, evaluates);
        Offer { opened, opening, ..self }
    }

    /// The newest step that it holds.
    pub fn newest(&self) -> u64 {
        self.held.last().map_or(0, |(step, _)| *step)
    }

    /// The newest step of which it has a file, whole or not.
    pub fn reached(&self) -> u64 {
        self.newest().max(self.damaged)
    }

    /// The place of a step and session of this offer's run.
    pub fn place(&self, step: u64, session: SessionId) -> Option<Place> {
        let run = self.run?;
        self.held.contains(&(step, session)).then_some(Place { run, session, step })
    }

    /// The message. Offers hold at most as many places as fit.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(Self::BYTES);
        let flag = |set: bool, flag: u8| if set { flag } else { 0 };
        let flags = flag(self.restart, RESTART)
            | flag(self.finished, FINISHED)
            | flag(self.material, MATERIAL)
            | flag(self.run.is_some(), RUN);
        out.extend_from_slice(&[VERSION, flags]);
        out.extend_from_slice(self.run.map_or([0; 16], |run| *run.as_bytes()).as_slice());
        out.extend_from_slice(&self.damaged.to_le_bytes());
        out.extend_from_slice(&self.opened.to_le_bytes());
        out.extend_from_slice(&self.opening.to_le_bytes());
        out.push(self.held.len().min(PLACES) as u8);
        for (step, session) in self.held.iter().take(PLACES) {
            out.extend_from_slice(&step.to_le_bytes());
            out.extend_from_slice(session.as_bytes());
        }
        out.resize(Self::BYTES, 0);
        out
    }

    /// The offer in a message; `None` unless it is one, to the last bit.
    pub fn decode(bytes: &[u8]) -> Option<Offer> {
        if bytes.len() != Self::BYTES || bytes[0] != VERSION || bytes[1] > 15 {
            return None;
        }
        let id = |at: usize| Some(SessionId::from_bytes(bytes.get(at..at + 16)?.try_into().ok()?));
        let word = |at: usize| Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
        let count = usize::from(bytes[COUNT_AT]);
        if count > PLACES {
            return None;
        }
        let place = |i: usize| Some((word(PLACES_AT + i * PLACE)?, id(PLACES_AT + 8 + i * PLACE)?));
        let held: Vec<_> = (0..count).map(place).collect::<Option<_>>()?;
        let offer = Offer {
            restart: bytes[1] & RESTART != 0,
            finished: bytes[1] & FINISHED != 0,
            material: bytes[1] & MATERIAL != 0,
            run: if bytes[1] & RUN != 0 { Some(id(2)?) } else { None },
            damaged: word(DAMAGED_AT)?,
            opened: word(OPENED_AT)?,
            opening: word(OPENING_AT)?,
            held,
        };
        let ordered = offer.held.windows(2).all(|pair| pair[0].0 < pair[1].0);
        let nothing = offer.held.is_empty() && offer.opened == 0 && offer.opening == 0;
        let possible = ordered && (offer.run.is_some() || nothing);
        // Whatever has a second spelling is refused.
        (possible && offer.encode() == bytes).then_some(offer)
    }
}
