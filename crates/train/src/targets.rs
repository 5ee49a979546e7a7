//! Whether a model met the accuracy that the job asks for: one bit, opened to all parties before the model is.

use tercet_engine::{Engine, EngineError, Opening, Reason, Shared, Sign, Term, Var};
use tercet_share::{Tensor, fixed};

use crate::layers::only;

/// Whether `correct`, a count of at most `rows` predictions as `1 × 1`, is at least `needed`. `step` is for the audit log.
///
/// Rounds in the `helper` engine: 1 + 3 + 1, and one to open the bit. Opens nothing but the bit.
pub(crate) fn met<E: Engine>(
    engine: &mut E,
    correct: &E::Offset,
    needed: usize,
    rows: usize,
    step: u64,
) -> Result<bool, EngineError> {
    let count = only("a re-masking", engine.remask(&[correct])?)?;
    let meta = count.meta();
    let needed_value = fixed::encode(needed as f64, meta.frac, meta.ring)?;
    let needed_value = engine.public(&Tensor::filled(meta.rows, meta.cols, needed_value), meta)?;
    let over = engine.add(&count, &needed_value, true)?;
    let width = meta.frac + (usize::BITS - rows.leading_zeros()) + 2;
    let (bits, _) = engine.nonnegative(&[Sign { value: &over, width, out: None, cuts: &[0.0] }], &[])?;
    let bit = only("a comparison", bits)?;
    // 1 for a miss: an engine that only counts opens zeros, and goes on to count the model's opening.
    let terms = [(1.0, 0), (-1.0, 1)].map(|(coefficient, power)| Term { coefficient, powers: vec![power] });
    let missed = engine.polynomial(&[Var::Bit(&bit)], &terms, 0)?;
    let missed = only("a re-masking", engine.remask(&[&missed])?)?;
    let what =
        format!("whether at least {needed} of {rows} test rows are predicted correctly after step {step}");
    let opened = engine.reveal(&[&missed], Opening { reason: Reason::Target, what, to: vec![0, 1, 2] })?;
    match opened.as_ref().and_then(|values| values.first()).and_then(|value| value.first()) {
        Some(0.0) => Ok(true),
        Some(1.0) => Ok(false),
        _ => Err(EngineError::parameter("a target", "the opened bit is neither 0 nor 1")),
    }
}
