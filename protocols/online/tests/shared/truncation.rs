//! For every protocol: error bounds of truncation over the whole stated range.

use crate::local::{self, Program};
use crate::support::{TestRng, half_finished, open_all, opening};
use tercet_engine::{Engine, EngineError, Truncate};
use tercet_share::Ring;

pub struct Truncations {
    pub values: Vec<i64>,
    pub shift: u32,
    pub ring: u32,
    pub out: u32,
}

impl Program for Truncations {
    type Output = Option<Vec<i64>>;

    fn run<E: Engine>(&self, e: &mut E) -> Result<Self::Output, EngineError> {
        let z = half_finished(e, &self.values, self.shift, self.ring)?;
        let out = Ring::new(self.out).unwrap();
        let x = e.truncate(&[Truncate { value: &z, shift: self.shift, out }])?.swap_remove(0);
        let opened = e.reveal(&[&x], opening(&[0]))?;
        Ok(opened.map(|mut t| crate::support::integers(&t.swap_remove(0), 0)))
    }
}

/// Edges of the range, multiples of 2^s and their neighbours, and uniform and small values.
pub fn values(n: usize, shift: u32, limit: i64, seed: u64) -> Vec<i64> {
    let mut rng = TestRng(seed);
    let unit = 1i64 << shift;
    let mut v = vec![0, 1, -1, limit, -limit, limit - 1, 1 - limit];
    for j in [1i64, 2, 3, 255, (limit >> shift) - 3] {
        for o in [-1, 0, 1, unit / 2, -unit / 2] {
            v.extend([j * unit + o, -j * unit + o]);
        }
    }
    v.retain(|x| x.unsigned_abs() <= limit as u64);
    while v.len() < n {
        let r = rng.signed(limit);
        v.push(match v.len() % 4 {
            0 => r,
            1 => rng.signed(8 * unit),
            2 => rng.signed(64) * unit,
            _ => r >> (rng.next() % 40),
        });
    }
    v
}

pub struct Errors {
    pub worst: f64,
    sum: f64,
    squares: f64,
}

pub fn errors(program: &Truncations) -> Errors {
    let opened = local::run(program, &open_all()).unwrap()[0].take().unwrap();
    let unit = (program.shift as f64).exp2();
    let mut e = Errors { worst: 0.0, sum: 0.0, squares: 0.0 };
    for (x, z) in opened.iter().zip(&program.values) {
        // Exact: the difference of integers is small, so that no rounding of large floats hides an error.
        let whole = x - (z >> program.shift);
        let part = (z & ((1 << program.shift) - 1)) as f64 / unit;
        let error = whole as f64 - part;
        e.worst = e.worst.max(error.abs());
        e.sum += error;
        e.squares += error * error;
    }
    e
}

#[test]
fn errors_stay_below_one_and_a_half_units_over_the_whole_range() {
    // Kept below 2^53 after the shift, where f64 holds every integer.
    for (shift, ring, out) in [
        (20, 64, 64),
        (20, 64, 44),
        (20, 64, 40),
        (16, 64, 64),
        (26, 64, 38),
        (12, 44, 64),
        (8, 52, 44),
        (16, 38, 52),
    ] {
        let n = 200_000 / crate::FEWER;
        let limit = (1i64 << (ring - 2)) - (crate::HALVES << (shift - 1));
        // A shrunk result holds what fits its ring.
        let limit = limit.min(1i64 << (out + shift - 2).min(62)).min(1 << (52 + shift).min(62));
        let program = Truncations { values: values(n, shift, limit, 7 + shift as u64), shift, ring, out };
        let e = errors(&program);
        let (mean, sd) = (e.sum / n as f64, (e.squares / n as f64 - (e.sum / n as f64).powi(2)).sqrt());
        assert!(e.worst < 1.5, "s={shift} L={ring} out={out}: worst error {}", e.worst);
        assert!(
            mean.abs() < 0.02 * (crate::FEWER as f64).sqrt(),
            "s={shift} L={ring} out={out}: mean error {mean}"
        );
        assert!((sd - 0.5).abs() < 0.1, "s={shift} L={ring} out={out}: sd {sd}");
    }
}
