//! From a connected transport to an engine: pairwise keys are agreed and each party takes its role.

use tercet_engine::{EngineError, Policy};
use tercet_net::{PartyId, Transport};
use tercet_share::{EphemeralKey, PairEnd, PairPrg};

use crate::{Dealer, Evaluator, FromDealer, Roles};

/// This party's engine.
pub enum Role<T> {
    /// E0 or E1.
    Evaluator(Box<Evaluator<T, FromDealer>>),
    /// H.
    Dealer(Box<Dealer<T>>),
}

/// Derives the pairwise seeds from the public keys that the transport's handshake carried, and builds this party's engine.
///
/// `key` is the ephemeral key whose public half this party gave to the handshake; `identities` are the SHA-256 fingerprints of
/// the three certificates. The seeds are bound to both identities, both public keys and the session, so that a replayed
/// key message gives other seeds. Each ephemeral key is used for one session.
pub fn join_session<T: Transport>(
    transport: T,
    roles: Roles,
    key: EphemeralKey,
    identities: [[u8; 32]; 3],
    policy: Policy,
) -> Result<Role<T>, EngineError> {
    let me = transport.me();
    let session = *transport.session().as_bytes();
    let seed = |peer: PartyId| -> Result<PairPrg, EngineError> {
        let public =
            transport.peer_key(peer).try_into().map_err(|_| tercet_share::ShareError::BadPublicKey)?;
        let end = PairEnd { identity: identities[peer.index()], public };
        Ok(PairPrg::new(key.agree(identities[me.index()], end, &session)?))
    };
    let [e0, e1] = roles.evaluators;
    match roles.evaluator_index(me) {
        Some(index) => {
            let prg = seed(roles.dealer)?;
            let source = if index == 0 {
                FromDealer::seed_only(prg)
            } else {
                FromDealer::with_corrections(prg, roles.dealer)
            };
            let evaluators = roles.evaluators.to_vec();
            let evaluator =
                Evaluator::with_source(transport, source, index, evaluators, Some(roles.dealer), policy);
            Ok(Role::Evaluator(Box::new(evaluator)))
        }
        None => {
            let seeds = [seed(e0)?, seed(e1)?];
            Ok(Role::Dealer(Box::new(Dealer::with_seeds(transport, seeds, roles.evaluators, policy))))
        }
    }
}
