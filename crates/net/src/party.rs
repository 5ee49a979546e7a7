//! The three parties and their names.

use std::fmt;
use std::sync::Arc;

use serde::{Serialize, Serializer};

/// One of the three parties, by its place in the roster: 0, 1 or 2.
///
/// Which role (evaluator, helper) a party plays is the protocol's business, not this crate's.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PartyId(u8);

impl PartyId {
    /// How many parties there are.
    pub const COUNT: usize = 3;

    /// All parties in roster order.
    pub const ALL: [PartyId; Self::COUNT] = [PartyId(0), PartyId(1), PartyId(2)];

    /// The party with this index, or `None` when the index is not 0, 1 or 2.
    pub const fn new(index: u8) -> Option<Self> {
        if index < Self::COUNT as u8 { Some(Self(index)) } else { None }
    }

    /// The index in the roster: 0, 1 or 2.
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// The two other parties, lower index first.
    pub const fn others(self) -> [PartyId; 2] {
        match self.0 {
            0 => [PartyId(1), PartyId(2)],
            1 => [PartyId(0), PartyId(2)],
            _ => [PartyId(0), PartyId(1)],
        }
    }
}

impl fmt::Display for PartyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "party {}", self.0)
    }
}

impl Serialize for PartyId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(self.0)
    }
}

/// A party with the name its roster gives it; prints as `party 1 (hospital-b)`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Party {
    id: PartyId,
    name: Arc<str>,
}

impl Party {
    /// Joins an id and the name from the roster.
    pub fn new(id: PartyId, name: &str) -> Self {
        Self { id, name: name.into() }
    }

    /// The three parties of a roster, in order.
    pub fn all(names: [&str; PartyId::COUNT]) -> [Party; PartyId::COUNT] {
        PartyId::ALL.map(|id| Party::new(id, names[id.index()]))
    }

    /// The place in the roster.
    pub fn id(&self) -> PartyId {
        self.id
    }

    /// The name in the roster.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.id, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_party_index_outside_the_roster_is_refused() {
        assert_eq!(PartyId::new(2), Some(PartyId::ALL[2]));
        assert_eq!(PartyId::new(3), None);
    }

    #[test]
    fn the_others_of_a_party_never_include_itself() {
        for id in PartyId::ALL {
            let [low, high] = id.others();
            assert!(low < high && low != id && high != id);
        }
    }

    #[test]
    fn a_party_prints_its_index_and_name() {
        assert_eq!(Party::new(PartyId::ALL[1], "hospital-b").to_string(), "party 1 (hospital-b)");
    }
}
