//! Trainings in one thread of control: the two baselines.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use ndarray::Array2;
use tercet_clear::ClearEngine;
use tercet_engine::Policy;
use tercet_train::plaintext::{Descent, Network};
use tercet_train::{Architecture, DataSets, NumericPlan, Trainer, TrainingJob, init, shuffle};

use crate::Training;

/// Training in 32-bit floating point over all cores, with the same initial weights, batches and rate as on shares.
pub struct Plaintext {
    network: Network<f32>,
    features: Array2<f32>,
    targets: Array2<f32>,
    batch: usize,
    seed: u64,
    rate: f64,
    step: u64,
    order: Vec<Vec<usize>>,
    /// Targets of one batch.
    wanted: Vec<f32>,
}

impl Plaintext {
    /// Prepares a training on all rows of `data`.
    ///
    /// # Errors
    /// A job or rows that do not fit.
    pub fn new(job: &TrainingJob, data: &DataSets) -> Result<Plaintext> {
        let spec = &job.training;
        ensure!(
            spec.momentum == 0.0 && spec.weight_decay == 0.0,
            "a plaintext step here is plain descent: leave momentum and weight_decay at 0"
        );
        let plan = NumericPlan::new(&job.model, spec, &job.fixed_point)?;
        let architecture = Architecture::new(&job.model)?;
        let (inputs, outputs) = (architecture.inputs(), architecture.outputs());
        let (mut features, mut targets) = (Array2::zeros((0, inputs)), Array2::zeros((0, outputs)));
        for values in data.train.iter().filter_map(|set| set.values.as_ref()) {
            features.append(ndarray::Axis(0), values.features.view())?;
            targets.append(ndarray::Axis(0), values.targets.view())?;
        }
        ensure!(features.nrows() == data.train_rows(), "a plaintext training needs the rows of all owners");
        Ok(Plaintext {
            network: Network::new(
                &architecture,
                &init::weights(&architecture, spec.seed, plan.weight),
                spec.batch,
            ),
            features,
            targets,
            batch: spec.batch,
            seed: spec.seed,
            rate: plan.learning_rate(0) / spec.batch as f64,
            step: 0,
            order: Vec::new(),
            wanted: vec![0.0; spec.batch * outputs],
        })
    }

    fn step(&mut self) {
        let per_epoch = shuffle::batches_per_epoch(self.features.nrows(), self.batch);
        let (epoch, place) = (self.step / per_epoch, (self.step % per_epoch) as usize);
        if place == 0 {
            self.order = shuffle::batches(self.features.nrows(), self.batch, self.seed, epoch as u32);
        }
        self.step += 1;
        let (batch, pass) = (&self.order[place], Some((self.seed, self.step)));
        self.network.forward(&self.features, batch, pass);
        let cols = self.targets.ncols();
        for (to, &row) in self.wanted.chunks_exact_mut(cols).zip(batch) {
            to.iter_mut().zip(self.targets.row(row)).for_each(|(t, v)| *t = *v);
        }
        self.network.backward(&self.wanted[..batch.len() * cols], batch.len(), pass);
        self.network.descend(&Descent { rate: self.rate, momentum: 0.0, decay: 0.0, adam: None });
    }
}

impl Training for Plaintext {
    fn steps(&mut self, steps: u64) -> Result<Duration> {
        let began = Instant::now();
        (0..steps).for_each(|_| self.step());
        Ok(began.elapsed())
    }
}

/// The fixed-point program of the protocols in the open, over all cores.
pub struct Clear(Trainer<ClearEngine>);

impl Clear {
    /// Prepares a training on all rows of `data`.
    ///
    /// # Errors
    /// A job or rows that do not fit.
    pub fn new(job: &TrainingJob, data: &DataSets) -> Result<Clear> {
        let mut data = data.clone();
        // The engine counts as party 0 and takes its rows only.
        data.train.iter_mut().chain(&mut data.test).for_each(|set| set.owner = 0);
        Ok(Clear(Trainer::new(ClearEngine::new(Policy::default()).strict(), job, data)?))
    }
}

impl Training for Clear {
    fn steps(&mut self, steps: u64) -> Result<Duration> {
        let began = Instant::now();
        for _ in 0..steps {
            self.0.step()?;
        }
        Ok(began.elapsed())
    }
}
