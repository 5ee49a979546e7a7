//! Labels of messages: the operation's name with every shape and width bound in.

use tercet_engine::{Meta, checks::Cut};
use tercet_net::Label;
use tercet_share::Ring;

use crate::{compare::ComparePlan, plan::TruncPlan};

/// Label of a batch of truncations of some kind.
pub fn truncations(name: &'static str, plans: &[TruncPlan]) -> Label {
    let parameters: Vec<u64> = plans.iter().flat_map(TruncPlan::parameters).collect();
    Label::new(name).with(&parameters)
}

/// Label of a batch of comparisons, with truncations that ride along.
pub fn comparisons(plans: &[ComparePlan], cuts: &[Cut], riders: &[TruncPlan]) -> Label {
    let of = |(plan, cut): (&ComparePlan, &Cut)| {
        [plan.n as u64, plan.width().into(), cut.bit.ring.bits().into(), plan.again.into()]
    };
    let parameters: Vec<u64> = plans.iter().zip(cuts).flat_map(of).collect();
    truncations("nonnegative", riders).with(&parameters)
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
pub fn argmax(x: &Meta, group: usize, width: u32, out: Ring) -> Label {
    tensors("argmax", [x]).with(&[group as u64, width.into(), out.bits().into()])
}
