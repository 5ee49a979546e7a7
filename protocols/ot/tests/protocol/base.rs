//! Base transfers: correctness, hostile messages, what each view shows, golden vectors.

use curve25519_dalek::constants::RISTRETTO_BASEPOINT_POINT;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use sha2::{Digest, Sha256};
use tercet_ot::base::{BaseReceiver, BaseSender, SENDER_BYTES, receiver_bytes};
use tercet_ot::{Context, OtError};

const SESSION: [u8; 32] = [3; 32];

fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

fn context() -> Context {
    Context::new(&SESSION, 0, 1)
}

fn choices(count: usize, seed: u64) -> Vec<u8> {
    let mut rng = rng(seed);
    (0..count).map(|_| (rng.next_u32() & 1) as u8).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn the_receiver_learns_the_chosen_key_and_not_the_other() {
    for count in [0, 1, 2, 127, 128] {
        let chosen = choices(count, 1);
        let (sender, offer) = BaseSender::start(context(), count, &mut rng(2));
        let (receiver, message) = BaseReceiver::start(context(), &chosen, &mut rng(3));
        assert_eq!((offer.len(), message.len()), (SENDER_BYTES, receiver_bytes(count)));
        let (pairs, sender_transcript) = sender.finish(&message).unwrap();
        let (keys, receiver_transcript) = receiver.finish(&offer).unwrap();
        assert_eq!(sender_transcript, receiver_transcript);
        for i in 0..count {
            let choice = usize::from(chosen[i]);
            assert_eq!(keys[i], pairs[i][choice]);
            assert_ne!(keys[i], pairs[i][1 - choice]);
        }
    }
}

#[test]
fn keys_of_all_transfers_and_sessions_differ() {
    let mut all = Vec::new();
    for session in 0..3u8 {
        // The same randomness in every session: only the context tells the runs apart.
        let context = Context::new(&[session; 32], 0, 1);
        let (sender, _) = BaseSender::start(context, 64, &mut rng(2));
        let (_, message) = BaseReceiver::start(context, &[0; 64], &mut rng(3));
        all.extend(sender.finish(&message).unwrap().0.iter().flatten().copied());
    }
    all.sort_unstable();
    assert!(all.windows(2).all(|pair| pair[0] != pair[1]));
}

/// Runs the sender on a receiver's message changed by `change`.
fn sender_on(change: impl FnOnce(&mut Vec<u8>)) -> Result<(), OtError> {
    let (sender, _) = BaseSender::start(context(), 2, &mut rng(2));
    let (_, mut message) = BaseReceiver::start(context(), &[0, 1], &mut rng(3));
    change(&mut message);
    sender.finish(&message).map(drop)
}

/// Runs the receiver on a sender's message changed by `change`.
fn receiver_on(change: impl FnOnce(&mut Vec<u8>)) -> Result<(), OtError> {
    let (_, mut message) = BaseSender::start(context(), 2, &mut rng(2));
    let (receiver, _) = BaseReceiver::start(context(), &[0, 1], &mut rng(3));
    change(&mut message);
    receiver.finish(&message).map(drop)
}

#[test]
fn the_identity_is_refused_wherever_it_stands() {
    assert!(matches!(receiver_on(|m| m[32..].fill(0)), Err(OtError::BadPoint { index: 0, .. })));
    for index in 0..4 {
        let result = sender_on(|m| m[32 + 32 * index..64 + 32 * index].fill(0));
        assert!(matches!(result, Err(OtError::BadPoint { index: at, .. }) if at == index));
    }
}

#[test]
fn an_encoding_that_is_not_canonical_is_refused() {
    // p + a small number, a negative field element, and all ones: none is the encoding of a group element.
    let mut not_reduced = [0xff; 32];
    not_reduced[0] = 0xed + 4;
    not_reduced[31] = 0x7f;
    let negative = {
        let mut bytes = [0; 32];
        bytes[0] = 1;
        bytes
    };
    for bad in [not_reduced, negative, [0xff; 32]] {
        assert!(matches!(
            sender_on(|m| m[64..96].copy_from_slice(&bad)),
            Err(OtError::BadPoint { index: 1, .. })
        ));
        assert!(matches!(receiver_on(|m| m[32..].copy_from_slice(&bad)), Err(OtError::BadPoint { .. })));
    }
    let good = RISTRETTO_BASEPOINT_POINT.compress();
    assert!(receiver_on(|m| m[32..].copy_from_slice(good.as_bytes())).is_ok());
}

#[test]
fn a_message_of_another_length_is_refused() {
    assert!(matches!(sender_on(|m| m.push(0)), Err(OtError::WrongLength { expected: 160, got: 161, .. })));
    assert!(matches!(sender_on(Vec::clear), Err(OtError::WrongLength { got: 0, .. })));
    assert!(matches!(
        receiver_on(|m| m.truncate(63)),
        Err(OtError::WrongLength { expected: 64, got: 63, .. })
    ));
}

#[test]
fn a_replay_from_another_session_direction_or_size_is_refused() {
    let others = [
        Context::new(&[4; 32], 0, 1),
        Context::new(&SESSION, 1, 0),
        Context::new(&SESSION, 0, 2),
        Context::new(&SESSION, 2, 1),
    ];
    for other in others {
        let (_, offer) = BaseSender::start(other, 2, &mut rng(2));
        let (_, message) = BaseReceiver::start(other, &[0, 1], &mut rng(3));
        assert!(matches!(sender_on(|m| *m = message), Err(OtError::WrongSession { .. })));
        assert!(matches!(receiver_on(|m| *m = offer), Err(OtError::WrongSession { .. })));
    }
    let (_, offer) = BaseSender::start(context(), 3, &mut rng(2));
    assert!(matches!(receiver_on(|m| *m = offer), Err(OtError::WrongSession { .. })));
}

#[test]
fn a_flipped_bit_never_goes_unnoticed_as_the_same_key() {
    let (sender, _) = BaseSender::start(context(), 1, &mut rng(2));
    let (_, message) = BaseReceiver::start(context(), &[0], &mut rng(3));
    let right = sender.finish(&message).unwrap().0[0];
    for bit in (0..8 * receiver_bytes(1)).step_by(5) {
        let (sender, _) = BaseSender::start(context(), 1, &mut rng(2));
        let mut changed = message.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        if let Ok((keys, _)) = sender.finish(&changed) {
            assert!(keys[0][0] != right[0] && keys[0][1] != right[1]);
        }
    }
}

#[test]
fn the_senders_view_does_not_depend_on_the_choices() {
    let count = 2000;
    for bit in [0, 1] {
        let (_, message) = BaseReceiver::start(context(), &vec![bit; count], &mut rng(5));
        // Any statistic of (r_0, r_1) will do: here the order of the two, and the balance of every byte.
        let pairs: Vec<_> = message[32..].chunks_exact(64).map(|pair| pair.split_at(32)).collect();
        let rising = pairs.iter().filter(|(first, second)| first < second).count();
        assert_balanced(rising, count);
        for byte in 0..31 {
            let first: u32 = pairs.iter().map(|(first, _)| first[byte].count_ones()).sum();
            let second: u32 = pairs.iter().map(|(_, second)| second[byte].count_ones()).sum();
            // Bit 0 of byte 0 is the sign, which encodings fix to 0.
            let bits = count * if byte == 0 { 7 } else { 8 };
            assert_balanced(first as usize, bits);
            assert_balanced(second as usize, bits);
        }
    }
}

/// `ones` of `total` fair coins, within five standard deviations.
fn assert_balanced(ones: usize, total: usize) {
    let (mean, deviation) = (total as f64 / 2.0, (total as f64).sqrt() / 2.0);
    assert!((ones as f64 - mean).abs() < 5.0 * deviation, "{ones} of {total}");
}

#[test]
fn messages_and_keys_match_the_golden_vectors() {
    let chosen = choices(8, 1);
    let (sender, offer) = BaseSender::start(context(), 8, &mut rng(2));
    let (receiver, message) = BaseReceiver::start(context(), &chosen, &mut rng(3));
    let (pairs, transcript) = sender.finish(&message).unwrap();
    let (keys, _) = receiver.finish(&offer).unwrap();
    assert_eq!(hex(&offer), GOLDEN_OFFER);
    assert_eq!(hex(&Sha256::digest(&message)), GOLDEN_MESSAGE_SHA256);
    assert_eq!(hex(&transcript), GOLDEN_TRANSCRIPT);
    assert_eq!(format!("{:032x}", pairs[0][0]), GOLDEN_KEY_0_0);
    assert_eq!(format!("{:032x}", pairs[7][1]), GOLDEN_KEY_7_1);
    assert_eq!(keys[7], pairs[7][usize::from(chosen[7])]);
}

const GOLDEN_OFFER: &str = "ef9e618b58443b05d1f90a3a6005383a375576fedee816a3b980f604eb1ae0e77c049ee3e540312367256496edd685f842472568d79bc249ab7d022e0631fc0e";
const GOLDEN_MESSAGE_SHA256: &str = "152495a5ebaddbf8a889b866b2dc753687180d4ea6ce4246d3e394507ade5bd5";
const GOLDEN_TRANSCRIPT: &str = "fc3b4906a6966b90001c2b12f396cd7b9ee1e1c6161392db104e0fdff34e0f10";
const GOLDEN_KEY_0_0: &str = "48a1ee10521a6d4d3f10ebdb50bc109f";
const GOLDEN_KEY_7_1: &str = "bbd8ac48ddf90a7b468e95e222e6a6a0";
