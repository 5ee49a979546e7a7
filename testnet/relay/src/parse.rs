//! Profiles as text.
//!
//! A profile is `lan`, `wan`, `none`, or a list such as `delay=10ms,rate=50mbit,loss=1%,jitter=5ms,reorder`. Two of
//! them with a slash between are the directions to the target and to the client; one stands for both.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::{Partition, PartsPerMillion, Profile, ProfileError, Shape};

/// Units of a duration in nanoseconds, of a rate in bits per second and of a buffer in bytes; the largest first.
const TIMES: [(&str, u64); 4] = [("s", 1_000_000_000), ("ms", 1_000_000), ("us", 1_000), ("ns", 1)];
const RATES: [(&str, u64); 4] = [("gbit", 1_000_000_000), ("mbit", 1_000_000), ("kbit", 1_000), ("bit", 1)];
const SIZES: [(&str, u64); 3] = [("mb", 1_000_000), ("kb", 1_000), ("b", 1)];
/// Parts per million.
const SHARES: [(&str, u64); 2] = [("%", 10_000), ("ppm", 1)];

const NAMED: [(&str, Shape); 3] = [("lan", Shape::LAN), ("wan", Shape::WAN), ("none", Shape::NONE)];

/// Reads a duration such as `250us`, `40ms` or `1.5s`. `None` when it is none or over 584 years.
pub fn duration(text: &str) -> Option<Duration> {
    scaled(text, &TIMES).map(Duration::from_nanos)
}

impl FromStr for Profile {
    type Err = ProfileError;

    fn from_str(text: &str) -> Result<Self, ProfileError> {
        let mut shapes = text.split('/').map(|part| part.trim().parse::<Shape>());
        let first = shapes.next().transpose()?.unwrap_or_default();
        let second = shapes.next().transpose()?;
        match shapes.count() {
            0 => Ok(Profile { to_target: first, to_client: second.unwrap_or(first) }),
            more => Err(ProfileError::Directions(2 + more)),
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.to_target == self.to_client {
            return self.to_target.fmt(f);
        }
        write!(f, "{} / {}", self.to_target, self.to_client)
    }
}

impl FromStr for Shape {
    type Err = ProfileError;

    fn from_str(text: &str) -> Result<Self, ProfileError> {
        if let Some((_, shape)) = NAMED.iter().find(|(name, _)| *name == text) {
            return Ok(*shape);
        }
        let mut settings = Settings::default();
        text.split(',').try_for_each(|word| settings.add(word.trim()))?;
        let shape = settings.shape;
        if shape.jitter > shape.delay {
            return Err(ProfileError::JitterAboveDelay);
        }
        if shape.reorder && shape.jitter.is_zero() {
            return Err(ProfileError::ReorderWithoutJitter);
        }
        if shape.buffer.is_some() && shape.rate.is_none() {
            return Err(ProfileError::BufferWithoutRate);
        }
        Ok(shape)
    }
}

#[derive(Default)]
struct Settings {
    shape: Shape,
    seen: Vec<&'static str>,
}

impl Settings {
    fn add(&mut self, word: &str) -> Result<(), ProfileError> {
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name.trim(), Some(value.trim())),
            None => (word, None),
        };
        let shape = &mut self.shape;
        let (key, example) = match name {
            "delay" => ("delay", "delay=10ms"),
            "jitter" => ("jitter", "jitter=2ms"),
            "reorder" => ("reorder", "reorder"),
            "rate" => ("rate", "rate=50mbit"),
            "buffer" => ("buffer", "buffer=500kb"),
            "loss" => ("loss", "loss=1%"),
            "duplicate" => ("duplicate", "duplicate=0.1%"),
            "corrupt" => ("corrupt", "corrupt=100ppm"),
            "partition" => ("partition", "partition=5s+2s"),
            "seed" => ("seed", "seed=7"),
            other => return Err(ProfileError::UnknownKey(other.to_owned())),
        };
        if self.seen.contains(&key) {
            return Err(ProfileError::Twice(key));
        }
        self.seen.push(key);
        let value = match (key, value) {
            ("reorder", None) => {
                shape.reorder = true;
                return Ok(());
            }
            ("reorder", Some(_)) | (_, None) => {
                return Err(ProfileError::Form { key, given: word.to_owned(), example });
            }
            (_, Some(value)) => value,
        };
        let read = match key {
            "delay" => duration(value).map(|time| shape.delay = time),
            "jitter" => duration(value).map(|time| shape.jitter = time),
            "rate" => scaled(value, &RATES).filter(|rate| *rate > 0).map(|rate| shape.rate = Some(rate)),
            "buffer" => scaled(value, &SIZES).map(|bytes| shape.buffer = Some(bytes)),
            "loss" => share(value).map(|share| shape.loss = share),
            "duplicate" => share(value).map(|share| shape.duplicate = share),
            "corrupt" => share(value).map(|share| shape.corrupt = share),
            "partition" => partition(value).map(|partition| shape.partition = Some(partition)),
            _ => value.parse().ok().map(|seed| shape.seed = seed),
        };
        read.ok_or_else(|| ProfileError::Value { key, given: value.to_owned(), example })
    }
}

fn share(text: &str) -> Option<PartsPerMillion> {
    let parts = scaled(text, &SHARES)?;
    PartsPerMillion::new(u32::try_from(parts).ok()?)
}

fn partition(text: &str) -> Option<Partition> {
    let (after, lasting) = text.split_once('+')?;
    Some(Partition { after: duration(after)?, lasting: duration(lasting)? })
}

/// Reads a decimal number and its unit; `None` unless the product is a whole number of the smallest unit.
fn scaled(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    const MOST_DIGITS: usize = 20;
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, unit) = text.split_at(digits);
    let (_, unit) = units.iter().find(|(name, _)| *name == unit)?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    if whole.is_empty() || fraction.is_empty() || whole.len() > MOST_DIGITS || fraction.len() > 9 {
        return None;
    }
    let (whole, parts) = (whole.parse::<u128>().ok()?, fraction.parse::<u128>().ok()?);
    let denominator = 10_u128.pow(fraction.len() as u32);
    let numerator = (whole * denominator + parts) * u128::from(*unit);
    if !numerator.is_multiple_of(denominator) {
        return None;
    }
    u64::try_from(numerator / denominator).ok()
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((name, _)) = NAMED.iter().find(|(_, shape)| shape == self) {
            return f.write_str(name);
        }
        let nanoseconds = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let time = |time: Duration| unscaled(nanoseconds(time), &TIMES);
        let mut words = Vec::new();
        let mut word = |said: bool, text: String| {
            if said {
                words.push(text);
            }
        };
        word(!self.delay.is_zero(), format!("delay={}", time(self.delay)));
        word(!self.jitter.is_zero(), format!("jitter={}", time(self.jitter)));
        word(self.reorder, "reorder".to_owned());
        word(self.rate.is_some(), format!("rate={}", unscaled(self.rate.unwrap_or(0), &RATES)));
        word(self.buffer.is_some(), format!("buffer={}", unscaled(self.buffer.unwrap_or(0), &SIZES)));
        let shares = [("loss", self.loss), ("duplicate", self.duplicate), ("corrupt", self.corrupt)];
        for (key, share) in shares {
            word(share.parts() > 0, format!("{key}={}", percent(share)));
        }
        if let Some(Partition { after, lasting }) = self.partition {
            word(true, format!("partition={}+{}", time(after), time(lasting)));
        }
        word(self.seed != 0, format!("seed={}", self.seed));
        f.write_str(&words.join(","))
    }
}

/// The value in the largest unit that gives a whole number.
fn unscaled(value: u64, units: &[(&str, u64)]) -> String {
    let fits = |(_, unit): &&(&str, u64)| value.is_multiple_of(*unit);
    match units.iter().find(fits) {
        Some((name, unit)) => format!("{}{name}", value / unit),
        None => value.to_string(),
    }
}

fn percent(share: PartsPerMillion) -> String {
    let digits = format!("{}.{:04}", share.parts() / 10_000, share.parts() % 10_000);
    format!("{}%", digits.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_example_of_the_documentation_is_read_as_it_says() {
        let profile: Profile = "delay=10ms,rate=50mbit,loss=1%,jitter=5ms,reorder".parse().unwrap();
        let expected = Shape {
            delay: Duration::from_millis(10),
            jitter: Duration::from_millis(5),
            reorder: true,
            rate: Some(50_000_000),
            loss: PartsPerMillion::new(10_000).unwrap(),
            ..Shape::NONE
        };
        assert_eq!(profile, Profile::symmetric(expected));
    }

    #[test]
    fn names_stand_for_their_profiles_and_print_as_names() {
        for (name, profile) in [("lan", Profile::LAN), ("wan", Profile::WAN), ("none", Profile::NONE)] {
            assert_eq!(name.parse(), Ok(profile));
            assert_eq!(profile.to_string(), name);
        }
    }

    #[test]
    fn a_slash_parts_the_directions() {
        let profile: Profile = "wan / rate=1.5mbit".parse().unwrap();
        assert_eq!(profile.to_target, Shape::WAN);
        assert_eq!(profile.to_client.rate, Some(1_500_000));
        assert_eq!(profile.to_string(), "wan / rate=1500kbit");
    }

    #[test]
    fn what_is_no_profile_is_refused_with_a_reason() {
        let fails = |text: &str, word: &str| {
            let error = text.parse::<Profile>().unwrap_err().to_string();
            assert!(error.contains(word), "{text}: {error}");
        };
        fails("", "`` is no link setting");
        fails("dlay=1ms", "`dlay`");
        fails("delay", "write `delay=10ms`");
        fails("reorder=yes", "write `reorder`");
        fails("delay=1ms,delay=2ms", "twice");
        fails("delay=-1ms", "`-1ms`");
        fails("delay=1", "`1`");
        fails("delay=0.1ns", "`0.1ns`");
        fails("delay=99999999999999999999s", "for instance `delay=10ms`");
        fails("rate=0mbit", "`0mbit`");
        fails("loss=101%", "`101%`");
        fails("partition=5s", "partition=5s+2s");
        fails("seed=x", "seed=7");
        fails("delay=1ms,jitter=2ms", "raise the delay");
        fails("delay=1ms,reorder", "without jitter");
        fails("buffer=1mb", "without a rate");
        fails("lan/wan/lan", "3 were given");
        fails("lan,loss=1%", "alone");
    }

    fn shapes() -> impl Strategy<Value = Shape> {
        let parts = || (0_u32..=1_000_000).prop_map(|parts| PartsPerMillion::new(parts).unwrap());
        let time = || (0_u64..1 << 40).prop_map(Duration::from_nanos);
        let partition = (time(), time()).prop_map(|(after, lasting)| Partition { after, lasting });
        let rate = proptest::option::of((1_u64..1 << 40, proptest::option::of(0_u64..1 << 40)));
        (
            time(),
            0_u64..=100,
            rate,
            (parts(), parts(), parts()),
            proptest::option::of(partition),
            any::<u64>(),
        )
            .prop_map(|(delay, percent, rate, (loss, duplicate, corrupt), partition, seed)| {
                let jitter = delay / 100 * percent as u32;
                let reorder = !jitter.is_zero() && seed % 2 == 0;
                let (rate, buffer) = rate.map_or((None, None), |(rate, buffer)| (Some(rate), buffer));
                Shape { delay, jitter, reorder, rate, buffer, loss, duplicate, corrupt, partition, seed }
            })
    }

    proptest! {
        #[test]
        fn a_printed_profile_reads_back_the_same(to_target in shapes(), to_client in shapes()) {
            let profile = Profile { to_target, to_client };
            prop_assert_eq!(profile.to_string().parse(), Ok(profile));
        }

        #[test]
        fn no_text_panics(text in "[a-z0-9=.,%+/ é-]{0,40}") {
            let _ = text.parse::<Profile>();
        }
    }
}
