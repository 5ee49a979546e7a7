//! Peers that send the wrong thing, or vanish.

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use tercet_ot::channel::{Channel, memory};
use tercet_ot::extension::FieldBits;
use tercet_ot::link::{self, Link};
use tercet_ot::product::Ring;
use tercet_ot::{ChannelError, OtError, triples};

/// Runs party 0 honestly against `peer`; returns what party 0 got.
fn against<T: Send>(
    honest: impl FnOnce(Vec<Link<memory::MemoryChannel>>) -> Result<T, OtError> + Send,
    peer: impl FnOnce(memory::MemoryChannel) + Send,
) -> Result<T, OtError> {
    let (zero, one) = memory::pair();
    std::thread::scope(|scope| {
        scope.spawn(|| peer(one));
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        honest(link::connect(vec![zero], &[1; 32], 0, FieldBits::default(), &mut rng)?)
    })
}

fn connect(channel: memory::MemoryChannel, session: u8) -> Result<Vec<Link<memory::MemoryChannel>>, OtError> {
    let mut rng = ChaCha20Rng::seed_from_u64(2);
    link::connect(vec![channel], &[session; 32], 1, FieldBits::default(), &mut rng)
}

#[test]
fn a_peer_that_vanishes_is_named() {
    let result = against(|_| Ok(()), drop);
    assert!(matches!(result, Err(OtError::Channel(ChannelError::Closed { peer: 1 }))));
}

#[test]
fn a_peer_in_another_session_is_refused_at_the_first_message() {
    let result = against(|_| Ok(()), |channel| assert!(connect(channel, 2).is_err()));
    assert!(matches!(result, Err(OtError::WrongSession { .. })));
}

#[test]
fn a_peer_that_sends_junk_is_an_error_and_never_a_panic() {
    for length in [0, 1, 8287, 8288, 8289, 100_000] {
        let result = against(
            |_| Ok(()),
            move |mut channel| {
                // The peer may be gone by the second message: that is its own affair.
                let _ = channel.send(vec![0xa5; length]).and_then(|()| channel.send(vec![0; length]));
                let _ = channel.recv(0);
            },
        );
        assert!(result.is_err(), "{length} bytes");
    }
}

#[test]
fn parties_with_different_sizes_stop_with_an_error() {
    let result = against(
        |mut links| triples::multiply(&mut links, Ring::FULL, &[1, 2], &[3, 4]),
        |channel| {
            let mut links = connect(channel, 1).unwrap();
            assert!(triples::multiply(&mut links, Ring::FULL, &[1, 2, 3], &[3, 4, 5]).is_err());
        },
    );
    assert!(matches!(result, Err(OtError::WrongLength { what: "extension", .. })));
}

#[test]
fn operands_of_different_lengths_are_refused_before_anything_is_sent() {
    let mut none: Vec<Link<memory::MemoryChannel>> = Vec::new();
    assert!(matches!(triples::multiply(&mut none, Ring::FULL, &[1], &[]), Err(OtError::BadArgument { .. })));
    assert!(matches!(triples::and(&mut none, 65, &[1], &[1]), Err(OtError::BadArgument { .. })));
}

#[test]
fn nothing_secret_is_printed() {
    let made = against(
        |mut links| {
            let mut rng = ChaCha20Rng::seed_from_u64(3);
            triples::triples(&mut links, Ring::FULL, 3, &mut rng)
        },
        |channel| {
            let mut rng = ChaCha20Rng::seed_from_u64(4);
            triples::triples(&mut connect(channel, 1).unwrap(), Ring::FULL, 3, &mut rng).unwrap();
        },
    )
    .unwrap();
    let shown = format!("{made:?}");
    assert!(shown.contains("len: 3"));
    assert!(made.a.iter().chain(made.b.iter()).chain(made.c.iter()).all(|v| !shown.contains(&v.to_string())));
}
