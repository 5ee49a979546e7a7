//! The engine trait: all that training knows of a protocol.
//!
//! Every party runs the same program over the same trait and holds its own part of every value. Local operations cost
//! nothing on the wire. An interactive operation takes a batch, so that independent values share its rounds. All shapes,
//! scales and rings are public and checked in every call.

use ndarray::Array2;
use tercet_share::{Bilinear, Linear, Ring, Tensor};

use crate::{Cost, EngineError, Meta, Opening, OpeningRecord, Party};

/// A value with public facts.
pub trait Shared {
    /// Shape, scale and ring.
    fn meta(&self) -> Meta;
}

/// One input: the owner's values become a shared tensor.
pub struct Input {
    /// Who holds the values.
    pub owner: Party,
    /// The values in fixed point, at the owner only.
    pub values: Option<Tensor>,
    /// Shape, scale and ring, agreed by all.
    pub meta: Meta,
}

/// One truncation: divide by 2^shift, drop as many fractional bits.
/// Needs |v| ≤ 2^(L−2) − 2^(shift−1) for the operand's ring of L bits; the error is below 1.5 units in the last place.
pub struct Truncate<'a, O> {
    /// The value to truncate.
    pub value: &'a O,
    /// Bits to drop.
    pub shift: u32,
    /// Ring in which later operations need the result.
    pub out: Ring,
}

/// One truncation with ReLU: max(0, v / 2^shift).
pub struct Relu<'a, O> {
    /// The value and its truncation.
    pub truncate: Truncate<'a, O>,
    /// Comparison width: needs |v / 2^shift| < 2^(width−1), and width ≤ L − shift.
    pub width: u32,
}

/// One truncation multiplied by a stored bit: bit · (v / 2^shift).
pub struct Gate<'a, O, B> {
    /// The value and its truncation.
    pub truncate: Truncate<'a, O>,
    /// The bit of each element.
    pub bit: &'a B,
}

/// Comparisons of a masked value with public thresholds.
pub struct Sign<'a, M> {
    /// The value.
    pub value: &'a M,
    /// Comparison width: needs |v − cut| < 2^(width−1) in units of the last place, and width at most the value's ring.
    pub width: u32,
    /// Ring in which products with the bits need them; that of the value if none is given.
    pub out: Option<Ring>,
    /// The thresholds, each for a bit [v ≥ cut]. All are compared with what is dealt for one.
    pub cuts: &'a [f64],
}

/// A variable of a polynomial.
pub enum Var<'a, M, B> {
    /// A fixed-point value.
    Masked(&'a M),
    /// A bit, 0 or 1 (fractional bits 0).
    Bit(&'a B),
}

/// One monomial: `coefficient · Π variable_i^powers[i]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Term {
    /// Real coefficient; it is encoded with the fractional bits that the monomial leaves of the result's.
    pub coefficient: f64,
    /// Power of each variable; bits to the power 0 or 1 only.
    pub powers: Vec<u32>,
}

/// The values of a batch of ReLUs, each with the bits [v ≥ 0] that its backward pass uses.
pub type Activated<M, B> = Vec<(M, B)>;

/// The bits of a batch of comparisons, and the values truncated in the same rounds.
pub type Compared<M, B> = (Vec<B>, Vec<M>);

/// The operations that training needs of a protocol.
///
/// `Masked` values are operands of products; `Offset` values are half-finished (a local product before its opening) and
/// can only be added, scaled, or finished by an interactive operation.
pub trait Engine {
    /// A masked value: an operand of products.
    type Masked: Shared + Clone;
    /// A half-finished value: a sum of local products.
    type Offset: Shared + Clone;
    /// A bit per element.
    type Bit: Shared + Clone;

    /// This party's index, 0 to 2.
    fn party(&self) -> Party;

    // ---- local: no message

    /// A public constant as a value: `values` in fixed point, known to all.
    fn public(&mut self, values: &Tensor, meta: Meta) -> Result<Self::Masked, EngineError>;

    /// A linear map of a value.
    fn linear(&mut self, x: &Self::Masked, f: &Linear) -> Result<Self::Masked, EngineError>;

    /// A linear map of a half-finished value.
    fn linear_offset(&mut self, x: &Self::Offset, f: &Linear) -> Result<Self::Offset, EngineError>;

    /// A selection or rearrangement of bits ([`Linear::GatherRows`], [`Linear::GatherCols`], [`Linear::Reshape`],
    /// [`Linear::RepeatCols`], [`Linear::RepeatRows`]); other maps are an error.
    fn linear_bit(&mut self, x: &Self::Bit, f: &Linear) -> Result<Self::Bit, EngineError>;

    /// `x + y`, or `x − y` if `negative`.
    fn add(
        &mut self,
        x: &Self::Masked,
        y: &Self::Masked,
        negative: bool,
    ) -> Result<Self::Masked, EngineError>;

    /// Rows of several values of equal width and scale, one below the other.
    fn concat_rows(&mut self, parts: &[&Self::Masked]) -> Result<Self::Masked, EngineError>;

    /// The same ring elements read with another number of fractional bits: a division by 2^(frac − old), for free.
    fn reread(&mut self, x: &Self::Masked, frac: u32) -> Result<Self::Masked, EngineError>;

    /// The same value in a narrower ring.
    fn narrow(&mut self, x: &Self::Masked, ring: Ring) -> Result<Self::Masked, EngineError>;

    /// A product, half-finished.
    fn product(
        &mut self,
        kind: &Bilinear,
        x: &Self::Masked,
        y: &Self::Masked,
    ) -> Result<Self::Offset, EngineError>;

    /// A value as a half-finished one.
    fn lift(&mut self, x: &Self::Masked) -> Result<Self::Offset, EngineError>;

    /// `x += factor · 2^shift · y`, for half-finished values; `y`'s fractional bits plus `shift` must equal `x`'s.
    fn accumulate(
        &mut self,
        x: &mut Self::Offset,
        y: &Self::Offset,
        factor: i64,
        shift: u32,
    ) -> Result<(), EngineError>;

    /// A polynomial of values and bits of equal shape, half-finished, with `frac` fractional bits. No round; correlated
    /// randomness is dealt for every product of two or more masks.
    fn polynomial(
        &mut self,
        vars: &[Var<'_, Self::Masked, Self::Bit>],
        terms: &[Term],
        frac: u32,
    ) -> Result<Self::Offset, EngineError>;

    /// Adds noise of every party to a half-finished value: `draw` adds one party's noise to the elements it is given, in
    /// units of the last place.
    ///
    /// Each party adds to its own part, so that the value gains the noise of all three and no party knows that of another.
    /// `draw` must take its randomness from the operating system, never from a seed that a peer knows. The noise counts
    /// towards the bounds of the operations that finish the value.
    fn noise(&mut self, x: &mut Self::Offset, draw: &mut dyn FnMut(&mut [u64])) -> Result<(), EngineError>;

    // ---- interactive: the docs of each protocol state rounds and bytes

    /// Shares inputs of any party.
    fn input(&mut self, inputs: Vec<Input>) -> Result<Vec<Self::Masked>, EngineError>;

    /// Finishes half-finished values without truncating them.
    fn remask(&mut self, values: &[&Self::Offset]) -> Result<Vec<Self::Masked>, EngineError>;

    /// Truncates.
    fn truncate(&mut self, batch: &[Truncate<'_, Self::Offset>]) -> Result<Vec<Self::Masked>, EngineError>;

    /// Truncates and leaves the result half-finished, in the operand's ring.
    fn truncate_offset(&mut self, batch: &[(&Self::Offset, u32)]) -> Result<Vec<Self::Offset>, EngineError>;

    /// Truncates and applies ReLU; also returns the bits [v ≥ 0] for the backward pass.
    fn relu(
        &mut self,
        batch: &[Relu<'_, Self::Offset>],
    ) -> Result<Activated<Self::Masked, Self::Bit>, EngineError>;

    /// Truncates and multiplies by stored bits.
    fn gate(&mut self, batch: &[Gate<'_, Self::Offset, Self::Bit>])
    -> Result<Vec<Self::Masked>, EngineError>;

    /// The bits [v ≥ cut] of all cuts of all values in order, each in the ring that its [`Sign`] says; `ride` is truncated in the
    /// same rounds.
    fn nonnegative(
        &mut self,
        signs: &[Sign<'_, Self::Masked>],
        ride: &[Truncate<'_, Self::Offset>],
    ) -> Result<Compared<Self::Masked, Self::Bit>, EngineError>;

    /// For every row and every run of `group` neighbouring columns, the bit vector that marks the largest entry; the first
    /// of equal entries wins. `width` as in [`Sign`], for the differences of entries. The bits are shared in the ring `out`:
    /// the widest that a product with them needs.
    fn argmax(
        &mut self,
        x: &Self::Masked,
        group: usize,
        width: u32,
        out: Ring,
    ) -> Result<Self::Bit, EngineError>;

    /// Opens values to the recipients of `opening`, if the policy allows it, and records it. Recipients get the real
    /// numbers, others `None`. The only way out of an engine.
    fn reveal(
        &mut self,
        values: &[&Self::Masked],
        opening: Opening,
    ) -> Result<Option<Vec<Array2<f64>>>, EngineError>;

    // ---- across sessions

    /// This party's summands of half-finished values, for this party's own file alone: over the parties that have some they
    /// add up to the values. `None` at a party that holds none. A protocol in which a dealer knows by how much the summands
    /// are off re-masks the values first, as [`Engine::remask`] does and at its cost; another sends nothing.
    fn export(&mut self, values: &[&Self::Offset]) -> Result<Vec<Option<Tensor>>, EngineError>;

    /// Half-finished values from summands that an earlier session of the same parties exported. No message. Nothing of that
    /// session's masks is used again: what leaves this party is masked afresh, as every half-finished value is.
    fn import(&mut self, values: Vec<(Meta, Option<Tensor>)>) -> Result<Vec<Self::Offset>, EngineError>;

    // ---- accounts

    /// Sets the training step that messages, records and errors carry.
    fn set_step(&mut self, step: u64);

    /// Every opening so far.
    fn openings(&self) -> &[OpeningRecord];

    /// Measured cost so far, of the traffic that this party sees.
    fn measured(&self) -> Cost;
}
