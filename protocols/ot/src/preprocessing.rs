//! The `ot` protocol: three evaluators that make their correlated randomness themselves.
//!
//! The online phase is `tercet-online`, with all three parties evaluating: λ = λ0 + λ1 + λ2, and a half-finished value is an
//! additive share of the value itself. [`OtSource`] makes what a dealer would deal, on shares of the masks, when the online
//! phase asks for it. PROTOCOL.md, section 6, gives the construction of every part.
//!
//! | layer | module | what |
//! |---|---|---|
//! | correlations | [`correlations`] | products of shares: over links, or counted only |
//! | circuits | `and`, `one_hot`, `monomials`, `adder` | on bits shared by exclusive or |
//! | masks | `truncation`, `bilinear`, `powers` | of truncations, matrix products, polynomials |
//! | parts | `parts` | recipes of the online phase, carried out |
//! | source | `source`, `wire` | the state of one party, over its transport |
//! | store | [`store`] | the same material, made ahead of time |

mod adder;
mod and;
mod bilinear;
pub mod correlations;
mod cost;
mod monomials;
mod one_hot;
mod parts;
mod powers;
mod setup;
mod source;
mod truncation;
mod wire;

pub mod local;
pub mod store;

pub use cost::{Correlating, CostEngine};
pub use setup::join_session;
pub use source::OtSource;

use crate::error::{ChannelError, OtError};
use tercet_engine::EngineError;

impl From<OtError> for EngineError {
    fn from(error: OtError) -> EngineError {
        match error {
            OtError::Channel(ChannelError::Transport { peer, source }) => match source
                .downcast::<EngineError>()
            {
                Ok(inner) => *inner,
                Err(source) => {
                    EngineError::Network(Box::new(OtError::Channel(ChannelError::Transport { peer, source })))
                }
            },
            other => EngineError::Network(Box::new(other)),
        }
    }
}
