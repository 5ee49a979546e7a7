//! `tercet epsilon`: what a mechanism costs.

use anyhow::Result;
use clap::Args;
use serde::Serialize;
use tercet_privacy::accountant::{Epsilons, Mechanism, epsilon};

use super::mechanism::{Kind, Sampled};
use super::say;

/// Arguments of `epsilon`.
#[derive(Debug, Args)]
pub(super) struct EpsilonArgs {
    #[command(flatten)]
    sampled: Sampled,
    /// Noise multiplier: standard deviation of the noise over the ℓ2 sensitivity (of `laplace`: scale over the ℓ1
    /// sensitivity).
    #[arg(long, alias = "scale", allow_hyphen_values = true)]
    sigma: Option<f64>,
    /// The bound of a zCDP mechanism.
    #[arg(long, allow_hyphen_values = true)]
    rho: Option<f64>,
    /// Print one JSON object; a method that does not cover the mechanism is null.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Answer {
    #[serde(flatten)]
    mechanism: Mechanism,
    steps: u64,
    #[serde(flatten)]
    epsilons: Epsilons,
}

pub(super) fn run(args: &EpsilonArgs) -> Result<()> {
    let sampled = &args.sampled;
    let zcdp = sampled.mechanism == Kind::Zcdp;
    sampled.used("sigma", args.sigma.is_some(), !zcdp)?;
    sampled.used("rho", args.rho.is_some(), zcdp)?;
    let noise = if zcdp { sampled.need("rho", args.rho)? } else { sampled.need("sigma", args.sigma)? };
    let mechanism = sampled.with_noise(noise)?;
    let epsilons = epsilon(&[(mechanism, sampled.steps)], sampled.delta)?;
    if args.json {
        let answer = Answer { mechanism, steps: sampled.steps, epsilons };
        return say(serde_json::to_string(&answer)?);
    }
    tell(&epsilons)
}

/// One line a method.
pub(super) fn tell(epsilons: &Epsilons) -> Result<()> {
    let Epsilons { delta, rdp, rdp_order, pld, exact } = epsilons;
    let order = rdp_order.map_or(String::new(), |order| format!("  at order {order}"));
    for (method, value, remark) in
        [("Rényi", rdp, order.as_str()), ("loss distribution", pld, ""), ("exact", exact, "")]
    {
        let value = value.map_or("not defined here".to_owned(), |value| format!("{value:.8}"));
        say(format_args!("epsilon at delta {delta}, {method:<18} {value}{remark}"))?;
    }
    Ok(())
}
