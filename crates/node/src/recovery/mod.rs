//! After an interruption: what each party says that it holds, and where they go on together.
//!
//! * [`offer`]: the message, of fixed size;
//! * [`agreement`]: from three offers to one decision, the same at all parties.
//! * [`journal`]: what happened, line by line, across sessions; `bounded`: how files of an earlier session are read.

pub mod agreement;
pub(crate) mod bounded;
pub mod journal;
pub mod offer;

pub use agreement::{Decision, Disagreement, agree};
pub use offer::Offer;
