//! Linear maps on components that may be absent (zero).

use std::sync::Arc;

use tercet_engine::EngineError;
use tercet_share::{Linear, PackedBits, Tensor, kernel};

/// A component of a share; `None` is a tensor of zeros.
pub type Component = Option<Arc<Tensor>>;

/// Applies a map; zeros stay zeros.
pub fn apply(x: &Component, f: &Linear) -> Result<Component, EngineError> {
    x.as_ref().map(|t| Ok(Arc::new(f.apply(t)?))).transpose()
}

/// `x ± y`.
pub fn add(x: &Component, y: &Component, negative: bool) -> Component {
    match (x, y) {
        (x, None) => x.clone(),
        (None, Some(y)) if !negative => Some(y.clone()),
        (None, Some(y)) => {
            let mut t = y.as_ref().clone();
            kernel::neg_assign(t.data_mut());
            Some(Arc::new(t))
        }
        (Some(x), Some(y)) => {
            let mut t = x.as_ref().clone();
            if negative {
                kernel::sub_assign(t.data_mut(), y.data());
            } else {
                kernel::add_assign(t.data_mut(), y.data());
            }
            Some(Arc::new(t))
        }
    }
}

/// Rows of all pieces, one below the other; zeros only if every piece is zero.
pub fn concat_rows(pieces: &[(&Component, usize)], cols: usize) -> Component {
    if pieces.iter().all(|(p, _)| p.is_none()) {
        return None;
    }
    let rows: usize = pieces.iter().map(|(_, r)| r).sum();
    let mut data = Vec::with_capacity(rows * cols);
    for (piece, rows) in pieces {
        match piece {
            Some(t) => data.extend_from_slice(t.data()),
            None => data.resize(data.len() + rows * cols, 0),
        }
    }
    Some(Arc::new(Tensor::from_vec(rows, cols, data)))
}

/// Rows of a component that are not known to be zero, as ranges; `None` is all. See [`tercet_share::Product`].
pub type LiveRows = Option<Arc<[(usize, usize)]>>;

/// Of the concatenation of pieces.
pub fn live_rows(pieces: &[(&Component, usize)]) -> LiveRows {
    if pieces.iter().all(|(p, _)| p.is_some()) {
        return None;
    }
    let (mut ranges, mut at): (Vec<(usize, usize)>, _) = (Vec::new(), 0);
    for (piece, rows) in pieces {
        let end = at + rows;
        if piece.is_some() {
            match ranges.last_mut() {
                Some(last) if last.1 == at => last.1 = end,
                _ => ranges.push((at, end)),
            }
        }
        at = end;
    }
    Some(ranges.into())
}

/// A selection or rearrangement of bits; [`tercet_engine::checks::linear_bit`] has refused other maps.
pub fn apply_bits(
    x: &PackedBits,
    (rows, cols): (usize, usize),
    f: &Linear,
) -> Result<PackedBits, EngineError> {
    Ok(match f {
        Linear::Reshape(..) => x.clone(),
        Linear::GatherRows(index) => x.gather(index.iter().flat_map(|&r| r * cols..(r + 1) * cols)),
        _ => {
            // Through elements: correct for every map, and rare on the hot path.
            let t = Tensor::from_vec(rows, cols, x.expand());
            PackedBits::from_lsb(f.apply(&t)?.data())
        }
    })
}
