//! The sealed part of a checkpoint as bytes, little-endian:
//!
//! ```text
//! seconds f64 · reservation u64 (all ones: none)
//! metrics u32, each: step u64 · epoch u32 · rows u64 · which u8 · accuracy f64 · loss f64
//! tensors u32, each: rows u32 · columns u32 · fractional bits u32 · ring u8 · held u8 · elements u64 …
//! ```
//!
//! Nothing is allocated that the bytes at hand do not fill, and none may be left over.

use tercet_engine::Meta;
use tercet_share::{Ring, Tensor};
use tercet_train::{Metric, Snapshot};
use zeroize::Zeroizing;

const METRIC: usize = 37;
const TENSOR: usize = 14;
const NO_RESERVATION: u64 = u64::MAX;

/// The most bytes that a checkpoint of a model can have: `numbers` of weights, biases and velocities in `tensors` parts,
/// and `metrics` evaluations.
pub fn most_bytes(numbers: u64, tensors: u64, metrics: u64) -> u64 {
    let parts =
        [24, numbers.saturating_mul(8), tensors * TENSOR as u64, metrics.saturating_mul(METRIC as u64)];
    parts.into_iter().fold(0, u64::saturating_add)
}

/// The bytes of a state.
pub fn encode(snapshot: &Snapshot, reservation: Option<u64>) -> Zeroizing<Vec<u8>> {
    let numbers: usize = snapshot.summands.iter().flatten().map(Tensor::len).sum();
    let size = most_bytes(numbers as u64, snapshot.metas.len() as u64, snapshot.metrics.len() as u64);
    // Room for the seal too: never grown, so that no copy of a summand stays behind.
    let mut out = Zeroizing::new(Vec::with_capacity(size as usize + 16));
    out.extend_from_slice(&snapshot.seconds.to_le_bytes());
    out.extend_from_slice(&reservation.unwrap_or(NO_RESERVATION).to_le_bytes());
    out.extend_from_slice(&(snapshot.metrics.len() as u32).to_le_bytes());
    for metric in &snapshot.metrics {
        out.extend_from_slice(&metric.step.to_le_bytes());
        out.extend_from_slice(&metric.epoch.to_le_bytes());
        out.extend_from_slice(&(metric.rows as u64).to_le_bytes());
        out.push(u8::from(metric.accuracy.is_some()) | u8::from(metric.loss.is_some()) << 1);
        out.extend_from_slice(&metric.accuracy.unwrap_or(0.0).to_le_bytes());
        out.extend_from_slice(&metric.loss.unwrap_or(0.0).to_le_bytes());
    }
    out.extend_from_slice(&(snapshot.metas.len() as u32).to_le_bytes());
    for (meta, summand) in snapshot.metas.iter().zip(&snapshot.summands) {
        for number in [meta.rows as u32, meta.cols as u32, meta.frac] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&[meta.ring.bits() as u8, u8::from(summand.is_some())]);
        for element in summand.iter().flat_map(|tensor| tensor.data()) {
            out.extend_from_slice(&element.to_le_bytes());
        }
    }
    out
}

/// The state in `bytes`, and the reservation; `None` unless they are exactly one state of this step.
pub fn decode(step: u64, bytes: &[u8]) -> Option<(Snapshot, Option<u64>)> {
    let mut rest = bytes;
    let seconds = f64::from_le_bytes(take(&mut rest)?);
    if !(seconds.is_finite() && seconds >= 0.0) {
        return None;
    }
    let reservation = u64::from_le_bytes(take(&mut rest)?);
    let reservation = (reservation != NO_RESERVATION).then_some(reservation);
    let count = u32::from_le_bytes(take(&mut rest)?) as usize;
    if count > rest.len() / METRIC {
        return None;
    }
    let metrics = (0..count).map(|_| metric(&mut rest)).collect::<Option<Vec<Metric>>>()?;
    // Evaluations come in the order of their steps, and none after the state.
    if !metrics.is_sorted_by(|a, b| a.step < b.step) || metrics.last().is_some_and(|last| last.step > step) {
        return None;
    }
    let count = u32::from_le_bytes(take(&mut rest)?) as usize;
    if count > rest.len() / TENSOR {
        return None;
    }
    let (mut metas, mut summands) = (Vec::with_capacity(count), Vec::with_capacity(count));
    for _ in 0..count {
        let (meta, summand) = tensor(&mut rest)?;
        metas.push(meta);
        summands.push(summand);
    }
    rest.is_empty().then_some((Snapshot { step, metas, summands, metrics, seconds }, reservation))
}

fn metric(rest: &mut &[u8]) -> Option<Metric> {
    let step = u64::from_le_bytes(take(rest)?);
    let epoch = u32::from_le_bytes(take(rest)?);
    let rows = usize::try_from(u64::from_le_bytes(take(rest)?)).ok()?;
    let [which] = take(rest)?;
    let mut given = |bit: u8| {
        let value = f64::from_le_bytes(take(rest)?);
        // What is not given is zero: a state has one spelling.
        let there = which & bit != 0;
        (value.is_finite() && (there || value.to_bits() == 0)).then_some(there.then_some(value))
    };
    let (accuracy, loss) = (given(1)?, given(2)?);
    (which < 4).then_some(Metric { step, epoch, rows, accuracy, loss })
}

fn tensor(rest: &mut &[u8]) -> Option<(Meta, Option<Tensor>)> {
    let [rows, cols, frac] = [take(rest)?, take(rest)?, take(rest)?].map(u32::from_le_bytes);
    let [ring, held] = take(rest)?;
    let ring = Ring::new(ring.into()).ok()?;
    let (rows, cols) = (rows as usize, cols as usize);
    let meta = Meta { rows, cols, frac, ring };
    let summand = match held {
        0 => None,
        1 => {
            let bytes = rows.checked_mul(cols)?.checked_mul(8).filter(|bytes| *bytes <= rest.len())?;
            let (elements, after) = rest.split_at(bytes);
            *rest = after;
            let elements = elements.as_chunks::<8>().0.iter().map(|bytes| u64::from_le_bytes(*bytes));
            Some(Tensor::from_vec(rows, cols, elements.collect()))
        }
        _ => return None,
    };
    Some((meta, summand))
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = rest.split_first_chunk::<N>()?;
    *rest = tail;
    Some(*head)
}
