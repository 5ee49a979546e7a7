//! The declared cost of the helper protocol: one message from the dealer to E1 for every operation that needs one.

use tercet_engine::{Cost, EngineError};
use tercet_net::PartyId;
use tercet_online::{Charge, Recipe};

use crate::{
    Roles,
    plan::{Part, total_bytes},
};

/// Counts rounds and payload bytes of a program for given roles.
pub type CostEngine = tercet_online::CostEngine<Dealing>;

/// What the dealer sends.
pub struct Dealing(Roles);

impl From<Roles> for Dealing {
    fn from(roles: Roles) -> Dealing {
        Dealing(roles)
    }
}

impl Charge for Dealing {
    fn evaluators(&self) -> Vec<PartyId> {
        self.0.evaluators.to_vec()
    }

    fn dealer(&self) -> Option<PartyId> {
        Some(self.0.dealer)
    }

    fn deal<'a, F: FnOnce() -> Vec<Recipe<'a>>>(
        &mut self,
        cost: &mut Cost,
        parts: &[Part],
        _recipes: F,
    ) -> Result<(), EngineError> {
        let (h, e1) = (self.0.dealer.index(), self.0.evaluators[1].index());
        cost.offline[h][e1] += total_bytes(parts) as u64;
        Ok(())
    }
}
