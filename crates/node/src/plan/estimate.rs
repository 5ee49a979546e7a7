//! Time, energy and memory of a job: the declared cost, divided by what was measured on this machine.
//!
//! The model, for each part of a training. A party computes its products, and besides takes as long as it would take to draw
//! the part's bytes several times from a generator ([`ONLINE_PASSES`] and the like). A round takes what it takes on loopback,
//! and the one-way delay of the link. Bytes take what they take on loopback, or at the rate of the link if that is more. A
//! dealer runs ahead, so a step ends when the slower of the evaluators and the dealer's stream ends. On one machine the three
//! parties share the cores instead.
//!
//! The numbers of passes were fitted to the jobs of the testnet. Expect half to twice the time; loss, jitter and other users
//! of the link or of the machine are not in the model, nor are the rounds of `ot`'s preprocessing, which it does not declare.

use serde::Serialize;
use tercet_engine::Cost;
use tercet_train::{Architecture, Node};

use super::declared::Declared;
use super::machine::Machine;
use crate::job::{Job, Protocol, Role};
use crate::link::Link;

/// Times that a party goes over each online byte, in units of the time in which it draws a byte from the generator: it draws
/// masks, packs bits, and joins the blocks of comparisons.
const ONLINE_PASSES: f64 = 6.0;

/// The same for each byte that a dealer deals; an evaluator draws or unpacks it.
const DEALT_PASSES: f64 = 6.0;

/// The same for each byte of oblivious transfer: it is hashed and transposed.
const TRANSFER_PASSES: f64 = 40.0;

/// Bytes on the wire for each byte of payload: headers of messages, QUIC, UDP and IP.
const WIRE: f64 = 1.05;

/// Memory of a process that holds nothing, and buffers of the transport.
const BASE_MEMORY: u64 = 12 << 20;

/// Bytes that a process holds for each number between two layers, of all rows of a batch.
const BYTES_PER_NUMBER: u64 = 150;

/// Seconds of each part, on the assumed link.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Seconds {
    /// Sharing and standardising the rows.
    pub(super) setup: f64,
    /// One step of a whole batch.
    pub(super) step: f64,
    /// The steps of one epoch.
    pub(super) epoch: f64,
    /// One evaluation.
    pub(super) evaluation: f64,
    /// Everything, from sharing the rows to the model.
    pub(super) total: f64,
}

/// What is estimated.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Estimate {
    /// Wall-clock time.
    pub(super) seconds: Seconds,
    /// Machines that take part.
    pub(super) machines: u32,
    /// Power that each draws while the training runs, watts. An assumption.
    pub(super) watts: f64,
    /// Energy of all machines for one epoch, joules.
    pub(super) joules_per_epoch: f64,
    /// Energy of all machines for everything, joules.
    pub(super) joules: f64,
    /// Peak memory of each process, by role, bytes.
    pub(super) memory: [u64; 3],
}

impl Estimate {
    pub(super) fn new(job: &Job, declared: &Declared, machine: &Machine, link: Link, watts: f64) -> Estimate {
        let batch = job.training.training.batch as f64;
        let model = Model { protocol: job.protocol, machine, link };
        let setup = model.seconds(&declared.setup, 0.0);
        let step = model.seconds(&declared.step, 1.0);
        let epoch = model.seconds(&declared.epoch(), job.train_rows() as f64 / batch);
        // A forward pass is a third of a step's products.
        let evaluation = model.seconds(&declared.evaluation, job.test_rows() as f64 / batch / 3.0);
        let counts = declared.counts;
        let epochs = counts.steps as f64 / counts.steps_per_epoch as f64;
        let total = setup
            + epoch * epochs
            + evaluation * counts.evaluations as f64
            + model.seconds(&declared.checkpoint, 0.0) * counts.checkpoints as f64
            + model.seconds(&declared.reveal, 0.0);
        let machines = if link == Link::Local { 1 } else { 3 };
        let power = watts * f64::from(machines);
        Estimate {
            seconds: Seconds { setup, step, epoch, evaluation, total },
            machines,
            watts,
            joules_per_epoch: power * epoch,
            joules: power * total,
            memory: memory(job, declared),
        }
    }
}

struct Model<'a> {
    protocol: Protocol,
    machine: &'a Machine,
    link: Link,
}

impl Model<'_> {
    /// Seconds of a part that computes `products` times the products of a whole step.
    fn seconds(&self, cost: &Cost, products: f64) -> f64 {
        if *cost == Cost::default() {
            // A part that the job does not have.
            return 0.0;
        }
        let machine = self.machine;
        let work = Role::ALL.map(|role| self.work(cost, products, role));
        let rounds = cost.rounds as f64;
        let shape = match self.link {
            Link::Local => {
                let bytes = cost.total_bytes() as f64 * WIRE;
                return work.iter().sum::<f64>()
                    + rounds * machine.round
                    + bytes / machine.quic_bytes_per_second;
            }
            Link::Shaped(profile) => profile.to_target,
        };
        let rate = shape.rate.map_or(f64::INFINITY, |bits| bits as f64 / 8.0);
        let rate = rate.min(machine.quic_bytes_per_second);
        let busiest = |bytes: &[[u64; 3]; 3]| bytes.iter().flatten().copied().max().unwrap_or(0);
        let travel = |bytes: u64| WIRE * bytes as f64 / rate;
        let [first, second, third] = work;
        let online = rounds * (machine.round + shape.delay.as_secs_f64()) + travel(busiest(&cost.online));
        match self.protocol {
            // The dealer runs ahead.
            Protocol::Helper => (first.max(second) + online).max(third).max(travel(busiest(&cost.offline))),
            // What is needed is made when it is needed.
            Protocol::Ot => first.max(second).max(third) + online + travel(busiest(&cost.offline)),
        }
    }

    /// Seconds for which one party computes.
    fn work(&self, cost: &Cost, products: f64, role: Role) -> f64 {
        let at = role.index();
        let seen =
            |bytes: &[[u64; 3]; 3]| -> u64 { (0..3).map(|peer| bytes[at][peer] + bytes[peer][at]).sum() };
        let (offline, passes) = match self.protocol {
            // The first evaluator draws what the second receives.
            Protocol::Helper => (cost.offline_bytes(), DEALT_PASSES),
            Protocol::Ot => (seen(&cost.offline), TRANSFER_PASSES),
        };
        let matrix = match (self.protocol, role) {
            (Protocol::Helper, Role::Dealer) => self.machine.dealer_products,
            _ => self.machine.evaluator_products,
        };
        let passes = ONLINE_PASSES * seen(&cost.online) as f64 + passes * offline as f64;
        products * matrix + passes / self.machine.prg_bytes_per_second
    }
}

/// Rows as shares for the whole run, this party's own rows while they are shared, and the numbers of one batch.
fn memory(job: &Job, declared: &Declared) -> [u64; 3] {
    let Ok(architecture) = Architecture::new(&job.training.model) else { return [0; 3] };
    let row = (architecture.inputs() + architecture.outputs()) as u64;
    let rows = |role: Role| {
        let rows = &job.parties[role.index()].rows;
        u64::from(rows.train) + u64::from(rows.test)
    };
    let all: u64 = Role::ALL.iter().map(|&role| rows(role)).sum();
    let numbers = architecture.layers().iter().map(|layer| match layer.node {
        // Windows side by side, and the bits of their comparisons.
        Node::MaxPool(windows) => 2 * windows.inputs(),
        _ => layer.output.len(),
    });
    let batch = job.training.training.batch as u64 * (numbers.sum::<usize>() + architecture.inputs()) as u64;
    let step = BYTES_PER_NUMBER * batch + 48 * architecture.parameters() as u64;
    // What the dealer sent and the second evaluator has not used yet is bounded by the transport's read-ahead.
    let ahead = declared.total().offline_bytes().min(256 << 20);
    Role::ALL.map(|role| {
        // Numbers of 8 bytes: a masked value for each, a mask where this party has a share of one.
        let (masks, ahead) = match (job.protocol, role) {
            (Protocol::Helper, Role::Evaluator0) => (rows(role), 0),
            (Protocol::Helper, Role::Evaluator1) => (rows(role) + rows(Role::Dealer), ahead),
            (Protocol::Helper, Role::Dealer) => (rows(role), 0),
            (Protocol::Ot, _) => (all, 0),
        };
        BASE_MEMORY + (8 * (all + masks) + 4 * rows(role)) * row + step + ahead
    })
}
