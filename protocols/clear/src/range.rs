//! Values out of range, found where they matter.
//!
//! A protocol computes modulo 2^L and cannot see that a value has left the range in which an operation is right. The clear
//! engine can. An element that wraps in a product or a sum or exceeds a truncation's range is doubtful from then on, and so is
//! all that is computed from it, until a bit 0 multiplies it away: functions such as the exponential use that on
//! purpose. A doubtful element that decides a bit or is opened is a [`Violation`].

use std::sync::Arc;

use tercet_engine::Meta;
use tercet_share::{Bilinear, Linear, ShareError, Tensor};

/// An out-of-range value that decided a bit or was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The operation in which the value left its range.
    pub source: &'static str,
    /// The operation in which it became visible.
    pub seen_in: &'static str,
    /// Number of elements.
    pub elements: usize,
    /// Training step.
    pub step: u64,
}

/// Which elements of a tensor are doubtful; none almost always.
#[derive(Clone, Default)]
pub(crate) struct Doubt(Option<Arc<Marks>>);

struct Marks {
    /// 0 or 1 per element.
    flags: Tensor,
    source: &'static str,
}

impl Doubt {
    /// Marks the elements of a tensor of `meta`'s shape for which `flags` yields true.
    pub(crate) fn of(source: &'static str, meta: &Meta, flags: impl Iterator<Item = bool> + Clone) -> Doubt {
        // Almost never is there one: look before anything is allocated.
        if !flags.clone().any(|f| f) {
            return Doubt(None);
        }
        let flags = flags.map(u64::from).collect();
        Doubt(Some(Arc::new(Marks { flags: Tensor::from_vec(meta.rows, meta.cols, flags), source })))
    }

    fn from_counts(source: &'static str, counts: Tensor) -> Doubt {
        let (rows, cols) = counts.shape();
        let flags = counts.data().iter().map(|&c| u64::from(c != 0)).collect();
        Doubt(Some(Arc::new(Marks { flags: Tensor::from_vec(rows, cols, flags), source })))
    }

    pub(crate) fn none(&self) -> bool {
        self.0.is_none()
    }

    /// True if element `i` is doubtful.
    pub(crate) fn at(&self, i: usize) -> bool {
        self.0.as_ref().is_some_and(|m| m.flags.data()[i] != 0)
    }

    /// The operation in which the first doubtful element arose, or `otherwise`.
    pub(crate) fn source_or(&self, otherwise: &'static str) -> &'static str {
        self.0.as_ref().map_or(otherwise, |m| m.source)
    }

    /// Doubtful in either.
    pub(crate) fn or(self, other: &Doubt) -> Doubt {
        match (&self.0, &other.0) {
            (_, None) => self,
            (None, Some(_)) => other.clone(),
            (Some(a), Some(b)) => {
                let mut counts = a.flags.clone();
                for (c, f) in counts.data_mut().iter_mut().zip(b.flags.data()) {
                    *c |= f;
                }
                Doubt::from_counts(a.source, counts)
            }
        }
    }

    /// Doubtful elements of `f(x)`: those that depend on one.
    pub(crate) fn linear(&self, f: &Linear) -> Result<Doubt, ShareError> {
        match (&self.0, f) {
            (None, _) => Ok(Doubt(None)),
            (Some(_), Linear::Scale(_)) => Ok(self.clone()),
            (Some(m), _) => Ok(Doubt::from_counts(m.source, f.apply(&m.flags)?)),
        }
    }

    /// Doubtful elements of a product: those that depend on one.
    pub(crate) fn product(
        kind: &Bilinear,
        (x, x_shape): (&Doubt, (usize, usize)),
        (y, y_shape): (&Doubt, (usize, usize)),
    ) -> Result<Doubt, ShareError> {
        let mut out = Doubt(None);
        if let Some(m) = &x.0 {
            let ones = Tensor::filled(y_shape.0, y_shape.1, 1);
            let counts = kind.apply(&m.flags, &ones)?;
            out = Doubt::from_counts(m.source, counts);
        }
        if let Some(m) = &y.0 {
            let ones = Tensor::filled(x_shape.0, x_shape.1, 1);
            let counts = kind.apply(&ones, &m.flags)?;
            out = out.or(&Doubt::from_counts(m.source, counts));
        }
        Ok(out)
    }

    /// Rows of several, one below the other.
    pub(crate) fn concat_rows(parts: &[(&Doubt, Meta)]) -> Doubt {
        let Some(source) = parts.iter().find_map(|(d, _)| d.0.as_ref().map(|m| m.source)) else {
            return Doubt(None);
        };
        let cols = parts.first().map_or(0, |(_, meta)| meta.cols);
        let flags: Vec<u64> =
            parts.iter().flat_map(|(d, meta)| (0..meta.len()).map(|i| u64::from(d.at(i)))).collect();
        let rows = parts.iter().map(|(_, meta)| meta.rows).sum();
        Doubt::from_counts(source, Tensor::from_vec(rows, cols, flags))
    }

    /// Number of doubtful elements.
    pub(crate) fn count(&self) -> usize {
        self.0.as_ref().map_or(0, |m| m.flags.data().iter().filter(|&&f| f != 0).count())
    }
}
