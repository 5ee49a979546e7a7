//! One party's source of correlated randomness: made with the peers when the online phase asks for it.

use std::time::{Duration, Instant};

use tercet_engine::EngineError;
use tercet_net::{Label, Transport};
use tercet_online::plan::{Part, TruncPlan};
use tercet_online::wire::Wire;
use tercet_online::{Dealt, Recipe, Source};
use tercet_share::{Bilinear, PackedBits, PairPrg, Ring, Tensor, kernel};

use super::correlations::Linked;
use super::parts::Masks;
use super::wire::Links;
use super::{bilinear, truncation};
use crate::error::OtError;
use crate::extension::FieldBits;

/// Three summands lose half a unit each when their low bits are dropped, and the mask, which has none, loses nothing.
pub(super) const DROPPED_HALVES: u64 = 3;

/// Pads from this party's own generator, everything else by oblivious transfer with the two peers.
pub struct OtSource {
    pub(super) me: u8,
    pub(super) field: FieldBits,
    pub(super) links: Links,
    /// This party's own randomness, which no peer knows.
    pub(super) own: PairPrg,
    /// Generators shared with each peer, for shares of zero, and whether this party adds (or else subtracts).
    pub(super) pairs: Vec<(PairPrg, bool)>,
    /// The operation whose masks are kept.
    pub(super) op: u64,
    pub(super) masks: Masks,
    /// Time in preprocessing so far.
    pub(super) spent: Duration,
}

impl OtSource {
    /// Time that this party spent in preprocessing, waiting for its peers included; the set-up is not counted.
    pub fn spent(&self) -> Duration {
        self.spent
    }

    fn begin(&mut self, op: u64) {
        if self.op != op {
            self.op = op;
            self.masks.clear();
        }
    }

    /// Σ over parties is zero; any two parties' shares are uniform to the third.
    fn zeros(&mut self, op: u64, purpose: u64, n: usize, bits: u32) -> Result<Vec<u64>, EngineError> {
        let mut sum = vec![0; n];
        for (prg, adds) in &mut self.pairs {
            let pad = prg.stream(op, purpose)?.elements(n, bits);
            if *adds {
                kernel::add_assign(&mut sum, &pad);
            } else {
                kernel::sub_assign(&mut sum, &pad);
            }
        }
        kernel::mask(&mut sum, bits);
        Ok(sum)
    }
}

impl<T: Transport> Source<T> for OtSource {
    fn pad(&mut self, op: u64, purpose: u64, n: usize, bits: u32) -> Result<Vec<u64>, EngineError> {
        Ok(self.own.stream(op, purpose)?.elements(n, bits))
    }

    fn pad_bits(&mut self, op: u64, purpose: u64, n: usize) -> Result<PackedBits, EngineError> {
        self.begin(op);
        let bits = self.own.stream(op, purpose)?.bits(n);
        self.masks.keep_bits(purpose, bits.clone());
        Ok(bits)
    }

    fn truncation_pad(
        &mut self,
        wire: &mut Wire<T>,
        op: u64,
        purpose: u64,
        plan: &TruncPlan,
    ) -> Result<Vec<u64>, EngineError> {
        Ok(self.truncation_pads(wire, op, purpose, &[*plan])?.swap_remove(0))
    }

    fn truncation_pads(
        &mut self,
        wire: &mut Wire<T>,
        op: u64,
        purpose: u64,
        plans: &[TruncPlan],
    ) -> Result<Vec<Vec<u64>>, EngineError> {
        self.begin(op);
        let begun = Instant::now();
        let (mut pads, mut random) = (Vec::with_capacity(plans.len()), Vec::with_capacity(plans.len()));
        for (plan, purpose) in plans.iter().zip(purpose..) {
            pads.push(self.zeros(op, purpose, plan.n, plan.l)?);
            random.push(self.own.stream(op, purpose)?.bits(plan.n * truncation::bits(plan)));
        }
        let (masks, me, field) = (&mut self.masks, self.me, self.field);
        self.links.over(wire, |links| {
            let by = &mut Linked { links, me, field };
            let made = masks.truncations(by, purpose, plans, &random)?;
            for ((pad, high), plan) in pads.iter_mut().zip(made).zip(plans) {
                kernel::scale_add(pad, 1 << plan.s, high);
            }
            Ok::<_, OtError>(())
        })?;
        self.spent += begun.elapsed();
        Ok(pads)
    }

    fn dropped_halves(&self) -> u64 {
        DROPPED_HALVES
    }

    fn deal<'a, F: FnOnce() -> Vec<Recipe<'a>>>(
        &mut self,
        wire: &mut Wire<T>,
        op: u64,
        _purpose: u64,
        _label: Label,
        parts: &[Part],
        recipes: F,
    ) -> Result<Vec<Dealt>, EngineError> {
        self.begin(op);
        let begun = Instant::now();
        let recipes = recipes();
        let (masks, me, field) = (&self.masks, self.me, self.field);
        let made =
            self.links.over(wire, |links| masks.parts(&mut Linked { links, me, field }, parts, &recipes))?;
        // Every mask is used by one set of parts.
        self.masks.clear();
        self.spent += begun.elapsed();
        Ok(made)
    }

    fn dealer_holds(&self) -> bool {
        false
    }

    fn mask_product(
        &mut self,
        wire: &mut Wire<T>,
        map: &Bilinear,
        x: &Tensor,
        owners: Option<&[u8]>,
        y: &Tensor,
        ring: Ring,
    ) -> Result<Option<Tensor>, EngineError> {
        let begun = Instant::now();
        let (me, field) = (self.me, self.field);
        let made = self.links.over(wire, |links| {
            bilinear::product(&mut Linked { links, me, field }, map, x, owners, y, ring)
        })?;
        self.spent += begun.elapsed();
        Ok(Some(made))
    }

    fn zero_share(
        &mut self,
        op: u64,
        purpose: u64,
        n: usize,
        bits: u32,
    ) -> Result<Option<Vec<u64>>, EngineError> {
        self.zeros(op, purpose, n, bits).map(Some)
    }
}
