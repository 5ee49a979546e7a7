//! An inverse square root for factors of gradients, which need no more than six bits: the fewest rounds.
//!
//! Over many orders of magnitude one variable cannot serve all pieces of [`super::pieces`]: where the smallest piece needs fractional
//! bits, the cubes of the largest would not fit the ring. So there are several truncations of the same value, each for a few
//! neighbouring pieces, and each piece is a cubic of its own one. All are opened together, and beside the comparisons they go into the
//! full ring: no round is between the comparisons and the polynomial that joins all pieces.

use tercet_share::{Ring, fixed};

use super::{
    constant,
    fit::{fit, pow2},
    pieces::encodable,
};
use crate::{Engine, EngineError, Shared, Sign, Term, Truncate, Var};

/// Powers of two in a piece.
const OCTAVES: i32 = 2;

/// Degree of a piece.
const DEGREE: usize = 3;

/// Largest relative error of a fitted piece; least squares on two octaves give 0.0094.
const LARGEST_ERROR: f64 = 1.0 / 100.0;

/// Significant bits of a variable in its smallest piece: a truncation on shares, off by 1.5 units, moves the root by 0.0015 of it.
const BITS: i32 = 9;

/// What is fitted, of the root: the largest errors of a piece and of its variable leave it below the root itself.
const AIM: f64 = 1.0 - 1.0 / 84.0;

/// A truncated value, and the inverse square root of what is made of it.
pub struct Rooted<M, O> {
    /// The truncated value, in the full ring.
    pub value: M,
    /// Half-finished.
    pub root: O,
}

/// What is under a root: a value plus a constant, or `least` if that is larger and `floor` is set.
#[derive(Clone, Copy, Debug)]
pub struct Radicand {
    /// Added to the value.
    pub plus: f64,
    /// Least value under the root, positive.
    pub least: f64,
    /// Whether values below `least` count as `least`; otherwise there are none.
    pub floor: bool,
    /// What is under the root is below 2^high.
    pub high: i32,
}

/// Fractional bits as which a variable with `frac` of them is read, so that its cube has no more than the result, and by what
/// factor it is larger then.
fn read_as(frac: u32) -> (u32, f64) {
    let read = frac.min(BITS as u32);
    (read, pow2((frac - read) as i32))
}

/// A truncation of the value, and the pieces that are polynomials of it.
#[derive(Clone, Debug)]
struct Variable {
    shift: u32,
    /// Of each piece, constant first.
    pieces: Vec<Vec<f64>>,
}

/// An inverse square root of values with a given number of fractional bits: how its domain is cut, and the polynomials.
#[derive(Clone, Debug)]
pub struct CoarseRoot {
    /// Fractional bits of the value.
    has: u32,
    radicand: Radicand,
    variables: Vec<Variable>,
    /// Fractional bits of the root.
    frac: u32,
}

impl CoarseRoot {
    /// For values with `has` fractional bits; `None` if they, or those of the full ring, are too few for this domain.
    pub fn new(has: u32, radicand: Radicand) -> Option<CoarseRoot> {
        let Radicand { least, high, .. } = radicand;
        let normal = least.is_normal() && least > 0.0 && libm::log2(least).abs() < 50.0;
        if !normal || high.abs() >= 50 || least >= pow2(high) || has as i32 + high >= Ring::FULL.bits() as i32
        {
            return None;
        }
        let size = libm::ceil((-libm::log2(least) / 2.0).max(0.0)) as u32;
        let frac = (Ring::FULL.bits() - 3).checked_sub(size)?.min(fixed::MAX_FRAC);
        let mut root = CoarseRoot { has, radicand, variables: Vec::new(), frac };
        let mut low = least;
        while low < pow2(high) {
            let more = root.variables.last().map(|last| has - last.shift);
            if let Some(piece) = more.and_then(|frac_x| root.fitted(low, frac_x)) {
                root.variables.last_mut()?.pieces.push(piece);
            } else {
                // The next variable, with fewer fractional bits.
                let frac_x = (BITS - libm::floor(libm::log2(low)) as i32).max(0) as u32;
                let shift = has.checked_sub(frac_x).filter(|shift| *shift > 0 && more != Some(frac_x))?;
                let piece = root.fitted(low, frac_x)?;
                root.variables.push(Variable { shift, pieces: vec![piece] });
            }
            low *= pow2(OCTAVES);
        }
        Some(root)
    }

    /// Truncates `value` by `shift`, and takes the root y = 1 / √x of what the radicand makes of it: at most y · (1 + 2^−10), and at
    /// least y · (1 − 2^−5.4), truncations on shares included.
    ///
    /// Rounds: one opening and one comparison; for a domain of one piece without a floor, one truncation. The value that is compared,
    /// those that the root is computed from and the one that is returned may differ by the rounding of truncations: next to a
    /// threshold a piece is used that far beyond its end. A value below `least` without a floor gives a finite result of no meaning.
    ///
    /// # Errors
    /// A value with other fractional bits, or in a ring that its domain does not fit.
    pub fn evaluate<E: Engine>(
        &self,
        engine: &mut E,
        value: &E::Offset,
        shift: u32,
    ) -> Result<Rooted<E::Masked, E::Offset>, EngineError> {
        let meta = value.meta();
        let needs = meta.frac as i32 + self.radicand.high + 1;
        if meta.frac != self.has || needs > meta.ring.bits() as i32 {
            let why = format!(
                "it is made for {} fractional bits in a ring of {needs}, not for {} in one of {}",
                self.has,
                meta.frac,
                meta.ring.bits()
            );
            return Err(EngineError::parameter("an inverse square root", why));
        }
        let full = |shift| Truncate { value, shift, out: Ring::FULL };
        let all = || self.variables.iter().map(|v| full(v.shift)).chain([full(shift)]).collect::<Vec<_>>();
        let (bits, mut values) = if self.cuts().next().is_none() {
            (Vec::new(), engine.truncate(&all())?)
        } else {
            let left = |v: &Variable| Ring::new(meta.ring.bits().saturating_sub(v.shift));
            let narrow: Vec<_> = self
                .variables
                .iter()
                .map(|v| Ok(Truncate { out: left(v)?, ..full(v.shift) }))
                .collect::<Result<_, EngineError>>()?;
            let opened = engine.truncate(&narrow)?;
            let cuts: Vec<_> = (0..opened.len()).map(|v| self.cuts_of(v)).collect();
            let width = |x: &E::Masked| (x.meta().frac as i32 + self.radicand.high + 1).max(2) as u32;
            let sign = |(x, cuts)| Sign { value: x, width: width(x), out: Some(Ring::FULL), cuts };
            let signs: Vec<_> = opened.iter().zip(cuts.iter().map(Vec::as_slice)).map(sign).collect();
            engine.nonnegative(&signs, &all())?
        };
        let value = values.pop().ok_or_else(super::missing)?;
        let root = self.join(engine, &values, &bits)?;
        Ok(Rooted { value, root })
    }

    /// The polynomial of the piece that begins at `low`, of a variable with `frac_x` fractional bits that is read as [`read_as`].
    fn fitted(&self, low: f64, frac_x: u32) -> Option<Vec<f64>> {
        let (frac_x, scale) = read_as(frac_x);
        let low = low * scale;
        let f = |x: f64| AIM / (x / scale).sqrt();
        let weight = |x: f64| 1.0 / f(x);
        let fitted = fit(&f, &weight, (low, low * pow2(OCTAVES)), DEGREE, frac_x, self.frac);
        let fits = encodable(std::slice::from_ref(&fitted.coefficients), frac_x, self.frac);
        (fitted.worst <= LARGEST_ERROR && fits).then_some(fitted.coefficients)
    }

    /// The index of its variable and the beginning of each piece.
    fn beginnings(&self) -> impl Iterator<Item = (usize, f64)> {
        let of = self
            .variables
            .iter()
            .enumerate()
            .flat_map(|(v, variable)| variable.pieces.iter().map(move |_| v));
        of.scan(self.radicand.least, |low, v| {
            let begin = *low;
            *low *= pow2(OCTAVES);
            Some((v, begin))
        })
    }

    /// Thresholds, ascending, each with the index of the variable that is compared: between the pieces, and the floor.
    fn cuts(&self) -> impl Iterator<Item = (usize, f64)> {
        self.beginnings().skip(usize::from(!self.radicand.floor))
    }

    /// The thresholds of variable `v`, in its units.
    fn cuts_of(&self, v: usize) -> Vec<f64> {
        self.cuts().filter(|(of, _)| *of == v).map(|(_, cut)| cut - self.radicand.plus).collect()
    }

    /// The root, from the variables and the bits of the thresholds.
    fn join<E: Engine>(
        &self,
        engine: &mut E,
        values: &[E::Masked],
        bits: &[E::Bit],
    ) -> Result<E::Offset, EngineError> {
        let mut variables = Vec::with_capacity(values.len());
        for x in values {
            let plus = constant(engine, self.radicand.plus, x.meta())?;
            let x = engine.add(x, &plus, false)?;
            variables.push(engine.reread(&x, read_as(x.meta().frac).0)?);
        }
        let vars: Vec<Var<'_, E::Masked, E::Bit>> =
            variables.iter().map(Var::Masked).chain(bits.iter().map(Var::Bit)).collect();
        // Coefficients are not subtracted from each other: as they are, they cancel in integers, however large the value is.
        let mut terms = Vec::new();
        let mut add = |piece: &(usize, Vec<f64>), sign: f64, bit: Option<usize>| {
            for (power, coefficient) in piece.1.iter().enumerate().filter(|(_, c)| **c != 0.0) {
                let mut powers = vec![0; vars.len()];
                powers[piece.0] = power as u32;
                if let Some(bit) = bit {
                    powers[variables.len() + bit] = 1;
                }
                terms.push(Term { coefficient: sign * coefficient, powers });
            }
        };
        let mut pieces = Vec::new();
        if self.radicand.floor {
            let grid = pow2(self.frac as i32);
            pieces.push((0, vec![(AIM / self.radicand.least.sqrt() * grid).round() / grid]));
        }
        let of = self.variables.iter().enumerate();
        pieces
            .extend(of.flat_map(|(v, variable)| variable.pieces.iter().map(move |piece| (v, piece.clone()))));
        for (i, piece) in pieces.iter().enumerate() {
            add(piece, 1.0, i.checked_sub(1));
            if i + 1 < pieces.len() {
                add(piece, -1.0, Some(i));
            }
        }
        engine.polynomial(&vars, &terms, self.frac)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains_of_gradients_fit_and_endless_ones_do_not() {
        let fits = |least: f64, high: i32, frac: u32| {
            CoarseRoot::new(frac, Radicand { plus: 0.0, least, floor: false, high }).is_some()
        };
        for (least, high) in [(1.0, 10), (pow2(-12), 12), (pow2(-17), 12), (pow2(-20), 12), (0.3, 12)] {
            assert!(fits(least, high, 40), "{least} {high}");
        }
        assert!(!fits(pow2(-20), 30, 40), "negative fractional bits");
        assert!(!fits(pow2(-30), 4, 36), "more fractional bits than there are");
        assert!(!fits(8.0, 3, 40) && !fits(0.0, 3, 40) && !fits(-1.0, 3, 40) && !fits(f64::NAN, 3, 40));
    }

    #[test]
    fn every_piece_has_a_variable_with_enough_bits_and_few_variables_suffice() {
        for (least, high) in [(1.0, 2), (pow2(-12), 12), (0.0625, 11)] {
            let radicand = Radicand { plus: 0.0, least, floor: true, high };
            let pieces = CoarseRoot::new(40, radicand).unwrap();
            let mut end = 0.0;
            for (v, begin) in pieces.beginnings() {
                let frac = 40 - pieces.variables[v].shift as i32;
                assert!(begin * pow2(frac) >= pow2(BITS), "{begin} with {frac} bits");
                end = begin * pow2(OCTAVES);
            }
            assert!(end >= pow2(high) && end < pow2(high + OCTAVES));
            assert_eq!(pieces.cuts().count(), pieces.beginnings().count());
            assert!(pieces.variables.len() <= 5, "{}", pieces.variables.len());
        }
    }
}
