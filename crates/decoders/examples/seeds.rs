//! Writes the seed corpora: `cargo run -p tercet-decoders --example seeds -- FOLDER`.

use std::path::PathBuf;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let folder = PathBuf::from(env::args().nth(1).unwrap_or_else(|| "crates/fuzz/corpus".to_owned()));
    for decoder in tercet_decoders::ALL {
        let corpus = folder.join(decoder.name);
        fs::create_dir_all(&corpus)?;
        for (place, seed) in (decoder.seeds)().iter().enumerate() {
            fs::write(corpus.join(format!("seed-{place}")), seed)?;
        }
    }
    Ok(())
}
