//! Oblivious transfer and its extension; Beaver triples without a dealer.
//!
//! Secure against all parties but one colluding, semi-honest. PROTOCOL.md beside this crate's manifest gives messages,
//! bits, rounds, the security argument and the differences from the papers.
//!
//! | layer | module | from | to |
//! |---|---|---|---|
//! | base transfers | [`base`] | ristretto255 | 128 random transfers |
//! | extension | [`extension`] | 128 transfers | any number, 128/k bits each |
//! | products | [`product`] | transfers | shares of x·y for two parties |
//! | links | [`link`] | channels | products between all pairs at once |
//! | triples | [`triples`] | links | Beaver triples: elements, matrices, bits |
//! | shared bits | [`dabit`] | links | bits shared by XOR and modulo 2^L |
//! | selections | [`times_bits`] | links | shares of a shared bit times a shared value |
//! | the protocol | [`preprocessing`] | all of these | the correlated randomness of the online phase |
//!
//! Local halves and network halves are apart: [`extension::ExtensionSender::extend`],
//! [`extension::ExtensionReceiver::extend`] and [`product::CrossProduct`] take and give messages and know no channel.
//!
//! ```
//! use tercet_ot::{channel::memory, extension::FieldBits, fresh_rng, link, product::Ring, triples};
//!
//! let session = [7; 32]; // agreed by both parties, fresh for every run
//! let made: Vec<_> = std::thread::scope(|scope| {
//!     let party = |(me, channels)| {
//!         scope.spawn(move || {
//!             let mut rng = fresh_rng()?;
//!             let mut links = link::connect(channels, &session, me, FieldBits::default(), &mut rng)?;
//!             triples::triples(&mut links, Ring::FULL, 10, &mut rng)
//!         })
//!     };
//!     let threads: Vec<_> = (0u8..).zip(memory::mesh(3)).map(party).collect();
//!     threads.into_iter().map(|thread| thread.join().unwrap().unwrap()).collect()
//! });
//! let sum = |share: fn(&triples::Triples) -> u64| made.iter().map(share).fold(0, u64::wrapping_add);
//! assert_eq!(sum(|t| t.c[0]), sum(|t| t.a[0]).wrapping_mul(sum(|t| t.b[0])));
//! ```

pub mod base;
pub mod channel;
pub mod dabit;
mod error;
pub mod extension;
mod fold;
mod kernel;
pub mod link;
mod pprf;
pub mod preprocessing;
pub mod product;
mod secret;
mod session;
pub mod times_bits;
pub mod triples;

pub use error::{ChannelError, OtError};
pub use secret::{LocalRng, Secret, fresh_rng};
pub use session::Context;
