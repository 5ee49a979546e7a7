//! The two files of a model.

use std::fs;

use sha2::{Digest, Sha256};
use tercet_data::Limits;
use tercet_data::model::{self, DESCRIPTION_FILE, WEIGHTS_FILE};

use crate::scratch::{self, join, parts};

/// Stands for the checksum of the weights, so that damage to them reaches what is behind the checksum.
const CHECKSUM: &str = "@";

const LIMITS: Limits = Limits { max_file_bytes: 1 << 20, max_line_bytes: 4096, max_rows: 1000 };

pub(crate) fn run(bytes: &[u8]) -> bool {
    let (description, weights) = parts(bytes);
    let Ok(description) = std::str::from_utf8(description) else { return false };
    let folder = scratch::folder("model");
    fs::write(folder.join(DESCRIPTION_FILE), description.replacen(CHECKSUM, &sha256(weights), 1))
        .expect("a file");
    fs::write(folder.join(WEIGHTS_FILE), weights).expect("a file");
    let Ok(read) = model::read(&folder, &LIMITS) else { return false };
    for parameters in read.parameters() {
        assert!(parameters.weight.iter().chain(&parameters.bias).all(|value| value.is_finite()));
    }
    let again = scratch::folder("model-again");
    model::write(&again, &read).expect("what was read can be written");
    let again = model::read(&again, &LIMITS).expect("and read again");
    assert_eq!(again.description(), read.description(), "a model comes back as it was");
    true
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    vec![seed("", &[("0.bias", &[2]), ("0.weight", &[2, 2])]), {
        let image = "\"image\":{\"channels\":1,\"height\":1,\"width\":2},";
        let layers = "{\"kind\":\"flatten\"},{\"kind\":\"relu\"},{\"kind\":\"dropout\",\"rate\":0.25},\
                      {\"kind\":\"folded-batch-norm\"},";
        let seed = seed(image, &[("4.bias", &[2]), ("4.weight", &[2, 2])]);
        let (description, weights) = parts(&seed);
        let text = std::str::from_utf8(description)
            .expect("text")
            .replace("[{\"kind\":\"dense\"", &format!("[{layers}{{\"kind\":\"dense\""));
        join(text.as_bytes(), weights)
    }]
}

fn seed(image: &str, tensors: &[(&str, &[usize])]) -> Vec<u8> {
    let mut header = Vec::new();
    let mut at = 0;
    for (name, shape) in tensors {
        let end = at + 4 * shape.iter().product::<usize>();
        header.push(format!(
            "\"layers.{name}\":{{\"dtype\":\"F32\",\"shape\":{shape:?},\"data_offsets\":[{at},{end}]}}"
        ));
        at = end;
    }
    let mut header = format!("{{{}}}", header.join(","));
    header.push_str(&" ".repeat(header.len().next_multiple_of(8) - header.len()));
    let numbers = (0..at / 4).flat_map(|i| (i as f32 / 2.0).to_le_bytes());
    let weights =
        [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &numbers.collect::<Vec<u8>>()].concat();
    let description = format!(
        "{{\"format\":\"tercet-model-1\",\"weights_file\":\"{WEIGHTS_FILE}\",\"weights_sha256\":\"{CHECKSUM}\",\
         \"description\":{{\"layers\":[{{\"kind\":\"dense\",\"inputs\":2,\"outputs\":2}}],\
         \"input\":{{\"format\":\"csv\",\"features\":[{{\"name\":\"x\",\"min\":0,\"max\":1}},{{\"name\":\"y\",\"min\":0,\"max\":1}}],\
         \"label\":{{\"column\":\"c\",\"classes\":[\"a\",\"b\"]}}}},{image}\"classes\":[\"a\",\"b\"],\
         \"fixed_point\":{{\"ring_bits\":64,\"fraction_bits\":16}},\"job_hash\":\"{}\",\
         \"training\":{{\"protocol\":\"helper\",\"rows\":9,\"epochs\":1,\"steps\":3,\"batch\":3,\"seconds\":0.5,\
         \"accuracy\":0.75,\"privacy\":{{\"epsilon\":2.5,\"delta\":1e-5}}}}}}}}",
        "0f".repeat(32)
    );
    join(description.as_bytes(), &weights)
}
