//! Values of any width in a row of bits, lowest bit first, no gaps.

use crate::error::OtError;

/// Writes values of up to 64 bits.
pub(super) struct Packer<'a> {
    out: &'a mut [u8],
    held: u128,
    bits: u32,
}

impl<'a> Packer<'a> {
    /// Writes into `out`, which must hold exactly the bits to come, rounded up to bytes.
    pub(super) fn new(out: &'a mut [u8]) -> Self {
        Self { out, held: 0, bits: 0 }
    }

    /// Appends the low `width` bits of `value`, which has no others.
    #[inline]
    pub(super) fn push(&mut self, value: u64, width: usize) {
        debug_assert!(width == 64 || value >> width == 0);
        self.held |= u128::from(value) << self.bits;
        self.bits += width as u32;
        if self.bits >= 64 {
            let (head, rest) = std::mem::take(&mut self.out).split_at_mut(8);
            head.copy_from_slice(&(self.held as u64).to_le_bytes());
            self.out = rest;
            self.held >>= 64;
            self.bits -= 64;
        }
    }

    /// Writes what is left.
    pub(super) fn finish(self) {
        debug_assert_eq!(self.out.len(), self.bits.div_ceil(8) as usize);
        self.out.copy_from_slice(&self.held.to_le_bytes()[..self.out.len()]);
    }
}

/// Reads what [`Packer`] wrote. Reading past the end gives zeros; callers check lengths first.
pub(super) struct Unpacker<'a> {
    input: &'a [u8],
    held: u128,
    bits: u32,
}

impl<'a> Unpacker<'a> {
    pub(super) fn new(input: &'a [u8]) -> Self {
        Self { input, held: 0, bits: 0 }
    }

    /// The next `width` bits.
    #[inline]
    pub(super) fn pull(&mut self, width: usize) -> u64 {
        if width == 0 {
            return 0;
        }
        if self.bits < width as u32 {
            let (head, rest) = self.input.split_at(self.input.len().min(8));
            let mut word = [0; 8];
            word[..head.len()].copy_from_slice(head);
            self.held |= u128::from(u64::from_le_bytes(word)) << self.bits;
            self.bits += 64;
            self.input = rest;
        }
        let value = self.held as u64 & u64::MAX >> (64 - width);
        self.held >>= width;
        self.bits -= width as u32;
        value
    }

    /// Refuses input that goes on.
    pub(super) fn finish(self) -> Result<(), OtError> {
        if self.held == 0 && self.input.is_empty() {
            Ok(())
        } else {
            Err(OtError::TrailingBits { what: "correction" })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_was_packed_comes_out(values in proptest::collection::vec((any::<u64>(), 0usize..=64), 0..200)) {
            let values: Vec<_> = values.into_iter().map(|(v, w)| (if w == 0 { 0 } else { v & u64::MAX >> (64 - w) }, w)).collect();
            let bits: usize = values.iter().map(|(_, width)| width).sum();
            let mut out = vec![0xff; bits.div_ceil(8)];
            let mut packer = Packer::new(&mut out);
            for &(value, width) in &values {
                packer.push(value, width);
            }
            packer.finish();
            let mut unpacker = Unpacker::new(&out);
            for &(value, width) in &values {
                prop_assert_eq!(unpacker.pull(width), value);
            }
            prop_assert!(unpacker.finish().is_ok());
            if !bits.is_multiple_of(8) {
                *out.last_mut().unwrap() |= 0x80;
                let mut unpacker = Unpacker::new(&out);
                for &(_, width) in &values {
                    unpacker.pull(width);
                }
                prop_assert!(unpacker.finish().is_err());
            }
        }
    }
}
