//! A pair of IDX files, plain or gzip.

use std::io::Write;
use std::sync::LazyLock;

use flate2::Compression;
use flate2::write::GzEncoder;
use tercet_data::schema::IdxSpec;
use tercet_data::{Limits, idx};

use crate::scratch::{self, join, parts};

/// A gzip file may unpack to 1 MiB here.
const LIMITS: Limits = Limits { max_file_bytes: 1 << 20, max_line_bytes: 4096, max_rows: 1000 };

static SPEC: LazyLock<IdxSpec> = LazyLock::new(|| IdxSpec::new(2, 3, 3, 0.5, 0.5).expect("a schema"));

pub(crate) fn run(bytes: &[u8]) -> bool {
    let (images, labels) = parts(bytes);
    let (images, labels) = (scratch::file("images", images), scratch::file("labels", labels));
    let Ok(set) = idx::read(&images, &labels, &SPEC, None, &LIMITS) else { return false };
    assert!(set.features().dim() == (set.rows(), 6) && set.labels().len() == set.rows());
    assert!(
        set.features().iter().all(|value| value.abs() <= 1.0) && set.labels().iter().all(|&label| label < 3)
    );
    true
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let numbers = |numbers: &[u32]| numbers.iter().flat_map(|n| n.to_be_bytes()).collect::<Vec<u8>>();
    let images = [numbers(&[0x803, 3, 2, 3]), (0..18).map(|pixel| pixel * 14).collect()].concat();
    let labels = [numbers(&[0x801, 3]), vec![0, 2, 1]].concat();
    let (packed_images, packed_labels) = (gzip(&images), gzip(&labels));
    vec![
        join(&images, &labels),
        join(&packed_images, &labels),
        join(&images, &packed_labels),
        join(&packed_images, &packed_labels),
    ]
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("memory can be written")
}
