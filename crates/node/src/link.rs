//! The link between parties that a plan assumes and that a testnet shapes.

use std::fmt;
use std::str::FromStr;

use tercet_relay::{Profile, ProfileError};

/// A link between each two of the parties.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "one value per command")]
pub enum Link {
    /// Three processes on one machine.
    #[default]
    Local,
    /// Three machines, joined by links of this profile.
    Shaped(Profile),
}

/// For `--help`.
pub const LINK_HELP: &str = "\
`local`, `lan` (round trip 0.2 ms, 10 Gbit/s), `wan` (40 ms, 100 Mbit/s), or a list such as `rtt=20ms,rate=1gbit`; \
also delay=, jitter=, reorder, loss=1%, buffer=500kb";

impl FromStr for Link {
    type Err = ProfileError;

    /// Everything that the relay reads, and `rtt=`, which is twice the delay.
    fn from_str(text: &str) -> Result<Link, ProfileError> {
        if text.trim() == "local" {
            return Ok(Link::Local);
        }
        let words: Vec<String> = text.split(',').map(delay_of_round_trip).collect::<Result<_, _>>()?;
        Ok(Link::Shaped(words.join(",").parse()?))
    }
}

/// `rtt=40ms` as a delay; other words stay as they are.
fn delay_of_round_trip(word: &str) -> Result<String, ProfileError> {
    match word.trim().split_once('=').map(|(key, value)| (key.trim(), value.trim())) {
        Some(("rtt", value)) => match tercet_relay::duration(value) {
            Some(time) => Ok(format!("delay={}ns", time.as_nanos() / 2)),
            None => Err(ProfileError::Value { key: "rtt", given: value.to_owned(), example: "rtt=20ms" }),
        },
        _ => Ok(word.to_owned()),
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Link::Local => f.write_str("local"),
            Link::Shaped(profile) => profile.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_trip_is_two_delays_and_all_else_is_the_relay_s() {
        let parse = |text: &str| text.parse::<Link>();
        assert_eq!(parse("local"), Ok(Link::Local));
        assert_eq!(parse("wan").unwrap().to_string(), "wan");
        assert_eq!(parse("rtt=40ms,rate=100mbit"), parse("wan"));
        assert_eq!(parse("rate=50mbit, rtt=3ms"), parse("delay=1500us,rate=50mbit"));
        for wrong in ["", "rtt", "rtt=fast", "rtt=20ms,delay=10ms", "dsl"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
