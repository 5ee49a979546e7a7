//! The plan as a table for the run log.

use std::fmt;

use super::NumericPlan;

impl fmt::Display for NumericPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (r, l) = (self.ring.bits(), self.product_ring.bits());
        writeln!(f, "{:<34}{:>10}{:>7}{:>16}", "tensor", "fraction", "ring", "bound")?;
        let mut row = |name: &str, frac: u32, ring: u32, bits: Option<u32>| {
            let bound = bits.map_or("modular".to_owned(), |b| format!("|v| < 2^{b}"));
            writeln!(f, "{name:<34}{frac:>10}{ring:>7}{bound:>16}")
        };
        row("inputs, activations", self.activation, r, Some(self.range_bits))?;
        row("weights in products", self.weight, self.weight_ring.bits(), Some(self.weight_bits))?;
        row("forward products", self.activation + self.weight, l, Some(self.range_bits))?;
        row("gradients of activations", self.gradient, r, Some(self.gradient_bits))?;
        row("backward products", self.gradient + self.weight, l, Some(self.gradient_bits))?;
        row("weight gradients", self.summed, r, None)?;
        row("master weights", self.master, self.master_ring.bits(), Some(self.weight_bits))?;
        for norm in &self.norms {
            let name = |what: &str| format!("layer {}: {what}", norm.layer);
            let frac = self.activation;
            row(&name("inputs of batch-norm"), frac, norm.input.bits(), Some(self.range_bits))?;
            row(&name("variances"), norm.variance, 64, Some(2 * self.range_bits))?;
            row(&name("scaled and shifted"), frac + norm.scale, norm.forward.bits(), Some(self.range_bits))?;
        }
        if let Some(a) = &self.adam {
            row("mean gradients", a.gradient, 64, Some(a.gradient_bits))?;
            row("their average", a.moment, 64, Some(a.gradient_bits))?;
            row("the average of their squares", a.square, 64, Some(2 * a.gradient_bits))?;
            row("the same, under the root", a.under_root, a.under_root_bits(), Some(2 * a.gradient_bits))?;
        }
        let rate = self.rates.first().map_or(0.0, |_| self.learning_rate(0));
        write!(
            f,
            "learning rate {rate} = {} · 2^-{}{}; weights drop {} bits {}; comparisons of {} bits",
            self.rate_factor(0),
            self.rate_bits,
            if self.adam.is_some() { String::new() } else { format!(" · {} rows", self.divisor) },
            self.weight_shift(),
            if self.shrunk { "in one round" } else { "in two rounds" },
            self.width
        )?;
        if let Some(momentum) = self.momentum {
            write!(f, "; momentum {}", momentum.value())?;
        }
        Ok(())
    }
}
