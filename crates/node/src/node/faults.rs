//! Which errors of a run come from the network, and which of them pass.

use anyhow::Error;
use tercet_engine::EngineError;
use tercet_net::NetError;

/// The network's error inside another, wherever it is.
pub(super) fn network(error: &Error) -> Option<&NetError> {
    error.chain().find_map(|cause| {
        cause.downcast_ref::<NetError>().or_else(|| match cause.downcast_ref::<EngineError>()? {
            EngineError::Network(inner) => inner.downcast_ref::<NetError>(),
            _ => None,
        })
    })
}

/// Whether the peer may come back: it was lost, silent or left, or the three met at a bad moment.
pub(super) fn passing(error: &NetError) -> bool {
    matches!(
        error,
        NetError::PeerLost { .. }
            | NetError::PeerSilent { .. }
            | NetError::PeerFinished { .. }
            | NetError::SendStalled { .. }
            | NetError::SessionDiffers { .. }
    )
}
