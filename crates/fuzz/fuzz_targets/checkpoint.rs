#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = (tercet_decoders::named("checkpoint").run)(bytes);
});
