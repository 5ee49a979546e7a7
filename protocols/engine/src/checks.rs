//! The checks that every engine makes before it touches a value: shapes, scales, rings and widths.
//!
//! Each function takes the public facts of the operands and returns those of the result, or an error that names the
//! operation and the numbers. All engines share them, so that a program which the clear engine accepts also runs on shares.

use tercet_share::{Bilinear, Linear, Ring, Tensor, fixed};

use crate::{EngineError, Input, Meta, Opening, Party, Shared, Sign, Term, Var};

/// Number of parties.
pub const PARTIES: usize = 3;

/// Facts of a bit per element: fractional bits 0, shared in `ring`.
pub fn bit(rows: usize, cols: usize, ring: Ring) -> Meta {
    Meta { rows, cols, frac: 0, ring }
}

/// A public constant: `values` must have the shape that `meta` states.
pub fn public(values: &Tensor, meta: Meta) -> Result<Meta, EngineError> {
    shape("a public constant", values.shape(), meta.shape())?;
    frac("a public constant", meta.frac)?;
    Ok(meta)
}

/// Summands of an earlier session at a party that holds some (`holds`), or none.
pub fn import(meta: Meta, summand: Option<&Tensor>, holds: bool) -> Result<Meta, EngineError> {
    frac("an imported summand", meta.frac)?;
    match summand {
        Some(summand) if holds => shape("an imported summand", summand.shape(), meta.shape())?,
        None if !holds => {}
        Some(_) => return Err(EngineError::parameter("an imported summand", "this party holds none")),
        None => return Err(EngineError::parameter("an imported summand", "this party's is missing")),
    }
    Ok(meta)
}

/// A map of bits: selections and rearrangements only, since a sum of bits is not a bit.
pub fn linear_bit(x: &Meta, f: &Linear) -> Result<Meta, EngineError> {
    match f {
        Linear::GatherRows(_)
        | Linear::GatherCols(_)
        | Linear::Reshape(..)
        | Linear::RepeatCols(_)
        | Linear::RepeatRows(_) => x.linear(f),
        Linear::Scale(_)
        | Linear::Transpose
        | Linear::ScatterCols { .. }
        | Linear::SumRows
        | Linear::SumCols
        | Linear::SumGroups(_) => Err(EngineError::parameter(
            "a map of bits",
            "only gathers, repetitions and reshapes map bits to bits",
        )),
    }
}

/// Rows one below the other: at least one part, all of equal width and scale; the narrowest ring holds.
pub fn concat_rows(parts: &[Meta]) -> Result<Meta, EngineError> {
    let Some((first, rest)) = parts.split_first() else {
        return Err(EngineError::parameter("a concatenation of rows", "there is nothing to concatenate"));
    };
    rest.iter().try_fold(*first, |sum, part| {
        if sum.cols != part.cols {
            return Err(EngineError::Shapes {
                what: "a concatenation of rows",
                left: sum.shape(),
                right: part.shape(),
            });
        }
        if sum.frac != part.frac {
            return Err(EngineError::Scales { left: sum.frac, right: part.frac });
        }
        Ok(Meta { rows: sum.rows + part.rows, ring: sum.ring.min(part.ring), ..sum })
    })
}

/// The same ring elements with another number of fractional bits, at most [`fixed::MAX_FRAC`].
pub fn reread(x: &Meta, to: u32) -> Result<Meta, EngineError> {
    frac("a rereading", to)?;
    Ok(Meta { frac: to, ..*x })
}

/// The same value in a ring that is not wider.
pub fn narrow(x: &Meta, ring: Ring) -> Result<Meta, EngineError> {
    if ring > x.ring {
        let why = format!("a value known modulo 2^{} cannot be widened to 2^{}", x.ring.bits(), ring.bits());
        return Err(EngineError::parameter("a narrowing", why));
    }
    Ok(Meta { ring, ..*x })
}

/// A product: shapes fit, and the fractional bits of the result are at most [`fixed::MAX_FRAC`].
pub fn product(kind: &Bilinear, x: &Meta, y: &Meta) -> Result<Meta, EngineError> {
    let out = x.product(kind, y)?;
    frac("a product", out.frac)?;
    Ok(out)
}

/// `x += factor · 2^shift · y`: equal shapes, and `y.frac + shift = x.frac`; the narrower ring holds.
pub fn accumulate(x: &Meta, y: &Meta, shift: u32) -> Result<Meta, EngineError> {
    if x.shape() != y.shape() {
        return Err(EngineError::Shapes { what: "an accumulation", left: x.shape(), right: y.shape() });
    }
    let raised = y.frac.saturating_add(shift);
    if x.frac != raised || shift > 63 {
        return Err(EngineError::Scales { left: x.frac, right: raised });
    }
    Ok(Meta { ring: x.ring.min(y.ring), ..*x })
}

/// A polynomial, see [`crate::Engine::polynomial`]: the facts of the result and the coefficient of each term as a ring
/// element.
///
/// A term has `frac − Σ powers_i · frac_i` fractional bits left for its coefficient, so that the result is exactly
/// `Σ_t coefficient_t · Π x_i^powers_i` in integers modulo 2^ring. The result's ring is the narrowest of the
/// variables.
///
/// Errors: no variable, different shapes, a power list of another length, a bit to a power above 1, too few fractional
/// bits, a coefficient that does not fit 62 bits.
pub fn polynomial<M: Shared, B: Shared>(
    vars: &[Var<'_, M, B>],
    terms: &[Term],
    frac_out: u32,
) -> Result<(Meta, Vec<u64>), EngineError> {
    const WHAT: &str = "a polynomial";
    let facts: Vec<(Meta, bool)> = vars
        .iter()
        .map(|v| match v {
            Var::Masked(m) => (m.meta(), false),
            Var::Bit(b) => (b.meta(), true),
        })
        .collect();
    let Some((first, _)) = facts.first() else {
        return Err(EngineError::parameter(WHAT, "it has no variable, so that its shape is unknown"));
    };
    frac(WHAT, frac_out)?;
    let mut ring = Ring::FULL;
    for (meta, _) in &facts {
        if meta.shape() != first.shape() {
            return Err(EngineError::Shapes { what: WHAT, left: first.shape(), right: meta.shape() });
        }
        ring = ring.min(meta.ring);
    }
    let coefficients = terms
        .iter()
        .map(|term| {
            if term.powers.len() != facts.len() {
                let why = format!("a term has {} powers for {} variables", term.powers.len(), facts.len());
                return Err(EngineError::parameter(WHAT, why));
            }
            let mut used = 0u32;
            for ((meta, is_bit), &power) in facts.iter().zip(&term.powers) {
                if *is_bit && power > 1 {
                    let why = format!("a bit is raised to the power {power}; b^n = b, so use 1");
                    return Err(EngineError::parameter(WHAT, why));
                }
                if !is_bit {
                    used = used.saturating_add(power.saturating_mul(meta.frac));
                }
            }
            let Some(left) = frac_out.checked_sub(used) else {
                let why = format!("a term has {used} fractional bits but the result only {frac_out}");
                return Err(EngineError::parameter(WHAT, why));
            };
            Ok(fixed::encode(term.coefficient, left, Ring::FULL)?)
        })
        .collect::<Result<Vec<u64>, EngineError>>()?;
    Ok((Meta { frac: frac_out, ring, ..*first }, coefficients))
}

/// An input. `holds` says whether this party must hold the values: at the owner they must be there and have the shape
/// stated, elsewhere they must be absent.
pub fn input(input: &Input, holds: bool) -> Result<Meta, EngineError> {
    const WHAT: &str = "an input";
    party(WHAT, input.owner)?;
    frac(WHAT, input.meta.frac)?;
    match &input.values {
        Some(values) if holds => shape(WHAT, values.shape(), input.meta.shape())?,
        Some(_) => {
            let why = format!("its owner is party {}, but another party was given the values", input.owner);
            return Err(EngineError::parameter(WHAT, why));
        }
        None if holds => {
            let why = format!("its owner, party {}, was not given the values", input.owner);
            return Err(EngineError::parameter(WHAT, why));
        }
        None => {}
    }
    Ok(input.meta)
}

/// A truncation: `1 ≤ shift ≤ ring − 2` and `shift ≤ frac`. The result lives in `out`, which may be any ring.
pub fn truncate(x: &Meta, shift: u32, out: Ring) -> Result<Meta, EngineError> {
    const WHAT: &str = "a truncation";
    if shift == 0 {
        return Err(EngineError::parameter(WHAT, "it drops no bit; finish the value by a remask"));
    }
    if shift.saturating_add(2) > x.ring.bits() {
        let why =
            format!("{shift} bits cannot be dropped in a ring of {}; at least 2 must stay", x.ring.bits());
        return Err(EngineError::parameter(WHAT, why));
    }
    let Some(frac) = x.frac.checked_sub(shift) else {
        let why = format!("{shift} bits cannot be dropped from a value with {} fractional bits", x.frac);
        return Err(EngineError::parameter(WHAT, why));
    };
    Ok(Meta { frac, ring: out, ..*x })
}

/// A truncation that leaves the result half-finished, in the operand's ring.
pub fn truncate_offset(x: &Meta, shift: u32) -> Result<Meta, EngineError> {
    truncate(x, shift, x.ring)
}

/// A truncation with ReLU: facts of the value and of the bits. `2 ≤ width ≤ ring − shift`.
pub fn relu(x: &Meta, shift: u32, out: Ring, width: u32) -> Result<(Meta, Meta), EngineError> {
    let value = truncate(x, shift, out)?;
    comparison("a ReLU", width, x.ring.bits() - shift)?;
    Ok((value, bit(x.rows, x.cols, out)))
}

/// A truncation with a stored bit of the same shape, whose ring is not narrower than the result's.
pub fn gate(x: &Meta, shift: u32, out: Ring, bits: &Meta) -> Result<Meta, EngineError> {
    let value = truncate(x, shift, out)?;
    if x.shape() != bits.shape() {
        return Err(EngineError::Shapes { what: "a gate", left: x.shape(), right: bits.shape() });
    }
    if bits.ring < out {
        let (has, needs) = (bits.ring.bits(), out.bits());
        let why = format!("the bit is shared modulo 2^{has}, the result is wanted modulo 2^{needs}");
        return Err(EngineError::parameter("a gate", why));
    }
    Ok(value)
}

/// One comparison of a batch.
pub struct Cut {
    /// The place of its [`Sign`] in the batch.
    pub sign: usize,
    /// The threshold in the value's ring.
    pub at: u64,
    /// Whether it is another threshold of the value before.
    pub again: bool,
    /// Facts of the bits.
    pub bit: Meta,
}

/// Comparisons with thresholds, in the order of their bits. `2 ≤ width ≤ ring`; thresholds fit the values.
pub fn signs<M: Shared>(signs: &[Sign<'_, M>]) -> Result<Vec<Cut>, EngineError> {
    let mut cuts = Vec::new();
    for (place, sign) in signs.iter().enumerate() {
        let x = sign.value.meta();
        comparison("a comparison", sign.width, x.ring.bits())?;
        let bit = bit(x.rows, x.cols, sign.out.unwrap_or(x.ring));
        for (i, cut) in sign.cuts.iter().enumerate() {
            cuts.push(Cut { sign: place, at: fixed::encode(*cut, x.frac, x.ring)?, again: i > 0, bit });
        }
    }
    Ok(cuts)
}

/// Largest entries in runs of `group` columns: facts of the bits, in the ring `out`. `group` divides the columns;
/// `2 ≤ width ≤ ring`.
pub fn argmax(x: &Meta, group: usize, width: u32, out: Ring) -> Result<Meta, EngineError> {
    const WHAT: &str = "an argmax";
    if group == 0 || !x.cols.is_multiple_of(group) {
        let why = format!("{} columns cannot be split into groups of {group}", x.cols);
        return Err(EngineError::parameter(WHAT, why));
    }
    comparison(WHAT, width, x.ring.bits())?;
    Ok(bit(x.rows, x.cols, out))
}

/// An opening: the recipients are parties. Whether it is allowed is for [`crate::Policy::check`].
pub fn opening(opening: &Opening) -> Result<(), EngineError> {
    opening.to.iter().try_for_each(|&p| party("an opening", p))
}

fn comparison(what: &'static str, width: u32, most: u32) -> Result<(), EngineError> {
    if (2..=most).contains(&width) {
        return Ok(());
    }
    Err(EngineError::parameter(what, format!("its width is {width} bits; 2 to {most} are possible here")))
}

fn shape(what: &'static str, left: (usize, usize), right: (usize, usize)) -> Result<(), EngineError> {
    if left == right { Ok(()) } else { Err(EngineError::Shapes { what, left, right }) }
}

fn frac(what: &'static str, bits: u32) -> Result<(), EngineError> {
    if bits <= fixed::MAX_FRAC {
        return Ok(());
    }
    let why = format!("{bits} fractional bits were asked for; at most {} are possible", fixed::MAX_FRAC);
    Err(EngineError::parameter(what, why))
}

fn party(what: &'static str, index: Party) -> Result<(), EngineError> {
    if index < PARTIES {
        return Ok(());
    }
    Err(EngineError::parameter(what, format!("party {index} does not exist; parties are 0 to 2")))
}
