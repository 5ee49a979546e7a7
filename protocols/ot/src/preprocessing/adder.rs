//! From additive shares to XOR shares of the bits: an adder over the parties' summands.
//!
//! Party i holds all bits of its summand, so that these are shared by exclusive or for free. A carry-save step turns three
//! summands into two, a ripple-carry adder finishes: 2·(w − 1) − 1 conjunctions for each element of w bits, in w − 1 steps.

use tercet_share::PackedBits;

use super::and::and_all;
use super::correlations::Correlations;
use crate::error::OtError;

/// XOR shares of bits 0 to w − 1 of Σ x_i modulo 2^w, from this party's summands `x`. Three parties.
pub(super) fn bits_of_sum<B: Correlations>(
    by: &mut B,
    x: &[u64],
    width: u32,
) -> Result<Vec<PackedBits>, OtError> {
    let own: Vec<PackedBits> = (0..width).map(|j| plane(x, j)).collect();
    if width <= 1 {
        return Ok(own);
    }
    // Majority of the three bits = (a ⊕ c)(b ⊕ c) ⊕ c. The exclusive or of the summands' bits is shared by the bits themselves.
    let low = &own[..width as usize - 1];
    let zeros = PackedBits::zeros(x.len());
    let me = by.me();
    let holds = |parties: [u8; 2], j: usize| if parties.contains(&me) { &low[j] } else { &zeros };
    let pairs: Vec<_> = (0..low.len()).map(|j| (holds([0, 2], j), holds([1, 2], j))).collect();
    let mut carries = and_all(by, &pairs)?;
    for (carry, bit) in carries.iter_mut().zip(low) {
        if me == 2 {
            carry.xor_assign(bit);
        }
    }
    // u = own, v = carries shifted up by one: v_0 = 0.
    let mut out = Vec::with_capacity(width as usize);
    let mut carry: Option<PackedBits> = None;
    for (j, u) in own.iter().enumerate() {
        let Some(v) = j.checked_sub(1).map(|j| &carries[j]) else {
            out.push(u.clone());
            continue;
        };
        let mut sum = u.clone();
        sum.xor_assign(v);
        if let Some(c) = &carry {
            sum.xor_assign(c);
        }
        out.push(sum);
        if j + 1 == own.len() {
            break;
        }
        carry = Some(match carry {
            None => and_all(by, &[(u, v)])?.swap_remove(0),
            Some(c) => {
                let (mut a, mut b) = (u.clone(), v.clone());
                a.xor_assign(&c);
                b.xor_assign(&c);
                let mut next = and_all(by, &[(&a, &b)])?.swap_remove(0);
                next.xor_assign(&c);
                next
            }
        });
    }
    Ok(out)
}

/// Bit `j` of every value.
fn plane(x: &[u64], j: u32) -> PackedBits {
    let words = x
        .chunks(64)
        .map(|chunk| chunk.iter().enumerate().fold(0, |w, (i, v)| w | (v >> j & 1) << i))
        .collect();
    PackedBits::from_words(x.len(), words)
}
