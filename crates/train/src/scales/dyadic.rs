//! Numbers of the form c · 2^−t, by which a share is multiplied with one integer product and one truncation.

/// c · 2^−shift.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dyadic {
    /// c.
    pub factor: i64,
    /// t.
    pub shift: u32,
}

/// Bits of the reciprocal of a window's size and of a keep probability.
pub(crate) const KEEP_BITS: u32 = 12;

impl Dyadic {
    /// The number itself.
    pub fn value(self) -> f64 {
        self.factor as f64 * (-f64::from(self.shift)).exp2()
    }

    /// The dyadic number within `tolerance` of `x > 0` with the smallest shift, at most `most`.
    pub(crate) fn within(x: f64, tolerance: f64, most: u32) -> Option<Dyadic> {
        (0..=most).find_map(|shift| {
            let d = Dyadic { factor: (x * f64::from(shift).exp2()).round() as i64, shift };
            (d.factor > 0 && (d.value() - x).abs() <= tolerance).then_some(d)
        })
    }

    /// 1 / n: exact for powers of two, else to `precision` significant bits.
    pub(crate) fn reciprocal(n: usize, precision: u32) -> Dyadic {
        let bits = n.next_power_of_two().trailing_zeros();
        let shift = if n.is_power_of_two() { bits } else { bits + precision };
        Dyadic { factor: (f64::from(shift).exp2() / n as f64).round() as i64, shift }
    }

    /// A probability to [`KEEP_BITS`] bits.
    pub(crate) fn probability(p: f64) -> Dyadic {
        let scaled = (p * f64::from(KEEP_BITS).exp2()).round().max(1.0);
        Dyadic { factor: scaled as i64, shift: KEEP_BITS }
    }

    /// Bits of the factor.
    pub(crate) fn bits(self) -> u32 {
        64 - self.factor.leading_zeros()
    }
}
