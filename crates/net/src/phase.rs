//! Offline and online: two streams of messages that never wait for each other.

use std::fmt;

use serde::Serialize;

/// Which half of a protocol a message belongs to.
///
/// The phase selects the stream (dealt randomness must not hold up an opening) and the meter's row.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Preprocessing: independent of the data, may run ahead.
    Offline,
    /// The phase that depends on the data; its rounds are counted.
    Online,
}

impl Phase {
    /// How many phases there are.
    pub const COUNT: usize = 2;

    /// Both phases, offline first.
    pub const ALL: [Phase; Self::COUNT] = [Phase::Offline, Phase::Online];

    /// 0 for offline, 1 for online.
    pub const fn index(self) -> usize {
        match self {
            Phase::Offline => 0,
            Phase::Online => 1,
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Phase::Offline => "offline",
            Phase::Online => "online",
        })
    }
}

/// One value for each phase.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PerPhase<T> {
    /// The value for [`Phase::Offline`].
    pub offline: T,
    /// The value for [`Phase::Online`].
    pub online: T,
}

impl<T> PerPhase<T> {
    /// The value for one phase.
    pub fn of(&self, phase: Phase) -> &T {
        match phase {
            Phase::Offline => &self.offline,
            Phase::Online => &self.online,
        }
    }
}
