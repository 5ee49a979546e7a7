//! The extension against its definition, its declared bytes, and its views.

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use sha2::{Digest, Sha256};
use tercet_ot::channel::memory;
use tercet_ot::extension::{
    CotReceiver, CotSender, ExtensionReceiver, ExtensionSender, FieldBits, ReceiverSetup, RotReceiver,
    RotSender, SenderSetup,
};
use tercet_ot::{Context, OtError};

fn link(k: u8, seed: u64) -> (ExtensionSender, ExtensionReceiver) {
    let field = FieldBits::new(k).unwrap();
    let context = Context::new(&[seed as u8; 32], 0, 1);
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let (sender, to_receiver) = SenderSetup::start(context, field, &mut rng);
    let (receiver, to_sender) = ReceiverSetup::start(context, field, &mut rng);
    let (receiver, trees) = receiver.finish(&to_receiver).unwrap();
    assert_eq!(to_receiver.len(), field.sender_setup_bytes());
    assert_eq!(to_sender.len() + trees.len(), field.receiver_setup_bytes());
    (sender.finish(&to_sender, &trees).unwrap(), receiver)
}

fn words(count: usize, rng: &mut ChaCha20Rng) -> Vec<u64> {
    (0..count.div_ceil(64)).map(|_| rng.next_u64()).collect()
}

fn bit(words: &[u64], i: usize) -> bool {
    words[i / 64] >> (i % 64) & 1 == 1
}

#[test]
fn rows_differ_by_delta_exactly_where_the_choice_is_one() {
    for k in 1..=8 {
        let (mut sender, mut receiver) = link(k, u64::from(k));
        let mut rng = ChaCha20Rng::seed_from_u64(99);
        for count in [0, 1, 7, 8, 9, 63, 64, 65, 127, 128, 129, 1000, 8191, 8192, 8193, 20_001] {
            let choices = words(count, &mut rng);
            let (t, message) = receiver.extend(&choices, count).unwrap();
            assert_eq!(message.len(), sender.field_bits().extension_bytes(count));
            let q = sender.extend(count, &message).unwrap();
            let delta = q.delta();
            let (q, t) = (q.correlated(), t.correlated());
            for i in 0..count {
                let offset = if bit(&choices, i) { delta } else { 0 };
                assert_eq!(q[i] ^ t[i], offset, "k {k}, count {count}, row {i}");
            }
        }
    }
}

#[test]
fn random_transfers_give_the_chosen_message_and_not_the_other() {
    let (mut zero_end, mut one_end) = memory::pair();
    let (mut sender, mut receiver) = link(4, 7);
    let mut rng = ChaCha20Rng::seed_from_u64(5);
    let count = 10_007;
    let choices = words(count, &mut rng);
    let chosen = receiver.receive_random(&mut one_end, &choices, count).unwrap();
    let [zero, one] = sender.send_random(&mut zero_end, count).unwrap();
    for i in 0..count {
        let pair = [zero[i], one[i]];
        assert_eq!(chosen[i], pair[usize::from(bit(&choices, i))]);
        assert_ne!(chosen[i], pair[usize::from(!bit(&choices, i))]);
    }
    assert_eq!(one_end.bytes_sent(), FieldBits::default().extension_bytes(count) as u64);
    assert_eq!(zero_end.bytes_sent(), 0);
    assert_eq!(zero_end.rounds(), 1);
}

#[test]
fn no_batch_repeats_a_row() {
    let (mut sender, mut receiver) = link(2, 8);
    let (mut zero_end, mut one_end) = memory::pair();
    let mut all = Vec::new();
    for _ in 0..4 {
        receiver.receive_correlated(&mut one_end, &[0; 4], 200).unwrap();
        all.extend_from_slice(&sender.send_correlated(&mut zero_end, 200).unwrap().correlated());
    }
    all.sort_unstable();
    assert!(all.windows(2).all(|pair| pair[0] != pair[1]));
}

/// `ones` of `total` fair coins, within five standard deviations.
fn assert_balanced(ones: usize, total: usize, what: &str) {
    let (mean, deviation) = (total as f64 / 2.0, (total as f64).sqrt() / 2.0);
    assert!((ones as f64 - mean).abs() < 5.0 * deviation, "{what}: {ones} of {total}");
}

#[test]
fn the_extension_message_shows_nothing_of_the_choices() {
    let count = 8192;
    for k in [1, 4, 8] {
        for pattern in [0, u64::MAX, 0x5555_5555_5555_5555] {
            let (_, mut receiver) = link(k, 11);
            let choices = vec![pattern; count / 64];
            let (_, message) = receiver.extend(&choices, count).unwrap();
            for (block, bits) in message.chunks_exact(count / 8).enumerate() {
                let words: Vec<u64> =
                    bits.chunks_exact(8).map(|word| u64::from_le_bytes(word.try_into().unwrap())).collect();
                let ones: u32 = words.iter().map(|word| word.count_ones()).sum();
                assert_balanced(ones as usize, count, &format!("ones of block {block}"));
                let agree: u32 = words.iter().map(|word| (!(word ^ pattern)).count_ones()).sum();
                assert_balanced(
                    agree as usize,
                    count,
                    &format!("agreement of block {block} with the choices"),
                );
            }
            // No two blocks may share a mask: their XOR would then be zero, whatever the choices are.
            let blocks: Vec<&[u8]> = message.chunks_exact(count / 8).collect();
            for pair in blocks.windows(2) {
                let differ: u32 = pair[0].iter().zip(pair[1]).map(|(a, b)| (a ^ b).count_ones()).sum();
                assert_balanced(differ as usize, count, "difference of two blocks");
            }
        }
    }
}

#[test]
fn the_message_not_chosen_looks_random_to_the_receiver() {
    let count = 8192;
    let choices = words(count, &mut ChaCha20Rng::seed_from_u64(1));
    // A batch gives either its rows or its messages: the same link is set up for each.
    let batch = || {
        let (mut sender, mut receiver) = link(4, 12);
        let (t, message) = receiver.extend(&choices, count).unwrap();
        (t, sender.extend(count, &message).unwrap())
    };
    let rows = batch().0.correlated();
    let (t, q) = batch();
    let (chosen, [zero, one]) = (t.messages(), q.messages());
    for column in 0..128 {
        let bit_of = |value: u128| (value >> column & 1) as usize;
        let other = |i: usize| if bit(&choices, i) { zero[i] } else { one[i] };
        let ones: usize = (0..count).map(|i| bit_of(other(i))).sum();
        assert_balanced(ones, count, "ones of the other message");
        let differ: usize = (0..count).map(|i| bit_of(other(i) ^ chosen[i])).sum();
        assert_balanced(differ, count, "difference of both messages");
        let differ: usize = (0..count).map(|i| bit_of(other(i) ^ rows[i])).sum();
        assert_balanced(differ, count, "difference of the other message and the row");
        // Hashing breaks the correlation: the difference of both messages is not the same in two transfers.
        let repeat: usize = (1..count).map(|i| bit_of(zero[i] ^ one[i] ^ zero[i - 1] ^ one[i - 1])).sum();
        assert_balanced(repeat, count - 1, "change of the difference");
    }
}

#[test]
fn a_malformed_extension_message_is_refused() {
    let count = 13;
    let (mut sender, mut receiver) = link(4, 13);
    let (_, message) = receiver.extend(&[0], count).unwrap();
    for length in [0, message.len() - 1, message.len() + 1] {
        let result = sender.extend(count, &vec![0; length]);
        assert!(matches!(result, Err(OtError::WrongLength { got, .. }) if got == length));
    }
    for block in [0, 31] {
        let mut changed = message.clone();
        changed[2 * block + 1] |= 0x20;
        assert!(matches!(sender.extend(count, &changed), Err(OtError::TrailingBits { .. })));
    }
    assert!(sender.extend(count, &message).is_ok());
}

#[test]
fn a_malformed_tree_message_is_refused() {
    let context = Context::new(&[1; 32], 0, 1);
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let field = FieldBits::default();
    let (sender, to_receiver) = SenderSetup::start(context, field, &mut rng);
    let (receiver, to_sender) = ReceiverSetup::start(context, field, &mut rng);
    let (_, mut trees) = receiver.finish(&to_receiver).unwrap();
    trees.pop();
    assert!(matches!(sender.finish(&to_sender, &trees), Err(OtError::WrongLength { .. })));
}

#[test]
fn arguments_out_of_range_are_errors() {
    assert!(FieldBits::new(0).is_err() && FieldBits::new(9).is_err());
    let (mut sender, mut receiver) = link(4, 14);
    assert!(matches!(receiver.extend(&[0], 65), Err(OtError::BadArgument { .. })));
    assert!(matches!(receiver.extend(&[], (1 << 26) + 1), Err(OtError::BadArgument { .. })));
    assert!(matches!(sender.extend((1 << 26) + 1, &[]), Err(OtError::BadArgument { .. })));
}

#[test]
fn messages_and_rows_match_the_golden_vectors() {
    for (k, message_sha256, rows_sha256, pads_sha256) in GOLDEN {
        let (mut sender, mut receiver) = link(k, 15);
        let count = 10_000;
        let choices = words(count, &mut ChaCha20Rng::seed_from_u64(16));
        let (t, message) = receiver.extend(&choices, count).unwrap();
        let q = sender.extend(count, &message).unwrap();
        let digest = |values: &[u128]| {
            hex(&Sha256::digest(values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>()))
        };
        assert_eq!(hex(&Sha256::digest(&message)), message_sha256, "message, k {k}");
        assert_eq!(digest(&q.correlated()), rows_sha256, "rows, k {k}");
        assert_eq!(digest(&t.messages()), pads_sha256, "messages, k {k}");
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// k, and SHA-256 of the extension message, of the sender's rows and of the receiver's messages.
const GOLDEN: [(u8, &str, &str, &str); 3] = [
    (
        1,
        "1534b8f96e1a790be03563bdbc99b8bef227a199defb92f755e1de83d7ff050f",
        "34de7fa296628db2c3d8f75611c92ffffc4d7b92e9ba7e5da92ab94db6926242",
        "7340dc797447a4e9e36e81c38c38854da7febbb7763a53603dddf311a46da874",
    ),
    (
        4,
        "6f79000934ec6db78691605e2a4330a4e099001245c18f494e1c47b1182da3ae",
        "f50467b525e80769fc2c0a62fb694dbc43e3c356880453fb3d6a9e989a2f9d35",
        "04d664aca6781e826df93c89d21a98899251423957de2ebe1ff93eac9d90a9b1",
    ),
    (
        7,
        "42ce3db88e1ffdd59d4ebc944e38dd4f250acda06edd688c81b6ed9f6c33a022",
        "b10f3b09e54d1570c672aa50dbc62b15413fb210a853bc415f22208b8985c86f",
        "6fce613fcb52c109204d50ec2806edcc39726d2ed8821295c045b6d57dd0cf87",
    ),
];
