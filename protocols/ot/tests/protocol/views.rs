//! What one party sees of the others' operands.

use crate::parties::{run, sum};
use tercet_ot::extension::{ReceiverRows, SenderRows};
use tercet_ot::link::exchange;
use tercet_ot::product::{
    ChoiceSide, CrossProduct, Elementwise, MatrixPlan, MatrixProduct, MatrixShape, Ring,
};
use tercet_ot::{OtError, Secret, triples};

#[test]
fn corrections_look_uniform_whatever_the_payload_is() {
    // A payload of zeros is masked as well as any: every correction bit is a fair coin.
    let n = 512;
    let views = run(2, 4, 50, |party| {
        let mut z = vec![0; n];
        let zeros = vec![0; n];
        let mut product =
            Recorder { inner: Elementwise::new(Ring::FULL, &zeros, &zeros, &mut z)?, seen: Vec::new() };
        exchange(&mut party.links, &mut product)?;
        let elementwise = product.seen;
        let shape = MatrixShape { rows: 2, inner: 2, columns: 256 };
        let plan = MatrixPlan::new(shape, Ring::FULL, ChoiceSide::Left, 4).unwrap();
        let (a, b) = (vec![0; 4], vec![0; 512]);
        let mut product = Recorder { inner: MatrixProduct::new(plan, &a, &b)?, seen: Vec::new() };
        exchange(&mut party.links, &mut product)?;
        Ok((elementwise, product.seen))
    });
    for (elementwise, matrix) in views {
        for bytes in [elementwise, matrix] {
            let ones: u32 = bytes.iter().map(|byte| byte.count_ones()).sum();
            let (total, ones) = (8.0 * bytes.len() as f64, f64::from(ones));
            assert!(
                total > 100_000.0 && (ones - total / 2.0).abs() < 2.5 * total.sqrt(),
                "{ones} of {total}"
            );
            let repeats = bytes.windows(2).filter(|pair| pair[0] == pair[1]).count() as f64;
            let expected = bytes.len() as f64 / 256.0;
            assert!(
                (repeats - expected).abs() < 5.0 * expected.sqrt(),
                "{repeats} repeats, {expected} expected"
            );
        }
    }
}

#[test]
fn one_partys_shares_of_a_product_are_balanced() {
    // With all-zero operands the product is zero, yet each share must look random.
    let n = 4096;
    let shares = run(3, 4, 51, |party| {
        let zeros = vec![0; n];
        triples::multiply(&mut party.links, Ring::FULL, &zeros, &zeros).map(|c| c.to_vec())
    });
    for share in &shares {
        for bit in 0..64 {
            let ones = share.iter().filter(|c| **c >> bit & 1 == 1).count() as f64;
            assert!((ones - n as f64 / 2.0).abs() < 2.5 * (n as f64).sqrt(), "bit {bit}: {ones} of {n}");
        }
    }
    assert!(sum(Ring::FULL, shares.iter().map(Vec::as_slice)).iter().all(|c| *c == 0));
}

/// A product that keeps the corrections it receives: the receiver's view.
struct Recorder<P> {
    inner: P,
    seen: Vec<u8>,
}

impl<P: CrossProduct> CrossProduct for Recorder<P> {
    fn chunks(&self) -> usize {
        self.inner.chunks()
    }
    fn transfers(&self, chunk: usize) -> usize {
        self.inner.transfers(chunk)
    }
    fn correction_bytes(&self, chunk: usize) -> usize {
        self.inner.correction_bytes(chunk)
    }
    fn choices(&self, chunk: usize) -> Secret<u64> {
        self.inner.choices(chunk)
    }
    fn send(&mut self, chunk: usize, rows: &SenderRows) -> Vec<u8> {
        self.inner.send(chunk, rows)
    }
    fn receive(&mut self, chunk: usize, rows: &ReceiverRows, corrections: &[u8]) -> Result<(), OtError> {
        self.seen.extend_from_slice(corrections);
        self.inner.receive(chunk, rows, corrections)
    }
}
