//! Every bilinear map against the clear, for masks that all share and for inputs whose owners are known.

use tercet_engine::{Engine, EngineError, Meta};
use tercet_share::kernel::ConvGeometry;
use tercet_share::{Bilinear, Linear, Ring, Tensor};

use crate::local::{self, Program};
use crate::support::{TestRng, integers, open_all, opening, share};

const GEOMETRY: ConvGeometry =
    ConvGeometry { channels: 2, height: 5, width: 4, kernel_h: 3, kernel_w: 2, stride: 2, padding: 1 };

struct Maps {
    map: Bilinear,
    left: (usize, usize),
    right: (usize, usize),
    bits: u32,
    /// Rows of several owners in another order; else masks that all parties share.
    owned: bool,
    seed: u64,
}

impl Maps {
    fn values(&self) -> (Vec<i64>, Vec<i64>) {
        let mut rng = TestRng(self.seed);
        let mut draw = |(rows, cols): (usize, usize)| (0..rows * cols).map(|_| rng.signed(1 << 12)).collect();
        (draw(self.left), draw(self.right))
    }
}

impl Program for Maps {
    type Output = Option<Vec<i64>>;

    fn run<E: Engine>(&self, e: &mut E) -> Result<Self::Output, EngineError> {
        let (left, right) = self.values();
        let ring = Ring::new(self.bits)?;
        let (rows, cols) = self.left;
        let y = share(e, 1, &right, Meta { rows: self.right.0, cols: self.right.1, frac: 0, ring })?;
        let mut parts = Vec::new();
        for (row, values) in left.chunks(cols).enumerate() {
            parts.push(share(e, row % 3, values, Meta { rows: 1, cols, frac: 0, ring })?);
        }
        // The last row first, then put back.
        parts.rotate_right(1);
        let joined = e.concat_rows(&parts.iter().collect::<Vec<_>>())?;
        let mut x = e.linear(&joined, &Linear::GatherRows((1..=rows).map(|r| r % rows).collect()))?;
        if !self.owned {
            let z = e.lift(&x)?;
            x = e.remask(&[&z])?.swap_remove(0);
        }
        let z = e.product(&self.map, &x, &y)?;
        let z = e.remask(&[&z])?.swap_remove(0);
        let opened = e.reveal(&[&z], opening(&[2]))?;
        Ok(opened.map(|t| integers(&t[0], 0)))
    }
}

#[test]
fn every_map_is_exact_for_shared_and_for_owned_masks() {
    let g = GEOMETRY;
    let (inputs, taps, positions) = (g.input_len(), g.patch_len(), g.output_positions());
    let matmul = |left_t, right_t| Bilinear::MatMul { left_t, right_t };
    let mut seed = 1;
    for (map, left, right) in [
        (matmul(false, false), (7, 5), (5, 6)),
        (matmul(true, false), (7, 5), (7, 6)),
        (matmul(false, true), (7, 40), (3, 40)),
        (matmul(true, true), (7, 5), (6, 7)),
        (matmul(false, false), (4, 30), (30, 1)),
        (Bilinear::Hadamard, (7, 5), (7, 5)),
        (Bilinear::RowDots, (7, 5), (7, 5)),
        (Bilinear::RowScale, (7, 1), (7, 5)),
        (Bilinear::Conv(g), (4, inputs), (taps, 3)),
        (Bilinear::ConvWeightGrad(g), (4, inputs), (4, 3 * positions)),
        (Bilinear::ConvInputGrad(g), (4, 3 * positions), (taps, 3)),
    ] {
        for (bits, owned) in [(64, false), (64, true), (44, true)] {
            seed += 1;
            let program = Maps { map, left, right, bits, owned, seed };
            let (x, y) = program.values();
            let tensor = |v: &[i64], (r, c): (usize, usize)| {
                Tensor::from_vec(r, c, v.iter().map(|&v| v as u64).collect())
            };
            let want = map.apply(&tensor(&x, left), &tensor(&y, right)).unwrap();
            let want: Vec<i64> = want.data().iter().map(|&v| v as i64).collect();
            let got = local::run(&program, &open_all()).unwrap()[2].take().unwrap();
            assert_eq!(got, want, "{map:?} modulo 2^{bits}, owned: {owned}");
        }
    }
}
