//! Expansion of polynomials of x_v = u_v + c_v·ℓ_v into public factors times products of masks.
//!
//! u_v and c_v are known to the evaluators, ℓ_v is the mask (λ of a masked value, with c = −1; λ_b of a bit, with c = 1 − 2β). A
//! product of two or more masks is dealt, unless it only ever appears with a constant factor: then the dealer folds it into the
//! offset, as with Λ_X·Λ_Y of a plain product.

use std::collections::{HashMap, hash_map::Entry};
use std::sync::Arc;

use tercet_engine::{EngineError, Meta, Shared, Term, Var, checks};
use tercet_share::kernel;

/// Where the secret factor of a piece comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Secret {
    /// No mask: the first evaluator adds the public value.
    One,
    /// The mask of one variable, of which every evaluator holds a share.
    Mask(usize),
    /// A dealt product of masks, by index.
    Dealt(usize),
    /// A product of masks with a constant factor: in the offset, at the dealer alone.
    Held,
}

/// `factor · Π u_v^{u_powers[v]} · Π c_v^{l_powers[v]} · Π ℓ_v^{l_powers[v]}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    factor: u64,
    /// An odd number of masks of values: each enters with c = −1.
    negative: bool,
    u_powers: Vec<u32>,
    l_powers: Vec<u32>,
    /// Which secret it multiplies.
    pub secret: Secret,
}

impl Piece {
    /// The constant factor, with the signs (c = −1) of its masked values; those of bits depend on β.
    pub fn constant_factor(&self) -> u64 {
        if self.negative { self.factor.wrapping_neg() } else { self.factor }
    }

    /// The power of u of variable `v`.
    pub fn u_power(&self, v: usize) -> u32 {
        self.u_powers[v]
    }

    /// The power of the mask of variable `v`.
    pub fn l_power(&self, v: usize) -> u32 {
        self.l_powers[v]
    }

    /// The powers of all masks.
    pub fn l_powers(&self) -> &[u32] {
        &self.l_powers
    }
}

/// Elements that are worked on at a time: their powers stay in the first-level cache.
pub const CHUNK: usize = 256;

/// x, x², x³, … of one chunk; a chunk of zeros keeps none.
pub struct Powers(Option<Vec<Vec<u64>>>, Vec<u64>);

impl Powers {
    /// Powers 1 to `highest` of `x`, or of `n` zeros.
    pub fn new(x: Option<&[u64]>, n: usize, highest: u32) -> Powers {
        let Some(x) = x else { return Powers(None, vec![0; n]) };
        let mut powers: Vec<Vec<u64>> = Vec::with_capacity(highest as usize);
        for _ in 0..highest {
            let mut next = x.to_vec();
            if let Some(last) = powers.last() {
                kernel::mul_assign(&mut next, last);
            }
            powers.push(next);
        }
        Powers(Some(powers), Vec::new())
    }

    /// x^power; `None` stands for ones (power 0).
    pub fn get(&self, power: u32) -> Option<&[u64]> {
        match (&self.0, power) {
            (_, 0) => None,
            (Some(powers), p) => Some(&powers[p as usize - 1]),
            (None, _) => Some(&self.1),
        }
    }
}

/// factor · Π x_v to the power of its entry in `powers`, element by element, into `out`.
pub fn product(factor: u64, powers: &[u32], of: &[Powers], out: &mut [u64]) {
    out.fill(factor);
    for (x, &power) in of.iter().zip(powers) {
        if let Some(p) = x.get(power) {
            kernel::mul_assign(out, p);
        }
    }
}

/// A polynomial, expanded.
pub struct PolyPlan {
    pieces: Vec<Piece>,
    dealt: Vec<Vec<u32>>,
    digest: Vec<u64>,
}

impl PolyPlan {
    /// Expands `terms` with encoded `coefficients`; `is_bit[v]` marks bits. `dealer_holds`: products of masks with constant
    /// factors stay with the dealer.
    pub fn new(is_bit: &[bool], terms: &[Term], coefficients: &[u64], dealer_holds: bool) -> PolyPlan {
        let vars = is_bit.len();
        let mut pieces: Vec<Piece> = Vec::new();
        // Pieces that differ in their factors only are one.
        let mut known: HashMap<(Vec<u32>, Vec<u32>), usize> = HashMap::new();
        for (term, &factor) in terms.iter().zip(coefficients) {
            // Every way to take ℓ_v j_v times out of (u_v + c_v ℓ_v)^{e_v}.
            let mut split = vec![0u32; vars];
            loop {
                let binomials =
                    (0..vars).fold(1u64, |b, v| b.wrapping_mul(binomial(term.powers[v], split[v])));
                let factor = factor.wrapping_mul(binomials);
                let u_powers: Vec<u32> = (0..vars).map(|v| term.powers[v] - split[v]).collect();
                match known.entry((u_powers, split.clone())) {
                    Entry::Occupied(at) => {
                        let sum = &mut pieces[*at.get()].factor;
                        *sum = sum.wrapping_add(factor);
                    }
                    Entry::Vacant(at) => {
                        let (u_powers, l_powers) = at.key().clone();
                        let negative =
                            (0..vars).filter(|&v| !is_bit[v]).map(|v| split[v]).sum::<u32>() % 2 == 1;
                        at.insert(pieces.len());
                        pieces.push(Piece { factor, negative, u_powers, l_powers, secret: Secret::One });
                    }
                }
                let Some(v) = (0..vars).find(|&v| split[v] < term.powers[v]) else { break };
                split[v] += 1;
                split[..v].fill(0);
            }
        }
        // Whether a product of masks appears with nothing but constant factors.
        let mut constant: HashMap<&[u32], bool> = HashMap::new();
        for p in &pieces {
            let alone =
                p.u_powers.iter().all(|&e| e == 0) && (0..vars).all(|v| p.l_powers[v] == 0 || !is_bit[v]);
            *constant.entry(&p.l_powers).or_insert(true) &= alone;
        }
        let mut dealt: Vec<Vec<u32>> = Vec::new();
        let mut indices: HashMap<&[u32], usize> = HashMap::new();
        let secrets: Vec<Secret> = pieces
            .iter()
            .map(|p| match p.l_powers.iter().sum::<u32>() {
                0 => Secret::One,
                1 => Secret::Mask(p.l_powers.iter().position(|&e| e == 1).unwrap_or(0)),
                _ if dealer_holds && constant[p.l_powers.as_slice()] => Secret::Held,
                _ => Secret::Dealt(*indices.entry(&p.l_powers).or_insert_with(|| {
                    dealt.push(p.l_powers.clone());
                    dealt.len() - 1
                })),
            })
            .collect();
        for (piece, secret) in pieces.iter_mut().zip(secrets) {
            piece.secret = secret;
        }
        PolyPlan { pieces, dealt, digest: digest(vars, terms, coefficients) }
    }

    /// The pieces that an evaluator adds up.
    pub fn pieces(&self) -> impl Iterator<Item = &Piece> {
        self.pieces.iter()
    }

    /// The powers of each mask in every dealt product.
    pub fn dealt(&self) -> impl Iterator<Item = &[u32]> {
        self.dealt.iter().map(Vec::as_slice)
    }

    /// The highest power of each variable's public part.
    pub fn highest_u_powers(&self) -> Vec<u32> {
        self.highest(|p| &p.u_powers)
    }

    /// The highest power of each variable's mask.
    pub fn highest_l_powers(&self) -> Vec<u32> {
        self.highest(|p| &p.l_powers)
    }

    fn highest(&self, powers: impl Fn(&Piece) -> &Vec<u32>) -> Vec<u32> {
        let vars = self.pieces.first().map_or(0, |p| p.u_powers.len());
        (0..vars).map(|v| self.pieces.iter().map(|p| powers(p)[v]).max().unwrap_or(0)).collect()
    }

    /// Everything that both sides must agree on.
    pub fn parameters(&self) -> Vec<u64> {
        self.digest.clone()
    }
}

fn digest(vars: usize, terms: &[Term], coefficients: &[u64]) -> Vec<u64> {
    let mut digest = vec![vars as u64];
    for (term, &factor) in terms.iter().zip(coefficients) {
        digest.push(factor);
        digest.extend(term.powers.iter().map(|&p| u64::from(p)));
    }
    digest
}

/// The polynomials that one party has expanded: a training evaluates the same few in every step.
#[derive(Default)]
pub struct Polynomials {
    plans: HashMap<(Vec<bool>, bool, Vec<u64>), Arc<PolyPlan>>,
}

impl Polynomials {
    /// More than a training has; they are forgotten then.
    const MOST: usize = 256;

    /// Checks a polynomial of an engine's values and expands it. The result is known in the narrowest ring of its variables; a
    /// bit's ring is that of its mask. `dealer_holds` as in [`PolyPlan::new`].
    ///
    /// # Errors
    /// What [`checks::polynomial`] refuses.
    pub fn of<M: Shared, B: Shared>(
        &mut self,
        vars: &[Var<'_, M, B>],
        terms: &[Term],
        frac: u32,
        dealer_holds: bool,
    ) -> Result<(Meta, Arc<PolyPlan>), EngineError> {
        let (meta, coefficients) = checks::polynomial(vars, terms, frac)?;
        let is_bit: Vec<bool> = vars.iter().map(|v| matches!(v, Var::Bit(_))).collect();
        let key = (is_bit, dealer_holds, digest(vars.len(), terms, &coefficients));
        if let Some(plan) = self.plans.get(&key) {
            return Ok((meta, plan.clone()));
        }
        if self.plans.len() >= Self::MOST {
            self.plans.clear();
        }
        let plan = Arc::new(PolyPlan::new(&key.0, terms, &coefficients, dealer_holds));
        self.plans.insert(key, plan.clone());
        Ok((meta, plan))
    }
}

fn binomial(n: u32, k: u32) -> u64 {
    (0..k).fold(1u64, |b, i| b * u64::from(n - i) / u64::from(i + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_add_up_to_the_polynomial() {
        let term = |c: f64, p: &[u32]| Term { coefficient: c, powers: p.to_vec() };
        let terms =
            [term(0.0, &[3, 2, 1]), term(0.0, &[1, 0, 1]), term(0.0, &[0, 2, 0]), term(0.0, &[0, 0, 0])];
        let coefficients = [5u64, 7u64.wrapping_neg(), 11, 13];
        let plan = PolyPlan::new(&[false, false, true], &terms, &coefficients, true);
        let (m, l) = ([0x1234_5678_9abc_def0u64, 42], [0x0fed_cba9_8765_4321u64, 77]);
        for (beta, lb) in [(0u64, 0u64), (0, 1), (1, 0), (1, 1)] {
            let x = [m[0].wrapping_sub(l[0]), m[1].wrapping_sub(l[1]), beta ^ lb];
            let want = terms.iter().zip(coefficients).fold(0u64, |s, (t, c)| {
                s.wrapping_add((0..3).fold(c, |p, v| p.wrapping_mul(x[v].wrapping_pow(t.powers[v]))))
            });
            let masks = [l[0], l[1], lb];
            let u = [m[0], m[1], beta];
            let c = 1u64.wrapping_sub(2 * beta);
            let got = plan.pieces().fold(0u64, |s, p| {
                let sign = if p.l_power(2) % 2 == 1 { c } else { 1 };
                let value = (0..3).fold(p.constant_factor().wrapping_mul(sign), |x, v| {
                    x.wrapping_mul(u[v].wrapping_pow(p.u_power(v)))
                        .wrapping_mul(masks[v].wrapping_pow(p.l_power(v)))
                });
                s.wrapping_add(value)
            });
            assert_eq!(got, want);
        }
    }
}
