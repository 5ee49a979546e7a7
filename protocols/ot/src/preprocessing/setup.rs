//! From a connected transport to an engine: base transfers with both peers, and pairwise seeds for shares of zero.

use std::cell::RefCell;
use std::time::Duration;

use sha2::{Digest, Sha256};
use tercet_engine::{EngineError, Policy};
use tercet_net::{Label, PartyId, Transport};
use tercet_online::Evaluator;
use tercet_online::wire::Wire;
use tercet_share::{EphemeralKey, PairEnd, PairPrg, ShareError};

use super::parts::Masks;
use super::source::OtSource;
use super::wire::{Links, Offline};
use crate::extension::FieldBits;
use crate::link;
use crate::secret::{fresh_prg, fresh_rng};

/// Sets up the transfers and builds this party's engine. Two offline rounds; [`link::setup_cost`] bytes to each peer.
///
/// `key` is the ephemeral key whose public half this party gave to the transport's handshake; `identities` are the
/// SHA-256 fingerprints of the three certificates. Transfers and seeds are bound to the session, and seeds to identities
/// and keys as well. Each ephemeral key is used for one session. All three parties evaluate, in the order of their numbers.
///
/// # Errors
/// If the transport fails, a message is malformed, a peer's public key is not one, or there is no randomness.
pub fn join_session<T: Transport>(
    transport: T,
    field: FieldBits,
    key: EphemeralKey,
    identities: [[u8; 32]; 3],
    policy: Policy,
) -> Result<Evaluator<T, OtSource>, EngineError> {
    let me = transport.me();
    let session = *transport.session().as_bytes();
    let mut pairs = Vec::with_capacity(2);
    for peer in me.others() {
        let public = transport.peer_key(peer).try_into().map_err(|_| ShareError::BadPublicKey)?;
        let end = PairEnd { identity: identities[peer.index()], public };
        let seed = key.agree(identities[me.index()], end, &session)?;
        pairs.push((PairPrg::new(seed), me < peer));
    }
    let mut wire = Wire::new(transport);
    let label = Label::new("correlations").with(&[field.get().into()]);
    let bound: [u8; 32] = Sha256::new()
        .chain_update(b"tercet ot session v1")
        .chain_update(session)
        .chain_update(identities.concat())
        .finalize()
        .into();
    let links = {
        let lent = RefCell::new(&mut wire);
        let channels = me.others().map(|peer| Offline::new(&lent, peer, label)).into();
        let mut rng = fresh_rng()?;
        Links::new(label, link::connect(channels, &bound, me.index() as u8, field, &mut rng)?)
    };
    let source = OtSource {
        me: me.index() as u8,
        field,
        links,
        own: fresh_prg()?,
        pairs,
        op: 0,
        masks: Masks::default(),
        spent: Duration::ZERO,
    };
    let evaluators = PartyId::ALL.to_vec();
    Ok(Evaluator::with_source(wire.into_transport(), source, me.index(), evaluators, None, policy))
}
