//! How fast this machine is at what a training does. Measured on the job's own shapes, in about a second.

use std::hint::black_box;
use std::net::{Ipv4Addr, SocketAddr};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use serde::Serialize;
use tercet_net::quic::{Job as Opening, Options, QuicListener, QuicTransport};
use tercet_net::{Label, PartyId, Phase, Roster, RosterEntry, Tag, Transport, identity};
use tercet_share::{Bilinear, PairKey, PairPrg, Product, Ring, Tensor};
use tercet_train::{Architecture, Node};

use crate::job::Job;

/// What was measured, with all threads of this process.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Machine {
    /// Threads that computed.
    pub(super) threads: usize,
    /// Multiplications and additions of ring elements in the products of one step: one product each.
    pub(super) step_macs: u64,
    /// Seconds for the products of one step at an evaluator, which computes two products for each.
    pub(super) evaluator_products: f64,
    /// Seconds for the products of one step at the dealer.
    pub(super) dealer_products: f64,
    /// Bytes of pseudo-random stream a second, one thread.
    pub(super) prg_bytes_per_second: f64,
    /// Seconds of a round over QUIC on loopback: two parties send 1 kB, then both receive.
    pub(super) round: f64,
    /// Bytes a second over QUIC on loopback, one way.
    pub(super) quic_bytes_per_second: f64,
}

impl Machine {
    /// Measures.
    ///
    /// # Errors
    /// Loopback cannot be used.
    pub(super) fn measure(job: &Job) -> Result<Machine> {
        let training = &job.training;
        let plan = training.numeric_plan()?;
        let architecture = Architecture::new(&training.model)?;
        let products = products(&architecture, training.training.batch);
        let mut step_macs = 0;
        let (mut evaluator_products, mut dealer_products) = (0.0, 0.0);
        for product in &products {
            step_macs += product.macs;
            let ring = if product.gradient { plan.ring } else { plan.product_ring };
            evaluator_products += product.seconds(2, ring)?;
            dealer_products += product.seconds(1, ring)?;
        }
        let (round, quic_bytes_per_second) = quic()?;
        Ok(Machine {
            threads: rayon::current_num_threads(),
            step_macs,
            evaluator_products,
            dealer_products,
            prg_bytes_per_second: prg()?,
            round,
            quic_bytes_per_second,
        })
    }

    /// Multiplications and additions a second, in units of 10^9.
    pub(super) fn gmacs(&self) -> f64 {
        3.0 * self.step_macs as f64 / (self.evaluator_products + self.dealer_products).max(1e-12) / 1e9
    }
}

/// One bilinear map of a step.
struct Shapes {
    map: Bilinear,
    left: (usize, usize),
    right: (usize, usize),
    macs: u64,
    /// Of weights, which is computed in the ring of the master weights.
    gradient: bool,
}

/// The products of one step: forward, gradient of the weights and, above the first layer, of the input.
fn products(architecture: &Architecture, rows: usize) -> Vec<Shapes> {
    let mut products = Vec::new();
    for (index, layer) in architecture.layers().iter().enumerate() {
        let Some(weight) = layer.weight().filter(|_| !matches!(layer.node, Node::BatchNorm { .. })) else {
            continue;
        };
        let (input, output) = ((rows, layer.input.len()), (rows, layer.output.len()));
        let (forward, gradient, below, positions) = match layer.node {
            Node::Conv2d { geometry, .. } => (
                Bilinear::Conv(geometry),
                Bilinear::ConvWeightGrad(geometry),
                Bilinear::ConvInputGrad(geometry),
                geometry.output_positions(),
            ),
            _ => (
                Bilinear::MATMUL,
                Bilinear::MatMul { left_t: true, right_t: false },
                Bilinear::MatMul { left_t: false, right_t: true },
                1,
            ),
        };
        let macs = (rows * positions * weight.0 * weight.1) as u64;
        let shapes = |map, left, right, gradient| Shapes { map, left, right, macs, gradient };
        products.push(shapes(forward, input, weight, false));
        products.push(shapes(gradient, input, output, true));
        if index > architecture.first_weights() {
            products.push(shapes(below, output, weight, false));
        }
    }
    products
}

impl Shapes {
    /// Seconds of the sum of `terms` such products: the best of a few.
    fn seconds(&self, terms: usize, ring: Ring) -> Result<f64> {
        // Values do not change the time; they must only not be all equal to what a kernel could skip.
        let left = Tensor::filled(self.left.0, self.left.1, 0x0123_4567_89ab_cdef);
        let right = Tensor::filled(self.right.0, self.right.1, 0xfedc_ba98_7654_3210);
        let terms = vec![Product::minus(&left, &right); terms];
        best(Duration::from_millis(30), || {
            black_box(self.map.apply_sum(black_box(&terms), [self.left, self.right], ring)?);
            Ok(())
        })
    }
}

fn prg() -> Result<f64> {
    const NUMBERS: usize = 1 << 18;
    let mut prg = PairPrg::new(PairKey::from_bytes([7; 32]));
    let mut op = 0;
    let seconds = best(Duration::from_millis(30), || {
        op += 1;
        black_box(prg.stream(op, 0)?.elements(NUMBERS, 64));
        Ok(())
    })?;
    Ok((8 * NUMBERS) as f64 / seconds)
}

/// The shortest of at least two runs, repeated for about `time`.
fn best(time: Duration, mut run: impl FnMut() -> Result<()>) -> Result<f64> {
    let started = Instant::now();
    let mut best = f64::INFINITY;
    let mut runs = 0;
    while runs < 2 || started.elapsed() < time {
        let at = Instant::now();
        run()?;
        best = best.min(at.elapsed().as_secs_f64());
        runs += 1;
    }
    Ok(best)
}

/// Seconds of a round and bytes a second, between two of three parties on loopback.
fn quic() -> Result<(f64, f64)> {
    let names = ["a", "b", "c"];
    let mut entries = Vec::with_capacity(names.len());
    let mut listeners = Vec::with_capacity(names.len());
    for name in names {
        let identity = identity::generate(name)?;
        let fingerprint = identity.fingerprint();
        let listener = QuicListener::bind(identity, SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        let address = listener.local_addr().to_string();
        entries.push(RosterEntry { name: name.to_owned(), address, fingerprint });
        listeners.push(listener);
    }
    let entries = entries.try_into().map_err(|_| anyhow!("a mesh has three parties"))?;
    let roster = Roster::new(entries)?;
    let parties: Vec<_> = listeners
        .into_iter()
        .map(|listener| {
            let roster = roster.clone();
            thread::spawn(move || {
                let opening =
                    Opening { hash: [0; 32], text: None, step: 0, purpose: String::new(), key: Vec::new() };
                play(listener.connect(&roster, opening, Options::default())?)
            })
        })
        .collect();
    let mut measured = None;
    for party in parties {
        let result = party.join().map_err(|_| anyhow!("a party of the measurement panicked"))??;
        measured = measured.or(result);
    }
    measured.ok_or_else(|| anyhow!("the measurement of loopback gave no result"))
}

fn play(mut party: QuicTransport) -> Result<Option<(f64, f64)>> {
    const ROUNDS: u64 = 300;
    const BYTES: usize = 1 << 10;
    const BULK: usize = 4 << 20;
    const BULKS: u64 = 8;
    let [a, b, c] = PartyId::ALL;
    let mut measured = None;
    if party.me() != c {
        let peer = if party.me() == a { b } else { a };
        let tag = |op| Tag::new(0, op, Label::new("round"));
        let mut times = Vec::with_capacity(ROUNDS as usize);
        for op in 0..ROUNDS {
            let at = Instant::now();
            party.send(peer, Phase::Online, &tag(op), vec![1; BYTES])?;
            party.recv(peer, Phase::Online, &tag(op), BYTES)?;
            times.push(at.elapsed().as_secs_f64());
        }
        times.sort_by(f64::total_cmp);
        let at = Instant::now();
        if party.me() == a {
            for op in ROUNDS..ROUNDS + BULKS {
                party.send(peer, Phase::Online, &tag(op), vec![1; BULK])?;
            }
            party.recv(peer, Phase::Online, &tag(ROUNDS), 0)?;
            let rate = BULKS as f64 * BULK as f64 / at.elapsed().as_secs_f64();
            measured = Some((times[times.len() / 2], rate));
        } else {
            for op in ROUNDS..ROUNDS + BULKS {
                party.recv(peer, Phase::Online, &tag(op), BULK)?;
            }
            party.send(peer, Phase::Online, &tag(ROUNDS), Vec::new())?;
        }
    }
    Box::new(party).close()?;
    Ok(measured)
}
