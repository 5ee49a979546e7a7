//! Products of two masks under a bilinear map: every map is a matrix product of rearranged operands.

use std::borrow::Cow;

use tercet_engine::EngineError;
use tercet_share::kernel::{self, ConvGeometry};
use tercet_share::{Bilinear, Linear, Ring, ShareError, Tensor};

use super::correlations::Correlations;
use crate::error::OtError;
use crate::product::{MatrixPlan, MatrixShape};
use crate::triples::Owned;

/// This party's share of map(Λ_X, Λ_Y) modulo 2^ring, from its shares of both. `owners` names for each row of X the party that
/// alone holds its mask, if that is known: products are then made with that party only.
pub(super) fn product<B: Correlations>(
    by: &mut B,
    map: &Bilinear,
    x: &Tensor,
    owners: Option<&[u8]>,
    y: &Tensor,
    ring: Ring,
) -> Result<Tensor, EngineError> {
    let (rows, cols) = map.shape(x.shape(), y.shape())?;
    let whole = ring;
    let ring = crate::product::Ring::new(ring.bits() as u8)?;
    if rows * cols == 0 || x.is_empty() || y.is_empty() {
        return Ok(Tensor::zeros(rows, cols));
    }
    Ok(match map {
        Bilinear::Hadamard => {
            let (x, y) = (reduced(x, ring), reduced(y, ring));
            Tensor::from_vec(rows, cols, by.multiply(ring, x.data(), y.data())?.to_vec())
        }
        Bilinear::RowDots => {
            let products = product(by, &Bilinear::Hadamard, x, owners, y, whole)?;
            Linear::SumCols.apply(&products)?
        }
        Bilinear::RowScale => {
            let factors = Linear::RepeatCols(cols).apply(x)?;
            product(by, &Bilinear::Hadamard, &factors, owners, y, whole)?
        }
        Bilinear::MatMul { left_t, right_t } => {
            let y = if *right_t { transposed(y) } else { y.clone() };
            let x = Rows { all: x.clone(), owners: owners.map(<[u8]>::to_vec) };
            if *left_t { x.transposed_times(by, &y, ring)? } else { x.times(by, &y, ring)? }
        }
        Bilinear::Conv(g) => channel_major(&Rows::patches(x, owners, g).times(by, y, ring)?, x.rows()),
        Bilinear::ConvWeightGrad(g) => {
            let y = position_rows(y, g.output_positions())?;
            Rows::patches(x, owners, g).transposed_times(by, &y, ring)?
        }
        Bilinear::ConvInputGrad(g) => {
            let made = matmul(by, &position_rows(x, g.output_positions())?, &transposed(y), ring)?;
            scattered(&made, x.rows(), g)
        }
    })
}

/// The low bits alone: the rest of a share is arbitrary.
fn reduced(x: &Tensor, ring: crate::product::Ring) -> Tensor {
    Tensor::from_vec(x.rows(), x.cols(), x.data().iter().map(|v| ring.reduce(*v)).collect())
}

fn matmul<B: Correlations>(
    by: &mut B,
    a: &Tensor,
    b: &Tensor,
    ring: crate::product::Ring,
) -> Result<Tensor, OtError> {
    let shape = MatrixShape { rows: a.rows(), inner: a.cols(), columns: b.cols() };
    let plan = MatrixPlan::cheapest(shape, ring, by.field())?;
    let (a, b) = (reduced(a, ring), reduced(b, ring));
    let c = by.matmul(plan, a.data(), b.data())?;
    Ok(Tensor::from_vec(shape.rows, shape.columns, c.to_vec()))
}

/// A left operand with the owners of its rows.
struct Rows {
    all: Tensor,
    owners: Option<Vec<u8>>,
}

impl Rows {
    fn patches(images: &Tensor, owners: Option<&[u8]>, g: &ConvGeometry) -> Rows {
        let repeated = |owners: &[u8]| {
            owners.iter().flat_map(|&owner| std::iter::repeat_n(owner, g.output_positions())).collect()
        };
        Rows { all: patches(images, g), owners: owners.map(repeated) }
    }

    /// The rows of each owner, by index.
    fn blocks(&self) -> Option<Vec<(u8, Vec<usize>)>> {
        let owners = self.owners.as_ref().filter(|owners| owners.len() == self.all.rows())?;
        let mut all: Vec<u8> = owners.clone();
        all.sort_unstable();
        all.dedup();
        let of = |owner: u8| (0..owners.len()).filter(|&row| owners[row] == owner).collect();
        Some(all.into_iter().map(|owner| (owner, of(owner))).collect())
    }

    /// Rows · B.
    fn times<B: Correlations>(
        &self,
        by: &mut B,
        b: &Tensor,
        ring: crate::product::Ring,
    ) -> Result<Tensor, OtError> {
        let Some(blocks) = self.blocks() else { return matmul(by, &self.all, b, ring) };
        let mut out = Tensor::zeros(self.all.rows(), b.cols());
        let b = Cow::Borrowed(b);
        let operands =
            blocks.iter().map(|(owner, rows)| (*owner, gathered(&self.all, rows), b.clone())).collect();
        for (made, (_, rows)) in owned_matmul(by, operands, ring)?.into_iter().zip(blocks) {
            for (from, to) in rows.into_iter().enumerate() {
                out.data_mut()[to * b.cols()..(to + 1) * b.cols()].copy_from_slice(made.row(from));
            }
        }
        Ok(out)
    }

    /// Rowsᵀ · B, a sum over the blocks.
    fn transposed_times<B: Correlations>(
        &self,
        by: &mut B,
        b: &Tensor,
        ring: crate::product::Ring,
    ) -> Result<Tensor, OtError> {
        let Some(blocks) = self.blocks() else { return matmul(by, &transposed(&self.all), b, ring) };
        let mut out = Tensor::zeros(self.all.cols(), b.cols());
        let operands = blocks
            .into_iter()
            .map(|(owner, rows)| {
                (owner, transposed(&gathered(&self.all, &rows)), Cow::Owned(gathered(b, &rows)))
            })
            .collect();
        for made in owned_matmul(by, operands, ring)? {
            kernel::add_assign(out.data_mut(), made.data());
        }
        kernel::mask(out.data_mut(), ring.bits() as u32);
        Ok(out)
    }
}

/// The products of left operands that one party holds, with their right operands.
fn owned_matmul<B: Correlations>(
    by: &mut B,
    operands: Vec<(u8, Tensor, Cow<'_, Tensor>)>,
    ring: crate::product::Ring,
) -> Result<Vec<Tensor>, OtError> {
    let operands: Vec<_> =
        operands.into_iter().map(|(owner, a, b)| (owner, reduced(&a, ring), reduced(&b, ring))).collect();
    let mut products = Vec::with_capacity(operands.len());
    for (owner, a, b) in &operands {
        let shape = MatrixShape { rows: a.rows(), inner: a.cols(), columns: b.cols() };
        let plan = MatrixPlan::cheapest(shape, ring, by.field())?;
        products.push(Owned { owner: *owner, plan, a: a.data(), b: b.data() });
    }
    let made = by.owned_matmul(&products)?.into_iter().zip(&products);
    Ok(made.map(|(c, p)| Tensor::from_vec(p.plan.shape().rows, p.plan.shape().columns, c.to_vec())).collect())
}

fn gathered(x: &Tensor, rows: &[usize]) -> Tensor {
    // Never grown, so that no copy of secret values stays behind.
    let mut data = Vec::with_capacity(rows.len() * x.cols());
    rows.iter().for_each(|&row| data.extend_from_slice(x.row(row)));
    Tensor::from_vec(rows.len(), x.cols(), data)
}

fn transposed(x: &Tensor) -> Tensor {
    let mut out = Vec::with_capacity(x.len());
    for c in 0..x.cols() {
        out.extend((0..x.rows()).map(|r| x.data()[r * x.cols() + c]));
    }
    Tensor::from_vec(x.cols(), x.rows(), out)
}

/// The element of an image that tap `tap` reads at output position `position`; `None` in the padding.
fn tapped(g: &ConvGeometry, position: usize, tap: usize) -> Option<usize> {
    let (oy, ox) = (position / g.out_width(), position % g.out_width());
    let (channel, rest) = (tap / (g.kernel_h * g.kernel_w), tap % (g.kernel_h * g.kernel_w));
    let y = (oy * g.stride + rest / g.kernel_w).checked_sub(g.padding).filter(|&y| y < g.height)?;
    let x = (ox * g.stride + rest % g.kernel_w).checked_sub(g.padding).filter(|&x| x < g.width)?;
    Some((channel * g.height + y) * g.width + x)
}

/// One row for each image and output position, one column for each tap.
fn patches(images: &Tensor, g: &ConvGeometry) -> Tensor {
    let (positions, taps) = (g.output_positions(), g.patch_len());
    let mut out = Vec::with_capacity(images.rows() * positions * taps);
    for image in 0..images.rows() {
        let pixels = images.row(image);
        for position in 0..positions {
            out.extend((0..taps).map(|tap| tapped(g, position, tap).map_or(0, |at| pixels[at])));
        }
    }
    Tensor::from_vec(images.rows() * positions, taps, out)
}

/// The adjoint of [`patches`].
fn scattered(made: &Tensor, batch: usize, g: &ConvGeometry) -> Tensor {
    let (positions, taps, pixels) = (g.output_positions(), g.patch_len(), g.input_len());
    let mut out = Tensor::zeros(batch, pixels);
    for image in 0..batch {
        let target = &mut out.data_mut()[image * pixels..(image + 1) * pixels];
        for position in 0..positions {
            let row = made.row(image * positions + position);
            for tap in 0..taps {
                if let Some(at) = tapped(g, position, tap) {
                    target[at] = target[at].wrapping_add(row[tap]);
                }
            }
        }
    }
    out
}

/// `batch × (channels · positions)` as one row for each image and position, one column for each channel.
fn position_rows(x: &Tensor, positions: usize) -> Result<Tensor, ShareError> {
    let channels = x.cols() / positions.max(1);
    let mut out = Vec::with_capacity(x.len());
    for image in 0..x.rows() {
        let row = x.row(image);
        for position in 0..positions {
            out.extend((0..channels).map(|channel| row[channel * positions + position]));
        }
    }
    Ok(Tensor::from_vec(x.rows() * positions, channels, out))
}

/// The inverse of [`position_rows`].
fn channel_major(x: &Tensor, batch: usize) -> Tensor {
    let (positions, channels) = (x.rows() / batch, x.cols());
    let mut out = Vec::with_capacity(x.len());
    for image in 0..batch {
        for channel in 0..channels {
            out.extend((0..positions).map(|p| x.data()[(image * positions + p) * channels + channel]));
        }
    }
    Tensor::from_vec(batch, positions * channels, out)
}
