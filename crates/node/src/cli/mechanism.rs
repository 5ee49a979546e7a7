//! The options that name a mechanism, shared by `epsilon` and `calibrate`.

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use tercet_privacy::accountant::Mechanism;

/// The mechanisms of the accountant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Kind {
    /// Gaussian noise on a query over all records.
    #[value(alias = "gaussian")]
    Gaussian,
    /// Every record joins the batch with probability q; Gaussian noise on the sum.
    #[value(alias = "poisson_gaussian")]
    PoissonGaussian,
    /// The same, with batches cut to a largest size.
    #[value(alias = "truncated_poisson_gaussian")]
    TruncatedPoissonGaussian,
    /// Batches of a fixed size without replacement; Gaussian noise on the sum.
    #[value(alias = "fixed_size_gaussian")]
    FixedSizeGaussian,
    /// Laplace noise.
    Laplace,
    /// Anything with a known zCDP bound.
    Zcdp,
}

impl Kind {
    fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}

/// A mechanism without its noise, and its steps.
#[derive(Clone, Debug, Args)]
pub(super) struct Sampled {
    /// The mechanism.
    #[arg(long, value_enum)]
    pub(super) mechanism: Kind,
    /// Sampling rate of the Poisson mechanisms: batch size over number of records.
    #[arg(long, allow_hyphen_values = true)]
    q: Option<f64>,
    /// Records in a batch: the size of fixed batches, the cap of truncated ones.
    #[arg(long)]
    batch: Option<u64>,
    /// Records in the data set, where the batches have a size.
    #[arg(long, alias = "records")]
    n: Option<u64>,
    /// How often the mechanism runs.
    #[arg(long, default_value_t = 1)]
    pub(super) steps: u64,
    /// δ, between 0 and 1.
    #[arg(long, allow_hyphen_values = true)]
    pub(super) delta: f64,
}

impl Sampled {
    /// The mechanism with its noise: σ, the Laplace scale or ρ.
    ///
    /// # Errors
    /// An option that the mechanism needs and lacks, or one that it has no use for.
    pub(super) fn with_noise(&self, noise: f64) -> Result<Mechanism> {
        let Sampled { mechanism: kind, q, batch, n, .. } = *self;
        let poisson = matches!(kind, Kind::PoissonGaussian | Kind::TruncatedPoissonGaussian);
        let sized = matches!(kind, Kind::TruncatedPoissonGaussian | Kind::FixedSizeGaussian);
        // A rate of 1 is no sampling: true of every mechanism that has none.
        self.used("q", q.is_some_and(|q| q != 1.0 || q.is_nan()), poisson)?;
        self.used("batch", batch.is_some(), sized)?;
        self.used("n", n.is_some(), sized)?;
        let sigma = noise;
        Ok(match kind {
            Kind::Gaussian => Mechanism::Gaussian { sigma },
            Kind::PoissonGaussian => Mechanism::PoissonGaussian { q: self.need("q", q)?, sigma },
            Kind::TruncatedPoissonGaussian => Mechanism::TruncatedPoissonGaussian {
                q: self.need("q", q)?,
                sigma,
                batch: self.need("batch", batch)?,
                n: self.need("n", n)?,
            },
            Kind::FixedSizeGaussian => Mechanism::FixedSizeGaussian {
                sigma,
                batch: self.need("batch", batch)?,
                n: self.need("n", n)?,
            },
            Kind::Laplace => Mechanism::Laplace { scale: noise },
            Kind::Zcdp => Mechanism::Zcdp { rho: noise },
        })
    }

    /// The value of an option that this mechanism needs.
    pub(super) fn need<T>(&self, option: &str, value: Option<T>) -> Result<T> {
        let Some(value) = value else {
            bail!("the mechanism {} needs --{option}: add it", self.mechanism.name());
        };
        Ok(value)
    }

    /// Refuses an option that this mechanism has no use for.
    pub(super) fn used(&self, option: &str, given: bool, has_use: bool) -> Result<()> {
        if given && !has_use {
            bail!("the mechanism {} has no use for --{option}: leave it out", self.mechanism.name());
        }
        Ok(())
    }
}
