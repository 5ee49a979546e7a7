//! Links between parties: extension in both directions, and the run of products over all links at once.

use crate::channel::{Channel, receive};
use crate::error::OtError;
use crate::extension::{
    ExtensionReceiver, ExtensionSender, FieldBits, ReceiverRows, ReceiverSetup, SenderSetup,
};
use crate::product::CrossProduct;
use crate::session::Context;
use rand_core::CryptoRng;

/// A peer with whom transfers can be extended in both directions.
pub struct Link<C> {
    channel: C,
    sender: ExtensionSender,
    receiver: ExtensionReceiver,
}

/// A link without its channel: at rest between two calls that lend it one.
pub struct LinkState {
    peer: u8,
    sender: ExtensionSender,
    receiver: ExtensionReceiver,
}

impl LinkState {
    /// The party at the other end.
    pub fn peer(&self) -> u8 {
        self.peer
    }

    /// The link over a channel to the same peer.
    pub fn attach<C: Channel>(self, channel: C) -> Link<C> {
        debug_assert_eq!(channel.peer(), self.peer);
        Link { channel, sender: self.sender, receiver: self.receiver }
    }
}

/// Traffic that an operation declares, and that its tests measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Cost {
    /// Bytes that this party sends to each peer.
    pub bytes_per_peer: u64,
    /// Rounds: the longest chain of dependent messages.
    pub rounds: u64,
}

/// What the set-up of one link sends each way: two messages, two rounds.
pub fn setup_cost(field: FieldBits) -> Cost {
    let bytes = field.sender_setup_bytes() + field.receiver_setup_bytes();
    Cost { bytes_per_peer: bytes as u64, rounds: 2 }
}

/// Sets up a link over each of `channels`, for party `me`. All parties call this with the same `session` bytes,
/// which no earlier run has used.
///
/// Returns the links by rising number of the peer. Two rounds; [`setup_cost`] bytes to each peer. Both directions of all links run at the same time.
///
/// # Errors
/// [`OtError`] if a channel fails, a message is malformed, or a peer runs another session.
pub fn connect<C: Channel>(
    channels: Vec<C>,
    session: &[u8; 32],
    me: u8,
    field: FieldBits,
    rng: &mut impl CryptoRng,
) -> Result<Vec<Link<C>>, OtError> {
    let mut pending = Vec::with_capacity(channels.len());
    for mut channel in channels {
        let peer = channel.peer();
        let (sender, choose) = SenderSetup::start(Context::new(session, me, peer), field, rng);
        let (receiver, offer) = ReceiverSetup::start(Context::new(session, peer, me), field, rng);
        channel.send([choose, offer].concat())?;
        pending.push((channel, sender, receiver));
    }
    let mut waiting = Vec::with_capacity(pending.len());
    for (mut channel, sender, receiver) in pending {
        let choose = field.sender_setup_bytes();
        let message = receive(&mut channel, "base", choose + crate::base::SENDER_BYTES)?;
        let (choose, offer) = message.split_at(choose);
        let (receiver, trees) = receiver.finish(choose)?;
        channel.send(trees)?;
        waiting.push((channel, sender, offer.to_vec(), receiver));
    }
    let mut links = Vec::with_capacity(waiting.len());
    for (mut channel, sender, offer, receiver) in waiting {
        let trees = receive(&mut channel, "tree", field.tree_bytes())?;
        links.push(Link { channel, sender: sender.finish(&offer, &trees)?, receiver });
    }
    links.sort_by_key(Link::peer);
    Ok(links)
}

impl<C: Channel> Link<C> {
    /// The party at the other end.
    pub fn peer(&self) -> u8 {
        self.channel.peer()
    }

    /// Gives the channel back; what remains must meet the same peer again.
    pub fn detach(self) -> LinkState {
        LinkState { peer: self.channel.peer(), sender: self.sender, receiver: self.receiver }
    }

    /// The channel, to read its counters.
    pub fn channel(&self) -> &C {
        &self.channel
    }

    /// The channel and both ends of the extension, for protocols of the caller's own.
    pub fn parts(&mut self) -> (&mut C, &mut ExtensionSender, &mut ExtensionReceiver) {
        (&mut self.channel, &mut self.sender, &mut self.receiver)
    }

    /// The field parameter of the link.
    pub fn field_bits(&self) -> FieldBits {
        self.receiver.field_bits()
    }

    /// This party chooses: sends the extension message.
    pub(crate) fn choose(&mut self, choices: &[u64], count: usize) -> Result<ReceiverRows, OtError> {
        let (rows, message) = self.receiver.extend(choices, count)?;
        self.channel.send(message)?;
        Ok(rows)
    }

    /// This party sends: reads the extension message, answers with corrections.
    pub(crate) fn correct<P: CrossProduct>(&mut self, product: &mut P, chunk: usize) -> Result<(), OtError> {
        let count = product.transfers(chunk);
        let expected = self.sender.field_bits().extension_bytes(count);
        let message = receive(&mut self.channel, "extension", expected)?;
        let rows = self.sender.extend(count, &message)?;
        let corrections = product.send(chunk, &rows);
        self.channel.send(corrections)?;
        Ok(())
    }

    /// This party chose: reads the corrections.
    pub(crate) fn conclude<P: CrossProduct>(
        &mut self,
        product: &mut P,
        chunk: usize,
        rows: &ReceiverRows,
    ) -> Result<(), OtError> {
        let expected = product.correction_bytes(chunk);
        let corrections = receive(&mut self.channel, "correction", expected)?;
        product.receive(chunk, rows, &corrections)
    }
}

/// Refuses links that are not in rising order of their peers, or lead to this party itself.
pub(crate) fn in_order<C: Channel>(links: &[Link<C>], me: u8) -> Result<(), OtError> {
    if links.windows(2).any(|pair| pair[0].peer() >= pair[1].peer()) || links.iter().any(|l| l.peer() == me) {
        return Err(OtError::BadArgument {
            what: "the order of the links of party",
            got: u64::from(me),
            wanted: "by rising number of the peer, this party not among them",
        });
    }
    Ok(())
}

/// What [`exchange`] sends to each peer.
pub fn exchange_cost(product: &impl CrossProduct, field: FieldBits) -> Cost {
    let chunks = product.chunks();
    let bytes: usize = (0..chunks)
        .map(|chunk| field.extension_bytes(product.transfers(chunk)) + product.correction_bytes(chunk))
        .sum();
    Cost { bytes_per_peer: bytes as u64, rounds: if chunks == 0 { 0 } else { chunks as u64 + 1 } }
}

/// Adds to `product` this party's shares of all cross terms with all peers, in both roles.
///
/// Chunk by chunk: choice bits to all peers, corrections to all peers, corrections from all peers. The choice
/// bits of the next chunk go out before this chunk's corrections come in, so n chunks take n + 1 rounds.
///
/// # Errors
/// [`OtError`] if a channel fails or a message is malformed; the product is then of no use.
pub fn exchange<C: Channel, P: CrossProduct>(links: &mut [Link<C>], product: &mut P) -> Result<(), OtError> {
    let all = Roles { chooses_to: |_, _| true, corrects_for: |_, _| true };
    exchange_by(links, std::slice::from_mut(product), &all)
}

/// In which products (by index) and with which peers this party takes each role of an exchange. The peers' views must agree.
pub(crate) struct Roles<A, B> {
    /// This party sends choice bits to these.
    pub(crate) chooses_to: A,
    /// This party answers the choice bits of these.
    pub(crate) corrects_for: B,
}

/// As [`exchange`], for several products in the rounds of the longest, with some of the roles only.
pub(crate) fn exchange_by<C: Channel, P: CrossProduct>(
    links: &mut [Link<C>],
    products: &mut [P],
    roles: &Roles<impl Fn(usize, u8) -> bool, impl Fn(usize, u8) -> bool>,
) -> Result<(), OtError> {
    let chunks = products.iter().map(CrossProduct::chunks).max().unwrap_or(0);
    let mut chosen = choose_all(links, products, 0, &roles.chooses_to)?;
    for chunk in 0..chunks {
        for (index, product) in products.iter_mut().enumerate().filter(|(_, p)| chunk < p.chunks()) {
            for link in links.iter_mut().filter(|link| (roles.corrects_for)(index, link.peer())) {
                link.correct(product, chunk)?;
            }
        }
        let next = choose_all(links, products, chunk + 1, &roles.chooses_to)?;
        for choice in std::mem::replace(&mut chosen, next) {
            links[choice.link].conclude(&mut products[choice.product], chunk, &choice.rows)?;
        }
    }
    Ok(())
}

/// What this party keeps of its choice bits until the corrections come.
struct Choice {
    product: usize,
    link: usize,
    rows: ReceiverRows,
}

/// Sends this party's choice bits of one chunk of every product that has it.
fn choose_all<C: Channel, P: CrossProduct>(
    links: &mut [Link<C>],
    products: &[P],
    chunk: usize,
    chooses_to: impl Fn(usize, u8) -> bool,
) -> Result<Vec<Choice>, OtError> {
    let mut chosen = Vec::new();
    for (index, product) in products.iter().enumerate().filter(|(_, p)| chunk < p.chunks()) {
        let mut choices = None;
        for (at, link) in links.iter_mut().enumerate() {
            if chooses_to(index, link.peer()) {
                let choices = choices.get_or_insert_with(|| product.choices(chunk));
                let rows = link.choose(choices, product.transfers(chunk))?;
                chosen.push(Choice { product: index, link: at, rows });
            }
        }
    }
    Ok(chosen)
}
