//! Losses in floating point; the definitions are those of [`Loss`].

use super::Real;
use crate::spec::Loss;

/// Gradient of the sum of losses of all rows with respect to the outputs.
pub(super) fn gradient<F: Real>(loss: Loss, outputs: &[F], targets: &[F], cols: usize, delta: &mut [F]) {
    let rows = outputs.chunks_exact(cols).zip(targets.chunks_exact(cols)).zip(delta.chunks_exact_mut(cols));
    for ((z, t), d) in rows {
        match loss {
            Loss::SoftmaxCrossEntropy => {
                let most = z.iter().fold(z[0], |m, v| m.at_least(*v));
                let mut sum = F::zero();
                for (d, z) in d.iter_mut().zip(z) {
                    *d = (*z - most).exp();
                    sum += *d;
                }
                for (d, t) in d.iter_mut().zip(t) {
                    *d = *d / sum - *t;
                }
            }
            Loss::BinaryCrossEntropy => {
                for ((d, z), t) in d.iter_mut().zip(z).zip(t) {
                    *d = F::one() / (F::one() + (-*z).exp()) - *t;
                }
            }
            Loss::MeanSquaredError => {
                for ((d, z), t) in d.iter_mut().zip(z).zip(t) {
                    *d = *z - *t;
                }
            }
        }
    }
}

/// Sum of the losses of all rows, in double precision.
pub(super) fn total<F: Real>(loss: Loss, outputs: &[F], targets: &[F], cols: usize) -> f64 {
    let row = |(z, t): (&[F], &[F])| -> f64 {
        let pairs = z.iter().zip(t).map(|(z, t)| (z.double(), t.double()));
        match loss {
            Loss::SoftmaxCrossEntropy => {
                let most = z.iter().fold(f64::NEG_INFINITY, |m, z| m.max(z.double()));
                let sum: f64 = z.iter().map(|z| (z.double() - most).exp()).sum();
                pairs.map(|(z, t)| t * (most + sum.ln() - z)).sum()
            }
            Loss::BinaryCrossEntropy => {
                pairs.map(|(z, t)| z.max(0.0) + (-z.abs()).exp().ln_1p() - t * z).sum()
            }
            Loss::MeanSquaredError => pairs.map(|(z, t)| 0.5 * (z - t) * (z - t)).sum(),
        }
    };
    outputs.chunks_exact(cols).zip(targets.chunks_exact(cols)).map(row).sum()
}

/// Number of rows whose class is right: the largest output, or the side of the threshold if there is one output.
pub(super) fn correct<F: Real>(loss: Loss, outputs: &[F], targets: &[F], cols: usize) -> usize {
    let threshold = if loss == Loss::MeanSquaredError { 0.5 } else { 0.0 };
    let rows = outputs.chunks_exact(cols).zip(targets.chunks_exact(cols));
    rows.filter(|(z, t)| {
        if cols == 1 {
            return (z[0].double() >= threshold) == (t[0].double() >= 0.5);
        }
        let mut best = 0;
        for k in 1..cols {
            if z[k] > z[best] {
                best = k;
            }
        }
        t[best].double() >= 0.5
    })
    .count()
}
