//! `tercet calibrate`: the noise that meets a target.

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use serde::Serialize;
use tercet_privacy::accountant::{self, Epsilons, Mechanism, Target, epsilon};

use super::epsilon::tell;
use super::mechanism::{Kind, Sampled};
use super::say;

/// Arguments of `calibrate`.
#[derive(Debug, Args)]
pub(super) struct CalibrateArgs {
    #[command(flatten)]
    sampled: Sampled,
    /// The largest ε.
    #[arg(long, allow_hyphen_values = true)]
    epsilon: f64,
    /// The method that must confirm the target.
    #[arg(long, value_enum, default_value_t = Method::Best)]
    method: Method,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// A method of the accountant.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Method {
    /// Rényi differential privacy.
    Rdp,
    /// Privacy loss distributions.
    Pld,
    /// The exact curve of plain Gaussians.
    Exact,
    /// The tightest that covers the mechanism.
    Best,
}

#[derive(Serialize)]
struct Answer {
    /// The noise multiplier; of `laplace` the scale.
    sigma: f64,
    #[serde(flatten)]
    mechanism: Event,
    steps: u64,
    #[serde(flatten)]
    epsilons: Epsilons,
}

#[derive(Serialize)]
struct Event {
    mechanism: &'static str,
}

pub(super) fn run(args: &CalibrateArgs) -> Result<()> {
    let sampled = &args.sampled;
    if sampled.mechanism == Kind::Zcdp {
        bail!("a zCDP mechanism states no noise to calibrate: choose a mechanism with noise");
    }
    // Options that are missing or of no use are found before the search.
    sampled.with_noise(1.0)?;
    let method = match args.method {
        Method::Rdp => accountant::Method::Rdp,
        Method::Pld => accountant::Method::Pld,
        Method::Exact => accountant::Method::Exact,
        Method::Best => accountant::Method::Best,
    };
    let target = Target { epsilon: args.epsilon, delta: sampled.delta, method };
    let events = |sigma: f64| {
        let mechanism = sampled.with_noise(sigma);
        mechanism.map(|mechanism| vec![(mechanism, sampled.steps)]).unwrap_or_default()
    };
    let sigma = accountant::calibrate(target, events)?;
    let mechanism: Mechanism = sampled.with_noise(sigma)?;
    let epsilons = epsilon(&[(mechanism, sampled.steps)], sampled.delta)?;
    if args.json {
        let mechanism = Event { mechanism: mechanism.name() };
        return say(serde_json::to_string(&Answer { sigma, mechanism, steps: sampled.steps, epsilons })?);
    }
    say(format_args!("sigma {sigma:.8}"))?;
    tell(&epsilons)
}
