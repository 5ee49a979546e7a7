//! Who plays which role: two evaluators and the dealer.

use tercet_net::PartyId;

/// The roles of the three parties.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Roles {
    /// Evaluators E0 and E1.
    pub evaluators: [PartyId; 2],
    /// The dealer H.
    pub dealer: PartyId,
}

impl Roles {
    /// Roles from party indices; `None` unless the three are different.
    pub fn new(e0: PartyId, e1: PartyId, dealer: PartyId) -> Option<Roles> {
        (e0 != e1 && e0 != dealer && e1 != dealer).then_some(Roles { evaluators: [e0, e1], dealer })
    }

    /// 0 or 1 for an evaluator, `None` for the dealer.
    pub fn evaluator_index(&self, party: PartyId) -> Option<usize> {
        self.evaluators.iter().position(|&e| e == party)
    }
}
