//! One bit per element, 64 to a word.

use std::fmt;

use zeroize::Zeroize;

use crate::low_mask;

/// `len` bits in `ceil(len / 64)` words; bits past `len` are zero. Wiped on drop, never printed.
#[derive(Clone, Default)]
pub struct PackedBits {
    len: usize,
    words: Vec<u64>,
}

impl PackedBits {
    /// All zero.
    pub fn zeros(len: usize) -> PackedBits {
        PackedBits { len, words: vec![0; len.div_ceil(64)] }
    }

    /// All one.
    pub fn ones(len: usize) -> PackedBits {
        PackedBits::from_words(len, vec![u64::MAX; len.div_ceil(64)])
    }

    /// From words; bits past `len` are cleared.
    ///
    /// # Panics
    /// If `words` does not hold `ceil(len / 64)` words.
    pub fn from_words(len: usize, mut words: Vec<u64>) -> PackedBits {
        assert_eq!(words.len(), len.div_ceil(64), "{len} bits in {} words", words.len());
        if !len.is_multiple_of(64)
            && let Some(last) = words.last_mut()
        {
            *last &= low_mask((len % 64) as u32);
        }
        PackedBits { len, words }
    }

    /// The lowest bit of every element.
    pub fn from_lsb(values: &[u64]) -> PackedBits {
        let words = values
            .chunks(64)
            .map(|chunk| chunk.iter().enumerate().fold(0, |w, (i, v)| w | (v & 1) << i))
            .collect();
        PackedBits { len: values.len(), words }
    }

    /// Bit `i` as 0 or 1.
    pub fn bit(&self, i: usize) -> u64 {
        self.words[i / 64] >> (i % 64) & 1
    }

    /// Number of bits.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True if there are no bits.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The words; bits past `len` are zero.
    pub fn words(&self) -> &[u64] {
        &self.words
    }

    /// Bytes on the wire: `ceil(len / 8)`.
    pub fn wire_bytes(len: usize) -> usize {
        len.div_ceil(8)
    }

    /// Appends the bits as `ceil(len / 8)` little-endian bytes.
    pub fn to_bytes(&self, out: &mut Vec<u8>) {
        let end = out.len() + PackedBits::wire_bytes(self.len);
        for w in &self.words {
            out.extend_from_slice(&w.to_le_bytes());
        }
        out.truncate(end);
    }

    /// Reads `len` bits; `None` if the length differs or a bit past `len` is set.
    pub fn from_bytes(len: usize, bytes: &[u8]) -> Option<PackedBits> {
        if bytes.len() != PackedBits::wire_bytes(len) {
            return None;
        }
        let words: Vec<u64> = bytes
            .chunks(8)
            .map(|c| {
                let mut w = [0u8; 8];
                w[..c.len()].copy_from_slice(c);
                u64::from_le_bytes(w)
            })
            .collect();
        if !len.is_multiple_of(64) && words.last().is_some_and(|w| w & !low_mask((len % 64) as u32) != 0) {
            return None;
        }
        Some(PackedBits { len, words })
    }

    /// `self ⊕ other`, in place.
    pub fn xor_assign(&mut self, other: &PackedBits) {
        self.zip(other, |a, b| a ^ b);
    }

    /// `self ∧ other`, in place.
    pub fn and_assign(&mut self, other: &PackedBits) {
        self.zip(other, |a, b| a & b);
    }

    /// `self ⊕ (a ∧ b)`, in place.
    pub fn xor_and(&mut self, a: &PackedBits, b: &PackedBits) {
        assert!(self.len == a.len && self.len == b.len, "bit vectors of equal length");
        for ((s, x), y) in self.words.iter_mut().zip(&a.words).zip(&b.words) {
            *s ^= x & y;
        }
    }

    /// Every bit inverted, in place.
    pub fn not_assign(&mut self) {
        self.xor_assign(&PackedBits::ones(self.len));
    }

    /// Bits `start` to `start + len`.
    ///
    /// # Panics
    /// If the range leaves the vector.
    pub fn slice(&self, start: usize, len: usize) -> PackedBits {
        assert!(start + len <= self.len, "bits {start}..{} of {}", start + len, self.len);
        let (word, shift) = (start / 64, start % 64);
        let words = (0..len.div_ceil(64))
            .map(|i| {
                let low = self.words[word + i] >> shift;
                let high =
                    self.words.get(word + i + 1).filter(|_| shift > 0).map_or(0, |w| w << (64 - shift));
                low | high
            })
            .collect();
        PackedBits::from_words(len, words)
    }

    /// Appends `other`.
    pub fn append(&mut self, other: &PackedBits) {
        let shift = self.len % 64;
        self.len += other.len;
        if shift == 0 {
            self.words.extend_from_slice(&other.words);
        } else {
            for w in &other.words {
                if let Some(last) = self.words.last_mut() {
                    *last |= w << shift;
                }
                self.words.push(w >> (64 - shift));
            }
        }
        self.words.truncate(self.len.div_ceil(64));
    }

    /// Bit `index[i]` of every i.
    pub fn gather(&self, index: impl Iterator<Item = usize>) -> PackedBits {
        let (mut words, mut len) = (Vec::new(), 0usize);
        for i in index {
            if len.is_multiple_of(64) {
                words.push(0);
            }
            if let Some(last) = words.last_mut() {
                *last |= self.bit(i) << (len % 64);
            }
            len += 1;
        }
        PackedBits { len, words }
    }

    /// Each bit as the element 0 or 1.
    pub fn expand(&self) -> Vec<u64> {
        let mut out = vec![0u64; self.len];
        for (chunk, w) in out.chunks_mut(64).zip(&self.words) {
            for (i, v) in chunk.iter_mut().enumerate() {
                *v = w >> i & 1;
            }
        }
        out
    }

    fn zip(&mut self, other: &PackedBits, f: impl Fn(u64, u64) -> u64) {
        assert_eq!(self.len, other.len, "bit vectors of equal length");
        for (a, b) in self.words.iter_mut().zip(&other.words) {
            *a = f(*a, *b);
        }
    }
}

impl Drop for PackedBits {
    fn drop(&mut self) {
        self.words.as_mut_slice().zeroize();
    }
}

impl fmt::Debug for PackedBits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PackedBits").field("len", &self.len).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_appended_are_the_whole() {
        let words: Vec<u64> = (1..6u64).map(|i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect();
        let all = PackedBits::from_words(300, words);
        for cut in [0, 1, 63, 64, 65, 128, 200, 299, 300] {
            let mut joined = all.slice(0, cut);
            joined.append(&all.slice(cut, 300 - cut));
            assert_eq!(joined.words(), all.words(), "cut at {cut}");
            assert_eq!(joined.len(), 300);
        }
        let odd = all.gather((0..300).filter(|i| i % 2 == 1));
        assert!((0..150).all(|i| odd.bit(i) == all.bit(2 * i + 1)));
    }

    #[test]
    fn bytes_with_bits_past_the_end_are_refused() {
        let b = PackedBits::ones(13);
        let mut bytes = Vec::new();
        b.to_bytes(&mut bytes);
        assert_eq!(bytes, [0xff, 0x1f]);
        assert!(PackedBits::from_bytes(13, &bytes).is_some());
        assert!(PackedBits::from_bytes(13, &[0xff, 0x3f]).is_none());
        assert!(PackedBits::from_bytes(13, &[0xff]).is_none());
    }
}
