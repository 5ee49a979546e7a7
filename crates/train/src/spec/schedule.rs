use serde::{Deserialize, Serialize};

use super::SpecError;

/// How the learning rate changes: by epochs, after a warm-up by steps. `{ kind = "step", every = 5, factor = 0.5 }`,
/// `{ kind = "cosine", least = 0.02, warm_up = 100 }` and so on; constant if the job names none.
///
/// In the first `warm_up` steps (default 0) the rate of step k, from 1, is k / warm_up of what it would be otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Schedule {
    /// It stays.
    Constant {
        /// Steps of the warm-up.
        #[serde(default)]
        warm_up: u64,
    },
    /// It is multiplied by `factor` after every `every` epochs.
    Step {
        /// Epochs between two changes.
        every: u32,
        /// The factor, above 0 and at most 1.
        factor: f64,
        /// Steps of the warm-up.
        #[serde(default)]
        warm_up: u64,
    },
    /// It is multiplied by `factor` after every epoch.
    Exponential {
        /// The factor, above 0 and at most 1.
        factor: f64,
        /// Steps of the warm-up.
        #[serde(default)]
        warm_up: u64,
    },
    /// In epoch e of E, from 0: rate · (least + (1 − least) · (1 + cos(π·e/E)) / 2) (Loshchilov and Hutter, "SGDR", ICLR 2017).
    Cosine {
        /// Share of the rate that would be left after the last epoch, from 0 (default) to 1.
        #[serde(default)]
        least: f64,
        /// Steps of the warm-up.
        #[serde(default)]
        warm_up: u64,
    },
}

impl Default for Schedule {
    fn default() -> Schedule {
        Schedule::Constant { warm_up: 0 }
    }
}

impl Schedule {
    /// The factor of the rate in an epoch (from 0) of `epochs`, warm-up aside. All parties get the same bits: only products,
    /// and a cosine that does not depend on the machine.
    pub fn factor(&self, epoch: u32, epochs: u32) -> f64 {
        match *self {
            Schedule::Constant { .. } => 1.0,
            Schedule::Step { every, factor, .. } => power(factor, u64::from(epoch / every.max(1))),
            Schedule::Exponential { factor, .. } => power(factor, u64::from(epoch)),
            Schedule::Cosine { least, .. } => {
                let angle = std::f64::consts::PI * f64::from(epoch) / f64::from(epochs.max(1));
                least + (1.0 - least) * (1.0 + libm::cos(angle)) / 2.0
            }
        }
    }

    /// Steps of the warm-up.
    pub fn warm_up(&self) -> u64 {
        match *self {
            Schedule::Constant { warm_up }
            | Schedule::Step { warm_up, .. }
            | Schedule::Exponential { warm_up, .. }
            | Schedule::Cosine { warm_up, .. } => warm_up,
        }
    }

    /// Epochs between two changes of the rate.
    pub(crate) fn every(&self, epochs: u32) -> u32 {
        match *self {
            Schedule::Constant { .. } => epochs,
            Schedule::Step { every, .. } => every,
            Schedule::Exponential { .. } | Schedule::Cosine { .. } => 1,
        }
    }

    pub(super) fn validate(&self) -> Result<(), SpecError> {
        if let Schedule::Step { every: 0, .. } = self {
            return Err(SpecError::value("training.schedule.every", 0, "use at least 1"));
        }
        if let Schedule::Step { factor, .. } | Schedule::Exponential { factor, .. } = *self
            && !(factor > 0.0 && factor <= 1.0)
        {
            let expected = "use a number above 0 and at most 1";
            return Err(SpecError::value("training.schedule.factor", factor, expected));
        }
        if let Schedule::Cosine { least, .. } = *self
            && !(0.0..=1.0).contains(&least)
        {
            return Err(SpecError::value("training.schedule.least", least, "use a number from 0 to 1"));
        }
        if self.warm_up() > MOST_WARM_UP {
            let expected = format!("use at most {MOST_WARM_UP} steps");
            return Err(SpecError::value("training.schedule.warm_up", self.warm_up(), expected));
        }
        Ok(())
    }
}

/// Integers of a rate times steps must not overflow.
const MOST_WARM_UP: u64 = 1_000_000;

/// base^exponent by squaring: the same bits on every machine, which `powi` does not promise.
pub(crate) fn power(base: f64, exponent: u64) -> f64 {
    let (mut result, mut square, mut rest) = (1.0, base, exponent);
    while rest > 0 {
        if rest & 1 == 1 {
            result *= square;
        }
        square *= square;
        rest >>= 1;
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f64, b: f64) {
        assert!((a - b).abs() <= 1e-12 * b.abs().max(1e-3), "{a} {b}");
    }

    #[test]
    fn every_schedule_follows_its_formula() {
        for epoch in 0..20 {
            let e = f64::from(epoch);
            close(Schedule::default().factor(epoch, 20), 1.0);
            let step = Schedule::Step { every: 3, factor: 0.3, warm_up: 0 };
            close(step.factor(epoch, 20), 0.3f64.powf((e / 3.0).floor()));
            close(Schedule::Exponential { factor: 0.9, warm_up: 5 }.factor(epoch, 20), 0.9f64.powf(e));
            let cosine = Schedule::Cosine { least: 0.1, warm_up: 0 }.factor(epoch, 20);
            close(cosine, 0.1 + 0.45 * (1.0 + (std::f64::consts::PI * e / 20.0).cos()));
        }
    }

    #[test]
    fn a_power_is_the_product() {
        close(power(0.999, 1000), (0..1000).fold(1.0, |p, _| p * 0.999));
        assert_eq!((power(0.5, 0), power(0.5, 1), power(2.0, 10)), (1.0, 0.5, 1024.0));
    }
}
