//! The products of shares that preprocessing is made of, over links or counted only.

use crate::channel::Channel;
use crate::dabit;
use crate::error::OtError;
use crate::extension::FieldBits;
use crate::link::{self, Link};
use crate::product::{Ands, Elementwise, MatrixPlan, Moduli, Ring};
use crate::secret::Secret;
use crate::times_bits::{Selection, times_bits, times_bits_cost};
use crate::triples::{self, Owned};

/// Products of shares. All operands and results are this party's shares; bits are packed 64 to a word.
pub trait Correlations {
    /// The field parameter of the extension.
    fn field(&self) -> FieldBits;

    /// True at the party that adds public terms.
    fn first(&self) -> bool;

    /// This party's number.
    fn me(&self) -> u8;

    /// True if nothing is made, only counted: pads that were never drawn count as zeros.
    fn counts_only(&self) -> bool {
        false
    }

    /// XOR shares of a ∧ b for `count` bits.
    ///
    /// # Errors
    /// As [`triples::and`].
    fn and(&mut self, count: usize, a: &[u64], b: &[u64]) -> Result<Secret<u64>, OtError>;

    /// Additive shares of bits shared by exclusive or.
    ///
    /// # Errors
    /// As [`dabit::to_ring`].
    fn to_ring(&mut self, moduli: Moduli, count: usize, bits: &[u64]) -> Result<Secret<u64>, OtError>;

    /// Additive shares of b·x for every selection, b shared by exclusive or.
    ///
    /// # Errors
    /// As [`times_bits`].
    fn times_bits(&mut self, selections: &[Selection<'_>]) -> Result<Vec<Secret<u64>>, OtError>;

    /// Additive shares of element-wise products.
    ///
    /// # Errors
    /// As [`triples::multiply`].
    fn multiply(&mut self, ring: Ring, a: &[u64], b: &[u64]) -> Result<Secret<u64>, OtError>;

    /// Additive shares of a matrix product.
    ///
    /// # Errors
    /// As [`triples::matmul`].
    fn matmul(&mut self, plan: MatrixPlan, a: &[u64], b: &[u64]) -> Result<Secret<u64>, OtError>;

    /// Additive shares of matrix products whose left operands one party alone holds.
    ///
    /// # Errors
    /// As [`triples::owned_matmul`].
    fn owned_matmul(&mut self, products: &[Owned<'_>]) -> Result<Vec<Secret<u64>>, OtError>;
}

/// Products over links, for party `me`.
pub struct Linked<'a, C> {
    /// Links to all peers, by rising number.
    pub links: &'a mut [Link<C>],
    /// This party's number.
    pub me: u8,
    /// The field parameter.
    pub field: FieldBits,
}

impl<C: Channel> Correlations for Linked<'_, C> {
    fn field(&self) -> FieldBits {
        self.field
    }

    fn first(&self) -> bool {
        self.links.iter().all(|link| link.peer() > self.me)
    }

    fn me(&self) -> u8 {
        self.me
    }

    fn and(&mut self, count: usize, a: &[u64], b: &[u64]) -> Result<Secret<u64>, OtError> {
        triples::and(self.links, count, a, b)
    }

    fn to_ring(&mut self, moduli: Moduli, count: usize, bits: &[u64]) -> Result<Secret<u64>, OtError> {
        dabit::to_ring(self.links, self.me, moduli, count, bits)
    }

    fn times_bits(&mut self, selections: &[Selection<'_>]) -> Result<Vec<Secret<u64>>, OtError> {
        times_bits(self.links, self.me, selections)
    }

    fn multiply(&mut self, ring: Ring, a: &[u64], b: &[u64]) -> Result<Secret<u64>, OtError> {
        triples::multiply(self.links, ring, a, b)
    }

    fn matmul(&mut self, plan: MatrixPlan, a: &[u64], b: &[u64]) -> Result<Secret<u64>, OtError> {
        triples::matmul(self.links, plan, a, b)
    }

    fn owned_matmul(&mut self, products: &[Owned<'_>]) -> Result<Vec<Secret<u64>>, OtError> {
        triples::owned_matmul(self.links, self.me, products)
    }
}

/// Parties of the protocol.
pub const PARTIES: usize = 3;

/// Adds up what products would send from each party to each other, and makes zeros.
pub struct Counted {
    /// The field parameter.
    pub field: FieldBits,
    /// Bytes from each party to each other.
    pub bytes: [[u64; PARTIES]; PARTIES],
}

impl Counted {
    /// A counter at zero.
    pub fn new(field: FieldBits) -> Counted {
        Counted { field, bytes: Default::default() }
    }

    fn add_to_each(&mut self, bytes: u64) {
        for (from, row) in self.bytes.iter_mut().enumerate() {
            for (to, sum) in row.iter_mut().enumerate() {
                *sum += if from == to { 0 } else { bytes };
            }
        }
    }
}

impl Correlations for Counted {
    fn field(&self) -> FieldBits {
        self.field
    }

    fn first(&self) -> bool {
        true
    }

    fn me(&self) -> u8 {
        0
    }

    fn counts_only(&self) -> bool {
        true
    }

    fn and(&mut self, count: usize, a: &[u64], b: &[u64]) -> Result<Secret<u64>, OtError> {
        let mut z = Secret::zeros(a.len());
        let cost = link::exchange_cost(&Ands::new(count, a, b, &mut z)?, self.field);
        self.add_to_each(cost.bytes_per_peer);
        Ok(z)
    }

    fn to_ring(&mut self, moduli: Moduli, count: usize, _bits: &[u64]) -> Result<Secret<u64>, OtError> {
        let (choices, corrections) = dabit::to_ring_messages(moduli, self.field, count);
        for from in 0..PARTIES {
            for to in 0..PARTIES {
                self.bytes[from][to] += match to.cmp(&from) {
                    std::cmp::Ordering::Less => choices,
                    std::cmp::Ordering::Equal => 0,
                    std::cmp::Ordering::Greater => corrections,
                };
            }
        }
        Ok(Secret::zeros(count))
    }

    fn times_bits(&mut self, selections: &[Selection<'_>]) -> Result<Vec<Secret<u64>>, OtError> {
        let made = selections.iter().map(|s| {
            self.add_to_each(times_bits_cost(PARTIES, s.ring, self.field, s.values.len()).bytes_per_peer);
            Secret::zeros(s.values.len())
        });
        Ok(made.collect())
    }

    fn multiply(&mut self, ring: Ring, a: &[u64], b: &[u64]) -> Result<Secret<u64>, OtError> {
        let mut z = Secret::zeros(a.len());
        let cost = link::exchange_cost(&Elementwise::new(ring, a, b, &mut z)?, self.field);
        self.add_to_each(cost.bytes_per_peer);
        Ok(z)
    }

    fn matmul(&mut self, plan: MatrixPlan, _a: &[u64], _b: &[u64]) -> Result<Secret<u64>, OtError> {
        self.add_to_each(plan.cost(self.field).bytes_per_peer);
        Ok(Secret::zeros(plan.shape().result()))
    }

    fn owned_matmul(&mut self, products: &[Owned<'_>]) -> Result<Vec<Secret<u64>>, OtError> {
        let made = products.iter().map(|p| {
            let [from_owner, to_owner] = triples::owned_matmul_messages(p.plan, self.field);
            let owner = usize::from(p.owner);
            for other in (0..PARTIES).filter(|&other| other != owner) {
                self.bytes[owner][other] += from_owner;
                self.bytes[other][owner] += to_owner;
            }
            Secret::zeros(p.plan.shape().result())
        });
        Ok(made.collect())
    }
}
