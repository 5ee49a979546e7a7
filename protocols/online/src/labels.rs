//! Labels of messages: the operation's name with every shape and width bound in.

use tercet_engine::{EngineError, Meta};
use tercet_net::Label;
use tercet_share::Ring;

use crate::plan::TruncPlan;

/// Label of a batch of truncations of some kind.
pub fn truncations(name: &'static str, plans: &[TruncPlan]) -> Label {
    let parameters: Vec<u64> = plans.iter().flat_map(TruncPlan::parameters).collect();
    Label::new(name).with(&parameters)
}

/// Label of a batch of tensors.
pub fn tensors<'a>(name: &'static str, metas: impl IntoIterator<Item = &'a Meta>) -> Label {
    let parameters: Vec<u64> = metas
        .into_iter()
        .flat_map(|m| [m.rows as u64, m.cols as u64, m.frac.into(), m.ring.bits().into()])
        .collect();
    Label::new(name).with(&parameters)
}

/// Label of an argmax.
pub fn argmax(x: &Meta, group: usize, width: u32) -> Label {
    tensors("argmax", [x]).with(&[group as u64, width.into()])
}

/// A bit's mask is shared in one ring; a product with it is defined in that ring or a narrower one.
pub fn check_bit_ring(bit: Ring, out: Ring) -> Result<(), EngineError> {
    if out <= bit {
        return Ok(());
    }
    let why =
        format!("the bit is shared modulo 2^{}, the result is wanted modulo 2^{}", bit.bits(), out.bits());
    Err(EngineError::parameter("a gate", why))
}
