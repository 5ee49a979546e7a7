//! The declared cost: the circuits of preprocessing run on zeros and add up what their products would send.

use tercet_engine::{Cost, EngineError};
use tercet_net::PartyId;
use tercet_online::plan::{Part, TruncPlan};
use tercet_online::{Charge, Recipe};
use tercet_share::{Bilinear, PackedBits, Ring, Tensor};

use super::correlations::Counted;
use super::parts::Masks;
use super::{bilinear, truncation};
use crate::extension::FieldBits;
use crate::link::setup_cost;

/// Counts rounds and payload bytes of a program for a field parameter of the extension; the set-up is included.
pub type CostEngine = tercet_online::CostEngine<Correlating>;

/// What preprocessing by oblivious transfer sends.
pub struct Correlating {
    counted: Counted,
    masks: Masks,
    /// Bytes of the set-up, until they are charged.
    setup: u64,
}

impl From<FieldBits> for Correlating {
    fn from(field: FieldBits) -> Correlating {
        let setup = setup_cost(field).bytes_per_peer;
        Correlating { counted: Counted::new(field), masks: Masks::default(), setup }
    }
}

impl Correlating {
    /// Moves what was counted into `cost`.
    fn charge(&mut self, cost: &mut Cost) {
        let field = self.counted.field;
        let counted = std::mem::replace(&mut self.counted, Counted::new(field));
        let setup = std::mem::take(&mut self.setup);
        for (from, row) in counted.bytes.iter().enumerate() {
            for (to, bytes) in row.iter().enumerate() {
                cost.offline[from][to] += bytes + if from == to { 0 } else { setup };
            }
        }
    }
}

impl Charge for Correlating {
    fn evaluators(&self) -> Vec<PartyId> {
        PartyId::ALL.to_vec()
    }

    fn dealer_holds(&self) -> bool {
        false
    }

    fn begin(&mut self) {
        self.masks.clear();
    }

    fn truncation_pads(&mut self, cost: &mut Cost, plans: &[TruncPlan]) -> Result<(), EngineError> {
        let random: Vec<_> = plans.iter().map(|p| PackedBits::zeros(p.n * truncation::bits(p))).collect();
        self.masks.truncations(&mut self.counted, 0, plans, &random)?;
        self.charge(cost);
        Ok(())
    }

    fn deal<'a, F: FnOnce() -> Vec<Recipe<'a>>>(
        &mut self,
        cost: &mut Cost,
        parts: &[Part],
        recipes: F,
    ) -> Result<(), EngineError> {
        self.masks.parts(&mut self.counted, parts, &recipes())?;
        self.charge(cost);
        Ok(())
    }

    fn mask_product(
        &mut self,
        cost: &mut Cost,
        map: &Bilinear,
        [x, y]: [(usize, usize); 2],
        owners: Option<&[u8]>,
        ring: Ring,
    ) -> Result<(), EngineError> {
        let (x, y) = (Tensor::zeros(x.0, x.1), Tensor::zeros(y.0, y.1));
        bilinear::product(&mut self.counted, map, &x, owners, &y, ring)?;
        self.charge(cost);
        Ok(())
    }
}
