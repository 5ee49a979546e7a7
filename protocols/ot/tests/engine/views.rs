//! What two colluding parties see of the third: uniform messages, whatever its secrets are, and independent on the two links.

use std::collections::BTreeMap;

use tercet_engine::{Engine, EngineError, Gate, Meta, Relu, Sign, Term, Truncate, Var};
use tercet_net::{Phase, memory};
use tercet_ot::extension::FieldBits;
use tercet_share::{Bilinear, Ring};

use crate::local::{self, Program};
use crate::support::{TestRng, half_finished, open_all, opening, share};

/// Runs every operation on secrets of party 2.
struct Everything {
    secret: Vec<i64>,
}

impl Program for Everything {
    type Output = ();

    fn run<E: Engine>(&self, e: &mut E) -> Result<(), EngineError> {
        let n = self.secret.len();
        let meta = Meta { rows: n / 10, cols: 10, frac: 16, ring: Ring::FULL };
        let x = share(e, 2, &self.secret, meta)?;
        let y = share(e, 0, &vec![3; n], meta)?;
        let z = half_finished(e, &self.secret, 32, 64)?;
        let full = Ring::FULL;
        let truncate = |out| Truncate { value: &z, shift: 20, out };
        let (_, bit) = e.relu(&[Relu { truncate: truncate(full), width: 32 }])?.swap_remove(0);
        e.gate(&[Gate { truncate: truncate(full), bit: &bit }])?;
        e.truncate(&[truncate(full), truncate(Ring::new(44)?)])?;
        e.truncate_offset(&[(&z, 20)])?;
        let product = e.product(&Bilinear::Hadamard, &x, &y)?;
        e.remask(&[&product])?;
        e.nonnegative(
            &[Sign { value: &x, width: 48, out: None, cuts: &[0.0, 1.5, -2.0] }],
            &[truncate(full)],
        )?;
        e.argmax(&x, 10, 20, Ring::FULL)?;
        let terms = [Term { coefficient: 1.0, powers: vec![2, 1] }];
        let cube = e.polynomial(&[Var::Masked(&x), Var::Masked(&y)], &terms, 48)?;
        e.remask(&[&cube])?;
        // Zero, whatever the secret is: its masks must not show.
        let zero = e.add(&x, &x, true)?;
        e.reveal(&[&zero], opening(&[0, 1]))?;
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

/// One kind of message: recipient, phase, operation, label.
type Kind = (usize, Phase, u64, &'static str);

/// All bytes that parties 0 and 1 received from party 2, by kind; the set-up apart, whose group elements have a form.
fn coalition(secret: Vec<i64>) -> BTreeMap<Kind, Vec<u8>> {
    let tap = memory::Tap::new();
    let options = memory::Options { tap: Some(tap.clone()), ..memory::Options::default() };
    local::run_with(&Everything { secret }, &open_all(), FieldBits::default(), options).unwrap();
    let mut views: BTreeMap<Kind, Vec<u8>> = BTreeMap::new();
    for r in tap.records().into_iter().filter(|r| r.from.index() == 2 && r.tag.op > 0) {
        views.entry((r.to.index(), r.phase, r.tag.op, r.tag.label.name())).or_default().extend(&r.payload);
    }
    views
}

#[test]
fn what_a_coalition_sees_is_uniform_and_independent_on_both_links() {
    let mut tested = 0;
    for (name, secret) in secrets(1600) {
        let views = coalition(secret);
        for (kind, bytes) in views.iter().filter(|(_, bytes)| bytes.len() >= 1500) {
            let z = chi_square(bytes);
            assert!(z.abs() < 7.0, "secret {name}, {kind:?}: χ² is {z} deviations from uniform");
            tested += 1;
            let other = (1 - kind.0, kind.1, kind.2, kind.3);
            if kind.1 == Phase::Offline && kind.0 == 0 {
                // Choice bits and operands are the same on both links; their masks are not.
                let joint: Vec<u8> = bytes.iter().zip(&views[&other]).map(|(a, b)| a ^ b).collect();
                let z = chi_square(&joint);
                assert!(z.abs() < 7.0, "secret {name}, {kind:?} on both links: {z} deviations");
            }
        }
    }
    assert!(tested >= 3 * 30, "only {tested} message kinds were seen");
}

#[test]
fn sizes_and_order_of_messages_do_not_depend_on_secrets() {
    let trace = |secret| {
        let tap = memory::Tap::new();
        let options = memory::Options { tap: Some(tap.clone()), ..memory::Options::default() };
        local::run_with(&Everything { secret }, &open_all(), FieldBits::default(), options).unwrap();
        let mut links: BTreeMap<(usize, usize, Phase), Vec<(u64, usize)>> = BTreeMap::new();
        for r in tap.records() {
            links
                .entry((r.from.index(), r.to.index(), r.phase))
                .or_default()
                .push((r.tag.op, r.payload.len()));
        }
        links
    };
    let all = secrets(100);
    let first = trace(all[0].1.clone());
    assert!(all.into_iter().skip(1).all(|(_, s)| trace(s) == first));
}

#[test]
fn two_runs_on_the_same_data_share_no_message() {
    let secret: Vec<i64> = (0..100).collect();
    let (a, b) = (coalition(secret.clone()), coalition(secret));
    for (key, bytes) in a.iter().filter(|(_, bytes)| bytes.len() >= 16) {
        assert_ne!(bytes, &b[key], "{key:?} was sent twice under the same masks");
    }
}
