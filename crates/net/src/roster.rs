//! The roster: who the three parties are, where they listen, and which certificate each has.

use crate::{Fingerprint, Party, PartyId};

/// One line of the roster.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RosterEntry {
    /// A name for people, such as `hospital-b`.
    pub name: String,
    /// `host:port` that the other parties dial.
    pub address: String,
    /// The pinned certificate.
    pub fingerprint: Fingerprint,
}

/// Three entries that are known to differ in name and certificate.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Roster {
    parties: [Party; PartyId::COUNT],
    entries: [RosterEntry; PartyId::COUNT],
}

/// Three entries do not make a roster.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RosterError {
    /// A name is empty, long or not printable.
    #[error("the name of party {0} must be 1 to 64 printable ASCII characters; change it in the job file")]
    Name(usize),
    /// Two parties have one name.
    #[error("party {0} and party {1} have the same name; change one in the job file")]
    SameName(usize, usize),
    /// Two parties have one certificate, so they are one party.
    #[error("party {0} and party {1} have the same certificate fingerprint; each party needs its own key")]
    SameFingerprint(usize, usize),
    /// An address has no port.
    #[error("the address `{address}` of party {party} is not `host:port`; change it in the job file")]
    Address {
        /// Which entry.
        party: usize,
        /// What it says.
        address: String,
    },
}

impl Roster {
    /// Checks three entries; entry `i` is party `i`.
    ///
    /// # Errors
    /// [`RosterError`] when names or certificates are not distinct, or an entry is not usable.
    pub fn new(entries: [RosterEntry; PartyId::COUNT]) -> Result<Self, RosterError> {
        for (party, entry) in entries.iter().enumerate() {
            let printable = entry.name.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
            if !printable || entry.name.is_empty() || entry.name.len() > 64 {
                return Err(RosterError::Name(party));
            }
            let port = entry.address.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
            if port.is_none() {
                return Err(RosterError::Address { party, address: entry.address.clone() });
            }
            for (earlier, other) in entries[..party].iter().enumerate() {
                if other.name == entry.name {
                    return Err(RosterError::SameName(earlier, party));
                }
                if other.fingerprint == entry.fingerprint {
                    return Err(RosterError::SameFingerprint(earlier, party));
                }
            }
        }
        let parties = PartyId::ALL.map(|id| Party::new(id, &entries[id.index()].name));
        Ok(Self { parties, entries })
    }

    /// All parties in order.
    pub fn parties(&self) -> &[Party; PartyId::COUNT] {
        &self.parties
    }

    /// A party with its name.
    pub fn party(&self, id: PartyId) -> &Party {
        &self.parties[id.index()]
    }

    /// Where a party is dialled.
    pub fn address(&self, id: PartyId) -> &str {
        &self.entries[id.index()].address
    }

    /// The certificate pinned for a party.
    pub fn fingerprint(&self, id: PartyId) -> Fingerprint {
        self.entries[id.index()].fingerprint
    }

    /// The party that a certificate belongs to, if any.
    pub fn owner(&self, fingerprint: &Fingerprint) -> Option<&Party> {
        self.parties.iter().find(|party| self.entries[party.id().index()].fingerprint == *fingerprint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries() -> [RosterEntry; 3] {
        ["a", "b", "c"].map(|name| RosterEntry {
            name: name.to_owned(),
            address: "localhost:9000".to_owned(),
            fingerprint: Fingerprint::of(name.as_bytes()),
        })
    }

    #[test]
    fn a_certificate_leads_to_its_party() {
        let roster = Roster::new(entries()).unwrap();
        assert_eq!(roster.owner(&Fingerprint::of(b"b")).unwrap().to_string(), "party 1 (b)");
        assert_eq!(roster.owner(&Fingerprint::of(b"x")), None);
    }

    #[test]
    fn parties_that_are_not_distinct_are_refused() {
        let mut same = entries();
        same[2].name = "a".to_owned();
        assert_eq!(Roster::new(same), Err(RosterError::SameName(0, 2)));
        let mut same = entries();
        same[2].fingerprint = same[1].fingerprint;
        assert_eq!(Roster::new(same), Err(RosterError::SameFingerprint(1, 2)));
    }

    #[test]
    fn an_address_without_a_port_is_refused() {
        let mut entries = entries();
        entries[1].address = "localhost".to_owned();
        assert!(matches!(Roster::new(entries), Err(RosterError::Address { party: 1, .. })));
    }
}
