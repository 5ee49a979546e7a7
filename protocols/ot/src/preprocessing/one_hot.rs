//! One-hot vectors of digits from their shared bits.
//!
//! The vector of two halves is the outer product of their vectors. Entries of a one-hot vector add up to one, so that of
//! p × q products only (p − 1)·(q − 1) take a conjunction: 11 for a digit of four bits, in two steps.

use tercet_share::PackedBits;

/// The one-hot vectors of many digits, made in two steps of conjunctions.
pub(super) struct OneHots<'a> {
    /// The bits of each digit in halves of one or two, lowest first.
    halves: Vec<Vec<&'a [PackedBits]>>,
    /// The vectors of the halves, after the first step.
    vectors: Vec<Vec<Vec<PackedBits>>>,
    /// The products of entries of both halves, after the second step.
    products: Vec<PackedBits>,
    step: usize,
    first: bool,
}

impl<'a> OneHots<'a> {
    /// Of digits by their bits, lowest first, one to four; `first` at the party that adds public terms.
    pub(super) fn new(digits: &[&'a [PackedBits]], first: bool) -> OneHots<'a> {
        let halves = digits.iter().map(|bits| bits.chunks(2).collect()).collect();
        OneHots { halves, vectors: Vec::new(), products: Vec::new(), step: 0, first }
    }

    /// Whether no step is left.
    pub(super) fn done(&self) -> bool {
        self.step >= 2
    }

    /// The conjunctions of the next step; none after the last.
    pub(super) fn pairs(&self) -> Vec<(&PackedBits, &PackedBits)> {
        let mut pairs = Vec::new();
        match self.step {
            0 => {
                let both = self.halves.iter().flatten().filter(|half| half.len() == 2);
                pairs.extend(both.map(|half| (&half[1], &half[0])));
            }
            1 => {
                for vector in &self.vectors {
                    if let [low, high] = vector.as_slice() {
                        for h in &high[1..] {
                            pairs.extend(low[1..].iter().map(|l| (h, l)));
                        }
                    }
                }
            }
            _ => {}
        }
        pairs
    }

    /// Takes the results of that step.
    pub(super) fn absorb(&mut self, products: Vec<PackedBits>) {
        match self.step {
            0 => {
                let mut both = products.into_iter();
                let mut of = |half: &&[PackedBits]| half_vector(half, &mut both, self.first);
                self.vectors =
                    self.halves.iter().map(|halves| halves.iter().map(&mut of).collect()).collect();
            }
            1 => self.products = products,
            _ => {}
        }
        self.step += 1;
    }

    /// For every digit the shares of its one-hot vectors, entry v in bit v of a word.
    pub(super) fn finish(self) -> Vec<Vec<u16>> {
        let mut products = self.products.into_iter();
        let pack_one = |vector: &Vec<Vec<PackedBits>>| match vector.as_slice() {
            [low, high] => pack(&outer(low, high, &mut products)),
            [low] => pack(low),
            _ => Vec::new(),
        };
        self.vectors.iter().map(pack_one).collect()
    }
}

/// Entries of one or two bits; `both` gives the conjunction of two.
fn half_vector(
    bits: &[PackedBits],
    both: &mut impl Iterator<Item = PackedBits>,
    first: bool,
) -> Vec<PackedBits> {
    let not = |x: &PackedBits| {
        let mut x = x.clone();
        if first {
            x.not_assign();
        }
        x
    };
    let xor = |x: &PackedBits, y: &PackedBits| {
        let mut x = x.clone();
        x.xor_assign(y);
        x
    };
    match bits {
        [bit] => vec![not(bit), bit.clone()],
        [low, high] => {
            let both = both.next().expect("one conjunction for every pair of bits");
            let (one, two) = (xor(low, &both), xor(high, &both));
            let zero = not(&xor(&xor(low, high), &both));
            vec![zero, one, two, both]
        }
        _ => Vec::new(),
    }
}

/// Entry h·|low| + l of the outer product; `products` gives those with h, l ≥ 1.
fn outer(
    low: &[PackedBits],
    high: &[PackedBits],
    products: &mut impl Iterator<Item = PackedBits>,
) -> Vec<PackedBits> {
    let mut out: Vec<PackedBits> = Vec::with_capacity(low.len() * high.len());
    out.extend(low.iter().cloned());
    for h in &high[1..] {
        let row = out.len();
        out.push(h.clone());
        for l in 1..low.len() {
            let entry = products.next().expect("one conjunction for every entry with both halves above zero");
            out[row].xor_assign(&entry);
            out[l].xor_assign(&entry);
            out.push(entry);
        }
    }
    // Row 0 holds low less all other rows; its entry 0 lacks the first column of the others.
    for h in 1..high.len() {
        let column = out[h * low.len()].clone();
        out[0].xor_assign(&column);
    }
    out
}

fn pack(entries: &[PackedBits]) -> Vec<u16> {
    let n = entries.first().map_or(0, PackedBits::len);
    let mut words = vec![0u16; n];
    for (v, entry) in entries.iter().enumerate() {
        for (chunk, bits) in words.chunks_mut(64).zip(entry.words()) {
            for (i, word) in chunk.iter_mut().enumerate() {
                *word |= ((bits >> i & 1) as u16) << v;
            }
        }
    }
    words
}
