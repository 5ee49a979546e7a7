use std::fmt;

use serde::de::value::{MapAccessDeserializer, StrDeserializer};
use serde::de::{Deserializer, Error, IntoDeserializer, MapAccess, Visitor};
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};

use super::SpecError;

/// The optimiser: `"sgd"`, the default, or `"adam"`, or `{ kind = "adam", epsilon = 1e-3 }`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Optimiser {
    /// Stochastic gradient descent, with momentum and decay if asked for.
    #[default]
    Sgd,
    /// Adam (Kingma and Ba, ICLR 2015), with decoupled decay if asked for (Loshchilov and Hutter, "AdamW", ICLR 2019).
    Adam(Adam),
}

/// Adam: m ← β1·m + (1 − β1)·g and v ← β2·v + (1 − β2)·g² of the mean gradient g, both corrected for their start at zero, and
/// w ← w − rate · m / √(v + ε²).
///
/// The usual √v + ε is at most a factor √2 from √(v + ε²), and equal to it where ε matters little.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Adam {
    /// β1 (default 0.9).
    pub beta1: f64,
    /// β2 (default 0.999).
    pub beta2: f64,
    /// ε (default 10^−4). It bounds the range of √v from below, and the fixed point with it: much smaller ones do not fit.
    pub epsilon: f64,
    /// Every mean gradient of a weight is below 2^gradient_bits in size (default 2). Beyond it results are wrong, not clipped.
    pub gradient_bits: u32,
}

impl Default for Adam {
    fn default() -> Adam {
        Adam { beta1: 0.9, beta2: 0.999, epsilon: 1e-4, gradient_bits: 2 }
    }
}

impl Optimiser {
    /// Checks each number by itself.
    pub(super) fn validate(&self) -> Result<(), SpecError> {
        let Optimiser::Adam(adam) = self else { return Ok(()) };
        let betas = [("training.optimiser.beta1", adam.beta1), ("training.optimiser.beta2", adam.beta2)];
        for (key, beta) in betas {
            if !(0.0..1.0).contains(&beta) {
                return Err(SpecError::value(key, beta, "use a number from 0 up to but not including 1"));
            }
        }
        if !(adam.epsilon > 0.0 && adam.epsilon <= 1.0) {
            let expected = "use a number above 0 and at most 1";
            return Err(SpecError::value("training.optimiser.epsilon", adam.epsilon, expected));
        }
        if adam.gradient_bits > 20 {
            let key = "training.optimiser.gradient_bits";
            return Err(SpecError::value(key, adam.gradient_bits, "use 0 to 20"));
        }
        Ok(())
    }
}

/// The form with keys. By hand around it: an untagged enum would not say which key is wrong.
#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
enum Keys {
    Sgd(NoKeys),
    Adam(Adam),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct NoKeys {}

/// The form without keys.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Name {
    Sgd,
    Adam,
}

impl Serialize for Optimiser {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Optimiser::Sgd => serializer.serialize_str("sgd"),
            Optimiser::Adam(adam) => Keys::Adam(*adam).serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Optimiser {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Optimiser, D::Error> {
        struct Forms;
        impl<'de> Visitor<'de> for Forms {
            type Value = Optimiser;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"sgd\", \"adam\" or { kind = \"adam\", … }")
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<Optimiser, E> {
                let name: StrDeserializer<'_, E> = name.into_deserializer();
                Ok(match Name::deserialize(name)? {
                    Name::Sgd => Optimiser::Sgd,
                    Name::Adam => Optimiser::Adam(Adam::default()),
                })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Optimiser, A::Error> {
                Ok(match Keys::deserialize(MapAccessDeserializer::new(map))? {
                    Keys::Sgd(_) => Optimiser::Sgd,
                    Keys::Adam(adam) => Optimiser::Adam(adam),
                })
            }
        }
        deserializer.deserialize_any(Forms)
    }
}
