//! What one party sees: every message it receives is uniform, whatever the secrets are, and no mask is drawn twice.

mod support;

use std::collections::BTreeMap;

use support::{TestRng, half_finished, open_all, share};
use tercet_engine::{Engine, EngineError, Gate, Meta, Relu, Sign, Term, Truncate, Var};
use tercet_helper::local::{self, Program};
use tercet_net::{PartyId, memory};
use tercet_share::{Bilinear, Ring};

/// Runs every operation on one column of secrets.
struct Everything {
    secret: Vec<i64>,
}

impl Program for Everything {
    type Output = ();

    fn run<E: Engine>(&self, e: &mut E) -> Result<(), EngineError> {
        let n = self.secret.len();
        let meta = Meta { rows: n / 10, cols: 10, frac: 16, ring: Ring::FULL };
        let xs = [0, 1, 2].map(|owner| share(e, owner, &self.secret, meta));
        let [x0, x1, x2] = xs;
        let (x0, x1, x2) = (x0?, x1?, x2?);
        let z = half_finished(e, &self.secret, 32, 64)?;
        let full = Ring::FULL;
        let truncate = |out| Truncate { value: &z, shift: 20, out };
        let (_, bit) = e.relu(&[Relu { truncate: truncate(full), width: 32 }])?.swap_remove(0);
        e.gate(&[Gate { truncate: truncate(full), bit: &bit }])?;
        e.truncate(&[truncate(full), truncate(Ring::new(44)?)])?;
        e.truncate_offset(&[(&z, 20)])?;
        let product = e.product(&Bilinear::Hadamard, &x0, &x2)?;
        e.remask(&[&product])?;
        e.nonnegative(
            &[Sign { value: &x1, width: 48, out: None, cuts: &[0.0, 1.5, -2.0] }],
            &[truncate(full)],
        )?;
        e.argmax(&x2, 10, 48, Ring::FULL)?;
        let cube = e.polynomial(
            &[Var::Masked(&x0), Var::Masked(&x1)],
            &[Term { coefficient: 1.0, powers: vec![2, 1] }],
            48,
        )?;
        e.remask(&[&cube])?;
        Ok(())
    }
}

fn secrets(n: usize) -> Vec<(&'static str, Vec<i64>)> {
    let mut rng = TestRng(41);
    vec![
        ("zeros", vec![0; n]),
        ("large", (0..n).map(|_| (1 << 45) + rng.signed(1 << 30)).collect()),
        ("negative ramp", (0..n as i64).map(|i| -i).collect()),
    ]
}

/// (χ² − dof) / √(2·dof) of the byte histogram.
fn chi_square(bytes: &[u8]) -> f64 {
    let mut counts = [0f64; 256];
    bytes.iter().for_each(|b| counts[*b as usize] += 1.0);
    let expected = bytes.len() as f64 / 256.0;
    let chi: f64 = counts.iter().map(|c| (c - expected).powi(2) / expected).sum();
    (chi - 255.0) / 510f64.sqrt()
}

/// The same for two histograms against each other.
fn two_sample(a: &[u8], b: &[u8]) -> f64 {
    let (mut x, mut y) = ([0f64; 256], [0f64; 256]);
    a.iter().for_each(|v| x[*v as usize] += 1.0);
    b.iter().for_each(|v| y[*v as usize] += 1.0);
    let (ka, kb) = ((b.len() as f64 / a.len() as f64).sqrt(), (a.len() as f64 / b.len() as f64).sqrt());
    let chi: f64 = x
        .iter()
        .zip(&y)
        .filter(|(p, q)| *p + *q > 0.0)
        .map(|(p, q)| (ka * p - kb * q).powi(2) / (p + q))
        .sum();
    (chi - 255.0) / 510f64.sqrt()
}

/// Per receiver, phase and label: all bytes received.
fn views(secret: Vec<i64>) -> BTreeMap<(usize, String), Vec<u8>> {
    let tap = memory::Tap::new();
    let options = memory::Options { tap: Some(tap.clone()), ..memory::Options::default() };
    local::run_with(&Everything { secret }, &open_all(), options).unwrap();
    let mut views: BTreeMap<(usize, String), Vec<u8>> = BTreeMap::new();
    for r in tap.records() {
        let label = format!("{:?} {} from {}", r.phase, r.tag.label.name(), r.from);
        views.entry((r.to.index(), label)).or_default().extend(&r.payload);
    }
    views
}

#[test]
fn every_partys_view_is_uniform_and_the_same_for_all_secrets() {
    let all: Vec<_> = secrets(20_000).into_iter().map(|(name, s)| (name, views(s))).collect();
    let mut tested = 0;
    for (name, view) in &all {
        for ((party, label), bytes) in view {
            assert!(bytes.len() > 1000, "{label} is long enough to test");
            let z = chi_square(bytes);
            assert!(
                z.abs() < 6.0,
                "secret {name}, party {party}, {label}: χ² is {z} deviations from uniform"
            );
            let z = two_sample(bytes, &all[0].1[&(*party, label.clone())]);
            assert!(z < 6.0, "secret {name}, party {party}, {label}: differs from zeros by {z} deviations");
            tested += 1;
        }
    }
    assert!(tested >= 3 * 12, "only {tested} message kinds were seen");
}

#[test]
fn message_sizes_and_order_do_not_depend_on_secrets() {
    let trace = |secret| {
        let tap = memory::Tap::new();
        let options = memory::Options { tap: Some(tap.clone()), ..memory::Options::default() };
        local::run_with(&Everything { secret }, &open_all(), options).unwrap();
        let mut links: BTreeMap<(usize, usize, String), Vec<(u64, usize)>> = BTreeMap::new();
        for r in tap.records() {
            let key = (r.from.index(), r.to.index(), format!("{:?}", r.phase));
            links.entry(key).or_default().push((r.tag.op, r.payload.len()));
        }
        links
    };
    let all = secrets(1000);
    let first = trace(all[0].1.clone());
    assert!(all.into_iter().skip(1).all(|(_, s)| trace(s) == first));
}

#[test]
fn the_dealer_receives_nothing_and_deals_to_one_evaluator_only() {
    let tap = memory::Tap::new();
    let options = memory::Options { tap: Some(tap.clone()), ..memory::Options::default() };
    local::run_with(&Everything { secret: vec![5; 1000] }, &open_all(), options).unwrap();
    let h = PartyId::ALL[2];
    assert!(tap.view_of(h).is_empty(), "an opened value reached the dealer");
    assert!(tap.records().iter().filter(|r| r.from == h).all(|r| r.to == PartyId::ALL[1]));
}

#[test]
fn two_runs_on_the_same_data_share_no_message() {
    let secret: Vec<i64> = (0..1000).collect();
    let (a, b) = (views(secret.clone()), views(secret));
    for (key, bytes) in &a {
        assert_ne!(bytes, &b[key], "{key:?} was sent twice under the same masks");
    }
}
