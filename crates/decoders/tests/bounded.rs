//! Every decoder on seeds, damaged seeds and noise: no panic, no more memory than its limit, nothing left over.

use peak_alloc::PeakAlloc;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use tercet_decoders::{ALL, Decoder};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Damaged inputs for each decoder, and as many of noise. The fuzzer runs millions; so does this with TERCET_CASES=1000000, and
/// TERCET_DECODERS=offer,journal for some decoders only.
fn cases() -> u32 {
    std::env::var("TERCET_CASES").map_or(2000, |count| count.parse().expect("TERCET_CASES is a number"))
}

/// The decoders to run.
fn chosen() -> impl Iterator<Item = &'static Decoder> {
    let names = std::env::var("TERCET_DECODERS").ok();
    ALL.iter().filter(move |decoder| {
        names.as_ref().is_none_or(|names| names.split(',').any(|name| name == decoder.name))
    })
}

/// One way to damage an input.
#[derive(Clone, Debug)]
enum Damage {
    Flip {
        place: prop::sample::Index,
        bit: u8,
    },
    Replace {
        place: prop::sample::Index,
        with: Vec<u8>,
    },
    Insert {
        place: prop::sample::Index,
        what: Vec<u8>,
    },
    Remove {
        place: prop::sample::Index,
        count: usize,
    },
    /// A number of the format becomes a huge one.
    Huge {
        place: prop::sample::Index,
    },
    Cut {
        place: prop::sample::Index,
    },
}

fn damage() -> impl Strategy<Value = Damage> {
    let place = any::<prop::sample::Index>;
    let bytes = || prop::collection::vec(any::<u8>(), 1..12);
    prop_oneof![
        (place(), 0..8_u8).prop_map(|(place, bit)| Damage::Flip { place, bit }),
        (place(), bytes()).prop_map(|(place, with)| Damage::Replace { place, with }),
        (place(), bytes()).prop_map(|(place, what)| Damage::Insert { place, what }),
        (place(), 1..40_usize).prop_map(|(place, count)| Damage::Remove { place, count }),
        place().prop_map(|place| Damage::Huge { place }),
        place().prop_map(|place| Damage::Cut { place }),
    ]
}

fn apply(bytes: &mut Vec<u8>, damage: &Damage) {
    if bytes.is_empty() {
        return;
    }
    let length = bytes.len();
    match damage {
        Damage::Flip { place, bit } => bytes[place.index(length)] ^= 1 << bit,
        Damage::Replace { place, with } => {
            let start = place.index(length);
            let end = (start + with.len()).min(length);
            bytes[start..end].copy_from_slice(&with[..end - start]);
        }
        Damage::Insert { place, what } => {
            let at = place.index(length);
            bytes.splice(at..at, what.iter().copied());
        }
        Damage::Remove { place, count } => {
            let start = place.index(length);
            bytes.drain(start..(start + count).min(length));
        }
        Damage::Huge { place } => {
            let start = place.index(length);
            bytes[start..(start + 8).min(length)].fill(0xff);
        }
        Damage::Cut { place } => bytes.truncate(place.index(length)),
    }
}

/// Runs a decoder and checks what it held at most.
fn run(decoder: &Decoder, bytes: &[u8]) -> bool {
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    let accepted = (decoder.run)(bytes);
    let held = MEMORY.peak_usage().saturating_sub(before);
    let limit = decoder.room + 64 * bytes.len();
    assert!(
        held <= limit,
        "{} held {held} bytes for an input of {}, and {limit} is its limit",
        decoder.name,
        bytes.len()
    );
    accepted
}

/// The third seed of the store is a whole file.
fn a_store_with_bytes_after_its_last_seal_is_refused() {
    let store = tercet_decoders::named("material");
    let seed = (store.seeds)().swap_remove(2);
    assert!(run(store, &seed) && !run(store, &[&seed[..], &[0]].concat()));
}

/// Every decoder has a fuzz target of its name, and every target a decoder.
fn the_fuzzer_has_a_target_for_each() {
    let targets = concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/fuzz_targets");
    let files =
        std::fs::read_dir(targets).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    let mut files: Vec<String> = files.collect();
    let mut wanted: Vec<String> = ALL.iter().map(|decoder| format!("{}.rs", decoder.name)).collect();
    files.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(files, wanted);
}

/// One test, so that nothing else in this process allocates while a decoder is measured.
#[test]
fn no_input_panics_allocates_beyond_its_limit_or_is_accepted_with_bytes_left_over() {
    the_fuzzer_has_a_target_for_each();
    a_store_with_bytes_after_its_last_seal_is_refused();
    for decoder in chosen() {
        let seeds = (decoder.seeds)();
        for seed in &seeds {
            assert!((decoder.run)(seed), "a seed of {} is not accepted", decoder.name);
            assert!(run(decoder, seed));
            let longer = [seed, &[0xff][..]].concat();
            assert!(!(run(decoder, &longer) && decoder.whole), "{} takes a byte left over", decoder.name);
        }
        let damaged = (prop::sample::select(seeds), prop::collection::vec(damage(), 1..4));
        let config =
            ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() };
        let result = TestRunner::new(config.clone()).run(&damaged, |(mut bytes, list)| {
            list.iter().for_each(|damage| apply(&mut bytes, damage));
            run(decoder, &bytes);
            Ok(())
        });
        assert!(result.is_ok(), "{}: {}", decoder.name, result.unwrap_err());
        let noise = prop::collection::vec(any::<u8>(), 0..600);
        let result = TestRunner::new(config).run(&noise, |bytes| {
            run(decoder, &bytes);
            Ok(())
        });
        assert!(result.is_ok(), "{}: {}", decoder.name, result.unwrap_err());
    }
}
