//! Bodies of the protocols' messages: packed ring elements, packed bits, dealt parts, and base oblivious transfers.

use tercet_online::material::{decode, encode};
use tercet_online::plan::Part;
use tercet_ot::base::{BaseReceiver, BaseSender};
use tercet_ot::{Context, fresh_rng};
use tercet_share::{PackedBits, kernel};

/// The first three bytes choose what is read, the width and the number; the rest is the message, whole.
pub(crate) fn run(bytes: &[u8]) -> bool {
    let Some((&[choice, width, n], bytes)) = bytes.split_first_chunk::<3>() else { return false };
    let (n, width) = (usize::from(n), 1 + u32::from(width) % 64);
    let mut again = Vec::new();
    let taken = match choice % 5 {
        0 => {
            let (mut elements, mut sums) = (vec![0; n], vec![0; n]);
            let taken = kernel::unpack(bytes, width, &mut elements).is_ok();
            assert_eq!(kernel::unpack_add(bytes, width, &mut sums).is_ok(), taken);
            if taken {
                assert_eq!(elements, sums);
                kernel::pack(&elements, width, &mut again);
            }
            taken
        }
        1 => PackedBits::from_bytes(n, bytes).inspect(|bits| bits.to_bytes(&mut again)).is_some(),
        kind => {
            let part = match kind {
                2 => Part::Elements { n, bits: width },
                3 => Part::Bits { n },
                _ => Part::OneHot { n, width: 1 + width % 4 },
            };
            // A message is cut into parts of their own lengths before they are read.
            let dealt = (bytes.len() == part.bytes()).then(|| decode(&part, bytes)).flatten();
            dealt.inspect(|dealt| encode(dealt, &part, &mut again)).is_some()
        }
    };
    assert!(!taken || again == bytes, "a message has one spelling");
    taken
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let message =
        |choice: u8, width: u8, n: u8, bytes: usize| [&[choice, width, n][..], &vec![1; bytes]].concat();
    vec![
        message(0, 19, 8, 20),
        message(0, 63, 2, 16),
        message(1, 0, 16, 2),
        message(2, 59, 4, 30),
        message(3, 0, 24, 3),
        message(4, 0, 3, 2),
        message(4, 2, 3, 6),
    ]
}

/// Transfers of one run here.
const COUNT: usize = 2;
const SESSION: [u8; 32] = [4; 32];

thread_local! {
    static MESSAGES: [Vec<u8>; 2] = [sender().1, receiver().1];
}

fn sender() -> (BaseSender, Vec<u8>) {
    BaseSender::start(Context::new(&SESSION, 0, 1), COUNT, &mut fresh_rng().expect("randomness"))
}

fn receiver() -> (BaseReceiver, Vec<u8>) {
    BaseReceiver::start(Context::new(&SESSION, 0, 1), &[0, 1], &mut fresh_rng().expect("randomness"))
}

/// The first byte chooses who reads: the sender, or the receiver.
pub(crate) fn run_base(bytes: &[u8]) -> bool {
    let Some((choice, bytes)) = bytes.split_first() else { return false };
    match choice & 1 {
        0 => sender().0.finish(bytes).is_ok_and(|(keys, _)| keys.len() == COUNT),
        _ => receiver().0.finish(bytes).is_ok_and(|(keys, _)| keys.len() == COUNT),
    }
}

pub(crate) fn base_seeds() -> Vec<Vec<u8>> {
    MESSAGES.with(|messages| vec![[&[1][..], &messages[0]].concat(), [&[0][..], &messages[1]].concat()])
}
