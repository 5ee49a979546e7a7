//! The rounds beside the training: offers before it, each compared with what the third party heard, and the news that all have
//! their results after it.

use anyhow::Result;
use sha2::{Digest, Sha256};
use tercet_net::{Label, NetError, PartyId, Phase, Tag, Transport};

use crate::job::Job;
use crate::recovery::{Decision, Disagreement, Offer, agree};

/// Label of the offers.
pub(super) const OFFER: &str = "offer";

/// Label of what was heard from the third party.
pub(super) const HEARD: &str = "offer heard";

/// Label of the last message.
pub(super) const DONE: &str = "done";

/// Exchanges offers with both peers, and decides. Nothing is written or removed before both peers confirm that the third party
/// offered them the same as this one.
///
/// # Errors
/// A peer is lost, sends no offer, or offers one thing here and another there; or what the parties hold does not fit together.
pub(super) fn decide(transport: &mut impl Transport, job: &Job, own: &Offer) -> Result<Decision> {
    let me = transport.me();
    let tag = |label| Tag::new(0, 0, Label::new(label));
    for peer in me.others() {
        transport.send(peer, Phase::Online, &tag(OFFER), own.encode())?;
    }
    let mut offers = [own.clone(), own.clone(), own.clone()];
    for peer in me.others() {
        let message = transport.recv(peer, Phase::Online, &tag(OFFER), Offer::BYTES)?;
        offers[peer.index()] = Offer::decode(&message).ok_or_else(|| NetError::Malformed {
            party: transport.party(peer).clone(),
            what: "its offer of checkpoints does not decode".to_owned(),
        })?;
    }
    let names = PartyId::ALL.map(|party| job.parties[party.index()].name.as_str());
    let heard = |from: PartyId| Sha256::digest(offers[from.index()].encode());
    let [first, second] = me.others();
    for (peer, third) in [(first, second), (second, first)] {
        transport.send(peer, Phase::Online, &tag(HEARD), heard(third).to_vec())?;
    }
    for (peer, third) in [(first, second), (second, first)] {
        let message = transport.recv(peer, Phase::Online, &tag(HEARD), Sha256::output_size())?;
        if message != heard(third).as_slice() {
            let [of, to] = [third, peer].map(|party| names[party.index()].to_owned());
            return Err(Disagreement::TwoOffers { of, to }.into());
        }
    }
    Ok(agree(&offers, names, job.protocol, job.training.privacy.is_some())?)
}

/// Tells both peers that this party has its results, and waits until both have theirs.
///
/// # Errors
/// A peer is lost or silent.
pub(super) fn all_done(transport: &mut impl Transport, steps: u64) -> Result<(), NetError> {
    let tag = Tag::new(steps, u64::MAX, Label::new(DONE));
    let others = transport.me().others();
    for peer in others {
        transport.send(peer, Phase::Online, &tag, vec![1])?;
    }
    for peer in others {
        transport.recv(peer, Phase::Online, &tag, 1)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::thread;

    use tercet_net::{SessionId, memory};

    use super::*;

    const JOB: &str = include_str!("../../../../testnet/jobs/breast-cancer.toml");

    fn held(step: u64) -> Offer {
        let id = SessionId::from_bytes([1; 16]);
        Offer { run: Some(id), held: vec![(step, id)], ..Offer::default() }
    }

    /// What the two others decide when the third behaves like `third`.
    fn decided(third: impl FnOnce(memory::MemoryTransport) + Send) -> [Result<Decision>; 2] {
        let job = Job::parse(JOB).unwrap();
        let [a, b, c] = memory::mesh(["hospital-a", "hospital-b", "hospital-c"]).unwrap();
        thread::scope(|scope| {
            let honest = [a, b].map(|mut transport| {
                let job = &job;
                scope.spawn(move || decide(&mut transport, job, &held(50)))
            });
            scope.spawn(|| third(c));
            honest.map(|thread| thread.join().unwrap())
        })
    }

    #[test]
    fn a_party_that_offers_one_thing_here_and_another_there_is_found_before_anything_is_decided() {
        let tag = |label| Tag::new(0, 0, Label::new(label));
        let [a, b] = decided(|mut transport| {
            let [a, b, _] = PartyId::ALL;
            for (peer, step) in [(a, 50), (b, 100)] {
                transport.send(peer, Phase::Online, &tag(OFFER), held(step).encode()).unwrap();
                // It says of the other what is true, so that its own offers are all that is wrong.
                let heard = Sha256::digest(held(50).encode()).to_vec();
                transport.send(peer, Phase::Online, &tag(HEARD), heard).unwrap();
            }
            for peer in [a, b] {
                transport.recv(peer, Phase::Online, &tag(OFFER), Offer::BYTES).unwrap();
                transport.recv(peer, Phase::Online, &tag(HEARD), 32).unwrap();
            }
        });
        let said = [a, b].map(|result| result.unwrap_err().to_string());
        assert!(
            said[0].contains("`hospital-c` did not offer `hospital-b` what it offered this party"),
            "{said:?}"
        );
        assert!(
            said[1].contains("`hospital-c` did not offer `hospital-a` what it offered this party"),
            "{said:?}"
        );
    }

    #[test]
    fn honest_parties_decide_alike_and_an_offer_with_another_spelling_is_refused() {
        let job = Job::parse(JOB).unwrap();
        let all = decided(|mut transport| drop(decide(&mut transport, &job, &Offer::default())));
        let id = SessionId::from_bytes([1; 16]);
        let place = crate::checkpoint::Place { run: id, session: id, step: 50 };
        all.into_iter().for_each(|decision| assert_eq!(decision.unwrap(), Decision::Resume(place)));
        let tag = Tag::new(0, 0, Label::new(OFFER));
        let all = decided(|mut transport| {
            for peer in transport.me().others() {
                let mut offer = held(50).encode();
                *offer.last_mut().unwrap() = 1;
                transport.send(peer, Phase::Online, &tag, offer).unwrap();
            }
            // It stays until both have sent theirs: otherwise they may find it gone before they look at its own.
            for peer in transport.me().others() {
                transport.recv(peer, Phase::Online, &tag, Offer::BYTES).unwrap();
            }
        });
        for said in all.map(|result| result.unwrap_err().to_string()) {
            assert!(said.contains("hospital-c") && said.contains("does not decode"), "{said}");
        }
    }
}
